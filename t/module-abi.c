/* A module that was built for another version of the interface. */
#include "pool/module.h"

static const xo_class_t *const classes[] = {NULL};

__attribute__((visibility("default")))
const xo_module_t xo_module = {XO_MODULE_ABI + 98, "abi", classes};

/* xo.h - the C API of xo, an actor runtime. Link with `pkg-config --cflags --libs libxo`.
 *
 * A plain program needs client.h; a module with actors in C includes pool/module.h as well.
 */
#ifndef XO_H
#define XO_H

#include "libxo/address.h"
#include "libxo/client.h"
#include "libxo/ctx.h"
#include "libxo/endpoint.h"
#include "libxo/error.h"
#include "libxo/failure.h"
#include "libxo/keys.h"
#include "libxo/lane.h"
#include "libxo/loop.h"
#include "libxo/msg.h"
#include "libxo/pack.h"

#endif

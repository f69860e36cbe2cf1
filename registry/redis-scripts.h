/* redis-scripts.h - the Lua that runs in Redis. Each script is atomic.
 */
#ifndef XO_REGISTRY_REDIS_SCRIPTS_H
#define XO_REGISTRY_REDIS_SCRIPTS_H

typedef enum {
    XO_SCRIPT_PUT,
    XO_SCRIPT_RENEW,
    XO_SCRIPT_DEL,
    XO_SCRIPT_GET,
    XO_SCRIPT_LIST,
    XO_SCRIPT_LOOKUP,
    XO_SCRIPT_WATCH,
    XO_SCRIPT_NEWS,
    XO_SCRIPT_LAPSED,
    XO_SCRIPT_CLAIM,
    XO_SCRIPT_WAIT,
    XO_SCRIPT_BEGIN,
    XO_SCRIPT_REAP,
    XO_SCRIPTS
} xo_script_t;

extern const char *const xoi_redis_scripts[XO_SCRIPTS];

#endif

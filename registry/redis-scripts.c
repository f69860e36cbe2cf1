#include "registry/redis-scripts.h"

/* Keys are named in KEYS as far as the caller knows them; the rest has the same hash tag. The last
 * of ARGV is the epoch that the caller knows, for all scripts.
 *
 * Answers of those that write: 1 done, 0 there is no such lease, a string: the other owner. 2 and
 * -1 are 1 and 0 in another epoch: Redis has been emptied meanwhile. */

/* HSET comes first: when Redis is full it is refused, and only then has nothing been changed yet.
 */
static const char put[] =
    "-- KEYS thing, epoch, index, [uid's set]   ARGV id, owner, ttl_ms, pool, name, value, ...\n"
    "local held = redis.call('HMGET', KEYS[1], 'owner', 'lease_ms')\n"
    "if held[2] and held[1] ~= ARGV[2] then return held[1] or '' end\n"
    "local stale = redis.call('HKEYS', KEYS[1])\n"
    "redis.call('HSET', KEYS[1], unpack(ARGV, 5, #ARGV - 1))\n"
    "local fresh = {}\n"
    "for i = 5, #ARGV - 1, 2 do fresh[ARGV[i]] = true end\n"
    "for _, name in ipairs(stale) do\n"
    "  if not fresh[name] then redis.call('HDEL', KEYS[1], name) end\n"
    "end\n"
    "if tonumber(ARGV[3]) > 0 then\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
    "else\n"
    "  redis.call('PERSIST', KEYS[1])\n"
    "end\n"
    "redis.call('SADD', KEYS[3], ARGV[1])\n"
    "if KEYS[4] then redis.call('SADD', KEYS[4], ARGV[4]) end\n"
    "return redis.call('GET', KEYS[2]) == ARGV[#ARGV] and 1 or 2\n";

static const char renew[] =
    "-- KEYS thing, epoch   ARGV owner, ttl_ms\n"
    "local same = redis.call('GET', KEYS[2]) == ARGV[#ARGV]\n"
    "local held = redis.call('HMGET', KEYS[1], 'owner', 'lease_ms')\n"
    "if not held[1] then return same and 0 or -1 end\n"
    "if held[1] ~= ARGV[1] then return held[1] end\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "if held[2] ~= ARGV[2] then redis.call('HSET', KEYS[1], 'lease_ms', ARGV[2]) end\n"
    "return same and 1 or 2\n";

static const char del[] =
    "-- KEYS thing, epoch, index, [uid's set, spec]   ARGV id, owner or '', pool\n"
    "local owner = redis.call('HGET', KEYS[1], 'owner')\n"
    "if ARGV[2] ~= '' and owner and owner ~= ARGV[2] then return owner end\n"
    "redis.call('DEL', KEYS[1])\n"
    "if KEYS[5] then redis.call('DEL', KEYS[5]) end\n"
    "redis.call('SREM', KEYS[3], ARGV[1])\n"
    "if KEYS[4] then redis.call('SREM', KEYS[4], ARGV[3]) end\n"
    "return redis.call('GET', KEYS[2]) == ARGV[#ARGV] and 1 or 2\n";

/* read: a thing as {id, {name, value, ...}}; nil if its lease has lapsed, and then the sets forget
 * it. An actor whose pool is gone is lost, and a group whose node is. `live` remembers which are
 * there. */
#define READ                                                                                       \
    "local live = {}\n"                                                                            \
    "local function is_live(key)\n"                                                                \
    "  if live[key] == nil then live[key] = redis.call('EXISTS', key) == 1 end\n"                  \
    "  return live[key]\n"                                                                         \
    "end\n"                                                                                        \
    "local function forget(prefix, kind, id, uid, pool)\n"                                         \
    "  redis.call('SREM', prefix .. kind .. 's', id)\n"                                            \
    "  if kind == 'actor' then redis.call('SREM', prefix .. 'uid:' .. uid, pool) end\n"            \
    "end\n"                                                                                        \
    "local function lose(fields)\n"                                                                \
    "  for i = 1, #fields, 2 do\n"                                                                 \
    "    if fields[i] == 'state' then fields[i + 1] = 'lost' return end\n"                         \
    "  end\n"                                                                                      \
    "  fields[#fields + 1] = 'state'\n"                                                            \
    "  fields[#fields + 1] = 'lost'\n"                                                             \
    "end\n"                                                                                        \
    "local function read(prefix, kind, id)\n"                                                      \
    "  local uid, pool = id:match('^(.*)@([^@]*)$')\n"                                             \
    "  local fields = redis.call('HGETALL', prefix .. kind .. ':' .. id)\n"                        \
    "  if #fields == 0 then return forget(prefix, kind, id, uid, pool) end\n"                      \
    "  local home = ({actor = 'pool:', group = 'node:'})[kind]\n"                                  \
    "  if home and not is_live(prefix .. home .. pool) then lose(fields) end\n"                    \
    "  return {id, fields}\n"                                                                      \
    "end\n"

static const char get[] = "-- KEYS thing   ARGV prefix, kind, id\n" READ
                          "return read(ARGV[1], ARGV[2], ARGV[3]) or false\n";

static const char list[] =
    "-- KEYS index   ARGV prefix, kind, cursor   answers {next cursor, {thing, ...}}\n" READ
    "local page = redis.call('SSCAN', KEYS[1], ARGV[3], 'COUNT', 100)\n"
    "local things = {}\n"
    "for _, id in ipairs(page[2]) do\n"
    "  things[#things + 1] = read(ARGV[1], ARGV[2], id)\n"
    "end\n"
    "return {page[1], things}\n";

static const char lookup[] =
    "-- KEYS uid's set   ARGV prefix, uid\n" READ "local things = {}\n"
    "for _, pool in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
    "  things[#things + 1] = read(ARGV[1], 'actor', ARGV[2] .. '@' .. pool)\n"
    "end\n"
    "return things\n";

const char *const xoi_redis_scripts[XO_SCRIPTS] = {
    [XO_SCRIPT_PUT] = put, [XO_SCRIPT_RENEW] = renew, [XO_SCRIPT_DEL] = del,
    [XO_SCRIPT_GET] = get, [XO_SCRIPT_LIST] = list,   [XO_SCRIPT_LOOKUP] = lookup,
};

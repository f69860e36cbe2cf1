#include "registry/redis-scripts.h"

#include "registry/registry.h"

/* Keys are named in KEYS as far as the caller knows them; the rest has the same hash tag. The last
 * of ARGV is the epoch that the caller knows, for all scripts.
 *
 * Answers of those that write: 1 done, 0 there is no such lease, a string: the other owner. 2 and
 * -1 are 1 and 0 in another epoch: Redis has been emptied meanwhile. */

/* note: who watches the uid of an actor is told, once. */
#define NEWS_MAX "1000"
#define WATCH_MS "120000"
#define NOTE                                                                                       \
    "local function note(prefix, id)\n"                                                            \
    "  local uid = id:match('^(.*)@')\n"                                                           \
    "  local watchers = redis.call('SMEMBERS', prefix .. 'watch:' .. uid)\n"                       \
    "  for _, reader in ipairs(watchers) do\n"                                                     \
    "    local news = prefix .. 'news:' .. reader\n"                                               \
    "    redis.call('RPUSH', news, uid)\n"                                                         \
    "    redis.call('LTRIM', news, -" NEWS_MAX ", -1)\n"                                           \
    "    redis.call('PEXPIRE', news, " WATCH_MS ")\n"                                              \
    "  end\n"                                                                                      \
    "  if #watchers > 0 then redis.call('DEL', prefix .. 'watch:' .. uid) end\n"                   \
    "end\n"

/* Of each node, `movable:NODE` has those of its actors whose records have a placement, and
 * `movable` the nodes of which there is such a set. unlist: one is no more, or not that node's any
 * more, or may not move any more. */
#define UNLIST                                                                                     \
    "local function unlist(prefix, node, id)\n"                                                    \
    "  local set = prefix .. 'movable:' .. node\n"                                                 \
    "  redis.call('SREM', set, id)\n"                                                              \
    "  if redis.call('EXISTS', set) == 0 then\n"                                                   \
    "    redis.call('SREM', prefix .. 'movable', node)\n"                                          \
    "  end\n"                                                                                      \
    "end\n"

/* Redis does not hold all that it should, and who lives is writing it again. */
#define REFILLING                                                                                  \
    "local function is_refilling(prefix)\n"                                                        \
    "  return redis.call('EXISTS', prefix .. 'refill') == 1\n"                                     \
    "end\n"                                                                                        \
    "local refilling = redis.error_reply('REFILLING it has come back with less than it held')\n"

/* Once for each connection, and again when Redis was emptied. A master has a replication id of its
 * own, and another one since it was started anew or took over: then what it acknowledged last may
 * be missing. */
static const char begin[] =
    "-- KEYS epoch, lineage, refill   ARGV random, refill_ms\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'NX')\n"
    "local ms, known = tonumber(ARGV[2]), ARGV[#ARGV]\n"
    "if ms == 0 then return redis.status_reply('OK') end\n"
    "local info = redis.pcall('INFO', 'replication')\n"
    "local id = type(info) == 'string' and info:match('master_replid:(%x+)') or ''\n"
    "local was = redis.call('GET', KEYS[2])\n"
    "if was ~= id then redis.call('SET', KEYS[2], id) end\n"
    "local emptied = known ~= '' and known ~= redis.call('GET', KEYS[1])\n"
    "if (emptied or (was and was ~= id)) and redis.call('PTTL', KEYS[3]) < ms then\n"
    "  redis.call('SET', KEYS[3], '1', 'PX', ms)\n"
    "end\n"
    "return redis.status_reply('OK')\n";

/* HSET comes first: when Redis is full it is refused, and only then has nothing been changed yet.
 */
static const char put[] =
    "-- KEYS thing, epoch, index, [uid's set]   ARGV id, owner, ttl_ms, pool or 'take', name, "
    "value, ...\n" NOTE UNLIST REFILLING "local prefix = KEYS[2]:sub(1, -6)\n"
    "local is_name = KEYS[3] == prefix .. 'names'\n"
    "local held = redis.call('HMGET', KEYS[1], 'owner', 'lease_ms', 'epoch', 'placement')\n"
    "local fresh = {}\n"
    "for i = 5, #ARGV - 1, 2 do fresh[ARGV[i]] = ARGV[i + 1] end\n"
    "local is_others = held[2] and held[1] ~= ARGV[2]\n"
    "if is_others and is_name then\n" /* it lasts as long as its node's lease */
    "  local newer = (tonumber(held[3]) or 0) > (tonumber(fresh.epoch) or 0)\n"
    "  is_others = (newer and ARGV[4] ~= 'take') or\n"
    "    redis.call('EXISTS', prefix .. 'node:' .. held[1]) == 1\n"
    "end\n"
    "if is_others then return held[1] or '' end\n"
    "if KEYS[4] and ARGV[2] == '" XO_REG_NOBODY "' then\n" /* told again, perhaps too late */
    "  local name = prefix .. 'name:' .. ARGV[1]:match('^(.*)@')\n"
    "  local since = redis.call('HMGET', name, 'owner', 'epoch')\n"
    "  local epoch = tonumber(since[2]) or 0\n"
    "  if epoch > (tonumber(fresh.epoch) or 0) then\n"
    /* Of an actor that somebody who lives has got since, the deletion was lost. */
    "    if held[1] and held[1] ~= since[1] and epoch > (tonumber(held[3]) or 0) and\n"
    "      redis.call('EXISTS', prefix .. 'node:' .. since[1]) == 1 then\n"
    "      redis.call('DEL', KEYS[1])\n"
    "      redis.call('SREM', KEYS[3], ARGV[1])\n"
    "      redis.call('SREM', KEYS[3] .. ':' .. held[1], ARGV[1])\n"
    "      redis.call('SREM', KEYS[4], ARGV[4])\n"
    "      unlist(prefix, held[1], ARGV[1])\n"
    "      note(prefix, ARGV[1])\n"
    "      held[1] = nil\n"
    "    end\n"
    "    if not held[1] then redis.call('DEL', prefix .. 'spec:' .. ARGV[1]) end\n"
    "    return since[1] or ''\n"
    "  end\n"
    "end\n"
    "if ARGV[4] == 'take' and not (held[2] and held[1] == ARGV[2]) and\n"
    "  (is_refilling(prefix) or redis.call('GET', KEYS[2]) ~= ARGV[#ARGV]) then\n"
    "  return refilling\n"
    "end\n"
    "local stale = redis.call('HKEYS', KEYS[1])\n"
    "redis.call('HSET', KEYS[1], unpack(ARGV, 5, #ARGV - 1))\n"
    "if is_name and held[1] == ARGV[2] then fresh.epoch = fresh.epoch or held[3] end\n"
    "for _, name in ipairs(stale) do\n"
    "  if not fresh[name] then redis.call('HDEL', KEYS[1], name) end\n"
    "end\n"
    "if tonumber(ARGV[3]) > 0 and not is_name then\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
    "else\n"
    "  redis.call('PERSIST', KEYS[1])\n"
    "end\n"
    "redis.call('SADD', KEYS[3], ARGV[1])\n"
    "if held[1] and held[1] ~= ARGV[2] then\n"
    "  redis.call('SREM', KEYS[3] .. ':' .. held[1], ARGV[1])\n"
    "end\n"
    "if ARGV[2] ~= '' and (KEYS[1]:find(':actor:') or KEYS[1]:find(':group:')) then\n"
    "  redis.call('SADD', KEYS[3] .. ':' .. ARGV[2], ARGV[1])\n"
    "end\n"
    "if KEYS[4] then\n"
    "  redis.call('SADD', KEYS[4], ARGV[4])\n"
    "  note(prefix, ARGV[1])\n"
    "  if held[4] and (held[1] ~= ARGV[2] or not fresh.placement) then\n"
    "    unlist(prefix, held[1] or '', ARGV[1])\n"
    "  end\n"
    "  if fresh.placement then\n"
    "    redis.call('SADD', prefix .. 'movable:' .. ARGV[2], ARGV[1])\n"
    "    redis.call('SADD', prefix .. 'movable', ARGV[2])\n"
    "  end\n"
    "end\n"
    "if KEYS[3] == prefix .. 'keys' then redis.call('INCR', KEYS[3] .. ':version') end\n"
    "if KEYS[3] == prefix .. 'nodes' then\n"
    "  redis.call('SADD', prefix .. 'alive', ARGV[1])\n"
    "  redis.call('ZREM', prefix .. 'dead', ARGV[1])\n"
    "  if fresh.host then redis.call('HSET', prefix .. 'hosts', ARGV[1], fresh.host) end\n"
    "end\n"
    "if fresh.epoch then\n" /* it may have been lost here */
    "  local fence = tonumber(redis.call('GET', prefix .. 'fence')) or 0\n"
    "  if tonumber(fresh.epoch) > fence then redis.call('SET', prefix .. 'fence', fresh.epoch) "
    "end\n"
    "end\n"
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
    "-- KEYS thing, epoch, index, [uid's set, spec]   ARGV id, owner or '', pool\n" NOTE UNLIST
    "local prefix = KEYS[2]:sub(1, -6)\n"
    "local held = redis.call('HMGET', KEYS[1], 'owner', 'placement')\n"
    "local owner = held[1]\n"
    "if ARGV[2] ~= '' and owner and owner ~= ARGV[2] then return owner end\n"
    "redis.call('DEL', KEYS[1])\n"
    "if KEYS[5] then redis.call('DEL', KEYS[5]) end\n"
    "redis.call('SREM', KEYS[3], ARGV[1])\n"
    "if owner then redis.call('SREM', KEYS[3] .. ':' .. owner, ARGV[1]) end\n"
    "if KEYS[5] and held[2] then unlist(prefix, owner or '', ARGV[1]) end\n"
    "if KEYS[3] == prefix .. 'nodes' then\n" /* what it has left is reaped at once */
    "  redis.call('SREM', prefix .. 'alive', ARGV[1])\n"
    "  redis.call('HDEL', prefix .. 'hosts', ARGV[1])\n"
    "  if redis.call('EXISTS', prefix .. 'actors:' .. ARGV[1], prefix .. 'groups:' .. ARGV[1]) "
    "> 0 then\n"
    "    redis.call('ZADD', prefix .. 'dead', 0, ARGV[1])\n"
    "  end\n"
    "end\n"
    "if KEYS[4] then\n"
    "  redis.call('SREM', KEYS[4], ARGV[3])\n"
    "  note(prefix, ARGV[1])\n"
    "end\n"
    "return redis.call('GET', KEYS[2]) == ARGV[#ARGV] and 1 or 2\n";

/* How long a node that stands still may do so and hear then that it has been reaped: a week. */
#define REAPED_MS "604800000"

/* read: a thing as {id, {name, value, ...}}; nil if its lease has lapsed, and then the sets forget
 * it. An actor whose pool is gone is lost, and a group whose node is; a name whose node is gone is
 * nobody's. `live` remembers which are there. */
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
    "    if fields[i] == 'state' then\n"                                                           \
    "      if fields[i + 1] ~= 'waiting' then fields[i + 1] = 'lost' end\n"                        \
    "      return\n"                                                                               \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  fields[#fields + 1] = 'state'\n"                                                            \
    "  fields[#fields + 1] = 'lost'\n"                                                             \
    "end\n"                                                                                        \
    "local function read(prefix, kind, id)\n"                                                      \
    "  local uid, pool = id:match('^(.*)@([^@]*)$')\n"                                             \
    "  local fields = redis.call('HGETALL', prefix .. kind .. ':' .. id)\n"                        \
    "  if #fields == 0 then return forget(prefix, kind, id, uid, pool) end\n"                      \
    "  if kind == 'name' then\n"                                                                   \
    "    local node = redis.call('HGET', prefix .. 'name:' .. id, 'owner') or ''\n"                \
    "    if not is_live(prefix .. 'node:' .. node) then return nil end\n"                          \
    "  end\n"                                                                                      \
    "  local home = ({actor = 'pool:', group = 'node:'})[kind]\n"                                  \
    "  if home and not is_live(prefix .. home .. pool) then lose(fields) end\n"                    \
    "  return {id, fields}\n"                                                                      \
    "end\n"

static const char get[] = "-- KEYS thing   ARGV prefix, kind, id\n" READ
                          "return read(ARGV[1], ARGV[2], ARGV[3]) or false\n";

static const char list[] = "-- KEYS index, or that of an owner   ARGV prefix, kind, cursor\n"
                           "-- answers {next cursor, {thing, ...}}\n" READ
                           "local page = redis.call('SSCAN', KEYS[1], ARGV[3], 'COUNT', 100)\n"
                           "local things = {}\n"
                           "for _, id in ipairs(page[2]) do\n"
                           "  local thing = read(ARGV[1], ARGV[2], id)\n"
                           "  if not thing then redis.call('SREM', KEYS[1], id) end\n"
                           "  things[#things + 1] = thing\n"
                           "end\n"
                           "return {page[1], things}\n";

static const char lookup[] =
    "-- KEYS uid's set   ARGV prefix, uid\n" READ REFILLING "local things, found = {}, false\n"
    "for _, pool in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
    "  local thing = read(ARGV[1], 'actor', ARGV[2] .. '@' .. pool)\n"
    "  things[#things + 1] = thing\n"
    "  found = found or (thing and is_live(ARGV[1] .. 'pool:' .. pool))\n"
    "end\n"
    "if not found and is_refilling(ARGV[1]) then return refilling end\n"
    "return things\n";

static const char watch[] = "-- KEYS uid's watchers   ARGV reader\n"
                            "redis.call('SADD', KEYS[1], ARGV[1])\n"
                            "return redis.call('PEXPIRE', KEYS[1], " WATCH_MS ")\n";

static const char news[] = "-- KEYS reader's news\n"
                           "local uids = redis.call('LRANGE', KEYS[1], 0, -1)\n"
                           "if #uids > 0 then redis.call('DEL', KEYS[1]) end\n"
                           "return uids\n";

/* Which nodes have such actors is in a set, and for each node which these are.
 *
 * What dead nodes had besides, names and ports, goes some time later: until then a name's epoch is
 * a fence. Who puts or claims it again keeps it. Each time some are looked at: in the end all. */
#define STALE_MS "3600000" /* for longer no node is expected to stand still */
static const char lapsed[] =
    "-- KEYS nodes, fence   ARGV prefix, max, epoch   answers {thing, ...}\n" READ UNLIST REFILLING
    "if (tonumber(redis.call('GET', KEYS[2])) or 0) < tonumber(ARGV[3]) then\n"
    "  redis.call('SET', KEYS[2], ARGV[3])\n"
    "end\n"
    "local things = {}\n"
    "if is_refilling(ARGV[1]) then return things end\n"
    "for _, kind in ipairs({'name', 'port'}) do\n"
    "  for _, id in ipairs(redis.call('SRANDMEMBER', ARGV[1] .. kind .. 's', 4)) do\n"
    "    local key = ARGV[1] .. kind .. ':' .. id\n"
    "    local owner = redis.call('HGET', key, 'owner')\n"
    "    if not owner then\n"
    "      redis.call('SREM', ARGV[1] .. kind .. 's', id)\n"
    "    elseif not is_live(ARGV[1] .. 'node:' .. owner) and redis.call('PTTL', key) == -1 then\n"
    "      redis.call('PEXPIRE', key, " STALE_MS ")\n"
    "    end\n"
    "  end\n"
    "end\n"
    "for _, node in ipairs(redis.call('SRANDMEMBER', KEYS[1], 32)) do\n"
    "  local left = tonumber(ARGV[2]) - #things\n"
    "  if left > 0 and not is_live(ARGV[1] .. 'node:' .. node) then\n"
    "    local ids = redis.call('SRANDMEMBER', ARGV[1] .. 'movable:' .. node, left)\n"
    "    if #ids == 0 then redis.call('SREM', KEYS[1], node) end\n"
    "    for _, id in ipairs(ids) do\n"
    "      local thing = read(ARGV[1], 'actor', id)\n"
    "      if thing then things[#things + 1] = thing else unlist(ARGV[1], node, id) end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return things\n";

/* Answers {id, {'epoch', token, 'spec', bytes}}; 0 there is no such actor; a string: who has it.
 * What is written first is refused if Redis is full. Tokens are milliseconds since 1970 if that is
 * above all others: so they grow even if Redis has forgotten some. */
static const char claim[] =
    "-- KEYS actor, epoch, actors, uid's set, new actor, name, names, spec, new spec, fence, "
    "nodes\n"
    "-- ARGV prefix, id, pool, new id, new pool, name's id, owner, ttl_ms, epoch, number of the\n"
    "--      actor's fields, name, value, ..., those of the name\n" NOTE UNLIST REFILLING
    "local dead = redis.call('HGET', KEYS[1], 'owner')\n"
    "if not dead then return 0 end\n"
    "if is_refilling(ARGV[1]) then return refilling end\n"
    "if redis.call('EXISTS', ARGV[1] .. 'node:' .. ARGV[7]) == 0 then return ARGV[7] end\n"
    "if redis.call('EXISTS', ARGV[1] .. 'node:' .. dead) == 1 then return dead end\n"
    "local function drop(key, id, owner)\n"
    "  redis.call('DEL', key)\n"
    "  redis.call('SREM', KEYS[3] .. ':' .. owner, id)\n"
    "  unlist(ARGV[1], owner, id)\n"
    "end\n"
    "local function leave()\n"
    "  drop(KEYS[1], ARGV[2], dead)\n"
    "  redis.call('DEL', KEYS[8])\n"
    "  redis.call('SREM', KEYS[3], ARGV[2])\n"
    "  redis.call('SREM', KEYS[4], ARGV[3])\n"
    "end\n"
    "local name = redis.call('HMGET', KEYS[6], 'owner', 'epoch')\n"
    "local held = name[1]\n"
    "if held and redis.call('EXISTS', ARGV[1] .. 'node:' .. held) == 1 then\n"
    "  if held ~= dead then leave() end\n"
    "  return held\n"
    "end\n"
    "local time = redis.call('TIME')\n"
    "local token = string.format('%.0f', math.max(\n"
    "  (tonumber(redis.call('GET', KEYS[10])) or 0) + 1, tonumber(ARGV[9]) + 1,\n"
    "  (tonumber(redis.call('HGET', KEYS[1], 'epoch')) or 0) + 1, (tonumber(name[2]) or 0) + 1,\n"
    "  time[1] * 1000 + math.floor(time[2] / 1000)))\n"
    "redis.call('SET', KEYS[10], token)\n"
    "local last = 10 + tonumber(ARGV[10])\n"
    "redis.call('HSET', KEYS[6], 'owner', ARGV[7], 'lease_ms', ARGV[8], 'epoch', token,\n"
    "  unpack(ARGV, last + 1, #ARGV - 1))\n"
    "redis.call('PERSIST', KEYS[6])\n"
    "redis.call('SADD', KEYS[7], ARGV[6])\n"
    "drop(KEYS[5], ARGV[4], redis.call('HGET', KEYS[5], 'owner') or '')\n"
    "if KEYS[5] ~= KEYS[1] then\n"
    "  if redis.call('EXISTS', KEYS[8]) == 1 then redis.call('RENAME', KEYS[8], KEYS[9]) end\n"
    "  leave()\n"
    "end\n"
    "redis.call('HSET', KEYS[5], 'owner', ARGV[7], 'epoch', token, unpack(ARGV, 11, last))\n"
    "redis.call('SADD', KEYS[3], ARGV[4])\n"
    "redis.call('SADD', KEYS[3] .. ':' .. ARGV[7], ARGV[4])\n"
    "redis.call('SADD', KEYS[4], ARGV[5])\n"
    "note(ARGV[1], ARGV[4])\n"
    "redis.call('SADD', ARGV[1] .. 'movable:' .. ARGV[7], ARGV[4])\n"
    "redis.call('SADD', KEYS[11], ARGV[7])\n"
    "return {ARGV[4], {'epoch', token, 'spec', redis.call('GET', KEYS[9]) or ''}}\n";

static const char wait_for[] =
    "-- KEYS actor   ARGV prefix, reason\n"
    "local held = redis.call('HMGET', KEYS[1], 'owner', 'state')\n"
    "if not held[1] or held[2] == 'waiting' or\n"
    "  redis.call('EXISTS', ARGV[1] .. 'node:' .. held[1]) == 1 then return 0 end\n"
    "redis.call('HSET', KEYS[1], 'state', 'waiting', 'reason', ARGV[2])\n"
    "return 1\n";

/* Which nodes are there is in `alive`, and since when which one is not in `dead`: there until the
 * rest of it is reaped, by one at a time. Who is first to see that a lease is over writes that
 * down, each once and in the order of the numbers, and the event. `reaped:NODE` says how far that
 * is, and then that it has been: for the node, if it was not dead. SSCAN shows all that stays
 * meanwhile, though the rest is removed. */
static const char reap[] =
    "-- KEYS alive, dead, reaper, events, hosts\n"
    "-- ARGV prefix, owner, lease_ms, keep_ms, after, max, events_max\n"
    "-- answers {{node, {'at', number, 'host', host}}, ..., {'-', {what there is to do}}}\n" NOTE
        REFILLING "local prefix, owner, after = ARGV[1], ARGV[2], ARGV[5]\n"
    "local things, more = {}, '0'\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "local function text(number) return string.format('%.0f', number) end\n"
    "if tonumber(after) == 0 then after = text(now - tonumber(ARGV[3])) end\n"
    "local function is_there(node)\n"
    "  return redis.call('EXISTS', prefix .. 'node:' .. node) == 1\n"
    "end\n"
    "local function bury(node)\n"
    "  local host = redis.call('HGET', KEYS[5], node) or ''\n"
    "  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[7], '*', 'type', 'node.down', 'node', "
    "node,\n"
    "    'host', host, 'reason', 'its lease has lapsed')\n"
    "  local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]\n"
    "  redis.call('ZADD', KEYS[2], text(math.max(now, (tonumber(last) or 0) + 1)), node)\n"
    "  redis.call('SREM', KEYS[1], node)\n"
    "  redis.call('DEL', prefix .. 'reaped:' .. node)\n"
    "end\n"
    "local function tell()\n"
    "  local news = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. after, '+inf', 'WITHSCORES',\n"
    "    'LIMIT', 0, 100)\n"
    "  for i = 1, #news, 2 do\n"
    "    local host = redis.call('HGET', KEYS[5], news[i]) or ''\n"
    "    after = text(tonumber(news[i + 1]))\n"
    "    things[#things + 1] = {news[i], {'at', after, 'host', host}}\n"
    "  end\n"
    "end\n"
    "local function remove(kind, id, node)\n"
    "  local key = prefix .. kind .. ':' .. id\n"
    "  local held = redis.call('HMGET', key, 'owner', 'placement')\n"
    "  if held[1] == node and held[2] then return end\n"
    "  redis.call('SREM', prefix .. kind .. 's:' .. node, id)\n"
    "  if held[1] and held[1] ~= node then return end\n"
    "  redis.call('SREM', prefix .. kind .. 's', id)\n"
    "  redis.call('DEL', key)\n"
    "  if kind ~= 'actor' then return end\n"
    "  local uid, pool = id:match('^(.*)@([^@]*)$')\n"
    "  redis.call('UNLINK', prefix .. 'spec:' .. id)\n"
    "  redis.call('SREM', prefix .. 'uid:' .. uid, pool)\n"
    "  note(prefix, id)\n"
    "end\n"
    "local function reap(node)\n"
    "  local mark = prefix .. 'reaped:' .. node\n"
    "  local kind, cursor = (redis.call('GET', mark) or ''):match('^(%a+) (%d+)$')\n"
    "  kind = kind or 'actor'\n"
    "  local page = redis.call('SSCAN', prefix .. kind .. 's:' .. node, cursor or 0, 'COUNT',\n"
    "    ARGV[6])\n"
    "  local next = page[1] ~= '0' and kind .. ' ' .. page[1] or\n"
    "    kind == 'actor' and 'group 0' or 'all'\n"
    "  redis.call('SET', mark, next, 'PX', " REAPED_MS ")\n"
    "  for _, id in ipairs(page[2]) do remove(kind, id, node) end\n"
    "  if next == 'all' then\n"
    "    redis.call('ZREM', KEYS[2], node)\n"
    "    redis.call('HDEL', KEYS[5], node)\n"
    "  end\n"
    "end\n"
    "local function reap_one()\n"
    "  local reaper = redis.call('GET', KEYS[3])\n"
    "  if reaper and reaper ~= owner then return end\n"
    "  local node = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(now - tonumber(ARGV[4])),\n"
    "    'LIMIT', 0, 1)[1]\n"
    "  if not node then return end\n"
    "  redis.call('SET', KEYS[3], owner, 'PX', ARGV[3])\n"
    "  more = '1'\n"
    "  reap(node)\n"
    "end\n"
    "if not is_refilling(prefix) then\n"
    "  for _, node in ipairs(redis.call('SRANDMEMBER', KEYS[1], 32)) do\n"
    "    if not is_there(node) then bury(node) end\n"
    "  end\n"
    "  tell()\n"
    "  reap_one()\n"
    "end\n"
    "local lacks = is_there(owner) and redis.call('DEL', prefix .. 'reaped:' .. owner) or 0\n"
    "things[#things + 1] = {'-', {'after', after, 'more', more, 'lacks', text(lacks)}}\n"
    "return things\n";

const char *const xoi_redis_scripts[XO_SCRIPTS] = {
    [XO_SCRIPT_PUT] = put,     [XO_SCRIPT_RENEW] = renew,   [XO_SCRIPT_DEL] = del,
    [XO_SCRIPT_GET] = get,     [XO_SCRIPT_LIST] = list,     [XO_SCRIPT_LOOKUP] = lookup,
    [XO_SCRIPT_WATCH] = watch, [XO_SCRIPT_NEWS] = news,     [XO_SCRIPT_LAPSED] = lapsed,
    [XO_SCRIPT_CLAIM] = claim, [XO_SCRIPT_WAIT] = wait_for, [XO_SCRIPT_BEGIN] = begin,
    [XO_SCRIPT_REAP] = reap,
};

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/redis.h"

/* How Redis begins an error, what that means, and what to do. The longer beginning comes first. */
typedef struct meaning {
    const char *begins;
    int errnum;
    const char *advice;
} meaning_t;

static const meaning_t meanings[] = {
    {"NOAUTH", EACCES,
     "it wants a password: write it into a file, and redis://USER@HOST?password_file=PATH"},
    {"WRONGPASS", EACCES, "check user and password, in the URL or its password_file"},
    {"ERR invalid password", EACCES, "check the password in the URL"},
    {"ERR AUTH", EACCES, "it has no password: take the one in the URL out"},
    {"ERR Client sent AUTH", EACCES, "it has no password: take the one in the URL out"},
    {"NOPERM", EACCES, "give the user all commands on the keys xo:* (ACL SETUSER ... ~xo:* +@all)"},
    {"DENIED", EACCES, "give it a password, or bind it to an address of its own"},
    {"READONLY", EROFS, "name the primary in the URL"},
    {"MASTERDOWN", EROFS, "name the primary in the URL"},
    {"OOM", ENOSPC, "raise its maxmemory, or give the cluster a Redis of its own"},
    {"MISCONF", EIO, "it cannot save to disk: look into its log"},
    {"NOREPLICAS", EIO, "too few of its replicas are there (min-replicas-to-write)"},
    {"CLUSTERDOWN", EIO, "mend the Redis Cluster"},
    {"MOVED", EINVAL, "it belongs to a Redis Cluster: name the node that the answer names"},
    {"ASK", EINVAL, "it belongs to a Redis Cluster: name the node that the answer names"},
    {"WRONGTYPE", EIO,
     "somebody has written a key of xo's with another type than doc/registry.md says: remove it"},
    {"REFILLING", EAGAIN, "the nodes write that again: try later"},
    {"LOADING", EBUSY, "it is still reading its data; xo waits"},
    {"BUSY", EBUSY, "a script keeps it busy (SCRIPT KILL ends it)"},
    {"ERR max number of clients", EBUSY, "raise its maxclients"},
    {"ERR DB index", EINVAL, "the URL names a database that it does not have"},
    {"ERR invalid DB index", EINVAL, "the URL names a database that it does not have"},
    {"ERR unknown command", EIO, "xo needs Redis 5 or later, without renamed commands"},
};

/* A script's error has Redis' own inside, in versions before 7: "ERR Error running script ...: -OOM
 * ...". */
static bool says(const char *said, const char *begins)
{
    char inside[64];
    if (strncmp(said, begins, strlen(begins)) == 0)
        return true;
    snprintf(inside, sizeof(inside), " -%s ", begins);
    return strncmp(said, "ERR Error running", 17) == 0 && strstr(said, inside);
}

static const meaning_t *find_meaning(const char *said)
{
    static const meaning_t other = {"", EIO, "look into its log"};
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (says(said, meanings[i].begins))
            return &meanings[i];
    return &other;
}

/* Of "ERR unknown command 'AUTH', with args beginning with: 'secret'" only what is before the
 * arguments, and not which line of which script it was. */
static int shown_length(const char *said)
{
    static const char *const tails[] = {", with args", " script: "};
    size_t length = strcspn(said, "\r\n");
    for (size_t i = 0; i < 2; i++) {
        const char *tail = strstr(said, tails[i]);
        if (tail && (size_t)(tail - said) < length)
            length = (size_t)(tail - said);
    }
    return length > 160 ? 160 : (int)length;
}

int xoi_redis_error(const redis_t *redis, const char *said, char *text, size_t size)
{
    const meaning_t *meaning = find_meaning(said);
    snprintf(text, size, "Redis at %.256s says '%.*s'; %s", redis->base.url, shown_length(said),
             said, meaning->advice);
    return meaning->errnum;
}

static bool is_string(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

static xo_slice_t bytes(const redisReply *reply)
{
    return xo_slice(reply->str, (size_t)reply->len);
}

int xoi_redis_add_record(xo_records_t *records, const redisReply *pair)
{
    if (pair->type != REDIS_REPLY_ARRAY || pair->elements != 2 || !is_string(pair->element[0]) ||
        pair->element[1]->type != REDIS_REPLY_ARRAY)
        return -1;
    const redisReply *fields = pair->element[1];
    xoi_records_begin(records, bytes(pair->element[0]));
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (!is_string(fields->element[i]) || !is_string(fields->element[i + 1]))
            return -1;
        xoi_records_field(records, bytes(fields->element[i]), bytes(fields->element[i + 1]));
    }
    return fields->elements % 2 ? -1 : 0;
}

int xoi_redis_add_records(xo_records_t *records, const redisReply *pairs)
{
    if (pairs->type != REDIS_REPLY_ARRAY)
        return -1;
    for (size_t i = 0; i < pairs->elements; i++)
        if (xoi_redis_add_record(records, pairs->element[i]) < 0)
            return -1;
    return 0;
}

/* group.c - whose turn it is in a group that is restarted: the member that is being stopped or
 * created. What comes for members that are down waits until they are created, but not what comes
 * from that one, which they wait for.
 *
 * What a creation causes carries its trace. What a member calls while it is to end is known by its
 * sender; of a Python actor's calls that is the pool.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

#define GROUP_BYTES 65
#define TRACE_BYTES 64

struct xoi_turn {
    xoi_turn_t *prev, *next;
    char group[GROUP_BYTES];
    char trace[TRACE_BYTES]; /* of its creation; "": it is being stopped */
    uint64_t endpoint;       /* of its pool */
    size_t uid_size;
    char uid[XO_UID_BYTES_MAX];
};

static xoi_turn_t *find(const xo_pool_t *pool, const char *group)
{
    xoi_turn_t *turn = pool->group_turns;
    while (turn && strcmp(turn->group, group))
        turn = turn->next;
    return turn;
}

static void drop(xo_pool_t *pool, xoi_turn_t *turn)
{
    if (!turn)
        return;
    DL_DELETE(pool->group_turns, turn);
    free(turn);
}

static bool comes_from(const xo_header_t *header, const xoi_turn_t *turn)
{
    if (turn->trace[0])
        return xo_slice_eq_str(header->trace, turn->trace);
    return turn->endpoint == header->sender_id &&
           (!header->sender_uid.size ||
            xo_slice_eq(header->sender_uid, xo_slice(turn->uid, turn->uid_size)));
}

bool xoi_group_has_turn(const xo_request_t *request)
{
    const xoi_turn_t *turn = request->pool->group_turns;
    while (turn && !comes_from(xo_msg_header(request->msg), turn))
        turn = turn->next;
    return turn;
}

/* Without memory what it calls is held, until the time is up in which it has to end. */
static void add(xo_pool_t *pool, const xoi_turn_t *told)
{
    xoi_turn_t *turn = malloc(sizeof *turn);
    if (!turn)
        return;
    *turn = *told;
    DL_APPEND(pool->group_turns, turn);
    xoi_held_review(pool);
}

void xoi_group_turn(xo_pool_t *pool, const xo_msg_t *event)
{
    xo_slice_t value, uid = {NULL, 0};
    xoi_turn_t turn = {.trace = ""};
    xo_slice_t body = xo_msg_body(event);
    if (xo_map_get_str(body, "group", turn.group, sizeof turn.group) < 0)
        return;
    drop(pool, find(pool, turn.group));
    bool creates = xo_map_get_str(body, "trace", turn.trace, sizeof turn.trace) == 0;
    if (!creates && (xo_map_get(body, "uid", &value) < 0 || xo_unpack(value, NULL, "s", &uid) < 0 ||
                     uid.size > sizeof turn.uid || xo_map_get(body, "endpoint", &value) < 0 ||
                     xo_unpack(value, NULL, "U", &turn.endpoint) < 0))
        return; /* nobody's */
    turn.uid_size = uid.size;
    if (uid.size)
        memcpy(turn.uid, uid.data, uid.size);
    add(pool, &turn);
}

void xoi_group_turns_free(xo_pool_t *pool)
{
    while (pool->group_turns)
        drop(pool, pool->group_turns);
}

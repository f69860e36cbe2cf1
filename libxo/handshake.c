/* handshake.c - the bodies of hello and welcome: identity to map and back. Pure, and fuzzed. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxo/endpoint_impl.h"

static const char *const role_names[] = {NULL, "client", "pool", "broker"};

static void first_line_of(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

/* Processes that share both can see each other by pid. */
void xoi_machine_id(char *text, size_t size)
{
    char boot[40];
    char namespace[40];
    first_line_of("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    ssize_t n = readlink("/proc/self/ns/pid", namespace, sizeof namespace - 1);
    namespace[n > 0 ? n : 0] = '\0';
    snprintf(text, size, "%s %s", boot, namespace);
}

static void pack_text(xo_buf_t *out, const char *key, const char *text)
{
    xo_pack_cstr(out, key);
    xo_pack_cstr(out, text);
}

static void pack_number(xo_buf_t *out, const char *key, uint64_t value)
{
    xo_pack_cstr(out, key);
    xo_pack_uint(out, value);
}

void xoi_hello_pack(const xo_endpoint_t *endpoint, const char *expect, const xoi_bulk_offer_t *bulk,
                    xo_buf_t *out)
{
    const xo_identity_t *self = &endpoint->self;
    xo_pack_map(out, bulk ? 18 : 17);
    pack_text(out, "role", role_names[self->role]);
    pack_text(out, "cluster", self->cluster);
    pack_text(out, "machine", endpoint->machine);
    pack_text(out, "label", self->label);
    pack_text(out, "address", self->address);
    pack_text(out, "expect", expect);
    pack_number(out, "id", self->id);
    pack_number(out, "node", self->node_id);
    pack_number(out, "pool", self->pool_id);
    pack_number(out, "generation", self->generation);
    pack_number(out, "pid", (uint64_t)self->pid);
    xo_pack_cstr(out, "index");
    xo_pack_int(out, self->index);
    xo_pack_cstr(out, "window");
    xo_pack_format(out, "[u U]", endpoint->options.window_messages, endpoint->options.window_bytes);
    xo_pack_cstr(out, "bundles");
    xo_pack_bool(out, true);
    xo_pack_cstr(out, "answers");
    xo_pack_bool(out, true);
    xo_pack_cstr(out, "news");
    xo_pack_bool(out, true);
    xo_pack_cstr(out, "mutes");
    xo_pack_bool(out, true);
    if (bulk) {
        xo_pack_cstr(out, "bulk");
        xo_pack_format(out, "[U U]", bulk->window, bulk->token);
    }
}

static int read_role(xo_slice_t body, xo_role_t *role)
{
    char name[16];
    if (xo_map_get_str(body, "role", name, sizeof name) < 0)
        return -1;
    for (int i = XO_ROLE_CLIENT; i <= XO_ROLE_BROKER; i++)
        if (strcmp(name, role_names[i]) == 0) {
            *role = (xo_role_t)i;
            return 0;
        }
    return -1;
}

static int read_number(xo_slice_t body, const char *key, uint64_t max, uint64_t *value)
{
    xo_slice_t raw;
    if (xo_map_get(body, key, &raw) < 0)
        return -1;
    xo_reader_t reader = xo_reader(raw);
    return xo_read_uint(&reader, value) < 0 || *value > max ? -1 : 0;
}

static int read_window(xo_slice_t body, xoi_credit_t *window)
{
    xo_slice_t raw;
    uint64_t messages;
    uint64_t bytes;
    if (xo_map_get(body, "window", &raw) < 0 ||
        xo_unpack(raw, NULL, "[U U]", &messages, &bytes) < 0)
        return -1;
    if (messages == 0 || messages > UINT32_MAX || bytes == 0 || bytes > INT64_MAX / 4)
        return -1;
    *window = (xoi_credit_t){(int64_t)messages, (int64_t)bytes, (int64_t)bytes, (int64_t)bytes,
                             XOI_NEWS_WINDOW};
    return 0;
}

/* Who does not say so knows nothing of it. */
static int read_bulk(xo_slice_t body, xoi_bulk_offer_t *bulk)
{
    xo_slice_t raw;
    if (xo_map_get(body, "bulk", &raw) < 0)
        return 0;
    return xo_unpack(raw, NULL, "[U U]", &bulk->window, &bulk->token) < 0 ||
                   bulk->window < XOI_BULK_WINDOW_BYTES_MIN || bulk->window > INT64_MAX / 4
               ? -1
               : 0;
}

/* The same. */
static int read_flag(xo_slice_t body, const char *key, bool *flag)
{
    xo_slice_t raw;
    if (xo_map_get(body, key, &raw) < 0)
        return 0;
    xo_reader_t reader = xo_reader(raw);
    return xo_read_bool(&reader, flag);
}

static int read_numbers(xo_slice_t body, xo_identity_t *peer)
{
    uint64_t generation;
    uint64_t pid;
    int64_t index;
    if (read_number(body, "id", UINT64_MAX, &peer->id) < 0 || peer->id == 0 ||
        read_number(body, "node", UINT64_MAX, &peer->node_id) < 0 ||
        read_number(body, "pool", UINT64_MAX, &peer->pool_id) < 0 ||
        read_number(body, "generation", UINT32_MAX, &generation) < 0 ||
        read_number(body, "pid", INT32_MAX, &pid) < 0 ||
        xo_map_get_int(body, "index", &index) < 0 || index < -1 || index > INT32_MAX)
        return -1;
    peer->generation = (uint32_t)generation;
    peer->index = (int32_t)index;
    peer->pid = (int64_t)pid;
    return 0;
}

static int read_texts(xo_slice_t body, xoi_hello_t *hello)
{
    xo_identity_t *peer = &hello->peer;
    return xo_map_get_str(body, "cluster", peer->cluster, sizeof peer->cluster) < 0 ||
                   xo_map_get_str(body, "label", peer->label, sizeof peer->label) < 0 ||
                   xo_map_get_str(body, "address", peer->address, sizeof peer->address) < 0 ||
                   xo_map_get_str(body, "machine", hello->machine, sizeof hello->machine) < 0 ||
                   xo_map_get_str(body, "expect", hello->expect, sizeof hello->expect) < 0
               ? -1
               : 0;
}

int xoi_hello_read(xo_slice_t body, xoi_hello_t *hello, xo_error_t *err)
{
    memset(hello, 0, sizeof *hello);
    if (read_role(body, &hello->peer.role) < 0)
        return xo_error_set(err, EBADMSG, "handshake: no role that is known");
    if (read_texts(body, hello) < 0)
        return xo_error_set(err, EBADMSG, "handshake: a text is missing or too long");
    if (read_numbers(body, &hello->peer) < 0)
        return xo_error_set(err, EBADMSG, "handshake: a number is missing or out of range");
    if (read_window(body, &hello->window) < 0)
        return xo_error_set(err, EBADMSG, "handshake: no window of credit");
    if (read_bulk(body, &hello->bulk) < 0)
        return xo_error_set(err, EBADMSG, "handshake: a malformed window of chunks");
    if (read_flag(body, "bundles", &hello->bundles) < 0)
        return xo_error_set(err, EBADMSG, "handshake: bundles are neither true nor false");
    if (read_flag(body, "mutes", &hello->mutes) < 0)
        return xo_error_set(err, EBADMSG, "handshake: mutes are neither true nor false");
    if (read_flag(body, "answers", &hello->answers) < 0)
        return xo_error_set(err, EBADMSG, "handshake: answers are neither true nor false");
    if (read_flag(body, "news", &hello->news) < 0)
        return xo_error_set(err, EBADMSG, "handshake: news are neither true nor false");
    return 0;
}

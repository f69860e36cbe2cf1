/* zap.c - the ZAP handler (RFC 27/ZAP, https://rfc.zeromq.org/spec/27/): admits who proves, through
 * CURVE, that it holds a member's key, and calls it by that.
 *
 * A request is version, request id, domain, address, routing id, mechanism, credentials...; an
 * answer is version, request id, status code, status text, user id, metadata.
 */
#include <errno.h>
#include <string.h>

#include <zmq.h>

#include "libxo/ctx_internal.h"

#define ZAP_VERSION "1.0"
#define ID_BYTES_MAX 255
enum { VERSION, REQUEST_ID, DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, CREDENTIALS, FRAMES };

typedef struct zap_request {
    size_t count; /* frames received, those beyond FRAMES included */
    size_t sizes[FRAMES];
    uint8_t frames[FRAMES][ID_BYTES_MAX];
} zap_request_t;

/* 0, or -1 when the context shuts down. */
static int receive(void *socket, zap_request_t *request)
{
    int more = 1;
    size_t size = sizeof more;

    for (request->count = 0; more; request->count++) {
        size_t slot = request->count < FRAMES ? request->count : FRAMES - 1;
        int n;
        do
            n = zmq_recv(socket, request->frames[slot], ID_BYTES_MAX, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return -1;
        request->sizes[slot] = (size_t)n;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) < 0)
            return -1;
    }
    return 0;
}

static bool frame_is(const zap_request_t *request, int frame, const void *data, size_t size)
{
    return request->sizes[frame] == size && memcmp(request->frames[frame], data, size) == 0;
}

/* The key, as text, of who asks; false: it shows none, or the request is not of ZAP. */
static bool take_key(const zap_request_t *request, char key[XO_KEY_TEXT_BYTES])
{
    return request->count == FRAMES && frame_is(request, VERSION, ZAP_VERSION, 3) &&
           frame_is(request, MECHANISM, "CURVE", 5) &&
           request->sizes[CREDENTIALS] == XO_KEY_BYTES &&
           zmq_z85_encode(key, request->frames[CREDENTIALS], XO_KEY_BYTES);
}

/* "": the request has none. */
static void take_host(const zap_request_t *request, char host[XOI_HOST_BYTES])
{
    size_t size = request->count == FRAMES ? request->sizes[ADDRESS] : 0;

    if (size >= XOI_HOST_BYTES)
        size = 0;
    memcpy(host, request->frames[ADDRESS], size);
    host[size] = 0;
}

/* `user` "": it is refused. */
static int answer(void *socket, const zap_request_t *request, const char *user)
{
    size_t id_size = request->count > REQUEST_ID && request->sizes[REQUEST_ID] <= ID_BYTES_MAX
                         ? request->sizes[REQUEST_ID]
                         : 0;
    const char *text = *user ? "OK" : "not a member of this cluster";

    if (zmq_send(socket, ZAP_VERSION, 3, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, request->frames[REQUEST_ID], id_size, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, *user ? "200" : "400", 3, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, text, strlen(text), ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, user, strlen(user), ZMQ_SNDMORE) < 0)
        return -1;
    return zmq_send(socket, "", 0, 0);
}

void xoi_ctx_look_members(xo_ctx_t *ctx)
{
    xo_error_t err = {0};

    if (xoi_admission_look(&ctx->admission, &err) < 0)
        xoi_ctx_warn(ctx, "%s; until then those are admitted who were", err.text);
}

static int serve(xo_ctx_t *ctx, void *socket)
{
    zap_request_t request;
    char key[XO_KEY_TEXT_BYTES] = "";
    char host[XOI_HOST_BYTES];

    if (receive(socket, &request) < 0)
        return -1;
    xoi_ctx_look_members(ctx);
    if (!take_key(&request, key) || !xoi_admission_has(&ctx->admission, key)) {
        take_host(&request, host);
        xoi_admission_note_refused(&ctx->admission, host, key);
        key[0] = 0;
    }
    return answer(socket, &request, key);
}

void *xoi_zap_main(void *arg)
{
    xo_ctx_t *ctx = arg;
    void *socket = ctx->zap_socket;

    while (serve(ctx, socket) == 0)
        continue;
    zmq_close(socket);
    return NULL;
}

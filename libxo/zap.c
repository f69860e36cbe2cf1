/* zap.c - the ZAP handler (RFC 27/ZAP, https://rfc.zeromq.org/spec/27/): admits who proves, through
 * CURVE, that it holds the cluster's key.
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

static bool admitted(const zap_request_t *request, const uint8_t *key)
{
    return request->count == FRAMES && frame_is(request, VERSION, ZAP_VERSION, 3) &&
           frame_is(request, MECHANISM, "CURVE", 5) &&
           frame_is(request, CREDENTIALS, key, XO_KEY_BYTES);
}

static int answer(void *socket, const zap_request_t *request, bool ok)
{
    size_t id_size = request->count > REQUEST_ID && request->sizes[REQUEST_ID] <= ID_BYTES_MAX
                         ? request->sizes[REQUEST_ID]
                         : 0;
    const char *text = ok ? "OK" : "not a member of this cluster";

    if (zmq_send(socket, ZAP_VERSION, 3, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, request->frames[REQUEST_ID], id_size, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, ok ? "200" : "400", 3, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, text, strlen(text), ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, "", 0, ZMQ_SNDMORE) < 0)
        return -1;
    return zmq_send(socket, "", 0, 0);
}

void *xoi_zap_main(void *arg)
{
    xo_ctx_t *ctx = arg;
    void *socket = ctx->zap_socket;
    zap_request_t request;
    uint8_t key[XO_KEY_BYTES];

    zmq_z85_decode(key, ctx->keys.public_text);
    while (receive(socket, &request) == 0) {
        bool ok = admitted(&request, key);
        if (!ok)
            atomic_fetch_add_explicit(&ctx->refused, 1, memory_order_relaxed);
        if (answer(socket, &request, ok) < 0)
            break;
    }
    zmq_close(socket);
    return NULL;
}

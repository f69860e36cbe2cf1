/* greet.c - what hello and welcome do to a link: who may come in, and what is known afterwards. */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

int xoi_greet_send(xo_link_t *link, xo_kind_t kind)
{
    xo_endpoint_t *endpoint = link->endpoint;
    bool by_address = link->dialled && !strstr(link->address, "://");
    xo_buf_t body = XO_BUF_INIT;
    xoi_bulk_offer_t bulk = {XOI_BULK_WINDOW_BYTES, 0};
    if (kind == XO_WELCOME)
        link->bulk_token = bulk.token = xo_random_id();
    xoi_hello_pack(endpoint, by_address ? link->address : "",
                   xo_lane_is_far(link->lane) ? &bulk : NULL, &body);
    xo_msg_t *msg = xoi_msg_of(&(xo_header_t){.kind = kind, .sender_id = endpoint->self.id}, &body);
    xo_buf_free(&body);
    int rc = msg ? xo_lane_send(link->lane, &msg) : -1;
    xo_msg_destroy(&msg);
    return rc;
}

/* A host has several names, and 0.0.0.0 is never advertised: only the port says who was meant. */
static bool is_for_us(const char *expected, const char *own)
{
    xo_address_t meant;
    xo_address_t self;
    return strcmp(expected, own) == 0 ||
           (xo_address_parse(expected, &meant, NULL) == 0 &&
            xo_address_parse(own, &self, NULL) == 0 && meant.port == self.port);
}

static int check_peer(xo_link_t *link, const xoi_hello_t *hello, xo_error_t *why)
{
    xo_endpoint_t *endpoint = link->endpoint;
    const xo_identity_t *self = &endpoint->self;
    const xo_identity_t *peer = &hello->peer;
    if (strcmp(peer->cluster, self->cluster) != 0)
        return xo_error_set(why, EACCES, "this is cluster '%s', not '%s'", self->cluster,
                            peer->cluster);
    if (peer->id == self->id)
        return xo_error_set(why, EINVAL, "that is the endpoint itself");
    const char *door = endpoint->options.door ? endpoint->options.door : "";
    if (!link->dialled && hello->expect[0] && !is_for_us(hello->expect, self->address) &&
        !is_for_us(hello->expect, door))
        return xo_error_set(why, EADDRNOTAVAIL, "this is %s, not %s",
                            self->address[0] ? self->address : "no pool", hello->expect);
    if (endpoint->ops.admit)
        return endpoint->ops.admit(endpoint, peer, why, endpoint->arg);
    return 0;
}

static void peer_process_ended(xo_io_t *io, int revents, void *arg)
{
    (void)revents;
    xo_link_t *link = arg;
    xo_io_stop(io);
    close(io->fd);
    /* The lane says so itself in most cases, after what was under way has arrived. */
    xo_timer_start(&link->timer, XOI_DRAIN_MS * XO_MS);
}

static void watch_peer(xo_link_t *link)
{
    const xo_identity_t *peer = &link->peer;
    if (!link->same_machine || peer->pid <= 0 || peer->pid == link->endpoint->self.pid)
        return;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)peer->pid, 0);
    if (fd < 0)
        return;
    xo_io_init(&link->pidfd, link->endpoint->loop, fd, XO_READ, peer_process_ended, link);
    if (xo_io_start(&link->pidfd) < 0)
        close(fd);
}

/* From now on others find the link by who is at its other end. */
static int know_peer(xo_link_t *link, const xoi_hello_t *hello, xo_error_t *why)
{
    link->peer = hello->peer;
    if (!link->address[0])
        snprintf(link->address, sizeof link->address, "%s", link->peer.address);
    return xoi_link_table_add(link) == 0 ? 0 : xo_error_set(why, ENOMEM, "out of memory");
}

static void link_up(xo_link_t *link, const xoi_hello_t *hello)
{
    xo_endpoint_t *endpoint = link->endpoint;
    link->same_machine = strcmp(hello->machine, endpoint->machine) == 0;
    link->window = link->credit = hello->window;
    if (hello->bundles)
        xo_lane_set_bundles(link->lane);
    link->counts_answers = hello->answers;
    link->counts_news = hello->news;
    link->can_mute = hello->mutes;
    if (xo_lane_is_far(link->lane))
        link->bulk_window = hello->bulk.window;
    if (link->dialled)
        link->bulk_token = hello->bulk.token;
    link->state = XOI_LINK_UP;
    xo_timer_stop(&link->timer);
    watch_peer(link);
    if (endpoint->ops.linked)
        endpoint->ops.linked(endpoint, link, endpoint->arg);
    xoi_outbox_flush(link);
}

static void refuse(xo_link_t *link, const xo_identity_t *peer, const xo_error_t *why)
{
    xoi_link_refused(link, peer, XO_DROP_REFUSED, why->text);
    if (link->dialled) {
        xo_link_close(link, why);
        return;
    }
    xo_msg_t *msg = xo_failure_msg(0, XO_CODE_REFUSED, "no", NULL, "%s", why->text);
    if (msg)
        xo_lane_send(link->lane, &msg);
    xo_msg_destroy(&msg);
    xo_link_close(link, why);
}

static void refused_by_peer(xo_link_t *link, const xo_msg_t *msg)
{
    xo_failure_t failure;
    xo_error_t why;
    if (xo_failure_read(xo_msg_body(msg), &failure) < 0)
        xo_error_set(&why, EPROTO, "%s answered the handshake with a malformed error",
                     link->address);
    else
        xo_error_set(&why, EACCES, "%s refused the link: %.*s", link->address,
                     (int)failure.message.size, failure.message.data);
    xo_link_close(link, &why);
}

void xoi_greet(xo_link_t *link, const xo_msg_t *msg)
{
    xo_kind_t kind = xo_msg_header(msg)->kind;
    xo_kind_t expected = link->dialled ? XO_WELCOME : XO_HELLO;
    xoi_hello_t hello;
    xo_error_t why;
    if (link->dialled && kind == XO_ERROR) {
        refused_by_peer(link, msg);
        return;
    }
    if (!link->dialled && kind == XO_ATTACH) {
        xoi_bulk_attach(link, msg);
        return;
    }
    if (kind != expected) {
        xoi_link_protocol_error(link, "its first message is not the handshake's");
        return;
    }
    if (xoi_hello_read(xo_msg_body(msg), &hello, &why) < 0) {
        xoi_link_protocol_error(link, why.text);
        return;
    }
    if (check_peer(link, &hello, &why) < 0 || know_peer(link, &hello, &why) < 0) {
        refuse(link, &hello.peer, &why);
        return;
    }
    if (!link->dialled && xoi_greet_send(link, XO_WELCOME) < 0) {
        xo_error_set(&why, errno, "the welcome could not be sent");
        xo_link_close(link, &why);
        return;
    }
    link_up(link, &hello);
}

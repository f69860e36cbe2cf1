/* doctor-net.c - whether other machines can reach this one by what it advertises. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/doctor.h"
#include "libxo/address.h"

#define MTU_MIN 1280 /* of IPv6, RFC 8200 section 5 */
#define DIGITS_BYTES 64

static bool same_host(const struct sockaddr *a, const struct sockaddr *b)
{
    if (!a || !b || a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return a->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static bool is_ours(const struct sockaddr *address)
{
    struct ifaddrs *all = NULL;
    bool found = is_loopback(address);
    if (getifaddrs(&all) < 0)
        return true; /* nobody knows */
    for (const struct ifaddrs *each = all; each && !found; each = each->ifa_next)
        found = same_host(each->ifa_addr, address);
    freeifaddrs(all);
    return found;
}

typedef struct place {
    char digits[DIGITS_BYTES]; /* the first address */
    bool loopback, ours;       /* all of them are */
} place_t;

/* 0, or what getaddrinfo(3) says. */
static int resolve(const char *host, place_t *place)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &found);
    *place = (place_t){.loopback = true, .ours = true};
    for (const struct addrinfo *each = found; rc == 0 && each; each = each->ai_next) {
        if (!place->digits[0])
            getnameinfo(each->ai_addr, each->ai_addrlen, place->digits, DIGITS_BYTES, NULL, 0,
                        NI_NUMERICHOST);
        place->loopback &= is_loopback(each->ai_addr);
        place->ours &= is_ours(each->ai_addr);
    }
    if (rc == 0)
        freeaddrinfo(found);
    return rc;
}

void xoi_check_name(xoi_doctor_t *doctor)
{
    char name[XO_HOST_BYTES] = "";
    place_t place;
    gethostname(name, sizeof(name) - 1);
    int rc = resolve(name, &place);
    if (rc != 0)
        xoi_doctor_say(doctor, XOI_WARNING, "name",
                       "this machine's name, %s, resolves to nothing (%s): put it into DNS or "
                       "/etc/hosts, or advertise an address in digits",
                       name, gai_strerror(rc));
    else if (place.loopback)
        xoi_doctor_say(doctor, XOI_WARNING, "name",
                       "this machine's name, %s, is %s here, which other machines take for "
                       "themselves: do not advertise it unless they have another address for it",
                       name, place.digits);
    else if (!place.ours)
        xoi_doctor_say(doctor, XOI_WARNING, "name",
                       "this machine's name, %s, is %s, which no interface of it has: is DNS or "
                       "/etc/hosts out of date?",
                       name, place.digits);
    else
        xoi_doctor_say(doctor, XOI_FINE, "name", "%s is %s", name, place.digits);
}

/* "HOST is ADDRESS", or only the latter. */
static void name_place(const char *host, const place_t *place, char *text, size_t size)
{
    if (strcmp(host, place->digits) == 0)
        snprintf(text, size, "%s", host);
    else
        snprintf(text, size, "%s is %s", host, place->digits);
}

static void check_place(xoi_doctor_t *doctor, const char *host)
{
    char what[XO_HOST_BYTES + DIGITS_BYTES + 8];
    place_t place;
    int rc = resolve(host, &place);
    name_place(host, &place, what, sizeof(what));
    if (rc != 0)
        xoi_doctor_say(doctor, XOI_ERROR, "address",
                       "%s resolves to nothing (%s): put it into DNS or /etc/hosts, or advertise "
                       "an address in digits",
                       host, gai_strerror(rc));
    else if (place.loopback)
        xoi_doctor_say(doctor, XOI_WARNING, "address",
                       "%s: only this machine can dial that. For others advertise an address that "
                       "they can reach",
                       what);
    else if (!place.ours)
        xoi_doctor_say(doctor, XOI_WARNING, "address",
                       "%s, which no interface of this machine has: right only if a forwarder "
                       "there leads here",
                       what);
    else
        xoi_doctor_say(doctor, XOI_FINE, "address", "%s", what);
}

static void check_address(xoi_doctor_t *doctor, const char *text)
{
    xo_error_t err = {0};
    xo_address_t address;
    if (xo_address_parse(text, &address, &err) < 0) {
        xoi_doctor_say(doctor, XOI_ERROR, "address", "%s", err.text);
        return;
    }
    if (xo_address_is_any(&address)) {
        xoi_doctor_say(doctor, XOI_ERROR, "address",
                       "%s is no address that anybody can dial: advertise (address =) a name or "
                       "address of this machine, and listen there (bind = %s)",
                       text, text);
        return;
    }
    check_place(doctor, address.host);
}

void xoi_check_addresses(xoi_doctor_t *doctor)
{
    for (int i = 0; i < doctor->args->operand_count; i++)
        check_address(doctor, doctor->args->operands[i]);
}

/* ---- interfaces ---- */

static int mtu_of(int fd, const char *name)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    return ioctl(fd, SIOCGIFMTU, &request) < 0 ? -1 : request.ifr_mtu;
}

/* On the loopback, whose lanes tests and single nodes use. */
static void check_loopback(xoi_doctor_t *doctor)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        xoi_doctor_say(doctor, XOI_ERROR, "loopback",
                       "nobody can listen on 127.0.0.1: %s. Bring it up: ip link set lo up",
                       strerror(errno));
    else
        xoi_doctor_say(doctor, XOI_FINE, "loopback", "127.0.0.1 can be listened on");
    if (fd >= 0)
        close(fd);
}

void xoi_check_interfaces(xoi_doctor_t *doctor)
{
    char seen[512] = "";
    struct if_nameindex *all = if_nameindex();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check_loopback(doctor);
    for (const struct if_nameindex *each = all; each && each->if_name; each++) {
        int mtu = mtu_of(fd, each->if_name);
        size_t used = strlen(seen);
        if (mtu < 0)
            continue;
        if (mtu < MTU_MIN)
            xoi_doctor_say(doctor, XOI_WARNING, "mtu",
                           "interface %s has an MTU of %d: large buffers go in many packets. "
                           "Networks have 1500 or 9000, the same on all machines (ip link set %s "
                           "mtu N)",
                           each->if_name, mtu, each->if_name);
        else
            snprintf(seen + used, sizeof(seen) - used, "%s%s %d", used ? ", " : "", each->if_name,
                     mtu);
    }
    if (seen[0])
        xoi_doctor_say(doctor, XOI_FINE, "mtu", "%s", seen);
    if (all)
        if_freenameindex(all);
    if (fd >= 0)
        close(fd);
}

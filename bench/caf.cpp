/* caf.cpp - what actors of CAF (the C++ Actor Framework, 0.17) cost on this machine: round trips and
 * messages within one process, and between two processes by way of its middleman, over tcp.
 *
 * Prints one JSON object (out.h). Built by `make bench` where Debian's libcaf-dev is. */
#include <caf/all.hpp>
#include <caf/io/all.hpp>

#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <unistd.h>

#include "bench/out.h"

using namespace caf;

using count_atom = atom_constant<atom("count")>;

namespace {

constexpr int round_trips = 20000;
constexpr int far_round_trips = 5000;
constexpr int one_way = 300000;
constexpr int far_one_way = 100000;
constexpr int actors = 100000;

double seconds_since(int64_t start)
{
    return static_cast<double>(xob_now_ns() - start) / 1e9;
}

behavior echo(event_based_actor *)
{
    return {
        [](int value) { return value; },
        [](count_atom, int) {},
    };
}

int call(scoped_actor &self, const actor &target)
{
    int answer = 0;
    self->request(target, infinite, 1)
        .receive([&](int value) { answer = value; },
                 [&](error &) { xob_die("caf", "a call failed"); });
    return answer;
}

/* An actor that calls another one by one and tells when it is done: a round trip between actors. */
struct pinger_state {
    int left = 0;
    int64_t start = 0;
    xob_hist_t times{};
};

behavior pinger(stateful_actor<pinger_state> *self, actor target, int count, bool timed)
{
    auto &state = self->state;
    state.left = count;
    state.start = xob_now_ns();
    self->send(target, 1);
    return {
        [=](int) {
            auto &here = self->state;
            xob_hist_record(&here.times, xob_now_ns() - here.start);
            if (--here.left == 0) {
                if (timed)
                    xob_hist(&here.times, "caf_call_us");
                self->quit();
                return;
            }
            here.start = xob_now_ns();
            self->send(target, 1);
        },
    };
}

void bench_near(actor_system &system)
{
    scoped_actor self{system};
    auto target = system.spawn(echo);
    for (bool timed : {false, true}) {
        auto caller = system.spawn(pinger, target, round_trips, timed);
        self->wait_for(caller);
    }
    auto start = xob_now_ns();
    for (int i = 0; i < one_way; i++)
        self->send(target, count_atom::value, 1);
    call(self, target);
    xob_number(one_way / seconds_since(start), "caf_tells_per_s");
    anon_send_exit(target, exit_reason::user_shutdown);
}

void bench_actors(actor_system &system)
{
    std::vector<actor> all;
    all.reserve(actors);
    auto before = xob_resident_bytes();
    auto start = xob_now_ns();
    for (int i = 0; i < actors; i++)
        all.push_back(system.spawn<lazy_init>(echo));
    xob_number(actors / seconds_since(start), "caf_creations_per_s");
    xob_number(static_cast<double>(xob_resident_bytes() - before) / actors, "caf_actor_bytes");
    for (auto &one : all)
        anon_send_exit(one, exit_reason::user_shutdown);
}

void bench_far(actor_system &system, uint16_t port)
{
    scoped_actor self{system};
    auto target = system.middleman().remote_actor("127.0.0.1", port);
    if (!target)
        xob_die("caf", "no connection");
    static xob_hist_t times;
    for (int i = 0; i < far_round_trips + 500; i++) {
        auto start = xob_now_ns();
        call(self, *target);
        if (i >= 500)
            xob_hist_record(&times, xob_now_ns() - start);
    }
    xob_hist(&times, "caf_far_call_us");
    auto start = xob_now_ns();
    for (int i = 0; i < far_one_way; i++)
        self->send(*target, count_atom::value, 1);
    call(self, *target);
    xob_number(far_one_way / seconds_since(start), "caf_far_tells_per_s");
}

actor_system_config configured(int argc = 0, char **argv = nullptr)
{
    actor_system_config config;
    config.load<io::middleman>();
    config.set("logger.verbosity", atom("quiet"));
    config.parse(argc, argv);
    return config;
}

/* The other process: publishes an echo, and writes its port. */
void serve(int fd)
{
    auto config = configured();
    actor_system system{config};
    auto port = system.middleman().publish(system.spawn(echo), 0, "127.0.0.1");
    uint16_t number = port ? *port : 0;
    if (write(fd, &number, sizeof number) != sizeof number)
        _exit(1);
    pause();
}

} // namespace

int main()
{
    int fds[2];
    uint16_t port = 0;
    if (pipe(fds) < 0)
        xob_die("caf", "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fds[1]);
        _exit(1);
    }
    if (read(fds[0], &port, sizeof port) != sizeof port || !port)
        xob_die("caf", "the other process does not start");
    auto config = configured();
    actor_system system{config};
    xob_open();
    bench_actors(system);
    bench_near(system);
    bench_far(system, port);
    xob_close();
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    _exit(0); /* its threads need not be joined */
}

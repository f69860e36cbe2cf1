/* out.h - what a benchmark prints: one JSON object, whose names say the unit. And the clock.
 *
 *     xob_open();
 *     xob_number(2.5e6, "%s_calls_per_s", "c_pool");
 *     xob_hist(&hist, "%s_call_us", "c_pool");    {"p50": ..., "p99": ..., "buckets": ...}
 *     xob_number(1e6, "pools_calls_per_s@%d", 8); a point of a curve, at 8
 *     xob_close();
 */
#ifndef BENCH_OUT_H
#define BENCH_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/hist.h"

#ifdef __cplusplus
extern "C" {
#endif

void xob_open(void);
void xob_close(void);
void xob_number(double value, const char *name, ...) __attribute__((format(printf, 2, 3)));
/* Its percentiles in microseconds, and its buckets. */
void xob_hist(const xob_hist_t *hist, const char *name, ...) __attribute__((format(printf, 2, 3)));

int64_t xob_now_ns(void); /* CLOCK_MONOTONIC */
/* Says on standard error what failed, and exits with 1. */
void xob_die(const char *what, const char *why) __attribute__((noreturn));
/* Is there so much memory? If not, says on standard error what is left out. */
bool xob_room(size_t bytes, const char *what);
size_t xob_resident_bytes(void); /* of this process */
/* Has a process (0: this one), and what it starts from now on, run on the nth core (from 0) of
 * those that it may use. */
void xob_bind(pid_t pid, int nth);

/* Makes a folder in which this process and its children keep sockets and keys, and writes its name
 * into `folder`, and removes what others left that were killed; removes it. */
#define XOB_FOLDER "/tmp/xo-bench.XXXXXX"
void xob_scratch_enter(char folder[sizeof XOB_FOLDER]);
void xob_scratch_leave(const char *folder);

#ifdef __cplusplus
}
#endif

#endif

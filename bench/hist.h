/* hist.h - a histogram of times, from which percentiles are read.
 *
 * Log-linear buckets as in HdrHistogram (Gil Tene, https://hdrhistogram.org): below 256 each
 * nanosecond has a bucket, above that each power of two has 128, so a time is known within 0.8 %.
 * Recording costs an addition; histograms of several rounds add up. bench/hist.py reads what
 * xob_hist prints (out.h), by the same formula.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XOB_HIST_BITS 7                          /* 128 buckets for each power of two */
#define XOB_HIST_MAX_NS ((INT64_C(1) << 40) - 1) /* 18 minutes; what is longer counts so */
#define XOB_HIST_BUCKETS ((40 - XOB_HIST_BITS + 1) << XOB_HIST_BITS)

typedef struct xob_hist {
    uint64_t total;
    uint64_t count[XOB_HIST_BUCKETS];
} xob_hist_t;

void xob_hist_clear(xob_hist_t *hist);
void xob_hist_record(xob_hist_t *hist, int64_t ns);
/* The time in nanoseconds that the part `part` (0 to 1) of all is not above: the middle of the
 * bucket. 0 if there are none. */
double xob_hist_percentile(const xob_hist_t *hist, double part);
double xob_hist_bucket_ns(unsigned index);

#ifdef __cplusplus
}
#endif

#endif

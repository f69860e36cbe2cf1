/* hist.c - see hist.h. */
#include "bench/hist.h"

#include <string.h>

void xob_hist_clear(xob_hist_t *hist)
{
    memset(hist, 0, sizeof *hist);
}

static unsigned shift_of(uint64_t ns)
{
    int bits = 64 - __builtin_clzll(ns | 1);
    return bits > XOB_HIST_BITS + 1 ? (unsigned)(bits - XOB_HIST_BITS - 1) : 0;
}

void xob_hist_record(xob_hist_t *hist, int64_t ns)
{
    uint64_t value = ns < 0 ? 0 : ns > XOB_HIST_MAX_NS ? XOB_HIST_MAX_NS : (uint64_t)ns;
    unsigned shift = shift_of(value);
    hist->count[(shift << XOB_HIST_BITS) + (unsigned)(value >> shift)]++;
    hist->total++;
}

double xob_hist_bucket_ns(unsigned index)
{
    unsigned row = index >> XOB_HIST_BITS;
    unsigned shift = row > 1 ? row - 1 : 0;
    double width = (double)(UINT64_C(1) << shift);
    return (double)(index - (shift << XOB_HIST_BITS)) * width + (width - 1) / 2;
}

double xob_hist_percentile(const xob_hist_t *hist, double part)
{
    uint64_t seen = 0;
    double wanted = part * (double)hist->total;
    for (unsigned i = 0; i < XOB_HIST_BUCKETS; i++) {
        seen += hist->count[i];
        if ((double)seen >= wanted && seen)
            return xob_hist_bucket_ns(i);
    }
    return 0;
}

"""A histogram of times, as bench/hist.h has it: HdrHistogram's log-linear buckets.

What programs print as {"buckets": [[index, count], ...]} adds up over rounds.
"""

BITS = 7  # 128 buckets for each power of two: a time is known within 0.8 %
PARTS = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def bucket_of(ns):
    shift = max(0, int(ns).bit_length() - BITS - 1)
    return (shift << BITS) + (int(ns) >> shift)


def bucket_ns(index):
    shift = max(0, (index >> BITS) - 1)
    width = 1 << shift
    return (index - (shift << BITS)) * width + (width - 1) / 2


class Hist:
    def __init__(self, buckets=()):
        self.counts = {}
        self.add(buckets)

    def add(self, buckets):
        for index, count in buckets:
            self.counts[index] = self.counts.get(index, 0) + count

    def record(self, seconds):
        index = bucket_of(seconds * 1e9)
        self.counts[index] = self.counts.get(index, 0) + 1

    def percentile_us(self, part):
        wanted = part * sum(self.counts.values())
        seen = 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= wanted:
                return bucket_ns(index) / 1e3
        return 0.0

    def figures(self):
        """What is printed: percentiles in microseconds, and the buckets."""
        out = {name: round(self.percentile_us(part), 3) for name, part in PARTS.items()}
        out["buckets"] = sorted(self.counts.items())
        return out

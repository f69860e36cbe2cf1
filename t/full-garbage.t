#!/bin/bash
# t/0551-garbage.t at length, with other garbage: one seed, or with XO_FULL=all five, and
# five times the connections for each.
. "$XO_SRCDIR/t/tap/full.sh"
seeds=11 connections=20000
is_everything && seeds="11 12 13 14 15" connections=100000
for seed in $seeds; do
    try "$connections connections from seed $seed" env XO_GARBAGE_SEED="$seed" \
        XO_GARBAGE_CONNECTIONS="$connections" "$PYTHON" "$XO_SRCDIR/t/0551-garbage.t"
done
finish

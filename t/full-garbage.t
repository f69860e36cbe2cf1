#!/bin/bash
# t/0551-garbage.t at length: five seeds, 100 000 connections each.
. "$XO_SRCDIR/t/tap/full.sh"
for seed in 11 12 13 14 15; do
    try "100 000 connections from seed $seed" env XO_GARBAGE_SEED=$seed \
        XO_GARBAGE_CONNECTIONS=100000 "$PYTHON" "$XO_SRCDIR/t/0551-garbage.t"
done
finish

#!/bin/bash
# The libFuzzer targets, XO_FUZZ_S seconds (30, with XO_FULL=all 600) altogether. What they find is
# kept in BUILD/full/fuzz/; add it to t/corpus/ as a regression test.
. "$XO_SRCDIR/t/tap/full.sh"
command -v clang >/dev/null || skip_all "clang is not installed"

try "configure CC=clang --enable-fuzzers" \
    other_tree fuzz CC=clang --enable-fuzzers --enable-sanitizers=address,undefined \
    CFLAGS='-g -O1' || finish
try "make fuzzers" make -s -j "$jobs" fuzzers || finish

targets=$(make -s print-fuzz-targets)
seconds=30
is_everything && seconds=600
seconds=$((${XO_FUZZ_S:-$seconds} / ($(wc -w <<<"$targets") + ! $(wc -w <<<"$targets"))))
for target in $targets; do
    name=${target#t/fuzz-}
    mkdir -p "found/$name"
    seeds=$XO_SRCDIR/t/corpus/$name
    [ -d "$seeds" ] || seeds=
    try "$target for $seconds s" sh "$XO_SRCDIR/t/tap/run" "./$target" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$tree/crash-$name-" "found/$name" ${seeds:+"$seeds"}
done
finish

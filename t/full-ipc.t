#!/bin/bash
# What depends on the lane, with the processes of a node linked by ipc instead of shared memory: the
# part of `XO_LANES=ipc,tcp ./quickstart check` that finds most in a minute.
. "$XO_SRCDIR/t/tap/full.sh"
cd "$XO_BUILDDIR" || exit 1
export XO_LANES=ipc,tcp

python_tests=()
for name in bounds calls cancel copy_to fork generator generator_ends memory pool_life pools \
    recovery two_pools; do
    python_tests+=("$XO_SRCDIR/python/tests/test_$name.py")
done

for test in $lane_tests; do
    beside try "t/$test over ipc" passes "t/$test"
done
for test in 0200-xo-pool 0210-node-pools 0301-broker-pools 0308-groups 0510-xo-node 0610-client; do
    beside try "t/$test.t over ipc" passes "$XO_SRCDIR/t/$test.t"
done
beside try "Python over ipc" passes "$PYTHON" "$XO_SRCDIR/t/tap/pytest-tap.py" "${python_tests[@]}"
finish

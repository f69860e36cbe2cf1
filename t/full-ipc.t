#!/bin/bash
# What depends on the lane, with the processes of a node linked by ipc instead of shared memory.
. "$XO_SRCDIR/t/tap/full.sh"
cd "$XO_BUILDDIR" || exit 1
export XO_LANES=ipc,tcp

python_tests=()
for name in bounds calls cancel copy_to errors generator pool_life pools recovery refs strategies; do
    python_tests+=("$XO_SRCDIR/python/tests/test_$name.py")
done

for test in 0200-xo-pool 0210-node-pools 0510-xo-node 0600-wordcount 0610-client; do
    try "t/$test.t over ipc" passes "$XO_SRCDIR/t/$test.t"
done
try "Python over ipc" passes "$PYTHON" "$XO_SRCDIR/t/tap/pytest-tap.py" "${python_tests[@]}"
finish

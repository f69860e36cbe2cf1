#!/bin/bash
# 0542-slurm.t - etc/xo.sbatch on two machines out of namespaces, with stand-ins for Slurm's tools.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/machines.sh"
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

"${PYTHON:-python3}" -c 'import xoscar' 2>"$work/import.err" ||
    skip_all "no Python package: $(tail -n 1 "$work/import.err")"
command -v redis-server >/dev/null || skip_all "redis-server is needed"

lay_cables node1 node2 || bail_out "no network"
for program in srun scontrol; do ln -s "$XO_SRCDIR/t/fake/$program" "$bin"; done
power_on node1
power_on node2
serve_ssh

# What /home would be: the machines share it.
home=$work/home
mkdir "$home"
cat >"$home/node.ini" <<TEXT
[pool python]
command = python
address = @HOST@:7001

[pool c]
command = xo-pool
modules = "$XO_BUILDDIR/examples/.libs/wordmerge.so"
address = @HOST@:7101
TEXT

# sbatch JOB [ARG...]: the batch script, on the first machine of the job, as Slurm starts it.
sbatch() {
    local job=$1
    shift
    on node1 env PATH="$bin:$PATH" PYTHONPATH="$PYTHONPATH" PYTHON="${PYTHON:-python3}" \
        LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}" SLURM_JOB_ID="$job" SLURM_JOB_NUM_NODES=2 \
        SLURM_JOB_NODELIST='node[1-2]' SLURM_SUBMIT_DIR="$home" FAKE_SLURM_NODES="node1 node2" \
        XO_START_S=60 XO_RUN_DIR=/run/xo bash -c 'echo $$ >/run/batch.pid && exec bash "$@"' - \
        "$XO_SRCDIR/etc/xo.sbatch" "$@"
}

# left_of JOB: processes on the machines, and what is in folders.
left_of() {
    local node
    for node in node1 node2; do
        on "$node" bash -c "grep -lszF XO_CLUSTER=job-$1 /proc/[0-9]*/environ"
        on "$node" find /run -maxdepth 1 -name xo
    done
    find "$home/xo-$1" ! -name '*.log' -type f
}
nothing_is_left() { [ -z "$(left_of "$1")" ]; }

run sbatch 4711 "$home/node.ini" "${PYTHON:-python3}" "$XO_SRCDIR/examples/wordcount.py" --check \
    --merge-at node1:7101 --at node1:7001 --at node2:7001 "$XO_SRCDIR/doc/design.md"
is "$status" 0 "a job that counts words"
[ "$status" -eq 0 ] || say "$out
$errors
$(tail -n 20 "$home"/xo-4711/*.log)"
like "$out" '^[0-9a-f]{16} +node1 .* ready' "a node on the first machine"
like "$out" '^[0-9a-f]{16} +node2 .* ready' "and one on the second"
like "$out" '^--check: .* agrees' "both count"
like "$out" '^node2:7001: [0-9]+ calls? \(.*tcp' "the second over tcp"
ok "nothing is left but logs" nothing_is_left 4711
say "$(left_of 4711)"

run sbatch 4712 "$home/node.ini" sh -c 'exit 7'
is "$status" 7 "the job has its command's exit status"
ok "nothing is left" nothing_is_left 4712

# Without a command, until its time is over.
sbatch 4713 "$home/node.ini" >"$work/run.out" 2>&1 &
job=$!
runs() { grep -q ' node2 ' "$work/run.out" || is_gone "$job"; }
until_true runs || bail_out "no cluster: $(cat "$work/run.out")"
on node1 bash -c 'kill -TERM $(cat /run/batch.pid)'
wait "$job"
is "$?" 143 "a job whose time is over: exit status"
ok "nothing is left of it" nothing_is_left 4713

run sbatch 4714 "$home/none.ini"
is "$status" 1 "no such file"
like "$errors" 'NODE.INI.*none.ini' "it is named"
run env -u SLURM_JOB_ID bash "$XO_SRCDIR/etc/xo.sbatch" "$home/node.ini"
like "$errors" 'this is for sbatch' "outside of a job"
done_testing

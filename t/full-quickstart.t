#!/bin/bash
# quickstart in a fresh copy of the tracked files, in a folder with blanks in its name.
. "$XO_SRCDIR/t/tap/full.sh"
git -C "$XO_SRCDIR" rev-parse >/dev/null 2>&1 || skip_all "this is no clone"
unset LD_LIBRARY_PATH PYTHONPATH MAKEFLAGS MFLAGS MAKELEVEL XO_BUILDDIR
clone="$work/a b/the clone"
export XDG_CACHE_HOME=$work/cache CI=
export CFLAGS='-O0 -w' enable_lto=no # this tree was compiled as any user's is
mkdir -p "$clone" "$XDG_CACHE_HOME"

copy_tracked_files() {
    git -C "$XO_SRCDIR" ls-files -z | tar -C "$XO_SRCDIR" --null -T - -c | tar -C "$clone" -x
}

# gives STATUS COMMAND...: does the command end with that status?
gives() {
    local expected=$1 status
    shift
    "$@"
    status=$?
    echo "exit status $status"
    [ $status -eq "$expected" ]
}

second_run() { timeout 5 "$clone/quickstart" exec true; }

# Programs that run may load it at any time.
second_run_keeps_extension() {
    local link=$clone/build/python/_xo.so before
    before=$(stat -c '%i %z' "$link") && second_run && [ "$(stat -c '%i %z' "$link")" = "$before" ]
}

prints_arguments() {
    [ "$("$clone/quickstart" exec sh -c 'pwd; printf "<%s>" "$@"' sh 'a  b' '' "*")" = "$PWD
<a  b><><*>" ]
}

try "copying the tracked files" copy_tracked_files || finish
try "--help" "$clone/quickstart" --help
try "a wrong command is refused" gives 2 "$clone/quickstart" nonsense
try "a PYTHON that is not there is refused" \
    gives 3 env PYTHON=/nowhere "$clone/quickstart" exec true
try "exec builds, and passes the exit status on" gives 42 "$clone/quickstart" exec sh -c 'exit 42' ||
    finish
try "a second run starts within 5 s" second_run
try "and leaves the extension where it is" second_run_keeps_extension
try "exec leaves arguments and directory alone" prints_arguments
try "exec finds the chosen Python" "$clone/quickstart" exec python3 -c \
    'import os, sys; assert os.path.samefile(sys.executable, os.environ["PYTHON"])'
try "nothing is written beside what git ignores" \
    test -z "$(cd "$clone" && git init -q . && git add -A && git ls-files |
        (cd "$XO_SRCDIR" && xargs -d '\n' git ls-files --error-unmatch 2>&1 >/dev/null))"
[ ! -f "$clone/examples/wordcount.py" ] || try "the main job" "$clone/quickstart"
finish

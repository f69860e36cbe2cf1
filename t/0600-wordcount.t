#!/bin/bash
# 0600-wordcount.t - examples/wordcount.py, the main job.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

"${PYTHON:-python3}" -c 'import xoscar' 2>"$work/import.err" ||
    skip_all "no Python package: $(tail -n 1 "$work/import.err")"

count() { run "${PYTHON:-python3}" "$XO_SRCDIR/examples/wordcount.py" "$@"; }
# row NUMBER: the counts, without the title.
row() { printf '%s\n' "$out" | sed -n "$(($1 + 1))p" | awk '{ print $1, $2 }'; }

if [ -d /usr/share/common-licenses ]; then
    count --check
    is "$status" 0 "the licenses: it agrees with tr | sort | uniq -c"
    is "$errors" "" "the licenses: no complaint, and no bar off a terminal"
    like "$(row 1)" '^[0-9]+ the$' "the licenses: the first word"
    is "$(printf '%s\n' "$out" | sed -n 22p)" "" "the licenses: twenty words"
    like "$out" '^[0-9]+ words, [0-9]+ different, in [0-9]+ files' "the licenses: totals"
    like "$out" '^[0-9]+ calls to counters' "the licenses: calls"
    like "$out" '^moved over (shm|ipc): [0-9]+ messages, ' "the licenses: what moved over which lane"
    like "$out" '^[0-9.]+ s to count' "the licenses: the time"
    is "$(leftovers)" "" "the licenses: nothing is left"
fi

cd "$work" || exit 1
printf "the cat; the dog's CAT\n\n42the" >plain
printf 'the end' >"a name with blanks"
printf '\000\377the\000cat\n\200' >binary
: >empty
yes 'some words that go on and on' | head -c 300000 >big
head -c 100000 /dev/zero | tr '\0' x >word

count --check plain "a name with blanks" binary empty big word
is "$status" 0 "odd files: it agrees"
is "$errors" "" "odd files: no complaint"
like "$out" "in 6 files" "odd files: all are counted"
count plain
is "$(row 1)" "3 the" "one file: the first word"
is "$(row 2)" "2 cat" "one file: the second word"
like "$out" "^7 words, 4 different, in 1 file " "one file: totals"
count --pools 1 --check plain plain
is "$status" 0 "one pool, a file twice: it agrees"
is "$(row 1)" "6 the" "a file twice counts twice"
count empty
is "$status" 0 "an empty file"
like "$out" "^0 words, 0 different, in 1 file" "an empty file: totals"

count missing --check plain
is "$status" 1 "a missing file: exit status"
like "$errors" "^wordcount.py: cannot read 'missing': No such file" "a missing file: named"
is "$(row 1)" "3 the" "a missing file: the rest is counted"
like "$out" "agrees on all [0-9]+ words" "a missing file: the rest is compared"
count . plain
is "$status" 1 "a directory: exit status"
like "$errors" "cannot read '.': Is a directory" "a directory: named"
if [ "$(id -u)" -ne 0 ]; then
    : >secret
    chmod 0 secret
    count secret plain
    is "$status" 1 "an unreadable file: exit status"
    like "$errors" "'secret': Permission denied" "an unreadable file: named"
fi
count --pools 0 plain
is "$status" 2 "no pools: a wrong use"
count --help
is "$status" 0 "--help"
is "$(leftovers)" "" "nothing is left"

# A pipe can be read only once.
count --check plain <(echo 'more cats')
is "$status" 0 "a pipe is checked, too"
like "$out" "agrees on all [0-9]+ words" "and it agrees"

# A tr that finds nothing.
mkdir "$work/bin"
printf '#!/bin/sh\nexec cat >/dev/null\n' >"$work/bin/tr"
chmod +x "$work/bin/tr"
PATH=$work/bin:$PATH count --check plain
is "$status" 1 "a difference: exit status"
like "$errors" "^wordcount.py: '[a-z]*': [0-9]* counted, 0 expected" "a difference: shown"
like "$errors" "^wordcount.py: --check: [0-9]* words? of 0 differ" "a difference: said"

# Ctrl-C while it counts, as a terminal sends it: to the whole process group. The input has no end
# and never blocks.
setsid env --default-signal=INT "${PYTHON:-python3}" "$XO_SRCDIR/examples/wordcount.py" /dev/zero \
    >"$work/run.out" 2>"$work/run.err" &
counting=$!
started="$started $counting"
reads_or_gone() { readlink "/proc/$counting/fd/"* | grep -qx /dev/zero || is_gone "$counting"; }
until_true reads_or_gone || bail_out "it does not start to count"
kill -INT "-$counting"
wait "$counting"
is "$?" 130 "Ctrl-C: exit status"
is "$(leftovers)" "" "Ctrl-C: nothing is left"

done_testing

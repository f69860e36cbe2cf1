#!/bin/bash
# 0900-readme.t - what README.md shows does what it says: its code blocks are run.
. "${XO_SRCDIR:-$(dirname "$0")/..}/t/lib.sh"

readme=$XO_SRCDIR/README.md
command -v xo-broker >/dev/null || skip_all "xo-broker is not built"

# block LANGUAGE N: the Nth fenced block of a language.
block() {
    awk -v start="\`\`\`$1" -v n="$2" '
        $0 == "```" { inside = 0 }
        inside { print }
        $0 == start { inside = ++count == n }' "$readme"
}

# comments FILE: what the comments behind the print calls promise.
comments() { sed -nE 's/^ *print\(.*\) +# (.*)$/\1/p' "$1"; }

cd "$work" || exit 1
block c 1 >hits.c
block python 1 >account.py
block python 2 >hits.py
for file in hits.c account.py hits.py; do ok "README.md has $file" test -s "$file"; done

# shellcheck disable=SC2046
ok "hits.c compiles" "${CC:-gcc}" -Wall -Wextra -Werror -shared -fPIC hits.c -o hits.so \
    $(pkg-config --cflags libzmq) -I"$XO_SRCDIR" -L"$XO_BUILDDIR/.libs" -lxo
run xo-pool --module ./hits.so --list
is "$status" 0 "xo-pool loads it"
like "$out" 'add\(N\): the sum so far' "and lists its methods"

if "${PYTHON:-python3}" -c 'import xoscar' 2>import.err; then
    for script in account.py hits.py; do
        run "${PYTHON:-python3}" "$script"
        is "$status" 0 "$script runs"
        is "$out" "$(comments "$script")" "$script prints what its comments say"
        is "$errors" "" "$script complains about nothing"
    done
else
    say "no Python package: $(tail -n 1 import.err)"
fi

# Commands and files that it names are there.
for command in $(block sh 3 | sed -nE 's/^xo ([a-z]+).*/\1/p' | sort -u); do
    ok "there is xo $command" xo help "$command"
done
for link in $(grep -oE '\]\([^):]+\)' "$readme" | tr -d '](),' | cut -d'#' -f1 | sort -u); do
    ok "there is $link" test -e "$XO_SRCDIR/$link"
done

is "$(leftovers)" "" "nothing is left"
done_testing

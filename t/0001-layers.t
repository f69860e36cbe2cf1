#!/bin/bash
# The shape of the source tree: who includes whom, how long things are, what is exported.
set -u
cd "${XO_SRCDIR:?set it, or run make check}" || exit 1
count=0

# report NAME FINDINGS: a test that passes where nothing was found.
report() {
    count=$((count + 1))
    if [ -z "$2" ]; then
        echo "ok $count - $1"
    else
        echo "not ok $count - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

c_files() { find "$@" \( -name '*.c' -o -name '*.h' \) 2>/dev/null | sort; }

all_c_files() { c_files libxo registry pool broker cmd python examples bench t; }

all_files() { # those that people write code in
    all_c_files
    find python examples bench t -name '*.py' -o -name '*.t' -o -name '*.sh' | sort
    echo quickstart
}

# layer FOLDER ALLOWED...: prints the includes of FOLDER's files that lead elsewhere.
layer() {
    local folder=$1 allowed
    allowed=$(IFS='|'; echo "$*")
    c_files "$folder" | xargs -r grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"' |
        grep -vE "\"(($allowed)/[^\"]+|config\.h)\""
}

# Functions as clang-format lays them out: a brace in the first column begins and ends the body.
long_functions() {
    all_c_files | xargs awk -v limit=80 '
        FNR == 1 { start = 0 }
        /^\{/ { start = FNR }
        /^\}/ && start { if (FNR - start + 1 > limit)
            printf "%s:%d: %d lines\n", FILENAME, start, FNR - start + 1
            start = 0 }'
}

long_files() {
    all_files | xargs wc -l | awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines" }'
}

long_lines() {
    { all_c_files; find python examples bench t -name '*.py'; } |
        xargs awk 'length($0) > 100 { printf "%s:%d: %d columns\n", FILENAME, FNR, length($0) }'
}

if_in_functions() {
    all_c_files | xargs awk '
        FNR == 1 || /^\}/ { inside = 0 }
        /^\{/ { inside = 1 }
        inside && /^[ \t]*#[ \t]*if/ { printf "%s:%d: %s\n", FILENAME, FNR, $0 }'
}

# The headers that these local.mk install.
installed() {
    awk '
        /^[a-z]*include_HEADERS *\+?=/ { inside = 1 }
        inside { for (i = 1; i <= NF; i++) if ($i ~ /\.h$/) print $i }
        !/\\$/ { inside = 0 }' "$@"
}

# Installed headers, and what pip builds beside them, include installed headers.
not_installed() {
    local headers
    headers=$(installed ./*/local.mk)
    # shellcheck disable=SC2086
    { echo $headers | xargs -n1; c_files python/_xo; } |
        xargs grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"(libxo|pool)/' |
        grep -vE "\"($(echo $headers | tr ' ' '|'))\""
}

# Of the functions that libxo installs those that can fail, by what they return (an int, or a pointer
# to what is not constant), and that t/faults never calls. Left out are those that neither allocate
# nor ask the system, so fail by their arguments alone, and those that give what is there already.
not_walked() {
    local pure given
    pure='address_.*|cluster_check|codec_.*|ctx_has_local|defer_to_end|error_.*'
    pure+='|failure_(errno|read|set_error)|header_decode|key_(from_)?fingerprint|loop_run|map_get.*'
    pure+='|read_.*|v?unpack'
    given='client_loop|endpoint_(broker|ctx|link_by_id|next_link)|link_incref|loop_ev'
    given+='|msg_(payload|take_payload)|msgq_.*'
    installed libxo/local.mk |
        xargs sed -nE '/^const /d; s/^(int |[a-z_ ]+\*)(xo_[a-z0-9_]+)\(.*/\2/p' |
        grep -vxE "xo_($pure|$given)" |
        while read -r name; do
            grep -qE "\<$name\(" t/fault*.c || echo "$name"
        done
}

exported() {
    nm -D --defined-only "$XO_BUILDDIR/.libs/libxo.so" | awk '$3 !~ /^xo_/ { print $2, $3 }'
}

# Sources name packages, not the hosts that they come from.
registry_hosts() {
    git ls-files -z 2>/dev/null | xargs -0 -r grep -nIiE \
        '(pypi|pythonhosted|debian|ubuntu|npmjs|crates|rubygems|docker|quay|conda|anaconda)[.](org|com|io)\b' |
        cut -c 1-120
}

report "libxo/ includes nothing else of ours" "$(layer libxo)"
report "registry/ includes libxo/ only" "$(layer registry libxo)"
report "pool/ includes libxo/ only" "$(layer pool libxo)"
report "broker/ includes libxo/ and registry/ only" "$(layer broker libxo registry)"
report "cmd/ includes libxo/ and registry/ only" "$(layer cmd libxo registry)"
report "python/ includes libxo/ and pool/ only" "$(layer python _xo libxo pool)"
report "examples/ includes libxo/ and pool/ only" "$(layer examples libxo pool)"
report "installed headers and python/ include installed headers only" "$(not_installed)"
report "functions have at most 80 lines" "$(long_functions)"
report "files have at most 500 lines" "$(long_files)"
report "lines have at most 100 columns" "$(long_lines)"
report "no #if inside functions" "$(if_in_functions)"
report "libxo.so exports xo_* only" "$(exported)"
report "what can fail in libxo is walked by t/faults" "$(not_walked)"
report "no host name of a package registry" "$(registry_hosts)"
echo "1..$count"

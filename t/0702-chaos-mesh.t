#!/bin/sh
# Chaos over three machines, which are network namespaces: what fails, in which order, is always the
# same, unless XO_CHAOS_SEED or XO_CHAOS_SECONDS say otherwise.
${PYTHON:-python3} -c 'import xoscar' 2>/dev/null || {
    echo "1..0 # SKIP the Python package is not built"
    exit 0
}
exec "${PYTHON:-python3}" "${XO_SRCDIR:-.}/t/chaos/mesh.py" --seed "${XO_CHAOS_SEED:-1}" \
    --seconds "${XO_CHAOS_SECONDS:-12}"

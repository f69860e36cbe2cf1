#!/bin/bash
# `make install` into a prefix, then `pip install ./python` against it, and actors that run there.
. "$XO_SRCDIR/t/tap/full.sh"
[ -f "$XO_SRCDIR/python/pyproject.toml" ] || skip_all "there is no python/pyproject.toml"
unset PYTHONPATH MAKEFLAGS MFLAGS MAKELEVEL
prefix=$work/prefix
libdir=$prefix/lib

install_there() {
    make -s -C "$XO_BUILDDIR" install prefix="$prefix" &&
        sed -i "s|^prefix=.*|prefix=$prefix|" "$libdir/pkgconfig/libxo.pc"
}

# The source tree may be read-only, and setuptools writes into what it builds.
pip_install() {
    cp -r "$XO_SRCDIR/python" "$work/python" &&
        env PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir" \
            "$work/venv/bin/python" -m pip install -q "$work/python"
}

run_actors() {
    cd / && env PATH="$prefix/bin:$PATH" LD_LIBRARY_PATH="$libdir" \
        "$work/venv/bin/python" "$work/actors.py"
}

cat >"$work/actors.py" <<'PY'
import asyncio
import sys

import xoscar as xo


class Adder(xo.Actor):
    def add(self, a, b):
        return a + b


async def main():
    assert xo.__file__.startswith(sys.prefix), xo.__file__
    pool = await xo.create_actor_pool(address="127.0.0.1:0", n_process=1)
    async with pool:
        ref = await xo.create_actor(Adder, address=pool.external_address, uid="adder")
        assert await ref.add(1, 2) == 3


if __name__ == "__main__":
    asyncio.run(main())
PY

try "make install" install_there || finish
try "python -m venv" "$PYTHON" -m venv "$work/venv" || finish
try "pip install ./python" pip_install || finish
try "actors run with the installed package" sh "$XO_SRCDIR/t/tap/run" bash -c \
    "$(declare -f run_actors); prefix='$prefix' libdir='$libdir' work='$work' run_actors"
finish

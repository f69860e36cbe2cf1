#!/bin/bash
# What `make install` installs is enough for a C program, and for `pip install ./python`.
. "$XO_SRCDIR/t/tap/full.sh"
prefix=$XO_BUILDDIR/full/prefix
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig

# Runs a command where the installed programs and library are found.
installed() { (cd / && env PATH="$prefix/bin:$PATH" LD_LIBRARY_PATH="$prefix/lib" "$@"); }

# Each installed header by itself, as C that is strict about it.
compile_headers() {
    local header
    find "$prefix/include/xo" -name '*.h' >"$work/headers"
    [ -s "$work/headers" ] || return 1
    while read -r header; do
        echo "#include \"${header#"$prefix/include/xo/"}\"" >"$work/alone.c"
        "${CC:-cc}" -std=gnu11 -Wall -Wextra -Werror -fsyntax-only \
            $(pkg-config --cflags libxo) "$work/alone.c" || return 1
    done <"$work/headers"
}

compile_client() {
    "${CC:-cc}" -std=gnu11 -Wall -o "$work/client" "$XO_SRCDIR/examples/client.c" \
        $(pkg-config --cflags --libs libxo)
}

# The source tree may be read-only, and setuptools writes into what it builds.
pip_install() {
    cp -r "$XO_SRCDIR/python" "$work/python" && chmod -R u+w "$work/python" &&
        LD_LIBRARY_PATH="$prefix/lib" "$work/venv/bin/python" -m pip install -q "$work/python"
}

cat >"$work/actors.py" <<'PY'
import asyncio
import sys

import xoscar as xo


class Adder(xo.Actor):
    def add(self, a, b):
        return a + b

    def place(self, size):
        self.buffer = bytearray(size)
        return xo.buffer_ref(self.address, self.buffer)

    def placed(self):
        return bytes(self.buffer)


async def main():
    assert xo.__file__.startswith(sys.prefix), xo.__file__
    pool = await xo.create_actor_pool(address="127.0.0.1:0", n_process=1)
    async with pool:
        ref = await xo.create_actor(Adder, address=pool.external_address, uid="adder")
        assert await ref.add(1, 2) == 3
        await xo.copy_to([b"copied"], [await ref.place(6)])
        assert await ref.placed() == b"copied"


if __name__ == "__main__":
    asyncio.run(main())
PY

try "configure --prefix" other_tree install --prefix="$prefix" --disable-lto --disable-werror \
    CFLAGS=-O0 || finish
rm -rf "$prefix"
try "make" make -s -j "$jobs" || finish
try "make install" make -s install || finish
try "each installed header compiles alone" compile_headers
[ ! -f "$XO_SRCDIR/examples/client.c" ] ||
    try "a C program builds with pkg-config libxo" compile_client
if [ -f "$XO_SRCDIR/python/pyproject.toml" ]; then
    try "python -m venv" "$PYTHON" -m venv "$work/venv" || finish
    try "pip install ./python" pip_install || finish
    try "actors run with the installed package" \
        installed sh "$XO_SRCDIR/t/tap/run" "$work/venv/bin/python" "$work/actors.py"
fi
finish

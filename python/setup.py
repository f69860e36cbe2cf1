"""Builds the extension against the libxo that pkg-config finds; pyproject.toml has the rest."""

import glob
import os
import shlex
import subprocess
import sys

from setuptools import Extension, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def pkg_config(*options):
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), *options]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        sys.exit(
            "setup.py: pkg-config does not find libxo and libzmq: run `make install` of xo, "
            "apt-get install libzmq3-dev, and say with PKG_CONFIG_PATH where libxo.pc is"
        )


def flags(option):
    return shlex.split(pkg_config(option, "libxo", "libzmq"))


def link_flags():
    """What links, and finds the library where it is installed, on the loader's path or not."""
    directory = pkg_config("--variable=libdir", "libxo").strip()
    return flags("--libs") + [f"-Wl,-rpath,{directory}"]


prefix = pkg_config("--variable=exec_prefix", "libxo").strip()
setup(
    ext_modules=[
        Extension(
            "_xo",
            sorted(os.path.relpath(path, HERE) for path in glob.glob(f"{HERE}/_xo/*.c")),
            include_dirs=[HERE],
            depends=glob.glob(f"{HERE}/_xo/*.h"),
            define_macros=[("_GNU_SOURCE", None), ("XOPY_BINDIR", f'"{prefix}/bin"')],
            extra_compile_args=["-std=gnu11", "-fvisibility=hidden", *flags("--cflags")],
            extra_link_args=link_flags(),
        )
    ]
)

"""pip - for machines without a network: `python -m pip install ./python`, with the flags that a
build needs, gives the environment what `make install` has made of it, and the cloudpickle beside
this file."""

import glob
import os
import shutil
import subprocess
import sys
import sysconfig

HERE = os.path.dirname(os.path.abspath(__file__))


def found(variable, prefix, name):
    folder = os.environ[variable][len(prefix):]
    assert os.path.exists(os.path.join(folder, name)), f"{variable}: there is no {name} in {folder}"
    return folder


assert sys.argv[1:] == ["install", "./python"], f"pip {sys.argv[1:]} is not faked"
assert os.path.exists("python/pyproject.toml"), "there is no package in ./python"
assert sys.prefix != sys.base_prefix, "this is no virtual environment"
found("CFLAGS", "-I", "libxo/xo.h")
lib = found("LDFLAGS", "-L", "libxo.so")
subprocess.run(["pkg-config", "--exists", "libxo", "libzmq"], check=True)

packages = glob.glob(f"{lib}/python3*/*-packages/*")
assert packages, f"nothing of Python is below {lib}"
for path in [*packages, os.path.join(HERE, "cloudpickle")]:
    place = os.path.join(sysconfig.get_path("purelib"), os.path.basename(path))
    if os.path.isdir(path):
        shutil.copytree(path, place, dirs_exist_ok=True)
    else:
        shutil.copy(path, place)

#!/usr/bin/env python3
"""Run bench/actors.erl in two nodes of Erlang/OTP on this machine; what it prints is the output.

No epmd is started, which would stay behind: the nodes know each other's port.
"""

import os
import socket
import subprocess
import sys

from scratch import scratch

HERE = os.path.dirname(os.path.abspath(__file__))
FAR = "far@localhost"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def main():
    with scratch() as place:
        env = dict(os.environ, HOME=place, ERL_CRASH_DUMP=os.devnull)
        subprocess.run(["erlc", "-o", place, os.path.join(HERE, "actors.erl")], check=True)
        common = ["erl", "-noshell", "-noinput", "-pa", place, "-setcookie", "bench"]
        common += ["-start_epmd", "false", "-erl_epmd_port", free_port()]
        common += ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
        serve = common + ["-sname", FAR, "-s", "actors", "serve"]
        measure = common + ["-sname", "near@localhost", "-dist_listen", "false"]
        measure += ["-s", "actors", "main", "-extra", FAR]
        far = subprocess.Popen(serve, env=env, stdout=subprocess.PIPE)
        try:
            if far.stdout.readline().strip() != b"ready":
                sys.exit("bench/erlang.py: the second node does not start")
            return subprocess.run(measure, env=env).returncode
        finally:
            far.kill()
            far.wait()


if __name__ == "__main__":
    sys.exit(main())

"""Two machines for the system tests: network namespaces that the test makes, and one wire between
them.
"""

import contextlib
import os
import shutil
import subprocess

NFT = """table inet xo {
    chain input {
        type filter hook input priority 0; policy drop;
        iif lo accept
        ct state established,related accept
        %s
    }
}
"""


def _ip(*words, check=True):
    done = subprocess.run(["ip", *words], check=check, capture_output=True, text=True)
    return done.returncode == 0


class Wire:
    """machines[0] and machines[1]: each has .address, and .run, with which its commands begin."""

    def __init__(self):
        self.machines = []
        names = [f"xo-t-{os.getpid()}-{side}" for side in "ab"]
        for name, last in zip(names, "12"):
            _ip("netns", "add", name)
            self.machines.append(Machine(name, f"10.77.0.{last}"))
        _ip("link", "add", "wire", "netns", names[0], "type", "veth", "peer", "name", "wire",
            "netns", names[1])
        for machine in self.machines:
            machine.ip("addr", "add", f"{machine.address}/24", "dev", "wire")
            machine.ip("link", "set", "wire", "up")
            machine.ip("link", "set", "lo", "up")

    def remove(self):
        for machine in self.machines:
            _ip("netns", "del", machine.name, check=False)


class Machine:
    def __init__(self, name, address):
        self.name = name
        self.address = address
        self.run = ["ip", "netns", "exec", name]

    def ip(self, *words):
        _ip("-n", self.name, *words)

    def nft(self, text):
        subprocess.run([*self.run, "nft", "-f", "-"], input=text, text=True, check=True,
                       capture_output=True)

    def open_only(self, *ports):
        """Who dials another port than these gets no answer, as behind a firewall."""
        self.nft("flush ruleset\n" + NFT % "\n".join(f"tcp dport {port} accept" for port in ports))

    def silence(self):
        """It gets nothing more, as if its cable were cut."""
        self.nft("flush ruleset\n" + NFT.replace("ct state established,related accept", "") % "")


def why_not():
    """A reason why there can be none here, or None."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    for program in ("ip", "nft"):
        if not shutil.which(program):
            return f"there is no {program} here"
    try:
        wire = Wire()
    except (subprocess.CalledProcessError, OSError) as error:
        for side in "ab":
            _ip("netns", "del", f"xo-t-{os.getpid()}-{side}", check=False)
        return f"network namespaces are not permitted ({error})"
    try:
        wire.machines[0].open_only(1)
    except subprocess.CalledProcessError as error:
        return f"nftables do not work here ({error})"
    finally:
        wire.remove()
    return None


@contextlib.contextmanager
def wire():
    two = Wire()
    try:
        yield two
    finally:
        two.remove()

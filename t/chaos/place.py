"""Where t/chaos/chaos.py runs: directories of its own, and small file systems that it may fill."""
import ctypes
import os
import shutil
import tempfile

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
SHM = "/dev/shm"
INODES = 512
FILL_BYTES = 1 << 16


def _call(function, *args):
    """A function of libc that gives -1 and errno."""
    if function(*args) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _leave_the_machines_mounts():
    """What is mounted from now on, only this process and its children see."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        _call(LIBC.unshare, CLONE_NEWNS)
    else:
        _call(LIBC.unshare, CLONE_NEWNS | CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"),
                           ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    _call(LIBC.mount, b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def _is_small(directory, size_kib):
    """Is what is mounted there a tmpfs that is as small as it was asked for?"""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split() for line in file]
    on_top = [words for words in mounts if words[4] == directory][-1:]  # what was mounted last
    wanted = {f"size={size_kib}k", f"nr_inodes={INODES}"}
    return bool(on_top) and "tmpfs" in on_top[0] and wanted <= set(on_top[0][-1].split(","))


class Place:
    """Directories that go with it. Those in `small` are file systems of its own, in a mount
    namespace of its own: they can be filled, and nobody else notices. `refused`: why there are
    none, or None."""

    def __init__(self, path=None):
        """path: of one that there is already."""
        self.path = path or tempfile.mkdtemp(prefix="xo-chaos-")
        self.run_dir = os.path.join(self.path, "run")
        self.notes = os.path.join(self.path, "notes")  # not where things get full
        self.small = {}  # directory: KiB
        self.refused = None
        for name, path in (
            ("XO_RUN_DIR", self.run_dir),
            ("XO_CONFIG_DIR", os.path.join(self.path, "config")),
        ):
            os.makedirs(path, 0o700, exist_ok=True)
            os.environ[name] = path
        for name in ("XO_CLUSTER", "XO_REGISTRY", "XO_NODE", "XO_LANES", "XO_LOG"):
            os.environ.pop(name, None)

    def word_of(self, pid, began):
        """The file in which the process says what pool's it is; it began at this tick."""
        return os.path.join(self.path, f"pool-of-{pid}-{began}")

    def mount(self):
        """Mounts the small file systems, before there is any thread or child."""
        try:
            _leave_the_machines_mounts()
            self._mount_small(self.run_dir, 8 << 10)
            self._mount_small(SHM, 16 << 10)
        except OSError as error:
            self.refused = error

    def _mount_small(self, directory, size_kib):
        options = f"size={size_kib}k,nr_inodes={INODES},mode=0700"
        _call(LIBC.mount, b"xo-chaos", directory.encode(), b"tmpfs", 0, options.encode())
        if _is_small(directory, size_kib):
            self.small[directory] = size_kib

    def fill(self, directory, by_inodes):
        """Leaves no room for a byte, or for a file. Returns what empty() takes."""
        if not _is_small(directory, self.small[directory]):
            raise AssertionError(f"{directory} is not ours to fill")
        files = []
        try:
            while True:
                files.append(os.path.join(directory, f"full-{os.getpid()}-{len(files)}"))
                with open(files[-1], "xb", buffering=0) as file:
                    while not by_inodes and file.write(bytes(FILL_BYTES)):
                        pass
        except OSError:  # ENOSPC
            return files

    @staticmethod
    def empty(files):
        """Makes room again."""
        for path in files:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass

    def remove(self):
        """With all that is in it."""
        for directory in self.small:
            LIBC.umount2(directory.encode(), 2)  # MNT_DETACH
        shutil.rmtree(self.path, ignore_errors=True)

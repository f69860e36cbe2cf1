"""The node that a script embeds: its broker's process, from start to end.

The broker starts the sub pools and is gone when this process is, however that ends.
"""
import os
import subprocess

import _xo

_READY_S = 20  # a broker that has not said that it listens by then is given up
_STOP_S = 5  # a broker that has not stopped by then is killed
_ORPHAN_S = 5  # the same for a pool whose broker was killed
_EXIT_S = 3  # the same while the interpreter exits
_CLEAN_UP_TRIES = 10

pools = set()  # the MainActorPools that have not been stopped


def find_program(name):
    """The path of one of xo's programs: $XO_BROKER_BIN, $PATH, where libxo was installed."""
    import shutil

    chosen = os.environ.get("XO_BROKER_BIN")
    if chosen and name == "xo-broker":
        return chosen
    for directories in (None, _xo.BINDIR):
        found = shutil.which(name, path=directories)
        if found:
            return found
    raise FileNotFoundError(
        f"{name} is neither on PATH nor in {_xo.BINDIR}: install xo, or set XO_BROKER_BIN"
    )


async def _read_line(fd, timeout):
    """What arrives on the pipe until its first newline or its end."""
    import asyncio

    loop = asyncio.get_running_loop()
    done = loop.create_future()
    data = b""

    def readable():
        nonlocal data
        chunk = os.read(fd, 4096)
        data += chunk
        if (not chunk or b"\n" in data) and not done.done():
            done.set_result(None)

    loop.add_reader(fd, readable)
    try:
        await asyncio.wait_for(done, timeout)
    except asyncio.TimeoutError:
        pass
    finally:
        loop.remove_reader(fd)
    return data.partition(b"\n")[0].decode()


async def _wait_pidfd(fd, timeout):
    """Waits until the process has ended. False: it has not, in time."""
    import asyncio

    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.add_reader(fd, lambda: done.done() or done.set_result(None))
    try:
        await asyncio.wait_for(done, timeout)
    except asyncio.TimeoutError:
        return False
    finally:
        loop.remove_reader(fd)
    return True


async def wait_process(process, timeout):
    """Waits until a Popen's process has ended, and reaps it. False: it has not, in time."""
    if process.poll() is not None:
        return True
    fd = os.pidfd_open(process.pid)
    try:
        if not await _wait_pidfd(fd, timeout):
            return False
    finally:
        os.close(fd)
    process.wait()
    return True


def _orphans(endpoint):
    """pid -> descriptor of the processes that the broker with this endpoint had started."""
    mine = b"XO_BROKER=" + os.fsencode(endpoint)
    parents, fds = {}, {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mine not in file.read().split(b"\0"):
                    continue
            fds[pid] = os.pidfd_open(pid)
            with open(f"/proc/{pid}/stat", "rb") as file:
                parents[pid] = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:  # it has ended meanwhile, or is another user's
            continue
    inherited = [pid for pid in fds if parents.get(pid) in (None, os.getpid(), *fds)]
    for pid in inherited:  # not a pool but what a pool, or this process, has started
        os.close(fds.pop(pid))
    return fds


async def _end_orphans(endpoint):
    """Ends the pools of a broker that was killed, in order; by force if that takes too long."""
    import signal

    for fd in _orphans(endpoint).values():
        try:
            signal.pidfd_send_signal(fd, signal.SIGTERM)
            if not await _wait_pidfd(fd, _ORPHAN_S):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                await _wait_pidfd(fd, None)
        except ProcessLookupError:
            pass
        finally:
            os.close(fd)


class Broker:
    """The process of a node's broker."""

    def __init__(self, process, endpoint):
        self.process = process
        self.endpoint = endpoint  # of its lane, what pools join

    async def stop(self):
        """Ends it and with it the node's sub pools, in order; by force if that takes too long."""
        if self.process.poll() is None:
            self.process.terminate()
        if not await wait_process(self.process, _STOP_S):
            self.process.kill()
            await wait_process(self.process, None)
        if self.process.returncode != 0 and self.endpoint:
            await _end_orphans(self.endpoint)
        self._clean_up()

    def forget(self):
        """In the child of a fork, whose process it is not."""
        self.process.returncode = 0  # or Popen complains that it still runs

    def stop_now(self):
        """The same without a loop, while the interpreter exits."""
        self.process.terminate()
        try:
            self.process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._clean_up()

    def _clean_up(self):
        """Removes the node's directory, which a broker that was killed leaves. Its redis-server,
        which ends with it, may still write there."""
        if not self.endpoint:
            return
        directory = os.path.dirname(self.endpoint[len("ipc://") :])
        for _ in range(_CLEAN_UP_TRIES):
            if not os.path.exists(directory):
                break
            import shutil

            shutil.rmtree(directory, ignore_errors=True)


def _spawn(write_fd):
    # A session of its own: Ctrl-C is for this process, which then stops the node in order.
    return subprocess.Popen(
        [find_program("xo-broker"), "--owner", str(os.getpid()), "--ready-fd", str(write_fd)],
        stdin=subprocess.DEVNULL,
        pass_fds=(write_fd,),
        start_new_session=True,
    )


async def start_broker():
    """Starts a broker and waits until it listens."""
    read_fd, write_fd = os.pipe()
    try:
        try:
            process = _spawn(write_fd)
        finally:
            os.close(write_fd)
        broker = Broker(process, None)
        try:
            broker.endpoint = await _read_line(read_fd, _READY_S)
        except BaseException:
            await broker.stop()
            raise
    finally:
        os.close(read_fd)
    if broker.endpoint:
        return broker
    await broker.stop()
    raise RuntimeError(f"xo-broker did not start: exit status {process.returncode}")


# ---- the end ----


async def shut_down(runtime):
    """asyncio's loop ends: stops the pools in it that were forgotten."""
    for pool in [p for p in pools if p.runtime is runtime]:
        await pool.stop()
    runtime.close()


def _exit(pid):
    if os.getpid() != pid:
        return
    for pool in list(pools):
        pool.stop_now()
    _xo.close()


_registered = None  # the process for which at_exit has been called; forks inherit it


def at_exit():
    """Sees to it, once, that the process leaves nothing behind, and its forks leave it alone."""
    global _registered
    if _registered == os.getpid():
        return
    import atexit

    if _registered is None:
        os.register_at_fork(after_in_child=_forget)
    _registered = os.getpid()
    atexit.register(_exit, _registered)


def _forget():
    from ._fork import forget

    forget(pools)

"""The node that a script embeds: its broker's process, from start to end.

The broker starts the sub pools and is gone when this process is, however that ends.
"""
import contextlib
import os
import subprocess
import time

import _xo

_READY_S = 20  # a broker that has not said that it listens by then is given up
_LOOK_S = 0.1
STOP_S = 5  # a broker that has not stopped by then, or does not answer for so long, is killed
_TELL_S = 1  # after so long it is told for whom a stop waits
_EXIT_S = 1.5  # the same while the interpreter exits, and is told once more before
# A broker that is killed more often is not started again: the limits of a pool (broker/policy.h).
_INTENSITY = 5
_PERIOD_S = 60
_BACKOFF_S, _GROWTH = 0.001, 8

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
        await asyncio.wait({done}, timeout=timeout)  # wait_for may swallow a cancel before 3.12
    finally:
        loop.remove_reader(fd)
    return data.partition(b"\n")[0].decode()


class _End:
    """Calls from the loop when a Popen's process has ended, and reaps it.

    Where there are no pidfds (Linux before 5.3, sandboxes) it looks now and then.
    """

    def __init__(self, process, call):
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._process, self._call = process, call
        self._fd = self._timer = None
        try:
            self._fd = os.pidfd_open(process.pid)
        except (OSError, AttributeError):
            self._look()
        else:
            self._loop.add_reader(self._fd, self._look)

    def _look(self):
        if self._process.poll() is not None:
            self.cancel()
            self._call()
        elif self._fd is None:
            self._timer = self._loop.call_later(_LOOK_S, self._look)

    def cancel(self):
        """Does not call any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
        self.forget()

    def forget(self):
        """The same in the child of a fork, which has no loop."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


async def wait_process(process, timeout):
    """Waits until a Popen's process has ended, and reaps it. False: it has not, in time."""
    import asyncio

    if process.poll() is not None:
        return True
    done = asyncio.get_running_loop().create_future()
    end = _End(process, lambda: done.done() or done.set_result(None))
    try:
        await asyncio.wait({done}, timeout=timeout)
    finally:
        end.cancel()
    return done.done()


class Broker:
    """The process of a node's broker, and the one that takes over should that be killed."""

    def __init__(self, process, endpoint):
        self.process = process
        self.endpoint = endpoint  # of its lane, what pools join
        self._end = None  # of the process, which is waited for
        self._restarts = []  # when; those of the last _PERIOD_S
        self._restarting = None  # the task

    def watch(self):
        """From now on it is started again when it is killed."""
        self._end = _End(self.process, self._ended)

    def _unwatch(self):
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _ended(self):
        import asyncio

        self._end = None
        if self.process.returncode != 0:  # else somebody has stopped the node
            self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self):
        import asyncio
        import logging

        log = logging.getLogger("xoscar")
        while True:
            status = self.process.returncode
            log.warning("xo-broker ended (status %d), another one takes over", status)
            delay = self._backoff()
            if delay is None:
                log.error("xo-broker is not started again: it ended %d times within %d s",
                          _INTENSITY + 1, _PERIOD_S)
                return
            await asyncio.sleep(delay)
            try:
                self.process = await self._take_over()
            except (RuntimeError, OSError) as error:
                log.error("%s", error)
                continue
            self.watch()
            return

    def _backoff(self):
        """Seconds to wait, as for pools: none at first, then ever more. None: it is given up."""
        now = time.monotonic()
        self._restarts = [when for when in self._restarts if now - when < _PERIOD_S]
        count = len(self._restarts)
        if count >= _INTENSITY:
            return None
        self._restarts.append(now)
        return 0 if count == 0 else _BACKOFF_S * _GROWTH ** (count - 1)

    async def _take_over(self):
        node = os.path.basename(os.path.dirname(self.endpoint))
        return (await start_broker("--adopt", node.partition("-")[2])).process

    async def stop(self):
        """Ends it and with it the node's sub pools, in order; by force if that takes too long.

        Its groups have been stopped, or will be in no order.
        """
        import asyncio

        self._unwatch()
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.wait([self._restarting])
        if self.process.poll() is None:
            self.process.terminate()
        if not await wait_process(self.process, STOP_S):
            self.process.kill()
            await wait_process(self.process, None)
        if self.process.returncode != 0 and self.endpoint and os.path.exists(self._directory()):
            await self._end_the_rest()

    async def _end_the_rest(self):
        """What a broker that was killed has left, another one that takes over can stop."""
        import logging

        try:
            self.process = await self._take_over()
        except (RuntimeError, OSError) as error:
            log = logging.getLogger("xoscar")
            log.error("what xo-broker left goes on until this process ends: %s", error)
            return
        self.process.terminate()
        await wait_process(self.process, None)

    def forget(self):
        """In the child of a fork, whose process it is not."""
        self.process.returncode = 0  # or Popen complains that it still runs
        if self._end is not None:
            self._end.forget()
            self._end = None

    def stop_now(self):
        """The same without a loop, while the interpreter exits."""
        for end in (self.process.terminate, self.process.terminate, self.process.kill):
            if self.process.poll() is None:
                end()  # told once more, it waits for nobody; what is left, this process's end ends
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_EXIT_S)

    def _directory(self):
        return os.path.dirname(self.endpoint[len("ipc://") :])


def _spawn(write_fd, options):
    owner = ["--owner", str(os.getpid()), "--ready-fd", str(write_fd)]
    # Within a pool: that pool's broker kills what has its id here and is left when the pool has
    # died, but a node sees its owner's end by itself, and removes its files.
    # The port of that pool's node is its broker's already.
    inherited = ("XO_POOL_ID", "XO_PORT") if "XO_POOL_ID" in os.environ else ()
    env = {name: value for name, value in os.environ.items() if name not in inherited}
    # A session of its own: Ctrl-C is for this process, which then stops the node in order.
    return subprocess.Popen(
        [find_program("xo-broker"), *owner, *options],
        stdin=subprocess.DEVNULL,
        env=env,
        pass_fds=(write_fd,),
        start_new_session=True,
    )


async def start_broker(*options):
    """Starts a broker and waits until it listens."""
    read_fd, write_fd = os.pipe()
    try:
        try:
            process = _spawn(write_fd, options)
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


async def stop_groups(broker):
    """Has a broker (a reference) end its node's groups in their order, here as in sub pools.

    It knows how long that may take, and says for whom it waits; one that stands still is not
    waited for. When this is cancelled the groups go on ending, until the broker is told to stop.
    """
    import asyncio

    stopped = asyncio.ensure_future(getattr(broker, "node.stop")(True))
    awaited = ""
    try:
        while awaited is not None and not await _is_done(stopped, _TELL_S):
            awaited = await _tell_awaited(broker, awaited)
    finally:
        _leave(stopped)


async def _tell_awaited(broker, before):
    """Logs for whom it waits, if that is another than before. None: it does not answer."""
    import asyncio
    import logging

    status = asyncio.ensure_future(broker.status())
    try:
        if not await _is_done(status, STOP_S):
            return None
        if status.exception():  # no silence: its end is what is waited for
            return before
        awaited = status.result().get("reason", "")
    finally:
        _leave(status)
    if awaited not in ("", before):
        logging.getLogger("xoscar").warning("stopping: waiting for %s to end", awaited)
    return awaited


async def _is_done(call, timeout):
    import asyncio

    await asyncio.wait({call}, timeout=timeout)
    return call.done()


def _leave(call):
    """Waits no more for it, and sees its error."""
    if not call.done():
        call.abandon()
    elif not call.cancelled():
        call.exception()


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

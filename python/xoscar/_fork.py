"""The child of a fork: it neither hangs nor disturbs its parent, as far as xo and asyncio go.

Sockets, the broker, the sub pools and asyncio's loop are the parent's. What the child copies of
them is forgotten, so that the child can end in any way, or run a loop and pools of its own.
"""
import select
import selectors
import signal

import _xo


def _own_selector(loop):
    """The epoll(7) instance of asyncio's loop is shared: whatever the child took out of it, closing
    the loop for example, would be missing in the parent's. uvloop sees to that itself."""
    selector = getattr(loop, "_selector", None)
    if not isinstance(selector, getattr(selectors, "EpollSelector", ())) or loop.is_closed():
        return
    try:
        selector._selector = select.epoll()
        loop._close_self_pipe()
        loop._make_self_pipe()
    except AttributeError:  # an asyncio that has it elsewhere
        pass


def forget(pools):
    """To be called in the child. pools: the MainActorPools of the parent."""
    for pool in pools:
        pool.forget()
    pools.clear()
    for loop in _xo.forget():
        _own_selector(loop)
    signal.set_wakeup_fd(-1)  # asyncio's: signals to the child would reach the parent's loop

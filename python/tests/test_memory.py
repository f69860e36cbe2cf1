"""Memory: objects of the extension under the garbage collector, and under callbacks that run in the
middle of what uses them."""

import asyncio
import gc
from pickle import PickleBuffer

import numpy
import pytest

import _xo
import xoscar as xo
from actors import Gate, in_each_pool, make
from xoscar import _copy, _glue


def parts_of(call):
    """What a call refers to, without asking it, which would count as having seen its exception."""
    return [thing for thing in gc.get_referents(call) if isinstance(thing, BaseException)]


def test_a_failed_call_in_a_cycle_that_outlives_its_loop():
    async def leave_a_call_behind():
        await xo.create_actor_pool("127.0.0.1", n_process=0)
        gate = await make(Gate, (await xo.create_actor(Gate)).address)
        return [gate.hold(i) for i in range(3)]

    calls = asyncio.run(leave_a_call_behind())
    cycles = 0
    for call in calls:
        for error in parts_of(call):
            error.call = call
            cycles += 1
    assert cycles > 0
    del calls, call, error
    gc.collect()  # crashed


class Acts:
    """A callback that does something to its call when it is compared for the first time."""

    def __init__(self, act):
        self.act = act

    def __call__(self, call):
        pass

    def __eq__(self, other):
        act, self.act = self.act, lambda: None
        act()
        return self is other

    __hash__ = None


@in_each_pool
async def test_callbacks_that_are_compared_may_remove_callbacks(address):
    call = (await make(Gate, address)).hold("a")

    def remove_all():
        while made:
            call.remove_done_callback(made.pop())

    made = [Acts(remove_all) for _ in range(100)]
    for callback in made:
        call.add_done_callback(callback)
    assert call.remove_done_callback(print) == 0
    call.add_done_callback(print)
    assert call.remove_done_callback(print) == 1
    call.abandon()


@in_each_pool
async def test_callbacks_that_are_compared_may_add_callbacks(address):
    call = (await make(Gate, address)).hold("a")
    for _ in range(3):
        call.add_done_callback(Acts(lambda: call.add_done_callback(id)))
    assert call.remove_done_callback(print) == 0
    assert call.remove_done_callback(id) == 3
    call.abandon()


class Memory(xo.Actor):
    """Has memory to copy to."""

    def make(self, size):
        self.memory = numpy.zeros(size, numpy.uint8)
        return xo.buffer_ref(self.address, self.memory)

    def drop(self):
        self.memory = None


@in_each_pool
async def test_a_failed_copy_leaves_no_buffer_over_a_memoryview(address):
    """CPython crashes when both become garbage in a cycle."""
    owner = await make(Memory, address)
    source = bytes(1_234_567)
    ref = await owner.make(len(source))
    await xo.copy_to([source], [ref])
    await owner.drop()
    sending = _copy._send(xo.ActorRef(address, _copy._UID), memoryview(source), ref, 0, len(source))
    with pytest.raises(LookupError) as failed:
        await sending
    await asyncio.sleep(0)  # callbacks of a call that is done run in the loop's next round
    assert failed.value.__traceback__ is not None
    for buffer in [thing for thing in gc.get_objects() if type(thing) is PickleBuffer]:
        try:
            assert buffer.raw().nbytes != len(source)
        except ValueError:
            pass  # it has been released


def views_in(traceback):
    while traceback is not None:
        yield from (v for v in traceback.tb_frame.f_locals.values() if type(v) is memoryview)
        traceback = traceback.tb_next


def test_what_cannot_be_unpickled_leaves_no_view_of_the_message():
    data, buffers = _xo.encode({"a": object})
    with pytest.raises(xo.SendMessageFailed) as failed:
        _xo.decode(data.replace(b"object", b"nobody"), buffers)
    views = [*views_in(failed.value.__traceback__), *views_in(failed.value.__cause__.__traceback__)]
    assert len(views) > 0
    for view in views:
        with pytest.raises(ValueError, match="released"):
            bytes(view)


@pytest.mark.parametrize("what", [(Gate, [], {}), (Gate, (), []), (Gate, None, None)])
def test_a_malformed_request_to_create_is_refused(what):
    """C takes the arguments for a tuple."""
    with pytest.raises(ValueError, match="malformed"):
        _glue.create_request(what, "")

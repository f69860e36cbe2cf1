"""Classes of actors, in all the ways in which Python makes classes."""

import abc
import asyncio
import dataclasses
import functools
import types
from typing import Generic, Optional, TypeVar

import pytest

import xoscar as xo
from actors import Gate, in_each_pool, make, until


# ---- bases ----


class Speaks:
    """A mixin that knows nothing of actors."""

    prefix = "mixed in"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mixin_was_here = True

    def speak(self):
        return self.prefix, self.name(), getattr(self, "mixin_was_here", False)


class MixinFirst(Speaks, xo.Actor):
    def name(self):
        return "first"


class MixinLast(xo.Actor, Speaks):
    prefix = "mine"

    def name(self):
        return "last"


class Left(xo.Actor):
    def who(self):
        return ["left"]


class Right(xo.Actor):
    def who(self):
        return ["right"]


class Diamond(Left, Right):
    def who(self):
        return ["diamond", *super().who(), *Right.who(self)]


@in_each_pool
async def test_mixins_and_several_bases(address):
    first = await make(MixinFirst, address)
    assert await first.speak() == ("mixed in", "first", True)
    last = await make(MixinLast, address)
    assert await last.speak() == ("mine", "last", False)
    assert await (await make(Diamond, address)).who() == ["diamond", "left", "right"]


class Meta(abc.ABCMeta):
    """Counts what it makes, by way of its own __call__."""

    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        made.made_by = "Meta"
        return made


class Abstract(xo.Actor, metaclass=Meta):
    @abc.abstractmethod
    def answer(self):
        """Given by subclasses."""


class Concrete(Abstract):
    def answer(self):
        return self.made_by, self.uid == self.ref().uid


@in_each_pool
async def test_abstract_classes_and_metaclasses(address):
    assert await (await make(Concrete, address)).answer() == ("Meta", True)
    with pytest.raises(TypeError, match="abstract"):
        await xo.create_actor(Abstract, address=address, uid="abstract")
    with pytest.raises(xo.ActorNotExist):
        await xo.actor_ref(address, "abstract")


@dataclasses.dataclass
class Data(xo.Actor):
    number: int
    names: list = dataclasses.field(default_factory=list)

    def fields(self):
        return dataclasses.astuple(self)


class Slotted(xo.Actor):
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def get(self):
        return self.value


@in_each_pool
async def test_dataclasses_and_slots(address):
    assert await (await make(Data, address, 5, ["a"])).fields() == (5, ["a"])
    assert await (await make(Data, address, 6)).fields() == (6, [])
    assert await (await make(Slotted, address, 7)).get() == 7


# ---- what a class has ----


class Members(xo.Actor):
    shared = ["class attribute"]

    def __init__(self):  # does not call super().__init__
        self.dynamic = lambda: "an attribute of the object"

    @property
    def doubled(self):
        return lambda: 2 * len(self.shared)

    @staticmethod
    def static(value):
        return value

    @classmethod
    def of_class(cls):
        return cls.__name__

    @staticmethod
    async def static_async(value):
        await asyncio.sleep(0)
        return value

    def __getattr__(self, name):
        if name.startswith("made_up"):
            return lambda: name
        raise AttributeError(name)

    def tell(self):
        return "tell"

    def send(self, value=1):
        return "send", value

    def batch(self):
        return "batch"

    def options(self):
        return "options"

    def append(self, value):
        self.shared = [*self.shared, value]
        return self.shared


@in_each_pool
async def test_attributes_of_all_kinds_are_methods(address):
    ref = await make(Members, address)
    assert await ref.dynamic() == "an attribute of the object"
    assert await ref.doubled() == 2
    assert await ref.static(3) == 3 and await ref.static_async(4) == 4
    assert await ref.of_class() == "Members"
    assert await ref.made_up_name() == "made_up_name"
    with pytest.raises(AttributeError):
        await getattr(ref, "other")()
    assert await ref.append(1) == ["class attribute", 1]
    assert Members.shared == ["class attribute"]


@in_each_pool
async def test_methods_with_the_names_of_ways_to_call(address):
    ref = await make(Members, address)
    assert [await ref.tell(), await ref.send(), await ref.send.send(2)] == [
        "tell",
        ("send", 1),
        ("send", 2),
    ]
    assert [await ref.batch(), await ref.options()] == ["batch", "options"]
    await ref.send.tell(3)
    assert await ref.send.batch(ref.send.delay(4)) == [("send", 4)]


class Named(xo.Actor):
    """Has methods with the names that an actor's and a reference's attributes have."""

    def uid(self):
        return "a method named uid"

    def look(self):
        return self.uid(), self.ref().uid


@in_each_pool
async def test_a_method_named_uid(address):
    ref = await xo.create_actor(Named, address=address, uid="named")
    assert await ref.look() == ("a method named uid", b"named")
    await ref.destroy()


# ---- who one is, from the beginning on ----


class Selfaware(xo.Actor):
    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        self.seen = [(self.uid, self.address)]
        return self

    def __init__(self, friend=None):
        self.seen.append((self.uid, self.address))
        self.own = self.ref()
        self.friend = friend

    async def __post_create__(self):
        self.seen.append((self.own.uid, self.own.address))
        if self.friend is not None:
            await self.friend.meet(self.own)

    def meet(self, friend):
        self.met = friend

    def look(self):
        return self.seen, self.own

    async def ask_friend(self):
        return await self.met.look()


@in_each_pool
async def test_identity_is_there_from_the_beginning(address):
    ref = await xo.create_actor(Selfaware, address=address, uid=Selfaware.default_uid())
    seen, own = await ref.look()
    assert seen == [(b"Selfaware", address)] * 3 and own == ref
    other = await make(Selfaware, address, ref)
    assert (await ref.ask_friend())[1] == other
    await ref.destroy()


class Singleton(xo.Actor):
    instance = None

    def __new__(cls):
        if Singleton.instance is None:
            Singleton.instance = super().__new__(cls)
        return Singleton.instance


class Impostor(xo.Actor):
    def __new__(cls):
        return "no actor"


@in_each_pool
async def test_new_that_gives_no_new_actor(address):
    ref = await make(Singleton, address)
    with pytest.raises(TypeError, match="another actor"):
        await make(Singleton, address)
    with pytest.raises(TypeError, match="no actor"):
        await make(Impostor, address)
    await ref.destroy()


T = TypeVar("T")


class Box(xo.Actor, Generic[T]):
    def __init__(self, value: T):
        self.value = value

    def get(self) -> T:
        return self.value


class IntBox(Box[int]):
    pass


class HomeMade(xo.Actor):
    __class_getitem__ = classmethod(types.GenericAlias)

    def get(self):
        return 6


@in_each_pool
async def test_generic_classes(address):
    for ref, value in (
        (await make(Box, address, 1), 1),
        (await make(Box[int], address, 2), 2),
        (await make(Box["Box[int]"], address, 3), 3),
        (await make(IntBox, address, 4), 4),
        (await make(HomeMade[int], address), 6),
    ):
        assert await ref.get() == value
        await ref.destroy()


class InitReturns(xo.Actor):
    def __init__(self):
        return 5


class NoActor:
    pass


@in_each_pool
async def test_what_is_no_class_of_actors(address):
    for cls in (NoActor, dict, 5, None, Members(), list[int], Optional[int]):
        with pytest.raises(TypeError, match="subclass of xoscar.Actor"):
            await xo.create_actor(cls, address=address)
    with pytest.raises(TypeError):
        await make(InitReturns, address)


# ---- the lock of what is inherited and decorated ----


def passes_on(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Inheriting(Gate):
    hold_partly = functools.partialmethod(Gate.hold, "partly")
    hold_wrapped = passes_on(Gate.hold)

    async def hold(self, name):
        return await super().hold(f"inherited {name}")

    @xo.no_lock
    @passes_on
    async def hold_beside(self, name):
        return await super().hold(name)

    @xo.no_lock
    @classmethod
    def of_class(cls):
        return cls.__name__

    def give(self, name):
        """Not async itself: what it returns is awaited without the lock."""
        return super().hold(name)

    async def hold_lockless(self, name):  # overridden without no_lock
        return await super().hold(name)


@in_each_pool
async def test_decorated_async_methods_keep_the_lock(address):
    gate = await make(Inheriting, address)
    calls = [gate.hold_partly(), gate.hold_wrapped("wrapped"), gate.hold("x")]
    calls.append(gate.hold_lockless("locked"))
    await until(gate.log, lambda log: log == ["partly in"])
    calls.append(gate.hold_beside("beside"))
    await until(gate.log, lambda log: log == ["partly in", "beside in"])
    assert await gate.of_class() == "Inheriting"
    await gate.open()
    assert await asyncio.gather(*calls) == ["partly", "wrapped", "inherited x", "locked", "beside"]
    log = [event for event in await gate.log() if "partly" not in event and "beside" not in event]
    assert log == [
        f"{name} {way}" for name in ("wrapped", "inherited x", "locked") for way in ("in", "out")
    ]


@in_each_pool
async def test_what_a_plain_method_returns_is_awaited_without_the_lock(address):
    gate = await make(Inheriting, address)
    calls = [gate.give("a"), gate.give("b")]
    await until(gate.log, lambda log: log == ["a in", "b in"])
    await gate.open()
    assert await asyncio.gather(*calls) == ["a", "b"]

"""The exceptions of the package.

A method's own exception reaches the caller as its own type; these are what can go wrong around it.
"""
from __future__ import annotations

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from typing import Any, Literal


class XoscarError(Exception):
    """Base of the package's exceptions."""


class ActorNotExist(XoscarError):
    """There is no actor with that uid in the pool that was asked."""


class ActorAlreadyExist(XoscarError):
    """The pool has an actor with that uid already."""


class SendMessageFailed(XoscarError):
    """What could not be sent, for example a result that cannot be pickled."""


class PickleRefused(SendMessageFailed, TypeError):
    """What only a pickle could carry, sent to or from a node with ``codec = msgpack``."""


class ServerClosed(XoscarError, ConnectionError):
    """The process, node or link that a request went to died, or cannot be reached.

    Parameters
    ----------
    message : str
        The whole sentence; ``str()`` of the exception.
    reason : str
        Who died, and why. An attribute, as are the next two.
    address : str
        Of the pool.
    executed : {"no", "maybe"}
        Whether the method ran: "no" (the request was not delivered) or "maybe".
    """

    def __init__(
        self,
        message: str = "",
        reason: str = "",
        address: str = "",
        executed: Literal["no", "maybe"] = "maybe",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.address = address
        self.executed = executed

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.reason, self.address, self.executed)


class Return(XoscarError):
    """``raise Return(value)`` ends a method that yields, with this result.

    Parameters
    ----------
    value : object, optional
        The method's result. An attribute, too.
    """

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class NoIdleSlot(XoscarError):
    """All pools with the label hold an actor with the mark already."""


class NoFreeSlot(XoscarError):
    """No pool can take another actor."""


class SlotStateError(XoscarError):
    """A pool is in another state than the operation needs."""


class ReconstructWorkerError(XoscarError):
    """A pool's process could not be started again."""


class ActorPoolNotStarted(XoscarError):
    """The pool has not been started."""


class CannotCancelTask(XoscarError):
    """The task cannot be cancelled."""


class DeadlockError(XoscarError):
    """Actors wait for one another in a circle."""

"""RestartPolicy: how often what died is started or created again, and how soon."""
from __future__ import annotations

from ._shown import shown
from .core import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_NAMES = ("permanent", "transient", "temporary")
_PLACEMENTS = ("node", "any")
_INTENSITY_MAX = 64  # as many as a broker remembers (broker/policy.h)
_MS_MAX = 2**31 - 1


def _check_seconds(name, value):
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number of seconds, not {shown(value)}")
    if not 0 <= value * 1000 <= _MS_MAX:
        raise ValueError(f"{name} is from 0 to {_MS_MAX / 1000} seconds, not {value}")


def _check_intensity(value):
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"intensity is a number of restarts, not {shown(value)}")
    if not 0 <= value <= _INTENSITY_MAX:
        raise ValueError(f"intensity is from 0 to {_INTENSITY_MAX}, not {value}")


class RestartPolicy:
    """When an actor is created again, or a pool started again, and when it is given up.

    What is None is as its pool's policy says, for an actor; for a pool 5 restarts in 60 s, a
    backoff from 1 ms to 5 s, and 300 s to create an actor again.

    Parameters
    ----------
    restart : {"permanent", "transient", "temporary"}
        Always; unless the process ended with exit status 0; never.
    intensity : int, optional
        How many restarts within `period` are fine, 0 to 64. With one more it has failed, and
        ``xo revive`` brings it back.
    period : float, optional
        Seconds.
    backoff : float, optional
        Seconds before the second restart in a row; the first is at once. It grows
        eightfold with each. Half of it is random.
    backoff_max : float, optional
        Seconds where that ends.
    placement : {"node", "any"}
        Of an actor: where it is created again. "any": if its node dies or is drained, on another
        one that has a pool for it, which takes a name (a uid that begins with "xo:"), "permanent",
        and no group.
    create_timeout : float, optional
        Of an actor: how many seconds a try to create it again may take, and up to an eighth more at
        random; what others that come back with it take does not count. Then its ``__post_create__``
        is cancelled, and the try has failed; if it does not let itself be cancelled, its process is
        killed. 0: as long as it wants, which is also how long ``create_actor`` waits.

    Raises
    ------
    TypeError, ValueError
        For what none of them can be.
    """

    __slots__ = (
        "restart", "intensity", "period", "backoff", "backoff_max", "placement", "create_timeout"
    )

    def __init__(
        self,
        restart: str = "permanent",
        *,
        intensity: int | None = None,
        period: float | None = None,
        backoff: float | None = None,
        backoff_max: float | None = None,
        placement: str = "node",
        create_timeout: float | None = None,
    ) -> None:
        if restart not in _NAMES:
            raise ValueError(f"restart is one of {', '.join(_NAMES)}, not {shown(restart)}")
        if placement not in _PLACEMENTS:
            raise ValueError(f"placement is node or any, not {shown(placement)}")
        if placement == "any" and restart != "permanent":
            raise ValueError("only a permanent actor can have the placement any")
        _check_intensity(intensity)
        _check_seconds("period", period)
        _check_seconds("backoff", backoff)
        _check_seconds("backoff_max", backoff_max)
        _check_seconds("create_timeout", create_timeout)
        self.restart = restart
        self.intensity = intensity
        self.period = period
        self.backoff = backoff
        self.backoff_max = backoff_max
        self.placement = placement
        self.create_timeout = create_timeout

    def __repr__(self) -> str:
        values = [(name, getattr(self, name)) for name in self.__slots__[1:]]
        given = [f"{name}={value!r}" for name, value in values if value not in (None, "node")]
        return f"RestartPolicy({', '.join([repr(self.restart), *given])})"

    def options(self) -> dict[str, Any]:
        """What the broker is told (doc/wire.md, "Creating").

        Returns
        -------
        dict
        """
        told: dict[str, Any] = {"restart": self.restart}
        if self.intensity is not None:
            told["intensity"] = self.intensity
        for name in ("period", "backoff", "backoff_max", "create_timeout"):
            seconds = getattr(self, name)
            if seconds is not None:
                told[f"{name}_ms"] = round(seconds * 1000)
        if self.placement != "node":
            told["placement"] = self.placement
        return told


def check_placement(policy: RestartPolicy, what: str) -> None:
    """Raise a ValueError for a placement that `what`, which is no actor, cannot have."""
    if policy.placement != "node":
        raise ValueError(f"only an actor has a placement, not {what}")

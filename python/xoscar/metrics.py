"""Metrics: counters, gauges, meters and histograms, on the console or for Prometheus.

    from xoscar.metrics import Metrics, init_metrics

    init_metrics("prometheus", {"port": 9100})
    calls = Metrics.counter("calls", "Calls so far", ("method",))
    calls.record(1, {"method": "add"})

Metrics can be made before init_metrics, and outlive it; what is recorded goes to the backend of
that moment. Without one, only ``value`` is kept.
"""
from __future__ import annotations

import time

from ._shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_METER_S = 60  # a meter's rate is that of the last minute


class _Metric:
    """A metric; Metrics makes them."""

    type = ""

    def __init__(self, name: str, description: str, tag_keys: Any):
        if not isinstance(name, str) or not name:
            raise ValueError(f"a metric's name is a str that is not empty, not {shown(name)}")
        if isinstance(tag_keys, str):
            raise ValueError(f"tag_keys is a tuple of str, not the str {tag_keys!r}")
        self.name = name
        self.description = description
        self.tag_keys = tuple(tag_keys or ())
        self._value: float = 0
        self._sink: Any = None
        self._sink_of: Any = None

    @property
    def value(self) -> float:
        """What has been recorded, over all tags: the counter's sum, the gauge's last value, the
        meter's rate per second in the last minute, or the histogram's mean."""
        return self._value

    def record(self, value: float = 1, tags: dict[str, Any] | None = None) -> None:
        """Records a value.

        Parameters
        ----------
        value : float
            A counter and a meter grow by it, a gauge becomes it, a histogram counts it.
        tags : dict, optional
            Values for the tag keys; those that are missing are empty.

        Raises
        ------
        ValueError
            There is a tag that is none of the metric's; or a counter would shrink.
        TypeError
            The value is no number.
        """
        if not hasattr(value, "__float__"):
            raise TypeError(f"the metric {self.name} takes numbers, not {shown(value)}")
        tags = self._checked(tags or {})
        self._take(value)
        if _backend is None:
            return
        if self._sink_of is not _backend:
            self._sink, self._sink_of = _backend.sink(self), _backend
        self._sink(value, tags)

    def _checked(self, tags: dict) -> dict:
        for key in tags:
            if key not in self.tag_keys:
                known = ", ".join(self.tag_keys) or "none"
                raise ValueError(
                    f"the metric {self.name} has no tag {shown(key)}; its tags: {known}"
                )
        return {key: str(tags.get(key, "")) for key in self.tag_keys}

    def _take(self, value: float) -> None:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self.type} {self.name!r}, {self.value}>"


class Counter(_Metric):
    """It only grows."""

    type = "Counter"

    def _take(self, value: float) -> None:
        if value < 0:
            raise ValueError(f"the counter {self.name} cannot shrink: {value!r}; take a gauge")
        self._value += value


class Gauge(_Metric):
    """It is what was recorded last."""

    type = "Gauge"

    def _take(self, value: float) -> None:
        self._value = value


class Rate:
    """Sum per second over the last minute, or since the beginning where that is less."""

    def __init__(self) -> None:
        self._start = self._now()
        self._seconds: dict[int, float] = {}  # second -> what was recorded in it

    _now = staticmethod(time.monotonic)

    def add(self, value: float) -> None:
        """Counts a value."""
        second = int(self._now())
        if second not in self._seconds:
            self._forget(second)
        self._seconds[second] = self._seconds.get(second, 0) + value

    def _forget(self, now: int) -> None:
        for second in [s for s in self._seconds if s <= now - _METER_S]:
            del self._seconds[second]

    def value(self) -> float:
        """The rate."""
        now = self._now()
        self._forget(int(now))
        return sum(self._seconds.values()) / min(max(now - self._start, 1), _METER_S)


class Meter(_Metric):
    """How often, or how much per second."""

    type = "Meter"

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._rate = Rate()

    def _take(self, value: float) -> None:
        self._rate.add(value)

    @property
    def value(self) -> float:
        return self._rate.value()


class Histogram(_Metric):
    """How values are distributed."""

    type = "Histogram"

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._count = 0

    def _take(self, value: float) -> None:
        self._count += 1
        self._value += (value - self._value) / self._count


# ---- backends ----


class _Console:
    """Says each value in the log."""

    def sink(self, metric: _Metric) -> Any:
        import logging

        logger = logging.getLogger(__name__)

        def say(value: float, tags: dict) -> None:
            logger.debug(
                "%s %s: recorded %s, now %s, tags %s",
                metric.type,
                metric.name,
                value,
                metric.value,
                tags,
            )

        return say

    def close(self) -> None:
        pass


def _console(config: dict) -> Any:
    if config:
        raise ValueError(f"the console has no options: {config!r}")
    return _Console()


def _prometheus(config: dict) -> Any:
    from . import _prometheus

    return _prometheus.Backend(**config)


_makers = {"console": _console, "prometheus": _prometheus}
_backend: Any = None


def init_metrics(backend: str = "console", config: dict[str, Any] | None = None) -> None:
    """Chooses where metrics go. Called again, the next backend takes the place of the last.

    Parameters
    ----------
    backend : {"console", "prometheus"}
        The log, at level DEBUG, of the logger xoscar.metrics; or prometheus_client's registry.
    config : dict, optional
        For prometheus ``{"port": n}``: serves the registry over HTTP on this port; without it, the
        application does that.

    Raises
    ------
    ValueError
        There is no such backend, or option.
    ImportError
        For prometheus, if prometheus_client is not installed.
    OSError
        The port is in use.
    """
    global _backend
    if backend not in _makers:
        raise ValueError(f"metrics go to {' or '.join(_makers)}, not to {shown(backend)}")
    config = dict(config or {})
    if backend == "prometheus" and set(config) - {"port"}:
        raise ValueError(f"prometheus has the option port, not {sorted(set(config) - {'port'})}")
    shutdown_metrics()
    _backend = _makers[backend](config)


def shutdown_metrics() -> None:
    """Ends the backend; metrics go on without one."""
    global _backend
    ended, _backend = _backend, None
    if ended is not None:
        ended.close()


class Metrics:
    """Makes metrics. Each takes a name, a description and the keys of its tags."""

    @staticmethod
    def counter(
        name: str, descriptions: str = "", tag_keys: Sequence[str] | None = None
    ) -> Counter:
        """A metric that only grows.

        Parameters
        ----------
        name : str
            Its name.
        descriptions : str
            What it counts.
        tag_keys : tuple of str, optional
            The keys of the tags that record takes.

        Returns
        -------
        Counter
        """
        return Counter(name, descriptions, tag_keys)

    @staticmethod
    def gauge(name: str, descriptions: str = "", tag_keys: Sequence[str] | None = None) -> Gauge:
        """A metric that is what was recorded last.

        Parameters
        ----------
        name : str
            Its name.
        descriptions : str
            What it measures.
        tag_keys : tuple of str, optional
            The keys of the tags that record takes.

        Returns
        -------
        Gauge
        """
        return Gauge(name, descriptions, tag_keys)

    @staticmethod
    def meter(name: str, descriptions: str = "", tag_keys: Sequence[str] | None = None) -> Meter:
        """A metric of how much is recorded per second.

        Parameters
        ----------
        name : str
            Its name.
        descriptions : str
            What it measures.
        tag_keys : tuple of str, optional
            The keys of the tags that record takes.

        Returns
        -------
        Meter
        """
        return Meter(name, descriptions, tag_keys)

    @staticmethod
    def histogram(
        name: str, descriptions: str = "", tag_keys: Sequence[str] | None = None
    ) -> Histogram:
        """A metric of how values are distributed.

        Parameters
        ----------
        name : str
            Its name.
        descriptions : str
            What it measures.
        tag_keys : tuple of str, optional
            The keys of the tags that record takes.

        Returns
        -------
        Histogram
        """
        return Histogram(name, descriptions, tag_keys)


__all__ = ["Metrics", "init_metrics", "shutdown_metrics"]

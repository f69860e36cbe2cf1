"""Metrics for Prometheus, through prometheus_client."""
from __future__ import annotations

import re
import threading
from typing import Any, Callable

from .metrics import Rate


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError:
        raise ImportError(
            "the metrics backend prometheus needs the package prometheus_client: "
            "pip install prometheus_client"
        ) from None
    return prometheus_client


def _plain_name(name: str) -> str:
    """As Prometheus allows it: letters, digits, underscores and colons."""
    name = re.sub("[^a-zA-Z0-9_:]", "_", name)
    return "_" + name if name[0].isdigit() else name


class _Rates:
    """A meter's rates, one for each combination of tags, computed when they are read."""

    def __init__(self, gauge: Any):
        self._gauge = gauge
        self._rates: dict[tuple, Rate] = {}

    def record(self, value: float, tags: dict) -> None:
        key = tuple(tags.values())
        if key not in self._rates:
            rate = self._rates[key] = Rate()
            _labelled(self._gauge, tags).set_function(rate.value)
        self._rates[key].add(value)


def _labelled(collector: Any, tags: dict) -> Any:
    return collector.labels(*tags.values()) if tags else collector


class Backend:
    """prometheus_client's registry, and the HTTP server that shows it if there is a port."""

    def __init__(self, port: int | None = None):
        if port is not None and not (isinstance(port, int) and 0 <= port < 65536):
            raise ValueError(f"a port is a number below 65536, not {port!r}")
        self._client = _client()
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._collectors: dict[str, Any] = {}  # name -> (type, tag keys, collector)
        if port is not None:
            self._server, self._thread = self._client.start_http_server(port)

    def _make(self, metric: Any) -> Any:
        kind = "Gauge" if metric.type == "Meter" else metric.type
        description = metric.description or metric.name
        collector = getattr(self._client, kind)(
            _plain_name(metric.name), description, metric.tag_keys
        )
        return _Rates(collector) if metric.type == "Meter" else collector

    def _collector(self, metric: Any) -> Any:
        """The registry takes each name once; metrics that are alike share it."""
        name, kind = _plain_name(metric.name), (metric.type, metric.tag_keys)
        if name not in self._collectors:
            self._collectors[name] = kind, self._make(metric)
        known, collector = self._collectors[name]
        if known != kind:
            raise ValueError(f"there is a metric {name} already: a {known[0]}, tags {known[1]}")
        return collector

    def sink(self, metric: Any) -> Callable[[float, dict], None]:
        """What takes each value that is recorded."""
        collector = self._collector(metric)
        if metric.type == "Meter":
            return collector.record
        method = {"Counter": "inc", "Gauge": "set", "Histogram": "observe"}[metric.type]
        return lambda value, tags: getattr(_labelled(collector, tags), method)(value)

    def close(self) -> None:
        """Stops the server and takes the metrics out of the registry."""
        for (kind, _), collector in self._collectors.values():
            registered = collector._gauge if kind == "Meter" else collector
            self._client.REGISTRY.unregister(registered)
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

"""Metrics: what they come to, and where they go."""

import logging
import socket
import sys
import urllib.request

import pytest

from xoscar import metrics
from xoscar.metrics import Metrics, init_metrics, shutdown_metrics


@pytest.fixture(autouse=True)
def no_backend():
    yield
    shutdown_metrics()


def test_attributes():
    metric = Metrics.counter("calls", "Calls so far", ("method",))
    assert (metric.name, metric.description, metric.tag_keys, metric.type) == (
        "calls",
        "Calls so far",
        ("method",),
        "Counter",
    )
    assert Metrics.gauge("g").tag_keys == ()


def test_values():
    counter, gauge = Metrics.counter("c", "", ("t",)), Metrics.gauge("g")
    for value in (1, 2.5):
        counter.record(value, {"t": value})
        gauge.record(value)
    assert (counter.value, gauge.value) == (3.5, 2.5)
    counter.record()
    assert counter.value == 4.5
    histogram = Metrics.histogram("h")
    for value in (1, 2, 6):
        histogram.record(value)
    assert histogram.value == 3


def test_a_meter_is_the_rate_of_the_last_minute(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(metrics.Rate, "_now", staticmethod(lambda: now))
    meter = Metrics.meter("m")
    meter.record(4)
    assert meter.value == 4  # of the first second
    now += 10
    meter.record(6)
    assert meter.value == 1
    now += 55
    assert meter.value == 6 / 60
    now += 60
    assert meter.value == 0


def test_bad_input():
    with pytest.raises(ValueError, match="no tag 'b'; its tags: a"):
        Metrics.counter("c", "", ("a",)).record(1, {"b": 1})
    with pytest.raises(ValueError, match="shrink"):
        Metrics.counter("c").record(-1)
    for kind in (Metrics.counter, Metrics.gauge, Metrics.meter, Metrics.histogram):
        metric = kind("c")
        with pytest.raises(TypeError, match="the metric c takes numbers, not 'x'"):
            metric.record("x")
        assert metric.value == 0
    with pytest.raises(ValueError, match="name"):
        Metrics.gauge("")
    with pytest.raises(ValueError, match="tuple"):
        Metrics.gauge("g", "", "tag")
    with pytest.raises(ValueError, match="console or prometheus, not to 'nope'"):
        init_metrics("nope")
    with pytest.raises(ValueError, match="no options"):
        init_metrics("console", {"port": 1})


def test_console(caplog):
    caplog.set_level(logging.DEBUG, "xoscar.metrics")
    early = Metrics.counter("early", "", ("t",))
    early.record(1)
    assert caplog.messages == []
    init_metrics()
    early.record(2, {"t": "x"})
    assert caplog.messages == ["Counter early: recorded 2, now 3, tags {'t': 'x'}"]
    shutdown_metrics()
    early.record(1)
    assert len(caplog.messages) == 1 and early.value == 4


# ---- prometheus ----


@pytest.fixture
def port():
    pytest.importorskip("prometheus_client")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def scraped(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_prometheus(port):
    init_metrics("prometheus", {"port": port})
    counter = Metrics.counter("t.calls", "Calls", ("method", "kind"))
    counter.record(2, {"method": "add", "kind": 1})
    counter.record(3, {"method": "add", "kind": 1})
    counter.record(1)
    Metrics.gauge("t_gauge").record(2.5)
    Metrics.meter("t_meter", "", ("x",)).record(60, {"x": "y"})
    histogram = Metrics.histogram("t_histogram")
    histogram.record(0.5)
    histogram.record(2)
    found = scraped(port)
    assert found['t_calls_total{kind="1",method="add"}'] == "5.0"
    assert found['t_calls_total{kind="",method=""}'] == "1.0"
    assert found["t_gauge"] == "2.5"
    assert float(found['t_meter{x="y"}']) > 0
    assert (found["t_histogram_count"], found["t_histogram_sum"]) == ("2.0", "2.5")


def test_metrics_that_are_alike_share_a_name(port):
    init_metrics("prometheus", {"port": port})
    for _ in range(2):
        Metrics.counter("t_shared", "", ("a",)).record(1, {"a": "b"})
    assert scraped(port)['t_shared_total{a="b"}'] == "2.0"
    with pytest.raises(ValueError, match="already"):
        Metrics.gauge("t_shared").record(1)


def test_prometheus_can_be_ended_and_begun_anew(port):
    counter = Metrics.counter("t_again")
    for _ in range(2):
        init_metrics("prometheus", {"port": port})
        counter.record(1)
        assert scraped(port)["t_again_total"] == "1.0"
    shutdown_metrics()
    with pytest.raises(OSError):
        scraped(port)


def test_prometheus_errors(port, monkeypatch):
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
        with pytest.raises(OSError):
            init_metrics("prometheus", {"port": s.getsockname()[1]})
    with pytest.raises(ValueError, match="port"):
        init_metrics("prometheus", {"port": "x"})
    with pytest.raises(ValueError, match="host"):
        init_metrics("prometheus", {"host": "x"})
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match="pip install prometheus_client"):
        init_metrics("prometheus")

"""xoscar.utils."""

import socket
import sys

import pytest

from xoscar import utils


def test_the_platform():
    assert utils.is_linux() is sys.platform.startswith("linux")
    assert utils.is_windows() is False


def test_ports_are_free_and_given_once():
    ports = [utils.get_next_port() for _ in range(20)]
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))
    assert 0 < utils.get_next_port(socket.SOCK_DGRAM) < 65536
    assert utils.get_next_port(occupy=False) not in ports


@pytest.mark.parametrize(
    "address, is_v6, is_zero",
    [
        ("127.0.0.1:80", False, False),
        ("127.0.0.1", False, False),
        ("0.0.0.0:80", False, True),
        ("0.0.0.0", False, True),
        ("10.0.0.0:0", False, False),
        ("localhost:80", False, False),
        ("localhost", False, False),
        ("", False, False),
        ("[::]:80", True, True),
        (":::80", True, True),
        ("::", True, True),
        ("0:0:0:0:0:0:0:0:80", True, True),
        ("::1", True, False),
        ("[::1]:80", True, False),
        ("2001:db8::1:80", True, False),
        ("[2001:db8::1]", True, False),
    ],
)
def test_addresses(address, is_v6, is_zero):
    assert utils.is_v6_ip(address) is is_v6
    assert utils.is_zero_ip(address) is is_zero


@pytest.mark.parametrize(
    "remote, connect, fixed",
    [
        ("0.0.0.0:80", "1.2.3.4:90", "1.2.3.4:80"),
        ("0.0.0.0:80", "host:9", "host:80"),
        ("1.2.3.4:80", "5.6.7.8:9", "1.2.3.4:80"),
        ("0.0.0.0:80", "0.0.0.0:9", "0.0.0.0:80"),
        (":::80", "::1:90", "::1:80"),
        ("[::]:80", "[fe80::1]:90", "[fe80::1]:80"),
        ("[::]:80", "1.2.3.4:90", "1.2.3.4:80"),
    ],
)
def test_fixing_an_address_of_all_interfaces(remote, connect, fixed):
    assert utils.fix_all_zero_ip(remote, connect) == fixed


@pytest.fixture
def a_module(tmp_path, monkeypatch):
    (tmp_path / "lazy_example.py").write_text("value = 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "lazy_example"
    sys.modules.pop("lazy_example", None)


def test_a_module_is_imported_when_it_is_used(a_module):
    space = {}
    module = space["lazy_example"] = utils.lazy_import(a_module, globals=space)
    assert a_module not in sys.modules
    assert module.value == 5
    assert space["lazy_example"] is sys.modules[a_module]
    with pytest.raises(AttributeError):
        module.nothing
    module.value = 6
    assert sys.modules[a_module].value == 6


def test_a_module_under_another_name(a_module):
    space, local = {"lazy_example": "something else"}, {}
    module = utils.lazy_import(a_module, globals=space, locals=local, rename="short")
    assert module.value == 5
    assert space["short"] is local["short"] is sys.modules[a_module]
    assert space["lazy_example"] == "something else"


def test_a_relative_module():
    module = utils.lazy_import(".errors", package="xoscar")
    assert module.XoscarError.__name__ == "XoscarError"


def test_a_module_that_is_not_installed():
    assert utils.lazy_import("no_such_module_at_all") is None
    assert utils.lazy_import("no_such_package.inner") is None
    missing = utils.lazy_import("no_such_module_at_all", placeholder=True)
    with pytest.raises(AttributeError, match="no_such_module_at_all is required but not installed"):
        missing.anything
    with pytest.raises(AttributeError, match="not installed"):
        missing()

"""Addresses: how pools are named, advertised and reached; and who asks from where."""

import asyncio
import os
import socket
import sys

import pytest

import xoscar as xo
from actors import Echo
from xoscar.backends.router import Router


async def make(address, n_process=1, **options):
    return await xo.create_actor_pool(address, n_process=n_process, **options)


async def addresses_of(pool):
    return (await xo.get_pool_config(pool.external_address)).get_external_addresses()


def host_of(address):
    return address.rpartition(":")[0]


ASKER = """
import asyncio, sys
import xoscar as xo

async def main():
    for address in sys.argv[1:]:
        ref = await xo.actor_ref(address, "echo")
        assert await ref.tagged() == "main"
        config = await xo.get_pool_config(address)
        print(ref.address, config.n_pool)

asyncio.run(main())
"""


async def ask_from_elsewhere(*addresses):
    """What another process, which knows no more than the addresses, finds there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASKER, *addresses, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().split("\n")[:-1]


has_v6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")
v6 = pytest.mark.skipif(not has_v6, reason="no IPv6")


# ---- ways to name a pool ----


@pytest.mark.parametrize(
    "address,host",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:0", "127.0.0.1"),
        ("localhost", "localhost"),
        ("localhost:0", "localhost"),
        pytest.param("[::1]", "[::1]", marks=v6),
        pytest.param("::1", "[::1]", marks=v6),
        pytest.param("[::1]:0", "[::1]", marks=v6),
    ],
)
@pytest.mark.parametrize("elastic", [False, True])
async def test_hosts(address, host, elastic):
    async with await make(address, extra_conf={"listen_elastic_ip": elastic}) as pool:
        addresses = await addresses_of(pool)
        assert [host_of(a) for a in addresses] == [host, host]
        for a in addresses:
            assert await (await xo.create_actor(Echo, address=a)).identity() != (b"", a)
        assert host_of(await pool.append_sub_pool()) == host


async def test_a_port_that_is_given():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with await make(f"127.0.0.1:{port}", 0) as pool:
        assert pool.external_address == f"127.0.0.1:{port}"


@pytest.mark.parametrize("address", ["0.0.0.0", pytest.param("[::]", marks=v6)])
async def test_all_interfaces_are_never_advertised(address):
    async with await make(address) as pool:
        for a in await addresses_of(pool):
            assert host_of(a) not in ("0.0.0.0", "[::]", "::")
            family = socket.AF_INET6 if address == "[::]" else socket.AF_INET
            own = "::1" if address == "[::]" else "127.0.0.1"
            with socket.socket(family) as s:  # it listens there as well
                s.connect((own, int(a.rpartition(":")[2])))


async def test_every_name_of_the_host_reaches_it_from_elsewhere():
    async with await make("0.0.0.0") as pool:
        main = pool.external_address
        await xo.create_actor(Echo, "main", uid="echo", address=main)
        port = main.rpartition(":")[2]
        names = [main, f"127.0.0.1:{port}", f"localhost:{port}", f"0.0.0.0:{port}"]
        assert await ask_from_elsewhere(*names) == [f"{main} 2"] * 4


async def test_every_name_of_the_host_reaches_it_from_its_own_process():
    async with await make("0.0.0.0") as pool:
        main = pool.external_address
        port = main.rpartition(":")[2]
        for name in (f"127.0.0.1:{port}", f"localhost:{port}", f"0.0.0.0:{port}"):
            ref = await xo.create_actor(Echo, "main", uid=name, address=name)
            assert ref.address == main and isinstance(ref, xo.LocalActorRef)
            assert await xo.actor_ref(name, name) == ref
            assert (await xo.get_pool_config(name)).n_pool == 2
            strategy = xo.allocate_strategy.RandomSubPool()
            ref = await xo.create_actor(Echo, address=name, allocate_strategy=strategy)
            assert ref.address in pool.sub_processes


@pytest.mark.skipif(
    os.environ.get("XO_LANES") == "tcp", reason="needs a lane that does not dial the address"
)
async def test_an_elastic_address_need_not_be_one_of_this_machine_s():
    conf = {"listen_elastic_ip": True}
    async with await make("203.0.113.7", extra_conf=conf) as pool:
        main, sub = await addresses_of(pool)
        assert host_of(main) == host_of(sub) == "203.0.113.7"
        ref = await xo.create_actor(Echo, "main", uid="echo", address=main)
        other = await xo.create_actor(Echo, ref, address=sub)
        assert await (await other.tagged()).tagged() == "main"
        # Who comes from outside comes by another address.
        port = main.rpartition(":")[2]
        assert await ask_from_elsewhere(main, f"127.0.0.1:{port}") == [f"{main} 2"] * 2


async def test_an_address_that_is_not_of_this_machine():
    with pytest.raises(OSError, match="203.0.113.7"):
        await make("203.0.113.7")


async def test_another_process_needs_host_and_port_only():
    async with await make("127.0.0.1") as pool:
        main, sub = await addresses_of(pool)
        await xo.create_actor(Echo, "main", uid="echo", address=main)
        assert await ask_from_elsewhere(main, sub) == [f"{main} 2"] * 2


# ---- a plain client ----

CLIENT = """
import asyncio, os, sys
import _xo
import xoscar as xo

def sockets():
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            pass
    return sum(link.startswith("socket:") for link in links)

async def main():
    ref = await xo.actor_ref(sys.argv[1], "echo")
    assert _xo.pool() is None
    await ref.echo(0)
    before = sockets()
    calls = [ref.echo(i) for i in range(10_000)]
    answers = asyncio.gather(*calls)
    most = 0
    while not answers.done():
        most = max(most, sockets())
        await asyncio.sleep(0)
    assert await answers == list(range(10_000))
    print(before, max(most, sockets()))

asyncio.run(main())
"""


@pytest.mark.parametrize("index", [0, 1])
async def test_a_client_makes_10000_calls_at_once_over_one_connection(index):
    async with await make("127.0.0.1") as pool:
        address = (await addresses_of(pool))[index]
        await xo.create_actor(Echo, uid="echo", address=address)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, address, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        before, most = map(int, out.split())
        assert most == before  # that of the first call is that of all


# ---- the configuration ----


async def test_the_configuration_is_the_same_wherever_it_is_asked():
    async with await make("127.0.0.1", 2, labels=["m", "a", "b"]) as pool:
        main, one, two = addresses = await addresses_of(pool)
        configs = [(await xo.get_pool_config(a)).as_dict() for a in addresses]
        assert configs[0] == configs[1] == configs[2]
        pid = pool.sub_processes[one].pid
        assert configs[0]["pools"][1] == {
            "label": "a", "external_address": [one], "pid": pid, "state": "ready"
        }


async def test_what_a_configuration_answers():
    from xoscar.backends.config import ActorPoolConfig

    async with await make("127.0.0.1", 2, labels=["m", "a", "a"]) as pool:
        config = await xo.get_pool_config(pool.external_address)
        assert isinstance(config, ActorPoolConfig)
        main, one, two = config.get_external_addresses()
        assert config.n_pool == 3 and config.get_process_indexes() == [0, 1, 2]
        assert [config.get_external_address(i) for i in range(3)] == [main, one, two]
        assert [config.get_process_index(a) for a in (main, one, two)] == [0, 1, 2]
        assert config.get_external_addresses("a") == [one, two]
        assert config.get_external_addresses(label="nobody's") == []
        assert config.get_pool_config(0)["label"] == "m"
        for ask in (config.get_external_address, config.get_pool_config):
            with pytest.raises(KeyError, match="no pool 7"):
                ask(7)
        with pytest.raises(ValueError, match="no pool at 127.0.0.1:1"):
            config.get_process_index("127.0.0.1:1")


async def test_a_configuration_of_nobody():
    with pytest.raises(xo.ServerClosed):
        await xo.get_pool_config("127.0.0.1:1")
    with pytest.raises(ValueError, match="is no address"):
        await xo.get_pool_config("127.0.0.1:x")
    with pytest.raises(TypeError):
        await xo.get_pool_config(None)


# ---- the facade ----


class Asker(xo.Actor):
    def route(self, *addresses):
        router = Router.get_instance()
        return router.external_address, [router.get_internal_address(a) for a in addresses]


async def test_router():
    assert Router.get_instance() is None
    assert Router.get_instance_or_empty().external_address is None
    async with await make("127.0.0.1") as pool:
        main, sub = await addresses_of(pool)
        router = Router.get_instance_or_empty()
        assert router.external_address == main == Router.get_instance().external_address
        path = router.get_internal_address(sub)
        assert path.startswith("ipc://") and path.endswith(sub)
        assert router.get_internal_address("127.0.0.1:1") is None
        asker = await xo.create_actor(Asker, address=sub)
        own, ways = await asker.route(main, sub, "127.0.0.1:1")
        assert own == sub and ways[1] == path and ways[0].endswith(main) and ways[2] is None
        Router.set_instance(Router(["a:1"], "ipc:///a", {"b:2": "ipc:///b"}))
        try:
            chosen = Router.get_instance()
            assert chosen.external_address == "a:1"
            assert chosen.get_internal_address("a:1") == "ipc:///a"
            assert chosen.get_internal_address("b:2") == "ipc:///b"
        finally:
            Router.set_instance(None)
        assert Router.get_instance().external_address == main


def test_setup_cluster_is_accepted():
    xo.setup_cluster({})
    xo.setup_cluster({"127.0.0.1:1234": {"CPU": 4, "GPU": 0.5}})
    with pytest.raises(TypeError, match="takes a dict"):
        xo.setup_cluster(["127.0.0.1:1"])
    with pytest.raises(TypeError, match="are a dict"):
        xo.setup_cluster({"127.0.0.1:1": 4})
    with pytest.raises(ValueError, match="is no address"):
        xo.setup_cluster({"127.0.0.1:x": {}})

"""Tells that wait in a pool whose process dies: its sender or the broker counts each, once."""

import os
import signal

import xoscar as xo
from actors import Echo, Gate, make, until

FAR = 5000  # several portions of credit, and a rest
NEAR = 300


class Teller(Echo):
    async def tell(self, ref, count):
        for number in range(count):
            await ref.hold.tell(number)


async def test_each_is_counted_once():
    async with await xo.create_actor_pool("127.0.0.1", n_process=1) as pool:
        (address,) = pool.sub_processes
        broker = xo.ActorRef(pool.external_address, "xo.broker")
        gate, teller = await make(Gate, address), await make(Teller, address)
        for number in range(FAR):
            await gate.hold.tell(number)
        await teller.tell(gate, NEAR)

        async def waiting():
            return [record["waiting"] for record in await broker.pools()]

        await until(waiting, lambda counts: FAR + NEAR - 1 in counts)  # one runs
        os.kill(await teller.pid(), signal.SIGKILL)
        await until(broker.pools, lambda records: max(r["generation"] for r in records) == 2)
        letters = (await broker.letters(1000, False))["letters"]
        lost = [letter for letter in letters if letter["reason"] == "lost"]
        assert sum(letter["count"] for letter in lost) == FAR + NEAR - 1, lost
        assert len(lost) == 2 and {letter["to"] for letter in lost} == {address}

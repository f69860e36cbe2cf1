"""What a sub pool's process does not import until somebody uses it."""

import asyncio
import shutil
import subprocess
import sys

import pytest

import xoscar as xo


class Inside(xo.Actor):
    def modules(self):
        return [name for name in ("ssl", "asyncio.sslproto") if name in sys.modules]

    def what_is_imported_then(self):
        import asyncio.sslproto as sslproto
        import ssl

        real = sys.modules["ssl"], sys.modules["asyncio.sslproto"]
        assert asyncio.base_events.ssl.SSLContext is ssl.SSLContext
        return (ssl, sslproto) == real and "StandIn" not in str([type(m) for m in real])

    async def over_tls(self, certificate):
        """A line that goes there and back through asyncio's TLS."""
        import ssl

        async def serve(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        here.load_cert_chain(certificate)
        there = ssl.create_default_context(cafile=certificate)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=here)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=there, server_hostname="localhost"
        )
        writer.write(b"over TLS\n")
        line = await reader.readline()
        writer.close()
        server.close()
        return line


async def make(cls):
    pool = await xo.create_actor_pool("127.0.0.1", n_process=1, use_uvloop=False)
    return pool, await xo.create_actor(cls, address=next(iter(pool.sub_processes)))


async def test_tls_is_imported_when_it_is_used():
    pool, ref = await make(Inside)
    assert {"ssl", "asyncio.sslproto"} & set(await ref.modules()) == set()
    assert await ref.what_is_imported_then()
    await pool.stop()


async def test_tls_works(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    both = tmp_path / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    both.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "cert.pem").read_text())
    pool, ref = await make(Inside)
    assert await ref.over_tls(str(both)) == b"over TLS\n"
    await pool.stop()

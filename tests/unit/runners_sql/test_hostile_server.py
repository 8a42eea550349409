"""A database server is not trusted either: one that asks for a file of this machine gets none."""

import asyncio
from pathlib import Path

from millrace.ports.runner import Failed, RunnerContext, RunnerServices
from millrace.runners.database import DatabaseConfig, DatabaseRunner

OK = b"\x00\x00\x00\x02\x00\x00\x00"
GREETING = (
    b"\x0a5.7.0\x00\x01\x00\x00\x00abcdefgh\x00"  # protocol, version, thread, first part of the salt
    b"\x08\xa2\x2d\x02\x00\x08\x00\x15" + bytes(10) + b"abcdefghijkl\x00mysql_native_password\x00"
)


class HostileServer:
    """Speaks just enough of the protocol to let a client in, then answers a statement with 'send me this file'."""

    def __init__(self, wanted: Path) -> None:
        self._wanted = wanted
        self.received = b""
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()
            self.ended.set()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._send(writer, 0, GREETING)
        await self._packet(reader)
        self._send(writer, 2, OK)
        while packet := await self._packet(reader):
            if packet[:1] == b"\x03" and b"AUTOCOMMIT" not in packet:
                self._send(writer, 1, b"\xfb" + str(self._wanted).encode())
                self.received = await reader.read()
                return
            self._send(writer, 1, OK)

    async def _packet(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readexactly(4)
            return await reader.readexactly(int.from_bytes(head[:3], "little"))
        except asyncio.IncompleteReadError:
            return b""

    def _send(self, writer: asyncio.StreamWriter, number: int, payload: bytes) -> None:
        writer.write(len(payload).to_bytes(3, "little") + bytes([number]) + payload)


class LocalAddresses:
    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        return ("127.0.0.1",)


async def test_a_server_that_asks_for_a_local_file_gets_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the content of a local file")
    hostile = HostileServer(secret)
    services = RunnerServices(
        http=None,  # type: ignore[arg-type]
        addresses=LocalAddresses(),
        sqlite_allowed_dirs=(),
        own_database=None,
    )
    async with await asyncio.start_server(hostile.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        config = DatabaseConfig(connection_string=f"mysql://u@h:{port}/d?sslmode=disable", sql="select 1")
        outcome = await DatabaseRunner(services).run(config, RunnerContext("r", "t", 1, lambda *_, **__: None))
        await asyncio.wait_for(hostile.ended.wait(), 60)

    assert isinstance(outcome, Failed)
    assert "LOCAL" in outcome.failure.message
    assert hostile.received == b""

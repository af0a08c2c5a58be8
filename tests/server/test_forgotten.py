"""Connections whose request never comes are closed, and no others."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import uvicorn

from server import run
from server.app import create_app
from server.protocol import ShortWayProtocol
from server.settings import Settings

REQUEST = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def connected(server: run.DrainingServer, count: int) -> AsyncIterator[list["Client"]]:
    clients = []
    for _ in range(count):
        ours, theirs = socket.socketpair()
        make = partial(ShortWayProtocol, config=server.config, server_state=server.server_state, app_state={})
        await asyncio.get_running_loop().connect_accepted_socket(make, ours)
        clients.append(Client(*await asyncio.open_connection(sock=theirs)))
    yield clients
    for client in clients:
        client.writer.close()
    await asyncio.sleep(0.02)


@dataclass
class Client:
    """The other end of a connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self) -> None:
        self.writer.write(REQUEST)
        assert b"200 OK" in await self.reader.readuntil(b'{"status":"live"}')

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.sleep(0.02)

    def is_closed(self) -> bool:
        return self.reader.at_eof()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> run.DrainingServer:
    monkeypatch.setattr(run, "HEAD_SECONDS", 0.0)
    application = create_app(Settings())
    config = uvicorn.Config(application, http=ShortWayProtocol, log_config=None)
    config.load()
    return run.DrainingServer(config, application, None, lambda models: None)


async def look(server: run.DrainingServer) -> None:
    await server.on_tick(0)
    await asyncio.sleep(0.02)


def test_who_sends_no_head_of_a_request_is_closed_at_the_second_look(server):
    async def test() -> None:
        async with connected(server, 3) as clients:
            _, half, second_half = clients
            await half.send(REQUEST[:-4])
            await second_half.ask()
            await second_half.send(REQUEST[:10])
            await look(server)
            assert not any(client.is_closed() for client in clients)
            await look(server)
            assert all(client.is_closed() for client in clients)

    asyncio.run(test())


def test_who_asks_in_time_or_rests_between_requests_is_left_alone(server):
    async def test() -> None:
        async with connected(server, 2) as clients:
            busy, resting = clients
            await resting.ask()
            for _ in range(3):
                await busy.send(REQUEST[:10])
                await look(server)
                await busy.send(REQUEST[10:])
                await busy.reader.readuntil(b'{"status":"live"}')
            assert not any(client.is_closed() for client in clients)

    asyncio.run(test())


def test_who_waits_for_an_answer_is_left_alone(server):
    async def test() -> None:
        async with connected(server, 1) as (client,):
            head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"
            await client.send(head)
            for _ in range(3):
                await look(server)
            assert not client.is_closed()

    asyncio.run(test())

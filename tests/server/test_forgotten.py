"""Connections whose request never comes, or whose answer is never read, are closed, and no others."""

import asyncio
import re
import socket

import pytest

from server import run
from server.app import create_app
from server.settings import Settings
from tests.server.inside import REQUEST, connected, server_of


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> run.DrainingServer:
    monkeypatch.setattr(run, "CLIENT_SECONDS", 0.0)
    return server_of(create_app(Settings()))


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


@pytest.mark.parametrize(
    ("path", "closing"), [(b"/openapi.json", True), (b"/static-offline-docs/swagger-ui-bundle.js", False)]
)
def test_who_reads_no_more_of_an_answer_is_let_go_at_the_second_look(server, path, closing):
    """Be it that all was written and the connection is to close, or that the rest waits for the client."""

    async def test() -> None:
        async with connected(server, 1) as (client,):
            (connection,) = server.server_state.connections
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            client.writer.transport.pause_reading()
            await client.send(b"GET %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path)
            while not (connection.unread and connection.waits_for_its_client):
                await asyncio.sleep(0.01)
            assert connection.transport.is_closing() == closing
            await look(server)
            assert server.server_state.connections
            await look(server)
            assert not server.server_state.connections

    asyncio.run(test())


def test_who_reads_on_gets_the_whole_answer(server):
    async def test() -> None:
        async with connected(server, 1) as (client,):
            client.writer.write(b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await client.reader.readuntil(b"\r\n\r\n")
            left = int(re.search(rb"content-length: (\d+)", head)[1])
            assert left > 500_000
            while left:
                await server.on_tick(0)
                for _ in range(50):
                    await asyncio.sleep(0)
                left -= len(await client.reader.read(300_000))
            assert not client.is_closed()

    asyncio.run(test())

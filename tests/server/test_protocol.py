"""The short way of `POST /predict` keeps what HTTP/1.1 promises, and what uvicorn does for all other addresses."""

import asyncio
import re
import socket
from urllib.parse import urlsplit

import pytest
import uvloop

from server.app import create_app
from server.settings import Settings
from tests.server.engine.fakes import SECONDS, SummingBackend
from tests.server.inside import SUMS, Client, answering, connected, server_of

BODY = b'{"inputs": "good"}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(BODY)


def connect(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), timeout=10)


def receive(connection: socket.socket, until: bytes) -> bytes:
    data = b""
    while until not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


def test_a_head_request_is_answered_at_once(server):
    with connect(server.url) as connection:
        connection.sendall(b"HEAD /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
        assert receive(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_client_that_waits_for_100_continue_gets_it(server):
    with connect(server.url) as connection:
        connection.sendall(HEAD + b"expect: 100-continue\r\n\r\n")
        assert receive(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.sendall(BODY)
        assert b'"label"' in receive(connection, b"}}}")


def test_pipelined_requests_are_answered_in_order(server):
    with connect(server.url) as connection:
        requests = [HEAD + b"x-request-id: %d\r\n\r\n" % index + BODY for index in range(5)]
        connection.sendall(b"".join(requests))
        data = b""
        while data.count(b'"label"') < 5:
            data += connection.recv(65536)
        places = [data.index(b"x-request-id: %d" % index) for index in range(5)]
        assert places == sorted(places)


def test_an_answer_arrives_in_one_piece_with_the_headers_that_all_answers_have(server):
    with connect(server.url) as connection:
        connection.sendall(HEAD + b"\r\n" + BODY)
        answer = connection.recv(65536)
    head, body = answer.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    names = [line.split(b":")[0] for line in head.split(b"\r\n")[1:]]
    assert names == [b"date", b"content-type", b"content-length", b"x-request-id", b"server-timing"]
    assert b"content-length: %d\r\n" % len(body) in head


def test_a_client_that_asks_for_it_gets_its_connection_closed(server):
    with connect(server.url) as connection:
        connection.sendall(HEAD + b"connection: close\r\n\r\n" + BODY)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    assert b"connection: close\r\n" in data
    assert data.endswith(b"}}}")


def test_http_1_0_is_answered_and_closed(server):
    with connect(server.url) as connection:
        connection.sendall((HEAD + b"\r\n").replace(b"HTTP/1.1", b"HTTP/1.0") + BODY)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    assert data.endswith(b"}}}")


def test_a_body_in_chunks_is_put_together(server):
    with connect(server.url) as connection:
        head = (
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        connection.sendall(head)
        for part in (BODY[:5], BODY[5:]):
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")
        assert b'"label"' in receive(connection, b"}}}")


POST = HEAD.replace(b"content-length: %d" % len(BODY), b"content-length: %d")


def counting(steps: int) -> bytes:
    body = b'{"inputs": {"tokens": [%s1]}}' % (b"1, " * (steps - 1))
    return POST % len(body) + b"\r\n" + body


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_request_that_arrives_during_a_step_is_in_the_next_one(tmp_path, loop):
    class Busy(SummingBackend):
        """In the middle of its third step the second client asks."""

        second: Client

        def run(self, inputs, lengths, state):
            if len(self.calls) == 2:
                self.second.writer.write(counting(3))
            return super().run(inputs, lengths, state)

    async def main() -> None:
        backend = Busy()
        async with (
            answering(tmp_path, SUMS, backend, slots=2, chunk_ms=1e-6) as (app, _),
            connected(server_of(app), 2) as (first, backend.second),
        ):
            first.writer.write(counting(8))
            for client, steps in ((backend.second, 3), (first, 8)):
                assert b'"value_2":%d.0' % steps in await client.reader.readuntil(b"}}")
        assert [rows for rows, _ in backend.calls] == [1, 1, 1, 2, 2, 2, 1, 1]

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(main(), SECONDS))


def test_answers_wait_for_a_client_that_asks_and_does_not_read():
    async def main() -> None:
        async with connected(server := server_of(create_app(Settings())), 1) as (client,):
            (connection,) = server.server_state.connections
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            client.writer.transport.pause_reading()
            count = 3000
            client.writer.write((HEAD + b"\r\n" + BODY) * count)
            while not connection.flow.write_paused:
                await asyncio.sleep(0)
            _, most = connection.transport.get_write_buffer_limits()
            for _ in range(2 * count):
                await asyncio.sleep(0)
                assert connection.transport.get_write_buffer_size() <= most + 1000
            client.writer.transport.resume_reading()
            for _ in range(count):
                head = await client.reader.readuntil(b"\r\n\r\n")
                await client.reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))

    asyncio.run(asyncio.wait_for(main(), SECONDS))

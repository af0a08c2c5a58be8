"""A connection that ends while a body is still coming: the answer arrives, and nobody can hold it open."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from server.protocol import LastWords


class Before(asyncio.Protocol):
    """What had the connection until then."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


def ending(client: Callable[[socket.socket], None]) -> float:
    """Seconds until a connection has ended whose other end is in the hands of `client`."""

    async def run() -> float:
        ours, theirs = socket.socketpair()
        with theirs:
            transport, before = await asyncio.get_running_loop().connect_accepted_socket(Before, ours)
            started = time.monotonic()
            transport.write(b"the answer")
            LastWords(transport, before)
            talk = asyncio.create_task(asyncio.to_thread(client, theirs))
            await asyncio.wait_for(before.lost.wait(), 30)
            seconds = time.monotonic() - started
            await talk
            return seconds

    return asyncio.run(run())


def test_a_client_that_has_sent_all_reads_the_answer_and_its_end():
    def client(connection: socket.socket) -> None:
        connection.sendall(b"x" * 5_000_000)
        assert connection.recv(100) == b"the answer"
        assert connection.recv(100) == b""
        connection.close()

    assert ending(client) < LastWords.MOST_SECONDS


def test_a_client_that_goes_on_and_on_is_cut_off(monkeypatch):
    monkeypatch.setattr(LastWords, "MOST_BYTES", 1_000_000)

    def client(connection: socket.socket) -> None:
        with suppress(ConnectionError):
            while True:
                connection.sendall(b"x" * 100_000)

    assert ending(client) < LastWords.MOST_SECONDS


def test_a_client_that_does_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr(LastWords, "MOST_SECONDS", 0.2)
    assert ending(lambda connection: None) >= 0.15


def test_a_body_without_an_end_is_cut_off_on_a_connection_that_was_to_be_kept(server):
    place = urlsplit(server.url)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (2**20, b" " * 2**20)
    sent = 0
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(head)
        with suppress(ConnectionError):
            while sent <= 2 * LastWords.MOST_BYTES:
                connection.sendall(chunk)
                sent += len(chunk)
    assert sent < 2 * LastWords.MOST_BYTES

import itertools
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import numpy as np
import pytest

from loadtests.bench import openloop
from loadtests.bench.openloop import Channel, Client, Stream
from loadtests.bench.servers import ceiling, running

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine"


def test_arrivals_are_random_and_the_same_for_the_same_seed():
    stream = Stream("text", 500, [b""])
    due = stream.due(4, seed=1)
    assert due == stream.due(4, seed=1) != stream.due(4, seed=2)
    assert due == sorted(due)
    assert due[-1] < 4
    assert 1800 <= len(due) <= 2200
    assert 0.8 < np.std(np.diff(due)) * 500 < 1.2


def test_an_answer_may_come_in_pieces():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours)
        for piece, complete in ((ANSWER[:20], False), (ANSWER[20:-2], False), (ANSWER[-2:], True)):
            theirs.sendall(piece)
            assert channel.receive() is complete
        assert channel.ok
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError, match="closed a connection"):
            channel.receive()


@pytest.fixture
def slow_server() -> Iterator[str]:
    """Answers everything, but only one connection at a time, each after 20 ms."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=600)

    def serve() -> None:
        connections = [listener.accept()[0] for _ in range(openloop.FIRST_CONNECTIONS)]
        while not stop.is_set():
            for connection in connections:
                connection.settimeout(0.001)
                try:
                    if connection.recv(65536):
                        stop.wait(0.02)
                        connection.sendall(ANSWER)
                except TimeoutError:
                    continue
                except OSError:
                    break
        for connection in connections:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/predict"
    stop.set()
    thread.join()
    listener.close()


def test_waiting_for_a_slow_server_is_in_the_latency(slow_server):
    result = openloop.drive(slow_server, [Stream("text", 100, [b"POST"])], 0.3)
    latencies = result["latencies_ms"]["text"]
    assert (result["failed"], result["unanswered"]) == (0, 0)
    assert len(latencies) == len(result["late_ms"]) == round(result["offered"] * 0.3)
    assert max(latencies) > 2 * 20


def test_the_program_prints_json(tmp_path, capsys):
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text('{"inputs": "a"}\n{"inputs": "b"}\n')
    with running(ceiling(1), tmp_path) as found:
        streams = [f"--stream=short=100:{bodies}", f"--stream=long=20:{bodies}"]
        assert openloop.main(["--url", found.url, "--seconds", "0.5", *streams]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["failed"] == 0
    assert set(result["latencies_ms"]) == {"short", "long"}
    assert len(result["latencies_ms"]["short"]) > len(result["latencies_ms"]["long"]) > 0


def test_a_request_without_an_answer_counts_with_the_time_that_it_waited(slow_server, monkeypatch):
    monkeypatch.setattr(openloop, "GRACE_SECONDS", 0.3)
    result = openloop.drive(slow_server, [Stream("text", 100, [b"POST"]), Stream("rare", 1e-9, [b"POST"])], 0.5)
    assert result["failed"] == 0
    assert 0 < result["unanswered"] < result["offered"] * 0.5
    assert len(result["latencies_ms"]["text"]) == round(result["offered"] * 0.5)
    assert max(result["latencies_ms"]["text"]) > 300
    assert result["latencies_ms"]["rare"] == []


@contextmanager
def answering(
    answer: Callable[[socket.socket, int], None], opened: Callable[[socket.socket], None] = lambda connection: None
) -> Iterator[str]:
    """A server that calls `opened` for each connection, and `answer` for each request, of all the n-th."""
    numbers = itertools.count()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                opened(self.request)
                while self.request.recv(65536):
                    answer(self.request, next(numbers))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, request_queue_size = True, 600

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/predict"
        server.shutdown()
        thread.join()


def test_refusals_are_failures_and_no_latencies():
    refusal = ANSWER.replace(b"200 OK", b"503 Service Unavailable")
    with answering(lambda connection, n: connection.sendall(refusal if n % 2 else ANSWER)) as url:
        result = openloop.drive(url, [Stream("text", 200, [b"POST"])], 0.3)
    requests = round(result["offered"] * 0.3)
    assert (result["failed"], result["unanswered"]) == (requests // 2, 0)
    assert len(result["latencies_ms"]["text"]) == requests - requests // 2


def test_an_answer_that_is_cut_off_is_a_failure_and_its_connection_is_replaced():
    def cut_off(connection: socket.socket, number: int) -> None:
        connection.sendall(ANSWER[:20] if number % 2 else ANSWER)
        if number % 2:
            connection.shutdown(socket.SHUT_RDWR)

    with answering(cut_off) as url:
        result = openloop.drive(url, [Stream("text", 400, [b"POST"])], 0.3)
    requests = round(result["offered"] * 0.3)
    assert requests // 2 > openloop.FIRST_CONNECTIONS
    assert (result["failed"], result["unanswered"]) == (requests // 2, 0)
    assert len(result["latencies_ms"]["text"]) == requests - requests // 2


def test_a_server_may_close_a_connection_that_is_idle():
    connections = itertools.count(1)

    def close_the_first(connection: socket.socket) -> None:
        if next(connections) <= openloop.FIRST_CONNECTIONS:
            connection.shutdown(socket.SHUT_RDWR)

    with answering(lambda connection, _: connection.sendall(ANSWER), opened=close_the_first) as url:
        client = Client(urlsplit(url))
        client.run([(0.2 + index / 100, "text", b"POST") for index in range(10)], 0.3)
        client.close()
    assert (client.record.failed, client.record.unanswered, len(client.record.latencies["text"])) == (0, 0, 10)

import json
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from loadtests.bench import openloop
from loadtests.bench.openloop import Channel, Stream
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
    figures = result["kinds"]["text"]
    assert result["failed"] == 0
    assert figures["requests"] == round(result["offered"] * 0.3)
    assert figures["p99_ms"] > 2 * 20


def test_the_program_prints_json(tmp_path, capsys):
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text('{"inputs": "a"}\n{"inputs": "b"}\n')
    with running(ceiling(1), tmp_path) as found:
        streams = [f"--stream=short=100:{bodies}", f"--stream=long=20:{bodies}"]
        assert openloop.main(["--url", found.url, "--seconds", "0.5", *streams]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["failed"] == 0
    assert set(result["kinds"]) == {"short", "long"}
    assert result["kinds"]["short"]["requests"] > result["kinds"]["long"]["requests"] > 0


def test_what_got_no_answer_was_infinitely_slow(slow_server):
    result = openloop.drive(slow_server, [Stream("text", 100, [b"POST"]), Stream("rare", 1e-9, [b"POST"])], 0.1)
    assert result["kinds"]["text"]["p99_ms"] < np.inf
    rare = result["kinds"]["rare"]
    assert rare.pop("requests") == 0
    assert set(rare.values()) == {np.inf}

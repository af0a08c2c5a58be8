"""Answers in one write each: the same bytes as ever, at once, for every kind of answer."""

import socket
from urllib.parse import urlsplit

from server.protocol import CorkedTransport

BODY = b'{"inputs": "good"}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(BODY)


class Recorder:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


def test_head_and_body_become_one_write():
    transport = CorkedTransport(recorder := Recorder())
    transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
    assert recorder.written == []
    transport.write(b"body")
    transport.write(b"more")
    assert recorder.written == [b"HTTP/1.1 200 OK\r\n\r\nbody", b"more"]


def test_a_head_without_a_body_is_flushed_before_the_end():
    for end in (CorkedTransport.flush, CorkedTransport.close):
        transport = CorkedTransport(recorder := Recorder())
        transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        end(transport)
        assert recorder.written == [b"HTTP/1.1 204 No Content\r\n\r\n"]


def test_an_interim_answer_is_not_held_back():
    transport = CorkedTransport(recorder := Recorder())
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert recorder.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]


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

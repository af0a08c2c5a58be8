"""`python -m loadtests.bench.openloop`: latency under a load that does not wait for answers. Prints JSON.

Requests are due at random moments (a Poisson process for each stream) that were drawn before the first one is sent. A
latency counts from the moment when the request was *due*: if the client or all its connections are late, that is in the
figure. A request without an answer counts with the time that it has waited when the client gives up. Plain sockets and
one thread, since a client library would cost more than the server.
"""

import argparse
import heapq
import json
import re
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import numpy as np

FIRST_CONNECTIONS, MOST_CONNECTIONS = 32, 512
GRACE_SECONDS = 10.0
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Stream:
    """Requests of one kind: `rate` of them a second, taken from `messages` in turn."""

    kind: str
    rate: float
    messages: list[bytes]

    def due(self, seconds: float, seed: int) -> list[float]:
        """The moments, in seconds from the start: exponential gaps."""
        random = np.random.default_rng([seed, sum(self.kind.encode())])
        count = int(self.rate * seconds * 1.2) + 50
        moments = np.cumsum(random.exponential(1 / self.rate, count))
        return moments[moments < seconds].tolist()


@dataclass(eq=False)
class Channel:
    """A connection that carries one request at a time."""

    socket: socket.socket
    kind: str = ""
    due: float = 0.0
    received: bytes = b""
    missing: int = -1
    """Bytes of the answer that are still to come; -1 before its head is complete."""

    def send(self, message: bytes, kind: str, due: float) -> None:
        self.kind, self.due, self.received, self.missing = kind, due, b"", -1
        self.socket.sendall(message)

    def receive(self) -> bool:
        """True once the answer is complete. Raises ConnectionError if the server has hung up."""
        data = self.socket.recv(262144)
        if not data:
            raise ConnectionError("the server closed a connection in the middle of an answer")
        if self.missing >= 0:
            self.missing -= len(data)
            return self.missing <= 0
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = LENGTH.search(self.received, 0, end)
        self.missing = end + 4 + (int(length[1]) if length else 0) - len(self.received)
        return self.missing <= 0

    @property
    def ok(self) -> bool:
        return self.received.startswith(b"HTTP/1.1 200")


@dataclass
class Record:
    """What came of the requests, in seconds from when each was due."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    """Of the right answers and of the requests without one, by kind."""
    late: list[float] = field(default_factory=list)
    """Until each was sent."""
    failed: int = 0
    """Refused, answered with another status than 200, or cut off: quick or slow, that is no latency."""
    unanswered: int = 0

    def add(self, kind: str, latency: float) -> None:
        self.latencies.setdefault(kind, []).append(latency)


class Client:
    """Sends what is due on an idle connection, the one that has been idle longest; opens more when none is."""

    def __init__(self, url: SplitResult) -> None:
        self._address = (url.hostname, url.port)
        self._poll = select.epoll()
        self._channels: dict[int, Channel] = {}
        self._idle = deque(self._open() for _ in range(FIRST_CONNECTIONS))
        self._busy: set[Channel] = set()
        self.record = Record()

    def run(self, plan: list[tuple[float, str, bytes]], seconds: float) -> None:
        """`plan`: (moment, kind, message), by moment."""
        waiting = deque(plan)
        started = time.perf_counter()
        while waiting or self._busy:
            now = time.perf_counter() - started
            if now > seconds + GRACE_SECONDS:
                break
            while waiting and waiting[0][0] <= now and (channel := self._take()) is not None:
                due, kind, message = waiting.popleft()
                self.record.late.append(now - due)
                self._send(channel, message, kind, due)
            pause = waiting[0][0] - (time.perf_counter() - started) if waiting else 0.1
            self._collect(max(0.0, pause) if self._idle else 0.1, started)
        self._give_up(waiting, time.perf_counter() - started)

    def _give_up(self, waiting: deque[tuple[float, str, bytes]], now: float) -> None:
        """On what was sent and has no answer, and on what found no connection."""
        self.record.late += [now - due for due, _, _ in waiting]
        left = [(each.kind, each.due) for each in self._busy] + [(kind, due) for due, kind, _ in waiting]
        self.record.unanswered = len(left)
        for kind, due in left:
            self.record.add(kind, now - due)

    def _send(self, channel: Channel, message: bytes, kind: str, due: float) -> None:
        self._busy.add(channel)
        try:
            channel.send(message, kind, due)
        except OSError:
            self._drop(channel)

    def _collect(self, pause: float, started: float) -> None:
        """Answers that came within `pause` seconds: `select` waits to the microsecond, `epoll` to the millisecond."""
        if not select.select([self._poll], [], [], pause)[0]:
            return
        for number, _ in self._poll.poll(0):
            channel = self._channels[number]
            if channel not in self._busy:
                self._drop(channel)
                continue
            try:
                complete = channel.receive()
            except OSError:
                self._drop(channel)
                continue
            if complete:
                self._answered(channel, time.perf_counter() - started - channel.due)

    def _answered(self, channel: Channel, latency: float) -> None:
        if channel.ok:
            self.record.add(channel.kind, latency)
        else:
            self.record.failed += 1
        self._busy.remove(channel)
        self._idle.append(channel)

    def _drop(self, channel: Channel) -> None:
        """The server has hung up: a failure where it owed an answer, and its right where it did not."""
        if channel in self._busy:
            self._busy.remove(channel)
            self.record.failed += 1
        else:
            self._idle.remove(channel)
        del self._channels[channel.socket.fileno()]
        channel.socket.close()

    def _take(self) -> Channel | None:
        if self._idle:
            return self._idle.popleft()
        return self._open() if len(self._channels) < MOST_CONNECTIONS else None

    def _open(self) -> Channel:
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(connection.fileno(), select.EPOLLIN)
        channel = self._channels[connection.fileno()] = Channel(connection)
        return channel

    def close(self) -> None:
        for channel in self._channels.values():
            channel.socket.close()
        self._poll.close()


def drive(url: str, streams: list[Stream], seconds: float, seed: int = 0) -> dict:
    """Milliseconds to the microsecond: the latencies of each kind, and how late the client was with each request."""
    planned = [
        [(moment, stream.kind, stream.messages[index % len(stream.messages)]) for index, moment in enumerate(moments)]
        for stream in streams
        for moments in [stream.due(seconds, seed)]
    ]
    plan = list(heapq.merge(*planned, key=lambda entry: entry[0]))
    client = Client(urlsplit(url))
    try:
        client.run(plan, seconds)
    finally:
        client.close()
    record = client.record
    return {
        "offered": len(plan) / seconds,
        "failed": record.failed,
        "unanswered": record.unanswered,
        "late_ms": _milliseconds(record.late),
        "latencies_ms": {stream.kind: _milliseconds(record.latencies.get(stream.kind, [])) for stream in streams},
    }


def _milliseconds(seconds: list[float]) -> list[float]:
    return [round(each * 1000, 3) for each in seconds]


def message(url: SplitResult, body: bytes) -> bytes:
    head = f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def stream(url: str, given: str) -> Stream:
    """KIND=RATE:FILE."""
    kind, _, rest = given.partition("=")
    rate, _, path = rest.partition(":")
    return Stream(kind, float(rate), [message(urlsplit(url), body) for body in Path(path).read_bytes().splitlines()])


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m loadtests.bench.openloop", description=__doc__)
    parser.add_argument("--url", required=True, help="where to POST to")
    parser.add_argument("--stream", action="append", required=True, metavar="KIND=RATE:FILE", help="bodies, one a line")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(given)
    streams = [stream(options.url, each) for each in options.stream]
    json.dump(drive(options.url, streams, options.seconds, options.seed), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The application in this process: its network in the hands of a test, and connections to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from server import run
from server.app import Application, create_app
from server.engine.lane import Backend, Lane
from server.protocol import ShortWayProtocol
from server.settings import Settings
from tests.server.bundles import publish
from tests.server.graphs import Network

SUMS = Network(2, vocabulary=1000, hidden=1)
"""Of the shape that SummingBackend stands in for: its answers are sums of token ids, and numbers of steps."""

REQUEST = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def answering(
    folder: Path, network: Network, backend: Backend, **settings: Any
) -> AsyncIterator[tuple[Application, Lane]]:
    """An application with one model, signals/1, which `backend` answers for, and its lane."""
    outputs = {"shape": [network.width]}
    publish(folder / "signals" / "1", network, task="regression", outputs=outputs, steps={"largest": 10_000})
    application = create_app(Settings(models=folder, **settings))
    await application.service.start()
    try:
        (model,) = application.service.registry
        model.lane.backend = backend
        yield application, model.lane
    finally:
        await application.service.stop()


def server_of(application: Application) -> run.DrainingServer:
    config = uvicorn.Config(application, http=ShortWayProtocol, log_config=None)
    config.load()
    return run.DrainingServer(config, application, None, lambda models: None)


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

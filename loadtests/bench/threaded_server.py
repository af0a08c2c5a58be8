"""`python -m loadtests.bench.threaded_server`: our server with every step in a thread, to show what that costs."""

import sys

from server.app import Application
from server.engine.engine import Engine
from server.registry import Model
from server.run import bind, serve_application
from server.service import Service
from server.settings import load


class ThreadedService(Service):
    """Takes the engine whose steps run in a thread for all models."""

    def engine_of(self, model: Model) -> Engine:
        return self.engines[False]


if __name__ == "__main__":
    settings = load(sys.argv[1:])
    sys.exit(serve_application(Application(ThreadedService(settings)), bind(settings)))

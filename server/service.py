"""What lives as long as a worker does: the loaded models, the engines that run them, and whether we are stopping."""

import asyncio
import logging
from dataclasses import dataclass, field

from server import metrics
from server.backend import choose_device
from server.engine.engine import Engine
from server.registry import Model, Registry, load_all
from server.request import RequestIds
from server.settings import Settings

logger = logging.getLogger("server")


@dataclass
class Service:
    """Made by `create_app`, started and stopped by its lifespan."""

    settings: Settings
    registry: Registry = field(default_factory=lambda: Registry([]))
    engines: dict[bool, Engine] = field(default_factory=dict)
    """One engine whose steps run on the event loop (True), one whose steps run in a thread (False)."""
    observer: metrics.Observer = field(default_factory=metrics.Observer)
    request_ids: RequestIds = field(default_factory=RequestIds)
    draining: bool = False

    async def start(self) -> None:
        """Loads all models, off the event loop. Raises BundleError, DeviceUnavailable or NoRoom."""
        device = choose_device(self.settings.device)
        self.registry = await asyncio.to_thread(load_all, self.settings, device)
        self.engines = {inline: Engine(self.settings.queue_limit, inline, self.observer) for inline in (True, False)}
        for model in self.registry:
            self.engine_of(model).add(model.lane)
            self.observer.add(model.lane)
            metrics.WORKERS.labels(model.lane.name, model.precision, model.device).set(1)
        metrics.reserve()
        for engine in self.engines.values():
            engine.start()

    async def stop(self) -> None:
        """Answers what was accepted, then stops."""
        self.draining = True
        await asyncio.gather(*(engine.drain() for engine in self.engines.values()))
        self.observer.write()

    def engine_of(self, model: Model) -> Engine:
        return self.engines[model.inline]

    @property
    def broken(self) -> bool:
        return any(engine.broken for engine in self.engines.values())

    @property
    def ready(self) -> bool:
        return not self.draining and bool(self.engines) and all(engine.alive for engine in self.engines.values())

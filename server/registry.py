"""The models that are loaded, and how a request finds its own."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from models import bundle as bundles
from models.bundle import Bundle, BundleError
from models.manifest import Device, Precision
from server import cpus
from server.backend import OnnxBackend
from server.engine import cost
from server.engine.lane import ChunkedLane, Lane, PaddedLane, Shape
from server.engine.scheduler import Policy
from server.errors import InvalidRequest, ModelNotFound
from server.settings import Settings
from server.tasks import Task, make_task

logger = logging.getLogger("server.registry")

WARM_UP_STEPS = 64


@dataclass(frozen=True)
class Model:
    """One loaded version of a model."""

    bundle: Bundle
    precision: Precision
    device: Device
    backend: OnnxBackend
    task: Task
    lane: Lane

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    @property
    def version(self) -> int:
        return self.bundle.manifest.version

    @property
    def inline(self) -> bool:
        """Whether a step is short enough to run on the event loop itself."""
        return self.device == "cpu" and isinstance(self.lane, ChunkedLane)


class Registry:
    """All loaded models, by name and version."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models: dict[str, dict[int, Model]] = {}
        for model in models:
            self._models.setdefault(model.name, {})[model.version] = model

    def __iter__(self) -> Iterator[Model]:
        return (model for versions in self._models.values() for model in versions.values())

    def latest(self) -> list[Model]:
        """The highest version of each model."""
        return [versions[max(versions)] for versions in self._models.values()]

    def find(self, name: str | None, version: int | None, item_type: type) -> Model:
        """The model for an item of `item_type`: by its name, by its task, or the only one that fits."""
        model = self._only_one_for(item_type) if name is None else self._named(name)
        if version is not None and version != model.version:
            versions = self._models[model.name]
            if version not in versions:
                raise ModelNotFound(f"{model.name} has no version {version}", "version", version, sorted(versions))
            model = versions[version]
        if item_type is not model.task.accepts:
            given = "text" if item_type is str else "a series"
            raise InvalidRequest(
                f"{model.name} takes {model.task.wants}, not {given}", "inputs", given, model.task.wants
            )
        return model

    def _named(self, name: str) -> Model:
        if name in self._models:
            return self._models[name][max(self._models[name])]
        fitting = [model for model in self.latest() if model.bundle.manifest.task == name]
        if len(fitting) == 1:
            return fitting[0]
        raise ModelNotFound(f"there is no model {name!r}", "model", name, list(self._models))

    def _only_one_for(self, item_type: type) -> Model:
        fitting = [model for model in self.latest() if model.task.accepts is item_type]
        if len(fitting) == 1:
            return fitting[0]
        names = [model.name for model in fitting]
        reason = "several models take such inputs" if fitting else "no model takes such inputs"
        raise InvalidRequest(
            f'{reason}; say which with "model"', "model", None, names or [m.name for m in self.latest()]
        )


def load_all(settings: Settings, device: Device) -> Registry:
    """Loads, checks and warms up every bundle in the models folder. Raises BundleError."""
    folders = list(bundles.find(settings.models))
    if not folders:
        raise BundleError(
            f"{settings.models}: no bundles (<name>/<version>/manifest.json); set --models or LSTM_MODELS"
        )
    return Registry([load(bundles.read(folder), settings, device) for folder in folders])


def load(bundle: Bundle, settings: Settings, device: Device) -> Model:
    """One bundle, ready to answer."""
    started = time.monotonic()
    bundle.verify()
    precision, device = choose_precision(bundle, settings.precision, device)
    backend = OnnxBackend(
        bundle.path(bundle.manifest.precisions[precision].file), device, min(settings.threads, cpus.available())
    )
    lane = make_lane(bundle, backend, settings)
    manifest = bundle.manifest
    model = Model(bundle, precision, device, backend, make_task(bundle), lane)
    details = {"model": manifest.name, "version": manifest.version, "precision": precision, "device": device}
    nodes = backend.nodes_by_provider()
    logger.info("loaded", extra=details | {"nodes": nodes, "seconds": round(time.monotonic() - started, 3)})
    return model


def choose_precision(bundle: Bundle, wanted: Precision | None, device: Device) -> tuple[Precision, Device]:
    """What the manifest prefers on the device; a model that has nothing for CUDA runs on the CPU, and says so."""
    manifest = bundle.manifest
    if wanted is not None:
        if wanted not in manifest.precisions:
            offered = ", ".join(manifest.precisions)
            raise BundleError(f"{bundle.folder}: precision {wanted!r} is not in this bundle, which offers {offered}")
        if device not in manifest.precisions[wanted].devices:
            raise BundleError(
                f"{bundle.folder}: precision {wanted!r} does not run on {device}; choose another --precision"
            )
        return wanted, device
    if preferred := manifest.preference.get(device):
        return preferred[0], device
    logger.warning(
        "no precision for this device, so it runs on the CPU", extra={"model": manifest.name, "device": device}
    )
    return manifest.preference["cpu"][0], "cpu"


def make_lane(bundle: Bundle, backend: OnnxBackend, settings: Settings) -> Lane:
    manifest = bundle.manifest
    shape = Shape(
        manifest.initial_state(),
        manifest.inputs.features,
        manifest.steps.first_chunk,
        manifest.outputs.when == "per_step",
        manifest.columns("clipped"),
    )
    policy = Policy(settings.slots, settings.chunk_ms / 1000, settings.stretch)
    shortest = manifest.steps.first_chunk if manifest.chunkable else manifest.steps.smallest
    costs = warm_up(backend, shape, policy, shortest)
    kind = ChunkedLane if manifest.chunkable else PaddedLane
    return kind(f"{manifest.name}/{manifest.version}", backend, shape, costs, policy)


def warm_up(backend: OnnxBackend, shape: Shape, policy: Policy, shortest: int) -> cost.CostModel:
    """Measures the cost model with runs of `shortest` steps and more, and checks that company changes nothing.

    Raises BundleError if a row's answer among others differs by a single bit from its answer alone: then this
    processor breaks the promise that the bundle was exported with.
    """

    def run(batch: int, steps: int) -> float:
        inputs, lengths, state = _probe(shape, batch, steps)
        started = time.perf_counter()
        backend.run(inputs, lengths, state)
        return time.perf_counter() - started

    _check_company(backend, shape, shortest)
    return cost.measure(run, policy.slots, shortest, shortest + WARM_UP_STEPS)


def _probe(shape: Shape, batch: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inputs = shape.empty(batch, steps)
    inputs += np.arange(steps).reshape(-1, *[1] * (inputs.ndim - 2)).astype(inputs.dtype) % 7
    return inputs, np.full(batch, steps, np.int32), np.tile(shape.initial_state, (batch, 1))


def _check_company(backend: OnnxBackend, shape: Shape, steps: int) -> None:
    if backend.device != "cpu":
        return
    inputs, lengths, state = _probe(shape, 5, steps + 4)
    lengths[:] = steps + np.arange(5)
    together = backend.run(inputs, lengths, state)
    for row, length in enumerate(lengths):
        alone = backend.run(inputs[row : row + 1, :length], lengths[row : row + 1], state[row : row + 1])
        if any(not np.array_equal(a[0], b[row]) for a, b in zip(alone, together, strict=True)):
            raise BundleError(
                "the answer of a sequence depends on its batch on this processor; serve another precision"
            )

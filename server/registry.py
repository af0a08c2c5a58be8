"""The models that are loaded, and how a request finds its own."""

import difflib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from models import bundle as bundles
from models.bundle import Bundle, BundleError
from models.manifest import Device, Precision
from models.signature import trusted_keys
from server import cpus
from server.backend import OnnxBackend, int8_saturates
from server.engine.lane import ChunkedLane, Lane, PaddedLane, Shape
from server.engine.scheduler import Policy
from server.errors import InvalidRequest, ModelNotFound, NotReady
from server.settings import Settings
from server.tasks import Item, Kind, Task, kind_of, make_task
from server.warm_up import WarmUp

logger = logging.getLogger("server.registry")

LONGEST_INLINE_STEP = 0.002
"""Seconds that one time step of all slots may take on the event loop; a chunk cannot be shorter than that."""


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

    @cached_property
    def inline(self) -> bool:
        """Whether a run is short enough for the event loop itself: whole sequences and large networks are not."""
        step = self.lane.cost.seconds(self.lane.policy.slots, 1)
        return self.device == "cpu" and isinstance(self.lane, ChunkedLane) and step <= LONGEST_INLINE_STEP


class Registry:
    """All loaded models, by name and version."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models: dict[str, dict[int, Model]] = {}
        for model in models:
            self._models.setdefault(model.name, {})[model.version] = model
        self._latest = {name: versions[max(versions)] for name, versions in self._models.items()}

    def __iter__(self) -> Iterator[Model]:
        return (model for versions in self._models.values() for model in versions.values())

    def __len__(self) -> int:
        return sum(map(len, self._models.values()))

    def latest(self) -> list[Model]:
        """The highest version of each model."""
        return list(self._latest.values())

    def find(self, name: str | None, version: int | None, item: Item) -> Model:
        """The model for such an item: by its name, by its task, or the only one that fits."""
        kind = kind_of(item)
        model = self._only_one_for(kind) if name is None else self._named(name)
        if version is not None and version != model.version:
            versions = self._models[model.name]
            if version not in versions:
                message = f"{model.name} has no version {version}; leave it out for the highest one"
                raise ModelNotFound(message, "version", version, sorted(versions))
            model = versions[version]
        if kind not in model.task.accepts:
            raise InvalidRequest(f"{model.name} takes {model.task.wants}, not {kind}", "inputs", kind, model.task.wants)
        return model

    def _named(self, name: str) -> Model:
        if name in self._latest:
            return self._latest[name]
        fitting = [model for model in self._latest.values() if model.bundle.manifest.task == name]
        if len(fitting) == 1:
            return fitting[0]
        self._check_ready()
        if fitting:
            message = f"there is no model {name!r}, and several have that task; take one by its name"
            raise ModelNotFound(message, "model", name, [model.name for model in fitting])
        advice = self._advice(name[:200])
        raise ModelNotFound(f"there is no model {name!r}; {advice}", "model", name, list(self._models))

    def _advice(self, name: str) -> str:
        """What was probably meant by a name that no model has."""
        model, _, version = name.rpartition("/")
        if model in self._models and version.isdecimal():
            return f'send "model": "{model}", "version": {version}'
        tasks = {model.bundle.manifest.task for model in self._latest.values()}
        close = difflib.get_close_matches(name.lower(), [*self._models, *sorted(tasks)], 1)
        return f"did you mean {close[0]!r}?" if close else "take one of the accepted ones"

    def _only_one_for(self, kind: Kind) -> Model:
        fitting = [model for model in self._latest.values() if kind in model.task.accepts]
        if len(fitting) == 1:
            return fitting[0]
        self._check_ready()
        if not fitting:
            message = "no model takes such inputs; GET /models says what each accepts"
            raise InvalidRequest(message, "model", None, list(self._models))
        message = 'several models take such inputs; say which with "model"'
        raise InvalidRequest(message, "model", None, [model.name for model in fitting])

    def _check_ready(self) -> None:
        if not self._models:
            raise NotReady("no model is loaded yet; ask again once GET /health/ready answers 200")


def load_all(settings: Settings, device: Device) -> Registry:
    """Loads, checks and warms up every bundle in the models folder. Raises BundleError."""
    folders = list(bundles.find(settings.models))
    if not folders:
        raise BundleError(f"{settings.models}: {bundles.why_none(settings.models)}; set --models or LSTM_MODELS")
    for folder, why in bundles.ignored(settings.models):
        logger.warning(f"ignored: {why}", extra={"folder": str(folder)})
    trusted = None if settings.trusted_keys is None else trusted_keys(settings.trusted_keys)
    return Registry([load(bundles.read(folder, trusted), settings, device) for folder in folders])


def load(bundle: Bundle, settings: Settings, device: Device) -> Model:
    """One bundle, ready to answer."""
    started = time.monotonic()
    bundle.verify()
    precision, device = choose_precision(bundle, settings.precision, device)
    backend = open_backend(bundle, precision, device, min(settings.threads, cpus.available()))
    lane = make_lane(bundle, backend, settings)
    manifest = bundle.manifest
    model = Model(bundle, precision, device, backend, make_task(bundle), lane)
    details = {"model": manifest.name, "version": manifest.version, "precision": precision, "device": device}
    nodes = backend.nodes_by_provider()
    logger.info("loaded", extra=details | {"nodes": nodes, "seconds": round(time.monotonic() - started, 3)})
    return model


def open_backend(bundle: Bundle, precision: Precision, device: Device, threads: int) -> OnnxBackend:
    """Raises BundleError for a file that the runtime does not take."""
    path = bundle.path(bundle.manifest.precisions[precision].file)
    try:
        return OnnxBackend(path, device, threads)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: the runtime cannot load it ({reason}); export the model again") from error


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
        return _fastest(preferred), device
    logger.warning(
        "no precision for this device, so it runs on the CPU", extra={"model": manifest.name, "device": device}
    )
    return _fastest(manifest.preference["cpu"]), "cpu"


def _fastest(preferred: Sequence[Precision]) -> Precision:
    """The first, unless it is int8 on a processor whose exact int8 kernels are no faster than float."""
    if preferred[0] == "int8" and len(preferred) > 1 and int8_saturates():
        logger.info("this processor has no VNNI, where int8 is no faster", extra={"instead": preferred[1]})
        return preferred[1]
    return preferred[0]


def make_lane(bundle: Bundle, backend: OnnxBackend, settings: Settings) -> Lane:
    """Continuous batching where the network can be run piece by piece, else batches of whole sequences."""
    manifest = bundle.manifest
    shape = Shape(
        manifest.initial_state(),
        manifest.inputs.features,
        manifest.steps.first_chunk,
        manifest.outputs.when == "per_step",
        manifest.columns("clipped"),
        equal_lengths=not manifest.padding,
    )
    policy = Policy(settings.slots, settings.chunk_ms / 1000)
    costs = WarmUp(bundle, backend, shape).cost(policy.slots)
    kind = ChunkedLane if manifest.chunkable else PaddedLane
    return kind(f"{manifest.name}/{manifest.version}", backend, shape, costs, policy)

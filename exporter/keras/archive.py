"""What is inside a `.keras` file: a zip of `metadata.json`, `config.json` and `model.weights.h5` (Keras 3).

A model file comes from anywhere, so all of it is read in memory and up to a limit. Nothing is unpacked to disk,
unpickled or executed, and no link inside the HDF5 file is followed to another file.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from exporter.errors import KerasFileError

LARGEST_JSON = 16 << 20
LARGEST_WEIGHTS = 2 << 30
"""Bytes of one member of the zip, unpacked. The weights of an LSTM of 4096 units over 4096 features are 0.5 GiB."""
MEMBERS = {"metadata.json": LARGEST_JSON, "config.json": LARGEST_JSON, "model.weights.h5": LARGEST_WEIGHTS}
SAVE_AGAIN = 'load it in Keras 3 and write it with model.save("NAME.keras")'


@dataclass(frozen=True)
class Archive:
    """The model's configuration, and the weights of its outermost layers."""

    config: dict[str, Any]
    weights: "Weights"


@dataclass(frozen=True)
class Weights:
    """One group of the HDF5 file; `place` names it for people. `group` is None where the file has no such group."""

    place: str
    group: h5py.Group | None

    def inside(self, *names: str) -> "Weights":
        """The group under these names, one inside the other."""
        found: Any = self.group
        for name in names:
            found = _member(found, name)
        return Weights("/".join([self.place, *names]), found if isinstance(found, h5py.Group) else None)

    def tensor(self, number: int, shape: tuple[int, ...]) -> Tensor:
        """float32 of exactly this shape: the variable of that number. Raises KerasFileError for anything else."""
        place = f"{self.place}/vars/{number}"
        data = _member(self.inside("vars").group, str(number))
        if not isinstance(data, h5py.Dataset):
            raise KerasFileError(f"{place}: the file has no such weights, but its config asks for them; {SAVE_AGAIN}")
        if data.shape != shape:
            raise KerasFileError(f"{place}: the weights have the shape {data.shape}, the config asks for {shape}")
        # A compressed or missing content may be far larger than the file, and an external one is in another file.
        if data.external or data.dtype.kind != "f" or data.id.get_storage_size() != data.nbytes:
            raise KerasFileError(f"{place}: not plain floating-point numbers inside this file; {SAVE_AGAIN}")
        values = np.asarray(data[()], np.float32)
        if not np.isfinite(values).all():
            raise KerasFileError(f"{place}: some weights are not finite numbers; the training has diverged")
        return torch.from_numpy(values)

    @property
    def name(self) -> str | None:
        """The layer's name as it was when these weights were saved; None where the file does not say."""
        group = self.inside("vars").group
        name = None if group is None else group.attrs.get("name")
        return name if isinstance(name, str) else None


def _member(group: h5py.Group | None, name: str) -> h5py.Group | h5py.Dataset | None:
    """What stands in the group under that name; links that could lead to another file are refused."""
    link = None if group is None or not name or "/" in name else group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise KerasFileError(f"{group.name}/{name}: a link instead of weights; {SAVE_AGAIN}")
    return group[name]


def layer_key(class_name: str) -> str:
    """How the file names the weights of a class: SimpleRNN -> simple_rnn, LSTM -> lstm."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", class_name).lower()


@contextmanager
def reading(path: Path) -> Iterator[Archive]:
    """Raises KerasFileError, in one sentence, for what is not a `.keras` file of Keras 3."""
    try:
        with zipfile.ZipFile(path) as archive:
            metadata, config, weights = (_read(archive, path, name) for name in MEMBERS)
    except OSError as error:
        raise KerasFileError(f"{path}: cannot be read ({error.strerror})") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise KerasFileError(f"{path}: not a .keras file ({error}); {SAVE_AGAIN}") from error
    version = str(_json(metadata, path, "metadata.json").get("keras_version"))
    if version.split(".")[0] != "3":
        raise KerasFileError(f"{path}: written by Keras {version}, only files of Keras 3 are read; {SAVE_AGAIN}")
    try:
        with h5py.File(io.BytesIO(weights), "r") as file:
            yield Archive(_json(config, path, "config.json"), Weights("weights", file))
    except (OSError, RuntimeError) as error:
        raise KerasFileError(f"{path}: model.weights.h5 is not a whole HDF5 file ({error})") from error


def _read(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    if name not in archive.namelist():
        raise KerasFileError(f"{path}: has no {name}, so it is not a .keras file of Keras 3; {SAVE_AGAIN}")
    if (size := archive.getinfo(name).file_size) > MEMBERS[name]:
        raise KerasFileError(f"{path}: {name} has {size:,} bytes, at most {MEMBERS[name]:,} are read")
    return archive.read(name)


def _json(text: bytes, path: Path, name: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KerasFileError(f"{path}: {name} is not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise KerasFileError(f"{path}: {name} holds {type(document).__name__}, an object is expected")
    return document

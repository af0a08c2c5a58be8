"""Files that are damaged, or that lie: refused in one sentence, before anything is believed."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from exporter.errors import KerasFileError
from exporter.keras import archive, load
from tests.exporter.keras.tutorials import built, saved

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras"
)
Rewrite = Callable[[dict[str, Any], h5py.File], None]


@pytest.fixture(scope="module")
def sentiment(keras: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(built(keras, "sentiment"), tmp_path_factory.mktemp("sentiment"))


def rewritten(source: Path, target: Path, change: Rewrite) -> Path:
    """The file with another configuration or other weights."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config, weights = json.loads(members["config.json"]), io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        change(config, file)
    members |= {"config.json": json.dumps(config).encode(), "model.weights.h5": weights.getvalue()}
    return zipped(target, members)


def zipped(target: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def damage_shape(config: dict[str, Any], file: h5py.File) -> None:
    config["config"]["layers"][3]["config"]["units"] = 25


def damage_order(config: dict[str, Any], file: h5py.File) -> None:
    config["config"]["layers"][3]["config"]["name"] = "lstm_of_somebody_else"


def damage_number(config: dict[str, Any], file: h5py.File) -> None:
    file["layers/lstm/cell/vars/0"][3, 3] = np.nan


def damage_dataset(config: dict[str, Any], file: h5py.File) -> None:
    del file["layers/lstm/cell/vars/0"]


def damage_config(config: dict[str, Any], file: h5py.File) -> None:
    del config["config"]["layers"][3]["config"]["use_bias"]


def damage_graph(config: dict[str, Any], file: h5py.File) -> None:
    config["class_name"] = "Functional"
    config["config"]["output_layers"] = ["lstm", 0, 0]
    config["config"]["layers"][3]["inbound_nodes"] = [{"args": [{"class_name": "__keras_tensor__"}], "kwargs": {}}]
    config["config"]["layers"][3]["config"]["name"] = "lstm"
    file["layers/lstm/vars"].attrs["name"] = "lstm"


def compress(config: dict[str, Any], file: h5py.File) -> None:
    values = file["layers/lstm/cell/vars/0"][()]
    del file["layers/lstm/cell/vars/0"]
    file["layers/lstm/cell/vars"].create_dataset("0", data=0 * values, compression="gzip")


def link_outside(config: dict[str, Any], file: h5py.File) -> None:
    del file["layers/lstm/cell/vars/0"]
    file["layers/lstm/cell/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def store_outside(config: dict[str, Any], file: h5py.File) -> None:
    del file["layers/lstm/cell/vars/0"]
    place = [("/dev/zero", 0, h5py.h5f.UNLIMITED)]
    file["layers/lstm/cell/vars"].create_dataset("0", (16, 96), "f4", external=place)


def claim_much(config: dict[str, Any], file: h5py.File) -> None:
    config["config"]["layers"][1]["config"]["input_dim"] = 1 << 40
    del file["layers/embedding/vars/0"]
    file["layers/embedding/vars"].create_dataset("0", (1 << 40, 16), "f4", chunks=(1024, 16))


DAMAGES: dict[Rewrite, str] = {
    damage_shape: r"have the shape \(16, 96\), the config asks for \(16, 100\)",
    damage_order: "belong to 'lstm",
    damage_number: "not finite numbers",
    damage_dataset: "no such weights",
    damage_config: "its configuration is not understood",
    damage_graph: "config.json is not understood",
    compress: "not plain floating-point numbers inside this file",
    link_outside: "a link instead of weights",
    store_outside: "not plain floating-point numbers inside this file",
    claim_much: "not plain floating-point numbers inside this file",
}


@pytest.mark.parametrize("change", DAMAGES)
def test_a_file_that_lies_is_refused(change: Rewrite, sentiment: Path, tmp_path: Path) -> None:
    with pytest.raises(KerasFileError, match=DAMAGES[change]):
        load(rewritten(sentiment, tmp_path / "changed.keras", change))


def test_what_is_no_keras_file_is_refused(sentiment: Path, tmp_path: Path) -> None:
    metadata = b'{"keras_version": "3.5.0"}'
    whole = {"metadata.json": metadata, "config.json": b"{}", "model.weights.h5": b"x"}
    cases: dict[str, dict[str, bytes]] = {
        "has no config.json": {"metadata.json": metadata},
        "written by Keras 2.15.0": whole | {"metadata.json": b'{"keras_version": "2.15.0"}'},
        "config.json is not valid JSON": whole | {"config.json": b"{", "model.weights.h5": _hdf5()},
        "config.json holds list": whole | {"config.json": b"[]", "model.weights.h5": _hdf5()},
        "a layer without a class": whole | {"model.weights.h5": _hdf5()},
        "not a whole HDF5 file": whole,
    }
    for message, members in cases.items():
        with pytest.raises(KerasFileError, match=message):
            load(zipped(tmp_path / "model.keras", members))
    (tmp_path / "old.h5").write_bytes(_hdf5())
    with pytest.raises(KerasFileError, match=r"not a \.keras file .* write it with model\.save"):
        load(tmp_path / "old.h5")
    with pytest.raises(KerasFileError, match="cannot be read"):
        load(tmp_path / "missing.keras")


def _hdf5() -> bytes:
    content = io.BytesIO()
    h5py.File(content, "w").close()
    return content.getvalue()


def test_a_member_of_many_bytes_is_not_unpacked(
    sentiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(archive.MEMBERS, "config.json", 100)
    with pytest.raises(KerasFileError, match=r"config\.json has [\d,]+ bytes, at most 100 are read"):
        load(sentiment)

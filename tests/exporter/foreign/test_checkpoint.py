"""Weights from the files that people save, and one clear sentence for those that do not fit."""

import collections
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from exporter.errors import ForeignError
from exporter.foreign import checkpoint
from tests.exporter.foreign.modules import StockLSTM, TiedLanguageModel


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return StockLSTM().state_dict()


def loaded(path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    module = StockLSTM()
    checkpoint.load(module, path)
    return module.state_dict()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: collections.OrderedDict(weights),
        lambda weights: {"epoch": 3, "state_dict": weights, "optimizer": {"lr": 0.1}},
        lambda weights: {"model_state_dict": weights, "loss": 0.2},
        lambda weights: {f"module.{name}": tensor for name, tensor in weights.items()},
        lambda weights: {"state_dict": {f"model.{name}": tensor for name, tensor in weights.items()}},
    ],
)
def test_the_common_wrappings_of_a_state_dict_are_read(tmp_path: Path, wrap: Any) -> None:
    torch.save(wrap(state()), tmp_path / "w.pt")
    found = loaded(tmp_path / "w.pt")
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    found = loaded(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())


def test_a_tied_weight_may_be_in_the_file_once(tmp_path: Path) -> None:
    module = TiedLanguageModel()
    once = {name: tensor for name, tensor in module.state_dict().items() if name != "decoder.weight"}
    save_file(once, tmp_path / "w.safetensors")
    other = TiedLanguageModel()
    checkpoint.load(other, tmp_path / "w.safetensors")
    assert torch.equal(other.decoder.weight, module.encoder.weight)


def changed(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in (state() | changes).items() if tensor is not None}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (changed(**{"fc.bias": None}), r"w\.pt: it lacks fc\.bias; check that --arguments build the module"),
        (changed(extra=torch.zeros(1)), "it has the unknown extra;"),
        (changed(**{"fc.weight": torch.zeros(2, 10)}), r"does not fit: fc\.weight is \(2, 10\) instead of \(1, 10\);"),
        (
            {f"net.{k}": v for k, v in state().items()},
            r"names differ by 'net\.', which only the file has; save .* that part",
        ),
        (
            {k.removeprefix("lstm."): v for k, v in state().items() if k.startswith("lstm.")},
            r"names differ by 'lstm\.', which the module puts before each; save .* the whole module",
        ),
        ({"epoch": 3}, "no state_dict in it, but a dict epoch; a state_dict is expected"),
        ([1, 2], "no state_dict in it, but a list"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, content: Any, problem: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ForeignError, match=problem):
        loaded(tmp_path / "w.pt")


def test_weights_of_a_part_are_told_by_what_their_names_lack(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pt")
    with pytest.raises(
        ForeignError, match=r"names differ by 'net\.', which the module puts before each; save .* whole"
    ):
        checkpoint.load(nn.ModuleDict({"net": StockLSTM()}), tmp_path / "w.pt")


class Pickled:
    """Whoever loads this without care runs its code."""

    ran = False

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return setattr, (Pickled, "ran", True)


@pytest.mark.parametrize("wrapper", ["model_state_dict", "state_dict", "model"])
def test_a_state_dict_may_lie_beside_tensors(tmp_path: Path, wrapper: str) -> None:
    """As in the checkpoint of PyTorch's own tutorial, with the loss as it was."""
    state = StockLSTM().state_dict()
    beside = {"epoch": 3, "optimizer_state_dict": {"state": {}, "param_groups": []}, "loss": torch.tensor(0.3)}
    torch.save({**beside, wrapper: state}, tmp_path / "w.pt")
    read = loaded(tmp_path / "w.pt")
    assert all(torch.equal(read[name], value) for name, value in state.items())


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save(Pickled(), tmp_path / "w.pt")
    problem = r"w\.pt: it holds a whole model, or .* \(setattr\); save .* torch\.save\(model\.state_dict\(\), PATH\)"
    with pytest.raises(ForeignError, match=problem):
        loaded(tmp_path / "w.pt")
    assert not Pickled.ran


def test_a_whole_model_is_told_apart_without_pytorchs_advice(tmp_path: Path) -> None:
    torch.save(StockLSTM(), tmp_path / "w.pt")
    with pytest.raises(ForeignError, match=r"holds a whole model, .* \(.*\.StockLSTM\); save") as told:
        loaded(tmp_path / "w.pt")
    assert str(told.value).isprintable()
    assert "trust" not in str(told.value)


def test_a_file_that_is_not_there_or_not_weights(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match=r"no such file; save one with torch\.save"):
        loaded(tmp_path / "w.pt")
    (tmp_path / "w.safetensors").write_text("no")
    with pytest.raises(ForeignError, match="not a file of weights"):
        loaded(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("place", "arguments", "problem"),
    [
        ("no.such.module:build", None, r"No module named .no.\); run the command where `import no\.such\.module`"),
        ("tests.exporter.foreign.modules:Nothing", None, "has no 'Nothing'; name a class or a function in it"),
        ("tests.exporter.foreign.modules:StockLSTM", '{"layers": 3}', "could not be built .*--arguments"),
        ("tests.exporter.foreign.modules:StockLSTM", "3", "3 was given; a JSON object is expected"),
        ("tests.exporter.foreign.modules:StockLSTM", "{", "not valid JSON"),
        ("collections:OrderedDict", None, "made a OrderedDict; an nn.Module is expected"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(place: str, arguments: str | None, problem: str) -> None:
    with pytest.raises(ForeignError, match=problem):
        checkpoint.build(place, arguments)


def test_a_file_builds_the_module_and_may_import_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sizes_of_mine.py").write_text("HIDDEN = 6")
    code = "from torch import nn\nfrom sizes_of_mine import HIDDEN\ndef build(): return nn.LSTM(2, HIDDEN)"
    (tmp_path / "models.py").write_text(code)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("file_models", "sizes_of_mine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert checkpoint.build(f"{tmp_path}/models.py:build", None).hidden_size == 6
    assert hasattr(importlib.import_module("models"), "__path__")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import json\njson.nothing", "AttributeError: module 'json' has no attribute 'nothing'"),
        ("import package_of_nobody", "ModuleNotFoundError: No module named 'package_of_nobody'"),
        ("from .layers import Net", "ImportError: attempted relative import with no known parent package"),
        ("def build(:", r"SyntaxError: .* \(broken_of_mine\.py, line 1\)"),
        ("build = Net", "NameError: name 'Net' is not defined"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    ],
)
@pytest.mark.parametrize("place", ["{folder}/broken_of_mine.py:build", "broken_of_mine:build"])
def test_code_that_fails_when_it_is_imported_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, code: str, reason: str
) -> None:
    (tmp_path / "broken_of_mine.py").write_text(code)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    with pytest.raises(ForeignError, match=rf"broken_of_mine.*:build: could not be imported \({reason}\)$"):
        checkpoint.build(place.format(folder=tmp_path), None)
    assert "broken_of_mine" not in sys.modules


def test_arguments_build_the_module() -> None:
    built = checkpoint.build("tests.exporter.foreign.modules:StockLSTM", '{"num_layers": 3}')
    assert isinstance(built, nn.Module)
    assert built.num_layers == 3

"""A module from `package.module:name`, and its trained weights from a file."""

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from exporter.errors import ForeignError

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net", "module", "weights")
PREFIXES = ("module.", "_orig_mod.", "model.")
"""Of `nn.DataParallel`, of `torch.compile`, and of a training loop that holds the model."""
WHOLE = "save the state_dict of the whole module, or name what builds the part that was saved"
PART = "save the state_dict of that part, or name what builds the whole"
NAMES_SHOWN = 6
EXAMPLE = """--arguments '{"hidden": 64}'"""


def build(place: str, arguments: str | None) -> nn.Module:
    """The module that `package.module:name`, or `path/to/file.py:name`, makes with the keyword arguments of a JSON
    object. Raises ForeignError."""
    module_name, _, name = place.rpartition(":")
    options = _arguments(arguments)
    module = _module(place, module_name)
    try:
        maker = getattr(module, name)
    except AttributeError as error:
        raise ForeignError(f"{place}: {module_name} has no {name!r}; name a class or a function in it") from error
    try:
        made = maker(**options)
    except Exception as error:  # somebody else's code may raise anything
        raise ForeignError(
            f"{place}: could not be built ({_reason(error)}); give its arguments with {EXAMPLE}"
        ) from error
    if not isinstance(made, nn.Module):
        raise ForeignError(f"{place}: made a {type(made).__name__}; an nn.Module is expected")
    return made


def _module(place: str, name: str) -> ModuleType:
    """By the path of its file, or by its name. Raises ForeignError."""
    is_file = name.endswith(".py")
    if is_file and not Path(name).is_file():
        raise ForeignError(f"{place}: no such file")
    try:
        return _of_file(Path(name)) if is_file else _imported(name)
    except Exception as error:  # as above
        told = f"{place}: could not be imported ({_reason(error)})"
        if isinstance(error, ModuleNotFoundError) and not is_file and f"{name}.".startswith(f"{error.name}."):
            told += (
                f"; run the command where `import {name}` works, add its folder to PYTHONPATH, or name the file: "
                "path/to/file.py:NAME"
            )
        raise ForeignError(told) from error


def _reason(error: Exception) -> str:
    """In one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _imported(name: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:  # as `python -m` does; a console script does not
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _of_file(path: Path) -> ModuleType:
    """A file as `python path` would run it: it may import what lies beside it."""
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem if path.stem not in sys.modules else f"file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ImportError("not a file of Python")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _arguments(text: str | None) -> dict[str, Any]:
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise ForeignError(f"--arguments: not valid JSON ({error}); for example {EXAMPLE}") from error
    if not isinstance(given, dict):
        raise ForeignError(f"--arguments: {text} was given; a JSON object is expected: {EXAMPLE}")
    return given


def load(module: nn.Module, path: Path) -> None:
    """Fills the module with a file's weights. Raises ForeignError that names the keys that do not match."""
    state = _without_prefix(_unwrapped(read(path), path), module)
    wanted = module.state_dict()
    missing, unknown = wanted.keys() - state.keys() - _shared(module, state), state.keys() - wanted.keys()
    misfits = {
        f"{name} is {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted.keys() & state.keys()
        if state[name].shape != wanted[name].shape
    }
    parts = [_some("lacks", missing), _some("has the unknown", unknown), _some("does not fit:", misfits)]
    if prefix := _prefix(missing, unknown):
        raise ForeignError(
            f"--checkpoint {path}: the names differ by {prefix!r}, which the module puts before each; {WHOLE}"
        )
    if prefix := _prefix(unknown, missing):
        raise ForeignError(f"--checkpoint {path}: the names differ by {prefix!r}, which only the file has; {PART}")
    if told := " and ".join(part for part in parts if part):
        raise ForeignError(
            f"--checkpoint {path}: {told}; check that --arguments build the module as it was when it was trained"
        )
    module.load_state_dict(state, strict=False)


def read(path: Path) -> Any:
    """What a .safetensors file, or one of torch.save that holds nothing but weights, contains."""
    if not path.is_file():
        raise ForeignError(f"--checkpoint {path}: no such file; save one with torch.save(model.state_dict(), PATH)")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, SafetensorError, OSError) as error:
        raise ForeignError(
            f"--checkpoint {path}: {_what_it_is(error)}; save the weights alone, with "
            "torch.save(model.state_dict(), PATH): a pickled model could run any code"
        ) from error


def _what_it_is(error: Exception) -> str:
    """Why a file cannot be read, without PyTorch's advice to read it all the same."""
    if held := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it holds a whole model, or something else of Python's ({held[1]})"
    first = next(iter(str(error).splitlines()), "") if not isinstance(error, UnpicklingError) else ""
    return f"not a file of weights ({first or type(error).__name__})"


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """A state_dict, or the one that a training loop has put into a dictionary beside other things."""
    while isinstance(content, Mapping) and not all(isinstance(value, Tensor) for value in content.values()):
        inside = next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if inside is None:
            break
        content = inside
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        names = ", ".join([str(name) for name in content][:NAMES_SHOWN]) if isinstance(content, Mapping) else ""
        raise ForeignError(
            f"--checkpoint {path}: no state_dict in it, but a {type(content).__name__} {names}; a state_dict is "
            f"expected, or a dictionary that has one as {' or '.join(WRAPPERS[:2])}"
        )
    return dict(content)


def _without_prefix(state: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Names without what a wrapper has put before all of them."""
    wanted = module.state_dict().keys()
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state) and not state.keys() <= wanted:
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _prefix(long: set[str], short: set[str]) -> str:
    """What stands before all of the short names among the long ones; "" if there is no such thing."""
    first = min(short, default="")
    found = (name.removesuffix(first) for name in sorted(long) if first and name.endswith(f".{first}"))
    return next((prefix for prefix in found if long >= {f"{prefix}{name}" for name in short}), "")


def _shared(module: nn.Module, state: Mapping[str, Tensor]) -> set[str]:
    """Names of tied weights that are in the file under another name (safetensors keeps each tensor once)."""
    places: dict[int, set[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        places.setdefault(id(tensor), set()).add(name)
    return {name for names in places.values() if names & state.keys() for name in names}


def _some(title: str, names: set[str]) -> str:
    shown = sorted(names)[:NAMES_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"it {title} {', '.join(shown)}{more}" if names else ""

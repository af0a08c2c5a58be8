"""A `.keras` file as one PyTorch module, and what the file says about its inputs and outputs."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from exporter.errors import KerasFileError
from exporter.keras import layers
from exporter.keras.archive import SAVE_AGAIN, reading
from exporter.keras.chain import Layer, layer, layers_in_order
from exporter.keras.recurrent import GATES, KerasRecurrent

PRECISE = ("float32",)
OTHERWISE_FLOAT = ("float64", "float16", "mixed_float16", "mixed_bfloat16")


class KerasNetwork(nn.Sequential):
    """int64 ids [B, T] or float32 features [B, T, F] -> float32 [B, O] or, per step, [B, T, O]; batch first.

    What Keras computes in prediction, for rows without padding. Layers have their names in Keras.
    """


@dataclass(frozen=True)
class KerasModel:
    """The network, and what the exporter cannot find out by running it."""

    network: KerasNetwork
    steps: int | None
    """The number of time steps, if the input layer fixes it."""
    padding_id: int | None
    """The token id that Keras skips wherever it stands (`mask_zero`): rows are sent without it."""
    notes: tuple[str, ...]
    """What a user should know before trusting the answers, one sentence each."""


def load(path: Path) -> KerasModel:
    """The model in a `.keras` file of Keras 3. Raises KerasFileError, in one sentence, if it cannot be reproduced."""
    with reading(path) as archive:
        try:
            model = layer(archive.config, archive.weights)
            return _assembled(model, list(layers_in_order(model)))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise KerasFileError(f"{path}: config.json is not understood ({error!r}); {SAVE_AGAIN}") from error


def _assembled(model: Layer, found: list[Layer]) -> KerasModel:
    start, rest = found[0], [each for each in found[1:] if each.kind != "InputLayer"]
    shape = _input_shape(start)
    embedding = next((each for each in rest if each.kind not in layers.NOTHING_IN_PREDICTION), None)
    tokens = embedding is not None and embedding.kind == "Embedding"
    _check_inputs(start, shape, tokens)
    fixed = shape[1] is not None and (shape[0] is None or any(_inner(each).get("stateful") for each in rest))
    notes = tuple(dict.fromkeys((*_notes(rest), *_note_on_length(rest, shape[1] if fixed else None))))
    network = _network(rest, 1 if tokens else shape[2])
    if not any(isinstance(module, KerasRecurrent) for module in network):
        raise model.refuse("it has no recurrent layer", f"one of {', '.join(GATES)} is expected")
    return KerasModel(
        network=network.eval(),
        steps=shape[1] if fixed else None,
        padding_id=0 if tokens and embedding.config.get("mask_zero") else None,
        notes=notes,
    )


def _input_shape(start: Layer) -> list[int | None]:
    """[batch, steps] or [batch, steps, features]; None stands for any number."""
    if start.kind != "InputLayer":
        raise start.refuse("the first layer is no input layer", "build the model (call it once), and save it again")
    shape = start.config.get("batch_shape")
    if not isinstance(shape, list):
        raise start.refuse(f"its shape is {shape!r}", "a list of numbers is expected")
    return shape


def _check_inputs(start: Layer, shape: list[int | None], tokens: bool) -> None:
    accepted = "(steps,) in front of an Embedding, (steps, features) otherwise"
    if len(shape) != (2 if tokens else 3) or not (tokens or isinstance(shape[2], int)):
        raise start.refuse(f"its inputs have the shape {tuple(shape[1:])}", f"{accepted} is expected")


def _network(found: list[Layer], width: int) -> KerasNetwork:
    """The modules of all layers that do something; `width`: of what the first one reads."""
    network, over = KerasNetwork(), False
    for each in found:
        if (over and each.kind in (*GATES, "Bidirectional")) or (each.kind == "Embedding" and len(network)):
            raise each.refuse("it stands behind layers that do not lead to it", "the file is damaged")
        module, width = layers.build(each, width)
        if module is not None:
            network.add_module(_free_name(network, each), module)
            over = over or (isinstance(module, KerasRecurrent) and not module.per_step)
    return network


def _free_name(network: nn.Module, found: Layer) -> str:
    """The layer's name in Keras, where PyTorch allows it."""
    others = (f"layer{number}" for number in itertools.count())
    names = (found.name, *itertools.islice(others, 1 + len(network)))
    return next(name for name in names if name.isidentifier() and not hasattr(network, name))


def _inner(found: Layer) -> dict[str, Any]:
    """A layer's configuration; a wrapper's: that of the layer inside."""
    inside = found.config.get("layer")
    return inside.get("config", {}) if isinstance(inside, dict) else found.config


def _notes(found: list[Layer]) -> Iterator[str]:
    for each in found:
        if each.config.get("mask_zero"):
            yield (
                f"{each}: token id 0 is padding, which Keras skips wherever it stands (mask_zero); send rows without "
                "it, of any length: the server knows each row's length"
            )
        if each.kind == "Masking":
            yield (
                f"{each}: Keras skips time steps whose features all are {each.config.get('mask_value')}; send series "
                "without them, of any length: here such a step is read like any other"
            )
        if _inner(each).get("stateful"):
            yield f"{each}: stateful in Keras; here every request starts anew, and a session goes on where it stopped"
        if (dtype := _dtype(each)) not in PRECISE:
            if dtype not in OTHERWISE_FLOAT:
                raise each.refuse(f"its dtype is {dtype}", f"{', '.join(PRECISE + OTHERWISE_FLOAT)} are read")
            yield f"{each}: computes with dtype {dtype} in Keras, with float32 here, so the last digits differ"


def _note_on_length(found: list[Layer], steps: int | None) -> Iterator[str]:
    masked = any(each.kind == "Masking" or each.config.get("mask_zero") for each in found)
    if steps is not None and not masked:
        yield (
            f"the input layer fixes {steps} time steps, and nothing masks padding: send {steps}, padded if they were "
            "in training; shorter rows are answered, too, but the model has never seen any"
        )


def _dtype(found: Layer) -> str:
    """The name of a layer's policy, which the file holds as a string or as a small document."""
    dtype = found.config.get("dtype", "float32")
    return str(dtype if isinstance(dtype, str) else (dtype or {}).get("config", {}).get("name"))

"""How large the inputs of each recurrent layer can get, which a constant int8 scale needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from exporter.foreign.choose import all_calls
from exporter.foreign.understand import Understood
from exporter.sessions import Rows, some_of

HEADROOM = 4.0
"""Inputs are clamped at this many times the largest magnitude that was seen in real rows."""
STEPS_COMPARED = 6
ROWS_COMPARED = 256
BEHIND_RECURRENT = 1.0
ROUNDING = 1 + 1e-4
"""Times a bound: that much more is no contradiction."""
FROM_ROWS = f"{HEADROOM:g} times the largest magnitude in the rows"


@dataclass(frozen=True)
class Bound:
    """The largest magnitude of a layer's inputs. If it is only `likely`, larger ones are possible."""

    largest: float
    likely: bool = False


class Unbounded(Exception):
    """Why there is no pinned int8, in a sentence."""


def bounds(found: Understood, rows: Rows | None, clip: float | None) -> dict[str, Bound]:
    """How large the inputs of each recurrent layer get, by the layer's name. `rows` are scaled and real.

    Exact for token ids, over the whole vocabulary, for what reads hidden states, and for `clip`, unless rows exceed
    that; else what was seen. Raises Unbounded.
    """
    for layer in found.layers:
        if not layer.cell.startswith("lstm"):
            raise Unbounded(f"ONNX Runtime has no int8 kernel for {layer.cell.partition('-')[0].upper()}")
        if layer.is_custom:
            raise Unbounded(f"constant int8 scales need tanh and sigmoid, and {layer.name} has other activations")
    seen = all_calls(found)
    return {name: _bound(found, name, seen, rows, clip) for name in dict.fromkeys(call.layer.name for call in seen)}


def _bound(found: Understood, name: str, calls: Sequence, rows: Rows | None, clip: float | None) -> Bound:
    """An exact bound that real rows exceed is none."""
    exact = _exact(found, name, calls, clip)
    if exact is not None and _seen(found, name, some_of(rows or [], ROWS_COMPARED)) <= exact * ROUNDING:
        return Bound(exact)
    if rows:
        return Bound(HEADROOM * _seen(found, name, rows), likely=True)
    raise Unbounded(
        f"the inputs of {name} are not bounded, so no int8 scale fits all of them; give real rows with --eval "
        f"(int8 then clamps inputs at {FROM_ROWS})" + (", or --clip X" if found.inputs.vocabulary is None else "")
    )


def _exact(found: Understood, name: str, calls: Sequence, clip: float | None) -> float | None:
    """What the inputs of a layer cannot exceed; None if nothing is known."""
    if all(call.within_one for call in calls if call.layer.name == name):
        return BEHIND_RECURRENT
    if found.inputs.vocabulary is not None and found.smallest == 1 and _token_by_token(found, name):
        return _over_the_vocabulary(found, name)
    return clip if clip is not None and _reads_the_inputs(found, name) else None


def _seen(found: Understood, name: str, rows: Rows) -> float:
    """The largest magnitude of what a layer reads in rows; 0 without any."""
    return max((float(_read(found, name, torch.from_numpy(row)[None]).abs().max()) for row in rows), default=0.0)


def _read(found: Understood, name: str, inputs: Tensor) -> Tensor:
    """What a layer reads while the module answers one row: [T, I]."""
    parts = [call.inputs for call in found.watched(inputs)[0] if call.layer.name == name]
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])


def _token_by_token(found: Understood, name: str) -> bool:
    """Whether what the layer reads at a step depends on that step's token alone."""
    tokens = found.example(1, min(STEPS_COMPARED, found.largest))
    alone = [_read(found, name, tokens[:, step : step + 1]) for step in range(tokens.shape[1])]
    together = _read(found, name, tokens)
    return together.shape == torch.cat(alone).shape and torch.allclose(together, torch.cat(alone), atol=1e-6)


def _over_the_vocabulary(found: Understood, name: str) -> float:
    chunks = torch.arange(found.inputs.vocabulary).split(found.largest)
    return max(float(_read(found, name, chunk[None]).abs().max()) for chunk in chunks)


def _reads_the_inputs(found: Understood, name: str) -> bool:
    inputs = found.example(1, max(found.smallest, min(STEPS_COMPARED, found.largest)))
    read = _read(found, name, inputs)
    return read.shape == inputs[0].shape and np.array_equal(read.float().numpy(), inputs[0].numpy())

"""What a stand-in of a recurrent layer gets and returns, whatever the module's order of axes."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from exporter.foreign.layers import RecurrentLayer
from exporter.foreign.packing import Packed

Compute = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor | None]]
"""inputs [T, B, I] and lengths [B], if the module packed them -> outputs [T, B, D * H], h and c [layers * D, B, H]."""


def answered(layer: RecurrentLayer, inputs: Tensor | Packed, compute: Compute) -> Any:
    """What the layer's own forward would return, computed by somebody who wants time first."""
    packed = inputs if isinstance(inputs, Packed) else None
    data = inputs if packed is None else packed.data
    if layer.is_cell:
        return _from_cell(layer, data, compute)
    if data.dim() == 2:
        outputs, hidden, cell = compute(data.unsqueeze(1), None)
        return outputs.squeeze(1), _final(hidden.squeeze(1), None if cell is None else cell.squeeze(1))
    batch_first = layer.module.batch_first if packed is None else packed.batch_first
    time_first = data.transpose(0, 1) if batch_first else data
    outputs, hidden, cell = compute(time_first, None if packed is None else packed.lengths)
    outputs = (outputs.transpose(0, 1) if batch_first else outputs).contiguous()
    if packed is not None:
        return Packed(outputs, batch_first, packed.lengths), _final(hidden, cell)
    return outputs, _final(hidden, cell)


def _from_cell(layer: RecurrentLayer, inputs: Tensor, compute: Compute) -> Any:
    """inputs [B, I], or [I] -> h (and c) of the same number of axes."""
    alone = inputs.dim() == 1
    _, hidden, cell = compute(inputs[None, None] if alone else inputs[None], None)
    hidden, cell = (None if part is None else (part[0, 0] if alone else part[0]) for part in (hidden, cell))
    return _final(hidden, cell)


def _final(hidden: Tensor, cell: Tensor | None) -> Any:
    """Contiguous, as PyTorch's own are: a module may take a view."""
    return (hidden.contiguous(), cell.contiguous()) if cell is not None else hidden.contiguous()

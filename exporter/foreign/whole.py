"""The second way: whole sequences at once, padded, with lengths; and the third: whole sequences of equal length.

The recurrent layers get the lengths, `x[:, -1]` means each row's last valid step, and operations over time leave the
padding out (see `exporter.foreign.padded_time`). Of equal lengths nothing needs to be left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from exporter.foreign.axes import answered
from exporter.foreign.body import Body
from exporter.foreign.layers import Layers, RecurrentLayer, with_values
from exporter.foreign.packing import Packed, answering, unchanged
from exporter.foreign.padded_time import PaddedTime
from exporter.foreign.time_axes import TimeAxes
from exporter.foreign.tracing import Tracing
from training.networks.step import WholeNetwork


@dataclass
class Padded:
    """One run of whole sequences; answers for the recurrent layers."""

    layers: Mapping[str, Layers]
    from_zero: frozenset[str]
    """Layers whose initial states, if they are given any, are zeros."""
    time: TimeAxes | None
    """None: all rows have the same length."""

    def answer(self, layer: RecurrentLayer, inputs: Tensor | Packed, state: Any, itself: Callable[[], Any]) -> Any:
        given = None if layer.name in self.from_zero else state
        return answered(layer, inputs, lambda time_first, packed: self._compute(layer, time_first, packed, given))

    def _compute(
        self, layer: RecurrentLayer, inputs: Tensor, packed: Tensor | None, given: Any
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        layers = self.layers[layer.name]
        before = layers.state_slice("").values().expand(inputs.shape[1], -1)
        if given is not None:
            values = (given, None) if isinstance(given, Tensor) else tuple(given)
            leading = (layer.num_layers * layer.directions, inputs.shape[1], layer.hidden_size)
            before = with_values(layers, before, tuple(None if v is None else v.reshape(leading) for v in values))
        outputs, after = layers(inputs, self._lengths(inputs, packed), before)
        return outputs[-1], *layers.final(after)

    def _lengths(self, inputs: Tensor, packed: Tensor | None) -> Tensor:
        """int32 [B]; all steps count along an axis that does not grow with the sequence."""
        known = None if self.time is None else self.time.lengths_of(inputs.shape[0])
        lengths = packed if packed is not None and self.time is not None else known
        if lengths is None:
            lengths = torch.full((inputs.shape[1],), 1) * inputs.shape[0]
        return lengths.to(torch.int32)


class WholeModule(WholeNetwork):
    """A foreign module over whole sequences. `redone=False` leaves its operations over time as they are, which is right
    for rows of equal length only."""

    def __init__(self, body: Body, layers: Mapping[str, Layers], from_zero: frozenset[str], redone: bool) -> None:
        super().__init__()
        self.body, self.from_zero, self.redone = body, from_zero, redone
        self.per_step = body.per_step
        self.names = {name: f"layer{number}" for number, name in enumerate(layers)}
        self.layers = nn.ModuleDict({self.names[name]: layer for name, layer in layers.items()})
        self.used: list[str] = []
        """Operations over time that the latest run met."""

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        scaled = self.body.before(inputs)
        batch, steps = scaled.shape[:2]
        if scaled.is_floating_point():
            scaled = torch.where((torch.arange(steps) < lengths[:, None])[..., None], scaled, 0.0)
        tracing = PaddedTime(batch, steps, lengths) if self.redone else Tracing()
        axes = tracing.axes if isinstance(tracing, PaddedTime) else None
        padded = Padded({name: self.layers[key] for name, key in self.names.items()}, self.from_zero, axes)
        module = self.body.module
        with unchanged(module), answering(module, self.body.layers, padded.answer), tracing:
            raw = self.body.run(scaled, lengths.long())
        self.used = [] if axes is None else axes.used
        return self.body.behind(self._arranged(raw, batch, steps, lengths), lengths)

    def _arranged(self, raw: Tensor, batch: int, steps: int, lengths: Tensor) -> Tensor:
        if not self.body.grows:
            return self.body.rows(raw, batch)
        every = self.body.steps(raw, batch, steps)
        return every if self.per_step else every[torch.arange(batch), lengths.long() - 1]

"""Small networks of random weights: the shapes that the exporter has to handle."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from exporter.quantize import quantized
from exporter.recurrent import exportable, pinned_columns
from exporter.verify import Subject
from tests.exporter.once import once
from training.networks.recurrent import Cell, Recurrent, TokenRecurrent
from training.networks.step import StateSlice, StepNetwork, WholeNetwork

AnyNetwork = TypeVar("AnyNetwork", bound=StepNetwork | WholeNetwork)
VOCABULARY = 1200
LOWEST = -3e38


class TextNetwork(StepNetwork):
    """Pooled over time by maximum, mean and last: logits [B, 2]."""

    def __init__(self, cell: Cell = "lstm", hidden: int = 22) -> None:
        super().__init__()
        self.hidden = hidden
        self.lstm = TokenRecurrent(VOCABULARY, 14, cell, hidden)
        self.head = nn.Linear(3 * hidden, 2)

    def state_slices(self) -> tuple[StateSlice, ...]:
        pooled = StateSlice("maximum", self.hidden, LOWEST), StateSlice("sum", self.hidden), StateSlice("count", 1)
        return (self.lstm.state_slice("lstm"), *pooled)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        before = self.split(state)
        hidden, lstm = self.lstm(inputs.T, lengths, before["lstm"])
        valid = (torch.arange(hidden.shape[0])[:, None] < lengths[None, :])[..., None]
        after = {
            "lstm": lstm,
            "maximum": torch.maximum(before["maximum"], torch.where(valid, hidden, LOWEST).amax(0)),
            "sum": torch.cat([before["sum"][None], hidden]).cumsum(0)[-1],
            "count": before["count"] + lengths[:, None],
        }
        pooled = [after["maximum"], after["sum"] / after["count"], lstm[:, : self.hidden]]
        return self.head(torch.cat(pooled, 1)), self.join(after)


class SeriesNetwork(StepNetwork):
    """Stacked layers over two features, and a head on the last valid step: [B, outputs]."""

    def __init__(
        self, cell: Cell = "lstm", hidden: int = 18, layers: int = 2, features: int = 2, clip: float | None = 6.0
    ) -> None:
        super().__init__()
        self.lstm = Recurrent(cell, features, hidden, layers, input_clip=clip)
        self.head = nn.Linear(hidden, 3)

    def state_slices(self) -> tuple[StateSlice, ...]:
        return (self.lstm.state_slice("lstm"),)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, after = self.lstm(inputs.transpose(0, 1), lengths, state)
        last = hidden.transpose(0, 1)[torch.arange(lengths.shape[0]), (lengths - 1).long()]
        return self.head(last), after


class TaggingNetwork(SeriesNetwork):
    """An answer at every step: [B, T, 3], zero past the length."""

    per_step = True

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, after = self.lstm(inputs.transpose(0, 1), lengths, state)
        return valid_steps(self.head(hidden).transpose(0, 1), lengths), after


class BothWaysNetwork(WholeNetwork):
    """Stacked layers of two directions: the forward one after the last step, the backward one after the first."""

    def __init__(self, cell: Cell = "lstm", hidden: int = 18) -> None:
        super().__init__()
        self.hidden = hidden
        self.lstm = Recurrent(cell, 2, hidden, 2, input_clip=6.0, bidirectional=True)
        self.head = nn.Linear(2 * hidden, 3)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        hidden, _ = self.lstm(inputs.transpose(0, 1), lengths)
        steps = hidden.transpose(0, 1)
        last = steps[torch.arange(lengths.shape[0]), (lengths - 1).long()]
        return self.head(torch.cat([last[:, : self.hidden], steps[:, 0, self.hidden :]], 1))


class TaggingBothWays(BothWaysNetwork):
    """The same at every step: [B, T, 3], zero past the length."""

    per_step = True

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        hidden, _ = self.lstm(inputs.transpose(0, 1), lengths)
        return valid_steps(self.head(hidden).transpose(0, 1), lengths)


class BackwardsNetwork(WholeNetwork):
    """Turns whole arrays around, so that padding comes first: only rows of one length may share a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = Recurrent("lstm", 2, 18, input_clip=6.0)
        self.head = nn.Linear(18, 3)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        hidden, _ = self.lstm(inputs.flip(1).transpose(0, 1), lengths)
        return self.head(hidden[-1])


def valid_steps(outputs: Tensor, lengths: Tensor) -> Tensor:
    """[B, T, ...] with zeros past each length."""
    valid = torch.arange(outputs.shape[1])[None, :] < lengths[:, None]
    return torch.where(valid[..., None], outputs, 0.0)


NETWORKS: dict[str, Callable[[], StepNetwork | WholeNetwork]] = {
    "text": TextNetwork,
    "text, gru": lambda: TextNetwork("gru"),
    "series": SeriesNetwork,
    "series, gru": lambda: SeriesNetwork("gru"),
    "series, rnn": lambda: SeriesNetwork("rnn"),
    "series, rnn-relu": lambda: SeriesNetwork("rnn-relu"),
    "series, peephole": lambda: SeriesNetwork("lstm-peephole"),
    "series, coupled": lambda: SeriesNetwork("lstm-coupled"),
    "series, no clip": lambda: SeriesNetwork(clip=None),
    "tagging": TaggingNetwork,
    "tagging, gru": lambda: TaggingNetwork("gru"),
    "both ways": BothWaysNetwork,
    "both ways, gru": lambda: BothWaysNetwork("gru"),
    "tagging both ways": TaggingBothWays,
    "backwards": BackwardsNetwork,
}
WITHOUT_PADDING = {"backwards"}
WEAKER = {"series, rnn-relu": 0.2}
"""Standard deviations of weights: nothing bounds a ReLU, and larger ones grow without end."""


@dataclass(frozen=True)
class Prepared:
    """A network with its graph, and rows to try it with."""

    network: StepNetwork | WholeNetwork
    rows: list[np.ndarray]
    model: onnx.ModelProto
    subject: Subject


@cache
def prepared(name: str, pinned: bool, int8: bool = False) -> Prepared:
    network = strong(NETWORKS[name](), WEAKER.get(name, 0.4))
    rows = rows_for(network)
    if int8:
        before = prepared(name, pinned)
        model, initial, columns = quantized(before.model), before.subject.initial_state, before.subject.pinned
    else:
        stand_in = exportable(network, pinned)
        model = once(f"{name}, {pinned}", stand_in, rows[0])
        chunkable = isinstance(stand_in, StepNetwork)
        columns = pinned_columns(stand_in) if chunkable else ()
        initial = stand_in.initial_state(1)[0].numpy() if chunkable else np.zeros(0, np.float32)
    subject = Subject(
        model.SerializeToString(),
        initial,
        columns,
        VOCABULARY if isinstance(network, TextNetwork) else None,
        1,
        chunkable=isinstance(network, StepNetwork),
        per_step=network.per_step,
        padding=name not in WITHOUT_PADDING,
    )
    return Prepared(network, rows, model, subject)


def rows_for(
    network: StepNetwork | WholeNetwork, count: int = 40, longest: int = 60, seed: int = 0
) -> list[np.ndarray]:
    """Random sequences of mixed lengths that fit the network."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, count)
    if isinstance(network, TextNetwork):
        return [random.integers(0, VOCABULARY, length) for length in lengths]
    return [random.normal(scale=3, size=(length, 2)).astype(np.float32) for length in lengths]


def strong(network: AnyNetwork, size: float = 0.4, seed: int = 0) -> AnyNetwork:
    """Random weights, larger than at the start of training, so that the units saturate as trained ones do."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter) * size
    return network.eval()

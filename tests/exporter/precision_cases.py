"""Networks of every shape that a precision must cope with: stacked, both ways, peepholes, several recurrent modules."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
from torch import nn

from exporter.precisions import variants
from exporter.recurrent import exportable, pinned_columns, why_not_pinnable
from exporter.source import AnyNetwork
from exporter.verify import Subject
from models.manifest import Precision
from tests.exporter.networks import TextNetwork, strong
from tests.exporter.once import once
from training.networks.gallery.attention import LSTMWithAttention
from training.networks.gallery.bidirectional import BidirectionalClassifier, BidirectionalNet
from training.networks.gallery.convolution import CNN_LSTM
from training.networks.gallery.encoder_decoder import EncoderDecoder
from training.networks.gallery.readout import LastStepNetwork
from training.networks.recurrent import Recurrent, TokenRecurrent
from training.networks.step import StepNetwork

FEATURES = 2
VOCABULARY = 1200
CLIP = 6.0


def series(cell: str, hidden: int = 24, layers: int = 1) -> LastStepNetwork:
    """Recurrent layers over features, and a linear head on the last valid step."""
    return LastStepNetwork(Recurrent(cell, FEATURES, hidden, layers, input_clip=CLIP), nn.Linear(hidden, 3))


NETWORKS: dict[str, Callable[[], AnyNetwork]] = {
    "text": TextNetwork,
    "stacked": lambda: series("lstm", layers=2),
    "peepholes": lambda: series("lstm-peephole", layers=2),
    "coupled gates": lambda: series("lstm-coupled"),
    "both ways": lambda: BidirectionalNet(FEATURES, 20, 3, num_layers=2),
    "both ways, text": lambda: BidirectionalClassifier(VOCABULARY, 14, 20, 3),
    "attention": lambda: LSTMWithAttention(FEATURES, 32),
    "convolution": lambda: CNN_LSTM(FEATURES, channels=16, hidden_size=20),
    "two modules": lambda: EncoderDecoder(FEATURES, 20, horizon=2),
    "gru": lambda: series("gru", hidden=40),
    "gru, text": lambda: LastStepNetwork(TokenRecurrent(VOCABULARY, 14, "gru", 24), nn.Linear(24, 2)),
    "relu": lambda: series("rnn-relu"),
}
PINNED = [name for name, make in NETWORKS.items() if why_not_pinnable(make()) is None]
FIRST_CHUNK = {"convolution": 3}


@dataclass(frozen=True)
class Case:
    """A network in all of its precisions, and rows to try them with."""

    network: AnyNetwork
    rows: list[np.ndarray]
    models: dict[Precision, onnx.ModelProto]
    initial_state: np.ndarray
    pinned: tuple[int, ...]
    first_chunk: int

    def subject(self, precision: Precision) -> Subject:
        return self.of(self.models[precision])

    def of(self, model: onnx.ModelProto) -> Subject:
        """Any graph of this network, under test."""
        vocabulary = VOCABULARY if self.rows[0].ndim == 1 else None
        chunkable = isinstance(self.network, StepNetwork)
        whole = model.SerializeToString()
        return Subject(whole, self.initial_state, self.pinned, vocabulary, self.first_chunk, chunkable)


@cache
def case(name: str) -> Case:
    network, first_chunk = strong(NETWORKS[name]()), FIRST_CHUNK.get(name, 1)
    rows = rows_for("text" in name, first_chunk)
    pinned = name in PINNED
    stand_in = exportable(network, pinned)
    models = variants(once(f"case {name}", stand_in, max(rows, key=len)), pinned)
    state, columns = np.zeros(0, np.float32), ()
    if isinstance(stand_in, StepNetwork):
        state, columns = stand_in.initial_state(1)[0].numpy(), pinned_columns(stand_in)
    return Case(network, rows, models, state, columns, first_chunk)


def rows_for(text: bool, shortest: int, count: int = 16, longest: int = 30) -> list[np.ndarray]:
    """Random sequences of mixed lengths: token ids, or features some of which are beyond the clip."""
    random = np.random.default_rng(0)
    lengths = random.integers(shortest, longest + 1, count)
    if text:
        return [random.integers(0, VOCABULARY, length) for length in lengths]
    return [random.normal(scale=3, size=(length, FEATURES)).astype(np.float32) for length in lengths]

"""The weights of recurrent layers as ONNX's operators order them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from exporter.errors import GraphError
from exporter.overshoot import largest_hidden, peak
from training.networks.recurrent import Cell

OPERATORS: dict[Cell, str] = {
    "lstm": "LSTM",
    "lstm-peephole": "LSTM",
    "lstm-coupled": "LSTM",
    "gru": "GRU",
    "rnn": "GRU",
    "rnn-relu": "GRU",
}
"""A plain RNN is exported as a GRU whose gates are constant: ONNX Runtime's RNN kernel takes another product for a
batch of one, and so depends on the batch in the last bits; its GRU and LSTM kernels do not."""
GATES: dict[str, tuple[int, ...]] = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}
"""Where ONNX's gates stand in PyTorch's order: i, o, f, c of i, f, g, o; z, r, h of r, z, n."""
PEEPHOLES = (0, 2, 1)
"""The same for peepholes: i, o, f of i, f, o."""
RNN_GATES = (-50.0, 50.0, 0.0)
"""Biases of z, r, h that make a GRU a plain RNN: the sigmoids are then 0 (below 2e-8) and exactly 1."""
PINS = 2
PINNED_CELL = (peak("Tanh")[0], -peak("Tanh")[0])
PINNED_HIDDEN = (largest_hidden(), -largest_hidden())
"""A little beyond ±1: see `exporter.overshoot`. No other hidden unit goes further, so the range is a constant."""
PINNED_GATES = (-50.0, peak("Sigmoid")[0], 50.0, 0.0)
"""Biases of i, o, f, c: in float32 f is exactly 1, and i is 0, or next to it and times a candidate of 0, so c stays.
With coupled gates the forget gate is 1 - i, which is exactly 1, too."""


@dataclass(frozen=True)
class LayerWeights:
    """One layer in ONNX's gate order, without pins, of D directions (1, or 2: forward, backward); float32.

    An LSTM has the gates i, o, f, c, a GRU z, r, h, and a plain RNN just one. B holds the input product's biases, then
    the recurrent product's. P are an LSTM's peepholes: i and f look at the cell before the step, o at the one after it.
    """

    W: Tensor
    """[D, G * H, I]"""
    R: Tensor
    """[D, G * H, H]"""
    B: Tensor
    """[D, 2 * G * H]"""
    P: Tensor | None = None
    """[D, 3 * H], in the order i, o, f."""

    @property
    def directions(self) -> int:
        return self.R.shape[0]

    @property
    def hidden_size(self) -> int:
        return self.R.shape[2]

    @property
    def gates(self) -> int:
        return self.R.shape[1] // self.R.shape[2]


def family(cell: Cell) -> str:
    """`lstm`, `gru` or `rnn`, whose gates a cell has."""
    return cell.partition("-")[0]


def layer_weights(rnn: nn.RNNBase, cell: Cell, layer: int) -> LayerWeights:
    """One layer of a torch `nn.LSTM`, `nn.GRU` or `nn.RNN`, of one direction or both, with biases or without.

    Peepholes are the parameters `peepholes_l0`, `peepholes_l1` ... [3 * H] beside PyTorch's own ones: i, f, o. Raises
    GraphError for a projection (`proj_size`), which ONNX does not have.
    """
    if getattr(rnn, "proj_size", 0):
        raise GraphError(f"proj_size={rnn.proj_size}: ONNX's LSTM has no projection; put an nn.Linear behind the LSTM")
    suffixes = [f"_l{layer}{end}" for end in ("", "_reverse")[: 1 + rnn.bidirectional]]
    order = GATES[family(cell)]

    def stacked(name: str) -> Tensor:
        return torch.stack([_reordered(getattr(rnn, name + suffix), order) for suffix in suffixes])

    weights, recurrent = stacked("weight_ih"), stacked("weight_hh")
    biases = [stacked(name) for name in ("bias_ih", "bias_hh")] if rnn.bias else [torch.zeros(recurrent.shape[:2])] * 2
    peepholes = None
    if cell == "lstm-peephole":
        peepholes = torch.stack([_reordered(getattr(rnn, f"peepholes{suffix}"), PEEPHOLES) for suffix in suffixes])
    return LayerWeights(weights, recurrent, torch.cat(biases, 1), peepholes)


def _reordered(stacked: Tensor, order: tuple[int, ...]) -> Tensor:
    """float32 [G * H, ...] with its gates in another order."""
    return stacked.detach().float().unflatten(0, (len(order), -1))[list(order)].flatten(0, 1)


def as_gru(layer: LayerWeights) -> LayerWeights:
    """A plain RNN's one gate as the candidate of a GRU whose update gate is closed and whose reset gate is open."""
    W, R = (nn.functional.pad(gate, (0, 0, 2 * layer.hidden_size, 0)) for gate in (layer.W, layer.R))
    constant = torch.tensor(RNN_GATES).repeat_interleave(layer.hidden_size)
    biases = [nn.functional.pad(bias, (2 * layer.hidden_size, 0)) for bias in layer.B.chunk(2, 1)]
    return LayerWeights(W, R, torch.cat([biases[0] + constant, biases[1]], 1))


def with_pins(layer: LayerWeights, first: bool) -> LayerWeights:
    """An LSTM with `PINS` more hidden units that never change, and columns of zeros for the pins in its inputs.

    The inputs of the `first` layer end in pins; those of a later one have them behind each direction's hidden units.
    """
    gates, groups = layer.gates, 1 if first else layer.directions
    W = layer.W.unflatten(2, (groups, -1)).unflatten(1, (gates, -1))
    W = nn.functional.pad(W, (0, PINS, 0, 0, 0, PINS)).flatten(3).flatten(1, 2)
    R = nn.functional.pad(layer.R.unflatten(1, (gates, -1)), (0, PINS, 0, PINS)).flatten(1, 2)
    biases = nn.functional.pad(layer.B.unflatten(1, (2 * gates, -1)), (0, PINS))
    biases[:, :gates, -PINS:] = torch.tensor(PINNED_GATES)[:, None]
    P = None if layer.P is None else nn.functional.pad(layer.P.unflatten(1, (3, -1)), (0, PINS)).flatten(1)
    return LayerWeights(W, R, biases.flatten(1), P)

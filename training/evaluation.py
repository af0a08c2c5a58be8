"""What an exporter needs to score any precision of a network without knowing its recipe."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from training.networks.step import StepNetwork, WholeNetwork

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class Gate:
    """How much worse than the reference a metric may get: in its own unit, or relative to the reference's value."""

    metric: str
    higher_is_better: bool
    allowed_loss: float
    relative: bool = False

    def loss(self, reference: float, candidate: float) -> float:
        """Positive when the candidate is worse."""
        worse_by = reference - candidate if self.higher_is_better else candidate - reference
        return worse_by / abs(reference) if self.relative else worse_by

    def accepts(self, reference: float, candidate: float) -> bool:
        return self.loss(reference, candidate) <= self.allowed_loss


@dataclass(frozen=True)
class Evaluation:
    """Encoded rows of one split: each input is int64 [T] or float32 [T, F]; `metrics` reads float32 outputs [N, ...].

    `targets` and `groups`, where they are given, are what the outputs are held against (classes [N], or values
    [N, horizon]) and each row's source or series, for pictures and for the rows that a model gets most wrong.
    `row_scores`, where it is given, reads the same outputs and returns float [N], whose mean is the gate's metric: what
    confidence intervals are made of.
    """

    inputs: list[np.ndarray]
    metrics: Callable[[np.ndarray], dict[str, float]]
    gate: Gate
    targets: np.ndarray | None = None
    groups: list[str] | None = None
    row_scores: Callable[[np.ndarray], np.ndarray] | None = None


def pad(inputs: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Right-padded with zeros: [B, longest, ...], and the lengths as int32 [B]."""
    lengths = np.array([len(row) for row in inputs], np.int32)
    padded = np.zeros((len(inputs), lengths.max(), *inputs[0].shape[1:]), inputs[0].dtype)
    for target, row in zip(padded, inputs, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterable[np.ndarray]:
    """Row numbers in batches of similar length, so that little is padded."""
    order = np.argsort(lengths, kind="stable")
    return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


@torch.inference_mode()
def predict(
    network: StepNetwork | WholeNetwork, inputs: Sequence[np.ndarray], batch_size: int = 64, double: bool = False
) -> np.ndarray:
    """The eager network's outputs for whole sequences from the initial state: float32 [N, ...], in the rows' order.

    Those of a network that answers per step are [N, longest, ...], zero past each row's length. With `double`, which is
    for a network in float64, inputs and outputs are float64.
    """
    parts: dict[int, np.ndarray] = {}
    for rows in batches_by_length([len(row) for row in inputs], batch_size):
        padded, lengths = pad([inputs[row] for row in rows])
        padded = padded.double() if double and padded.is_floating_point() else padded
        outputs = _whole(network, padded, lengths, torch.float64 if double else torch.float32)
        parts.update(zip(rows.tolist(), outputs.numpy(), strict=True))
    ordered = [parts[row] for row in range(len(inputs))]
    if not network.per_step:
        return np.stack(ordered)
    return pad([row[: len(given)] for row, given in zip(ordered, inputs, strict=True)])[0].numpy()


def _whole(network: StepNetwork | WholeNetwork, inputs: Tensor, lengths: Tensor, dtype: torch.dtype) -> Tensor:
    if isinstance(network, WholeNetwork):
        return network(inputs, lengths)
    return network(inputs, lengths, network.initial_state(len(lengths)).to(dtype))[0]

"""The LSTM's equations in NumPy float64, forward and backward through time, written from the equations alone.

f = sigma(W_f [h, x] + b_f)      i = sigma(W_i [h, x] + b_i)      g = tanh(W_c [h, x] + b_c)
c' = f * c + i * g               o = sigma(W_o [h, x] + b_o)      h' = o * tanh(c')
"""

from dataclasses import dataclass

import numpy as np
from torch import nn

GATES = "figo"


@dataclass(frozen=True)
class Weights:
    """One layer: for each gate, W [H, H + F] over [h, x], and b [H]."""

    W: dict[str, np.ndarray]
    b: dict[str, np.ndarray]

    @staticmethod
    def of(layer: nn.LSTM, number: int = 0) -> "Weights":
        """The same weights as layer `number` of a PyTorch LSTM, which stacks i, f, g, o."""
        w_x, w_h, b_x, b_h = (
            getattr(layer, f"{name}_l{number}").detach().double().numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        order = {gate: slice(place * len(w_x) // 4, (place + 1) * len(w_x) // 4) for place, gate in enumerate("ifgo")}
        return Weights(
            {gate: np.hstack([w_h[rows], w_x[rows]]) for gate, rows in order.items()},
            {gate: b_x[rows] + b_h[rows] for gate, rows in order.items()},
        )


@dataclass(frozen=True)
class Step:
    """What one step computed, which its gradient needs."""

    joined: np.ndarray
    gates: dict[str, np.ndarray]
    c_before: np.ndarray
    c: np.ndarray
    h: np.ndarray


def sigma(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def step(weights: Weights, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> Step:
    """x [F], h [H], c [H] -> the next h and c."""
    joined = np.concatenate([h, x])
    gates = {gate: (np.tanh if gate == "g" else sigma)(weights.W[gate] @ joined + weights.b[gate]) for gate in GATES}
    c_after = gates["f"] * c + gates["i"] * gates["g"]
    return Step(joined, gates, c, c_after, gates["o"] * np.tanh(c_after))


def run(weights: Weights, inputs: np.ndarray, h: np.ndarray, c: np.ndarray) -> list[Step]:
    """inputs [T, F] -> one Step for each time."""
    steps: list[Step] = []
    for x in inputs:
        steps.append(step(weights, x, h, c))
        h, c = steps[-1].h, steps[-1].c
    return steps


def gradients(weights: Weights, steps: list[Step], d_h: np.ndarray) -> dict[str, np.ndarray]:
    """dLoss/dW of each gate [H, H + F], by backpropagation through time from dLoss/dh [H] at the last step."""
    hidden = len(d_h)
    totals = {gate: np.zeros_like(weights.W[gate]) for gate in GATES}
    d_c = np.zeros(hidden)
    for at in reversed(steps):
        f, i, g, o = (at.gates[gate] for gate in GATES)
        d_c = d_c + d_h * o * (1 - np.tanh(at.c) ** 2)
        before = {
            "f": d_c * at.c_before * f * (1 - f),
            "i": d_c * g * i * (1 - i),
            "g": d_c * i * (1 - g**2),
            "o": d_h * np.tanh(at.c) * o * (1 - o),
        }
        for gate in GATES:
            totals[gate] += np.outer(before[gate], at.joined)
        d_h = sum(weights.W[gate].T @ before[gate] for gate in GATES)[:hidden]
        d_c = d_c * f
    return totals


def stacked(layers: nn.LSTM, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All layers from a zero state: inputs [T, F] -> h of the last layer at each step [T, H], and the final c [H]."""
    zero = np.zeros(layers.hidden_size)
    for number in range(layers.num_layers):
        steps = run(Weights.of(layers, number), inputs, zero, zero)
        inputs = np.stack([at.h for at in steps])
    return inputs, steps[-1].c

"""The ranges of each recurrent layer's inputs, hidden and cell values and weights, and what int8's fixed range costs.

Pinned units and columns hold the range of a quantized product constant: [-1, 1] for hidden values, [-a, a] for inputs.
A layer whose values stay below that uses only a part of the 8 bits.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx

from exporter.page.parts import Activations, GateWeights, Layer
from exporter.page.recurrence import GATES, Recurrence, exposing, recurrences, sources, trajectory
from exporter.page.values import spread
from exporter.sessions import Rows

SATURATED = 0.99
ROWS = 64

Run = Callable[[bytes, Rows], Mapping[str, np.ndarray]]
"""Runs rows in one padded batch from the initial state; returns every input and output of the graph by name."""


def activations(model: onnx.ModelProto, rows: Rows, run: Run) -> Activations | None:
    """What the layers of a float graph see over `rows`; None for a graph without recurrent layers."""
    constants, computed = sources(model)
    values = constants | dict(run(exposing(model, computed).SerializeToString(), rows))
    by_layer: dict[str, list[Recurrence]] = {}
    for one in recurrences(model, values):
        by_layer.setdefault(one.node.input[1], []).append(one)
    layers = [layer(f"layer {number}", nodes) for number, nodes in enumerate(by_layer.values(), 1)]
    steps = sum(len(row) for row in rows)
    return Activations(rows=len(rows), steps=steps, layers=tuple(layers)) if layers else None


def layer(name: str, nodes: Sequence[Recurrence]) -> Layer:
    """One layer; several nodes are the same layer if they share their weights, as in an unrolled decoder."""
    first = nodes[0]
    units, columns = _trained(first)
    pinned = not units.all()
    parts = [trajectory(node) for node in nodes]
    hidden = np.concatenate([hidden for hidden, _ in parts])[:, units.ravel()]
    cells = [cell[:, units.ravel()] for _, cell in parts if cell is not None]
    inputs = np.concatenate([node.read["X"][node.valid] for node in nodes])
    bound = float(np.abs(inputs[:, ~columns]).max()) if pinned and not columns.all() else None
    seen = inputs[:, columns]
    return Layer(
        name=name,
        operator=first.node.op_type,
        input_size=int(columns.sum()),
        hidden_size=int(units[0].sum()),
        directions=first.directions,
        inputs=spread(seen),
        input_bound=bound,
        input_bits_lost=None if bound is None else bits_lost(seen, bound),
        hidden=spread(hidden, -1.0, 1.0) if first.node.op_type == "LSTM" else spread(hidden),
        hidden_bits_lost=bits_lost(hidden, 1.0) if pinned else None,
        saturated_share=float((np.abs(hidden) > SATURATED).mean()),
        cell=spread(np.concatenate(cells)) if cells else None,
        gates=tuple(_gates(first, units, columns)),
    )


def bits_lost(values: np.ndarray, bound: float) -> float:
    """log2(bound / largest magnitude): infinite where all values are 0, and never below 0."""
    largest = float(np.abs(values).max())
    return float("inf") if largest == 0 else max(0.0, float(np.log2(bound / largest)))


def _trained(one: Recurrence) -> tuple[np.ndarray, np.ndarray]:
    """Which units, bool [D, H], and which input columns, bool [I], have weights at all: pinned ones have none."""
    weights, recurrent = one.read["W"], one.read["R"]
    by_unit = np.concatenate([weights, recurrent], 2).reshape(one.directions, -1, one.hidden_size, sum(_widths(one)))
    units, columns = by_unit.any((1, 3)), weights.any((0, 1))
    if not units.any():
        units = np.ones_like(units)
    return units, columns if columns.any() else np.ones_like(columns)


def _widths(one: Recurrence) -> tuple[int, int]:
    return one.read["W"].shape[2], one.read["R"].shape[2]


def _gates(one: Recurrence, units: np.ndarray, columns: np.ndarray) -> list[GateWeights]:
    """Spreads by gate, the two biases of a gate added. A gate without any weights is held constant, and left out."""
    names, size = GATES[one.node.op_type], one.hidden_size
    shape = (one.directions, len(names), size)
    weights, recurrent = (one.read[slot].reshape(*shape, -1) for slot in ("W", "R"))
    bias = one.read.get("B", np.zeros((one.directions, 2 * len(names) * size), np.float32))
    bias = bias.reshape(one.directions, 2, len(names), size).sum(1)
    return [
        GateWeights(
            gate=name,
            inputs=spread(weights[:, gate][units][:, columns]),
            recurrent=spread(recurrent[:, gate][units]),
            bias=spread(bias[:, gate][units]),
        )
        for gate, name in enumerate(names)
        if weights[:, gate].any() or recurrent[:, gate].any()
    ]

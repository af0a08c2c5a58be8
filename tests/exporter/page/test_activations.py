"""Ranges of the layers of real graphs, pins left out."""

import dataclasses

import numpy as np
import pytest

from exporter.page.activations import activations, bits_lost
from exporter.page.parts import Activations
from exporter.sessions import Rows, pad
from tests.exporter.networks import Prepared, prepared


def ranges(case: Prepared) -> Activations | None:
    def run(model: bytes, rows: Rows) -> dict[str, np.ndarray]:
        session = dataclasses.replace(case.subject, model=model).session()
        inputs, lengths = pad(rows)
        state = session.initial_state(len(rows))
        return {"inputs": inputs, "lengths": lengths, "state": state} | session.everything(inputs, lengths)

    return activations(case.model, case.rows, run)


@pytest.mark.parametrize("name", ["text", "series"])
def test_pins_are_no_part_of_the_ranges(name: str) -> None:
    pinned, plain = (ranges(prepared(name, pinned=pins)) for pins in (True, False))
    for one, other in zip(pinned.layers, plain.layers, strict=True):
        assert (one.input_size, one.hidden_size) == (other.input_size, other.hidden_size)
        assert one.hidden.maximum == pytest.approx(other.hidden.maximum, abs=1e-5)
        assert one.cell.minimum == pytest.approx(other.cell.minimum, abs=1e-5)
        assert one.inputs.count == other.inputs.count
        assert one.input_bound >= max(abs(one.inputs.minimum), abs(one.inputs.maximum)) - 1e-6
        assert other.input_bound is None
        assert other.hidden_bits_lost is None


def test_every_step_that_counts_is_counted() -> None:
    case = prepared("series", pinned=True)
    found = ranges(case)
    steps = sum(map(len, case.rows))
    assert (found.rows, found.steps, len(found.layers)) == (len(case.rows), steps, 2)
    assert found.layers[0].inputs.count == 2 * steps
    assert found.layers[0].hidden.count == found.layers[0].cell.count == 18 * steps
    assert found.layers[0].inputs.maximum <= 6.0 == found.layers[0].input_bound
    assert found.layers[1].input_bound == pytest.approx(1.0, abs=1e-6)


def test_weights_have_their_gates_names() -> None:
    lstm, gru = (ranges(prepared(name, pinned=False)).layers[0] for name in ("series", "series, gru"))
    assert [gate.gate for gate in lstm.gates] == ["input", "output", "forget", "cell"]
    assert [gate.gate for gate in gru.gates] == ["update", "reset", "hidden"]
    assert lstm.gates[0].inputs.count == 18 * 2
    assert lstm.gates[0].recurrent.count == 18 * 18
    assert gru.cell is None


def test_the_constant_gates_of_a_plain_rnn_are_left_out() -> None:
    layer = ranges(prepared("series, rnn", pinned=False)).layers[0]
    assert [gate.gate for gate in layer.gates] == ["hidden"]


def test_what_a_range_leaves_unused() -> None:
    assert bits_lost(np.array([-0.25, 0.1]), 1.0) == 2.0
    assert bits_lost(np.array([2.0]), 1.0) == 0.0
    assert bits_lost(np.zeros(3), 1.0) == np.inf

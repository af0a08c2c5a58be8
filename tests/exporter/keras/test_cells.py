"""The cells that PyTorch does not have: an independent formula in float64, and the habits of `nn.LSTM` and `nn.GRU`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from exporter.keras.cells import CustomGRU, CustomLSTM, Stepwise

HIDDEN, FEATURES = 4, 3
MAKE: dict[str, Callable[..., Stepwise]] = {
    "LSTM": CustomLSTM,
    "GRU": lambda *sizes, **options: CustomGRU(*sizes, reset_before=False, **options),
    "GRU, reset before": lambda *sizes, **options: CustomGRU(*sizes, reset_before=True, **options),
}
FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
}


def cell(name: str, **options: Any) -> Stepwise:
    torch.manual_seed(3)
    made = MAKE[name](FEATURES, HIDDEN, **options)
    for parameter in made.parameters():
        parameter.data = 0.6 * torch.randn_like(parameter)
    return made


def by_hand(rnn: Stepwise, row: np.ndarray, suffix: str = "_l0") -> np.ndarray:
    """Hidden values [T, H] of one row [T, F], in float64."""
    gate, act = FUNCTIONS[rnn.recurrent_activation], FUNCTIONS[rnn.activation]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    W, R, b, d = (getattr(rnn, name + suffix).detach().double().numpy() for name in names)
    W, R, b, d = (part.reshape(-1, HIDDEN, *part.shape[1:]) for part in (W, R, b, d))
    h, c, hiddens = np.zeros(HIDDEN), np.zeros(HIDDEN), []
    for x in row.astype(np.float64):
        if isinstance(rnn, nn.LSTM):
            i, f, g, o = (W[k] @ x + b[k] + R[k] @ h + d[k] for k in range(4))
            c = gate(f) * c + gate(i) * act(g)
            h = gate(o) * act(c)
        else:
            r, z = (gate(W[k] @ x + b[k] + R[k] @ h + d[k]) for k in range(2))
            inner = R[2] @ (r * h) + d[2] if rnn.reset_before else r * (R[2] @ h + d[2])
            h = (1 - z) * act(W[2] @ x + b[2] + inner) + z * h
        hiddens.append(h)
    return np.array(hiddens)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("activation", "recurrent_activation"), [("tanh", "sigmoid"), ("relu", "softsign")])
@pytest.mark.parametrize("name", MAKE)
def test_it_computes_the_formula_in_packed_rows_of_different_lengths(
    name: str, activation: str, recurrent_activation: str, bidirectional: bool
) -> None:
    rnn = cell(name, bidirectional=bidirectional, activation=activation, recurrent_activation=recurrent_activation)
    lengths = [2, 6, 3]
    rows = [np.random.default_rng(n).normal(size=(n, FEATURES)).astype(np.float32) for n in lengths]
    padded = nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], padding_value=float("nan"))
    packed, final = rnn(pack_padded_sequence(padded, torch.tensor(lengths), enforce_sorted=False))
    outputs, found = pad_packed_sequence(packed)
    hidden = final[0] if isinstance(final, tuple) else final
    assert found.tolist() == lengths
    for column, row in enumerate(rows):
        seen, expected = outputs[: len(row), column].detach().numpy(), by_hand(rnn, row)
        np.testing.assert_allclose(seen[:, :HIDDEN], expected, atol=1e-5)
        np.testing.assert_allclose(hidden[0, column].detach(), expected[-1], atol=1e-5)
        if bidirectional:
            backwards = by_hand(rnn, row[::-1], "_l0_reverse")
            np.testing.assert_allclose(seen[:, HIDDEN:], backwards[::-1], atol=1e-5)
            np.testing.assert_allclose(hidden[1, column].detach(), backwards[-1], atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"bidirectional": True}, {"bias": False}])
@pytest.mark.parametrize(("name", "theirs"), [("LSTM", nn.LSTM), ("GRU", nn.GRU)])
def test_with_the_usual_activations_it_is_what_torch_has(
    name: str, theirs: type[nn.RNNBase], options: dict[str, bool]
) -> None:
    ours, usual, inputs = cell(name, **options), theirs(FEATURES, HIDDEN, **options), torch.randn(5, 2, FEATURES)
    usual.load_state_dict(ours.state_dict())
    _, state = usual(inputs)
    for given in (None, state):
        torch.testing.assert_close(ours(inputs, given), usual(inputs, given), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MAKE)
def test_a_state_carries_on(name: str) -> None:
    rnn, inputs = cell(name, activation="relu"), torch.randn(7, 2, FEATURES)
    whole, final = rnn(inputs)
    first, state = rnn(inputs[:3])
    second, end = rnn(inputs[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, final)


def test_to_reset_before_is_another_function() -> None:
    inputs = torch.randn(5, 2, FEATURES)
    before, after = (cell(name)(inputs)[0] for name in ("GRU, reset before", "GRU"))
    assert not torch.allclose(before, after, atol=0.01)


def test_onnx_names_of_activations() -> None:
    options = {"activation": "relu", "recurrent_activation": "softsign"}
    assert cell("LSTM", **options).onnx_activations == ["Softsign", "Relu", "Relu"]
    assert cell("GRU", **options).onnx_activations == ["Softsign", "Relu"]


def test_a_cell_without_a_step_cannot_be_made() -> None:
    class Stepless(Stepwise, nn.GRU):
        kinds = 1

    with pytest.raises(TypeError, match=r"abstract .*step"):
        Stepless(FEATURES, HIDDEN)

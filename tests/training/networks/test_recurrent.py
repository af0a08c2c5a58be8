"""The shared recurrent core: every cell is what its equations say, whatever the padding and the cuts."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.networks.recurrent import CELLS, Cell, Recurrent, TokenRecurrent

STEPS, FEATURES, HIDDEN, LAYERS = 9, 3, 5, 2
LENGTHS = torch.tensor([9, 4, 1, 7], dtype=torch.int32)
OURS: tuple[Cell, ...] = ("lstm-peephole", "lstm-coupled")


def layers(cell: Cell, **options: bool) -> Recurrent:
    torch.manual_seed(0)
    module = Recurrent(cell, FEATURES, HIDDEN, LAYERS, **options).double().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def inputs() -> Tensor:
    """[T, B, F], NaN past each length."""
    values = torch.randn(STEPS, len(LENGTHS), FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return values.masked_fill(torch.arange(STEPS)[:, None, None] >= LENGTHS[None, :, None], float("nan"))


def sigma(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def peephole(i: np.ndarray, f: np.ndarray, g: np.ndarray, o: np.ndarray, c: np.ndarray, p: list) -> tuple:
    c_next = sigma(f + p[1] * c) * c + sigma(i + p[0] * c) * np.tanh(g)
    return sigma(o + p[2] * c_next) * np.tanh(c_next), c_next


def coupled(i: np.ndarray, f: np.ndarray, g: np.ndarray, o: np.ndarray, c: np.ndarray, p: list) -> tuple:
    c_next = (1 - sigma(i)) * c + sigma(i) * np.tanh(g)
    return sigma(o) * np.tanh(c_next), c_next


def reference(module: Recurrent, row: np.ndarray) -> np.ndarray:
    """[T, F] -> the last layer's h at every step [T, H], in NumPy, from the equations alone."""
    cell = {"lstm-peephole": peephole, "lstm-coupled": coupled}[module.cell]
    weights = {name: value.detach().numpy() for name, value in module.rnn.named_parameters()}
    for layer in range(LAYERS):
        w_x, w_h, b_x, b_h = (weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        peepholes = np.split(weights.get(f"peepholes_l{layer}", np.zeros(3)), 3)
        h, c, outputs = np.zeros(HIDDEN), np.zeros(HIDDEN), []
        for x in row:
            h, c = cell(*np.split(w_x @ x + w_h @ h + b_x + b_h, 4), c, peepholes)
            outputs.append(h)
        row = np.stack(outputs)
    return row


def plain(cell: Cell, module: Recurrent) -> nn.RNNBase:
    """The layers as everybody writes them, with the same weights."""
    rnn = CELLS[cell](FEATURES, HIDDEN, LAYERS, batch_first=True, bidirectional=module.rnn.bidirectional).double()
    rnn.load_state_dict(module.rnn.state_dict())
    return rnn


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "rnn-relu"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one direction", "both"])
def test_cells_of_pytorch_are_those_of_pytorch(cell: Cell, bidirectional: bool) -> None:
    module = layers(cell, bidirectional=bidirectional)
    outputs, _ = module(inputs(), LENGTHS)
    for row, length in enumerate(LENGTHS):
        expected, _ = plain(cell, module)(inputs()[:length, row][None])
        torch.testing.assert_close(outputs[:length, row], expected[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", OURS)
def test_cells_of_ours_are_those_of_the_equations(cell: Cell) -> None:
    module = layers(cell)
    outputs, _ = module(inputs(), LENGTHS)
    for row, length in enumerate(LENGTHS):
        expected = reference(module, inputs()[:length, row].numpy())
        np.testing.assert_allclose(outputs[:length, row].detach().numpy(), expected, atol=1e-12)


def test_without_peepholes_a_peephole_lstm_is_an_lstm() -> None:
    module, usual = layers("lstm-peephole"), layers("lstm")
    module.rnn.load_state_dict(usual.rnn.state_dict(), strict=False)
    for layer in range(LAYERS):
        nn.init.zeros_(getattr(module.rnn, f"peepholes_l{layer}"))
    for found, expected in zip(module(inputs(), LENGTHS), usual(inputs(), LENGTHS), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_coupled_lstm_never_reads_its_forget_gate() -> None:
    module = layers("lstm-coupled")
    module(inputs().nan_to_num(), LENGTHS)[1].sum().backward()
    for name in ("weight_ih_l0", "weight_hh_l1", "bias_ih_l0", "bias_hh_l1"):
        gradient = getattr(module.rnn, name).grad
        assert not gradient[HIDDEN : 2 * HIDDEN].any()
        assert gradient[:HIDDEN].isfinite().all()
        assert gradient[:HIDDEN].any()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("cut", [1, 4, 8])
def test_the_state_carries_everything(cell: Cell, cut: int) -> None:
    module, whole = layers(cell), inputs()[:, :1]
    lengths = torch.tensor([STEPS], dtype=torch.int32)
    expected, end = module(whole, lengths)
    first, state = module(whole[:cut], torch.tensor([cut]))
    second, after = module(whole[cut:], torch.tensor([STEPS - cut]), state)
    torch.testing.assert_close(torch.cat([first, second]), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(after, end, rtol=0, atol=1e-12)
    assert end.shape == (1, module.state_size) == (1, module.state_slice("x").size)


@pytest.mark.parametrize("cell", CELLS)
def test_outputs_past_the_length_are_zero_and_the_state_is_that_of_the_last_step(cell: Cell) -> None:
    module = layers(cell)
    outputs, state = module(inputs(), LENGTHS)
    for row, length in enumerate(LENGTHS):
        assert not outputs[length:, row].any()
        last_h = state[row].view(LAYERS, -1)[-1, :HIDDEN]
        torch.testing.assert_close(last_h, outputs[length - 1, row])


@pytest.mark.parametrize("cell", CELLS)
def test_the_fast_training_path_is_the_same_maths(cell: Cell) -> None:
    module, values = layers(cell), inputs().nan_to_num(7.0)
    expected, _ = module(values, LENGTHS)
    torch.testing.assert_close(module.forward_from_start(values, LENGTHS), expected, rtol=0, atol=1e-12)


def test_both_directions_start_fast_too() -> None:
    module = layers("lstm", bidirectional=True)
    assert module.forward_from_start(inputs(), LENGTHS).shape == (STEPS, len(LENGTHS), module.width)


def test_inputs_are_clamped_and_tokens_looked_up() -> None:
    module = Recurrent("lstm", FEATURES, HIDDEN, input_clip=0.5)
    assert module.features(torch.tensor([-9.0, 0.25, 9.0])).tolist() == [-0.5, 0.25, 0.5]
    tokens = TokenRecurrent(7, FEATURES, "gru", HIDDEN, bidirectional=True)
    outputs, _ = tokens(torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1]))
    assert outputs.shape == (2, 2, 2 * HIDDEN)


@pytest.mark.parametrize(
    ("cell", "gate", "bias"), [("lstm", 1, 1.0), ("lstm-peephole", 1, 1.0), ("lstm-coupled", 0, -1.0)]
)
def test_a_fresh_lstm_keeps_most_of_its_cell(cell: Cell, gate: int, bias: float) -> None:
    gates = Recurrent(cell, FEATURES, HIDDEN).rnn.bias_ih_l0.view(4, HIDDEN)
    assert (gates[gate] == bias).all()
    assert not gates[[other for other in range(4) if other != gate]].any()


def test_dropout_between_written_out_layers_is_for_training_only() -> None:
    module = Recurrent("lstm-peephole", FEATURES, HIDDEN, LAYERS, dropout=0.5)
    values = inputs().float()
    dropped, again = (module(values, LENGTHS)[0] for _ in range(2))
    assert not torch.equal(dropped, again)
    module.eval()
    assert torch.equal(module(values, LENGTHS)[0], module(values, LENGTHS)[0])

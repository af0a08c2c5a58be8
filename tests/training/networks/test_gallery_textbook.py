"""The same numbers as the networks that tutorials write with plain `torch.nn`, from the same weights, on one row."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.exhibits import EXHIBITS, Exhibit
from training.networks import gallery
from training.networks.gallery.readout import LastStepNetwork
from training.networks.recurrent import Recurrent, TokenRecurrent

NAMED = {exhibit.name: exhibit for exhibit in EXHIBITS}
USUAL = [
    exhibit
    for exhibit in EXHIBITS
    if isinstance(network := exhibit.build(), LastStepNetwork) and network.recurrent.cell in ("lstm", "gru")
]


def batch_first(recurrent: Recurrent) -> nn.RNNBase:
    """The recurrent layers, as everybody writes them."""
    rnn = recurrent.rnn
    plain = type(rnn)(
        rnn.input_size, rnn.hidden_size, rnn.num_layers, batch_first=True, bidirectional=rnn.bidirectional
    )
    plain.load_state_dict(rnn.state_dict())
    return plain


def seen(recurrent: Recurrent, inputs: Tensor) -> Tensor:
    """[1, T] ids or [1, T, F] features -> what the LSTM reads."""
    if isinstance(recurrent, TokenRecurrent):
        return recurrent.embedding(inputs)
    return inputs.clip(-recurrent.input_clip, recurrent.input_clip)


def row_of(exhibit: Exhibit) -> tuple[Tensor, Tensor]:
    row = torch.from_numpy(exhibit.rows(1)[0])[None]
    return row, torch.tensor([row.shape[1]], dtype=torch.int32)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exhibit", USUAL, ids=[exhibit.name for exhibit in USUAL])
@torch.inference_mode()
def test_the_last_step_of_a_batch_first_layer(exhibit: Exhibit) -> None:
    network, (inputs, lengths) = exhibit.network(), row_of(exhibit)
    outputs, _ = batch_first(network.recurrent)(seen(network.recurrent, inputs))
    expected = network.head(outputs[:, -1, :])
    assert_close(network(inputs, lengths, network.initial_state(1))[0], expected)


@torch.inference_mode()
def test_explicit_zero_states_are_the_initial_state() -> None:
    network, (inputs, lengths) = NAMED["LSTMNet"].network(), row_of(NAMED["LSTMNet"])
    h0, c0 = (torch.zeros(2, 1, 50) for _ in range(2))
    outputs, _ = batch_first(network.recurrent)(seen(network.recurrent, inputs), (h0, c0))
    assert_close(network(inputs, lengths, network.initial_state(1))[0], network.head(outputs[:, -1, :]))


@pytest.mark.parametrize("name", ["bidirectional-tokens", "bidirectional-features"])
@torch.inference_mode()
def test_both_final_states_side_by_side(name: str) -> None:
    network, (inputs, lengths) = NAMED[name].network(), row_of(NAMED[name])
    _, (h, _) = batch_first(network.recurrent)(seen(network.recurrent, inputs))
    assert_close(network(inputs, lengths), network.head(torch.cat([h[-2], h[-1]], 1)))


@torch.inference_mode()
def test_multi_head_attention_at_the_last_step() -> None:
    network, (inputs, lengths) = NAMED["LSTMWithAttention"].network(), row_of(NAMED["LSTMWithAttention"])
    ours = network.attention
    plain = nn.MultiheadAttention(64, ours.heads, batch_first=True)
    plain.in_proj_weight.copy_(torch.cat([layer.weight for layer in (ours.query, ours.key, ours.value)]))
    plain.in_proj_bias.copy_(torch.cat([layer.bias for layer in (ours.query, ours.key, ours.value)]))
    plain.out_proj.load_state_dict(ours.output.state_dict())
    hidden, _ = batch_first(network.recurrent)(seen(network.recurrent, inputs))
    attended, _ = plain(hidden, hidden, hidden)
    assert_close(network(inputs, lengths), network.head(attended[:, -1]))


@torch.inference_mode()
def test_attention_is_even_where_all_steps_are_alike() -> None:
    attention = gallery.LSTMWithAttention(3).attention
    steps, lengths = torch.randn(1, 1, 64).expand(2, 9, 64), torch.tensor([9, 4])
    expected = attention.output(attention.value(steps[:, 0]))
    assert_close(attention(steps, lengths), expected)


@torch.inference_mode()
def test_a_convolution_without_padding() -> None:
    network, (inputs, lengths) = NAMED["CNN_LSTM"].network(), row_of(NAMED["CNN_LSTM"])
    plain = nn.Conv1d(5, 64, kernel_size=3)
    plain.weight.copy_(network.convolution.weight.unflatten(1, (3, 5)).transpose(1, 2))
    plain.bias.copy_(network.convolution.bias)
    patterns = functional.relu(plain(inputs.transpose(1, 2))).transpose(1, 2)
    assert patterns.shape[1] == inputs.shape[1] - 2
    outputs, _ = batch_first(network.recurrent)(seen(network.recurrent, patterns))
    assert_close(network(inputs, lengths, network.initial_state(1))[0], network.head(outputs[:, -1, :]))


@torch.inference_mode()
def test_a_decoder_fed_with_its_own_output() -> None:
    network, (inputs, lengths) = NAMED["encoder-decoder"].network(), row_of(NAMED["encoder-decoder"])
    encoder, decoder = (batch_first(part.recurrent) for part in (network.encoder, network.decoder))
    _, state = encoder(seen(network.encoder.recurrent, inputs))
    value, expected = inputs[:, -1:, :1], []
    for _ in range(network.horizon):
        outputs, state = decoder(seen(network.decoder.recurrent, value), state)
        value = network.decoder.head(outputs)
        expected.append(value[:, 0])
    assert_close(network(inputs, lengths, network.initial_state(1))[0], torch.cat(expected, 1))


@torch.inference_mode()
def test_the_unrolled_decoder_is_the_two_step_functions() -> None:
    network, (inputs, lengths) = NAMED["encoder-decoder"].network(), row_of(NAMED["encoder-decoder"])
    expected, _ = network(inputs, lengths, network.initial_state(1))
    _, state = network.encoder(inputs, lengths, network.encoder.initial_state(1))
    value, one = inputs[:, -1:, :1], torch.ones(1, dtype=torch.int32)
    for ahead in range(network.horizon):
        value, state = network.decoder(value, one, state)
        assert torch.equal(value[:, 0, 0], expected[:, ahead])


@torch.inference_mode()
def test_a_linear_layer_on_every_step() -> None:
    network, (inputs, lengths) = NAMED["sequence-to-sequence"].network(), row_of(NAMED["sequence-to-sequence"])
    outputs, _ = batch_first(network.recurrent)(seen(network.recurrent, inputs))
    assert_close(network(inputs, lengths, network.initial_state(1))[0], network.head(outputs))


@torch.inference_mode()
def test_a_scaler_goes_in_and_out() -> None:
    network = gallery.StockPredictor().eval()
    inputs, lengths = torch.linspace(90, 110, 60)[None, :, None], torch.tensor([60])
    network.scaler.fit(inputs)
    unscaled = gallery.StockPredictor().eval()
    unscaled.load_state_dict(
        network.state_dict() | {"scaler.lowest": torch.tensor(0.0), "scaler.span": torch.tensor(1.0)}
    )
    found, expected = (
        one(values, lengths, one.initial_state(1))[0]
        for one, values in ((network, inputs), (unscaled, (inputs - 90) / 20))
    )
    assert_close(found, 90 + 20 * expected)
    assert np.isclose(network.scaler(torch.tensor([90.0, 110.0])).tolist(), [0, 1]).all()

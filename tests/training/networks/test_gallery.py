"""Every network of the gallery: padding, neighbours and cuts change nothing, and a few steps of training help."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporter.exhibits import EXHIBITS, Exhibit
from training.evaluation import pad
from training.networks import gallery
from training.networks.gallery.convolution import CNN_LSTM
from training.networks.step import StepNetwork, WholeNetwork

Network = StepNetwork | WholeNetwork
OURS = [exhibit for exhibit in EXHIBITS if type(exhibit.build()).__name__ in gallery.__all__]
EVERY = pytest.mark.parametrize("exhibit", OURS, ids=[exhibit.name for exhibit in OURS])
CHUNKABLE = [exhibit for exhibit in OURS if isinstance(exhibit.build(), StepNetwork)]


def run(network: Network, inputs: Tensor, lengths: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Outputs and the next state, which has no columns for a whole network."""
    if isinstance(network, WholeNetwork):
        return network(inputs, lengths), torch.zeros(len(lengths), 0)
    return network(inputs, lengths, network.initial_state(len(lengths)) if state is None else state)


def alone(network: Network, row: np.ndarray, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return run(network, torch.from_numpy(row)[None], torch.tensor([len(row)], dtype=torch.int32), state)


def spoiled(inputs: Tensor, lengths: Tensor) -> Tensor:
    """The same batch with other content past each length: NaN, or another token."""
    past = torch.arange(inputs.shape[1]) >= lengths[:, None]
    return inputs.masked_fill(past.view(*past.shape, *[1] * (inputs.ndim - 2)), 7 if inputs.ndim == 2 else float("nan"))


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


def test_every_architecture_is_shown() -> None:
    assert {type(exhibit.build()).__name__ for exhibit in OURS} == set(gallery.__all__)
    assert len({exhibit.name for exhibit in EXHIBITS}) == len(EXHIBITS)


@EVERY
@torch.inference_mode()
def test_padding_and_neighbours_change_nothing(exhibit: Exhibit) -> None:
    network, rows = exhibit.network(), exhibit.rows(6)
    inputs, lengths = pad(rows)
    outputs, states = run(network, spoiled(inputs, lengths), lengths)
    for number, row in enumerate(rows):
        expected, state = alone(network, row)
        steps = len(row) if network.per_step else None
        assert_close(outputs[number, :steps], expected[0])
        assert_close(states[number], state[0])
        assert not network.per_step or not outputs[number, steps:].any()


@pytest.mark.parametrize("exhibit", CHUNKABLE, ids=[exhibit.name for exhibit in CHUNKABLE])
@pytest.mark.parametrize("cuts", [(3,), (5, 6), (8, 20, 21, 40)])
@torch.inference_mode()
def test_cuts_change_nothing(exhibit: Exhibit, cuts: tuple[int, ...]) -> None:
    network = exhibit.network()
    row = next(row for row in exhibit.rows(20, seed=1) if len(row) > max(cuts))
    whole, end = alone(network, row)
    state, outputs = None, []
    for piece in np.split(row, cuts):
        output, state = alone(network, piece, state)
        outputs.append(output)
    assert_close(torch.cat(outputs, 1) if network.per_step else outputs[-1], whole)
    assert_close(state, end)


@torch.inference_mode()
def test_new_and_running_rows_of_a_convolution_share_a_batch() -> None:
    network, (first, second) = CNN_LSTM(2).eval(), (torch.randn(1, 9, 2), torch.randn(1, 5, 2))
    begun = network(first[:, :4], torch.tensor([4]), network.initial_state(1))[1]
    together, _ = network(
        torch.cat([first[:, 4:], second]), torch.tensor([5, 5]), torch.cat([begun, network.initial_state(1)])
    )
    for found, row in zip(together, (first[0], second[0]), strict=True):
        assert_close(found, alone(network, row.numpy())[0][0])


def test_a_network_says_how_many_units_its_heads_need() -> None:
    with pytest.raises(ValueError, match="hidden_size 20 is not a multiple of 8 heads"):
        gallery.LSTMWithAttention(3, hidden_size=20)


def loss(network: Network, exhibit: Exhibit, outputs: Tensor, inputs: Tensor) -> Tensor:
    """Of targets that can be learned: the sign of a feature at each step, or one for each row."""
    numbers = torch.arange(len(outputs))
    if exhibit.answer.scores == "logits":
        targets = (inputs[..., 0] > 0).long() if network.per_step else numbers % outputs.shape[-1]
        return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())
    if exhibit.answer.labels:
        return functional.binary_cross_entropy(outputs[:, 0], (numbers % 2).float())
    return functional.mse_loss(outputs, torch.full_like(outputs, 0.5))


@EVERY
def test_a_few_steps_of_training_lower_the_loss(exhibit: Exhibit) -> None:
    torch.manual_seed(0)
    network = exhibit.build()
    inputs, lengths = pad([row[:12] for row in exhibit.rows(8)])
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    losses = []
    for _ in range(12):
        outputs, _ = run(network, inputs, lengths)
        losses.append(loss(network, exhibit, outputs, inputs))
        optimizer.zero_grad()
        losses[-1].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]

"""The reference is right: its backward pass agrees with autograd and with finite differences."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.exporter.reference_cell import GATES, Weights, gradients, run, stacked

STEPS, HIDDEN, FEATURES = 3, 2, 3


@pytest.fixture
def layer() -> nn.LSTM:
    torch.manual_seed(1)
    return nn.LSTM(FEATURES, HIDDEN).double()


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(STEPS, FEATURES))


def loss(weights: Weights, inputs: np.ndarray) -> float:
    """The square of the last hidden state."""
    zero = np.zeros(HIDDEN)
    return float((run(weights, inputs, zero, zero)[-1].h ** 2).sum())


def reference_gradients(layer: nn.LSTM, inputs: np.ndarray) -> dict[str, np.ndarray]:
    weights, zero = Weights.of(layer), np.zeros(HIDDEN)
    steps = run(weights, inputs, zero, zero)
    return gradients(weights, steps, 2 * steps[-1].h)


def test_gradients_through_time_agree_with_autograd(layer: nn.LSTM, inputs: np.ndarray) -> None:
    outputs, _ = layer(torch.from_numpy(inputs)[:, None])
    (outputs[-1] ** 2).sum().backward()
    joined = torch.cat([layer.weight_hh_l0.grad, layer.weight_ih_l0.grad], 1).numpy()
    for gate, expected in zip("ifgo", np.split(joined, 4), strict=True):
        np.testing.assert_allclose(reference_gradients(layer, inputs)[gate], expected, atol=1e-12)


@pytest.mark.parametrize("gate", GATES)
def test_gradients_through_time_agree_with_finite_differences(layer: nn.LSTM, inputs: np.ndarray, gate: str) -> None:
    weights, small = Weights.of(layer), 1e-6
    found = reference_gradients(layer, inputs)[gate]
    for place in np.ndindex(found.shape):
        kept, values = weights.W[gate][place], []
        for moved in (kept + small, kept - small):
            weights.W[gate][place] = moved
            values.append(loss(weights, inputs))
        weights.W[gate][place] = kept
        assert (values[0] - values[1]) / (2 * small) == pytest.approx(found[place], abs=1e-8)


def test_stacked_layers_agree_with_pytorch(inputs: np.ndarray) -> None:
    torch.manual_seed(2)
    layers = nn.LSTM(FEATURES, 4, num_layers=3).double()
    expected, (_, c) = layers(torch.from_numpy(inputs)[:, None])
    outputs, final = stacked(layers, inputs)
    np.testing.assert_allclose(outputs, expected[:, 0].detach(), atol=1e-12)
    np.testing.assert_allclose(final, c[-1, 0].detach(), atol=1e-12)

"""The two forecast networks as step functions: whatever the chunks, the padding and the company, the same answer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.networks.forecast import ForecastNetwork
from training.networks.step import StepNetwork
from training.networks.stock import StockNetwork

LENGTH = 400


def hourly_network(layers: int = 1) -> ForecastNetwork:
    torch.manual_seed(1)
    network = ForecastNetwork(hidden_size=14, perceptron_size=16, experts=3, layers=layers).eval()
    for layer in (network.head.linear, network.head.gate, network.head.mixture, network.head.shape):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return network


def stock_network(layers: int = 1) -> StockNetwork:
    torch.manual_seed(1)
    network = StockNetwork(hidden_size=14, layers=layers).eval()
    torch.nn.init.normal_(network.head[-1].weight, std=0.3)
    return network


def series(seed: int, length: int = LENGTH) -> Tensor:
    """A positive daily cycle with noise: [1, length, 1]."""
    random = np.random.default_rng(seed)
    hours = np.arange(length)
    values = 50 + 10 * np.sin(2 * np.pi * hours / 24) + random.normal(0, 1, length).cumsum() * 0.3
    return torch.tensor(values, dtype=torch.float32)[None, :, None]


def run(network: StepNetwork, values: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    lengths = torch.full((len(values),), values.shape[1], dtype=torch.int32)
    with torch.inference_mode():
        return network(values, lengths, network.initial_state(len(values)) if state is None else state)


@pytest.fixture(scope="module", params=[1, 2])
def layers(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module", params=[hourly_network, stock_network])
def network(request: pytest.FixtureRequest, layers: int) -> StepNetwork:
    return request.param(layers)


def assert_same(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, LENGTH - 1), max_size=6, unique=True))
def test_chunks_do_not_matter(network: StepNetwork, cuts: list[int]) -> None:
    values = series(2)
    state = None
    for chunk in values.tensor_split(sorted(cuts), dim=1):
        outputs, state = run(network, chunk, state)
    assert_same((outputs, state), run(network, values))


@pytest.mark.parametrize("padding", [0.0, 1e30, float("nan"), float("inf")])
def test_padding_and_neighbours_do_not_matter(network: StepNetwork, padding: float) -> None:
    short, long = series(3, 200), series(4)
    padded = torch.cat([torch.nn.functional.pad(short, (0, 0, 0, LENGTH - 200), value=padding), long])
    with torch.inference_mode():
        outputs, state = network(padded, torch.tensor([200, LENGTH], dtype=torch.int32), network.initial_state(2))
    assert_same((outputs[:1], state[:1]), run(network, short))
    assert_same((outputs[1:], state[1:]), run(network, long))


def test_one_more_point_never_changes_past_features(network: StepNetwork) -> None:
    carried = network.split(network.initial_state(1))
    values = series(5)[..., 0] / 10 - 5
    everything = torch.ones_like(values, dtype=torch.bool)
    whole, _ = network.features(values, everything, carried)
    for length in (1, 2, 25, 168, 399):
        part, _ = network.features(values[:, :length], everything[:, :length], carried)
        assert torch.equal(part, whole[:, :length])


def test_training_on_many_origins_is_the_step_function_at_each(network: StepNetwork) -> None:
    values = series(6)
    origins = torch.tensor([[168, 200, 337, LENGTH]])
    with torch.inference_mode():
        together = network.at_origins(values[..., 0], origins)[0]
    alone = torch.cat([run(network, values[:, :length])[0] for length in origins[0].tolist()])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("factor", [2.0**-20, 0.3, 1024.0])
def test_the_unit_does_not_matter(network: StepNetwork, factor: float) -> None:
    values = series(7) if isinstance(network, ForecastNetwork) else series(7) / 50 * 1e3
    torch.testing.assert_close(run(network, values * factor)[0], run(network, values)[0] * factor, rtol=1e-4, atol=1e-9)


def test_the_level_does_not_matter_to_the_hourly_network() -> None:
    network, values = hourly_network(), series(8).round(decimals=2)
    torch.testing.assert_close(run(network, values + 4096)[0], run(network, values)[0] + 4096, rtol=0, atol=0.02)


def test_small_changes_at_a_high_level_are_seen() -> None:
    network, values = hourly_network(), series(9).round()
    torch.testing.assert_close(run(network, values + 1e6)[0], run(network, values)[0] + 1e6, rtol=0, atol=0.1)


@pytest.mark.parametrize("constant", [0.0, 7.25, 1e6])
def test_a_constant_series_goes_on(network: StepNetwork, constant: float) -> None:
    outputs, _ = run(network, torch.full((1, LENGTH, 1), constant))
    expected = torch.full_like(outputs, constant)
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=2e-6)


def test_a_long_session_sees_the_scale_of_its_last_week() -> None:
    network = hourly_network()
    season = torch.cat([100 * series(13), series(14)], 1)[..., 0]
    carried = network.split(network.initial_state(1))
    late, _ = network.features(season, torch.ones_like(season, dtype=torch.bool), carried)
    fresh, _ = network.features(season[:, LENGTH:], torch.ones(1, LENGTH, dtype=torch.bool), carried)
    torch.testing.assert_close(late[:, -50:], fresh[:, -50:], rtol=1e-3, atol=1e-3)


def test_an_hour_that_never_varies_gets_a_narrow_interval() -> None:
    night = (torch.arange(LENGTH) % 24 < 8)[None, :, None]
    values = torch.where(night, 0.0, series(10))
    outputs, _ = run(hourly_network(), values)
    following = torch.arange(LENGTH, LENGTH + 48) % 24 < 8
    width = outputs[0, :, 2] - outputs[0, :, 0]
    assert outputs[0, following].abs().max() < 0.5
    assert width[following].max() < 0.1 * width[~following].min()


@pytest.mark.parametrize("spike", [1e12, -1e12])
def test_spikes_stay_finite_and_are_counted(spike: float) -> None:
    network, values = hourly_network(), series(11)
    values[0, 300] = spike
    outputs, state = run(network, values)
    assert torch.isfinite(outputs).all()
    assert network.split(state)["clipped"].item() > 0


def test_quantiles_never_cross(network: StepNetwork) -> None:
    outputs, _ = run(network, torch.cat([series(seed) for seed in range(20, 36)]))
    assert (outputs.diff(dim=2) >= 0).all()


def test_prices_of_zero_or_below_stay_finite() -> None:
    values = series(12)
    values[0, 100:110] = 0.0
    values[0, 350] = -3.0
    assert torch.isfinite(run(stock_network(), values)[0]).all()

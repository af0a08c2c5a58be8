import numpy as np
import pytest

from training.metrics import forecast as metrics

ACTUAL = np.array([[10.0, 20.0], [30.0, 40.0]])
FORECAST = np.array([[11.0, 18.0], [30.0, 44.0]])


def test_point_errors_by_hand() -> None:
    assert metrics.mae(FORECAST, ACTUAL) == pytest.approx((1 + 2 + 0 + 4) / 4)
    assert metrics.rmse(FORECAST, ACTUAL) == pytest.approx(((1 + 4 + 0 + 16) / 4) ** 0.5)
    assert metrics.mape(FORECAST, ACTUAL) == pytest.approx((10 + 10 + 0 + 10) / 4)


def test_mase_of_the_seasonal_naive_method_on_its_own_history_is_one() -> None:
    history = np.array([1.0, 5.0, 2.0, 7.0, 4.0, 6.0])
    naive, actual = history[None, :-2], history[None, 2:]
    assert metrics.mase(naive, actual, history, season=2) == pytest.approx(1)


def test_pinball_by_hand() -> None:
    forecast = np.array([[[8.0, 11.0]]])
    assert metrics.pinball(forecast, np.array([[10.0]]), (0.1, 0.9)) == pytest.approx((0.1 * 2 + 0.1 * 1) / 2)


def test_the_true_quantile_has_the_lowest_pinball_loss() -> None:
    actual = np.random.default_rng(0).exponential(size=(20_000, 1))
    candidates = np.linspace(0.5, 4, 36)
    losses = [metrics.pinball(np.full((20_000, 1, 1), value), actual, (0.9,)) for value in candidates]
    assert candidates[np.argmin(losses)] == pytest.approx(-np.log(0.1), abs=0.15)


def test_the_ends_of_an_interval_cover() -> None:
    low, high = np.array([[1.0, 1.0, 1.0, 1.0]]), np.array([[2.0, 2.0, 2.0, 2.0]])
    assert metrics.coverage(low, high, np.array([[1.0, 2.0, 0.99, 2.01]])) == 0.5

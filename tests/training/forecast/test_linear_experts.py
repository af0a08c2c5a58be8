import numpy as np
import torch

from training.forecast.linear_experts import linear_expert
from training.forecast.series import Series
from training.networks.forecast import CONTEXT, ForecastHead


def test_an_expert_continues_its_series_at_any_level_and_scale() -> None:
    hours = np.arange(4000)
    values = np.sin(2 * np.pi * hours / 30) + 0.5 * np.cos(2 * np.pi * hours / 168)
    head = ForecastHead(hidden_size=4, perceptron_size=8, experts=1, horizon=48, dropout=0.0).eval()
    head.start_experts([linear_expert(Series("waves", values, 2800, 3200), head)])
    past = torch.tensor(7 * values[3300 - CONTEXT : 3300] + 20, dtype=torch.float32)[None]
    with torch.inference_mode():
        median = head(past, torch.tensor([[1000.0]]), torch.zeros(1, 4))[0, :, 1]
    expected = 7 * values[3300:3348] + 20
    assert np.abs(median.numpy() - expected).mean() < 0.1 * np.abs(expected - expected.mean()).mean()

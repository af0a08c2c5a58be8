"""The networks of the recipes with two layers, as a search may choose them: exact, and what PyTorch says."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from exporter import graph
from exporter.quantize import quantized
from exporter.recurrent import exportable, pinned_columns
from exporter.sessions import Rows, alone
from exporter.verify import Subject, invariance, parity
from training.evaluation import predict
from training.networks.forecast import WEEK, ForecastNetwork
from training.networks.sentiment import SentimentNetwork
from training.networks.step import StepNetwork
from training.networks.stock import CONTEXT, StockNetwork

VOCABULARY = 90
NETWORKS: dict[str, Callable[[], StepNetwork]] = {
    "hourly": lambda: ForecastNetwork(hidden_size=14, perceptron_size=16, experts=2, layers=2),
    "stock": lambda: StockNetwork(hidden_size=14, layers=2),
    "sentiment": lambda: SentimentNetwork(VOCABULARY, 14, 14, buckets=64, layers=2),
}
SHORTEST = {"hourly": WEEK, "stock": CONTEXT, "sentiment": 1}


def made_rows(name: str) -> Rows:
    random = np.random.default_rng(1)
    lengths = SHORTEST[name] + random.integers(0, 20, 8)
    if name == "sentiment":
        return [random.integers(1, VOCABULARY, length) for length in lengths]
    return [np.exp(random.normal(0, 0.05, (length, 1)).cumsum(0)).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("name", NETWORKS)
def test_two_layers_are_exact_and_what_pytorch_says(name: str) -> None:
    torch.manual_seed(2)
    network, rows = NETWORKS[name]().eval(), made_rows(name)
    for parameter in network.parameters():
        if parameter.dim() == 2 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    served = exportable(network, pinned=True)
    model = graph.to_onnx(served, rows[0])
    initial = np.concatenate([part.values().numpy() for part in served.state_slices()])
    vocabulary = VOCABULARY if name == "sentiment" else None
    for tolerance, bytes_of_it in ((1e-5, model.SerializeToString()), (0.1, quantized(model).SerializeToString())):
        subject = Subject(bytes_of_it, initial, pinned_columns(served), vocabulary, 1)
        found = invariance(subject, rows).model_dump(exclude={"sequences"})
        assert found == {"batch": 0.0, "padding": 0.0, "chunks": 0.0, "threads": 0.0}
        assert parity(predict(network, rows), alone(subject.session(), rows).outputs) < tolerance

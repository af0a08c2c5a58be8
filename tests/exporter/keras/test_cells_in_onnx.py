"""The cells that PyTorch does not have, as ONNX nodes: the same numbers, and nothing depends on the company."""

import numpy as np
import pytest
import torch
from torch import Tensor

from exporter import graph
from exporter.foreign.layers import RecurrentLayer, recurrent_layers
from exporter.keras.cells import CustomGRU, CustomLSTM, Stepwise
from exporter.sessions import alone
from exporter.verify import Subject, invariance
from training.networks.step import StateSlice, StepNetwork

HIDDEN, FEATURES = 9, 3
CELLS: dict[str, Stepwise] = {
    "LSTM, relu": CustomLSTM(FEATURES, HIDDEN, activation="relu"),
    "LSTM, softsign and tanh": CustomLSTM(FEATURES, HIDDEN, activation="softsign", recurrent_activation="tanh"),
    "GRU, relu": CustomGRU(FEATURES, HIDDEN, reset_before=False, activation="relu"),
    "GRU, reset before": CustomGRU(FEATURES, HIDDEN, reset_before=True),
    "GRU, reset before, elu": CustomGRU(FEATURES, HIDDEN, reset_before=True, activation="elu"),
}


class FinalState(StepNetwork):
    """The cell as an ONNX node; its hidden values after the last valid step [B, H]."""

    def __init__(self, layer: RecurrentLayer) -> None:
        super().__init__()
        self.layers = layer.onnx(pins=0)

    def state_slices(self) -> tuple[StateSlice, ...]:
        return (self.layers.state_slice("rnn"),)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        _, after = self.layers(inputs.transpose(0, 1), lengths, state)
        return self.layers.final(after)[0][-1], after


@pytest.mark.parametrize("name", CELLS)
def test_the_node_computes_what_the_cell_does(name: str) -> None:
    torch.manual_seed(5)
    rnn = CELLS[name]
    for parameter in rnn.parameters():
        parameter.data = 0.4 * torch.randn_like(parameter)
    random = np.random.default_rng(0)
    rows = [random.normal(size=(length, FEATURES)).astype(np.float32) for length in (1, 12, 5, 12, 30, 2, 19)]
    network = FinalState(recurrent_layers(torch.nn.ModuleList([rnn]))[0])
    model = graph.to_onnx(network, rows[-1])
    subject = Subject(model.SerializeToString(), network.initial_state(1)[0].numpy(), (), None, 1)
    with torch.no_grad():
        expected = [rnn.time_first()(torch.from_numpy(row)[:, None])[0][-1, 0].numpy() for row in rows]
    assert np.abs(alone(subject.session(), rows).outputs - np.stack(expected)).max() < 1e-5
    found = invariance(subject, rows).model_dump(exclude={"sequences"})
    assert found == {"batch": 0.0, "padding": 0.0, "chunks": 0.0, "threads": 0.0}

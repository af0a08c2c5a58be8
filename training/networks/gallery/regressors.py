"""Features in, one number out: recurrent layers and a linear layer on the last valid step.

Features are not bounded by construction, so they are clamped to `input_clip` of their (scaled) unit.
"""

from torch import Tensor, nn

from training.networks.gallery.readout import LastStepNetwork
from training.networks.gallery.scaling import MinMax
from training.networks.recurrent import Cell, Recurrent


class LSTMNet(LastStepNetwork):
    """Row 4. float32 [B, T, features] -> [B, outputs]. `h0` and `c0` of the tutorial are the zeros in the state."""

    cell: Cell = "lstm"

    def __init__(
        self,
        features: int = 10,
        hidden_size: int = 50,
        num_layers: int = 2,
        outputs: int = 1,
        dropout: float = 0.2,
        input_clip: float = 8.0,
    ) -> None:
        between = dropout if num_layers > 1 else 0.0
        recurrent = Recurrent(self.cell, features, hidden_size, num_layers, between, input_clip)
        super().__init__(recurrent, nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, outputs)))


class StockPredictor(LastStepNetwork):
    """Row 5. Raw prices float32 [B, T, 1], 60 days by custom -> the next price [B, 1], min-max scaled in between."""

    def __init__(self, hidden_size: int = 50, num_layers: int = 2, input_clip: float = 4.0) -> None:
        recurrent = Recurrent("lstm", 1, hidden_size, num_layers, input_clip=input_clip)
        super().__init__(recurrent, nn.Linear(hidden_size, 1))
        self.scaler = MinMax()

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        scaled, state = super().forward(self.scaler(inputs), lengths, state)
        return self.scaler.inverse(scaled), state


class StackedRegressor(LastStepNetwork):
    """Row 6. Keras' LSTM 50, dropout, LSTM 50, dropout, dense 25, dense 1: float32 [B, T, 1] -> [B, 1]."""

    def __init__(self, dropout: float = 0.2, input_clip: float = 4.0) -> None:
        recurrent = Recurrent("lstm", 1, 50, num_layers=2, dropout=dropout, input_clip=input_clip)
        super().__init__(recurrent, nn.Sequential(nn.Dropout(dropout), nn.Linear(50, 25), nn.Linear(25, 1)))


class SmallRegressor(LastStepNetwork):
    """Row 7. Keras' LSTM 128 over 10 steps of 32 features, dense 1: float32 [B, T, 32] -> [B, 1]."""

    def __init__(self, input_clip: float = 8.0) -> None:
        super().__init__(Recurrent("lstm", 32, 128, input_clip=input_clip), nn.Linear(128, 1))


class GRUNet(LSTMNet):
    """Row 8. As row 4 with a reset and an update gate, and no cell state. There is no int8 kernel for it."""

    cell: Cell = "gru"


class RNNNet(LSTMNet):
    """Row 17. As row 4 without any gate: h' = tanh(W x + R h + b), the textbook's "before"."""

    cell: Cell = "rnn"


class ReluRNNNet(LSTMNet):
    """Row 17. h' = max(0, W x + R h + b), which nothing bounds: keep R's norm near 1 (Le et al. 2015)."""

    cell: Cell = "rnn-relu"

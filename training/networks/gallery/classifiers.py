"""Token ids in, a class out: an embedding, an LSTM, and a linear layer on the final hidden state."""

from torch import nn

from training.networks.gallery.readout import LastStepNetwork
from training.networks.recurrent import Cell, TokenRecurrent


class LSTMClassifier(LastStepNetwork):
    """Row 1. int64 ids [B, T] -> logits [B, classes]. Trained with cross-entropy."""

    cell: Cell = "lstm"

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        hidden_size: int,
        classes: int,
        num_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        recurrent = TokenRecurrent(vocabulary_size, embedding_size, self.cell, hidden_size, num_layers, dropout)
        super().__init__(recurrent, nn.Linear(hidden_size, classes))


class SentimentLSTM(LastStepNetwork):
    """Row 2. int64 ids [B, T] -> the probability of the positive class [B, 1]. Trained with binary cross-entropy."""

    def __init__(self, vocabulary_size: int, embedding_size: int, hidden_size: int, num_layers: int = 1) -> None:
        recurrent = TokenRecurrent(vocabulary_size, embedding_size, "lstm", hidden_size, num_layers)
        super().__init__(recurrent, nn.Sequential(nn.Linear(hidden_size, 1), nn.Sigmoid()))


class LSTMSentimentAnalysis(LSTMClassifier):
    """Row 3. The same as row 1 with the sizes of the tutorial: int64 ids [B, T] below 1000 -> 2 logits."""

    def __init__(self) -> None:
        super().__init__(vocabulary_size=1000, embedding_size=100, hidden_size=128, classes=2)


class PeepholeClassifier(LSTMClassifier):
    """Row 13. As row 1, but the gates also see the cell state."""

    cell: Cell = "lstm-peephole"


class CoupledClassifier(LSTMClassifier):
    """Row 14. As row 1, but one gate decides both what is written and what is forgotten: f = 1 - i."""

    cell: Cell = "lstm-coupled"

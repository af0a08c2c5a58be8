"""Row 9. Two LSTMs read the whole sequence, one from either end. A later step changes every earlier one: no state."""

import torch
from torch import Tensor, nn

from training.networks.gallery.readout import last_valid
from training.networks.recurrent import Recurrent, TokenRecurrent
from training.networks.step import WholeNetwork


class BidirectionalNetwork(WholeNetwork):
    """The forward LSTM after the last valid step beside the backward one after the first: [B, 2 * H] -> [B, ...]."""

    def __init__(self, recurrent: Recurrent, head: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.head = recurrent, head

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        hidden, _ = self.recurrent(inputs.transpose(0, 1), lengths)
        steps, size = hidden.transpose(0, 1), hidden.shape[2] // 2
        return self.head(torch.cat([last_valid(steps, lengths)[:, :size], steps[:, 0, size:]], 1))


class BidirectionalClassifier(BidirectionalNetwork):
    """int64 ids [B, T] -> logits [B, classes]."""

    def __init__(
        self, vocabulary_size: int, embedding_size: int, hidden_size: int, classes: int, num_layers: int = 1
    ) -> None:
        recurrent = TokenRecurrent(vocabulary_size, embedding_size, "lstm", hidden_size, num_layers, bidirectional=True)
        super().__init__(recurrent, nn.Linear(2 * hidden_size, classes))


class BidirectionalNet(BidirectionalNetwork):
    """float32 [B, T, features] -> logits [B, classes]."""

    def __init__(
        self, features: int, hidden_size: int, classes: int, num_layers: int = 1, input_clip: float = 8.0
    ) -> None:
        recurrent = Recurrent("lstm", features, hidden_size, num_layers, input_clip=input_clip, bidirectional=True)
        super().__init__(recurrent, nn.Linear(2 * hidden_size, classes))

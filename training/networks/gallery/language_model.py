"""Row 15. A network that guesses the next token. Its metric is the perplexity."""

from torch import nn

from training.networks.gallery.readout import LastStepNetwork
from training.networks.recurrent import TokenRecurrent


class LSTMLanguageModel(LastStepNetwork):
    """int64 ids [B, T] -> logits of the token after the last valid one [B, vocabulary]."""

    def __init__(self, vocabulary_size: int, embedding_size: int, hidden_size: int, num_layers: int = 1) -> None:
        recurrent = TokenRecurrent(vocabulary_size, embedding_size, "lstm", hidden_size, num_layers)
        super().__init__(recurrent, nn.Linear(hidden_size, vocabulary_size))

"""Row 15. A network that guesses the next token. Its metric is the perplexity (`training.metrics.language`)."""

from torch import Tensor, nn

from training.networks.gallery.readout import LastStepNetwork
from training.networks.recurrent import TokenRecurrent


class LSTMLanguageModel(LastStepNetwork):
    """int64 ids [B, T] -> logits of the token after the last valid one [B, vocabulary]."""

    def __init__(self, vocabulary_size: int, embedding_size: int, hidden_size: int, num_layers: int = 1) -> None:
        recurrent = TokenRecurrent(vocabulary_size, embedding_size, "lstm", hidden_size, num_layers)
        super().__init__(recurrent, nn.Linear(hidden_size, vocabulary_size))

    def at_every_step(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the token after each one [B, T, vocabulary]: what is trained on, in one pass."""
        return self.head(self.recurrent.forward_from_start(inputs.T, lengths).transpose(0, 1))

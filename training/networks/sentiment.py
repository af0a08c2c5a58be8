"""Sentiment of a text: an LSTM whose states are pooled over time, beside a linear model of tokens and token pairs."""

import torch
from torch import Tensor, nn

from training.networks.recurrent import TokenRecurrent, top_hidden
from training.networks.running import last_running_sum
from training.networks.step import StateSlice, StepNetwork

LOWEST = torch.finfo(torch.float32).min
PAIR_MULTIPLIER = 1_000_003
NO_TOKEN = 0
"""The id that stands before the first token of a text, where a pair needs a previous one."""


def pair_bucket(previous: Tensor, current: Tensor, buckets: int) -> Tensor:
    """Where the weight of two neighbouring tokens is kept: int64, like the ids."""
    return (previous * PAIR_MULTIPLIER + current) % buckets


class SentimentNetwork(StepNetwork):
    """int64 ids [B, T] -> probabilities [B, 2] of (negative, positive).

    The features are the maximum, the mean and the last of the LSTM's hidden states, and the *evidence*: the sum of one
    weight for each token and each pair of neighbours, divided by the root of their number. Running values of all of
    these are in the state, so a text may be read in pieces.
    """

    def __init__(
        self, vocabulary_size: int, embedding_size: int, hidden_size: int, buckets: int, layers: int = 1
    ) -> None:
        super().__init__()
        self.arguments = {
            "vocabulary_size": vocabulary_size,
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "buckets": buckets,
            "layers": layers,
        }
        self.hidden_size, self.buckets, self.layers = hidden_size, buckets, layers
        self.lstm = TokenRecurrent(vocabulary_size, embedding_size, "lstm", hidden_size, layers)
        self.register_buffer("token_evidence", torch.zeros(vocabulary_size, 1))
        self.register_buffer("pair_evidence", torch.zeros(buckets, 1))
        self.head = nn.Linear(3 * hidden_size + 1, 1)
        self.register_buffer("sharpness", torch.tensor([-0.5, 0.5]))

    def state_slices(self) -> tuple[StateSlice, ...]:
        return (
            self.lstm.state_slice("lstm"),
            StateSlice("maximum", self.hidden_size, LOWEST),
            StateSlice("sum", self.hidden_size),
            StateSlice("count", 1),
            StateSlice("evidence", 1),
            StateSlice("previous", 1, float(NO_TOKEN)),
        )

    def set_temperature(self, temperature: float) -> None:
        """Divide the logits by this much: 1 leaves them alone, more makes the probabilities less sure."""
        self.sharpness.copy_(torch.tensor([-0.5, 0.5]) / temperature)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        ids, before = inputs.T, self.split(state)
        column = lengths[:, None]
        valid = torch.arange(ids.shape[0], dtype=torch.int32, device=ids.device)[:, None, None] < column
        hidden, lstm = self.lstm(ids, lengths, before["lstm"])
        after = {
            "lstm": lstm,
            "maximum": torch.maximum(before["maximum"], torch.where(valid, hidden, LOWEST).amax(0)),
            "sum": last_running_sum(before["sum"], hidden),
            "count": before["count"] + column,
            "evidence": last_running_sum(before["evidence"], self._evidence(ids, before["previous"], valid)),
            "previous": inputs.gather(1, column.long() - 1).float(),
        }
        return self._probabilities(after), self.join(after)

    def _evidence(self, ids: Tensor, previous: Tensor, valid: Tensor) -> Tensor:
        """The weight of each time step [T, B, 1]; 0 past the length."""
        pairs = pair_bucket(torch.cat([previous.T.long(), ids[:-1]]), ids, self.buckets)
        weights = nn.functional.embedding(ids, self.token_evidence) + nn.functional.embedding(pairs, self.pair_evidence)
        return torch.where(valid, weights, 0.0)

    def _probabilities(self, state: dict[str, Tensor]) -> Tensor:
        last = top_hidden(state["lstm"], self.layers, self.hidden_size)
        mean, evidence = state["sum"] / state["count"], state["evidence"] / state["count"].sqrt()
        logit = self.head(torch.cat([state["maximum"], mean, last, evidence], 1))
        return torch.softmax(logit * self.sharpness, 1)

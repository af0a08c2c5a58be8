"""One network for any hourly series: raw values in, quantiles of the next hours in the same units out.

Level and scale are taken away inside the step function, from the past alone, so one more point never changes what came
before it. An LSTM reads every point; a head looks, at the last valid step only, at the LSTM's state and at the last
two weeks of values, which the state carries along.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.recurrent import Recurrent, top_hidden
from training.networks.running import running_sums
from training.networks.step import StateSlice, StepNetwork

DAY, WEEK = 24, 168
DAYS = WEEK // DAY
CONTEXT = 2 * WEEK
LAGS = (DAY // 2, 1, DAY, DAY - 1, WEEK, WEEK - 1)
QUANTILES = (0.1, 0.5, 0.9)
EXPERT_UNIT = 0.1
"""The experts' weights are stored divided by this: one learning rate then moves them at a tenth of the speed."""
SMALLEST_SCALE = 1e-20
"""Divides the zeros of a constant series."""


class ForecastHead(nn.Module):
    """The last two weeks and a hidden state -> quantiles of the next hours: float32 [N, horizon, 3].

    A forecast is a convex mixture of the same hour on the last seven days, corrected by a gated mixture of linear
    experts and by a perceptron. The correction and the width of the interval are damped where that hour hardly varied
    during the last week, so a night without sun stays one. `widening` scales the half-widths; it is not trained, but
    set from validation residuals.
    """

    def __init__(self, hidden_size: int, perceptron_size: int, experts: int, horizon: int, dropout: float) -> None:
        super().__init__()
        self.experts, self.horizon, self.days_ahead = experts, horizon, -(-horizon // DAY)
        self.linear = nn.Linear(CONTEXT, experts * horizon, bias=False)
        self.perceptron = nn.Sequential(
            nn.Linear(CONTEXT + hidden_size, perceptron_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(perceptron_size, perceptron_size),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.gate = nn.Linear(perceptron_size, experts)
        self.mixture = nn.Linear(perceptron_size, self.days_ahead * DAYS)
        self.shape = nn.Linear(perceptron_size, horizon * len(QUANTILES))
        self.register_buffer("widening", torch.ones(horizon, 2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start from a mixture of the last day and the same day of last week, without a correction."""
        nn.init.zeros_(self.linear.weight)
        for layer in (self.mixture, self.shape):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            days = self.mixture.bias.view(self.days_ahead, DAYS)
            days[:, -1] = 1.6
            days.fill_diagonal_(1.0)
            self.shape.bias.view(self.horizon, -1)[:, [0, 2]] = -1.0

    @torch.no_grad()
    def start_experts(self, weights: Sequence[Tensor]) -> None:
        """Begin with known linear forecasts, one an expert: [horizon, CONTEXT] each."""
        self.linear.weight.copy_(torch.cat(tuple(weights)) / EXPERT_UNIT)

    def forward(self, recent: Tensor, count: Tensor, hidden: Tensor) -> Tensor:
        """`recent` [N, CONTEXT] values, of which the last `count` [N, 1] are known, and `hidden` [N, H]."""
        week = recent[:, WEEK:]
        level = week.mean(1, keepdim=True)
        scale = (week - level).abs().mean(1, keepdim=True).clamp_min(SMALLEST_SCALE)
        seen = (recent - level) / scale
        known = count > torch.arange(CONTEXT - 1, -1, -1, device=recent.device)
        seen = torch.where(known, seen, torch.cat([seen[:, WEEK:], seen[:, WEEK:]], 1))
        return level[..., None] + scale[..., None] * self.standardised(seen, hidden)

    def standardised(self, seen: Tensor, hidden: Tensor) -> Tensor:
        """Quantiles in units of `scale` above `level`."""
        summary = self.perceptron(torch.cat([seen, hidden], 1))
        days = seen[:, WEEK:].view(-1, DAYS, DAY)
        damping = self.damping(days)
        shape = self.shape(summary).view(-1, self.horizon, len(QUANTILES))
        correction = self.expert_opinion(seen, summary) + shape[..., 1]
        median = self.typical_day(days, summary) + damping * correction
        below, above = (functional.softplus(shape[..., ::2]) * self.widening * damping[..., None]).unbind(2)
        return torch.stack([median - below, median, median + above], 2)

    def typical_day(self, days: Tensor, summary: Tensor) -> Tensor:
        """A weighted mean of the last seven days, oldest first, for each day ahead: [N, horizon]."""
        weights = self.mixture(summary).view(-1, self.days_ahead, DAYS).softmax(2)
        return (weights @ days).flatten(1)[:, : self.horizon]

    def expert_opinion(self, seen: Tensor, summary: Tensor) -> Tensor:
        """Linear forecasts of all experts, weighted by the gate: [N, horizon]."""
        opinions = EXPERT_UNIT * self.linear(seen).view(-1, self.experts, self.horizon)
        return (self.gate(summary).softmax(1)[:, None] @ opinions).squeeze(1)

    def damping(self, days: Tensor) -> Tensor:
        """Almost 1, but almost 0 for an hour of the day that was the same on all of the last seven: [N, horizon].

        Sums over the middle axis are cumulative ones: a plain reduction may take another kernel for a batch of one.
        """
        mean = days.cumsum(1)[:, -1:] / DAYS
        spread = (days - mean).abs().cumsum(1)[:, -1] / DAYS
        return ((spread + 0.001) / (spread + 0.05)).repeat(1, self.days_ahead)[:, : self.horizon]


class ForecastNetwork(StepNetwork):
    """Raw values float32 [B, T, 1] in, quantiles float32 [B, horizon, 3] in the same units out."""

    def __init__(
        self,
        hidden_size: int = 62,
        perceptron_size: int = 128,
        experts: int = 8,
        horizon: int = 48,
        input_clip: float = 8.0,
        dropout: float = 0.1,
        layers: int = 1,
    ) -> None:
        super().__init__()
        self.hidden_size, self.layers = hidden_size, layers
        self.lstm = Recurrent("lstm", len(LAGS), hidden_size, layers, input_clip=input_clip)
        self.head = ForecastHead(hidden_size, perceptron_size, experts, horizon, dropout)

    def state_slices(self) -> tuple[StateSlice, ...]:
        """`recent` holds values relative to `anchor`, the first value of the sequence; `changes` holds running sums."""
        scalars = (StateSlice(name, 1) for name in ("anchor", "count", "clipped"))
        return (
            self.lstm.state_slice("lstm"),
            StateSlice("recent", CONTEXT),
            StateSlice("changes", WEEK),
            *scalars,
        )

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        carried = self.split(state)
        valid = torch.arange(inputs.shape[1], device=inputs.device) < lengths[:, None]
        anchor = torch.where(carried["count"] > 0, carried["anchor"], inputs[:, 0])
        values = torch.where(valid, inputs[..., 0] - anchor, 0.0)
        features, following = self.features(values, valid, carried)
        _, lstm = self.lstm(features.transpose(0, 1), lengths, carried["lstm"])
        recent = last(following["history"], lengths, CONTEXT)
        count = carried["count"] + lengths[:, None]
        outputs = anchor[..., None] + self.head(recent, count, top_hidden(lstm, self.layers, self.hidden_size))
        following |= {"recent": recent, "changes": last(following["changes"], lengths, WEEK)}
        return outputs, self.join(following | {"lstm": lstm, "anchor": anchor, "count": count})

    def features(self, values: Tensor, valid: Tensor, carried: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """[B, T] values relative to the anchor -> what the LSTM sees [B, T, len(LAGS)], and what it needs to go on.

        How far a value lies above some earlier ones, in units of the mean change within half a day over the last week.
        That mean is a difference of two running sums, so a session of years sees the scale of its last week.
        """
        history = torch.cat([carried["recent"], values], 1)
        before = torch.stack([history[:, CONTEXT - lag : history.shape[1] - lag] for lag in LAGS], 2)
        differences = torch.where(valid[..., None], values[..., None] - before, 0.0)
        changes = torch.cat(
            [carried["changes"], running_sums(carried["changes"][:, -1:], differences[..., 0].abs())], 1
        )
        count = carried["count"] + torch.arange(1, values.shape[1] + 1, device=values.device)
        scale = (changes[:, WEEK:] - changes[:, : values.shape[1]]) / count.clamp_max(WEEK)
        features = differences / scale.clamp_min(SMALLEST_SCALE)[..., None]
        clipped = (features.abs() > self.lstm.input_clip).sum((1, 2))[:, None]
        return features, {"history": history, "changes": changes, "clipped": carried["clipped"] + clipped}

    def at_origins(self, values: Tensor, origins: Tensor) -> Tensor:
        """The forecasts after each of `origins` [B, K] points of `values` [B, T], in one pass: [B, K, horizon, 3].

        What `forward` would answer for each of those beginnings, but cheap enough to train on.
        """
        batch, steps = values.shape
        carried = self.split(self.initial_state(batch))
        relative = values - values[:, :1]
        features, _ = self.features(relative, torch.ones_like(values, dtype=torch.bool), carried)
        hidden = self.lstm.forward_from_start(features.transpose(0, 1), torch.full((batch,), steps)).transpose(0, 1)
        hidden = hidden.gather(1, (origins - 1)[..., None].expand(-1, -1, self.hidden_size))
        windows = torch.cat([carried["recent"], relative], 1).unfold(1, CONTEXT, 1)
        recent = windows.gather(1, origins[..., None].expand(-1, -1, CONTEXT))
        forecasts = self.head(recent.flatten(0, 1), origins.view(-1, 1), hidden.flatten(0, 1))
        return values[:, :1, None, None] + forecasts.unflatten(0, origins.shape)


def last(history: Tensor, lengths: Tensor, size: int) -> Tensor:
    """`size` carried columns and then T new ones, of which `lengths` count -> the last `size` that count: [B, size]."""
    return history.gather(1, lengths[:, None] + torch.arange(size, device=history.device))

"""Daily closing prices in, quantiles of the next closing prices out, as a streamable step function.

Prices enter as log returns in units of the volatility so far, so neither the currency nor a new high matters. The
forecast is the last price times the exponential of a drift and a spread in units of the recent volatility.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.recurrent import Recurrent, top_hidden
from training.networks.running import running_sums
from training.networks.step import StateSlice, StepNetwork

CONTEXT = 60
SPANS = (60, 20, 5)
"""Trading days over which the recent volatility is measured: a quarter, a month, a week."""
QUANTILES = (0.1, 0.5, 0.9)
SMALLEST_PRICE = 1e-6
SMALLEST_VOLATILITY = 1e-12


class StockNetwork(StepNetwork):
    """Raw prices float32 [B, T, 1] in, quantiles float32 [B, horizon, 3] in the same currency out."""

    def __init__(
        self,
        hidden_size: int = 30,
        perceptron_size: int = 32,
        horizon: int = 5,
        input_clip: float = 8.0,
        dropout: float = 0.2,
        layers: int = 1,
    ) -> None:
        super().__init__()
        self.hidden_size, self.horizon, self.layers = hidden_size, horizon, layers
        self.lstm = Recurrent("lstm", 2, hidden_size, layers, input_clip=input_clip)
        self.head = nn.Sequential(
            nn.Linear(hidden_size + len(SPANS) - 1, perceptron_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(perceptron_size, horizon * len(QUANTILES)),
        )
        nn.init.zeros_(self.head[-1].weight)
        self.register_buffer("widening", torch.ones(horizon, 2))

    def state_slices(self) -> tuple[StateSlice, ...]:
        """`recent` holds the last log returns, oldest first; `price` is the last log price."""
        names = ("price", "count", "squares", "clipped")
        scalars = (StateSlice(name, 1) for name in names)
        return self.lstm.state_slice("lstm"), StateSlice("recent", CONTEXT), *scalars

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        carried = self.split(state)
        valid = torch.arange(inputs.shape[1], device=inputs.device) < lengths[:, None]
        prices = torch.where(valid, inputs[..., 0], 1.0).clamp_min(SMALLEST_PRICE).log()
        returns = torch.where(valid, self.returns(prices, carried), 0.0)
        features, following = self.features(returns, valid, carried)
        _, lstm = self.lstm(features.transpose(0, 1), lengths, carried["lstm"])
        window = lengths[:, None] + torch.arange(CONTEXT, device=inputs.device)
        recent = torch.cat([carried["recent"], returns], 1).gather(1, window)
        last = prices.gather(1, lengths[:, None].long() - 1)
        outputs = self.forecast(last, recent, top_hidden(lstm, self.layers, self.hidden_size))
        return outputs, self.join(following | {"price": last, "recent": recent, "lstm": lstm})

    def returns(self, prices: Tensor, carried: dict[str, Tensor]) -> Tensor:
        """[B, T] log prices -> log returns; the first price of a sequence has none, which is 0."""
        before = torch.where(carried["count"] > 0, carried["price"], prices[:, :1])
        return prices - torch.cat([before, prices[:, :-1]], 1)

    def features(self, returns: Tensor, valid: Tensor, carried: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """What the LSTM sees [B, T, 2], the return and its magnitude by the volatility so far, and the statistics."""
        count = carried["count"] + torch.arange(1, returns.shape[1] + 1, device=returns.device)
        squares = running_sums(carried["squares"], returns.square())
        volatility = (squares / count).sqrt().clamp_min(SMALLEST_VOLATILITY)
        standardised = returns / volatility
        features = torch.stack([standardised, standardised.abs() - 1], 2)
        clipped = (features.abs() > self.lstm.input_clip) & valid[..., None]
        return features, {
            "count": carried["count"] + valid.sum(1, keepdim=True),
            "squares": squares[:, -1:],
            "clipped": carried["clipped"] + clipped.sum((1, 2))[:, None],
        }

    def forecast(self, last: Tensor, recent: Tensor, hidden: Tensor) -> Tensor:
        """`last` [N, 1] log prices, `recent` [N, CONTEXT] log returns, `hidden` [N, H] -> prices [N, horizon, 3]."""
        squares = recent.square()
        volatility = torch.cat([squares[:, -span:].mean(1, keepdim=True) for span in SPANS], 1).sqrt()
        volatility = volatility.clamp_min(SMALLEST_VOLATILITY)
        ratios = (volatility[:, 1:] / volatility[:, :1]).log().clamp(-3, 3)
        shape = self.head(torch.cat([hidden, ratios], 1)).view(-1, self.horizon, len(QUANTILES))
        below, above = (functional.softplus(shape[..., ::2]) * self.widening).unbind(2)
        drift = 0.1 * shape[..., 1]
        days = torch.arange(1, self.horizon + 1, device=recent.device).sqrt()
        steps = torch.stack([drift - below, drift, drift + above], 2) * (days * volatility[:, :1])[..., None]
        return (last[..., None] + steps).exp()

    def at_origins(self, values: Tensor, origins: Tensor) -> Tensor:
        """The forecasts after each of `origins` [B, K] prices of `values` [B, T], in one pass: [B, K, horizon, 3]."""
        batch, steps = values.shape
        carried = self.split(self.initial_state(batch))
        prices = values.clamp_min(SMALLEST_PRICE).log()
        returns = self.returns(prices, carried)
        features, _ = self.features(returns, torch.ones_like(values, dtype=torch.bool), carried)
        hidden = self.lstm.forward_from_start(features.transpose(0, 1), torch.full((batch,), steps)).transpose(0, 1)
        hidden = hidden.gather(1, (origins - 1)[..., None].expand(-1, -1, self.hidden_size))
        windows = torch.cat([carried["recent"], returns], 1).unfold(1, CONTEXT, 1)
        recent = windows.gather(1, origins[..., None].expand(-1, -1, CONTEXT))
        last = prices.gather(1, origins - 1).view(-1, 1)
        return self.forecast(last, recent.flatten(0, 1), hidden.flatten(0, 1)).unflatten(0, origins.shape)

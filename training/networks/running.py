"""Sums over time that do not depend on how the time is cut."""

import torch
from torch import Tensor


def running_sums(carried: Tensor, addends: Tensor) -> Tensor:
    """At every step: [B, 1] before, [B, T] addends -> [B, T], the sum so far at each step.

    Float additions are not associative: one cumulative sum over the carried value and the addends keeps their order
    whatever the chunk, and zeros past a row's length change nothing.
    """
    return torch.cat([carried, addends], 1).cumsum(1)[:, 1:]


def last_running_sum(carried: Tensor, addends: Tensor) -> Tensor:
    """After the last step, of several columns: [B, F] before, [T, B, F] addends, time first -> [B, F]."""
    return torch.cat([carried[None], addends]).cumsum(0)[-1]

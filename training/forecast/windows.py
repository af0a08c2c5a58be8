"""Random training windows from several series, and new series mixed out of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.forecast.series import Series, seen


@dataclass(frozen=True)
class Augmentation:
    """How often a window is turned upside down, and how often another series is laid over it."""

    flip: float = 0.0
    mix: float = 0.0


@dataclass(frozen=True)
class Windows:
    """A batch: values float32 [B, T + horizon], and origins int64 [B, K] in points seen."""

    values: Tensor
    origins: Tensor

    def targets(self, horizon: int) -> Tensor:
        """What came after each origin: [B, K, horizon]."""
        return self._at(self.origins, horizon)

    def past(self, context: int) -> Tensor:
        """What came before each origin: [B, K, context]."""
        return self._at(self.origins - context, context)

    def _at(self, starts: Tensor, length: int) -> Tensor:
        return self.values.unfold(1, length, 1).gather(1, starts[..., None].expand(-1, -1, length))


class WindowSampler:
    """Draws windows from the training rows of all series that are not held out; long series more often than short."""

    def __init__(
        self,
        series: Sequence[Series],
        steps: int,
        horizon: int,
        augmentation: Augmentation,
        random: np.random.Generator,
    ) -> None:
        self.steps, self.length, self.augmentation, self.random = steps, steps + horizon, augmentation, random
        self.parts = [one.values[: one.validation_start] for one in seen(series)]
        sizes = np.sqrt([len(part) for part in self.parts])
        self.chances = sizes / sizes.sum()

    def draw(self, rows: int, origins: int, context: int) -> Windows:
        """`rows` windows, each with `origins` random origins that have at least `context` points before them."""
        values = np.stack([self._augmented() for _ in range(rows)])
        points_seen = self.random.integers(context, self.steps + 1, (rows, origins))
        return Windows(torch.from_numpy(values.astype(np.float32)), torch.from_numpy(points_seen))

    def _augmented(self) -> np.ndarray:
        window = self._window(self.parts[self.random.choice(len(self.parts), p=self.chances)])
        if self.random.random() < self.augmentation.flip:
            window = -window
        if self.random.random() < self.augmentation.mix:
            other = self._window(self.parts[self.random.integers(len(self.parts))])
            window = _standardise(window) + self.random.random() * _standardise(other)
        return window

    def _window(self, part: np.ndarray) -> np.ndarray:
        start = self.random.integers(0, len(part) - self.length + 1)
        return part[start : start + self.length]


def _standardise(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    return centred / max(np.abs(centred).mean(), 1e-9)

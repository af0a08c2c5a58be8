"""Training windows come from training rows and hold their targets."""

import numpy as np
import torch

from training.forecast.series import Series
from training.forecast.windows import Augmentation, WindowSampler

STEPS, HORIZON = 40, 6


def sampler(augmentation: Augmentation = Augmentation(), seed: int = 0) -> WindowSampler:  # noqa: B008
    series = [
        Series("rising", np.arange(200.0), 140, 160),
        Series("steep", 1000 * np.arange(300.0), 210, 240),
        Series("hidden", np.full(200, -1.0), 140, 160, unseen=True),
    ]
    return WindowSampler(series, STEPS, HORIZON, augmentation, np.random.default_rng(seed))


def test_only_training_rows_are_drawn() -> None:
    values = sampler().draw(500, 1, 10).values
    rising = values[values[:, 1] - values[:, 0] == 1]
    assert rising.min() == 0
    assert rising.max() == 139
    assert values.min() >= 0
    assert values.max() == 209_000


def test_past_and_targets_meet_at_their_origins() -> None:
    windows = sampler().draw(20, 5, 10)
    assert windows.origins.min() >= 10
    assert windows.origins.max() <= STEPS
    last_seen = windows.values.gather(1, windows.origins - 1)
    step = windows.values[:, 1] - windows.values[:, 0]
    assert torch.equal(windows.past(10)[..., -1], last_seen)
    assert torch.equal(windows.targets(HORIZON)[..., 0], last_seen + step[:, None])


def test_augmented_windows_are_finite_and_new() -> None:
    windows = sampler(Augmentation(flip=1.0, mix=1.0)).draw(50, 1, 10)
    assert torch.isfinite(windows.values).all()
    assert (windows.values.diff(dim=1)[:, 0] < 0).any()


def test_the_same_seed_draws_the_same() -> None:
    one, other = (sampler(Augmentation(0.5, 0.5), seed=3).draw(8, 4, 10) for _ in range(2))
    assert torch.equal(one.values, other.values)
    assert torch.equal(one.origins, other.origins)

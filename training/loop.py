"""The training loop: one-cycle AdamW, clipped gradients, averaged weights, early stopping with the best restored."""

import random
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    The weights that are validated and kept are an exponential average of the trained ones; `patience` is the number of
    epochs without a better validation loss after which training stops.
    """

    epochs: int
    steps_per_epoch: int
    learning_rate: float = 3e-3
    warm_up: float = 0.2
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    averaging: float = 0.999
    patience: int = 3


@dataclass(frozen=True)
class Epoch:
    """One row of the training curve. `validation` holds what `validate` returned; its "loss" decided."""

    epoch: int
    training_loss: float
    validation: dict[str, float]


class Diverged(RuntimeError):
    """No epoch had a validation loss that is a number, so there are no best weights."""


OnEpoch = Callable[[Epoch], None]


def ignore(epoch: Epoch) -> None:
    """For those who do not want to hear of every epoch."""


def seed_everything(seed: int) -> None:
    """Make every random choice of Python, NumPy and PyTorch a function of the seed."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)


def fit(
    network: nn.Module,
    loss_of: Callable[[Batch], Tensor],
    batches: Callable[[], Iterable[Batch]],
    validate: Callable[[nn.Module], dict[str, float]],
    schedule: Schedule,
    name: str = "training",
    on_epoch: OnEpoch = ignore,
) -> list[Epoch]:
    """Train `network` in place; afterwards it holds the averaged weights of the best epoch.

    `on_epoch` is told each row of the curve as it is known, and may raise to end training. Raises Diverged.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, schedule.learning_rate, betas=(0.9, 0.99), weight_decay=schedule.weight_decay, fused=True
    )
    one_cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, schedule.learning_rate, schedule.epochs * schedule.steps_per_epoch, pct_start=schedule.warm_up
    )
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(schedule.averaging))
    curve: list[Epoch] = []
    best = Best()
    with tqdm(total=schedule.epochs * schedule.steps_per_epoch, desc=name, unit="step", mininterval=1.0) as bar:
        for epoch in range(1, schedule.epochs + 1):
            network.train()
            losses = []
            for batch in batches():
                losses.append(_step(loss_of(batch), parameters, optimizer, schedule.clip_norm))
                one_cycle.step()
                average.update_parameters(network)
                bar.update()
            curve.append(Epoch(epoch, float(np.mean(losses)), validate(average.module.eval())))
            bar.set_postfix({"epoch": epoch, **{key: f"{value:.4f}" for key, value in curve[-1].validation.items()}})
            best.offer(curve[-1], average.module)
            on_epoch(curve[-1])
            if epoch - best.epoch >= schedule.patience:
                break
    if not best.weights:
        raise Diverged(f"{name}: the validation loss was never a finite number; train with a lower learning rate")
    network.load_state_dict(best.weights)
    network.eval()
    return curve


def _step(loss: Tensor, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, clip_norm: float) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimizer.step()
    return loss.item()


class Best:
    """The weights with the lowest validation loss so far."""

    def __init__(self) -> None:
        self.epoch, self.loss = 0, float("inf")
        self.weights: dict[str, Tensor] = {}

    def offer(self, epoch: Epoch, network: nn.Module) -> None:
        if epoch.validation["loss"] < self.loss:
            self.epoch, self.loss = epoch.epoch, epoch.validation["loss"]
            self.weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}


def as_json(curve: list[Epoch]) -> list[dict]:
    return [asdict(epoch) for epoch in curve]

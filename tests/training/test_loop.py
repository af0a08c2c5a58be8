from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from training.loop import Diverged, Schedule, as_json, fit, seed_everything

SCHEDULE = Schedule(epochs=6, steps_per_epoch=20, averaging=0.5)


def regression(schedule: Schedule = SCHEDULE, validate: Callable | None = None) -> tuple[nn.Module, list]:
    """Learn y = 2 x; returns the network and the curve."""
    seed_everything(7)
    network = nn.Linear(1, 1)

    def batches() -> Iterator[Tensor]:
        return (torch.randn(16, 1) for _ in range(schedule.steps_per_epoch))

    def error(model: nn.Module, x: Tensor) -> Tensor:
        return (model(x) - 2 * x).square().mean()

    held_out = torch.linspace(-1, 1, 20)[:, None]
    validate = validate or (lambda model: {"loss": error(model, held_out).item()})
    return network, fit(network, lambda x: error(network, x), batches, validate, schedule)


def test_it_learns_and_tells_the_curve() -> None:
    network, curve = regression(Schedule(epochs=6, steps_per_epoch=50, learning_rate=0.1, averaging=0.5))
    assert network.weight.item() == pytest.approx(2, abs=0.1)
    assert [row["epoch"] for row in as_json(curve)] == [1, 2, 3, 4, 5, 6]
    assert curve[-1].validation["loss"] < curve[0].validation["loss"]
    assert not network.training


def test_the_same_seed_gives_the_same_network() -> None:
    first, _ = regression()
    second, _ = regression()
    assert torch.equal(first.weight, second.weight)


def test_it_stops_early_and_restores_the_best_weights() -> None:
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    seen: list[Tensor] = []

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append(model.weight.detach().clone())
        return {"loss": next(losses)}

    network, curve = regression(validate=validate)
    assert len(curve) == 5, "three epochs without improvement after the second"
    assert torch.equal(network.weight, seen[1])


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_never_a_number_ends_in_one_sentence(loss: float) -> None:
    with pytest.raises(Diverged, match="training: the validation loss was never a finite number; train with a lower"):
        regression(validate=lambda _: {"loss": loss})


def test_a_steep_step_is_clipped() -> None:
    network = nn.Linear(1, 1, bias=False)
    before = network.weight.item()
    schedule = Schedule(epochs=1, steps_per_epoch=1, averaging=0.0)
    fit(network, lambda x: 1e9 * network(x).sum(), lambda: [torch.ones(1, 1)], lambda _: {"loss": 0.0}, schedule)
    assert abs(network.weight.item() - before) < 0.01
    assert network.weight.grad is not None
    assert network.weight.grad.norm() <= 1.0 + 1e-5

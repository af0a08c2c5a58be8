"""Running trials one after the other: ask, train, tell; the worse half is pruned on the way."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from training.hyperparameters import Choice, Rehearsal, Space, Whole, replaced
from training.loop import Epoch
from training.search.study import Plan, abandon, complete, finished, sampler, shipped_trial


class Pruned(Exception):
    """A trial that is not worth its time any more."""


@dataclass(frozen=True)
class Limits:
    """When to stop: after so many finished trials in all, or when another trial would not end in time."""

    trials: int
    seconds: float = math.inf
    started: float = field(default_factory=time.monotonic)

    def reason_to_stop(self, study: optuna.Study) -> str | None:
        """None: go on."""
        if (done := len(finished(study))) >= self.trials:
            return f"{done} trials are done; --trials takes a larger number"
        left = self.seconds - (time.monotonic() - self.started)
        longest = max((seconds_of(trial) for trial in finished(study)), default=0.0)
        if left <= longest:
            return f"a trial takes up to {longest:.0f} s, and {max(left, 0):.0f} s are left"
        return None


def run_trials(
    study: optuna.Study, plan: Plan, space: Space, settings: Any, rehearse: Rehearsal[Any], limits: Limits
) -> str:
    """Trials until the limits are reached; why it stopped. `settings` are the shipped ones.

    On Ctrl-C the trial in hand is queued again, and KeyboardInterrupt goes on to the caller.
    """
    while (reason := limits.reason_to_stop(study)) is None:
        study.sampler = sampler(plan.seed, len(finished(study)))
        trial = study.ask()
        chosen = {name: _suggested(trial, name, space) for name in space}
        try:
            figures = rehearse(replaced(settings, chosen).scaled(plan.share), _Watch(trial))
        except Pruned:
            told = study.tell(trial, state=TrialState.PRUNED)
        except KeyboardInterrupt:
            abandon(study, _frozen(study, trial))
            raise
        else:
            trial.set_user_attr("figures", figures)
            told = study.tell(trial, min(_frozen(study, trial).intermediate_values.values()))
        print(line(study, told), flush=True)
    return reason


class _Watch:
    """Hears of every epoch of a trial, and ends it when the median of the others was better by then."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def __call__(self, epoch: Epoch) -> None:
        loss = epoch.validation["loss"]
        if not math.isfinite(loss):
            raise Pruned
        self.trial.report(loss, epoch.epoch)
        if self.trial.should_prune():
            raise Pruned


def _suggested(trial: optuna.Trial, name: str, space: Space) -> Any:
    span = space[name]
    if isinstance(span, Choice):
        return trial.suggest_categorical(name, span.options)
    if isinstance(span, Whole):
        return trial.suggest_int(name, span.low, span.high, step=span.step)
    return trial.suggest_float(name, span.low, span.high, log=span.log)


def _frozen(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[trial.number]


def line(study: optuna.Study, trial: FrozenTrial) -> str:
    """One trial, and how it stands."""
    if trial.state == TrialState.PRUNED:
        return f"trial {trial.number}: pruned after epoch {trial.last_step or 1}, {seconds_of(trial):.0f} s"
    shipped, best = shipped_trial(study), complete(study)[0]
    against = f"; shipped {shipped.value:.5f}" if shipped else ""
    end = f"best so far {best.value:.5f} (trial {best.number}){against}"
    return f"trial {trial.number}: {trial.value:.5f}, {seconds_of(trial):.0f} s; {end}"


def seconds_of(trial: FrozenTrial) -> float:
    return trial.duration.total_seconds() if trial.duration else 0.0

"""A study: all trials of one search in an SQLite file, which may be left at any moment and gone on with later."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DatabaseError

from training.hyperparameters import Values

SHIPPED = "shipped"
"""Marks the trial with the hyperparameters of the recipe as it is."""
DEATHS, DEADLY = "deaths", 3
"""How often a trial's process died, and after how many it is taken for a bad one."""
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
RANDOM_TRIALS = 8
TRIALS_BEFORE_PRUNING = 4
EPOCHS_BEFORE_PRUNING = 2


class StudyError(Exception):
    """A study that cannot be gone on with, said in one sentence."""


@dataclass(frozen=True)
class Plan:
    """What all trials of a study share, so that they can be compared."""

    recipe: str
    seed: int
    share: float
    """Of the training rows of a whole fit."""


@contextmanager
def opened(path: Path, plan: Plan, shipped: Values) -> Iterator[optuna.Study]:
    """The study in a file, begun with the shipped hyperparameters if it is new. Raises StudyError.

    A trial that was cut off is queued again. One process at a time may have the study.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(f"{path}: another search is using this study; wait for it, or name another") from None
        storage = _storage(path)
        try:
            yield _study(path, storage, plan, shipped)
        finally:
            storage.engine.dispose()


def _storage(path: Path) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return RDBStorage(f"sqlite:///{path}")
    except DatabaseError as error:
        raise StudyError(f"{path}: not a study in SQLite ({error.orig}); name another file with --study") from error


def _study(path: Path, storage: RDBStorage, plan: Plan, shipped: Values) -> optuna.Study:
    pruner = optuna.pruners.MedianPruner(TRIALS_BEFORE_PRUNING, EPOCHS_BEFORE_PRUNING)
    study = optuna.create_study(storage=storage, pruner=pruner, study_name=plan.recipe, load_if_exists=True)
    if not study.trials:
        for name, value in asdict(plan).items():
            study.set_user_attr(name, value)
        study.enqueue_trial(dict(shipped), {SHIPPED: True})
    if (before := {name: study.user_attrs.get(name) for name in asdict(plan)}) != asdict(plan):
        told = ", ".join(f"{name} {value}" for name, value in before.items())
        raise StudyError(f"{path}: was begun with {told}; give the same, or another file with --study")
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        _pick_up(study, trial)
    return study


def _pick_up(study: optuna.Study, trial: FrozenTrial) -> None:
    """A trial whose process died is tried again, but not for ever: it may be what the process died of."""
    deaths = trial.user_attrs.get(DEATHS, 0) + 1
    if deaths == DEADLY:
        study.tell(trial.number, state=TrialState.PRUNED)
    else:
        abandon(study, trial, deaths)


def abandon(study: optuna.Study, trial: FrozenTrial, deaths: int = 0) -> None:
    """A trial that was cut off counts for nothing; its hyperparameters are tried again first."""
    study.tell(trial.number, state=TrialState.FAIL)
    queued = trial.system_attrs.get("fixed_params", {})  # all there is if it was cut off before it had begun
    study.enqueue_trial(trial.params or queued, {**trial.user_attrs, DEATHS: deaths})


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that came to an end, be it an early one."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ran to their end, best first."""
    found = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return sorted(found, key=lambda trial: (trial.value, trial.number))


def shipped_trial(study: optuna.Study) -> FrozenTrial | None:
    """None until it has run."""
    return next((trial for trial in complete(study) if SHIPPED in trial.user_attrs), None)


def sampler(seed: int, count: int) -> optuna.samplers.TPESampler:
    """What draws the trial that comes after `count` finished ones: the same, however often the search was left."""
    own = int(np.random.SeedSequence([seed, count]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=own, n_startup_trials=RANDOM_TRIALS, multivariate=True)

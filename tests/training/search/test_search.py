"""A search may be left at any moment, and ends where it would have ended; its report says what it found."""

import math
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from training import __main__ as command_line
from training import checkpoint, hyperparameters, loop, recipes
from training.forecast.series import Series
from training.hyperparameters import Choice, Real, Whole
from training.loop import Epoch
from training.recipes import forecast_hourly
from training.search import report
from training.search.study import Plan, StudyError, finished, opened, shipped_trial
from training.search.trials import Limits, run_trials

PLAN = Plan("bowl", seed=3, share=0.5)
EPOCHS = 5


@dataclass(frozen=True)
class Speed:
    rate: float = 0.1


@dataclass(frozen=True)
class Settings:
    size: int = 2
    rows: int = 64
    speed: Speed = field(default_factory=Speed)
    share: float = 1.0

    def scaled(self, share: float) -> Self:
        return replace(self, share=share)


class Bowl:
    """A recipe whose loss has its bottom at size 6, 16 rows and a rate of 0.01, and falls from epoch to epoch."""

    Settings = Settings
    SPACE: ClassVar = {"size": Whole(2, 10, step=2), "rows": Choice((16, 64)), "speed.rate": Real(1e-4, 1, log=True)}

    def __init__(self, before_epoch: Callable[[int], None] = lambda count: None) -> None:
        self.before_epoch, self.epochs, self.shares = before_epoch, 0, set[float]()

    def rehearsal(self, seed: int) -> Callable[[Settings, loop.OnEpoch], dict[str, float]]:
        def rehearse(settings: Settings, on_epoch: loop.OnEpoch) -> dict[str, float]:
            self.shares.add(settings.share)
            for epoch in range(1, EPOCHS + 1):
                self.before_epoch(self.epochs)
                self.epochs += 1
                on_epoch(Epoch(epoch, 0.0, {"loss": self.loss(settings) + seed / epoch}))
            return {"error": 10 * self.loss(settings)}

        return rehearse

    @staticmethod
    def loss(settings: Settings) -> float:
        return 1 + abs(settings.size - 6) + (settings.rows - 16) / 20 + abs(math.log10(settings.speed.rate / 0.01))


@contextmanager
def bowl_study(path: Path) -> Iterator[optuna.Study]:
    with opened(path, PLAN, hyperparameters.values(Settings(), Bowl.SPACE)) as study:
        yield study


def search(path: Path, recipe: Bowl, trials: int) -> list[tuple]:
    """(hyperparameters, loss, epochs seen) of the finished trials."""
    with bowl_study(path) as study:
        run_trials(study, PLAN, recipe.SPACE, Settings(), recipe.rehearsal(PLAN.seed), Limits(trials))
    return told(path)


def told(path: Path) -> list[tuple]:
    with bowl_study(path) as study:
        return [(trial.params, trial.intermediate_values, trial.state) for trial in finished(study)]


def test_the_first_trial_has_the_shipped_hyperparameters_and_a_better_one_is_found(tmp_path: Path) -> None:
    recipe = Bowl()
    search(tmp_path / "a.sqlite", recipe, trials=16)
    with bowl_study(tmp_path / "a.sqlite") as study:
        shipped = shipped_trial(study)
        assert shipped is not None
        assert shipped.number == 0
        assert shipped.params == {"size": 2, "rows": 64, "speed.rate": 0.1}
        assert shipped.value == Bowl.loss(Settings()) + 3 / 5
        assert study.best_value < shipped.value - 3
        assert len(finished(study)) == 16
    assert recipe.shares == {0.5}


def test_bad_trials_are_pruned_and_cost_fewer_epochs(tmp_path: Path) -> None:
    recipe = Bowl()
    trials = search(tmp_path / "a.sqlite", recipe, trials=16)
    pruned = [losses for _, losses, state in trials if state == TrialState.PRUNED]
    assert pruned
    assert all(2 <= len(losses) < EPOCHS for losses in pruned)
    assert recipe.epochs == sum(len(losses) for _, losses, _ in trials)


class Stop:
    """Raises once, before a certain epoch of all."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.at, self.error = at, error

    def __call__(self, epochs: int) -> None:
        if epochs == self.at:
            self.at = -1
            raise self.error


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    return search(tmp_path_factory.mktemp("whole") / "a.sqlite", Bowl(), trials=12)


@pytest.mark.parametrize("at", [0, 7, 52])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemError])
def test_a_search_that_was_cut_off_ends_where_it_would_have_ended(
    tmp_path: Path, whole: list[tuple], at: int, error: type[BaseException]
) -> None:
    """By Ctrl-C, or by something after which nobody could tidy up."""
    with pytest.raises(error):
        search(tmp_path / "cut.sqlite", Bowl(Stop(at, error)), trials=12)
    search(tmp_path / "cut.sqlite", Bowl(), trials=3)
    assert search(tmp_path / "cut.sqlite", Bowl(), trials=12) == whole
    with bowl_study(tmp_path / "cut.sqlite") as study:
        assert shipped_trial(study).value == Bowl.loss(Settings()) + 3 / 5


class Deadly:
    """Kills the process in the first epoch of the second trial, whenever it is tried."""

    def __init__(self) -> None:
        self.deaths = 0

    def __call__(self, epochs: int) -> None:
        if epochs == EPOCHS and self.deaths < 5:
            self.deaths += 1
            raise SystemError


def test_a_trial_that_kills_its_process_is_given_up_after_three_times(tmp_path: Path) -> None:
    deadly = Deadly()
    for _ in range(3):
        recipe = Bowl(deadly)
        recipe.epochs = EPOCHS if deadly.deaths else 0
        with pytest.raises(SystemError):
            search(tmp_path / "a.sqlite", recipe, trials=4)
    trials = search(tmp_path / "a.sqlite", Bowl(), trials=4)
    assert [state for _, _, state in trials] == [TrialState.COMPLETE, TrialState.PRUNED, *[TrialState.COMPLETE] * 2]
    assert len({str(params) for params, _, _ in trials}) == 4


def test_a_trial_that_diverges_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bowl, "loss", staticmethod(lambda settings: math.nan if settings.size != 2 else 1.0))
    states = {state for params, _, state in search(tmp_path / "a.sqlite", Bowl(), 9) if params["size"] != 2}
    assert states == {TrialState.PRUNED}


def test_it_stops_where_the_next_trial_would_be_too_late(tmp_path: Path) -> None:
    recipe = Bowl()
    with bowl_study(tmp_path / "a.sqlite") as study:
        run = (study, PLAN, recipe.SPACE, Settings(), recipe.rehearsal(0))
        assert run_trials(*run, Limits(1)) == "1 trials are done; --trials takes a larger number"
        assert re.match(r"a trial takes up to \d s, and 0 s are left", run_trials(*run, Limits(9, seconds=0)))
        assert len(finished(study)) == 1


def test_a_study_of_another_plan_or_in_use_or_no_study_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    search(path, Bowl(), trials=1)
    with pytest.raises(StudyError, match=r"was begun with recipe bowl, seed 3, share 0\.5; give the same"):
        begin(path, replace(PLAN, share=0.1))
    with bowl_study(path), pytest.raises(StudyError, match="another search is using"), bowl_study(path):
        pass
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be taken for one" * 99)
    with pytest.raises(StudyError, match="not a study in SQLite"):
        begin(tmp_path / "text.sqlite", PLAN)


def begin(path: Path, plan: Plan) -> None:
    with opened(path, plan, hyperparameters.values(Settings(), Bowl.SPACE)):
        pass


def test_the_report_says_what_was_found_and_how_to_fit_it(tmp_path: Path) -> None:
    search(tmp_path / "a.sqlite", Bowl(), trials=16)
    with bowl_study(tmp_path / "a.sqlite") as study:
        text = report.write(tmp_path, study, PLAN, Bowl.SPACE).read_text()
        best, shipped = study.best_trial, shipped_trial(study)
    assert f"**Trial {best.number} has {best.value:.5f}, the shipped hyperparameters have {shipped.value:.5f}**" in text
    command = re.search(r"^python -m training fit bowl --with (.*)$", text, re.MULTILINE)
    assert command is not None
    assert hyperparameters.parsed(shlex.split(command[1]), Bowl.SPACE) == best.params
    assert f"| error | {10 * Bowl.loss(Settings()):.4g} |" in text
    pictures = re.findall(r"\]\((\w+\.png)\)", text)
    assert pictures == ["history.png", "importances.png", "slices.png"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in pictures)


def test_a_report_of_few_trials_claims_nothing(tmp_path: Path) -> None:
    search(tmp_path / "a.sqlite", Bowl(), trials=1)
    with bowl_study(tmp_path / "a.sqlite") as study:
        text = report.write(tmp_path, study, PLAN, Bowl.SPACE).read_text()
    assert "Nothing was better than the shipped" in text
    assert "Too few trials" in text
    with bowl_study(tmp_path / "new.sqlite") as study:
        assert "have not been tried yet" in report.write(tmp_path, study, PLAN, Bowl.SPACE).read_text()


def test_the_command_leaves_a_study_and_a_report_also_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["search", "sentiment", "--trials", "3", "--out", str(tmp_path), "--seed", "3"]
    monkeypatch.setattr(recipes, "load", lambda _: Bowl(Stop(7, KeyboardInterrupt)))
    with pytest.raises(SystemExit) as stopped:
        command_line.main(arguments)
    assert stopped.value.code == 130
    assert "Stopped: interrupted. 1 trials are in the report" in capsys.readouterr().out
    monkeypatch.setattr(recipes, "load", lambda _: Bowl())
    command_line.main(arguments)
    assert "3 trials are done" in capsys.readouterr().out
    assert "3 trials in" in (tmp_path / "report.md").read_text()
    with pytest.raises(SystemExit, match="was begun with recipe sentiment, seed 3"):
        command_line.main([*arguments, "--seed", "4"])


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hourly recipe on small series, and settings for a few training steps."""
    hours = np.arange(2000)
    noise = np.random.default_rng(1).normal(0, 1, (2, len(hours)))
    values = 20 + 5 * np.sin(2 * np.pi * hours / 24) + noise
    series = [Series(name, row, 1400, 1700) for name, row in zip(("load", "heat"), values, strict=True)]
    monkeypatch.setattr(forecast_hourly, "hourly_series", lambda: series)
    short = replace(forecast_hourly.SCHEDULE, epochs=2, steps_per_epoch=4)
    monkeypatch.setattr(forecast_hourly, "SCHEDULE", short)
    return forecast_hourly.Settings(origins=2, schedule=short)


def test_a_rehearsal_trains_as_a_fit_does(made_up: Any, tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    figures = forecast_hourly.rehearsal(5)(made_up, epochs.append)
    forecast_hourly.fit(tmp_path, 5, made_up)
    assert checkpoint.load(tmp_path).metrics["curve"] == loop.as_json(epochs)
    assert figures.keys() == {"load", "heat"}


def test_a_search_of_a_real_recipe_gives_the_same_twice(made_up: Any, tmp_path: Path) -> None:
    plan, space = Plan("forecast-hourly", 0, 0.5), forecast_hourly.SPACE
    losses = []
    for name in ("one", "two"):
        with opened(tmp_path / name, plan, hyperparameters.values(made_up, space)) as study:
            run_trials(study, plan, space, made_up, forecast_hourly.rehearsal(0), Limits(2))
            losses.append([(trial.params, trial.value) for trial in finished(study)])
    assert losses[0] == losses[1]
    assert len({value for _, value in losses[0]}) == 2
    assert all(math.isfinite(value) for _, value in losses[0])


@pytest.mark.parametrize("rows", [16, 32, 64])
def test_every_batch_size_sees_the_same_number_of_windows(rows: int) -> None:
    schedule = replace(forecast_hourly.Settings(), rows=rows).scaled(0.2).schedule
    assert rows * schedule.steps_per_epoch == 0.2 * 500 * 32

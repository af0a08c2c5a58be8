"""What a search has found, as Markdown with pictures: how it went, what mattered, whether the recipe should change."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from models.files import write_whole
from training.hyperparameters import Space
from training.search import pictures
from training.search.study import SHIPPED, Plan, complete, finished, shipped_trial
from training.search.trials import seconds_of

SHOWN = 10
ENOUGH_FOR_IMPORTANCE = 6
"""Trials that ran to their end, below which a ranking of the hyperparameters would be made up."""


def write(folder: Path, study: optuna.Study, plan: Plan, space: Space) -> Path:
    """`report.md` and its pictures in `folder`; what is there is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"# Search: {plan.recipe}", *_story(study, plan)]
    if complete(study):
        pictures.history(study).savefig(folder / "history.png")
        parts += ["![Validation loss of each trial](history.png)", "## The best", _ranking(study, space)]
        parts += ["## Figures of validation rows", _figures(study)]
        parts += ["## What mattered", *_importances(folder, study), *_slices(folder, study, space)]
    path = folder / "report.md"
    write_whole(path, "\n\n".join(parts) + "\n")
    return path


def _story(study: optuna.Study, plan: Plan) -> list[str]:
    pruned = sum(trial.state == TrialState.PRUNED for trial in finished(study))
    minutes = sum(map(seconds_of, finished(study))) / 60
    told = (
        f"{len(finished(study))} trials in {minutes:.0f} minutes, {pruned} of them pruned by the median of the others. "
        f"Each trained on {plan.share:.0%} of the rows of a whole fit, all with seed {plan.seed}. What decides is the "
        "loss on validation rows, lower is better; test rows were not looked at."
    )
    return [told, _verdict(study, plan)]


def _verdict(study: optuna.Study, plan: Plan) -> str:
    shipped, ranked = shipped_trial(study), complete(study)
    if shipped is None:
        return "The shipped hyperparameters have not been tried yet."
    best = ranked[0]
    if best.number == shipped.number:
        return f"**Nothing was better than the shipped hyperparameters** ({shipped.value:.5f})."
    gain = 1 - best.value / shipped.value
    fit = shlex.join(
        ["python", "-m", "training", "fit", plan.recipe, "--with", *(f"{n}={v!r}" for n, v in best.params.items())]
    )
    return (
        f"**Trial {best.number} has {best.value:.5f}, the shipped hyperparameters have {shipped.value:.5f}**: "
        f"{gain:.2%} less, with one seed and a part of the rows. Short trainings favour small batches and weak "
        f"regularization; whether it holds is shown by a whole fit of both, best with several seeds:\n\n```\n{fit}\n```"
    )


def _ranking(study: optuna.Study, space: Space) -> str:
    """The best trials and the shipped one; a column for each hyperparameter."""
    shipped = shipped_trial(study)
    rows = complete(study)[:SHOWN]
    if shipped is not None and shipped not in rows:
        rows.append(shipped)
    header = ["trial", "loss", "seconds", *space]
    lines = ([_name(row), f"{row.value:.5f}", f"{seconds_of(row):.0f}", *_values(row, space)] for row in rows)
    return _table(header, [*lines, ["may be", "", "", *map(str, space.values())]])


def _figures(study: optuna.Study) -> str:
    """What the recipe tells of the best trial and of the shipped one."""
    shown = {_name(trial): trial.user_attrs["figures"] for trial in (shipped_trial(study), complete(study)[0]) if trial}
    names = next(iter(shown.values()))
    return _table(["", *shown], ([name, *(f"{figures[name]:.4g}" for figures in shown.values())] for name in names))


def _importances(folder: Path, study: optuna.Study) -> list[str]:
    if len(complete(study)) < ENOUGH_FOR_IMPORTANCE:
        return [f"Too few trials ran to their end to say ({len(complete(study))} of {ENOUGH_FOR_IMPORTANCE})."]
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    pictures.importances({name: float(share) for name, share in found.items()}).savefig(folder / "importances.png")
    told = "Share of the variance of the loss that each explains (fANOVA, Hutter et al. 2014), pruned trials left out."
    return [told, "![Importance of each hyperparameter](importances.png)"]


def _slices(folder: Path, study: optuna.Study, space: Space) -> list[str]:
    pictures.slices(complete(study), space).savefig(folder / "slices.png")
    return ["![Loss against each hyperparameter](slices.png)", "Orange: the shipped values."]


def _name(trial: FrozenTrial) -> str:
    return f"{trial.number} (shipped)" if SHIPPED in trial.user_attrs else str(trial.number)


def _values(trial: FrozenTrial, space: Space) -> list[str]:
    return [_text(trial.params[name]) for name in space]


def _text(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

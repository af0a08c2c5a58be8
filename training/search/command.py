"""The verb `search` of the command line."""

import argparse
import shlex
import sys
from pathlib import Path

from training import recipes
from training.hyperparameters import values
from training.search import report
from training.search.study import Plan, StudyError, finished, opened
from training.search.trials import Limits, run_trials

FOLDER = Path("checkpoints/search")
INTERRUPTED = 130


def run(options: argparse.Namespace) -> None:
    """Run trials, then write the report, also after Ctrl-C. Exits with one sentence if the study cannot be used."""
    recipe = recipes.load(options.recipe)
    out = options.out or FOLDER / options.recipe
    plan = Plan(options.recipe, options.seed, options.share)
    settings = recipe.Settings()
    limits = Limits(options.trials, 60 * options.minutes)
    try:
        with opened(options.study or out / "study.sqlite", plan, values(settings, recipe.SPACE)) as study:
            try:
                reason = run_trials(study, plan, recipe.SPACE, settings, recipe.rehearsal(plan.seed), limits)
            except KeyboardInterrupt:
                reason = "interrupted"
            written = report.write(out, study, plan, recipe.SPACE)
            again = shlex.join(["python", "-m", "training", *sys.argv[1:]])
            print(f"Stopped: {reason}. {len(finished(study))} trials are in the report, {written}. Go on with: {again}")
    except StudyError as error:
        raise SystemExit(f"error: {error}") from error
    if reason == "interrupted":
        raise SystemExit(INTERRUPTED)

"""`python -m training data` fetches the corpora, `fit RECIPE` trains a network on them, `search RECIPE` tunes it."""

import argparse
import math
from pathlib import Path

from training import hyperparameters, loop, recipes
from training.corpora import catalogue, downloads


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    verbs.add_parser("data", help="fetch and verify the corpora (cached; a broken download is resumed)")
    fit = verbs.add_parser("fit", help="train a recipe and write its checkpoint", epilog=recipes.__doc__)
    fit.add_argument("recipe", choices=recipes.names())
    fit.add_argument("--seed", type=int, default=0, help="of every random choice (default: 0)")
    fit.add_argument("--out", type=Path, help="the checkpoint's folder (default: checkpoints/RECIPE)")
    fit.add_argument("--with", nargs="+", metavar="NAME=VALUE", default=[], dest="values", help="other hyperparameters")
    _add_search(verbs.add_parser("search", help="look for better hyperparameters on validation rows (needs Optuna)"))
    return top


def _add_search(search: argparse.ArgumentParser) -> None:
    search.description = (
        "Trains the recipe with hyperparameters that Optuna chooses, the shipped ones first, on a part of the rows. "
        "Stop it with Ctrl-C whenever you like, and go on with the same command: the result is the same."
    )
    search.add_argument("recipe", choices=recipes.names())
    search.add_argument("--trials", type=int, default=40, help="stop when the study has so many (default: 40)")
    search.add_argument("--minutes", type=float, default=math.inf, help="start no trial that would end later than this")
    search.add_argument("--share", type=float, default=0.25, help="of the rows of a whole fit (default: 0.25)")
    search.add_argument("--seed", type=int, default=0, help="of every random choice (default: 0)")
    search.add_argument("--out", type=Path, help="the report's folder (default: checkpoints/search/RECIPE)")
    search.add_argument("--study", type=Path, metavar="FILE.sqlite", help="(default: study.sqlite in that folder)")


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    try:
        if options.verb == "data":
            catalogue.fetch_all()
            print(f"All corpora are in {downloads.cache_folder()}")
        elif options.verb == "search":
            _search(options)
        else:
            _fit(options)
    except (downloads.CorpusUnavailable, hyperparameters.NoSuchValue, loop.Diverged) as error:
        raise SystemExit(f"error: {error}") from error


def _fit(options: argparse.Namespace) -> None:
    out = options.out or Path("checkpoints") / options.recipe
    recipe = recipes.load(options.recipe)
    chosen = hyperparameters.parsed(options.values, recipe.SPACE)
    recipe.fit(out, options.seed, hyperparameters.replaced(recipe.Settings(), chosen).scaled(1))
    print(f"The checkpoint is in {out}")


def _search(options: argparse.Namespace) -> None:
    try:
        from training.search import command
    except ImportError as error:
        raise SystemExit(f"error: {error.name} is missing; install the extra with `pip install '.[search]'`") from error
    command.run(options)


if __name__ == "__main__":
    main()

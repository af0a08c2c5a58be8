"""`python -m training data` fetches the corpora; `python -m training fit RECIPE` trains a network on them."""

import argparse
from pathlib import Path

from training import corpora, downloads, recipes


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    verbs.add_parser("data", help="fetch and verify the corpora (cached; a broken download is resumed)")
    fit = verbs.add_parser("fit", help="train a recipe and write its checkpoint", epilog=recipes.__doc__)
    fit.add_argument("recipe", choices=recipes.names())
    fit.add_argument("--seed", type=int, default=0, help="of every random choice (default: 0)")
    fit.add_argument("--out", type=Path, help="the checkpoint's folder (default: checkpoints/RECIPE)")
    return top


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    try:
        if options.verb == "data":
            corpora.fetch_all()
            print(f"All corpora are in {downloads.cache_folder()}")
        else:
            out = options.out or Path("checkpoints") / options.recipe
            recipes.load(options.recipe).fit(out, options.seed)
            print(f"The checkpoint is in {out}")
    except downloads.CorpusUnavailable as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()

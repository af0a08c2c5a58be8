"""`python -m exporter CHECKPOINT --out models/NAME/VERSION` publishes a bundle; `verify BUNDLE` checks one again."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from exporter import verify
from exporter.errors import ExportError
from models import bundle
from models.bundle import BundleError

VERBS = ("export", "verify")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m exporter", description=__doc__, epilog="A bare path means `export`.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="{" + ",".join(VERBS) + "}")
    export = verbs.add_parser("export", help="a checkpoint becomes a verified bundle; a failed check publishes nothing")
    export.add_argument("checkpoint", type=Path, help="the folder that `python -m training fit` wrote")
    export.add_argument(
        "--out", type=_target, required=True, metavar="MODELS/NAME/VERSION", help="where the bundle goes"
    )
    check = verbs.add_parser("verify", help="checksums, pins and invariance of a published bundle, on generated inputs")
    check.add_argument("bundle", type=Path, help="models/NAME/VERSION")
    return top


def _target(text: str) -> Path:
    path = Path(text)
    if not (path.name.isdecimal() and path.name.isascii() and int(path.name) >= 1 and path.parent.name):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in NAME/VERSION, VERSION being an integer from 1 on")
    return path


def run_export(checkpoint: Path, target: Path) -> None:
    from exporter.export import export  # not at the top: `verify` needs no torch
    from training import checkpoint as checkpoints
    from training import recipes
    from training.downloads import CorpusUnavailable

    try:
        trained = checkpoints.load(checkpoint)
        recipe = recipes.load(trained.description.recipe)
        published = export(trained, lambda split: recipe.evaluation(trained, split), target)
    except (checkpoints.CheckpointError, CorpusUnavailable) as error:
        raise SystemExit(f"error: {error}") from error
    for precision, found in published.manifest.precisions.items():
        gate, times = published.manifest.gate.metric, found.milliseconds
        print(f"{precision}: {found.bytes:,} bytes, {gate} {found.test[gate]:.4f} on test rows, ms by batch: {times}")
    print(f"The bundle is in {published.folder}; its card: {published.folder / 'card.md'}")


def run_verify(folder: Path) -> None:
    found = bundle.read(folder)
    found.verify()
    print(f"{folder}: {len(found.manifest.files)} files have the sha256 of the manifest")
    for precision, invariance in verify.bundle_invariance(found):
        what = "batch-mates, order, padding, chunks and threads change nothing"
        print(f"{precision}: pins stay, and over {invariance.sequences} generated sequences {what}")


def main(arguments: Sequence[str] | None = None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] not in VERBS and not given[0].startswith("-"):
        given.insert(0, "export")
    options = parser().parse_args(given)
    try:
        if options.verb == "export":
            run_export(options.checkpoint, options.out)
        else:
            run_verify(options.bundle)
    except (ExportError, BundleError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()

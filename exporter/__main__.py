"""Exports trained networks as verified bundles, checks and signs bundles, and shows the gallery of architectures."""

import argparse
import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

from exporter.errors import ExportError
from models.errors import BundleError

VERBS = {
    "export": "a trained network becomes a verified bundle; a failed check publishes nothing",
    "verify": "checksums, pins and invariance of a published bundle, on generated inputs",
    "gallery": "every architecture in every precision: parity, invariance, size and speed",
    "sign": "sign a bundle, or make a key to sign with",
}
ELSEWHERE = {"gallery": "exporter.gallery", "sign": "exporter.sign"}
"""Modules with `add_arguments(parser)` and `run(options)`, imported when their verb is used."""


def parser(verb: str) -> argparse.ArgumentParser:
    """Only the chosen verb knows its arguments, so that no verb imports what another one needs."""
    top = argparse.ArgumentParser(prog="python -m exporter", description=__doc__, epilog="A bare path means `export`.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="{" + ",".join(VERBS) + "}")
    for name, text in VERBS.items():
        arguments = verbs.add_parser(name, help=text, description=text)
        if name == verb:
            _add_arguments(name, arguments)
    return top


def _add_arguments(verb: str, arguments: argparse.ArgumentParser) -> None:
    if verb in ELSEWHERE:
        importlib.import_module(ELSEWHERE[verb]).add_arguments(arguments)
    elif verb == "verify":
        arguments.add_argument("bundle", type=Path, help="models/NAME/VERSION")
        arguments.add_argument("--public-key", type=Path, metavar="PUBLIC.pem", help="who must have signed it")
    else:
        _add_export_arguments(arguments)


def _add_export_arguments(arguments: argparse.ArgumentParser) -> None:
    from exporter.foreign import command  # not at the top: `verify` needs no torch

    arguments.add_argument(
        "source",
        metavar="SOURCE",
        help="the folder that `python -m training fit` wrote, package.module:build, file.py:build, or a file.keras",
    )
    arguments.add_argument(
        "--out", type=_target, required=True, metavar="MODELS/NAME/VERSION", help="where the bundle goes"
    )
    arguments.add_argument(
        "--overwrite", action="store_true", help="replace a bundle that is there already, which servers may have loaded"
    )
    arguments.add_argument(
        "--allowed-loss",
        type=_loss,
        metavar="X[%]",
        help="how much worse than fp32 the metric of a precision may be, in its own unit or in percent of fp32's",
    )
    arguments.add_argument(
        "--parity", type=command.positive, metavar="X", help="largest difference of fp32 to PyTorch (default 1e-4)"
    )
    arguments.add_argument(
        "--precisions",
        type=_precisions,
        metavar="P,...",
        help="what to build beside fp32 (default: all that can be had)",
    )
    command.add_arguments(arguments)


def _precisions(text: str) -> tuple[str, ...]:
    from models.manifest import Precision

    known, chosen = get_args(Precision), tuple(text.split(","))
    if unknown := [name for name in chosen if name not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no precision; {', '.join(known)} are")
    return chosen


def _target(text: str) -> Path:
    from models.manifest import NAME

    path = Path(text)
    if not (path.name.isdecimal() and path.name.isascii() and int(path.name) >= 1 and path.parent.name):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in NAME/VERSION, VERSION being an integer from 1 on")
    if not re.fullmatch(NAME, path.parent.name):
        raise argparse.ArgumentTypeError(
            f"{path.parent.name!r} is no name of a model; up to 64 of a-z, 0-9, '.', '_' and '-' are, beginning with a "
            "letter or a digit; --title takes any text"
        )
    return path


def _loss(text: str) -> tuple[float, bool]:
    """The allowed loss, and whether it is a share of the reference."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: a number, or one with %, is expected, from 0 on")
    return (value / 100, True) if text.endswith("%") else (value, False)


def run_export(options: argparse.Namespace) -> None:
    from exporter.foreign import command  # see above

    foreign = command.is_foreign(options.source)
    if not foreign:
        _check_folder(options.source)
    _check_target(options.out, options.overwrite)
    strictness = _strictness(options)
    published = command.run(options, strictness) if foreign else _export_checkpoint(options, strictness)
    for precision, found in published.manifest.precisions.items():
        gate, times = published.manifest.gate, found.milliseconds
        scored = f", {gate.metric} {found.test[gate.metric]:.4f} on test rows" if gate and found.test else ""
        print(f"{precision}: {found.bytes:,} bytes{scored}, ms by batch: {times}")
    for what, reason in published.manifest.reasons.items():
        print(f"{what}: {reason}" if what in published.manifest.precisions else f"no {what}: {reason}")
    print(f"The bundle is in {published.folder}; its card: {published.folder / 'card.md'}")


def _check_folder(source: str) -> None:
    """A module without the name of what builds it would be taken for a folder. Raises ExportError."""
    if source.lower().endswith((".h5", ".hdf5")):
        raise ExportError(
            f'{source}: no .h5 is read; open it with Keras 3, and write it with model.save("model.keras")'
        )
    if Path(source).is_file() and not source.endswith(".py"):
        raise ExportError(
            f"{source}: is a file; name what builds the network, path/to/file.py:build, and its weights as "
            f"--checkpoint {source}"
        )
    if Path(source).is_dir() or not (source.endswith(".py") or all(map(str.isidentifier, source.split(".")))):
        return
    raise ExportError(
        f"{source}: there is no such folder; if it is a module of your own, also name what builds it: {source}:build"
    )


def _check_target(target: Path, overwrite: bool) -> None:
    """A published version stays what it is, unless somebody says otherwise. Raises ExportError."""
    if target.exists() and not overwrite:
        versions = [int(path.name) for path in target.parent.iterdir() if path.name.isdecimal()]
        free = target.with_name(str(max(versions) + 1))
        raise ExportError(
            f"--out {target}: there is already a bundle; take the next free version, {free}, or give --overwrite"
        )


def _strictness(options: argparse.Namespace) -> Any:
    from exporter.options import Options

    given: dict[str, Any] = {
        "without_evaluation": options.without_evaluation,
        "precisions": options.precisions,
        "overwrite": options.overwrite,
    }
    if options.parity is not None:
        given["parity"] = options.parity
    if options.allowed_loss is not None:
        given["allowed_loss"], given["relative"] = options.allowed_loss
    return Options(**given)


def _export_checkpoint(options: argparse.Namespace, strictness: Any) -> Any:
    with _imports("export"):
        from exporter.export import export
        from exporter.source import of_checkpoint
        from training import checkpoint as checkpoints
        from training import recipes
        from training.corpora.downloads import CorpusUnavailable

    try:
        trained = checkpoints.load(Path(options.source))
        if options.without_evaluation:
            raise ExportError("--without-evaluation: leave it out; a checkpoint's recipe brings the labelled rows")
        with _imports("export"):
            recipe = recipes.load(trained.description.recipe)
        return export(of_checkpoint(trained), partial(recipe.evaluation, trained), options.out, strictness)
    except (checkpoints.CheckpointError, CorpusUnavailable) as error:
        raise ExportError(str(error)) from error


def run_verify(folder: Path, public_key: Path | None) -> None:
    with _imports("verify"):
        from exporter import verify
        from models import bundle, signature

    found = bundle.read(folder, None if public_key is None else signature.trusted_keys(public_key))
    found.verify()
    signed = f", which {public_key} signed" if public_key else ""
    print(f"{folder}: {len(found.manifest.files)} files have the sha256 of the manifest{signed}")
    if extra := found.unlisted():
        print(f"{folder}: not part of the bundle, and never opened: {', '.join(extra)}")
    for precision, invariance in verify.bundle_invariance(found):
        what = "batch-mates, order, padding, chunks and threads change nothing"
        print(f"{precision}: pins stay, and over {invariance.sequences} generated sequences {what}")


@contextmanager
def _imports(verb: str) -> Iterator[None]:
    """Around imports of what a verb needs; what somebody else's code lacks is another matter. Raises ExportError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{verb} needs the package {error.name}, which {sys.executable} does not have; run `make dev`, and use "
            ".venv/bin/python"
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] not in VERBS and not given[0].startswith("-"):
        given.insert(0, "export")
    try:
        verb = given[0] if given else ""
        with _imports(verb):
            commands = parser(verb)
        options = commands.parse_args(given)
        if options.verb in ELSEWHERE:
            importlib.import_module(ELSEWHERE[options.verb]).run(options)
        elif options.verb == "export":
            run_export(options)
        else:
            run_verify(options.bundle, options.public_key)
    except (ExportError, BundleError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()

"""`python -m exporter export package.module:build --checkpoint W ...`: a plain PyTorch module, or a Keras file."""

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from exporter import keras
from exporter.errors import ForeignError
from exporter.export import export
from exporter.foreign import checkpoint, evaluation, vocabulary
from exporter.foreign.answers import Said, Wanted
from exporter.foreign.scaling import read_scaler
from exporter.foreign.source import Foreign, foreign_source
from exporter.options import Options
from exporter.source import About
from models.bundle import Bundle
from models.text import TextEncoder, open_tokenizer

TASKS: dict[str, Wanted] = {
    "classification": "classification",
    "regression": "regression",
    "forecast": "quantile",
    "quantile": "quantile",
    "tagging": "tagging",
    "language-model": "language-model",
}
"""As they are called on the command line; a forecast is one of quantiles, and has two names."""


KERAS_IN_PYTORCH = "PyTorch, in what follows, stands for this program's reading of the file; Keras itself is not run"


def is_foreign(source: str) -> bool:
    """Whether a SOURCE is a module or a Keras file, rather than a folder of `python -m training fit`."""
    return source.endswith(".keras") or (":" in source and not Path(source).exists())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "a module of your own", "package.module:build, path/to/file.py:build, or a file.keras"
    )
    group.add_argument("--checkpoint", type=Path, metavar="W", help="its weights: .safetensors, or a saved state_dict")
    group.add_argument("--arguments", metavar="JSON", help="""keyword arguments that build it: '{"hidden": 64}'""")
    group.add_argument("--task", choices=TASKS, help="what its answers are; a forecast needs --quantiles")
    group.add_argument("--tokenizer", type=Path, metavar="FILE", help="of texts: SentencePiece, tokenizer.json, words")
    group.add_argument("--scaler", type=Path, metavar="JSON", help="how its features, and targets, were scaled")
    group.add_argument("--labels", type=_names, metavar="A,B", help="names of its classes, in order")
    group.add_argument("--names", type=_names, metavar="A,B", help="names of its numbers, in order")
    group.add_argument("--quantiles", type=_levels, metavar="Q,...", help="levels of its quantiles: 0.1,0.5,0.9")
    group.add_argument("--eval", type=Path, metavar="JSONL", help="labelled rows: half for the gate, half for figures")
    group.add_argument("--without-evaluation", action="store_true", help="publish without labelled rows")
    clip_help = "clamp scaled features to [-X, X] in every precision, as training did"
    group.add_argument("--clip", type=positive, metavar="X", help=clip_help)
    group.add_argument("--title", metavar="TEXT", help="heading of the card (default: the bundle's name)")
    group.add_argument("--description", metavar="TEXT", help="a sentence or two for the card")
    group.add_argument("--licence", metavar="TEXT", help="of the weights (default: not stated)")
    group.add_argument("--max-steps", type=_count, metavar="N", help="longest sequence that will be served")


def run(options: argparse.Namespace, strictness: Options) -> Bundle:
    """The published bundle. Raises ExportError in one sentence, and publishes nothing, if anything is wrong."""
    given, labelled = _foreign(options, strictness)
    source = foreign_source(given, strictness)
    evaluate = None if labelled is None else evaluation.evaluation(labelled, source)
    return export(source, evaluate, options.out, strictness)


def _foreign(options: argparse.Namespace, strictness: Options) -> tuple[Foreign, evaluation.Labelled | None]:
    """What was given, with the labelled rows; whatever is quickly checked comes first."""
    own = _module(options)
    if options.task is None:
        raise ForeignError(f"--task: what the answers are must be said; one of {', '.join(TASKS)}")
    scaler = None if options.scaler is None else read_scaler(options.scaler)
    tokenizer = None if options.tokenizer is None else open_tokenizer(options.tokenizer)
    provenance = own.provenance
    if tokenizer is not None and (lost := vocabulary.never_produced(options.tokenizer, tokenizer)):
        print(f"warning: {lost}")
        provenance += f" {lost}"
    labelled = _labelled(options, tokenizer, strictness)
    given = Foreign(
        module=own.module,
        about=About(
            title=options.title or options.out.parent.name,
            description=options.description or f"`{_origin(options.source)}`, exported as it was found.",
            licence=options.licence or "not stated",
        ),
        said=Said(
            task=TASKS[options.task],
            labels=options.labels,
            quantiles=options.quantiles,
            names=options.names,
            text=tokenizer is not None,
            target=None if scaler is None else scaler.target,
        ),
        rows=None if labelled is None else labelled.inputs,
        vocabulary=None if tokenizer is None else tokenizer.vocabulary_size,
        tokenizer=options.tokenizer,
        scaler=scaler,
        clip=options.clip,
        max_steps=options.max_steps or own.steps,
        provenance=provenance,
        **({} if labelled is None else {"check": partial(evaluation.check_rows, labelled, padding_id=own.padding_id)}),
    )
    return given, labelled


def _origin(source: str) -> str:
    """Without the folders of this machine."""
    return source.rpartition("/")[2]


def _labelled(
    options: argparse.Namespace, tokenizer: TextEncoder | None, strictness: Options
) -> evaluation.Labelled | None:
    if options.eval is None and not strictness.without_evaluation:
        raise ForeignError(
            "--eval: no labelled rows were given, so nobody can tell whether a precision is good enough; name a JSON "
            f"Lines file of {evaluation.EXPECTED}, or publish with --without-evaluation"
        )
    if options.eval is None:
        return None
    labelled = evaluation.read(options.eval, tokenizer)
    return evaluation.next_tokens(labelled) if options.task == "language-model" else labelled


@dataclass(frozen=True)
class Own:
    """A module with its weights, and what its file says about it."""

    module: nn.Module
    provenance: str
    steps: int | None = None
    """How many there are, if the file fixes that."""
    padding_id: int | None = None
    """A token id that was skipped in training."""


def _module(options: argparse.Namespace) -> Own:
    if options.source.endswith(".keras"):
        model = keras.load(Path(options.source))
        for note in (*model.notes, KERAS_IN_PYTORCH):
            print(f"note: {note}")
        notes = [f"{note[0].upper()}{note[1:]}." for note in model.notes]
        told = " ".join([f"Imported from the Keras file `{Path(options.source).name}`.", *notes])
        return Own(model.network, told, model.steps, model.padding_id)
    if options.checkpoint is None:
        raise ForeignError(
            "--checkpoint: no weights were given; save them with torch.save(model.state_dict(), PATH), and name that"
        )
    module = checkpoint.build(options.source, options.arguments)
    checkpoint.load(module, options.checkpoint)
    return Own(module, f"PyTorch module `{_origin(options.source)}`, weights from `{options.checkpoint.name}`.")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r}: different names, with commas between them, are expected")
    return names


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: numbers with commas between them are expected") from error


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: a number above 0 is expected")
    return value


def _count(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1 on is expected")
    return int(text)

"""`python -m exporter.saturation BUNDLE`: what int8 sums that are clipped to 16 bits do to a model's answers.

It prints what this processor's kernels do, and how far the int8 variants lie from fp32. Equal digests, also of two
processors, mean equal bits. Debian's `qemu-user` stands in for a processor without VNNI:

    qemu-x86_64 -cpu Haswell .venv/bin/python -m exporter.saturation models/sentiment/1
"""

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from exporter.differences import scaled, scales
from exporter.kernels import saturates
from exporter.quantize import clamped_at, quantized
from exporter.sample import opened, sample
from exporter.sessions import REFUSALS, Rows, StepSession, by_length, together
from models.bundle import Bundle

BATCH = 8
ROWS = 64


@dataclass(frozen=True)
class Variant:
    """One way to compute the int8 graph. Differences are to fp32 on the same processor, by a row's largest output
    where that is above 1."""

    name: str
    mean: float
    largest: float
    changed: float | None
    """Share of rows whose most probable class is another one; None where the outputs are no classes."""
    digest: str


def study(bundle: Bundle, rows: Rows) -> Iterator[Variant]:
    """Every int8 variant of a bundle that has an int8 file, against fp32. SystemExit if one cannot run."""
    fp32, int8 = _model(bundle, "fp32"), _model(bundle, "int8")
    reduced = quantized(onnx.load_from_string(fp32), True, clamped_at(onnx.load_from_string(int8)))
    variants = {
        "int8": (int8, False),
        "int8, exact sums": (int8, True),
        "int8, 7-bit weights": (reduced.SerializeToString(), False),
    }
    expected = _outputs(bundle, fp32, False, rows)
    for name, (model, exact_sums) in variants.items():
        try:
            found = _outputs(bundle, model, exact_sums, rows)
        except REFUSALS as error:
            raise SystemExit(f"error: {bundle.folder}: ONNX Runtime cannot run {name!r} ({error})") from error
        yield compared(name, expected, found, bundle.manifest.outputs.labels)


def compared(name: str, expected: np.ndarray, found: np.ndarray, labels: Sequence[str] | None) -> Variant:
    """Outputs [N, ...] against those of fp32."""
    differences = scaled(expected, found, scales(expected))
    changed = None if labels is None else float((found.argmax(-1) != expected.argmax(-1)).mean())
    digest = hashlib.sha256(found.tobytes()).hexdigest()[:8]
    return Variant(name, float(differences.mean()), float(differences.max()), changed, digest)


def _model(bundle: Bundle, precision: str) -> bytes:
    if precision not in bundle.manifest.precisions:
        raise SystemExit(f"error: {bundle.folder} has no {precision} file, so there is nothing to compare")
    return bundle.path(bundle.manifest.precisions[precision].file).read_bytes()


def _outputs(bundle: Bundle, model: bytes, exact_sums: bool, rows: Rows) -> np.ndarray:
    manifest = bundle.manifest
    per_step = manifest.outputs.when == "per_step"
    session = StepSession(
        model, manifest.initial_state(), per_step=per_step, padding=manifest.padding, exact_sums=exact_sums
    )
    return together(session, by_length(rows, BATCH), rows).outputs


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m exporter.saturation", description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="models/NAME/VERSION, with an int8 file")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"sequences of the sample (default {ROWS})")
    options = parser.parse_args(arguments)
    bundle = opened(options.bundle)
    rows = sample(bundle, options.rows)
    kind = "clips sums of two int8 products to 16 bits" if saturates() else "adds int8 products exactly"
    print(f"On this processor ONNX Runtime {kind}. {len(rows)} sequences, differences to fp32:")
    print("| variant | mean | largest | other label | digest |\n|---|---|---|---|---|")
    for one in study(bundle, rows):
        changed = "–" if one.changed is None else f"{one.changed:.1%}"
        print(f"| {one.name} | {one.mean:.2g} | {one.largest:.2g} | {changed} | `{one.digest}` |", flush=True)


if __name__ == "__main__":
    main()

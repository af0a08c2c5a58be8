"""`python -m exporter.half_simulation BUNDLE`: what float16 does to a model's answers, without a GPU.

ONNX Runtime's CPU kernels compute float16 nodes in float32, from weights that are rounded: that shows the least error
that there can be. ONNX's reference evaluator rounds everything, every gate of every step, to float16 (products add up
in float32, as tensor cores do). cuDNN keeps some of these values in float32, so it should lie between the two; this is
no measurement of a GPU.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from exporter.half import half, why_not_half
from exporter.sample import opened, sample
from exporter.sessions import StepSession, alone
from exporter.verify import parity


class GatherElements(OpRun):
    """The evaluator's own one fails on axes of more than 64 elements."""

    op_domain = ""

    def _run(self, data: np.ndarray, indices: np.ndarray, axis: int = 0) -> tuple[np.ndarray]:
        return (np.take_along_axis(data, indices, axis=axis),)


class HalfSession:
    """A graph in ONNX's reference evaluator, with the methods of a `StepSession`.

    It knows no lengths, so the rows of a batch must be of one length (`padding` is False).
    """

    padding = False

    def __init__(self, model: onnx.ModelProto, initial_state: np.ndarray, per_step: bool = False) -> None:
        self._evaluator = ReferenceEvaluator(model, new_ops=[GatherElements])
        self._initial_state, self.per_step = initial_state, per_step

    def initial_state(self, batch: int) -> np.ndarray:
        return np.tile(self._initial_state, (batch, 1))

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        everything = {"inputs": inputs, "lengths": lengths, "state": state}
        with np.errstate(over="ignore"):  # exp(50) of a pinned gate is infinite in float16, and its sigmoid still 0
            outputs, *after = self._evaluator.run(
                None, {name: everything[name] for name in self._evaluator.input_names}
            )
        return outputs, after[0] if after else state


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m exporter.half_simulation", description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="models/NAME/VERSION")
    parser.add_argument("--rows", type=int, default=64, help="sequences of the sample (default 64)")
    options = parser.parse_args(arguments)
    bundle = opened(options.bundle)
    rows, state = sample(bundle, options.rows), bundle.manifest.initial_state()
    per_step = bundle.manifest.outputs.when == "per_step"
    fp32 = onnx.load(bundle.path(bundle.manifest.precisions["fp32"].file))
    if reason := why_not_half(fp32):
        raise SystemExit(f"error: {bundle.folder} has no float16 form: {reason}")
    model = half(fp32)
    expected, rounded_weights = (
        alone(StepSession(graph.SerializeToString(), state, per_step=per_step), rows).outputs for graph in (fp32, model)
    )
    rounded_everything = alone(HalfSession(model, state, per_step), rows).outputs
    print(f"{len(rows)} sequences, largest difference to fp32:")
    print(f"weights in float16: {parity(expected, rounded_weights):.2g}")
    print(f"every value of the recurrent layers in float16: {parity(expected, rounded_everything):.2g}")


if __name__ == "__main__":
    main()

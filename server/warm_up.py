"""What is found out about a network before it answers: that it is as its manifest says, and how long it takes."""

import time

import numpy as np

from models.bundle import Bundle, BundleError
from server.backend import OnnxBackend
from server.engine.cost import CostModel, measure
from server.engine.lane import Shape

STEPS = 64
"""Time steps between the shortest and the longest run that are measured, where the network takes so many."""
ROWS = 5


class WarmUp:
    """Runs a bundle's network on made-up sequences, no two alike.

    The shortest one is as short as the network allows: the smallest number of steps of a whole network, the first
    chunk of one that can be run piece by piece.
    """

    def __init__(self, bundle: Bundle, backend: OnnxBackend, shape: Shape) -> None:
        self._bundle, self._manifest = bundle, bundle.manifest
        self._backend, self._shape = backend, shape
        steps = self._manifest.steps
        self._shortest = steps.first_chunk if self._manifest.chunkable else steps.smallest
        self._longest = max(self._shortest, min(self._shortest + STEPS, steps.largest))

    def cost(self, slots: int) -> CostModel:
        """The measured cost model for up to `slots` rows.

        Raises BundleError if the graph is not the one that the manifest describes, if its pins move, or if a row's
        answer among others differs by a single bit from its answer alone: then this processor breaks the promise that
        the bundle was exported with.
        """
        self._check_outputs()
        self._check_pins()
        if self._backend.device == "cpu":
            self._check_company()
        short = self._shortest if self._longest > self._shortest else 0
        return measure(self._seconds, slots, short, self._longest)

    def _seconds(self, batch: int, steps: int) -> float:
        """Of one run; nothing for no steps, which stands for the overhead where only one length is allowed."""
        if not steps:
            return 0.0
        probe = self._probe(batch, steps)
        started = time.perf_counter()
        self._run(*probe)
        return time.perf_counter() - started

    def _run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self._backend.run(inputs, lengths, state)
        except Exception as error:
            reason = str(error).splitlines()[0]
            steps = f"{lengths.min()} to {lengths.max()} made-up steps"
            raise self._error(f"the network does not run on {steps} ({reason}); export the model again") from error

    def _probe(self, batch: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs, lengths and state of `batch` rows of `steps` steps; the rows differ in content and range."""
        inputs = self._shape.empty(batch, steps)
        rows, ramp = np.arange(1, batch + 1)[:, None], np.arange(steps)
        if self._manifest.inputs.vocabulary is not None:
            inputs[:] = (rows * 31 + ramp * 7) % self._manifest.inputs.vocabulary
        else:
            above = self._manifest.inputs.above
            inputs[:] = (ramp % 7 * rows + (0 if above is None else above + 1))[..., None]
        return inputs, np.full(batch, steps, np.int32), np.tile(self._shape.initial_state, (batch, 1))

    def _check_outputs(self) -> None:
        steps, outputs = self._longest, self._manifest.outputs
        found = self._run(*self._probe(1, steps))[0]
        expected = (1, steps, *outputs.shape) if self._shape.per_step else (1, *outputs.shape)
        if found.shape != expected or found.dtype != np.float32:
            raise self._error(
                f"the network answers {found.dtype} {list(found.shape)}, its manifest says float32 {list(expected)}"
            )

    def _check_pins(self) -> None:
        columns = list(self._manifest.pinned)
        inputs, lengths, state = self._probe(1, self._longest)
        if columns and not np.array_equal(self._run(inputs, lengths, state)[1][:, columns], state[:, columns]):
            raise self._error("the pins that keep its scales constant move on this processor; serve another precision")

    def _check_company(self) -> None:
        inputs, lengths, state = self._probe(ROWS, self._longest)
        if not self._shape.equal_lengths:
            lengths[:] = np.linspace(self._shortest, self._longest, ROWS)
        together = self._run(inputs, lengths, state)
        for row, length in enumerate(lengths):
            alone = self._run(inputs[row : row + 1, :length], lengths[row : row + 1], state[row : row + 1])
            outputs = together[0][row, :length] if self._shape.per_step else together[0][row]
            for one, other in ((alone[0][0], outputs), (alone[1][0], together[1][row])):
                if not np.array_equal(one, other, equal_nan=True):
                    raise self._error(
                        "the answer of a sequence depends on its batch on this processor; serve another precision"
                    )

    def _error(self, message: str) -> BundleError:
        return BundleError(f"{self._bundle.folder}: {message}")

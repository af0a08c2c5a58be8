"""Whether a module mixes the rows of a batch: the usual reason why no way gives its own answers."""

from collections.abc import Iterator

import torch
from torch import Tensor

from exporter.foreign.understand import MODULE_FAILURES, Understood, company

STEPS = 5
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def mixes_rows(found: Understood) -> bool:
    """Whether what it answers to a row depends on the other rows."""
    if found.convention.single_row:
        return False
    steps = max(found.smallest, min(STEPS, found.largest))
    inputs = found.example(company(steps), steps)
    try:
        together = found.raw(inputs)
        alone = torch.stack([found.raw(row[None]).flatten() for row in inputs])
    except MODULE_FAILURES:
        return False
    if together.numel() != alone.numel():
        return True
    return not any(torch.allclose(one, alone, **CLOSE) for one in _by_row(together, len(inputs)))


def _by_row(answers: Tensor, rows: int) -> Iterator[Tensor]:
    """What may be one line for each row, whichever axis has the rows."""
    yield answers.reshape(rows, -1)
    for axis, size in enumerate(answers.shape):
        if size == rows:
            yield answers.movedim(axis, 0).reshape(rows, -1)

"""The first promise: an answer does not depend on neighbours, padding, chunks, threads or order, to the bit."""

import dataclasses

import pytest
from torch import Tensor

from exporter import graph
from exporter.errors import CheckFailed
from exporter.recurrent import exportable
from exporter.sessions import alone
from exporter.verify import check_invariance, invariance, of_few_lengths, parity
from tests.exporter.networks import TaggingNetwork, prepared, strong
from training.evaluation import predict

EXACT = {"batch": 0.0, "padding": 0.0, "chunks": 0.0, "threads": 0.0}
PINNED = ["text", "series", "series, peephole", "series, coupled", "tagging"]
NOT_PINNED = ["series, gru", "series, rnn", "series, rnn-relu", "series, no clip", "text, gru", "tagging, gru"]
WHOLE = [("both ways", True), ("both ways, gru", False), ("tagging both ways", True)]


def deviations(name: str, pinned: bool, int8: bool = False) -> dict[str, float | None]:
    one = prepared(name, pinned, int8)
    return invariance(one.subject, one.rows).model_dump(exclude={"sequences"})


@pytest.mark.parametrize("int8", [False, True], ids=["fp32", "int8"])
@pytest.mark.parametrize("name", PINNED)
def test_pinned_networks_are_exact(name: str, int8: bool) -> None:
    assert deviations(name, True, int8) == EXACT


@pytest.mark.parametrize("name", NOT_PINNED)
def test_what_cannot_be_pinned_is_exact_in_fp32(name: str) -> None:
    assert deviations(name, False) == EXACT


@pytest.mark.parametrize(("name", "pinned"), WHOLE)
def test_whole_networks_are_exact_but_have_no_chunks(name: str, pinned: bool) -> None:
    for int8 in (False, True) if pinned else (False,):
        assert deviations(name, pinned, int8) == EXACT | {"chunks": None}


def test_without_padding_rows_of_one_length_share_batches_and_change_nothing() -> None:
    assert deviations("backwards", True) == EXACT | {"chunks": None, "padding": None}
    some = of_few_lengths(prepared("backwards", True).rows)
    assert len({len(row) for row in some}) == 4
    assert len(some) == len(prepared("backwards", True).rows)


def test_padding_that_is_seen_is_found() -> None:
    one = prepared("backwards", True)
    padded = dataclasses.replace(one.subject, padding=True)
    assert invariance(padded, one.rows).padding > 1e-3


class Untidy(TaggingNetwork):
    """A mistake that is easily made: the head's bias past the length."""

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, after = self.lstm(inputs.transpose(0, 1), lengths, state)
        return self.head(hidden).transpose(0, 1), after


def test_what_stands_past_the_length_of_outputs_per_step_is_found() -> None:
    one = prepared("tagging", True)
    model = graph.to_onnx(exportable(strong(Untidy()), pinned=True), one.rows[0]).SerializeToString()
    found = invariance(dataclasses.replace(one.subject, model=model), one.rows)
    assert min(found.batch, found.padding, found.chunks, found.threads) > 1e-3


def test_plain_int8_depends_on_its_neighbours_and_the_check_says_so() -> None:
    plain = prepared("text", False, True)
    found = invariance(plain.subject, plain.rows)
    assert min(found.batch, found.padding, found.chunks or 0) > 1e-4
    with pytest.raises(CheckFailed, match=r"invariance: int8 results change with batch by 0\.\d+.*DynamicQuantizeLSTM"):
        check_invariance(found, "int8", plain.subject, plain.rows)
    least = found.model_copy(update={"batch": 1e-45, "padding": 0.0, "chunks": 0.0, "threads": 0.0})
    with pytest.raises(CheckFailed, match=r"change with batch by .*, exactly 0 is accepted"):
        check_invariance(least, "int8", plain.subject, plain.rows)
    check_invariance(least.model_copy(update={"batch": 0.0}), "int8", plain.subject, plain.rows)


@pytest.mark.parametrize("name", [*PINNED, "both ways", "tagging both ways"])
def test_int8_is_close_to_pytorch(name: str) -> None:
    one = prepared(name, True, True)
    found = alone(one.subject.session(), one.rows).outputs
    assert 0 < parity(predict(one.network, one.rows), found) < 0.2

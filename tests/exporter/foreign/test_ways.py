"""Which of the three ways a module takes, tried in PyTorch: it gives the module's own answers to each row alone."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from exporter.check import check_answers
from exporter.errors import CheckFailed, ForeignError
from exporter.foreign import source as sources
from exporter.foreign import trial
from exporter.foreign.answers import Said
from exporter.foreign.bounds import Bound, bounds
from exporter.foreign.choose import ways
from exporter.foreign.layers import recurrent_layers
from exporter.foreign.mixing import mixes_rows
from exporter.foreign.packing import answering, unchanged
from exporter.foreign.scaling import ScalerFile, Standard
from exporter.foreign.source import Foreign, foreign_source
from exporter.options import Options
from exporter.source import Source
from exporter.verify import row_parities
from tests.exporter.foreign import modules
from tests.exporter.foreign.cases import ABOUT, CASES, NUMBERS, Case, foreign, trained


@pytest.fixture
def in_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """No graphs: those are looked at elsewhere, and take their time."""
    monkeypatch.setattr(trial, "_problem_in_onnx", lambda *_: None)


def way_of(source: Source) -> str:
    chunkable = type(source.exportable(False)).__name__ == "StepModule"
    return "stepwise" if chunkable else "whole" if source.padding else "equal lengths"


@pytest.mark.usefixtures("in_pytorch")
@pytest.mark.parametrize("name", CASES)
def test_every_kind_takes_the_best_way_that_is_right(name: str) -> None:
    source = foreign_source(foreign(name), Options())
    assert way_of(source) == CASES[name].way
    assert CASES[name].reason in " ".join(source.reasons.values())
    assert bool(source.reasons) == (CASES[name].way != "stepwise")


def standard(mean: float, scale: float) -> Standard:
    return Standard(kind="standard", mean=(mean,), scale=(scale,))


def levelled(build: Callable[[], nn.Module], bias: float, scale: float) -> nn.Module:
    """The same module with answers of another unit, near another level."""
    module = trained(Case(build, NUMBERS))
    module.fc.weight.data *= scale
    module.fc.bias.data = module.fc.bias.data * scale + bias
    return module


@pytest.mark.usefixtures("in_pytorch")
@pytest.mark.parametrize(("mean", "scale"), [(1e5, 5), (0, 1e-4), (1e7, 1e-3), (0, 1e6)])
def test_a_wrong_way_is_found_whatever_the_unit_of_the_answers(mean: float, scale: float) -> None:
    target = standard(mean, scale)
    scaler, said = ScalerFile(inputs=standard(0, 1), target=target), Said("regression", target=target)
    module = trained(Case(modules.MeanPooling, NUMBERS))
    assert way_of(foreign_source(Foreign(module, ABOUT, said, scaler=scaler), Options())) == "whole"
    module = levelled(modules.MeanPooling, 1e4 * scale, scale)
    assert way_of(foreign_source(Foreign(module, ABOUT, NUMBERS), Options())) == "whole"


@pytest.mark.parametrize(("bias", "scale"), [(0.5, 1e-9), (1e4, 1e-3), (0, 0), (0, 1e-6)])
def test_answers_that_hardly_differ_from_row_to_row_are_no_obstacle(bias: float, scale: float) -> None:
    source = foreign_source(Foreign(levelled(modules.StockLSTM, bias, scale), ABOUT, NUMBERS), Options())
    assert way_of(source) == "stepwise"


@pytest.mark.usefixtures("in_pytorch")
def test_a_graph_of_a_wrong_way_is_not_taken_for_the_module() -> None:
    """Its answers are wrong by a share of 1e-5 of themselves, and by most of what the rows differ by."""
    right = foreign_source(Foreign(levelled(modules.MeanPooling, 1e3, 0.1), ABOUT, NUMBERS), Options())
    rows = right.examples(20)
    expected = np.stack(right.reference(rows))
    check_answers(right, expected, rows, False, Options())
    with pytest.raises(CheckFailed, match=r"parity: fp32 differs from PyTorch by .* in an output whose values lie"):
        check_answers(right, expected[::-1], rows, False, Options())
    assert row_parities(expected, expected[::-1]).max() < Options().parity


def test_rows_that_the_network_itself_does_not_answer_are_named() -> None:
    source = foreign_source(foreign("zero states made inside"), Options())
    rows = [np.full((4, 1), value, np.float32) for value in (1, np.nan, 2)]
    with pytest.raises(CheckFailed, match="the network itself answers 1 of 3 rows with what is no finite number"):
        check_answers(source, np.stack(source.reference(rows)), rows, False, Options())


@pytest.mark.usefixtures("in_pytorch")
def test_states_that_a_module_makes_are_double_in_double_precision() -> None:
    source = foreign_source(foreign("zero states made inside"), Options())
    rows = source.examples(5)
    for one, other in zip(source.reference(rows), source.float64(rows), strict=True):
        assert other.dtype == np.float64
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.usefixtures("in_pytorch")
def test_the_source_line_of_what_uses_more_than_the_last_step_is_told() -> None:
    reason = foreign_source(foreign("mean"), Options()).reasons["chunks"]
    assert reason.endswith("return self.fc(out.mean(dim=1)))")


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (modules.RandomStart, "other answers to the same input from call to call; let its initial states be zeros"),
        (modules.DropsAlways, r"call to call; .*, and dropout be off \(F\.dropout\(x, p, self\.training\)\)"),
        (modules.StaysInTraining, r"fails on one row of .* \(ValueError: Expected more .*; .* let eval\(\) reach all"),
        (modules.NeedsMore, "needs 'graph', which an exporter cannot know; give it a default value"),
        (modules.AnswersForEveryLayer, r"answers 2 times for one sequence, with \(2, 1\); .*let it take hn\[-1\]"),
        (lambda: nn.LSTM(3, 7, proj_size=4), "proj_size=4, which ONNX's LSTM has not; put an nn.Linear behind"),
        (modules.MixesRows, "no way to export the module gives its own answers"),
        (lambda: nn.Linear(3, 2), "has no nn.LSTM, nn.GRU, nn.RNN or cell"),
    ],
)
def test_what_cannot_be_exported_says_what_to_change(build, problem: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(ForeignError, match=problem):
        foreign_source(Foreign(build(), ABOUT, NUMBERS), Options())


MIXED = r"changes with the other rows of the batch: give a recurrent layer .* batch_first=True, and take hn\[-1\]"


@pytest.mark.parametrize("build", [modules.ForgetsBatchFirst, modules.ViewsFinalStates, modules.MixesRows])
def test_a_module_that_mixes_rows_is_told_so(build) -> None:
    torch.manual_seed(0)
    with pytest.raises(ForeignError, match=MIXED):
        foreign_source(Foreign(build(), ABOUT, NUMBERS), Options())


@pytest.mark.parametrize("name", CASES)
def test_no_module_that_can_be_exported_mixes_rows(name: str) -> None:
    given = foreign(name)
    assert not mixes_rows(sources.understand(given.module, None, None, None))


def series(*lengths: int, features: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.uniform(1, 3, (steps, features)).astype(np.float32) for steps in lengths]


@pytest.mark.usefixtures("in_pytorch")
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_rows_of_any_one_length_tell_how_the_module_is_called(steps: int) -> None:
    given = foreign("hn.view", rows=series(*[steps] * 5))
    assert way_of(foreign_source(given, Options())) == "stepwise"


@pytest.mark.usefixtures("in_pytorch")
@pytest.mark.parametrize(
    ("said", "served"),
    [(Said("quantile", quantiles=(0.1, 0.5, 0.9)), (10, 3)), (NUMBERS, (30,)), (Said("tagging"), (10, 3))],
)
def test_a_horizon_as_long_as_a_fixed_window_is_not_taken_for_steps(said: Said, served: tuple[int, ...]) -> None:
    module = trained(Case(modules.HorizonOfItsWindow, said))
    rows = series(10, 10)
    answers = foreign_source(Foreign(module, ABOUT, said), Options()).reference(rows)
    with torch.no_grad():
        wanted = [module(torch.from_numpy(row)[None])[0].reshape(served).numpy() for row in rows]
    np.testing.assert_array_equal(np.stack(answers), np.stack(wanted))


@pytest.mark.filterwarnings("ignore:std\\(\\):UserWarning")
@pytest.mark.usefixtures("in_pytorch")
def test_a_module_that_has_no_number_for_one_step_takes_two() -> None:
    source = foreign_source(Foreign(trained(Case(modules.DeviationPooling, NUMBERS)), ABOUT, NUMBERS), Options())
    assert source.limits.smallest == 2


@pytest.mark.usefixtures("in_pytorch")
def test_a_module_for_positive_features_is_tried_with_real_rows() -> None:
    module = trained(Case(modules.LogarithmFirst, NUMBERS))
    with pytest.raises(
        ForeignError, match=r"answer to standard normal features is not finite.* --eval gives real ones"
    ):
        foreign_source(Foreign(module, ABOUT, NUMBERS), Options())
    rows = series(4, 9, 9, 12, 30)
    source = foreign_source(Foreign(module, ABOUT, NUMBERS, rows=rows), Options())
    assert way_of(source) == "stepwise"
    assert source.limits.smallest == 1
    assert all((row > 0).all() for row in source.examples(20))


@pytest.mark.usefixtures("in_pytorch")
def test_the_truth_is_each_row_alone_in_the_modules_own_precision() -> None:
    given = foreign("double precision, per step")
    row = np.random.default_rng(0).normal(size=(9, 1)).astype(np.float32)
    with torch.no_grad():
        wanted = given.module(torch.from_numpy(row.T).double())[0].float().numpy()
    found = foreign_source(given, Options()).reference([row])
    assert found[0].tolist() == wanted[:, None].tolist()


def test_a_module_of_so_many_positions_is_padded_up_to_them() -> None:
    source = foreign_source(Foreign(trained(Case(modules.LearnedPositions, NUMBERS)), ABOUT, NUMBERS), Options())
    assert source.limits.largest == 20
    assert way_of(source) == "whole"


@pytest.mark.usefixtures("in_pytorch")
def test_a_learned_initial_state_is_in_the_layout_of_the_state() -> None:
    given = foreign("learned initial state")
    parts = foreign_source(given, Options()).exportable(False).state_slices()
    wanted = [*given.module.h0.flatten().tolist(), *given.module.c0.flatten().tolist()]
    np.testing.assert_allclose(parts[0].values(), wanted, rtol=1e-6)


@pytest.mark.usefixtures("in_pytorch")
def test_the_bound_of_token_inputs_is_exact_over_the_vocabulary() -> None:
    given = foreign("packed, any order")
    network = foreign_source(given, Options()).exportable(True)
    assert network.layers[0].bound == pytest.approx(given.module.embedding.weight.abs().max().item())


@pytest.mark.usefixtures("in_pytorch")
def test_a_layer_behind_a_recurrent_one_is_bounded_by_one() -> None:
    network = foreign_source(foreign("stacked, batch norm", clip=5.0), Options()).exportable(True)
    assert [layer.bound for layer in network.layers] == [5.0, 1.0]


@pytest.mark.usefixtures("in_pytorch")
def test_real_rows_bound_features_with_headroom() -> None:
    rows = [np.full((6, 3), value, np.float32) for value in np.linspace(-2, 1, 9)]
    network = foreign_source(foreign("hn.view", rows=rows), Options()).exportable(True)
    assert [layer.bound for layer in network.layers] == [8.0]


@pytest.mark.parametrize(("limit", "bound"), [(0.5, Bound(1.0)), (5.0, Bound(8.0, likely=True))])
def test_a_hardtanh_bounds_by_one_only_if_its_limits_do(limit: float, bound: Bound) -> None:
    rows = [np.full((6, 3), value, np.float32) for value in np.linspace(-2, 1, 9)]
    module = trained(Case(lambda: modules.Limited(limit), NUMBERS))
    assert bounds(sources.understand(module, rows, None, None), rows, None) == {"lstm": bound}


def test_a_bound_that_real_rows_exceed_is_not_exact() -> None:
    module = trained(Case(modules.LouderAtTheEnd, NUMBERS))
    rows = [np.random.default_rng(seed).integers(0, modules.WORDS, 60) for seed in range(3)]
    found = sources.understand(module, rows, None, None)
    assert bounds(found, None, None) == {"lstm": Bound(pytest.approx(module.embedding.weight.abs().max().item()))}
    assert bounds(found, rows, None)["lstm"].largest > 10 * module.embedding.weight.abs().max()
    assert bounds(found, rows, None)["lstm"].likely


@pytest.mark.usefixtures("in_pytorch")
@pytest.mark.parametrize(
    ("make", "answered"), [(modules.RefusesLargeInputs, [10, -10]), (modules.Overflows, [10, -10, -100])]
)
def test_far_rows_are_those_that_the_module_can_answer(make, answered: list[float]) -> None:
    source = foreign_source(Foreign(trained(Case(make, NUMBERS)), ABOUT, NUMBERS), Options())
    rows = source.beyond([np.ones((6, 3), np.float32)] * 4)
    assert [row[0, 0] for row in rows] == answered


@pytest.mark.usefixtures("in_pytorch")
@pytest.mark.parametrize(
    ("name", "reason"),
    [("hn.view", "not bounded.*--eval.*--clip"), ("attention", "no int8 kernel for GRU"), ("middle step", "for RNN")],
)
def test_without_int8_there_is_a_reason(name: str, reason: str) -> None:
    assert re.search(reason, foreign_source(foreign(name), Options()).without_int8)


def test_a_tokenizer_of_more_ids_than_the_embedding_has_is_refused() -> None:
    with pytest.raises(ForeignError, match=r"ids go up to 50, but the module's embedding has 50 rows"):
        foreign_source(foreign("packed, any order", vocabulary=51), Options())


def test_tracing_leaves_the_module_and_pytorch_as_they_were() -> None:
    module = trained(CASES["remembers its state"])
    before = module.hidden_cell
    forward, pack = nn.LSTM.forward, modules.pack_padded_sequence
    with unchanged(module), answering(module, recurrent_layers(module), lambda *_: None):
        assert modules.pack_padded_sequence is not pack
        module.hidden_cell = "changed"
    assert (nn.LSTM.forward, modules.pack_padded_sequence) == (forward, pack)
    assert module.hidden_cell is before
    assert not hasattr(modules, "len")


def test_the_cheap_form_comes_first() -> None:
    found = sources.understand(trained(CASES["cells in a loop"]), None, None, None)
    meaning = sources._meaning(Foreign(found.module, ABOUT, NUMBERS), found, sources.Affine(None))
    tried = list(ways(found, sources._body(found, meaning, sources.Affine(None))))
    assert [way.name for way in tried] == ["stepwise", "stepwise", "whole", "equal lengths", "equal lengths"]

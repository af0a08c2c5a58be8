"""`python -m exporter gallery`: the table, its JSON, and what happens when a cell is not green."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from exporter import gallery, verify
from exporter.build import build
from exporter.errors import CheckFailed
from exporter.exhibits import EXHIBITS, Exhibit
from exporter.options import STRICT
from exporter.report import Built
from models.manifest import Invariance

KEYS = ("architecture", "precision", "parity", "batch", "padding", "chunk", "threads", "size", "milliseconds", "reason")
PRECISIONS = ["fp32", "int8", "int8-weights", "fp16"]
CHOSEN = ["grunet", "bidirectional-features"]


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    gallery.add_arguments(parser)
    return parser.parse_args(list(given))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], str]:
    """The JSON and the text of two architectures: one without int8, one without chunks."""
    path, lines = tmp_path_factory.mktemp("gallery") / "table.json", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery.tqdm, "write", lines.append)
        patch.setattr(gallery, "ROWS", 16)
        gallery.run(options("--only", *CHOSEN, "--json", str(path)))
    assert [file.name for file in path.parent.iterdir()] == ["table.json"]
    return json.loads(path.read_text()), "\n".join(lines)


def test_every_cell_of_the_json_has_exactly_its_keys(shown: tuple[list[dict], str]) -> None:
    cells, _ = shown
    assert all(tuple(cell) == KEYS for cell in cells)
    assert [cell["precision"] for cell in cells] == 2 * PRECISIONS
    assert [cell["architecture"] for cell in cells[::4]] == ["GRUNet", "bidirectional-features"]


def test_what_is_offered_is_exact_and_what_is_not_says_why(shown: tuple[list[dict], str]) -> None:
    for cell in shown[0]:
        if cell["reason"] is not None:
            assert {cell[key] for key in KEYS[2:-1]} == {None}
            assert len(cell["reason"]) > 20
            continue
        assert cell["batch"] == cell["padding"] == cell["threads"] == 0.0
        assert cell["chunk"] == (0.0 if cell["architecture"] == "GRUNet" else None)
        assert cell["parity"] < (1e-4 if cell["precision"] == "fp32" else 0.5)
        assert cell["size"] > 10_000
        assert cell["milliseconds"] > 0


def test_a_gru_has_no_int8_and_runs_with_int8_weights(shown: tuple[list[dict], str]) -> None:
    found = {cell["precision"]: cell["reason"] for cell in shown[0] if cell["architecture"] == "GRUNet"}
    assert "no int8 kernel for GRU" in found["int8"]
    assert found["int8-weights"] is None


def test_the_table_has_a_line_for_every_cell_and_notes_below(shown: tuple[list[dict], str]) -> None:
    lines = shown[1].splitlines()
    assert lines[0].split()[:3] == ["architecture", "precision", "parity"]
    assert len({len(line) for line in lines[1:9] if "exact" in line}) == 1
    assert lines[1].split()[:2] == ["GRUNet", "fp32"]
    assert "not offered [1]" in lines[2]
    assert lines[9].startswith("[1] ")


def moved(batch: float = 0.0, chunks: float | None = 0.0) -> Invariance:
    return Invariance(batch=batch, padding=0.0, chunks=chunks, threads=0.0, sequences=3)


def decoder() -> Exhibit:
    return next(exhibit for exhibit in EXHIBITS if exhibit.name == "decoder")


@pytest.fixture(scope="module")
def built() -> Built:
    return build(decoder().source(), decoder().rows(3), STRICT)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, built: Built) -> pytest.MonkeyPatch:
    """One small network in place of all, built once, and few rows."""
    monkeypatch.setattr(gallery, "EXHIBITS", (decoder(),))
    monkeypatch.setattr(gallery, "ROWS", 3)
    monkeypatch.setattr(gallery, "build", lambda source, rows, options: built)
    return monkeypatch


def test_a_difference_in_the_last_bit_ends_with_1(hasty: pytest.MonkeyPatch) -> None:
    hasty.setattr(verify, "invariance", lambda subject, rows: moved(batch=1e-45))
    with pytest.raises(SystemExit, match=r"error: 3 of 4 cells are not exact: decoder in fp32, decoder in int8"):
        gallery.run(options())


def test_a_pin_that_moves_and_a_lost_parity_are_not_green(hasty: pytest.MonkeyPatch) -> None:
    def moves(subject: verify.Subject, rows: list[np.ndarray]) -> None:
        raise CheckFailed("pins")

    hasty.setattr(verify, "invariance", lambda subject, rows: moved())
    hasty.setattr(verify, "check_pins", moves)
    found = list(gallery.examine(decoder()))
    assert [cell.good for cell in found] == [False, False, False, True]
    assert found[0].chunk == sys.float_info.max
    hasty.setattr(verify, "parity", lambda reference, outputs: float("nan"))
    hasty.setattr(verify, "check_pins", lambda subject, rows: None)
    assert [cell.good for cell in gallery.examine(decoder())] == [False, True, True, True]


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(SystemExit, match=r"no 'lstmnett' in the gallery, but LSTMClassifier, .*forecast-stock"):
        gallery.chosen(["lstmnett"])
    assert gallery.chosen([]) == list(EXHIBITS)


def test_colour_is_for_terminals() -> None:
    good = gallery.Cell("x", "fp32", 1e-7, 0.0, 0.0, None, 0.0, 10, 1.0)
    bad = gallery.Cell("x", "fp32", 1e-7, 0.0, 0.5, None, 0.0, 10, 1.0)
    assert [line[:5] for line in gallery.table([good, bad], colour=True)][1:] == [gallery.GREEN, gallery.RED]
    assert not any("\033" in line for line in gallery.table([good, bad], colour=False))


def test_a_trained_checkpoint_is_taken_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = next(exhibit for exhibit in EXHIBITS if exhibit.recipe == "sentiment")
    monkeypatch.chdir(tmp_path)
    assert shipped.checkpoint is None
    assert "random weights" in shipped.provenance
    folder = tmp_path / "checkpoints" / "sentiment"
    folder.mkdir(parents=True)
    (folder / "checkpoint.json").write_text("{}")
    assert shipped.checkpoint == Path("checkpoints/sentiment")
    assert "trained by the recipe sentiment" in shipped.provenance

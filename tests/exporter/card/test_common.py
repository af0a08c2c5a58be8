"""The parts that every card has, for any task and any set of precisions."""

from pathlib import Path

import pytest

from exporter.card import common, templates
from exporter.page import PAGE
from models import bundle
from models.manifest import Manifest, PrecisionFile

UNLABELLED = {"gate": None, "statistics": None, "figures": {}, "baselines": {}}


@pytest.fixture(scope="module")
def shipped() -> Manifest:
    return bundle.read(Path("models/sentiment/1")).manifest


def not_run(file: PrecisionFile) -> PrecisionFile:
    """A file for a device that is not here."""
    nothing = {"parity": None, "invariance": None, "milliseconds": {}, "chunk_milliseconds": {}, "throughput": {}}
    return file.model_copy(update=nothing | {"validation": {}, "test": {}, "contract": "For CUDA only."})


def with_fp16(manifest: Manifest) -> Manifest:
    precisions = manifest.precisions | {"fp16": not_run(manifest.precisions["fp32"])}
    return manifest.model_copy(update={"precisions": precisions, "reasons": {"fp16": "there is no GPU here"}})


def rows(table: str) -> list[list[str]]:
    return [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("changed", [{}, UNLABELLED, {"chunkable": False}, {"padding": False, "chunkable": False}])
def test_tables_have_a_cell_for_every_column(shipped: Manifest, changed: dict) -> None:
    manifest = with_fp16(shipped.model_copy(update=changed))
    for part in (common.precisions(manifest), common.invariance(manifest)):
        found = rows(part)
        assert len(found) >= 3
        assert {len(row) for row in found} == {len(found[0])}


def test_a_precision_that_was_not_run_has_no_figures_but_its_reason(shipped: Manifest) -> None:
    manifest = with_fp16(shipped)
    part = common.precisions(manifest)
    row = next(row for row in rows(part) if row[0].strip() == "fp16")
    assert [cell.strip() for cell in row[2:]] == ["–"] * (len(row) - 2)
    assert "* **fp16**: For CUDA only. There is no GPU here." in part
    assert "(fp16 could not be run here; only its rounded weights, in float32, passed this gate)" in part
    assert "fp16" not in [row[0].strip() for row in rows(common.invariance(manifest))]


def test_what_is_not_offered_has_its_reason(shipped: Manifest) -> None:
    fp32 = {"fp32": shipped.precisions["fp32"]}
    changed = {"precisions": fp32, "preference": {"cpu": ("fp32",)}, "reasons": {"int8": "there is no kernel for GRU"}}
    part = common.precisions(shipped.model_copy(update=changed))
    assert "* **int8**: There is no kernel for GRU." in part
    assert "On a CPU the server loads fp32." in part


def test_a_precision_that_was_left_out_is_named(shipped: Manifest) -> None:
    fp32 = {"fp32": shipped.precisions["fp32"]}
    changed = {"precisions": fp32, "preference": {"cpu": ("fp32",)}, "reasons": {"int8": "give rows with --eval"}}
    part = common.precisions(shipped.model_copy(update=changed))
    assert "* **int8**: Give rows with `--eval`." in part
    assert "* **fp16**: Left out when the bundle was exported." in part


def test_small_files_have_a_size(shipped: Manifest) -> None:
    small = {"fp32": shipped.precisions["fp32"].model_copy(update={"bytes": 3456})}
    part = common.precisions(shipped.model_copy(update={"precisions": small, "preference": {"cpu": ("fp32",)}}))
    assert "| 3.46\u202fkB |" in part


def test_why_a_file_is_loaded(shipped: Manifest) -> None:
    assert "loads int8, since it runs chunks clearly faster than fp32." in common.precisions(shipped)
    changed = {"preference": {"cpu": ("fp32", "int8")}, "chunkable": False}
    part = common.precisions(shipped.model_copy(update=changed))
    assert "loads fp32, since no other precision runs whole sequences clearly faster." in part
    clamping = shipped.precisions["int8"].model_copy(update={"clamped_at": {"lstm": 4.0}})
    changed = {
        "precisions": shipped.precisions | {"int8": clamping},
        "preference": {"cpu": ("fp32", "int8-weights", "int8")},
    }
    part = common.precisions(shipped.model_copy(update=changed))
    assert (
        "since int8-weights does not run chunks clearly faster. It loads int8, which clamps what it reads, only" in part
    )


def test_the_gate_that_was_not_run_is_told(shipped: Manifest) -> None:
    assert "the metric's gate was not run" in common.precisions(shipped.model_copy(update=UNLABELLED))
    assert "over generated rows and rows far outside their range:" in common.invariance(
        shipped.model_copy(update=UNLABELLED), far=True
    )
    assert "over generated rows:" in common.invariance(shipped.model_copy(update=UNLABELLED))


def test_every_bit_is_equal_only_if_it_is(shipped: Manifest) -> None:
    assert "Every bit is equal." in common.invariance(shipped)
    fp32 = shipped.precisions["fp32"]
    moved = fp32.model_copy(update={"invariance": fp32.invariance.model_copy(update={"threads": 1e-7})})
    part = common.invariance(shipped.model_copy(update={"precisions": {"fp32": moved}}))
    assert "Every bit is equal." not in part
    assert "1e-07" in part


def test_what_was_not_tried_is_not_claimed(shipped: Manifest) -> None:
    whole = common.invariance(shipped.model_copy(update={"chunkable": False, "padding": False}))
    assert "in chunks of" not in whole
    assert "in the padding" not in whole


def test_every_card_leads_to_the_report(shipped: Manifest) -> None:
    assert f"]({PAGE})" in common.invariance(shipped)
    for template in templates.FOLDER.glob("*.md"):
        assert "invariance" in templates.load(template.stem).body.get_identifiers()

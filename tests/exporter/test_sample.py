"""What the studies of a published bundle read: any bundle, and what was said of none."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from exporter import half_simulation, sample, saturation
from exporter.export import export
from exporter.options import Options
from exporter.sessions import REFUSALS, Rows
from models.bundle import Bundle
from models.manifest import Inputs, Steps
from tests.exporter.page.test_page import source


def bundle(folder: Path, inputs: Inputs, steps: Steps, tokenizer: str | None = None, name: str = "prices") -> Bundle:
    return Bundle(folder, SimpleNamespace(inputs=inputs, steps=steps, tokenizer=tokenizer, name=name))


@pytest.fixture(scope="module")
def tagging(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """It answers per step, and rows of different lengths never share a batch."""
    target = tmp_path_factory.mktemp("models") / "numbers" / "1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.export.GENERATED_ROWS", 32)
        return export(
            source("tagging both ways", padding=False),
            None,
            target,
            Options(precisions=("int8",), without_evaluation=True, parity=2e-4),
        )


def test_any_tokenizer_is_opened(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text(json.dumps(["<unk>", "the", "a"]))
    rows = sample.sample(bundle(tmp_path, Inputs(kind="tokens", vocabulary=3), Steps(largest=40), "words.json"), 5)
    assert len(rows) == 5
    assert {row.dtype for row in rows} == {np.dtype(np.int64)}
    assert all(1 <= len(row) <= 40 and row.max() <= 2 for row in rows)


def test_a_series_of_the_sample_is_for_networks_that_read_one_and_so_many_steps(tmp_path: Path) -> None:
    names = {"name": "forecast-stock"}
    one = sample.sample(bundle(tmp_path, Inputs(kind="features", features=1), Steps(largest=60), **names), 4)
    assert {row.shape for row in one} == {(60, 1)}
    two = sample.sample(bundle(tmp_path, Inputs(kind="features", features=2), Steps(largest=60), **names), 4)
    assert {row.shape[1] for row in two} == {2}
    long = Steps(smallest=700, largest=700)
    assert len(sample.sample(bundle(tmp_path, Inputs(kind="features", features=1), long, **names), 1)[0]) == 700


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    entries = [{"text": "one\u2028two\u0085three"}, {"text": "four"}]
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    assert sample.read(tmp_path / "rows.jsonl") == entries


def test_answers_per_step_of_rows_that_share_no_batch_can_be_studied(
    tagging: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(tagging.folder), "--rows", "9"]
    saturation.main(arguments)
    assert capsys.readouterr().out.count("| int8") == 3
    half_simulation.main(arguments)
    assert "every value of the recurrent layers in float16" in capsys.readouterr().out


@pytest.mark.parametrize("study", [saturation.main, half_simulation.main])
def test_what_is_no_bundle_ends_in_one_sentence(study: Callable[[list[str]], None], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: .*none/1/manifest\.json: there is no such file; name the folder"):
        study([str(tmp_path / "none" / "1")])


def test_a_variant_that_onnx_runtime_does_not_run_ends_in_one_sentence(
    tagging: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = saturation._outputs

    def run(bundle: Bundle, model: bytes, exact_sums: bool, rows: Rows) -> np.ndarray:
        if exact_sums:
            raise REFUSALS[0]("no such kernel")
        return outputs(bundle, model, exact_sums, rows)

    monkeypatch.setattr(saturation, "_outputs", run)
    with pytest.raises(SystemExit, match=r"cannot run 'int8, exact sums' \(no such kernel\)"):
        saturation.main([str(tagging.folder), "--rows", "2"])


def test_a_layer_that_cudnn_does_not_know_has_no_float16(monkeypatch: pytest.MonkeyPatch, tagging: Bundle) -> None:
    monkeypatch.setattr(half_simulation, "why_not_half", lambda _: "cuDNN has no such layer")
    with pytest.raises(SystemExit, match="has no float16 form: cuDNN has no such layer"):
        half_simulation.main([str(tagging.folder)])

"""The page is whole, asks nobody for anything, and no content breaks it."""

import math
import re
from html.parser import HTMLParser

import pytest

from exporter.page.findings import Check, Findings, Invariance, Moves
from exporter.page.metric import metric
from exporter.page.parts import Lines
from exporter.page.plots import series
from exporter.page.render import render
from tests.exporter.page.samples import evaluation, findings, identity, invariance, layer, outputs, speed

VOID = {"meta", "wbr", "br"}
HOSTILE = "</span><script>alert(1)</script>\"'&{{ 7 * 7 }}{% raw %}"


class Structure(HTMLParser):
    """Raises unless every element is closed where it should be; collects names and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(found: Findings) -> tuple[str, Structure]:
    """The page of findings that have been to JSON and back, and what it is made of."""
    page = render(Findings.model_validate_json(found.model_dump_json()))
    structure = Structure()
    structure.feed(page)
    structure.close()
    assert structure.open == []
    return page, structure


def test_every_section_is_there_and_links_reach_them() -> None:
    page, structure = checked(findings())
    targets = {value for tag, name, value in structure.attributes if name == "id"}
    links = {value.removeprefix("#") for tag, name, value in structure.attributes if name == "href"}
    assert links == targets == {"metric", "parity", "invariance", "speed", "examples", "activations", "identity"}
    for shown in ("sentiment", "version 3", "All checks passed", "0.05", "fp32.onnx"):
        assert shown in page


def test_the_page_needs_nothing_but_itself() -> None:
    page, structure = checked(findings())
    assert not [one for one in structure.attributes if one[1] in ("src", "srcset", "data")]
    assert not re.search(r"https?://|@import|url\(|<script|<link|<img", page)
    assert 'charset="utf-8"' in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_it_is_small() -> None:
    assert len(render(findings()).encode()) < 200_000


def test_the_same_findings_make_the_same_page() -> None:
    assert render(findings()) == render(findings())


def test_hostile_texts_are_shown_as_they_are() -> None:
    named = identity().model_copy(update={"title": HOSTILE, "description": HOSTILE, "machine": HOSTILE})
    page, _ = checked(findings(HOSTILE, identity=named))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page


@pytest.mark.parametrize("piece", ["▁很好", "مرحبا", "👍🏽", "<0xE8>", "\u202e", "long" * 5000])
def test_any_writing_is_shown(piece: str) -> None:
    page, _ = checked(findings(piece))
    assert piece.replace("▁", " ").strip().replace("<", "&lt;").replace(">", "&gt;") in page


def test_what_a_token_shows_is_a_space_and_not_the_tokenizers_mark() -> None:
    assert "▁" not in checked(findings("▁word"))[0]


def test_without_anything_optional() -> None:
    bare = findings(parity=None, invariance=(), metric=None, activations=None, examples=None)
    page, structure = checked(bare)
    assert {value for _, name, value in structure.attributes if name == "id"} == {
        "metric",
        "invariance",
        "speed",
        "identity",
    }
    assert page.count("Not run") >= 2


def test_a_precision_that_nothing_could_run() -> None:
    fp16 = speed("fp16", devices=("cuda",), milliseconds={}, chunk_milliseconds={}, sequences_per_second={})
    speeds = findings().speeds
    page, _ = checked(findings(speeds=speeds.model_copy(update={"precisions": (*speeds.precisions, fp16)})))
    assert "it needs CUDA, which the exporting machine lacks" in page


def test_no_precision_was_timed_and_fp32_is_not_there() -> None:
    only = speed("int8-weights", milliseconds={}, chunk_milliseconds={}, sequences_per_second={})
    checked(findings(speeds=findings().speeds.model_copy(update={"precisions": (only,)})))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 0.0, -1e300, 1e-300])
def test_broken_numbers_are_shown_as_such(number: float) -> None:
    broken = layer().hidden.model_copy(update={"minimum": number, "maximum": number})
    layers = (layer().model_copy(update={"hidden": broken, "hidden_bits_lost": number, "inputs": broken}),)
    found = findings()
    parity = found.parity.model_copy(
        update={"differences": tuple(one.model_copy(update={"largest": number}) for one in found.parity.differences)}
    )
    scores = tuple(
        one.model_copy(update={"value": one.value.model_copy(update={"value": number, "low": number})})
        for one in found.metric.scores
    )
    moved = invariance("unpinned int8", 0.1).model_copy(update={"padding": number})
    checked(
        findings(
            activations=found.activations.model_copy(update={"layers": layers}),
            parity=parity,
            metric=found.metric.model_copy(update={"scores": scores}),
            invariance=(moved,),
            speeds=found.speeds.model_copy(update={"precisions": (speed("fp32", milliseconds={1: number}),)}),
        )
    )


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_series_with_holes_are_drawn(number: float) -> None:
    drawn = series(Lines(past=(1.0, number, 3.0, 4.0), came=(number,), reference=(5.0,), compared=(5.1,)), "a", "b")
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_series_of_one_value_or_none() -> None:
    for lines in (Lines(past=()), Lines(past=(2.0,)), Lines(past=(2.0, 2.0, 2.0))):
        assert str(series(lines, "a", "b")).startswith("<svg")


def test_a_metric_without_intervals_and_with_fp32_alone() -> None:
    one = evaluation()
    alone = {"fp32": {"validation": outputs(), "test": outputs()}}
    page, _ = checked(findings(metric=metric({"validation": one, "test": one}, alone)))
    assert "nothing to compare" in page


def test_no_chunks_and_no_padding_are_not_zero() -> None:
    whole = Invariance(
        precision="fp32",
        comparison_only=False,
        batch=0.0,
        batch_scaled=0.0,
        padding=None,
        chunks=None,
        threads=0.0,
        sequences=9,
    )
    page, _ = checked(findings(invariance=(whole,)))
    section = page.partition('id="invariance"')[2].partition("</section>")[0]
    assert section.count(">–<") == 2
    assert section.count(">0<") == 2


def test_the_tile_names_only_what_was_tried() -> None:
    """Samples have no chunks."""
    page, _ = checked(findings())
    assert "nor by order, padding or number of threads" in page
    assert "nor by order, padding, chunk length or number of threads" not in page


def test_what_was_not_run_is_not_green() -> None:
    gate = Check(name="metric gate", state="not run", text="Give --eval, or (--clip) X.")
    page, _ = checked(findings(checks=(*findings().checks, gate)))
    assert 'class="verdict partial"' in page
    assert 'class="verdict good"' in checked(findings())[0]
    assert 'Give <code class="flag">--eval</code>, or (<code class="flag">--clip</code>) X.' in page


def test_a_comparison_shows_its_answers_before_its_states() -> None:
    moves = Moves(batch=0.0076, padding=0.01, chunks=None, threads=0.02)
    plain = invariance("unpinned int8", 0.54).model_copy(update={"outputs": moves})
    page, _ = checked(findings(invariance=(invariance("fp32", 0.0), plain)))
    section = page.partition('id="invariance"')[2].partition("</section>")[0]
    assert 'failed">0.0076<' in section
    assert 'failed">0.54<' not in section
    assert section.index("0.0076") < section.index("0.54")


def test_a_title_that_begins_the_description_is_said_once() -> None:
    named = identity().model_copy(update={"title": "Price", "description": "Price, as it was found."})
    page, _ = checked(findings(identity=named))
    assert '<p class="lead">Price, as it was found.</p>' in page


def test_a_title_that_is_the_name_is_not_repeated_and_backticks_are_code() -> None:
    named = identity().model_copy(update={"title": "sentiment", "description": "`a.b:<c>` and `a.b:C`, as found."})
    page, _ = checked(findings(identity=named))
    assert '<p class="lead"><code>a.b:&lt;c&gt;</code> and <code>a.b:C</code>, as found.</p>' in page


def test_an_interval_of_no_width_is_told_in_words() -> None:
    one = evaluation()
    both = {name: {"validation": outputs(), "test": outputs()} for name in ("fp32", "int8")}
    page, _ = checked(findings(metric=metric({"validation": one, "test": one}, both)))
    assert "no row&#39;s score changed" in page
    assert "An interval from 0 to 0 means" in page
    assert "Wilson" in page


def test_rows_far_outside_are_told_of() -> None:
    parity = findings().parity.model_copy(update={"far_rows": 16})
    assert "on 16 rows far outside" in checked(findings(parity=parity))[0]
    assert "far outside" not in checked(findings())[0]

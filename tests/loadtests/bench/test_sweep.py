from loadtests.bench.page import document
from loadtests.bench.sweep import FEW, GRID, Point, Setting, draw, text
from server.settings import Settings


def points() -> list[Point]:
    return [Point(each, 1000.0 + each.slots, 1.0, 2.0, 4.0 * each.slots, 300.0, 0) for each in GRID]


def test_the_default_setting_is_the_servers_own():
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    mine = Setting()
    assert (mine.slots, mine.chunk_ms) == (defaults["slots"], defaults["chunk_ms"])
    assert mine in GRID
    assert mine in FEW


def test_every_setting_differs_from_the_others_and_is_understood_by_the_server():
    assert len(set(GRID)) == len(GRID)
    for each in GRID:
        flags = dict(zip(each.flags()[::2], each.flags()[1::2], strict=True))
        read = Settings(**{name.lstrip("-").replace("-", "_"): value for name, value in flags.items()})
        assert Setting(read.slots, read.chunk_ms) == each


def test_the_table_and_the_picture_have_every_setting():
    assert len(text(points()).splitlines()) == 2 + len(GRID)
    page = document("Sweep", [("Curve.", lambda axes: draw(axes, points()))], text(points()))
    assert page.count("<svg") == 1
    assert "chunks of 2 ms" in page

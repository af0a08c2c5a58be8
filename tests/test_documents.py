"""The documents say what is true: their examples are run, their links lead somewhere, their settings exist."""

import ast
import contextlib
import importlib
import io
import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from server.settings import Settings
from tests.processes import ROOT, ServerProcess, serving

README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
OPERATIONS, OWN_MODEL = ROOT / "docs" / "operations.md", ROOT / "docs" / "own-model.md"
DOCUMENTS = [
    README,
    CHINESE,
    ROOT / "loadtests" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "models").glob("*/*/card.md")),
]


def blocks(document: Path, *languages: str) -> list[str]:
    """The insides of its fenced blocks in these languages."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def examples(*documents: Path) -> list[tuple[str, str]]:
    """(command, the answer that the document shows) of every console example."""
    found = [block for document in documents for block in blocks(document, "console")]
    return [
        tuple(example.split("\n", 1)) for block in found for example in re.split(r"^\$ ", block, flags=re.M) if example
    ]


def ask(command: str, url: str) -> object:
    assert command.startswith("curl -s localhost:8000/")
    command = command.replace("localhost:8000", url)
    return json.loads(subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(("command", "shown"), examples(README, OPERATIONS), ids=lambda text: text[-60:])
def test_the_examples_of_the_documents_give_the_answers_that_they_show(server, command, shown):
    same(ask(command, server.url), json.loads(shown))


def test_the_chinese_readme_has_the_commands_the_answers_and_the_figures_of_the_english_one():
    def said(document: Path) -> list[str]:
        return [re.sub(r" +# .*", "", block) for block in blocks(document, "sh", "console", "python")]

    def figures(document: Path) -> list[list[str]]:
        rows = re.findall(r"^\|.*\d.*\|$", document.read_text().split("## Licences")[0], re.M)
        return [re.findall(r"\d[\d,.]*|`[a-z]+/`", row) for row in rows]

    assert said(CHINESE) == said(README)
    assert figures(CHINESE) == figures(README)


SERVE_OWN = "make serve MODELS=my-models"


class OwnModel(NamedTuple):
    """What docs/own-model.md says, done."""

    printed: str
    """By the export."""
    server: ServerProcess
    """With the bundle."""


@pytest.fixture(scope="module")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnModel]:
    """In this process, since PyTorch takes seconds to import; without precise times, and without the comparison with
    plain int8, whose graph costs as much as the others."""
    from exporter import __main__ as command
    from exporter import measure
    from exporter.foreign import trial
    from tests.exporter import once

    folder = tmp_path_factory.mktemp("own")
    (folder / "trend").mkdir()
    for name, content in zip(("network.py", "train.py"), blocks(OWN_MODEL, "python"), strict=True):
        (folder / "trend" / name).write_text(content)
    train, export, serve, *_ = blocks(OWN_MODEL, "sh")
    assert (train.split(), serve) == (["(cd", "trend", "&&", "../.venv/bin/python", "train.py)"], SERVE_OWN + "\n")
    program, *arguments = shlex.split(export.split("-m exporter ")[1].replace("\\\n", ""))
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(measure, "SECONDS", 0.02)
        patch.setattr(trial, "_problem_in_onnx", lambda *_: None)  # it is looked for again on the way
        once.operators_once(patch)
        patch.setattr(importlib.import_module("exporter.page.collect"), "unpinned", lambda *_: None)
        patch.syspath_prepend(folder / "trend")
        patch.chdir(folder / "trend")
        runpy.run_path("train.py")
        patch.chdir(folder)
        command.main([program, *arguments])
    with serving("--models", str(folder / "my-models")) as server:
        yield OwnModel(printed.getvalue(), server)


@pytest.mark.parametrize(("command", "shown"), examples(OWN_MODEL), ids=lambda text: text[-60:])
def test_a_model_of_ones_own_gives_the_answers_that_are_shown(own_model, command, shown):
    same(ask(command, own_model.server.url), json.loads(shown))


def test_the_export_of_ones_own_model_prints_what_is_shown(own_model):
    def words(text: str) -> str:
        return re.sub(r"\d[\d,.]*(e-\d+)?", "0", text)

    shown = blocks(OWN_MODEL, "text")[0]
    assert words(own_model.printed) == words(shown)
    assert sizes(own_model.printed) == pytest.approx(sizes(shown), rel=0.005)


def sizes(text: str) -> list[int]:
    """In bytes, of each precision."""
    return [int(found.replace(",", "")) for found in re.findall(r"([\d,]+) bytes", text)]


def test_make_serves_a_folder_of_ones_own():
    command = ["make", "-n", *SERVE_OWN.split()[1:]]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert '-m server --models "my-models"' in planned


def test_every_flag_and_task_of_the_exporter_is_explained(capsys):
    from exporter import __main__ as command

    with pytest.raises(SystemExit):
        command.main(["export", "--help"])
    told, text = capsys.readouterr().out, OWN_MODEL.read_text()
    assert set(re.findall(r"^\| `(--[a-z-]+)`", text, re.M)) == set(re.findall(r"--[a-z-]+", told)) - {"--help"}
    tasks = re.search(r"--task \{(.*?)\}", re.sub(r"\s+", " ", told))[1].replace(" ", "").split(",")
    rows = text.split("## Tasks")[1].split("## ")[0]
    assert set(re.findall(r"`([a-z][a-z-]+)`", " ".join(re.findall(r"^\|(.*?)\|", rows, re.M)))) == set(tasks)


def sentences() -> list[str]:
    """Every text in the programs that a person may get to see, with … for what is filled in."""
    files = [file for folder in ("exporter", "models", "server") for file in (ROOT / folder).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    whole = ["".join(_part(part) for part in node.values) for node in nodes if isinstance(node, ast.JoinedStr)]
    return whole + [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _part(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "…"


def test_the_refusals_that_are_explained_are_those_of_the_exporter():
    there = "\n".join(sentences())
    shown = re.findall(r"^\| `(.*?)` \|", OWN_MODEL.read_text().split("## When it is refused")[1], re.M)
    assert len(shown) > 10
    for refusal in shown:
        assert refusal in there, refusal


def same(answered: object, shown: object) -> None:
    """Equal, but for the last digits that another kind of processor may give."""
    assert type(answered) is type(shown)
    if isinstance(answered, dict):
        assert list(answered) == list(shown)
        for key in answered:
            same(answered[key], shown[key])
    elif isinstance(answered, list):
        assert len(answered) == len(shown)
        for one, other in zip(answered, shown, strict=True):
            same(one, other)
    else:
        assert answered == (pytest.approx(shown, rel=1e-3, abs=1e-3) if isinstance(shown, float) else shown)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(document: Path):
    text = document.read_text()
    for target, place in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text):
        if not target.startswith("http"):
            found = document.parent / target if target else document
            assert found.exists(), target
            headings = re.findall(r"^#+ (.*)", found.read_text(), re.M) if place else []
            assert not place or place in [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]


def test_curl_examples_of_the_cards_work(server):
    for card in (ROOT / "models").glob("*/*/card.md"):
        for command in re.findall(r"```\w*\n(curl .*?)```", card.read_text(), re.DOTALL):
            command = command.replace("http://127.0.0.1:8000", server.url).replace("localhost:8000", server.url)
            answered = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout
            assert "outputs" in json.loads(answered), (card, command, answered)


def test_every_setting_and_metric_that_operations_names_exists(client):
    text = OPERATIONS.read_text()
    table = text.split("## Health")[0]
    for name in re.findall(r"^\| `([a-z_`, ]+)` \|", table, re.M):
        for part in re.split(r"`, `", name):
            assert part in Settings.model_fields, part
    client.post("/predict", json={"inputs": "good"})
    scraped = client.get("/metrics").text
    for metric in set(re.findall(r"`(lstm_[a-z_]+)", text)):
        assert metric in scraped, metric


def test_the_map_of_the_readme_lists_the_folders_that_exist():
    text = README.read_text().split("## Map")[1].split("##")[0]
    listed = set(re.findall(r"^\| `([a-z]+)/` \|", text, re.M))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = {line.split("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")}
    assert listed == there


def test_the_figures_of_the_readme_are_those_of_the_shipped_bundles():
    printed = subprocess.run([sys.executable, "-m", "models"], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [line for line in printed.stdout.splitlines() if line.startswith("| ")]
    shown = [line for line in README.read_text().splitlines() if re.match(r"\| [a-z-]+/\d+ \|", line)]
    assert len(shown) > 5
    assert set(shown) <= set(rows)

    def ahead(name: str) -> str:
        """How often the network is the better one, which is in bold."""
        better = [row.split(" | ")[2].startswith("**") for row in rows if row.startswith(f"| {name}/")]
        return f"{sum(better)} of {len(better)}"

    told = (
        f"ahead in both languages, on {ahead('forecast-hourly')} hourly series and on {ahead('forecast-stock')} tickers"
    )
    assert told in " ".join(README.read_text().split())
    assert ahead("sentiment") == "3 of 3"

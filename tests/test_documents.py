"""The documents say what is true: their examples are run, their links lead somewhere, their settings exist."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.settings import Settings
from tests.processes import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "models").glob("*/*/card.md"))]


def examples() -> list[tuple[str, str]]:
    """(command, the answer that the document shows) of every console example."""
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "operations.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [
        tuple(example.split("\n", 1)) for block in blocks for example in re.split(r"^\$ ", block, flags=re.M) if example
    ]


@pytest.mark.parametrize(("command", "shown"), examples(), ids=lambda text: text[-60:])
def test_the_examples_of_the_documents_give_the_answers_that_they_show(server, command, shown):
    assert command.startswith("curl -s localhost:8000/")
    command = command.replace("localhost:8000", server.url)
    answered = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    same(json.loads(answered), json.loads(shown))


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
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_curl_examples_of_the_cards_work(server):
    for card in (ROOT / "models").glob("*/*/card.md"):
        for command in re.findall(r"```\w*\n(curl .*?)```", card.read_text(), re.DOTALL):
            command = command.replace("http://127.0.0.1:8000", server.url).replace("localhost:8000", server.url)
            answered = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout
            assert "outputs" in json.loads(answered), (card, command, answered)


def test_every_setting_and_metric_that_operations_names_exists(client):
    text = (ROOT / "docs" / "operations.md").read_text()
    table = text.split("## Health")[0]
    for name in re.findall(r"^\| `([a-z_`, ]+)` \|", table, re.M):
        for part in re.split(r"`, `", name):
            assert part in Settings.model_fields, part
    client.post("/predict", json={"inputs": "good"})
    scraped = client.get("/metrics").text
    for metric in set(re.findall(r"`(lstm_[a-z_]+)", text)):
        assert metric in scraped, metric


def test_the_map_of_the_readme_lists_the_folders_that_exist():
    text = (ROOT / "README.md").read_text().split("## Map")[1].split("##")[0]
    listed = set(re.findall(r"^\| `([a-z]+)/` \|", text, re.M))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = {line.split("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")}
    assert listed == there


def test_the_figures_of_the_readme_are_those_of_the_shipped_bundles():
    printed = subprocess.run([sys.executable, "-m", "models"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout in (ROOT / "README.md").read_text()

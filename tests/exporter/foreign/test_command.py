"""A module in a package of its own: trained, saved, exported through the command line, and served."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import torch
from torch import nn

from exporter import __main__ as command
from exporter.foreign import command as foreign_command
from models import bundle
from tests.processes import ROOT, serving

PACKAGE = '''
import torch
from torch import nn


class Net(nn.Module):
    """Are most of the tokens large?"""

    def __init__(self, hidden=8):
        super().__init__()
        self.embedding = nn.Embedding(30, 6)
        self.lstm = nn.LSTM(6, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, 1)

    def forward(self, x):
        _, (hn, _) = self.lstm(self.embedding(x))
        return torch.sigmoid(self.fc(hn[-1]))


class Broken(Net):
    def forward(self, x):
        raise RuntimeError("the cable is loose")


class Lacking(Net):
    def forward(self, x):
        import package_of_nobody
'''
HIDDEN = 14
ARGUMENTS = ["--arguments", json.dumps({"hidden": HIDDEN}), "--task", "classification", "--labels", "small,large"]


def rows(count: int, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(0, 30, (count, steps))
    return tokens, (tokens >= 15).float().mean(1).gt(0.5).float()[:, None]


def trained(network: nn.Module) -> nn.Module:
    optimizer = torch.optim.Adam(network.parameters(), 2e-2)
    for _ in range(60):
        tokens, wanted = rows(48, 7)
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy(network(tokens), wanted).backward()
        optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package, trained weights and labelled rows."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "mypackage").mkdir()
    (folder / "mypackage" / "__init__.py").touch()
    (folder / "mypackage" / "mymodule.py").write_text(PACKAGE)
    torch.manual_seed(0)
    torch.save({"epoch": 60, "model_state_dict": trained(network(folder)).state_dict()}, folder / "w.pt")
    with (folder / "rows.jsonl").open("w") as file:
        for steps in torch.randint(2, 12, (60,)).tolist():
            tokens, wanted = rows(1, steps)
            target = "large" if wanted.item() else "small"
            file.write(json.dumps({"inputs": {"tokens": tokens[0].tolist()}, "target": target}) + "\n")
    return with_mistakes(folder)


def with_mistakes(folder: Path) -> Path:
    """Beside them, files that do not fit the module."""
    wide, unknown = {"inputs": {"values": [[1, 2]]}, "target": 0}, {"inputs": {"tokens": [30]}, "target": 0}
    known = {"inputs": {"tokens": [1]}, "target": 0}
    (folder / "wide.jsonl").write_text(f"{json.dumps(wide)}\n" * 4)
    (folder / "unknown.jsonl").write_text("\n".join(map(json.dumps, (known, unknown, known, known))))
    (folder / "scaler.json").write_text('{"kind": "standard", "mean": [1], "scale": [2]}')
    return folder


def network(folder: Path) -> nn.Module:
    space: dict[str, type[nn.Module]] = {}
    exec((folder / "mypackage" / "mymodule.py").read_text(), space)
    return space["Net"](HIDDEN)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m exporter` as a user of the package would run it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "exporter", "export", *arguments]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_module_of_ones_own_is_exported_and_served(workplace: Path) -> None:
    done = run(
        workplace, "mypackage.mymodule:Net", "--checkpoint", "w.pt", *ARGUMENTS, "--eval", "rows.jsonl", "--out",
        "models/most/1", "--licence", "MIT",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # no progress bars where there is no terminal
    manifest = bundle.read(workplace / "models" / "most" / "1").manifest
    assert manifest.chunkable
    assert {"fp32", "int8", "int8-weights"} <= manifest.precisions.keys()
    assert manifest.gate.metric == "accuracy"
    assert (manifest.title, manifest.licence) == ("most", "MIT")
    assert manifest.description.startswith("`mypackage.mymodule:Net`, exported as it was found.")
    eager = network(workplace)
    eager.load_state_dict(torch.load(workplace / "w.pt", weights_only=True)["model_state_dict"])
    items = [rows(1, steps)[0][0].tolist() for steps in (1, 3, 12, 40)]
    with serving("--models", str(workplace / "models"), "--device", "cpu", "--precision", "fp32") as server:
        body = {"model": "most", "inputs": [{"tokens": item} for item in items]}
        answer = httpx.post(f"{server.url}/predict", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    for found, item in zip(answer.json()["outputs"], items, strict=True):
        with torch.no_grad():
            wanted = eager.eval()(torch.tensor([item])).item()
        assert found["probabilities"]["large"] == pytest.approx(wanted, abs=1e-4)


def failing(workplace: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]) -> str:
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(str(workplace))
    with pytest.raises(SystemExit) as stopped:
        command.main(["export", *arguments, "--out", "models/failed/1"])
    assert not (workplace / "models" / "failed").exists()
    return str(stopped.value)


MODULE = ["mypackage.mymodule:Net", "--checkpoint", "w.pt", *ARGUMENTS]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            [*MODULE, "--checkpoint", "none.pt"],
            r"error: --checkpoint none\.pt: no such file; save one with torch\.save",
        ),
        ([MODULE[0], "--task", "classification"], "error: --checkpoint: no weights were given"),
        (
            [*MODULE, "--arguments", '{"hidden": 5}'],
            r"error: --checkpoint w\.pt: it does not fit: fc\.weight is \(1, 14\)",
        ),
        ([*MODULE, "--eval", "none.jsonl"], r"error: --eval none\.jsonl: cannot be read"),
        ([*MODULE, "--eval", "w.pt"], r"error: --eval w\.pt: cannot be read"),
        ([*MODULE, "--labels", "a,b,c"], "error: --labels: 3 names for 2 classes; give 2 of them"),
        ([*MODULE, "--scaler", "none.json"], r"error: --scaler none\.json: cannot be read"),
        ([*MODULE[:3], *ARGUMENTS[:2]], "error: --task: what the answers are must be said; one of classification"),
        (
            [*MODULE, "--eval", "wide.jsonl"],
            r"error: the module answered no input that was tried \(2 features a step\); the first failure was",
        ),
        (
            [*MODULE, "--eval", "unknown.jsonl"],
            r"error: --eval unknown\.jsonl: line 2: inputs: token id 30; ids from 0",
        ),
        ([*MODULE, "--scaler", "scaler.json"], "error: --scaler: the module reads token ids, which are not scaled"),
        (["mypackage.mymodule:Broken", *MODULE[1:]], "error: the module answered no input .* the cable is loose"),
        (["mypackage.mymodule:Lacking", *MODULE[1:]], "error: the module answered .* named 'package_of_nobody'"),
        (["mypackage.nothing:Net", *MODULE[1:]], r"error: .* No module named 'mypackage.nothing'\); run the"),
        (["mypackage.mymodule", *MODULE[1:]], "error: mypackage.mymodule: .* builds it: mypackage.mymodule:build$"),
        (["mypackage/mymodule.py", *MODULE[1:]], "error: mypackage/mymodule.py: .* it: mypackage/mymodule.py:build$"),
        (["mypackage/mymodule.py:Nothing", *MODULE[1:]], "error: .* has no 'Nothing'; name a class or a function"),
        (
            ["w.pt", *MODULE[1:]],
            "error: w.pt: is a file; name what builds the network, .*, and its weights as --checkpoint",
        ),
        (
            ["../k.h5", *MODULE[1:]],
            r'error: ../k.h5: no .h5 is read; open it with Keras 3, .* model.save\("model.keras"\)$',
        ),
        (["nothing.py:Net", *MODULE[1:]], "error: nothing.py:Net: no such file$"),
    ],
)
def test_every_mistake_is_one_sentence_and_publishes_nothing(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    message = failing(workplace, monkeypatch, [*arguments, "--without-evaluation"])
    assert re.match(problem, message), message
    assert "\n" not in message


def test_a_checkpoint_of_ours_is_published_with_its_rows_only(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.checkpoint.load", lambda folder: folder)
    (workplace / "run").mkdir()
    message = failing(workplace, monkeypatch, ["run", "--without-evaluation"])
    assert message.startswith("error: --without-evaluation: leave it out")


def test_labelled_rows_or_a_word_that_there_are_none(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = failing(workplace, monkeypatch, MODULE)
    assert message.startswith("error: --eval: no labelled rows were given")
    assert message.endswith("or publish with --without-evaluation")


def test_words_that_no_text_becomes_are_told_of_and_stand_in_the_report(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "words.json").write_text('["<unk>", "good", "great!"]')
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(str(workplace))
    line = ["export", *MODULE, "--tokenizer", "words.json", "--without-evaluation", "--out", "models/told/1"]
    options = command.parser("export").parse_args(line)
    given, _ = foreign_command._foreign(options, command._strictness(options))
    told = "The tokenizer never produces 1 of the 2 words of its vocabulary, since it splits texts in its own way"
    assert capsys.readouterr().out == f"warning: {told}: 'great!'.\n"
    assert given.provenance.endswith(f" {told}: 'great!'.")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["mypackage.mymodule:Nothing", *MODULE[1:]], "error: mypackage.mymodule:Nothing: mypackage.mymodule has no"),
        (MODULE[:5], "error: --task: what the answers are must be said"),
        ([*MODULE, "--tokenizer", "none.json"], "error: none.json: "),
        ([*MODULE, "--scaler", "none.json"], "error: --scaler none.json: cannot be read"),
    ],
)
def test_missing_rows_hide_no_other_mistake(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    assert failing(workplace, monkeypatch, arguments).startswith(problem)


def test_a_mistake_ends_the_program_with_1(workplace: Path) -> None:
    done = run(workplace, "mypackage.mymodule:Net", "--checkpoint", "none.pt", *ARGUMENTS, "--out", "models/failed/1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --checkpoint none.pt:")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--task", "poetry"], "invalid choice: 'poetry' (choose from"),
        (["--clip", "-1"], "'-1': a number above 0 is expected"),
        (["--clip", "inf"], "'inf': a number above 0 is expected"),
        (["--clip", "nan"], "'nan': a number above 0 is expected"),
        (["--parity", "nan"], "'nan': a number above 0 is expected"),
        (["--parity", "0"], "'0': a number above 0 is expected"),
        (["--parity", "little"], "'little': a number above 0 is expected"),
        (["--allowed-loss=-1"], "'-1': a number, or one with %, is expected, from 0 on"),
        (["--allowed-loss", "nan%"], "'nan%': a number, or one with %, is expected, from 0 on"),
        (["--allowed-loss", "inf"], "'inf': a number, or one with %, is expected, from 0 on"),
        (["--quantiles", "a"], "'a': numbers with commas between them are expected"),
        (["--labels", "a,a"], "'a,a': different names"),
        (["--allowed-loss", "much"], "'much': a number, or one with %, is expected"),
    ],
)
def test_a_wrong_option_names_what_is_accepted(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(["a.b:c", "--out", "models/x/1", *arguments])
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(("given", "loss"), [("0.02", (0.02, False)), ("3%", (0.03, True))])
def test_the_allowed_loss_is_a_number_or_a_share(given: str, loss: tuple[float, bool]) -> None:
    options = command.parser("export").parse_args(["export", "x", "--out", "models/x/1", "--allowed-loss", given])
    strictness = command._strictness(options)
    assert (strictness.allowed_loss, strictness.relative) == loss


@pytest.mark.parametrize(("verb", "lacking"), [("export", "torch"), ("export", "h5py"), ("verify", "onnx")])
def test_a_package_that_the_serving_environment_lacks_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, verb: str, lacking: str
) -> None:
    for name in [name for name in sys.modules if name == "exporter" or name.startswith("exporter.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(SystemExit, match=f"^error: {verb} needs the package {lacking}, .* `make dev`, and use .venv"):
        command.main([verb, "models/x/1"])


def test_a_package_that_somebody_elses_code_lacks_is_not_blamed_on_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lacking(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'package_of_nobody'", name="package_of_nobody")

    monkeypatch.setattr("exporter.foreign.command.run", lacking)
    with pytest.raises(ModuleNotFoundError, match="package_of_nobody"):
        command.main(["mypackage:Net", "--out", "models/failed/1"])


def test_a_verb_imports_what_it_needs_only() -> None:
    code = "import sys; from exporter import __main__ as m; m.parser('verify'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_keras_file_is_compared_with_what_was_read_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = SimpleNamespace(network=nn.Identity(), notes=("masking is done by length",), steps=None, padding_id=None)
    monkeypatch.setattr(foreign_command.keras, "load", lambda _: read)
    told = foreign_command._module(SimpleNamespace(source="my.keras")).provenance
    assert told == "Imported from the Keras file `my.keras`. Masking is done by length."
    notes = capsys.readouterr().out.splitlines()
    assert notes[0] == "note: masking is done by length"
    assert notes[1].startswith("note: PyTorch, in what follows, stands for this program's reading of the file")


def test_a_forecast_has_two_names(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for task in ("forecast", "quantile"):
        arguments = [*MODULE[:3], *ARGUMENTS[:2], "--task", task, "--without-evaluation"]
        assert failing(workplace, monkeypatch, arguments).startswith("error: --quantiles: nothing was given")

"""Without a GPU the check runs on the CPU, where nothing may move, and refuses CUDA in one sentence."""

import json

import numpy as np
import onnx
import pytest

from loadtests.gpu import __main__ as command
from loadtests.gpu import graphs, speed
from loadtests.gpu.exactness import Network, movements
from loadtests.workload import newest
from models import bundle
from server import backend


def test_on_the_cpu_nothing_moves_and_all_sections_are_there(tmp_path, capsys):
    assert command.main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "gpu.json").read_text())
    moved = [found["movements"] for each in result["exactness"].values() for found in each.values()]
    assert moved
    assert all(value == 0 for found in moved for value in found.values())
    assert result["strictness"]["answer"]["outputs"]["label"]
    assert result["strictness"]["without_gpu"]["exit_status"] != 0
    assert "cuda" in result["strictness"]["without_gpu"]["said"]
    assert {cell["batch"] for cell in result["speed"]} == set(command.BATCHES[: command.FEW])
    assert "hidden size" in capsys.readouterr().out


@pytest.mark.skipif(backend.cuda_problem() is None, reason="there is a GPU")
def test_cuda_is_refused_where_there_is_none(tmp_path, capsys):
    assert command.main(["--out", str(tmp_path)]) == 1
    assert "device is 'cuda', but" in capsys.readouterr().err
    assert not (tmp_path / "gpu.json").exists()


def test_a_network_that_depends_on_its_company_is_found():
    class Leaky:
        """Adds the batch's mean to every row."""

        def run(self, inputs, lengths, state):
            return state + inputs.mean(dtype=np.float32), state

    found = movements(Network(Leaky(), np.zeros(3, np.float32)), command.rows_of(bundle.read(newest("sentiment"))), 1)
    assert found["batch"] > 0
    assert found["padding"] > 0
    assert found["mates of full batches"] > 0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_graph_of_any_size_is_valid(precision):
    model = graphs.lstm(8, precision)
    onnx.checker.check_model(model, full_check=True)
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert weights["W"] == graphs.FLOAT[precision][1]


def test_a_gpu_pays_from_the_first_size_where_it_is_faster():
    cells = [
        {"hidden": hidden, "batch": 8, "device": device, "precision": "fp32", "milliseconds": time}
        for hidden, times in {128: (1, 3), 256: (4, 3), 512: (9, 4)}.items()
        for device, time in zip(("cpu", "cuda"), times, strict=True)
    ]
    assert speed.crossover(cells, [8]) == {8: 256}
    assert speed.crossover(cells[:2], [8]) == {8: None}

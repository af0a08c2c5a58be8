"""`python -m loadtests.gpu`: what the shipped networks do on an NVIDIA GPU, unattended and without internet.

Which nodes run there; that `--device cuda` is strict; how far answers move against the CPU, and with batch-mates,
padding and chunks; speed against the CPU, and from which size of a network on a GPU pays.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from loadtests import machine
from loadtests.bench.__main__ import RESULTS
from loadtests.bench.servers import ROOT, ServerFailed, ours, running
from loadtests.gpu import report, speed
from loadtests.gpu.exactness import ROWS, Network, differences, movements
from loadtests.gpu.speed import Place
from loadtests.workload import newest
from models import bundle
from models.bundle import Bundle
from models.files import write_whole
from models.manifest import Device
from server.backend import DeviceUnavailable, choose_device

MODELS = ("sentiment", "forecast-hourly", "forecast-stock")
BATCHES, CHUNKS = (1, 8, 32, 128, 512), (16, 64, 256)
HIDDEN_SIZES = (128, 256, 512, 1024, 2048)
FEW = 2


def rows_of(found: Bundle, count: int = ROWS) -> list[np.ndarray]:
    """Random tokens, or random walks, of mixed lengths that the network takes."""
    random, manifest = np.random.default_rng(0), found.manifest
    shortest = manifest.steps.smallest
    lengths = random.integers(shortest, min(shortest + 100, manifest.steps.largest) + 1, count)
    if manifest.inputs.vocabulary is not None:
        return [random.integers(0, manifest.inputs.vocabulary, length) for length in lengths]
    walks = (100 + random.normal(size=(length, manifest.inputs.features or 1)).cumsum(0) for length in lengths)
    return [walk.astype(np.float32) for walk in walks]


def exactness(found: Bundle, device: Device) -> dict[str, dict]:
    """By precision that the device runs: nodes by provider, differences to fp32 on the CPU, movements."""
    rows, reference = rows_of(found), Network.load(found, "fp32", "cpu")
    result: dict[str, dict] = {}
    for precision, file in found.manifest.precisions.items():
        if device in file.devices:
            network = Network.load(found, precision, device)
            result[precision] = {
                "nodes": network.backend.nodes_by_provider(),
                "against_cpu": differences(network, reference, rows),
                "movements": movements(network, rows, found.manifest.steps.first_chunk),
            }
    return result


def strictness(device: Device, folder: Path) -> dict:
    """What a real server says with the device, and with `--device cuda` where no GPU can be seen."""
    try:
        with running(ours(1, "--device", device), folder) as server:
            answer = server.ask(server.server.body("What a lovely day."))
    except ServerFailed as problem:
        answer = {"failed": str(problem)}
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "server", "--port", "0", "--device", "cuda"]
    hidden = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    said = [line for line in hidden.stderr.splitlines() + hidden.stdout.splitlines() if line.startswith("{")]
    refusal = next((found for line in said if "cuda" in (found := json.loads(line)["message"])), "nothing about it")
    return {"answer": answer, "without_gpu": {"exit_status": hidden.returncode, "said": refusal}}


def run(device: Device, quick: bool, folder: Path) -> dict:
    found = {name: bundle.read(newest(name)) for name in MODELS}
    few = FEW if quick else None
    places: list[Place] = [("fp32", "cpu")]
    if device == "cuda":
        places += [("fp32", "cuda"), ("fp16", "cuda")]
    sentiment = found["sentiment"].manifest.precisions
    shipped: list[Place] = [("int8", "cpu"), *(place for place in places if place[0] in sentiment)]
    seconds = 0.01 if quick else speed.SECONDS
    plain = speed.by_hidden_size(places, HIDDEN_SIZES[:few], BATCHES[:few], seconds)
    return {
        "machine": machine.describe() | {"gpu": _gpu()},
        "device": device,
        "exactness": {name: exactness(each, device) for name, each in found.items()},
        "strictness": strictness(device, folder),
        "speed": speed.by_batch(found["sentiment"], shipped, BATCHES[:few], CHUNKS[:few], seconds),
        "sizes": plain,
        "crossover": speed.crossover(plain, BATCHES[:few]),
    }


def _gpu() -> str | None:
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m loadtests.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu only shows that all of it runs")
    parser.add_argument("--quick", action="store_true", help="few sizes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for gpu.json")
    options = parser.parse_args(given)
    try:
        device = choose_device(options.device)
    except DeviceUnavailable as problem:
        print(problem, file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    result = run(device, options.quick, options.out)
    write_whole(options.out / "gpu.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(report.text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

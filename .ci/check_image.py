"""What the built image promises, checked on running containers: `check_image.py TAG`. The last line counts."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from container import MEMORY, Container, podman, running

ROOT = Path(__file__).parent.parent
BASE = "docker.io/library/python:3.11-slim-bookworm"
MODELS = ["forecast-hourly", "forecast-stock", "sentiment"]
STOP_SECONDS = 10
OURS_MEGABYTES = 250
LOAD_SECONDS = 10
HOURS = [100 + 20 * ((hour % 24) / 24) for hour in range(200)]
DAYS = [50 + day / 10 for day in range(80)]


def is_small(image: str) -> str:
    """Our layers are those that the base image does not have."""
    whole, below = (int(podman("image", "inspect", "--format", "{{.Size}}", name)) for name in (image, BASE))
    ours = (whole - below) / 1e6
    assert ours < OURS_MEGABYTES, f"{ours:.0f} MB"
    return f"{ours:.0f} MB above the base of {below / 1e6:.0f} MB"


def becomes_healthy(container: Container) -> str:
    return f"after {container.wait_until_healthy():.1f} s, with {MEMORY} of memory"


def has_no_privileges(container: Container) -> str:
    status = container.python("print(open('/proc/1/status').read())")
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    users, capabilities = set(fields["Uid"].split()), fields["CapEff"].strip()
    assert users == {"10001"}, f"runs as {users}"
    assert int(capabilities, 16) == 0, f"capabilities {capabilities}"
    return "user 10001, no capabilities"


def writes_nowhere_but_tmp(container: Container) -> str:
    code = (
        "import os; places = ['/', '/app', '/app/models', '/opt/venv', '/tmp', '/etc', '/var/tmp']\n"
        "print(*[place for place in places if os.access(place, os.W_OK)])"
    )
    places = container.python(code).split()
    assert places == ["/tmp"], f"can write to {places}"
    return "only there"


def carries_no_ballast(container: Container) -> str:
    names = ["torch", "onnx", "locust", "pip", "pandas"]
    code = f"import importlib.util as u; print(*[n for n in {names} if u.find_spec(n)])"
    found = container.python(code)
    assert not found, f"has {found}"
    return "no " + ", no ".join(names)


def lists_its_models(container: Container) -> str:
    status, answer = container.call("/models")
    names = sorted(model["name"] for model in answer["models"])
    assert (status, names) == (200, MODELS), f"status {status}: {names}"
    return ", ".join(f"{model['name']} {model['precision']}" for model in answer["models"])


def reads_english(container: Container) -> str:
    bad, good = container.predict(["What a waste of time and money.", "I loved every minute of it."], "sentiment")
    assert (bad["label"], good["label"]) == ("negative", "positive"), f"{bad}, {good}"
    return f"positive: {bad['probabilities']['positive']:.3f}, {good['probabilities']['positive']:.3f}"


def reads_chinese(container: Container) -> str:
    good = container.predict("房间很干净，服务也很好，下次还会来。", "sentiment")
    bad = container.predict("房间又脏又小，服务态度很差，非常失望。", "sentiment")
    assert (bad["label"], good["label"]) == ("negative", "positive"), f"{bad}, {good}"
    return f"positive: {bad['probabilities']['positive']:.3f}, {good['probabilities']['positive']:.3f}"


def forecasts_hours(container: Container) -> str:
    return forecast(container, "forecast-hourly", HOURS, 24)


def forecasts_days(container: Container) -> str:
    return forecast(container, "forecast-stock", DAYS, 5)


def forecast(container: Container, model: str, values: list[float], steps: int) -> str:
    output = container.predict({"values": values}, model)
    median, low, high = output["median"], output["quantiles"]["0.1"], output["quantiles"]["0.9"]
    assert len(median) == len(low) == len(high) == steps, f"{len(median)} steps"
    # Nothing far from what these series have shown, in either direction.
    assert all(0.5 * min(values) < value < 2 * max(values) for value in median), f"{median}"
    return f"{len(median)} steps, the first {low[0]:.1f} to {high[0]:.1f}"


def refuses_nonsense(container: Container) -> str:
    status, answer = container.call("/predict", {"model": "sentiment", "inputs": 7})
    assert status == 422, f"status {status}"
    assert answer["error"]["field"] == "inputs", f"{answer}"
    return answer["error"]["message"]


def carries_load(container: Container) -> str:
    """A short Locust run: every answer is compared, bit for bit, with the answer alone."""
    command = [sys.executable, "-m", "loadtests", "--host", f"http://127.0.0.1:{container.port}"]
    done = subprocess.run([*command, "--seconds", str(LOAD_SECONDS), "--shape", "step"], cwd=ROOT, check=False)
    assert done.returncode == 0, f"it ended with {done.returncode}"
    memory = container.python("print([line for line in open('/proc/1/status') if 'VmHWM' in line][0].split()[1])")
    return f"no limit violated; at most {int(memory) / 1000:.0f} MB of memory in use"


def finishes_what_it_accepted(container: Container) -> str:
    """Half of a request is sent before SIGTERM; its other half once the server no longer is ready."""
    inputs = ["It took a while to finish, and yet it was answered. " * 6] * 64
    body = json.dumps({"model": "sentiment", "inputs": inputs}).encode()
    connection = container.connection()
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:1000])
    status, _ = container.call("/health/ready")
    assert status == 200, f"ready answers {status} before SIGTERM"
    started = time.monotonic()
    container.terminate()
    status, _ = container.call("/health/ready")
    assert status == 503, f"ready answers {status} after SIGTERM"
    time.sleep(1.5)
    connection.send(body[1000:])
    response = connection.getresponse()
    answers = json.loads(response.read())["outputs"]
    assert (response.status, len(answers)) == (200, 64), f"status {response.status}"
    code = container.exit_code(STOP_SECONDS - (time.monotonic() - started))
    assert code == 0, f"exit code {code}: {container.logs()}"
    return f"answered, and ended with 0 after {time.monotonic() - started:.1f} s"


def serves_own_bundles(image: str) -> str:
    """Mounted at /models, with two workers, and stopped."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "models" / "sentiment", Path(folder, "sentiment"))
        Path(folder).chmod(0o755)
        options = ("--volume", f"{folder}:/models:ro", "--env", "LSTM_MODELS=/models")
        with running(image, "--workers", "2", options=options) as container:
            seconds = container.wait_until_healthy()
            _, answer = container.call("/models")
            names = [model["name"] for model in answer["models"]]
            assert names == ["sentiment"], f"{names}"
            container.terminate()
            code = container.exit_code(STOP_SECONDS)
            assert code == 0, f"exit code {code}: {container.logs()}"
    return f"two workers ready after {seconds:.1f} s, ended with 0"


ON_ONE_CONTAINER = [
    becomes_healthy, has_no_privileges, writes_nowhere_but_tmp, carries_no_ballast, lists_its_models, reads_english,
    reads_chinese, forecasts_hours, forecasts_days, refuses_nonsense, carries_load, finishes_what_it_accepted,
]  # fmt: skip


def passes(check: Callable[[Any], str], subject: Any) -> bool:
    started = time.monotonic()
    try:
        told, passed = check(subject), True
    except AssertionError as error:
        told, passed = str(error), False
    except Exception:
        told, passed = traceback.format_exc(), False
    name = check.__name__.replace("_", " ")
    print(f"{'ok' if passed else 'FAILED':6} {time.monotonic() - started:5.1f} s  {name}: {told}", flush=True)
    return passed


def main(tag: str) -> int:
    image = f"localhost/{tag}"
    results = [passes(is_small, image)]
    with running(image) as container:
        results += [passes(check, container) for check in ON_ONE_CONTAINER]
    results.append(passes(serves_own_bundles, image))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

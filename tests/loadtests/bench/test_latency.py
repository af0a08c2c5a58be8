import subprocess
import sys

import pytest

from loadtests.bench import latency
from loadtests.bench.servers import Running, ServerFailed, ceiling, free_port, running


def test_rounds_are_offered_and_pooled(tmp_path):
    server = ceiling(1)
    bodies = server.write_bodies(["good"], tmp_path)
    with running(server, tmp_path) as found:
        rounds = [latency.offer(found, {"text": (600.0, bodies)}, 1, seed) for seed in (0, 1)]
    point = latency._point(0.5, rounds)
    assert point["requests"] == sum(len(each["latencies_ms"]["text"]) for each in rounds)
    assert point["offered"] * 2 == point["requests"]
    assert min(point["p99_rounds_ms"]) <= point["p99_ms"] <= max(point["p99_rounds_ms"])
    assert (point["failed"], point["unanswered"]) == (0, 0)


def test_a_server_that_is_gone_is_said_by_name(tmp_path):
    bodies = ceiling(1).write_bodies(["good"], tmp_path)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        gone = Running(ceiling(1), process, free_port(), 0.0)
        with pytest.raises(ServerFailed, match=r"constant answer, 1 worker: the open-loop client(.|\n)*refused"):
            latency.offer(gone, {"text": (10.0, bodies)}, 1)

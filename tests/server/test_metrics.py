import os
import subprocess
import sys

from tests.processes import ROOT

PROGRAM = """
import random
from server import metrics
rng = random.Random(0)
values = [rng.lognormvariate(-5, 2) for _ in range(1000)] + list(metrics.SECONDS)
single, many = metrics.QUEUE.labels("single"), metrics.QUEUE.labels("many")
for value in values:
    single.observe(value)
for start in range(0, len(values), 7):
    many.observe_all(values[start : start + 7])
lines = [line for line in metrics.scrape().decode().splitlines() if line.startswith("lstm_queue_seconds_")]
names = ("single", "many")
parts = [{line.replace(name, "x") for line in lines if name in line and "_sum" not in line} for name in names]
assert len(parts[0]) > len(metrics.SECONDS), parts
assert parts[0] == parts[1], parts[0] ^ parts[1]
"""


def test_values_observed_together_count_as_they_do_one_by_one(tmp_path):
    variables = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=variables, check=True)

import subprocess
import sys
import time

import pytest

from loadtests import machine


def test_programs_that_are_none_of_ours_are_counted():
    """A child's time counts as ours only once we have waited for it."""
    neighbours = machine.Neighbours()
    busy = "import time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: pass"
    with subprocess.Popen([sys.executable, "-c", busy]) as process:
        time.sleep(1)
        assert neighbours.shares()["neighbours"] > 0.05
        process.wait()


def test_what_the_host_keeps_back_is_told_apart_from_what_programs_use(tmp_path, monkeypatch):
    def write(busy: int, stolen: int) -> None:
        fields = [busy, 0, 0, 900, 0, 0, 0, stolen, 0, 0]
        stat.write_text("cpu  " + " ".join(map(str, fields)) + "\ncpu0 1 2 3\n")

    stat, cores = tmp_path / "stat", 4
    monkeypatch.setattr(machine, "_STAT", stat)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: cores)
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 100)
    monkeypatch.setattr(machine, "_own_seconds", lambda: 1.0)
    times = iter([10.0, 20.0])
    monkeypatch.setattr(machine.time, "monotonic", lambda: next(times))
    write(1000, 50)
    neighbours = machine.Neighbours()
    write(1400, 250)
    shares = neighbours.shares()
    assert shares == pytest.approx({"neighbours": 4 / 40, "stolen": 2 / 40})
    assert machine.used_by_others(shares) == "other programs used 10% of the cores, and the host kept 5% back"

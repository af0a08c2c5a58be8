"""`python -m loadtests`: one Locust run against a server that it starts, or against --host."""

import argparse
import json
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from loadtests import slo
from loadtests.answers import connect
from loadtests.shapes import SHAPES
from loadtests.target import TargetFailed, running_server

FOLDER = Path(__file__).parent
SCENARIOS = {"text": "TextUser", "series": "SeriesUser", "mixed": "MixedUser"}
COLUMNS = ("requests", "failures", "per_second", "p50_ms", "p95_ms", "p99_ms", "max_ms")


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m loadtests", description=__doc__)
    parser.add_argument("--host", help="URL of a running server; without it, one is started and stopped")
    parser.add_argument("--scenario", choices=SCENARIOS, default="mixed", help="what is sent (default: mixed)")
    parser.add_argument("--shape", choices=SHAPES, default="steady", help="how the load changes (default: steady)")
    parser.add_argument("--users", type=int, default=32, help="users at the peak, 10 requests/s each (default: 32)")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the server that is started (default: 1)")
    parser.add_argument("--slo", type=Path, default=slo.DEFAULT, help="limits that decide the exit code")
    parser.add_argument("--out", type=Path, default=FOLDER / "results", help="folder for the report")
    options = parser.parse_args(given)
    for name in ("users", "seconds", "workers"):
        if (value := getattr(options, name)) < 1:
            parser.error(f"--{name}: {value} is too few; give 1 or more")
    try:
        slo.read(options.slo)
        connect(options.host or "http://127.0.0.1", timeout=1)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return options


def main(given: list[str]) -> int:
    options = arguments(given)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with target(options) as host:
            code = run_locust(options, host)
    except TargetFailed as error:
        print(error, file=sys.stderr)
        return 1
    return code


def target(options: argparse.Namespace) -> AbstractContextManager[str]:
    if options.host:
        return nullcontext(options.host)
    return running_server(options.out / "server.log", options.workers)


def run_locust(options: argparse.Namespace, host: str) -> int:
    """Locust in a process of its own, since it patches the standard library for gevent."""
    summary, log = options.out / "summary.json", options.out / "locust.log"
    summary.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "locust", "-f", FOLDER / "locustfile.py", SCENARIOS[options.scenario]),
        *("--headless", "--only-summary", "--stop-timeout", "10", "--host", host, "--shape", options.shape),
        *("--users", str(options.users), "--run-time", f"{options.seconds}s", "--slo", options.slo),
        *("--html", options.out / "report.html", "--csv", options.out / "stats", "--summary", summary),
    ]
    with log.open("wb") as stream:
        process = subprocess.run(command, cwd=FOLDER.parent, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    if not summary.exists():
        print(f"Locust ended with {process.returncode}; its log is {log}:\n{log.read_text()[-3000:]}", file=sys.stderr)
        return process.returncode or 1
    print(table(json.loads(summary.read_text())), f"report: {options.out / 'report.html'}", sep="\n")
    return process.returncode


def table(summary: dict) -> str:
    """The figures by line, the count of compared answers, and every violated limit."""
    rows = [f"{'':8}" + "".join(f"{column:>11}" for column in COLUMNS)]
    for name, figures in sorted(summary["lines"].items()):
        rows.append(f"{name:8}" + "".join(f"{figures[column]:>11.5g}" for column in COLUMNS))
    compared, differing = summary["compared_answers"], summary["differing_answers"]
    rows.append(f"{compared} answers compared with the answer alone, {differing} differ")
    rows += [f"SLO violated: {violation}" for violation in summary["violations"]] or ["every SLO holds"]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Locust users: `locust -f loadtests/locustfile.py TextUser --host http://127.0.0.1:8000 --headless -u 32 -t 60s`.

Before a run every input is sent once, alone; every answer of the run is then compared with that one, bit for bit. The
limits of --slo decide the exit code. See README.md in this folder.
"""

import json
import random
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from locust import FastHttpUser, LoadTestShape, events, stats, task
from locust.env import Environment

from loadtests import sample, slo
from loadtests.answers import JSON_HEADERS, Reference, WrongAnswer
from loadtests.shapes import SHAPES
from models.files import write_whole

MEAN_PAUSE_SECONDS = 0.1
DEFAULT_SECONDS = 60

# Locust rounds to whole milliseconds below 100, too coarse here.
stats.bucket_response_time = lambda response_time: float(f"{response_time:.3g}")

REQUESTS = sample.read()
reference = Reference()


class PredictUser(FastHttpUser):
    """Sends one request after the other, and checks every answer.

    Pauses are exponential, as between independent callers: with equal ones, all users would send at the same moment.
    """

    abstract = True
    lines: ClassVar[tuple[str, ...]]

    def wait_time(self) -> float:
        return random.expovariate(1 / MEAN_PAUSE_SECONDS)

    def predict(self, name: str) -> None:
        request = random.choice(REQUESTS[name])
        with self.client.post(
            "/predict", data=request.body, headers=JSON_HEADERS, name=name, catch_response=True
        ) as response:
            try:
                reference.check(request, response.status_code, response.content or b"")
            except WrongAnswer as error:
                response.failure(error)


class TextUser(PredictUser):
    """Texts in two languages, mostly one by one."""

    lines = ("text", "texts")

    @task(20)
    def text(self) -> None:
        self.predict("text")

    @task(1)
    def texts(self) -> None:
        self.predict("texts")


class SeriesUser(PredictUser):
    """Series to forecast: hourly loads, daily prices."""

    lines = ("hourly", "stock")

    @task(3)
    def hourly(self) -> None:
        self.predict("hourly")

    @task(1)
    def stock(self) -> None:
        self.predict("stock")


class MixedUser(PredictUser):
    """Everything, in the shares of a service that mostly reads texts."""

    lines = ("text", "texts", "hourly", "stock")
    shares = (75, 5, 12, 8)

    @task
    def anything(self) -> None:
        self.predict(random.choices(self.lines, self.shares)[0])


class Shape(LoadTestShape):
    """The shape that --shape names, over the --run-time, up to --users."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        options = self.runner.environment.parsed_options
        if not reference.complete:  # Locust asks for ticks while `ask_alone` still runs
            self.reset_time()
        progress = self.get_run_time() / (options.run_time or DEFAULT_SECONDS)
        if progress >= 1 or reference.problem:
            return None
        return max(1, round(options.num_users * SHAPES[options.shape](progress))), options.num_users


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--shape", choices=SHAPES, default="steady", help="How the number of users changes.")
    parser.add_argument("--slo", default=str(slo.DEFAULT), help="The file of limits that decides the exit code.")
    parser.add_argument("--summary", default="", help="Write the figures and the violated limits to this JSON file.")


@events.test_start.add_listener
def ask_alone(environment: Environment, **_: Any) -> None:
    """Fills the reference before there is any load, and only then starts the clock of the statistics."""
    reference.ask(environment.host, (request for line in _lines(environment) for request in REQUESTS[line]))
    environment.stats.reset_all()


@events.quitting.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """Sets the exit code, says which limits do not hold, and writes the summary."""
    options = environment.parsed_options
    measured = {entry.name: figures_of(entry) for entry in environment.stats.entries.values()}
    violations = slo.evaluate(slo.read(Path(options.slo)), measured, _lines(environment), reference.differing)
    told = [f"not answered alone: {reference.problem}"] if reference.problem else [str(each) for each in violations]
    for line in told:
        print("SLO violated:", line)
    environment.process_exit_code = 1 if told else 0
    if options.summary:
        summary = {
            "lines": {name: asdict(figures) for name, figures in measured.items()},
            "compared_answers": reference.compared,
            "differing_answers": reference.differing,
            "violations": told,
        }
        write_whole(Path(options.summary), json.dumps(summary, indent=2) + "\n")


def figures_of(entry: stats.StatsEntry) -> slo.Figures:
    p50, p95, p99 = (entry.get_response_time_percentile(level) for level in (0.5, 0.95, 0.99))
    return slo.Figures(entry.num_requests, entry.num_failures, entry.total_rps, p50, p95, p99, entry.max_response_time)


def _lines(environment: Environment) -> set[str]:
    return {line for user in environment.user_classes for line in user.lines}

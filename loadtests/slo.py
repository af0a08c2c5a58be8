"""Service-level objectives: limits read from a TOML file, and what was measured held against them."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

DEFAULT = Path(__file__).parent / "slo.toml"


@dataclass(frozen=True)
class Figures:
    """What was measured for one line of the report. Times in milliseconds."""

    requests: int
    failures: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @property
    def failure_rate(self) -> float:
        return self.failures / self.requests if self.requests else 0.0


class Limits(BaseModel):
    """What one line of the report may show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    p50_ms: float = Field(gt=0)
    p99_ms: float = Field(gt=0)
    failure_rate: float = Field(ge=0, le=1)
    min_requests: int = Field(ge=1)


class Objectives(BaseModel):
    """The whole file: one table of limits for each line, and how many answers may differ from the answer alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    differing_answers: int = Field(ge=0)
    lines: dict[str, Limits] = Field(min_length=1)


@dataclass(frozen=True)
class Violation:
    """One limit that does not hold: `text: p99_ms is 812, and has to be at most 500`."""

    line: str
    limit: str
    given: float
    accepted: str

    def __str__(self) -> str:
        return f"{self.line}: {self.limit} is {self.given:g}, and has to be {self.accepted}"


def read(path: Path = DEFAULT) -> Objectives:
    """Raises OSError, tomllib.TOMLDecodeError, or pydantic.ValidationError with the place in the file."""
    return Objectives.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def evaluate(
    objectives: Objectives, measured: Mapping[str, Figures], expected: Iterable[str], differing: int
) -> list[Violation]:
    """Every violated limit of the lines that this run should have.

    A line that was measured but has no limits is an error of the file, so that nothing goes unnoticed: ValueError.
    """
    lines = sorted({*measured, *expected})
    if unknown := [line for line in lines if line not in objectives.lines]:
        raise ValueError(f"no limits for {', '.join(unknown)}; add a table [lines.{unknown[0]}] to the SLO file")
    violations: list[Violation] = []
    for line in lines:
        violations += _violated(line, objectives.lines[line], measured.get(line))
    if differing > objectives.differing_answers:
        accepted = f"at most {objectives.differing_answers}"
        violations.append(Violation("all", "differing_answers", differing, accepted))
    return violations


def _violated(line: str, limits: Limits, figures: Figures | None) -> list[Violation]:
    requests = figures.requests if figures else 0
    violations = []
    if requests < limits.min_requests:
        violations.append(Violation(line, "min_requests", requests, f"at least {limits.min_requests}"))
    for name in ("p50_ms", "p99_ms", "failure_rate") if figures else ():
        if (given := getattr(figures, name)) > (limit := getattr(limits, name)):
            violations.append(Violation(line, name, given, f"at most {limit:g}"))
    return violations

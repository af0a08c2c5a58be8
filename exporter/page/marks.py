"""SVG that stretches: lengths along x are percentages, so a plot fits any column and its text keeps its size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

Number = float | int


@dataclass(frozen=True)
class Scale:
    """Maps values to percentages of a plot's width; what lies outside is drawn at the edge."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        if math.isnan(value):
            return 0.0
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(100 * min(1.0, max(0.0, share)), 2)


def around(values: Sequence[float], margin: float = 0.08) -> Scale:
    """A scale with some air at both ends; values that are not finite are left out."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    air = margin * (high - low) or max(abs(high), 1e-9) * margin
    return Scale(low - air, high + air)


def tag(name: str, content: str = "", **attributes: object) -> Markup:
    """One element; `content` is escaped unless it is markup. `class_` is `class`, and `_` in names stands for `-`."""
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    written = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in given.items())
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, content)


def plot(height: Number, marks: Sequence[Markup], label: str) -> Markup:
    """A picture as wide as its place; `label` is read out to those who cannot see it."""
    return tag("svg", Markup("").join(marks), class_="plot", width="100%", height=height, role="img", aria_label=label)


def bar(x: float, width: float, y: Number, height: Number, style: str, hint: str | None = None) -> Markup:
    title = tag("title", hint) if hint else ""
    return tag("rect", title, x=f"{x}%", width=f"{round(width, 2)}%", y=y, height=round(height, 2), class_=style)


def line(x: float, y: Number, to_x: float, to_y: Number, style: str) -> Markup:
    return tag("line", x1=f"{x}%", y1=y, x2=f"{to_x}%", y2=to_y, class_=style)


def dot(x: float, y: Number, radius: Number, style: str, hint: str | None = None) -> Markup:
    return tag("circle", tag("title", hint) if hint else "", cx=f"{x}%", cy=y, r=radius, class_=style)


def text(x: float, y: Number, content: str, style: str = "tick") -> Markup:
    """Words at a place; close to an edge they are aligned with it, so that nothing is cut off."""
    anchor = "start" if x < 4 else "end" if x > 96 else "middle"
    return tag("text", content, x=f"{x}%", y=y, text_anchor=anchor, class_=style)


def path(points: Sequence[tuple[float, float]], style: str) -> Markup:
    """A line through points (percent of the width, percent of the height); a point that is no number breaks it."""
    steps, broken = [], True
    for x, y in points:
        if math.isfinite(y):
            steps.append(f"{'M' if broken else 'L'}{x:g} {y:g}")
        broken = not math.isfinite(y)
    return tag("path", d="".join(steps), class_=style)


def stretched(height: Number, paths: Sequence[Markup], label: str) -> Markup:
    """A picture of `path`s."""
    content = Markup("").join(paths)
    box = {"viewBox": "0 0 100 100", "preserveAspectRatio": "none"}
    return tag("svg", content, class_="plot", width="100%", height=height, role="img", aria_label=label, **box)

"""The report's plots, each a strip that stands in a table beside its figures."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from exporter.page.figures import SUPERSCRIPTS, exact, minus, plain
from exporter.page.findings import Difference, Metric, Parity, Score
from exporter.page.marks import Scale, around, bar, dot, line, path, plot, stretched, text
from exporter.page.parts import Histogram, Lines, Values
from exporter.page.verdict import FP32, TRAINED

STRIP = 30
AXIS = 18
JUDGED = (TRAINED, FP32)
"""The pair whose largest difference has a limit."""


def decades(parity: Parity) -> Scale:
    """From the smallest difference to the largest one, in whole powers of ten."""
    filled = [
        found.low + place * (found.high - found.low) / len(found.counts)
        for difference in parity.differences
        if (found := difference.log10_histogram)
        for place, count in enumerate(found.counts)
        if count
    ]
    tolerance = math.log10(parity.tolerance) if parity.tolerance > 0 else -4.0
    return Scale(math.floor(min([tolerance, *filled])), math.ceil(max([tolerance, *filled]) + 0.1))


def distances(difference: Difference, parity: Parity, style: str) -> Markup:
    """How many rows differ by how much, on the scale of `decades`."""
    scale = decades(parity)
    marks = list(_decade_lines(scale, STRIP))
    if (difference.one, difference.other) == JUDGED and parity.tolerance > 0:
        limit = scale(math.log10(parity.tolerance))
        marks.append(line(limit, 0, limit, STRIP, "limit"))
    if difference.log10_histogram is not None:
        marks += _bins(difference.log10_histogram, scale, STRIP, f"bin {style}", _power)
    label = f"Rows by difference: median {plain(difference.median)}, largest {plain(difference.largest)}"
    return plot(STRIP, marks, label)


def decade_axis(parity: Parity) -> Markup:
    scale = decades(parity)
    step = 1 if scale.high - scale.low <= 6 else 2
    powers = range(int(scale.low), int(scale.high) + 1, step)
    return plot(AXIS, [text(scale(power), 13, _power(power)) for power in powers], "Axis: powers of ten")


def change(score: Score, metric: Metric, limit: float) -> Markup:
    """The paired difference to fp32 with its interval, beside the region that the gate refuses."""
    scale = _changes(metric, limit)
    edge = scale(limit)
    refused = bar(0, edge, 0, STRIP, "refused") if limit < 0 else bar(edge, 100 - edge, 0, STRIP, "refused")
    marks = [refused, line(edge, 0, edge, STRIP, "limit"), line(scale(0), 0, scale(0), STRIP, "zero")]
    middle, found, style = STRIP / 2, score.minus_fp32, f"p-{score.precision}"
    if found is not None and found.low is not None and found.high is not None:
        marks.append(line(scale(found.low), middle, scale(found.high), middle, f"whisker {style}"))
    value = 0.0 if found is None else found.value
    marks.append(dot(scale(value), middle, 4.5, f"point {style}", f"{score.precision}: {plain(value)}"))
    return plot(STRIP, marks, f"Difference of {score.precision} from fp32: {plain(value)}")


def change_axis(metric: Metric, limit: float) -> Markup:
    scale = _changes(metric, limit)
    marks = [text(scale(0), 13, "0 (fp32)"), text(scale(limit), 13, f"{exact(float(f'{limit:.2g}'))} allowed")]
    return plot(AXIS, marks, "Axis: difference from fp32")


def length(value: float, largest: float, style: str) -> Markup:
    """A bar from zero."""
    share = 0.0 if not largest or not math.isfinite(value) else 100 * value / largest
    return plot(16, [bar(0, min(100, share), 3, 10, f"bar {style}")], f"{plain(value)} of at most {plain(largest)}")


def spread(values: Values, bound: float | None = None) -> Markup:
    """A histogram of values around zero, the axis below it, and lines at the range that int8 takes."""
    found = values.histogram
    largest = max(abs(found.low), abs(found.high), bound or 0.0)
    scale, height = Scale(-largest, largest), STRIP + 6
    marks = [line(0, height, 100, height, "zero"), *_bins(found, scale, height, "bin", plain, math.sqrt)]
    if bound is not None:
        marks += [line(scale(end), 4, scale(end), height, "bound") for end in (-bound, bound)]
    marks += [text(scale(place), height + 13, plain(place)) for place in (-largest, 0.0, largest)]
    return plot(height + AXIS, marks, f"Values from {plain(values.minimum)} to {plain(values.maximum)}")


def reach(values: Values, largest: float) -> Markup:
    """A thin line from the smallest to the largest value, a thick one over the middle 98 %, a tick at the median."""
    scale, middle = Scale(-largest, largest), 9
    low, mid, high = (values.quantiles[level] for level in ("0.01", "0.5", "0.99"))
    marks = [
        line(scale(0), 0, scale(0), 18, "zero"),
        line(scale(values.minimum), middle, scale(values.maximum), middle, "thin"),
        line(scale(low), middle, scale(high), middle, "thick"),
        line(scale(mid), middle - 5, scale(mid), middle + 5, "median"),
    ]
    return plot(18, marks, f"{plain(values.minimum)} to {plain(values.maximum)}, median {plain(mid)}")


def series(lines: Lines, reference: str, compared: str) -> Markup:
    """The end of a series, what came, and both forecasts."""
    ahead = (lines.came, lines.reference, lines.compared)
    scale = around([value for values in (lines.past, *ahead) for value in values], 0.06)
    steps = len(lines.past) + max(map(len, ahead))
    drawn = [_path(lines.past, 0, steps, scale, "past")]
    styles = ("came", f"forecast p-{reference}", f"forecast dashed p-{compared}")
    drawn += [
        _path((*lines.past[-1:], *values), len(lines.past) - 1, steps, scale, style)
        for values, style in zip(ahead, styles, strict=True)
        if values
    ]
    return stretched(84, drawn, "The series and its forecasts" if any(ahead) else "The series")


def _path(values: Sequence[float], start: int, steps: int, scale: Scale, style: str) -> Markup:
    width = max(steps - 1, 1)
    heights = [100 - scale(value) if math.isfinite(value) else math.nan for value in values]
    return path([(round(100 * (start + place) / width, 2), height) for place, height in enumerate(heights)], style)


def _bins(found: Histogram, scale: Scale, height: float, style: str, name, rise=float) -> Iterable[Markup]:
    """One bar a bin that is not empty; `rise` makes heights of counts, `name` words of a bin's ends."""
    width, top = (found.high - found.low) / len(found.counts), max(map(rise, found.counts)) or 1.0
    for place, count in enumerate(found.counts):
        if count:
            low = found.low + place * width
            tall = max(1.0, (height - 3) * rise(count) / top)
            left, right = scale(low), scale(low + width)
            hint = f"{count:,} from {name(low)} to {name(low + width)}"
            yield bar(left, right - left, height - tall, tall, style, hint)


def _changes(metric: Metric, limit: float) -> Scale:
    """One scale for all splits."""
    found = [score.minus_fp32 for score in metric.scores if score.minus_fp32 is not None]
    ends = [end for one in found for end in (one.value, one.low, one.high) if end is not None]
    return around([0.0, limit, -0.4 * limit, *ends], 0.12)


def _decade_lines(scale: Scale, height: float) -> Iterable[Markup]:
    return [line(scale(power), 0, scale(power), height, "grid") for power in range(int(scale.low), int(scale.high) + 1)]


def _power(exponent: float) -> str:
    """A power of ten: 10⁻⁴, or two digits of one between them."""
    if float(exponent).is_integer():
        return "10" + str(int(exponent)).translate(SUPERSCRIPTS) if exponent else "1"
    return minus(plain(10**exponent))

"""The figures as one HTML file with its pictures inside: nothing is fetched from anywhere."""

import html
import io
from collections.abc import Callable, Sequence
from functools import partial

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from loadtests.bench import report

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
    "pre{overflow-x:auto;font-size:13px}figure{margin:2rem 0}svg{max-width:100%;height:auto}"
)


def page(result: dict) -> str:
    """The whole document of a benchmark."""
    pictures = [
        (title, partial(draw, result=result))
        for title, needs, draw in PICTURES
        if needs in result and "problem" not in result[needs]
    ]
    return document("Benchmark", pictures, report.text(result))


def document(title: str, pictures: Sequence[tuple[str, Callable[[Axes], None]]], text: str) -> str:
    """Pictures, each under its caption, and the tables below them."""
    figures = [f"<figure>{_svg(draw)}<figcaption>{caption}</figcaption></figure>" for caption, draw in pictures]
    body = "\n".join(figures) + f"<pre>{html.escape(text)}</pre>"
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body><h1>{title}</h1>{body}</body></html>"


def _svg(draw: Callable[[Axes], None]) -> str:
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    draw(axes)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    pyplot.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]


def throughput(axes: Axes, result: dict) -> None:
    for name, found in (result.get("peers", {}).get("servers", {}) | result["servers"]).items():
        points = sorted((int(count), cell["per_second"]) for count, cell in found["connections"].items())
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.axhline(result["floor"]["per_second"], linestyle=":", color="grey", label="floor")
    axes.set(xscale="log", yscale="log", xlabel="connections", ylabel="requests/s")
    axes.legend(fontsize="small")


def latency(axes: Axes, result: dict) -> None:
    for name, points in result["curves"].items():
        offered = [point["offered"] for point in points]
        (line,) = axes.plot(offered, [point["p99_ms"] for point in points], marker="o", label=f"{name}, p99")
        axes.plot(offered, [point["p50_ms"] for point in points], linestyle=":", color=line.get_color(), label="p50")
        for point in (each for each in points if each["p99_ms"] is not None):
            rounds = point["p99_rounds_ms"]
            axes.plot([point["offered"]] * len(rounds), rounds, "_", color=line.get_color(), alpha=0.5)
    axes.set(yscale="log", xlabel="offered requests/s", ylabel="ms from when the request was due")
    axes.legend(fontsize="small")


def phases(axes: Axes, result: dict) -> None:
    found = result["phases"]
    names = list(found["shares"])[::-1]
    axes.barh(names, [found["shares"][name] * found["cpu_microseconds"] for name in names])
    axes.set(xlabel="CPU µs of one request")


PICTURES = (
    ("Throughput against connections, one text a request.", "servers", throughput),
    ("Latency against offered load, open loop; the dashes are the p99 of single rounds.", "curves", latency),
    ("Time of one request by phase, saturated, one worker.", "phases", phases),
)

"""The card of a network that was trained elsewhere: what its evaluation says, or that there was none."""

from pathlib import Path

from exporter.card.markdown import digits, table
from exporter.card.story import Story
from exporter.report import Export, Headline

NOT_RUN = "No labelled rows were given, so nothing is known about how good the answers are, and the gate was not run."


def story(done: Export, folder: Path) -> Story:
    """`folder` gets no pictures."""
    metrics = done.findings[done.preferred[0]].metrics
    if not metrics:
        return Story(Headline({}, {}), {"scores": NOT_RUN})
    rows = [[name, digits(metrics["validation"][name]), digits(value)] for name, value in dict(metrics["test"]).items()]
    head = ["metric", *(f"{split}, {len(done.splits[split].inputs):,} rows" for split in ("validation", "test"))]
    return Story(Headline(dict(metrics["test"]), {}), {"scores": table(head, rows)})

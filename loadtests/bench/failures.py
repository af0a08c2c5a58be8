"""What went wrong on our side. Pure: from a result of the benchmark to sentences; the exit code is 1 if there is one.

Requests without an answer are none: beyond saturation they are what was to be measured, and stand in the tables. So do
the failures of the servers that ours is compared with.
"""

from collections.abc import Iterator


def of(result: dict) -> Iterator[str]:
    """A sentence for each, of those parts that were measured."""
    for name, found in _ours(result["servers"]):
        yield from _said(found["failures"], f"to {name!r} failed in the closed loop")
        if found["differing"]:
            yield f"{found['differing']:,} of {found['compared']:,} answers of {name!r} under load differ from alone"
    for name, points in _ours(result.get("curves", {})):
        for point in points:
            yield from _said(point["failed"], f"to {name!r} failed in the open loop at {point['share']:.0%} load")
    for part, key in (("mixture", "failed"), ("lists", "failures"), ("hourly", "failures")):
        yield from _said(result.get(part, {}).get(key, 0), f"failed in the part {part!r}")


def _ours(found: dict) -> Iterator[tuple]:
    return ((name, each) for name, each in found.items() if name.startswith("ours"))


def _said(count: int, what: str) -> Iterator[str]:
    if count:
        yield f"{count:,} request{'s' * (count > 1)} {what}"

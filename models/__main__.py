"""`python -m models [FOLDER]` prints what the bundles in a folder reach on test rows, as a Markdown table."""

import sys
from collections.abc import Iterator
from pathlib import Path

from models import bundle
from models.manifest import Manifest


def rows(manifest: Manifest) -> Iterator[tuple[str, float, float | None, str]]:
    """(what was measured, the network's figure, the best baseline's figure and name) for each published figure."""
    best = max if manifest.gate.higher_is_better else min
    for name, figure in manifest.figures.items():
        prefix = f"{name}, "
        methods = {
            key.removeprefix(prefix): value for key, value in manifest.baselines.items() if key.startswith(prefix)
        }
        method = best(methods, key=lambda key: methods[key]) if methods else ""
        yield name, figure, methods.get(method), method


def table(folder: Path) -> str:
    lines = ["| model | measured on test rows | network | best simple method |", "|---|---|---:|---|"]
    for place in bundle.find(folder):
        manifest = bundle.read(place).manifest
        for name, figure, other, method in rows(manifest):
            wins = other is None or manifest.gate.higher_is_better == (figure > other)
            ours = f"**{figure:.4g}**" if wins else f"{figure:.4g}"
            others = "–" if other is None else f"{other:.4g} ({method})" if wins else f"**{other:.4g}** ({method})"
            name = name.replace("_", " ")
            lines.append(f"| {manifest.name}/{manifest.version} | {name} | {ours} | {others} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))

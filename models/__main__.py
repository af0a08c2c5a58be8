"""`python -m models [FOLDER]` prints what the bundles in a folder reach on test rows, as a Markdown table."""

import sys
from collections.abc import Iterator
from pathlib import Path

from models import bundle
from models.manifest import Manifest

Row = tuple[str, str, str]
"""What was measured, the network's figure, and the simple methods' figures: the best one where a gate says which is
better, else all of them. The winner is bold."""


def rows(manifest: Manifest) -> Iterator[Row]:
    if not manifest.figures:
        yield f"nothing: {manifest.reasons.get('gate', 'the bundle has no figures')}", "–", "–"
    for name, figure in manifest.figures.items():
        prefix = f"{name}, "
        methods = {
            key.removeprefix(prefix): value for key, value in manifest.baselines.items() if key.startswith(prefix)
        }
        yield name.replace("_", " "), *compared(manifest, figure, methods)


def compared(manifest: Manifest, figure: float, methods: dict[str, float]) -> tuple[str, str]:
    """The network's cell and the other methods' cell."""
    if manifest.gate is None or not methods:
        others = [f"{value:.4g} ({method})" for method, value in methods.items()]
        return f"{figure:.4g}" if others else f"**{figure:.4g}**", ", ".join(others) or "–"
    best = max if manifest.gate.higher_is_better else min
    method = best(methods, key=lambda key: methods[key])
    other = methods[method]
    if manifest.gate.higher_is_better == (figure > other):
        return f"**{figure:.4g}**", f"{other:.4g} ({method})"
    return f"{figure:.4g}", f"**{other:.4g}** ({method})"


def table(folder: Path) -> str:
    """Raises BundleError for a bundle that cannot be read."""
    lines = ["| model | measured on test rows | network | best simple method |", "|---|---|---:|---|"]
    for place in bundle.find(folder):
        manifest = bundle.read(place).manifest
        lines += [f"| {manifest.name}/{manifest.version} | {' | '.join(row)} |" for row in rows(manifest)]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        print(table(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
    except bundle.BundleError as error:
        sys.exit(str(error))

"""The verification report of a bundle: `report.json`, and `report.html`, one page that needs nothing but itself."""

from pathlib import Path

from exporter import describe
from exporter.page.collect import collect
from exporter.page.render import render
from exporter.report import Export
from models.manifest import Manifest

PAGE, DATA = "report.html", "report.json"


def write(done: Export, manifest: Manifest, folder: Path) -> Manifest:
    """Writes both files into a bundle's folder, which holds all others, and returns the manifest that lists them."""
    findings = collect(done, manifest, folder)
    (folder / DATA).write_text(findings.model_dump_json() + "\n", encoding="utf-8")
    (folder / PAGE).write_text(render(findings), encoding="utf-8")
    return manifest.model_copy(update={"files": describe.digests(folder)})

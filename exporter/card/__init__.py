"""The model card: prose that a person wrote, with the figures and pictures of one export filled in."""

from pathlib import Path

from exporter import describe
from exporter.card import common, forecast, general, templates, text
from exporter.card.story import Story
from exporter.report import Export
from models.manifest import Manifest

FILE = "card.md"
STORIES = {"text-classification": text.story, "forecast": forecast.story}
"""Of the recipes here, which have told about their training in `metrics.json`."""


def write(done: Export, folder: Path, name: str, version: int) -> Manifest:
    """Writes the card and its pictures into a bundle's folder, and returns the manifest of the complete bundle."""
    template = templates.load(done.source.template)
    story: Story = (general.story if done.source.checkpoint is None else STORIES[done.source.task])(done, folder)
    about = done.source.about or template.about
    manifest = describe.manifest(done, about, story.headline, folder, name, version)
    card = template.fill(vars(about) | story.parts | common.parts(done, manifest))
    (folder / FILE).write_text(card, encoding="utf-8")
    return manifest.model_copy(update={"files": describe.digests(folder)})

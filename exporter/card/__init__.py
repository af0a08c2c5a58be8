"""The model card: prose that a person wrote, with the figures and pictures of one export filled in."""

from pathlib import Path

from exporter import describe
from exporter.card import common, forecast, templates, text
from exporter.card.story import Story
from exporter.report import Export
from models.manifest import Manifest

FILE = "card.md"
STORIES = {"text-classification": text.story, "forecast": forecast.story}


def write(done: Export, folder: Path, name: str, version: int) -> Manifest:
    """Writes the card and its pictures into a bundle's folder, and returns the manifest of the complete bundle."""
    template = templates.load(done.checkpoint.description.recipe)
    story: Story = STORIES[done.checkpoint.description.task](done, folder)
    manifest = describe.manifest(done, template.about, story.headline, folder, name, version)
    card = template.fill(story.parts | common.parts(done, manifest))
    (folder / FILE).write_text(card, encoding="utf-8")
    return manifest.model_copy(update={"files": describe.digests(folder)})

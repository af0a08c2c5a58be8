"""What a task contributes to a card."""

from dataclasses import dataclass

from exporter.report import Headline


@dataclass(frozen=True)
class Story:
    """A headline for the manifest, and Markdown for the template's placeholders."""

    headline: Headline
    parts: dict[str, str]

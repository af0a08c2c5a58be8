"""What the exporter needs to know of a network, wherever it comes from."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from exporter.recurrent import exportable, why_not_pinnable
from exporter.sessions import Rows
from models import manifest as schema
from models.text import open_tokenizer
from training.checkpoint import Checkpoint
from training.evaluation import predict
from training.networks.recurrent import Recurrent
from training.networks.step import StepNetwork, WholeNetwork

Limits = schema.Steps
"""Smallest and largest number of steps, how many the first chunk needs, and how many are usual."""
AnyNetwork = StepNetwork | WholeNetwork
Outputs = np.ndarray | list[np.ndarray]
"""One array [N, ...], or an array for each row: per step these differ in length."""


@dataclass(frozen=True)
class About:
    """What only a person can say about a model."""

    title: str
    description: str
    licence: str


@dataclass(frozen=True)
class Source:
    """A network to export, and what a manifest must say of it beside what the exporter finds out."""

    task: schema.Task
    reference: Callable[[Rows], Outputs]
    """Eager float32 outputs of whole rows from the initial state: what every precision is compared with."""
    exportable: Callable[[bool], AnyNetwork]
    """Pinned or not -> the network as it exports to ONNX."""
    without_int8: str | None
    """Why the network cannot be pinned, and so has no int8 file; None if it can."""
    inputs: schema.Inputs
    limits: Limits
    parameters: int
    """Numbers that training has set."""
    provenance: str
    """Where the network comes from, in a sentence for the card."""
    labels: tuple[str, ...] | None = None
    scores: Literal["probabilities", "logits"] = "probabilities"
    quantiles: tuple[float, ...] | None = None
    default_horizon: int | None = None
    names: tuple[str, ...] | None = None
    padding: bool = True
    """False: rows of different lengths must not share a batch."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why something is not offered ("chunks", "padding", "int8", ...), in a sentence each."""
    tokenizer: Path | None = None
    """Copied into the bundle."""
    clip: float | None = None
    int8_bounds: Mapping[str, float] = field(default_factory=dict)
    """Where int8, and nothing else, clamps what recurrent layers read, by their names: at bounds that are not the
    network's own, but were taken from rows."""
    beyond: Callable[[Rows], Rows] | None = None
    """Some raw rows -> rows far outside of their range that the network has a finite answer to, and fp32 must have the
    same. None: such rows are not tried, since token ids have a range, and our own networks clamp inputs themselves."""
    template: str = "default"
    """Of the card: a recipe's name, or the general one."""
    about: About | None = None
    """None: what the template's head says."""
    float64: Callable[[Rows], Outputs] | None = None
    """The same as `reference` in float64, for the report."""
    examples: Callable[[int], Rows] | None = None
    """Number of rows -> raw inputs to check with where there are no labelled rows. None: they are generated."""
    checkpoint: Checkpoint | None = None
    """Ours, if it is one: its recipe has told things about training that a card shows."""

    @property
    def vocabulary(self) -> int | None:
        """The number of token ids; None for a network that reads features."""
        return self.inputs.vocabulary


def of_checkpoint(checkpoint: Checkpoint) -> Source:
    """A network that `python -m training fit` has written."""
    description, network = checkpoint.description, checkpoint.network
    details = description.details
    without_int8 = why_not_pinnable(network)
    return Source(
        task=description.task,
        reference=lambda rows: predict(network, rows),
        exportable=lambda pinned: exportable(network, pinned),
        without_int8=without_int8,
        inputs=_inputs(checkpoint),
        limits=Limits(
            smallest=description.limits.min_steps,
            largest=description.limits.max_steps,
            first_chunk=details.get("first_chunk", 1),
            default=details.get("default_steps"),
        ),
        parameters=sum(tensor.numel() for tensor in network.state_dict().values()),
        provenance=(
            f"Recipe `{description.recipe}`, seed {description.seed}, trained {description.trained_at:%Y-%m-%d}."
        ),
        labels=None if description.labels is None else tuple(description.labels),
        quantiles=None if details.get("quantiles") is None else tuple(details["quantiles"]),
        default_horizon=details.get("default_horizon"),
        tokenizer=checkpoint.tokenizer,
        clip=clip_of(network),
        template=description.recipe,
        float64=lambda rows: predict(copy.deepcopy(network).double(), rows, double=True),
        checkpoint=checkpoint,
    )


def _inputs(checkpoint: Checkpoint) -> schema.Inputs:
    if checkpoint.tokenizer is not None:
        return schema.Inputs(kind="tokens", vocabulary=open_tokenizer(checkpoint.tokenizer).vocabulary_size)
    details = checkpoint.description.details
    return schema.Inputs(kind="features", features=details.get("features", 1), above=details.get("above"))


def clip_of(network: AnyNetwork) -> float | None:
    """Where the network clamps what a recurrent layer reads; None if it does not."""
    clips = [module.input_clip for module in network.modules() if isinstance(module, Recurrent)]
    return next((value for value in clips if value is not None), None)

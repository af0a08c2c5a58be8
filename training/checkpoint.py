"""The folder that training hands to the exporter: weights, architecture, preprocessing and figures; never a pickle."""

import importlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import safetensors.torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from models.files import write_whole
from training.networks.step import StepNetwork

DESCRIPTION = "checkpoint.json"
WEIGHTS = "weights.safetensors"
TOKENIZER = "tokenizer.model"
METRICS = "metrics.json"


class CheckpointError(ValueError):
    """A checkpoint folder is incomplete or does not fit its network."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class NetworkSpec(Frozen):
    """`module.Class` inside `training.networks`, and the keyword arguments that build it."""

    class_name: str = Field(alias="class", pattern=r"^[a-z_]+\.[A-Za-z]+$")
    arguments: dict[str, JsonValue] = {}

    def build(self) -> StepNetwork:
        module, name = self.class_name.split(".")
        network = getattr(importlib.import_module(f"training.networks.{module}"), name)
        return network(**self.arguments)


class Limits(Frozen):
    """Shortest and longest sequence that the network was made for, in time steps."""

    min_steps: int = Field(ge=1)
    max_steps: int = Field(ge=1)


class Description(Frozen):
    """What `checkpoint.json` holds. `details` is what the task needs beside: horizon, quantiles, and the like."""

    name: str
    recipe: str
    network: NetworkSpec
    task: Literal["text-classification", "forecast"]
    labels: list[str] | None = None
    seed: int
    trained_at: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    limits: Limits
    details: dict[str, JsonValue] = {}


@dataclass(frozen=True)
class Checkpoint:
    """A loaded folder; the network is in evaluation mode."""

    folder: Path
    description: Description
    network: StepNetwork
    metrics: dict[str, JsonValue]

    @property
    def tokenizer(self) -> Path | None:
        """The SentencePiece model of a network that reads text."""
        path = self.folder / TOKENIZER
        return path if path.exists() else None


def save(
    folder: Path,
    description: Description,
    network: StepNetwork,
    metrics: dict[str, JsonValue],
    tokenizer: bytes | None = None,
) -> None:
    """Write all files of the folder; `checkpoint.json`, which makes it a checkpoint, comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_whole(folder / WEIGHTS, safetensors.torch.save(weights))
    if tokenizer is not None:
        write_whole(folder / TOKENIZER, tokenizer)
    write_whole(folder / METRICS, json.dumps(metrics, indent=1, ensure_ascii=False) + "\n")
    write_whole(folder / DESCRIPTION, description.model_dump_json(indent=1, by_alias=True, exclude_none=True) + "\n")


def load(folder: Path) -> Checkpoint:
    """The inverse of `save`; raises CheckpointError that says which file is missing or wrong, and how to get it."""
    folder = Path(folder)
    missing = [name for name in (DESCRIPTION, WEIGHTS, METRICS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} lacks {', '.join(missing)}; `python -m training fit <recipe> --out {folder}` writes them"
        )
    try:
        description = Description.model_validate_json((folder / DESCRIPTION).read_bytes())
        network = description.network.build()
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (ValidationError, ImportError, AttributeError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{folder} does not fit this version of the networks: {error}; train it again") from error
    return Checkpoint(folder, description, network.eval(), json.loads((folder / METRICS).read_bytes()))

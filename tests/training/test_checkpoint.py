import json
from pathlib import Path

import pytest
import torch

from training.checkpoint import CheckpointError, Description, Limits, NetworkSpec, load, save
from training.networks.sentiment import SentimentNetwork

ARGUMENTS = {"vocabulary_size": 20, "embedding_size": 4, "hidden_size": 5, "buckets": 8}


@pytest.fixture
def description() -> Description:
    return Description(
        name="tiny",
        recipe="sentiment",
        network=NetworkSpec(class_name="sentiment.SentimentNetwork", arguments=ARGUMENTS),
        task="text-classification",
        labels=["negative", "positive"],
        seed=3,
        limits=Limits(min_steps=1, max_steps=9),
        details={"note": "any JSON"},
    )


@pytest.fixture
def network() -> SentimentNetwork:
    return SentimentNetwork(**ARGUMENTS)


def test_round_trip(tmp_path: Path, description: Description, network: SentimentNetwork) -> None:
    save(tmp_path / "new" / "folder", description, network, {"accuracy": 0.9}, b"pieces")
    loaded = load(tmp_path / "new" / "folder")
    assert loaded.description == description
    assert loaded.metrics == {"accuracy": 0.9}
    assert loaded.tokenizer is not None
    assert loaded.tokenizer.read_bytes() == b"pieces"
    assert not loaded.network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor)


def test_nothing_temporary_stays_and_no_tokenizer_is_none(
    tmp_path: Path, description: Description, network: SentimentNetwork
) -> None:
    save(tmp_path, description, network, {})
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.json", "weights.safetensors", "metrics.json"}
    assert load(tmp_path).tokenizer is None


def test_missing_files_are_named_with_the_way_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"lacks checkpoint.json, weights.safetensors, metrics.json; `python -m training"
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("network", {"class": "sentiment.NoSuchNetwork", "arguments": ARGUMENTS}),
        ("network", {"class": "os.system", "arguments": {}}),
        ("network", {"class": "sentiment.SentimentNetwork", "arguments": ARGUMENTS | {"hidden_size": 6}}),
        ("network", {"class": "sentiment.SentimentNetwork", "arguments": {"width": 6}}),
        ("unknown_field", 1),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    tmp_path: Path, description: Description, network: SentimentNetwork, field: str, value: object
) -> None:
    save(tmp_path, description, network, {})
    path = tmp_path / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(CheckpointError, match="does not fit"):
        load(tmp_path)

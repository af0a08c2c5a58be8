"""Which model a request means."""

import pytest

from models.bundle import BundleError
from server.errors import InvalidRequest, ModelNotFound, NotReady, status_of
from server.registry import Registry, load_all
from server.settings import Settings
from server.tasks import Numbers
from tests.server.bundles import publish
from tests.server.graphs import Network

LABELS = {"task": "classification", "outputs": {"shape": [3], "labels": ["a", "b", "c"]}}
REGRESSION = {"task": "regression", "outputs": {"shape": [3]}}
TOKENS, VALUES = Numbers(tokens=[1]), Numbers(values=[1.0])


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Registry:
    root = tmp_path_factory.mktemp("models")
    for place in ("letters/2", "letters/10"):
        publish(root / place, Network(3, vocabulary=20), **LABELS)
    publish(root / "words" / "1", Network(3, vocabulary=60), tokenizer=True, **REGRESSION)
    publish(root / "signals" / "1", Network(3, features=1), **REGRESSION)
    return load_all(Settings(models=root), "cpu")


def test_the_only_model_for_a_kind_of_item_is_found_without_a_name(registry):
    assert registry.find(None, None, "rain").name == "words"
    assert registry.find(None, None, VALUES).name == "signals"


def test_several_models_for_a_kind_are_named_and_none_is_guessed(registry):
    with pytest.raises(InvalidRequest, match="several models take such inputs") as refused:
        registry.find(None, None, TOKENS)
    assert refused.value.accepted == ["letters", "words"]


def test_where_no_model_fits_none_is_asked_for_by_name(registry):
    signals = Registry(model for model in registry if model.name == "signals")
    with pytest.raises(InvalidRequest, match=r"^no model takes such inputs; GET /models says") as refused:
        signals.find(None, None, TOKENS)
    assert refused.value.accepted == ["signals"]


def test_a_name_and_a_task_find_the_highest_version(registry):
    assert registry.find("letters", None, TOKENS).version == 10
    assert registry.find("classification", None, TOKENS).version == 10
    assert registry.find("letters", 2, TOKENS).version == 2
    with pytest.raises(ModelNotFound) as refused:
        registry.find("letters", 3, TOKENS)
    assert refused.value.accepted == [2, 10]


def test_a_task_that_two_models_have_is_no_name(registry):
    with pytest.raises(ModelNotFound, match="no model 'regression', and several have that task") as refused:
        registry.find("regression", None, VALUES)
    assert refused.value.accepted == ["signals", "words"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("leters", "did you mean 'letters'?"),
        ("Words", "did you mean 'words'?"),
        ("clasification", "did you mean 'classification'?"),
        ("letters/2", 'send "model": "letters", "version": 2'),
        ("zzz/2", "take one of the accepted ones"),
        ("x" * 100_000, "take one of the accepted ones"),
    ],
)
def test_a_name_that_no_model_has_is_corrected(registry, name, advice):
    with pytest.raises(ModelNotFound) as refused:
        registry.find(name, None, TOKENS)
    assert str(refused.value).endswith(advice)
    assert refused.value.accepted == ["letters", "signals", "words"]


@pytest.mark.parametrize("name", [None, "letters"])
def test_before_a_model_is_loaded_callers_are_told_to_come_back(name):
    with pytest.raises(NotReady, match="GET /health/ready") as refused:
        Registry([]).find(name, None, "rain")
    assert status_of(refused.value) == (503, "not_ready")


@pytest.mark.parametrize(
    ("model", "item", "wants"),
    [
        ("letters", "rain", '{"tokens": [...]}'),
        ("words", VALUES, 'a text or {"tokens": [...]}'),
        ("signals", TOKENS, '{"values": [...]}'),
    ],
)
def test_a_model_says_what_it_takes(registry, model, item, wants):
    with pytest.raises(InvalidRequest) as refused:
        registry.find(model, None, item)
    assert refused.value.accepted == wants


def test_what_is_ignored_is_logged(tmp_path, caplog):
    publish(tmp_path / "signals" / "1", Network(3, features=1), **REGRESSION)
    (tmp_path / "signals" / "2").mkdir()
    with caplog.at_level("WARNING"):
        load_all(Settings(models=tmp_path), "cpu")
    (line,) = caplog.records
    assert (line.message, line.folder) == ("ignored: it has no manifest.json", str(tmp_path / "signals" / "2"))


def test_a_folder_one_level_too_deep_is_told_apart(registry, tmp_path):
    folder = next(iter(registry)).bundle.folder.parent
    with pytest.raises(
        BundleError, match=f"these are the versions of one model; the folder of bundles is {folder.parent}"
    ):
        load_all(Settings(models=folder), "cpu")
    with pytest.raises(BundleError, match="there is no such folder; set --models or LSTM_MODELS"):
        load_all(Settings(models=tmp_path / "none"), "cpu")


def test_a_tokenizer_with_more_tokens_than_the_network_is_refused(tmp_path):
    publish(tmp_path / "words" / "1", Network(3, vocabulary=59), tokenizer=True, **REGRESSION)
    with pytest.raises(BundleError, match="the tokenizer has 60 tokens, the network only 59"):
        load_all(Settings(models=tmp_path), "cpu")

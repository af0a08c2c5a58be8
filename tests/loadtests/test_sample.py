import json
import re
import statistics
from collections import Counter

import pytest

from loadtests.sample import LIST_SIZES, MODELS, SAMPLE, Request, lists, read

HAN = re.compile(r"[\u3400-\u9fff]")
TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|[^\w\s]")


@pytest.fixture(scope="module")
def entries() -> list[dict]:
    return [json.loads(line) for line in SAMPLE.read_bytes().decode("utf-8").splitlines()]


def test_it_is_small_utf8_without_replacement_characters() -> None:
    data = SAMPLE.read_bytes()
    assert len(data) < 200_000
    assert "\ufffd" not in data.decode("utf-8")


def test_both_languages_are_there_in_equal_numbers(entries: list[dict]) -> None:
    texts = [entry for entry in entries if entry["kind"] == "text"]
    assert Counter(entry["language"] for entry in texts) == {"en": 160, "zh": 160}
    chinese = [entry for entry in texts if HAN.search(entry["text"])]
    assert {entry["language"] for entry in chinese} == {"zh"}
    assert len(chinese) > 150


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lengths_are_spread_as_those_of_real_traffic(entries: list[dict], language: str) -> None:
    lengths = sorted(len(TOKEN.findall(entry["text"])) for entry in entries if entry.get("language") == language)
    assert 1 <= lengths[0] <= 5
    assert 200 <= lengths[-1] <= 400
    assert 20 <= statistics.median(lengths) <= 36
    # The mean of a log-normal distribution lies well above its median, and its 95th percentile far out.
    assert statistics.mean(lengths) > 1.25 * statistics.median(lengths)
    assert 90 <= statistics.quantiles(lengths, n=20)[-1] <= 160


def test_no_text_is_there_twice_or_padded_with_space(entries: list[dict]) -> None:
    texts = [entry["text"] for entry in entries if entry["kind"] == "text"]
    assert len(set(texts)) == len(texts)
    assert all(text.strip() == text for text in texts)


@pytest.mark.parametrize(("kind", "fewest", "most"), [("hourly", 168, 336), ("stock", 60, 250)])
def test_series_are_as_long_as_their_model_needs(entries: list[dict], kind: str, fewest: int, most: int) -> None:
    lengths = [len(entry["values"]) for entry in entries if entry["kind"] == kind]
    assert len(lengths) == 32
    assert fewest <= min(lengths) < 1.2 * fewest
    assert 0.8 * most < max(lengths) <= most


def test_requests_go_to_the_model_of_their_kind() -> None:
    requests = read()
    assert set(requests) == {"text", "texts", "hourly", "stock"}
    for name, some in requests.items():
        assert {request.name for request in some} == {name}
        assert {request.model for request in some} == {MODELS["text" if name == "texts" else name]}


def test_lists_use_every_text_once_and_mix_the_languages() -> None:
    requests = read()
    lists_of_texts = requests["texts"]
    everything = [text for request in lists_of_texts for text in request.inputs]
    assert sorted(everything) == sorted(request.inputs for request in requests["text"])
    long = [request.inputs for request in lists_of_texts if len(request.inputs) >= 16]
    for inputs in long:
        assert 0 < sum(bool(HAN.search(text)) for text in inputs) < len(inputs)


def test_lists_have_the_sizes_in_turn_and_what_is_left_at_the_end() -> None:
    sizes = [len(request.inputs) for request in lists(map(str, range(sum(LIST_SIZES) + 3)))]
    assert sizes == [*LIST_SIZES, 2, 1]


def test_a_list_alone_is_each_of_its_texts_in_a_request_of_its_own() -> None:
    request = Request("texts", "sentiment", ["a", "b"], {"truncate": True})
    assert [json.loads(single.body) for single in request.alone] == [
        {"model": "sentiment", "inputs": text, "parameters": {"truncate": True}} for text in "ab"
    ]
    single = Request("text", "sentiment", "a", {"truncate": True})
    assert [one.key for one in single.alone] == [single.key] == [request.alone[0].key]

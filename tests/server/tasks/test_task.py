"""A server with a model of every task: right answers, the same in any company, and no item that breaks it."""

import asyncio
import json
import random
from typing import Any

import httpx
import numpy as np
import pytest

from models.text import TextEncoder, open_tokenizer
from tests.server.bundles import LONGEST, NETWORKS, VOCABULARY, WORDS, outputs_alone
from tests.server.test_app import check
from tests.server.test_invariance import alone, together
from tests.server.test_predict import check_error
from tests.server.zoo_inputs import TEXT, bodies, item

SPEAK = ["none", "person", "place"]


@pytest.fixture(scope="module")
def words(zoo_folder) -> TextEncoder:
    return open_tokenizer(zoo_folder / "spam" / "1" / "tokenizer.model")


def ask(visitor: httpx.Client, model: str, inputs: Any, **parameters: Any) -> Any:
    answer = visitor.post("/predict", json={"model": model, "inputs": inputs, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


def distribution(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(np.float64))
    return exponentials / exponentials.sum(-1, keepdims=True)


SEQUENCES = [3, 4, 17, 60]


@pytest.mark.parametrize("steps", SEQUENCES)
def test_a_regression_gives_what_its_network_gives_alone(visitor, steps):
    for model, names in (("trend", ["value"]), ("mean", ["low", "high"])):
        inputs = item(random.Random(steps), model, steps)
        expected = outputs_alone(model, inputs["values"])
        assert {name: np.float32(value) for name, value in ask(visitor, model, inputs)["values"].items()} == dict(
            zip(names, expected, strict=True)
        )


@pytest.mark.parametrize("steps", SEQUENCES)
def test_tagging_gives_something_for_every_step(visitor, steps):
    inputs = item(random.Random(steps), "curve", steps)
    found = ask(visitor, "curve", inputs)["values"]
    assert np.array_equal(np.array([found["x"], found["y"]], np.float32).T, outputs_alone("curve", inputs["values"]))
    inputs = item(random.Random(steps), "letters", steps)
    expected = distribution(outputs_alone("letters", inputs["tokens"]))
    found = ask(visitor, "letters", inputs)
    assert found["labels"] == [SPEAK[best] for best in expected.argmax(1)]
    assert found["scores"] == pytest.approx(expected.max(1), rel=1e-5)


def test_tagging_of_a_text_says_what_was_tagged(visitor, words):
    text = "the rain in spain"
    found = ask(visitor, "entities", text)
    assert found["tokens"] == words.pieces(text)
    assert len(found["labels"]) == len(found["scores"]) == len(found["tokens"])


@pytest.mark.parametrize("steps", SEQUENCES)
def test_classification_gives_probabilities(visitor, words, steps):
    inputs = item(random.Random(steps), "gestures", steps)
    expected = distribution(outputs_alone("gestures", inputs["values"]))
    found = ask(visitor, "gestures", inputs)
    assert list(found["probabilities"].values()) == pytest.approx(expected, rel=1e-5)
    assert found["label"] == SPEAK[expected.argmax()]
    text = " ".join(WORDS[:steps])
    (spam,) = outputs_alone("spam", words.encode(text).tolist())
    assert ask(visitor, "spam", text)["probabilities"]["spam"] == pytest.approx(float(spam))


def test_the_most_probable_labels_are_those_of_all_labels(visitor):
    inputs = {"tokens": [3, 1, 4, 1, 5]}
    every, three = ask(visitor, "topics", inputs), ask(visitor, "topics", inputs, top=3)
    first = sorted(every["probabilities"].items(), key=lambda entry: -entry[1])[:3]
    assert list(three["probabilities"].items()) == first
    assert three["label"] == every["label"] == first[0][0]


def test_a_language_model_names_the_next_tokens(visitor, words):
    found = ask(visitor, "writer", "the rain in")["next"]
    expected = distribution(outputs_alone("writer", words.encode("the rain in").tolist()))
    assert [token["token"] for token in found] == np.argsort(-expected)[:5].tolist()
    assert [token["probability"] for token in found] == pytest.approx(np.sort(expected)[::-1][:5], rel=1e-5)
    assert [token["text"] for token in found] == [words.piece(token["token"]) for token in found]
    assert len(ask(visitor, "writer", "the rain in", top=VOCABULARY)["next"]) == VOCABULARY


@pytest.mark.parametrize("model", TEXT)
def test_a_text_and_its_tokens_get_the_same_answer(visitor, words, model):
    text = "we went to rome and saw many old stones"
    assert ask(visitor, model, text) == ask(visitor, model, {"tokens": words.encode(text).tolist()})


def test_150_mixed_concurrent_requests_get_the_bytes_that_they_get_alone(zoo_server):
    """Chunked, padded and equal-length batches at the same time."""
    asked = bodies(150, seed=1)
    expected = asyncio.run(alone(zoo_server.url, asked))
    for _ in range(2):
        assert asyncio.run(together(zoo_server.url, asked)) == expected
    assert len(set(expected)) > 130


def test_a_long_list_for_a_large_network_holds_up_nobody_else(zoo_server):
    """Whole sequences run in a thread, so what arrives later, for another model, is answered first."""

    async def main() -> list[str]:
        order = []

        async def post(client: httpx.AsyncClient, body: dict) -> None:
            answer = await client.post("/predict", json=body)
            assert answer.status_code == 200
            order.append(body["model"])

        rng = random.Random(0)
        long = {"model": "entities", "inputs": [{"tokens": [1] * LONGEST} for _ in range(256)]}
        async with httpx.AsyncClient(base_url=zoo_server.url, timeout=60) as client:
            late = asyncio.create_task(post(client, long))
            await asyncio.sleep(0.02)
            await post(client, {"model": "topics", "inputs": item(rng, "topics", 5)})
            await late
        return order

    assert asyncio.run(main())[0] == "topics"


def test_every_example_of_the_documentation_works(visitor):
    document = visitor.get("/openapi.json").json()
    examples = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert {name.split(":")[0] for name in examples} == set(NETWORKS)
    for example in examples.values():
        check(document, "PredictRequest", example["value"])
        answer = visitor.post("/predict", json=example["value"])
        assert answer.status_code == 200, answer.text
        check(document, "Prediction", answer.json())


def test_the_answers_of_the_documentation_have_the_shape_that_it_describes(visitor):
    document = visitor.get("/openapi.json").json()
    shown = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["examples"]
    for example in shown.values():
        check(document, "Prediction", example["value"])


def test_a_model_says_what_it_accepts(visitor):
    accepts = {model["name"]: model["accepts"] for model in visitor.get("/models").json()["models"]}
    assert accepts == {
        name: ["text", "tokens"] if name in TEXT else ["values"] if network.vocabulary is None else ["tokens"]
        for name, network in NETWORKS.items()
    }


def series(*values: Any) -> dict[str, Any]:
    return {"values": list(values)}


def tokens(*ids: Any) -> dict[str, Any]:
    return {"tokens": list(ids)}


WRONG = {
    "an unknown token": ("topics", tokens(1, 30), "inputs.tokens[1]", "0 to 29"),
    "a negative token": ("topics", tokens(-1), "inputs.tokens[0]", "0 to 29"),
    "a token of 40 digits": ("topics", tokens(10**40), "inputs.tokens[0]", "0 to 29"),
    "half a token": ("topics", tokens(1.5), "inputs.tokens[0]", "whole number"),
    "no tokens": ("topics", tokens(), "inputs.tokens", "at least 1 tokens"),
    "too many tokens": ("topics", tokens(*[1] * (LONGEST + 1)), "inputs.tokens", f"at most {LONGEST} tokens"),
    "the second input is wrong": ("topics", [tokens(1), tokens(99)], "inputs[1].tokens[0]", "0 to 29"),
    "an unknown token for a text model": ("spam", tokens(VOCABULARY), "inputs.tokens[0]", f"0 to {VOCABULARY - 1}"),
    "a text without a tokenizer": ("topics", "rain", "inputs", '{"tokens'),
    "values for tokens": ("topics", series(1, 2), "inputs", '{"tokens'),
    "tokens for values": ("trend", tokens(1, 2, 3), "inputs", '{"values'),
    "values for a text model": ("spam", series(1, 2), "inputs", 'a text or {"tokens'),
    "a list of both": ("topics", [tokens(1), series(1)], "inputs[1]", '{"tokens'),
    "both at once": ("topics", {"tokens": [1], "values": [1]}, "inputs", "values"),
    "neither": ("topics", [tokens(1), {}], "inputs[1]", "tokens"),
    "an unknown field": ("topics", {"ids": [1]}, "inputs.ids", "tokens"),
    "too few points": ("trend", series(1, 2), "inputs.values", "at least 3 points"),
    "too many points": ("trend", series(*[1] * (LONGEST + 1)), "inputs.values", f"at most {LONGEST} points"),
    "one feature for three": ("mean", series(1, 2, 3), "inputs.values[0]", "a list of 3 numbers"),
    "two features for three": ("mean", series([1, 2], [3, 4]), "inputs.values[0]", "a list of 3 numbers"),
    "three features for one": ("trend", series([1, 2, 3]), "inputs.values[0]", "one number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_items_are_named(visitor, case):
    model, inputs, field, accepted = WRONG[case]
    answer = visitor.post("/predict", json={"model": model, "inputs": inputs})
    error = check_error(answer, 422)
    assert error["field"] == field
    assert accepted in json.dumps(error["accepted"]).replace('\\"', '"')


def test_the_only_model_that_takes_such_items_need_not_be_named(visitor):
    """Here several take each kind, so nobody is guessed; by its task the one is found that has it."""
    for inputs, fitting in (
        ("rain", set(TEXT)),
        (tokens(1), {*TEXT, "letters", "topics"}),
        (series(1, 2, 3), {"gestures", "curve", "trend", "mean"}),
    ):
        error = check_error(visitor.post("/predict", json={"inputs": inputs}), 422)
        assert set(error["accepted"]) == fitting
    assert visitor.post("/predict", json={"model": "language-model", "inputs": "rain"}).json()["model"] == "writer"
    check_error(visitor.post("/predict", json={"model": "tagging", "inputs": "rain"}), 404)

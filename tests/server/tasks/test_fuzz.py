"""Whatever is sent, a caller gets an answer or a reason, and the server lives on."""

import json
import random
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as some

from tests.server.bundles import NETWORKS
from tests.server.test_predict import check_error
from tests.server.zoo_inputs import item

numbers = some.integers(-5, 70) | some.integers() | some.floats(allow_nan=False, allow_infinity=False)
keys = some.text("abcdefgh", max_size=5)
anything = some.recursive(
    some.none() | some.booleans() | numbers | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=5) | some.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
parameters = some.fixed_dictionaries(
    {},
    optional={
        "top": some.integers(-2, 9) | anything,
        "truncate": some.booleans(),
        "horizon": some.integers(),
        "quantiles": some.just([0.5]) | anything,
    },
)


@some.composite
def requests(draw: some.DrawFn) -> dict[str, Any]:
    """A model and an input that it takes, or one that is wrong in one place, or anything at all."""
    model = draw(some.sampled_from(sorted(NETWORKS)))
    inputs = item(random.Random(draw(some.integers(0, 999))), model)
    wrong = draw(some.sampled_from(["nothing", "one number", "one field", "everything"]))
    if wrong == "everything":
        inputs = draw(anything)
    elif isinstance(inputs, dict) and wrong != "nothing":
        ((field, sequence),) = inputs.items()
        if wrong == "one number":
            sequence[draw(some.integers(0, len(sequence) - 1))] = draw(numbers | anything)
        inputs = {draw(keys): sequence} if wrong == "one field" else {field: sequence}
    many = draw(some.lists(anything | some.just(inputs), max_size=3))
    return {
        "model": model,
        "inputs": [inputs, *many] if draw(some.booleans()) else inputs,
        "parameters": draw(some.just({}) | parameters),
    }


@given(requests())
@settings(max_examples=300)
def test_whatever_is_sent_gets_an_answer_or_a_reason(visitor, request_body):
    body = json.dumps(request_body).encode()
    answer = visitor.post("/predict", content=body, headers={"content-type": "application/json"})
    event(f"status {answer.status_code}")
    if answer.status_code == 200:
        assert answer.json()["model"] == request_body["model"]
    else:
        assert check_error(answer, 422)["message"]

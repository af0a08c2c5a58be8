"""Items to arrays: nothing reaches a network that it was not made for, and every refusal names the place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from models.bundle import read
from models.manifest import Steps
from models.text import TextEncoder, open_tokenizer
from server.errors import InvalidRequest
from server.tasks import PLAIN, Numbers, Parameters, Task, make_task
from server.tasks.readers import CHARACTERS_A_TOKEN, SeriesReader, TextReader, TokenReader

CUT = Parameters(truncate=True)


tokens_of_ten = some.lists(some.integers(-3, 15) | some.integers(), max_size=12)


@given(tokens_of_ten, some.sampled_from([PLAIN, CUT]))
def test_token_ids_are_taken_as_they_are_or_the_first_wrong_one_is_named(tokens, parameters):
    reader = TokenReader(Steps(smallest=2, largest=8), 10, None)
    wrong = [place for place, token in enumerate(tokens) if not 0 <= token < 10]
    if not wrong and len(tokens) >= 2 and (len(tokens) <= 8 or parameters.truncate):
        ids = reader.encode(Numbers(tokens=tokens), parameters, "inputs[3]")
        assert ids.dtype == np.int64
        assert ids.tolist() == tokens[:8]
        return
    with pytest.raises(InvalidRequest) as refused:
        reader.encode(Numbers(tokens=tokens), parameters, "inputs[3]")
    if wrong:
        assert refused.value.field == f"inputs[3].tokens[{wrong[0]}]"
        assert refused.value.given in (token := tokens[wrong[0]], str(token))
        assert refused.value.accepted == "0 to 9"
    else:
        assert refused.value.field == "inputs[3].tokens"


@pytest.mark.parametrize(
    ("count", "accepted"), [(0, "at least 3 tokens"), (2, "at least 3 tokens"), (9, "at most 8 tokens")]
)
def test_too_few_and_too_many_tokens_are_told_the_limit(count, accepted):
    with pytest.raises(InvalidRequest) as refused:
        TokenReader(Steps(smallest=3, largest=8), 10, None).encode(Numbers(tokens=[1] * count), PLAIN, "inputs")
    assert (refused.value.given, refused.value.accepted) in [(count, accepted), (f"{count} tokens", accepted)]


@pytest.fixture(scope="module")
def words(zoo_folder) -> TextEncoder:
    return open_tokenizer(zoo_folder / "spam" / "1" / "tokenizer.model")


@pytest.mark.parametrize(("text", "accepted"), [("a", "at least 4 tokens"), ("rain " * 20, "at most 9 tokens")])
def test_too_few_and_too_many_words_are_told_the_limit(words, text, accepted):
    with pytest.raises(InvalidRequest) as refused:
        TextReader(Steps(smallest=4, largest=9), words).encode(text, PLAIN, "inputs[1]")
    assert refused.value.accepted == accepted
    assert refused.value.field == "inputs[1]"


@pytest.mark.parametrize("count", [2, 4])
def test_a_network_of_one_length_says_so(count, zoo_folder):
    steps = Steps(smallest=3, largest=3)
    with pytest.raises(InvalidRequest) as refused:
        TokenReader(steps, 10, None).encode(Numbers(tokens=[1] * count), PLAIN, "inputs")
    assert refused.value.accepted == "exactly 3 tokens"
    assert "exactly 3" in str(refused.value)
    manifest = read(zoo_folder / "trend" / "1").manifest.model_copy(update={"steps": steps})
    with pytest.raises(InvalidRequest) as refused:
        SeriesReader(manifest).encode(Numbers(values=[1.0] * count), PLAIN, "inputs")
    assert refused.value.accepted == "exactly 3 points"
    assert "exactly 3" in str(refused.value)


@pytest.mark.parametrize(
    ("model", "values", "place", "said", "accepted"),
    [
        ("mean", [[1, 2, 3], [1, 2, 3], [1, 2]], 2, "time step 2 is a list of 2 numbers", "a list of 3 numbers"),
        ("mean", [[1, 2, 3, 4]] * 5, 0, "time step 0 is a list of 4 numbers", "a list of 3 numbers"),
        ("mean", [1, 2, 3], 0, "time step 0 is one number", "a list of 3 numbers"),
        ("mean", [[1, 2, 3], 4], 1, "time step 1 is one number", "a list of 3 numbers"),
        ("mean", [[]], 0, "time step 0 is a list of 0 numbers", "a list of 3 numbers"),
        ("trend", [[1, 2]] * 5, 0, "time step 0 is a list of 2 numbers", "one number"),
        ("trend", [1, 2, [3], 4], 2, "time step 2 is a list of 1 numbers", "one number"),
        ("trend", [[1], [2], [3, 4]], 2, "time step 2 is a list of 2 numbers", "one number"),
        ("trend", [[]], 0, "time step 0 is a list of 0 numbers", "one number"),
    ],
)
def test_a_time_step_of_another_width_is_named(zoo_folder, model, values, place, said, accepted):
    with pytest.raises(InvalidRequest, match=said) as refused:
        task_of(zoo_folder, model).encode(Numbers(values=values), PLAIN, "inputs")
    assert refused.value.field == f"inputs.values[{place}]"
    assert (refused.value.given, refused.value.accepted) == (values[place], accepted)


def test_a_text_is_cut_where_the_network_ends(words):
    reader = TextReader(Steps(smallest=4, largest=9), words)
    assert reader.encode("rain " * 20, CUT, "inputs").tolist() == words.encode("rain " * 20)[:9].tolist()


def test_a_tokenizer_never_gets_more_of_a_text_than_the_network_could_use(words):
    """It takes its time, and everybody waits for it."""
    given = []

    class Listening:
        def encode(self, text: str) -> np.ndarray:
            given.append(text)
            return words.encode(text)

    text = "rain " * 10_000
    TextReader(Steps(smallest=4, largest=9), Listening()).encode(text, CUT, "inputs")
    (read,) = given
    assert text.startswith(read)
    assert len(read) == 9 * CHARACTERS_A_TOKEN


@given(some.integers(1, 40), some.integers(0, 40))
def test_examples_keep_the_limits(words, smallest, more):
    """Of any network, however short or long its sequences have to be."""
    steps = Steps(smallest=smallest, largest=smallest + more)
    if more >= 30:
        reader = TextReader(steps, words)
        for _, inputs in reader.examples():
            for text in [inputs] if isinstance(inputs, str) else inputs:
                assert len(reader.encode(text, PLAIN, "inputs")) >= smallest
    tokens = TokenReader(steps, words.vocabulary_size, words)
    for _, inputs in tokens.examples():
        assert len(tokens.encode(Numbers(**inputs), PLAIN, "inputs")) >= smallest


def test_a_text_without_a_word_of_the_vocabulary_is_not_called_empty(tmp_path):
    (tmp_path / "words.json").write_text('["rain", "spain"]')
    reader = TextReader(Steps(smallest=1, largest=9), open_tokenizer(tmp_path / "words.json"))
    assert reader.encode("rain in spain", PLAIN, "inputs").tolist() == [0, 1]
    assert reader.examples() == []
    with pytest.raises(InvalidRequest, match="no word of the text is in the model's vocabulary"):
        reader.encode("sun", PLAIN, "inputs")


def test_numbers_of_the_other_kind_are_refused(zoo_folder):
    task = task_of(zoo_folder, "letters")
    with pytest.raises(InvalidRequest, match="not values") as refused:
        task.encode(Numbers(values=[1.0]), PLAIN, "inputs[4]")
    assert refused.value.field == "inputs[4]"
    with pytest.raises(InvalidRequest, match="not tokens"):
        task_of(zoo_folder, "trend").encode(Numbers(tokens=[1, 2, 3]), PLAIN, "inputs[4]")


def test_a_text_and_its_tokens_are_read_alike(zoo_folder, words):
    task, text = task_of(zoo_folder, "spam"), "rain in spain"
    by_hand = Numbers(tokens=words.encode(text).tolist())
    assert np.array_equal(task.encode(text, PLAIN, "inputs"), task.encode(by_hand, PLAIN, "inputs"))


TAKEN = {
    "spam": {"truncate", "top"},
    "writer": {"truncate", "top"},
    "letters": {"truncate"},
    "topics": {"truncate", "top"},
    "gestures": {"top"},
    "trend": set(),
}
GIVEN = {"truncate": True, "horizon": 2, "quantiles": [0.5], "top": 1}


@pytest.mark.parametrize("model", TAKEN)
@pytest.mark.parametrize("name", GIVEN)
def test_a_parameter_is_taken_or_refused_by_name(zoo_folder, model, name):
    task, parameters = task_of(zoo_folder, model), Parameters(**{name: GIVEN[name]})
    if name in TAKEN[model]:
        task.check(parameters)
    else:
        with pytest.raises(InvalidRequest, match=f"{name} does not apply to this model") as refused:
            task.check(parameters)
        assert refused.value.field == f"parameters.{name}"


def task_of(folder, name: str) -> Task:
    return make_task(read(folder / name / "1"))

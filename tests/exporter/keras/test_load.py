"""What a .keras file tells, and why some are refused."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from exporter.errors import KerasFileError
from exporter.keras import load
from tests.exporter.keras.tutorials import built, saved

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras"
)


@pytest.fixture(scope="module")
def sentiment(keras: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(built(keras, "sentiment"), tmp_path_factory.mktemp("sentiment"))


def test_what_a_file_tells_of_tokens(sentiment: Path) -> None:
    found = load(sentiment)
    assert (found.steps, found.padding_id, found.notes) == (None, None, ())


def test_what_a_file_tells_of_features(keras: ModuleType, tmp_path: Path) -> None:
    found = load(saved(built(keras, "stacked regressor"), tmp_path))
    assert (found.steps, found.padding_id) == (60, None)
    assert [note.split(",")[0] for note in found.notes] == ["the input layer fixes 60 time steps"]


def test_padding_is_named(keras: ModuleType, tmp_path: Path) -> None:
    found = load(saved(built(keras, "masked reviews"), tmp_path))
    assert found.padding_id == 0
    assert re.match(r"layer 'embedding\w*' \(Embedding\): token id 0 is padding", found.notes[0])


def test_a_model_built_from_its_first_batch_has_no_fixed_length(keras: ModuleType, tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.LSTM(3), keras.layers.Dense(1)])
    model.predict(np.zeros((4, 7, 2), np.float32), verbose=0)
    assert load(saved(model, tmp_path)).steps is None


def test_a_stateful_layer_and_another_precision_are_told(keras: ModuleType, tmp_path: Path) -> None:
    layers = keras.layers
    lstm = layers.LSTM(3, stateful=True, dtype="mixed_float16")
    model = keras.Sequential([keras.Input(batch_shape=(2, 7, 2)), lstm, layers.Dense(1)])
    found = load(saved(model, tmp_path))
    assert found.steps == 7
    assert [note.split(": ")[1].split()[0] for note in found.notes] == ["stateful", "computes", "send"]


LayerOf = Callable[[Any], Any]
REFUSED: dict[str, tuple[LayerOf, str]] = {
    "go_backwards": (lambda layers: layers.LSTM(3, go_backwards=True), r"\(LSTM\): it reads backwards"),
    "activation": (lambda layers: layers.LSTM(3, activation="selu"), "activation is 'selu'; tanh, sigmoid, relu,"),
    "recurrent_activation": (
        lambda layers: layers.GRU(3, recurrent_activation="hard_sigmoid"),
        "recurrent_activation is 'hard_sigmoid'",
    ),
    "directions": (
        lambda layers: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(4, go_backwards=True)),
        "two directions differ",
    ),
    "relu's slope": (
        lambda layers: layers.ReLU(negative_slope=0.5),
        r"negative_slope is 0\.5; only the default of neg",
    ),
    "relu's lid": (lambda layers: layers.ReLU(max_value=0), "max_value is 0"),
    "relu's threshold": (lambda layers: layers.ReLU(threshold=1), "threshold is 1"),
    "softmax over time": (lambda layers: layers.Softmax(axis=1), "axis is 1; only the default of axis is supported"),
    "softmax over rows": (lambda layers: layers.Softmax(axis=0), "axis is 0"),
    "unknown": (lambda layers: layers.Conv1D(3, 3), r"'conv1d' \(Conv1D\): not supported; these are: Activation,"),
    "pooling": (lambda layers: layers.GlobalMaxPooling1D(), "not supported"),
    "flatten": (lambda layers: layers.Flatten(), "not supported"),
    "repeated": (lambda layers: layers.TimeDistributed(layers.LayerNormalization()), "it repeats layer"),
    "lambda": (lambda layers: layers.Lambda(lambda x: x), "code from a model file is never run"),
    "bfloat16": (lambda layers: layers.LSTM(3, dtype="bfloat16"), "its dtype is bfloat16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_cannot_be_reproduced_is_named(name: str, keras: ModuleType, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    model = keras.Sequential([keras.Input((9, 2)), make(keras.layers)])
    with pytest.raises(KerasFileError, match=message):
        load(saved(model, tmp_path))


def test_a_model_without_recurrent_layers_is_refused(keras: ModuleType, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((9, 2)), keras.layers.Dense(1)])
    with pytest.raises(KerasFileError, match="no recurrent layer; one of LSTM, GRU, SimpleRNN"):
        load(saved(model, tmp_path))


def test_branches_are_refused(keras: ModuleType, tmp_path: Path) -> None:
    layers, inputs = keras.layers, keras.Input((9, 2))
    states = layers.LSTM(3)(inputs)
    branched = {
        "it takes 1 inputs": layers.Concatenate()([states, layers.GRU(3)(inputs)]),
        "beside the chain": layers.Dense(1)(states),
        "initial_state from elsewhere": layers.LSTM(3)(inputs, initial_state=[states, states]),
        "behaves as in training": layers.Dropout(0.5)(states, training=True),
    }
    beside = layers.Dense(2)(states)
    for message, outputs in branched.items():
        both = [outputs, beside] if message == "beside the chain" else outputs
        with pytest.raises(KerasFileError, match="one output back to one input" if isinstance(both, list) else message):
            load(saved(keras.Model(inputs, both), tmp_path))


def test_a_layer_that_is_called_twice_is_refused(keras: ModuleType, tmp_path: Path) -> None:
    lstm, inputs = keras.layers.LSTM(2, return_sequences=True), keras.Input((9, 2))
    with pytest.raises(KerasFileError, match="it is called 2 times"):
        load(saved(keras.Model(inputs, lstm(lstm(inputs))), tmp_path))


def test_a_mask_of_the_users_own_is_refused(keras: ModuleType, tmp_path: Path) -> None:
    inputs = keras.Input((None,), dtype="int32")
    mask = keras.ops.not_equal(inputs, 7)
    outputs = keras.layers.LSTM(3)(keras.layers.Embedding(9, 2)(inputs), mask=mask)
    with pytest.raises(KerasFileError, match=r"'not_equal.*beside the chain"):
        load(saved(keras.Model(inputs, outputs), tmp_path))


def test_code_of_the_user_is_refused(keras: ModuleType, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("mine")
    class LSTM(keras.layers.LSTM):
        pass

    with pytest.raises(KerasFileError, match="its code is not in the file"):
        load(saved(keras.Sequential([keras.Input((9, 2)), LSTM(3)]), tmp_path))

"""What `load` makes of a .keras file answers as Keras does."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from exporter.keras import KerasModel, load
from tests.exporter.keras.tutorials import MODELS, built, rows, saved

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras"
)
TOLERANCE = 1e-5


def answers(model: KerasModel, inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.network(torch.from_numpy(inputs)).numpy()


@pytest.mark.parametrize("name", MODELS)
def test_the_answers_are_those_of_keras(name: str, keras: ModuleType, tmp_path: Path) -> None:
    model = built(keras, name)
    inputs = rows(model)
    expected = model.predict(inputs, verbose=0)
    assert np.ptp(expected) > 0.01, "answers that are all alike show nothing"
    found = answers(load(saved(model, tmp_path)), inputs)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < TOLERANCE


@pytest.mark.parametrize("name", ["masked reviews", "masked series"])
def test_rows_without_padding_are_answered_as_keras_answers_them_with_padding(
    name: str, keras: ModuleType, tmp_path: Path
) -> None:
    model = built(keras, name)
    inputs, padding = rows(model, steps=7), 0 if name == "masked reviews" else -1.0
    widths = [(0, 0)] * inputs.ndim
    found = load(saved(model, tmp_path))
    for before, after in ((0, 4), (4, 0)):
        widths[1] = (before, after)
        expected = model.predict(np.pad(inputs, widths, constant_values=padding), verbose=0)
        assert np.abs(answers(found, inputs) - expected).max() < TOLERANCE
    assert any("server knows" in note or "without them" in note for note in found.notes)


@pytest.mark.parametrize(
    "activation",
    [
        "relu",
        "sigmoid",
        "tanh",
        "softmax",
        "log_softmax",
        "softplus",
        "softsign",
        "elu",
        "selu",
        "silu",
        "swish",
        "gelu",
        "leaky_relu",
        "hard_sigmoid",
    ],
)
def test_activations_are_those_of_keras(activation: str, keras: ModuleType, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 3)), layers.LSTM(9), layers.Dense(5, activation=activation)])
    inputs = 10 * rows(model)
    found = load(saved(model, tmp_path))
    assert np.abs(answers(found, inputs) - model.predict(inputs, verbose=0)).max() < TOLERANCE


def test_neither_keras_nor_tensorflow_is_imported(keras: ModuleType, tmp_path: Path) -> None:
    path = saved(built(keras, "sentiment"), tmp_path)
    program = (
        "import pathlib, sys; from exporter.keras import load; load(pathlib.Path(sys.argv[1])); "
        "assert not {'keras', 'tensorflow', 'jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)

"""Keras models as tutorials write them, and some that show one difference between Keras and PyTorch each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Model = Any
"""`keras.Model`; Keras is imported by a fixture only."""
VOCABULARY = 60


def stacked_regressor(keras: Any) -> Model:
    layers = keras.layers
    model = keras.Sequential()
    model.add(keras.Input(shape=(60, 1)))
    model.add(layers.LSTM(50, return_sequences=True))
    model.add(layers.Dropout(0.2))
    model.add(layers.LSTM(50, return_sequences=False))
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(25))
    model.add(layers.Dense(1))
    model.compile(optimizer="adam", loss="mean_squared_error", metrics=["mae"])
    return model


def small_regressor(keras: Any) -> Model:
    layers = keras.layers
    return keras.Sequential([keras.Input((10, 32)), layers.LSTM(128), layers.Dense(1)])


def relu_regressor(keras: Any) -> Model:
    layers = keras.layers
    model = keras.Sequential()
    model.add(keras.Input((3, 1)))
    model.add(layers.LSTM(50, activation="relu", return_sequences=True))
    model.add(layers.LSTM(50, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(optimizer="adam", loss="mse")
    return model


def sentiment(keras: Any) -> Model:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(shape=(None,), dtype="int32"),
            layers.Embedding(VOCABULARY, 16),
            layers.SpatialDropout1D(0.2),
            layers.LSTM(24, dropout=0.2, recurrent_dropout=0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


def news_topics(keras: Any) -> Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(VOCABULARY, 16),
            layers.Bidirectional(layers.LSTM(12)),
            layers.Dense(24, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )


def functional_reviews(keras: Any) -> Model:
    layers = keras.layers
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(VOCABULARY, 16)(inputs)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(8))(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def masked_reviews(keras: Any) -> Model:
    layers = keras.layers
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(VOCABULARY, 16, mask_zero=True)(inputs)
    x = layers.LSTM(12, return_sequences=True)(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Bidirectional(layers.GRU(9))(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def masked_series(keras: Any) -> Model:
    layers = keras.layers
    inputs = keras.Input((None, 2))
    x = layers.Masking(mask_value=-1.0)(inputs)
    x = layers.LSTM(7, return_sequences=True)(x)
    return keras.Model(inputs, layers.Dense(1)(layers.LSTM(5)(x)))


def gru(**options: Any) -> Callable[[Any], Model]:
    def build(keras: Any) -> Model:
        layers = keras.layers
        first = layers.GRU(11, return_sequences=True, **options)
        return keras.Sequential([keras.Input((None, 3)), first, layers.GRU(8, **options), layers.Dense(2)])

    return build


def both_ways(layer: str, merge: str, sequences: bool, **options: Any) -> Callable[[Any], Model]:
    def build(keras: Any) -> Model:
        layers = keras.layers
        inner = getattr(layers, layer)(6, return_sequences=sequences, **options)
        wrapped = layers.Bidirectional(inner, merge_mode=merge)
        return keras.Sequential([keras.Input((9, 3)), wrapped, layers.Dense(2)])

    return build


def plain_rnn(activation: str) -> Callable[[Any], Model]:
    def build(keras: Any) -> Model:
        layers = keras.layers
        first = layers.SimpleRNN(6, activation=activation, return_sequences=True)
        return keras.Sequential([keras.Input((9, 3)), first, layers.SimpleRNN(5, use_bias=False), layers.Dense(1)])

    return build


def tagger(keras: Any) -> Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(VOCABULARY, 8),
            layers.LSTM(10, return_sequences=True, use_bias=False),
            layers.TimeDistributed(layers.Dense(7, activation="relu")),
            layers.Dense(5, activation="softmax"),
        ]
    )


def scaled(keras: Any) -> Model:
    layers = keras.layers
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(1).normal(5, 3, (50, 9, 3)))
    return keras.Sequential(
        [
            keras.Input((9, 3)),
            adapted,
            layers.Rescaling([0.5, 2.0, 1.0], offset=0.1),
            layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
            layers.LSTM(6),
            layers.BatchNormalization(),
            layers.Dense(4),
            layers.LeakyReLU(negative_slope=0.1),
            layers.BatchNormalization(scale=False),
            layers.Dense(2),
            layers.Activation("softmax"),
        ]
    )


def model_in_model(keras: Any) -> Model:
    layers = keras.layers
    body = keras.Sequential([keras.Input((9, 3)), layers.LSTM(6, return_sequences=True), layers.LSTM(6)], name="body")
    inputs = keras.Input((9, 3))
    return keras.Model(inputs, layers.Dense(1)(body(layers.LSTM(3, return_sequences=True)(inputs))))


MODELS: dict[str, Callable[[Any], Model]] = {
    "stacked regressor": stacked_regressor,
    "small regressor": small_regressor,
    "relu regressor": relu_regressor,
    "sentiment": sentiment,
    "news topics": news_topics,
    "functional reviews": functional_reviews,
    "masked reviews": masked_reviews,
    "masked series": masked_series,
    "GRU": gru(),
    "GRU, no bias": gru(use_bias=False),
    "GRU, reset before": gru(reset_after=False),
    "GRU, reset before, no bias": gru(reset_after=False, use_bias=False),
    "GRU, relu": gru(activation="relu"),
    "GRU, reset before, elu": gru(reset_after=False, activation="elu"),
    "LSTM both ways, softsign": both_ways("LSTM", "concat", True, activation="softsign", use_bias=False),
    "LSTM both ways, sigmoid": both_ways("LSTM", "ave", False, activation="sigmoid", recurrent_activation="tanh"),
    "LSTM both ways, concat": both_ways("LSTM", "concat", True),
    "LSTM both ways, sum": both_ways("LSTM", "sum", True),
    "LSTM both ways, mul": both_ways("LSTM", "mul", False),
    "GRU both ways, ave": both_ways("GRU", "ave", True),
    "GRU both ways, reset before": both_ways("GRU", "concat", True, reset_after=False),
    "GRU both ways, reset before, last": both_ways("GRU", "concat", False, reset_after=False),
    "RNN both ways, sum": both_ways("SimpleRNN", "sum", False),
    "RNN, tanh": plain_rnn("tanh"),
    "RNN, relu": plain_rnn("relu"),
    "tagger": tagger,
    "scaled": scaled,
    "model in model": model_in_model,
}


def built(keras: Any, name: str) -> Model:
    """The model with weights as strong as trained ones: random, biases and moving statistics too."""
    model, random = MODELS[name](keras), np.random.default_rng(0)
    for layer in model.layers:
        if not layer.name.startswith("normalization"):
            layer.set_weights([_random(random, layer, values.shape) for values in layer.get_weights()])
    return model


def _random(random: np.random.Generator, layer: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A variance is above 0, everything else may be below; a kernel of many inputs has smaller numbers."""
    inputs = shape[0] if len(shape) > 1 and not layer.name.startswith("embedding") else 4
    values = random.uniform(0.4, 2.4, shape) / np.sqrt(max(inputs, 4))
    return values if layer.name.startswith("batch_normalization") else values * random.choice([-1.0, 1.0], shape)


def rows(model: Model, count: int = 5, steps: int = 9) -> np.ndarray:
    """Inputs that fit the model: int64 ids [B, T], never 0, or float32 features [B, T, F]."""
    random = np.random.default_rng(2)
    _, length, *features = model.input_shape
    shape = (count, length or steps, *features)
    return random.normal(size=shape).astype(np.float32) if features else random.integers(1, VOCABULARY, shape)


def saved(model: Model, folder: Path) -> Path:
    path = folder / "model.keras"
    model.save(path)
    return path

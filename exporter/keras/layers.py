"""One layer of Keras -> one PyTorch module with its weights, and the width of what it returns."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from exporter.keras import recurrent
from exporter.keras.chain import Layer, layer

Built = tuple[nn.Module | None, int]
"""A module, None where the layer does nothing in prediction, and the width of its outputs."""
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softmax": lambda: nn.Softmax(-1),
    "log_softmax": lambda: nn.LogSoftmax(-1),
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "hard_sigmoid": nn.Hardsigmoid,
}
USUAL: dict[str, dict[str, tuple[Any, ...]]] = {
    "ReLU": {"max_value": (None,), "negative_slope": (0, None), "threshold": (0, None)},
    "Softmax": {"axis": (-1, None)},
}
"""Options of layers that are activations: what each may be."""
NOTHING_IN_PREDICTION = (
    "Dropout",
    "SpatialDropout1D",
    "GaussianDropout",
    "AlphaDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Identity",
    "Masking",
)
SMALLEST_DEVIATION = 1e-7
"""What Keras divides by at least when it normalises (`keras.config.epsilon()`)."""


class Standardise(nn.Module):
    """(x - shift) * scale + offset, for each feature: float32 [..., F] -> the same shape."""

    def __init__(self, shift: Tensor, scale: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)
        self.register_buffer("offset", offset)

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.shift) * self.scale + self.offset


def build(found: Layer, width: int) -> Built:
    """Raises KerasFileError, naming the layer and what is supported, for a layer that is not."""
    if found.kind in NOTHING_IN_PREDICTION:
        return None, width
    if found.kind not in BUILDERS:
        raise found.refuse(*_unsupported(found))
    try:
        return BUILDERS[found.kind](found, width)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise found.refuse(f"its configuration is not understood ({error!r})", "the file is damaged") from error


def _unsupported(found: Layer) -> tuple[str, str]:
    if found.kind == "Lambda":
        return "it holds code, and code from a model file is never run", "write it with Keras's own layers"
    if found.kind in ("TextVectorization", "StringLookup"):
        advice = "save the model without it, and give its vocabulary to the exporter as the tokenizer"
        return "it reads text, not token ids", advice
    supported = sorted(("InputLayer", *BUILDERS, *NOTHING_IN_PREDICTION))
    return "not supported", f"these are: {', '.join(supported)}"


def embedding(found: Layer, width: int) -> Built:
    rows, columns = found.config["input_dim"], found.config["output_dim"]
    return nn.Embedding.from_pretrained(found.weights.tensor(0, (rows, columns)), freeze=True), columns


def dense(found: Layer, width: int) -> Built:
    """kernel [I, O], bias [O], then the activation."""
    units = found.config["units"]
    kernel = found.weights.tensor(0, (width, units))
    linear = nn.Linear(width, units, bias=found.config["use_bias"])
    linear.weight.data.copy_(kernel.T)
    if linear.bias is not None:
        linear.bias.data.copy_(found.weights.tensor(1, (units,)))
    activation = activation_named(found, found.config["activation"])
    return linear if activation is None else nn.Sequential(linear, activation), units


def activation(found: Layer, width: int) -> Built:
    return activation_named(found, found.config["activation"]), width


def activation_named(found: Layer, name: Any) -> nn.Module | None:
    """None for `linear`. Raises KerasFileError for a function that is not among Keras's own."""
    if name in ("linear", None):
        return None
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise found.refuse(f"activation is {name!r}", f"linear, {', '.join(ACTIVATIONS)} are supported")
    return ACTIVATIONS[name]()


def activation_layer(found: Layer, width: int) -> Built:
    """ReLU, LeakyReLU and Softmax as layers, with the options that their plain functions have."""
    config = found.config
    if found.kind == "LeakyReLU":
        return nn.LeakyReLU(config["negative_slope"]), width
    if changed := [name for name, usual in USUAL[found.kind].items() if config.get(name) not in usual]:
        told = ", ".join(f"{name} is {config[name]!r}" for name in changed)
        raise found.refuse(told, f"only the default of {', '.join(changed)} is supported")
    return ACTIVATIONS[found.kind.lower()](), width


def time_distributed(found: Layer, width: int) -> Built:
    """The same dense layer at every step, which is what it does to [B, T, F] anyway."""
    inner = layer(found.config["layer"], found.weights.inside("layer"))
    if inner.kind not in ("Dense", "Activation", *NOTHING_IN_PREDICTION):
        raise found.refuse(f"it repeats {inner}", "it may repeat Dense, Activation and Dropout")
    return build(inner, width)


def recurrent_layer(found: Layer, width: int) -> Built:
    module = recurrent.recurrent(found, width)
    return module, module.width


def bidirectional(found: Layer, width: int) -> Built:
    names = {"layer": "forward_layer", "backward_layer": "backward_layer"}
    forward, backward = (layer(found.config[key], found.weights.inside(place)) for key, place in names.items())
    if forward.kind not in recurrent.GATES:
        raise found.refuse(f"it reads with {forward}", f"{', '.join(recurrent.GATES)} are supported")
    module = recurrent.bidirectional(found, forward, backward, width)
    return module, module.width


def rescaling(found: Layer, width: int) -> Built:
    scale, offset = (_numbers(found, found.config[name], width) for name in ("scale", "offset"))
    return Standardise(torch.zeros(width), scale, offset), width


def normalization(found: Layer, width: int) -> Built:
    """(x - mean) / deviation, from the configuration or, after `adapt`, from the weights."""
    config = found.config
    if config.get("invert") or list(_listed(config["axis"])) not in ([-1], [2]):
        raise found.refuse("it inverts, or its axis is not the features", "axis=-1 without invert is supported")
    if config.get("mean") is None:
        mean, variance = (found.weights.tensor(number, (width,)) for number in (0, 1))
    else:
        mean, variance = (_numbers(found, config[name], width) for name in ("mean", "variance"))
    return Standardise(mean, 1 / variance.sqrt().clamp_min(SMALLEST_DEVIATION), torch.zeros(width)), width


def batch_normalization(found: Layer, width: int) -> Built:
    """What it does in prediction: the moving mean and variance, which are the last two weights."""
    config = found.config
    if list(_listed(config["axis"])) not in ([-1], [2]):
        raise found.refuse(f"axis is {config['axis']}", "the axis of the features, -1, is supported")
    count = int(config["scale"]) + int(config["center"])
    stored = [found.weights.tensor(number, (width,)) for number in range(count + 2)]
    gamma = stored[0] if config["scale"] else torch.ones(width)
    beta = stored[count - 1] if config["center"] else torch.zeros(width)
    return Standardise(stored[-2], gamma / (stored[-1] + config["epsilon"]).sqrt(), beta), width


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _numbers(found: Layer, value: Any, width: int) -> Tensor:
    """One number for all features, or one for each, as float32 [F]; an array is stored as a small document."""
    if isinstance(value, dict):
        value = value.get("config", {}).get("value")
    numbers = torch.as_tensor(value, dtype=torch.float32).flatten()
    if numbers.numel() not in (1, width):
        raise found.refuse(f"it has {numbers.numel()} numbers for {width} features", "the file is damaged")
    return numbers.expand(width).clone()


BUILDERS: dict[str, Callable[[Layer, int], Built]] = {
    **dict.fromkeys(recurrent.GATES, recurrent_layer),
    "Activation": activation,
    "BatchNormalization": batch_normalization,
    "Bidirectional": bidirectional,
    "Dense": dense,
    "Embedding": embedding,
    **dict.fromkeys(("ReLU", "LeakyReLU", "Softmax"), activation_layer),
    "Normalization": normalization,
    "Rescaling": rescaling,
    "TimeDistributed": time_distributed,
}

"""The layers of a Keras model in the order in which they run: a Sequential, or a Functional without branches.

Models inside of models are opened. A Functional also lists the operations that Keras 3 adds for masks (`NotEqual`,
`Any`); they are recognised and left out, since lengths do here what masks do there.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from exporter.errors import KerasFileError
from exporter.keras.archive import Weights, layer_key

MODELS = ("Sequential", "Functional")
MASK_OPERATIONS = ("NotEqual", "Any")
ONE_CHAIN = "only a chain of layers with one input and one output is read"
HARMLESS_ARGUMENTS = {"mask", "training"}
Node = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """One layer: its class and name in Keras, its configuration, and where its weights are."""

    kind: str
    name: str
    config: dict[str, Any]
    weights: Weights

    def __str__(self) -> str:
        return f"layer {self.name!r} ({self.kind})"

    def refuse(self, problem: str, advice: str) -> KerasFileError:
        return KerasFileError(f"{self}: {problem}; {advice}")


def layer(document: Any, weights: Weights) -> Layer:
    """A layer as config.json describes it. Raises KerasFileError for a layer that is not one of Keras's own."""
    try:
        kind, name, config = document["class_name"], document["config"]["name"], document["config"]
        foreign = str(document["module"]).split(".")[0] != "keras" or ">" in (document["registered_name"] or "")
    except (KeyError, TypeError) as error:
        raise KerasFileError(f"config.json: a layer without a class, a name or a configuration ({error!r})") from error
    found = Layer(str(kind), str(name), config, weights)
    if foreign:
        raise found.refuse("not a layer of Keras, and its code is not in the file", "only layers of Keras are read")
    if weights.name not in (None, "", found.name):
        raise KerasFileError(f"{found}: the weights at that place belong to {weights.name!r}; the file is damaged")
    return found


def layers_in_order(model: Layer) -> Iterator[Layer]:
    """From the input layer on. Raises KerasFileError where the model is not one chain."""
    if model.kind not in MODELS:
        raise model.refuse("not a Sequential or Functional model", "only these tell how their layers are connected")
    documents = model.config.get("layers")
    if not isinstance(documents, list) or not documents:
        raise model.refuse("it has no layers", "give it some")
    found = list(_with_weights(documents, model.weights))
    for each in found if model.kind == "Sequential" else _along_the_path(model, found, documents):
        if each.kind in MODELS:
            yield from layers_in_order(each)
        else:
            yield each


def _with_weights(documents: list[Any], weights: Weights) -> Iterator[Layer]:
    """The weights of a class's second layer have the suffix _1, and so on."""
    seen: Counter[str] = Counter()
    for document in documents:
        kind = str(document.get("class_name")) if isinstance(document, dict) else ""
        if kind in MASK_OPERATIONS:
            yield Layer(kind, str(document.get("name")), {"compared_with": _constant(document)}, weights)
            continue
        key = layer_key(kind)
        place = f"{key}_{seen[key]}" if seen[key] else key
        seen[key] += 1
        yield layer(document, weights.inside("layers", place))


def _along_the_path(model: Layer, found: list[Layer], documents: list[Node]) -> list[Layer]:
    """The layers from the input to the output; every other one must be an operation on a mask."""
    nodes = {each.name: (each, document) for each, document in zip(found, documents, strict=True)}
    path: list[Layer] = []
    name: str | None = _only(model.config.get("output_layers"))
    while name in nodes and len(path) < len(found):
        each, document = nodes[name]
        path.append(each)
        name = None if each.kind == "InputLayer" else _previous(each, document)
    if not path or path[-1].kind != "InputLayer":
        raise model.refuse("its layers do not lead from one output back to one input", ONE_CHAIN)
    masked = [each.config.get("mask_value", 0.0) for each in path]
    for each in found:
        if each not in path and each.config.get("compared_with", each) not in (None, *masked):
            raise each.refuse("it stands beside the chain of the other layers", ONE_CHAIN)
    return path[::-1]


def _constant(document: Node) -> Any:
    """What a mask's NotEqual compares with; None for Any, which joins the features of one step."""
    nodes = document.get("inbound_nodes") or [{}]
    return next((value for value in nodes[0].get("args", ()) if not _is_tensor(value)), None)


def _previous(each: Layer, document: Node) -> str:
    """The name of the one layer whose output this layer takes."""
    nodes = document.get("inbound_nodes") or []
    if len(nodes) != 1 or not isinstance(nodes[0], dict):
        raise each.refuse(f"it is called {len(nodes)} times", ONE_CHAIN)
    arguments, named = nodes[0].get("args", ()), nodes[0].get("kwargs", {})
    given = [value["config"]["keras_history"][0] for value in arguments if _is_tensor(value)]
    if extra := {name for name, value in named.items() if value is not None} - HARMLESS_ARGUMENTS:
        raise each.refuse(f"it takes {', '.join(sorted(extra))} from elsewhere", ONE_CHAIN)
    if named.get("training"):
        raise each.refuse("it behaves as in training when it predicts (training=True)", "call it without")
    if len(arguments) != 1 or len(given) != 1:
        raise each.refuse(f"it takes {len(arguments)} inputs", ONE_CHAIN)
    return given[0]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _only(places: Any) -> str | None:
    """The layer's name in ["name", 0, 0] or [["name", 0, 0]]; None if there are several."""
    while isinstance(places, list) and len(places) == 1:
        places = places[0]
    return places[0] if isinstance(places, list) and places and isinstance(places[0], str) else None

"""Small LSTM networks as ONNX graphs, written node by node: as a bundle of somebody else's model would hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass
class Graph:
    """Nodes and constants, in the order in which they are added."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, outputs: Sequence[str] = (), **attributes: object) -> str:
        """Returns the name of the first output."""
        names = list(outputs) or [f"{operator.lower()}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0]

    def constant(self, values: object, dtype: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name


@dataclass(frozen=True)
class Network:
    """An LSTM and a linear layer: over token ids if there is a vocabulary, else over features."""

    width: int
    vocabulary: int | None = None
    features: int = 1
    hidden: int = 6
    bidirectional: bool = False
    chunkable: bool = True
    per_step: bool = False
    sigmoid: bool = False
    window: int = 1
    """Consecutive steps that the LSTM reads at once: a convolution, so that as many steps are needed."""
    blind: bool = False
    """Reads `lengths` nowhere and answers with the mean over time: right only where nothing is padded."""

    @property
    def state_size(self) -> int:
        return 2 * self.hidden if self.chunkable else 0

    def model(self, seed: int = 0) -> onnx.ModelProto:
        graph, random = Graph(), np.random.default_rng(seed)
        values, width = self._read(graph, random)
        values, lengths, width = self._windows(graph, values, width)
        outputs = self._recur(graph, random, values, lengths, width)
        self._answer(graph, random, outputs)
        return self._model(graph)

    def _read(self, graph: Graph, random: np.random.Generator) -> tuple[str, int]:
        """Values [T, B, I], and I."""
        if self.vocabulary is None:
            return graph.add("Transpose", "inputs", perm=[1, 0, 2]), self.features
        vectors = graph.add("Gather", graph.constant(random.normal(size=(self.vocabulary, 4))), "inputs")
        return graph.add("Transpose", vectors, perm=[1, 0, 2]), 4

    def _windows(self, graph: Graph, values: str, width: int) -> tuple[str, str, int]:
        """Values [T - window + 1, B, window * I], how many of them are valid, and window * I."""
        if self.window == 1:
            return values, "lengths", width
        axis = graph.constant([0], np.int64)
        ends = [*range(1 - self.window, 0), np.iinfo(np.int64).max]
        pieces = [
            graph.add("Slice", values, graph.constant([start], np.int64), graph.constant([end], np.int64), axis)
            for start, end in enumerate(ends)
        ]
        lengths = graph.add("Sub", "lengths", graph.constant([self.window - 1], np.int32))
        return graph.add("Concat", *pieces, axis=2), lengths, width * self.window

    def _recur(self, graph: Graph, random: np.random.Generator, values: str, lengths: str, width: int) -> str:
        """Outputs [B, D * H], or [B, T, D * H] per step."""
        directions, hidden = 1 + self.bidirectional, self.hidden
        weights = [
            graph.constant(random.normal(size=shape) / 2)
            for shape in ((directions, 4 * hidden, width), (directions, 4 * hidden, hidden), (directions, 8 * hidden))
        ]
        start = ["", ""]
        if self.chunkable:
            graph.add("Split", "state", outputs=["h", "c"], axis=1, num_outputs=2)
            start = [graph.add("Unsqueeze", part, graph.constant([0], np.int64)) for part in ("h", "c")]
        graph.add(
            "LSTM",
            values,
            *weights,
            "" if self.blind else lengths,
            *start,
            outputs=["all", "last", "cell"],
            hidden_size=hidden,
            direction="bidirectional" if self.bidirectional else "forward",
        )
        if self.chunkable:
            parts = [graph.add("Squeeze", part, graph.constant([0], np.int64)) for part in ("last", "cell")]
            graph.add("Concat", *parts, outputs=["next_state"], axis=1)
        if self.per_step or self.blind:
            steps = graph.add("Transpose", "all", perm=[2, 0, 1, 3])
            return graph.add("Reshape", steps, graph.constant([0, 0, directions * hidden], np.int64))
        last = graph.add("Transpose", "last", perm=[1, 0, 2])
        return graph.add("Reshape", last, graph.constant([0, directions * hidden], np.int64))

    def _answer(self, graph: Graph, random: np.random.Generator, outputs: str) -> None:
        if self.blind:
            sums = graph.add("CumSum", outputs, graph.constant(1, np.int64))
            last = graph.add("Gather", sums, graph.constant(-1, np.int64), axis=1)
            steps = graph.add("Gather", graph.add("Shape", outputs), graph.constant(1, np.int64), axis=0)
            outputs = graph.add("Div", last, graph.add("Cast", steps, to=TensorProto.FLOAT))
        weights = graph.constant(random.normal(size=((1 + self.bidirectional) * self.hidden, self.width)))
        final = {"outputs": ["outputs"]} if not self.sigmoid else {}
        answer = graph.add("MatMul", outputs, weights, **final)
        if self.sigmoid:
            graph.add("Sigmoid", answer, outputs=["outputs"])

    def _model(self, graph: Graph) -> onnx.ModelProto:
        tokens = self.vocabulary is not None
        kind, shape = (TensorProto.INT64, ["B", "T"]) if tokens else (TensorProto.FLOAT, ["B", "T", self.features])
        inputs = [
            helper.make_tensor_value_info("inputs", kind, shape),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
        ]
        answer = ["B", "S", self.width] if self.per_step else ["B", self.width]
        outputs = [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, answer)]
        if self.chunkable:
            inputs.append(helper.make_tensor_value_info("state", TensorProto.FLOAT, ["B", self.state_size]))
            outputs.append(helper.make_tensor_value_info("next_state", TensorProto.FLOAT, ["B", self.state_size]))
        body = helper.make_graph(graph.nodes, "network", inputs, outputs, graph.constants)
        model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model

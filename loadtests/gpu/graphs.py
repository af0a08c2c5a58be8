"""One LSTM of any size as a step function, to find the size from which a GPU pays."""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = 20
FLOAT = {"fp32": (np.float32, TensorProto.FLOAT), "fp16": (np.float16, TensorProto.FLOAT16)}


def lstm(hidden: int, precision: str = "fp32", seed: int = 0) -> ModelProto:
    """inputs float32 [B, T, hidden], lengths int32 [B], state float32 [B, 2 * hidden] -> the last h, and the state.

    Random weights. Inside, everything is of the given precision.
    """
    dtype, onnx_type = FLOAT[precision]
    random = np.random.default_rng(seed)

    def weights(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((random.normal(size=shape) / np.sqrt(hidden)).astype(dtype), name)

    constants = [weights("W", 1, 4 * hidden, hidden), weights("R", 1, 4 * hidden, hidden), weights("B", 1, 8 * hidden)]
    constants.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    nodes = [
        helper.make_node("Transpose", ["inputs"], ["x32"], perm=[1, 0, 2]),
        helper.make_node("Cast", ["x32"], ["x"], to=onnx_type),
        helper.make_node("Split", ["state"], ["h32", "c32"], axis=1, num_outputs=2),
    ]
    for name in "hc":
        nodes.append(helper.make_node("Cast", [f"{name}32"], [f"{name}16"], to=onnx_type))
        nodes.append(helper.make_node("Unsqueeze", [f"{name}16", "first"], [f"{name}0"]))
    nodes.append(
        helper.make_node("LSTM", ["x", "W", "R", "B", "lengths", "h0", "c0"], ["", "h1", "c1"], hidden_size=hidden)
    )
    nodes.append(helper.make_node("Concat", ["h1", "c1"], ["both"], axis=2))
    nodes.append(helper.make_node("Squeeze", ["both", "first"], ["narrow"]))
    nodes.append(helper.make_node("Cast", ["narrow"], ["next_state"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Split", ["next_state"], ["outputs", "cell"], axis=1, num_outputs=2))
    inputs = [
        helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["batch", "time", hidden]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, ["batch", 2 * hidden]),
    ]
    outputs = [
        helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["batch", hidden]),
        helper.make_tensor_value_info("next_state", TensorProto.FLOAT, ["batch", 2 * hidden]),
    ]
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)

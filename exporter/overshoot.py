"""Where ONNX Runtime's tanh and sigmoid are largest, which is a little above 1.

They are quotients of polynomials, good to a few units in the last place: with onnxruntime 1.31 on x86-64, some cells
between 8.1 and 9 give tanh(c) = 1.0000002, and some gates between 17.4 and 18 give 1.0000001. A hidden unit o * tanh(c)
can therefore leave [-1, 1] by 3.6e-7. A pin of exactly 1 would then not be the largest value of its batch any more, the
scale of that step would change, and with it the answers of all neighbours. So pins sit where both functions peak.
"""

from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

STEEP_END = {"Tanh": (7.0, 10.0), "Sigmoid": (15.0, 20.0)}
"""Below, the functions are clearly under 1; above, they are the same for every argument, since it is clamped."""


@cache
def peak(operator: str) -> tuple[float, float]:
    """An argument at which the function is largest, and its value there. Every float32 of the range is tried."""
    arguments = _floats(*STEEP_END[operator])
    values = _run(operator, arguments)
    place = int(values.argmax())
    return float(arguments[place]), float(values[place])


def largest_hidden() -> float:
    """What no hidden unit of an LSTM exceeds: the product, in float32, of the largest gate and the largest tanh."""
    return float(np.float32(peak("Sigmoid")[1]) * np.float32(peak("Tanh")[1]))


def _floats(start: float, end: float) -> np.ndarray:
    """Every float32 from `start` (above 0) to `end`: their bits, as whole numbers, are consecutive."""
    first, last = (int(np.float32(value).view(np.int32)) for value in (start, end))
    return np.arange(first, last + 1, dtype=np.int32).view(np.float32)


def _run(operator: str, arguments: np.ndarray) -> np.ndarray:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], operator, [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": arguments})[0]

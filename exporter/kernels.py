"""Which int8 kernels this processor has, found out by running one.

The fast product of unsigned inputs and signed weights adds two products at a time. Without the VNNI instructions the
sum of the two is kept in 16 bits, and clipped to 32,767 where it is larger: 255 x 127 x 2 is 64,770.
"""

from functools import cache

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

EXACT_SUMS = "session.x64quantprecision"
"""A session entry of ONNX Runtime. "1": int8 weights become uint8 when a file is loaded, and their kernel has no 16-bit
sums. The answers are then, to the bit, those of a processor with VNNI; where there is VNNI, it is only slower."""
SIZE = 16


@cache
def saturates() -> bool:
    """Whether ONNX Runtime's int8 products are clipped on this processor. Measured once."""
    weights = numpy_helper.from_array(np.full((SIZE, SIZE), 127, np.int8), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["inputs", "weights"], ["sums"])],
        "probe",
        [helper.make_tensor_value_info("inputs", TensorProto.UINT8, [1, SIZE])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [1, SIZE])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"inputs": np.full((1, SIZE), 255, np.uint8)})
    return bool((sums != 255 * 127 * SIZE).any())

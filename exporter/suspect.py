"""Which node of a graph makes a row depend on its batch: the first one whose value differs from the row's alone."""

import numpy as np
import onnx

from exporter.sessions import Rows, StepSession, pad


def suspect(model: bytes, initial_state: np.ndarray, rows: Rows) -> str | None:
    """`operator 'name'` of the first node that gives row 0 other values in a batch than alone; None if none does.

    The rows must be of equal length, so that nothing but the batch differs.
    """
    graph_model = onnx.load_from_string(model)
    producers = {name: node for node in graph_model.graph.node for name in node.output if name}
    known = {output.name for output in graph_model.graph.output}
    graph_model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in producers if name not in known
    )
    session = StepSession(graph_model.SerializeToString(), initial_state)
    together, single = (session.everything(*pad(part)) for part in (rows, rows[:1]))
    for name, node in producers.items():
        if _differs(together[name], single[name]):
            return f"{node.op_type} {name!r}"
    return None


def _differs(together: np.ndarray, single: np.ndarray) -> bool:
    """Whether the first row of a batch, along whichever axis is the batch, has other bits than the row alone."""
    axes = [axis for axis, (many, one) in enumerate(zip(together.shape, single.shape, strict=True)) if many != one]
    return len(axes) == 1 and np.take(together, [0], axes[0]).tobytes() != single.tobytes()

"""Why a way to export a module failed in PyTorch's or ONNX Runtime's hands, for people."""

import re

NODE = re.compile(r"while running (\w+) node")
INTERNALS = re.compile(
    r"^.*(?:Status Message: |\[ONNXRuntimeError\] : \d+ : \w+ : )(?:/\S+:\d+ .*? was false\. |/\S+:\d+ )?"
)
"""All that stands before the reason: a code, a node, a place in the source and what was claimed there."""


def told(error: BaseException) -> str:
    """The first sentence of what went wrong first."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else "no message"
    if type(error).__module__.startswith("onnxruntime"):
        node = NODE.search(first)
        return f"ONNX Runtime cannot run its graph: {f'{node[1]}: ' if node else ''}{INTERNALS.sub('', first)}"
    why = "an `if` on the values of a tensor, " if "data-dependent" in first else ""
    return f"it cannot be traced: {why}{type(error).__name__}: {first}"

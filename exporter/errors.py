"""Why nothing was published.

ExportError
├── GraphError           the network cannot become a graph that is served
├── QuantizationError    the quantized graph is not what was asked for
└── CheckFailed          a check of the graph: which one, and by how much
"""


class ExportError(Exception):
    """The base of all of them; the message is one sentence for people."""


class GraphError(ExportError):
    """The network cannot become a graph that is served."""


class QuantizationError(ExportError):
    """The quantized graph is not what was asked for."""


class CheckFailed(ExportError):
    """A check that a graph did not pass."""

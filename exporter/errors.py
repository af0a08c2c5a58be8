"""Why nothing was published.

ExportError
├── ForeignError         a module that was not written for the exporter, or what was said about it, does not fit
├── GraphError           the network cannot become a graph that is served
├── KerasFileError       the .keras file cannot be read, or holds something that PyTorch cannot express
├── QuantizationError    the quantized graph is not what was asked for
└── CheckFailed          a check of the graph: which one, and by how much
"""


class ExportError(Exception):
    """The base of all of them; the message is one sentence for people."""


class ForeignError(ExportError):
    """A module that was not written for the exporter, or what was said about it, does not fit."""


class GraphError(ExportError):
    """The network cannot become a graph that is served."""


class KerasFileError(ExportError):
    """The .keras file cannot be read, or holds something that PyTorch cannot express."""


class QuantizationError(ExportError):
    """The quantized graph is not what was asked for."""


class CheckFailed(ExportError):
    """A check that a graph did not pass."""

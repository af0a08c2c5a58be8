"""`load` reads a `.keras` file of recurrent layers into plain PyTorch, without Keras and without TensorFlow.

`archive` reads the file, `chain` puts its layers in order, `layers` and `recurrent` build one layer each with its
weights, and `model` joins them.
"""

from exporter.keras.model import KerasModel, load

__all__ = ["KerasModel", "load"]

"""Graphs that several files of tests need are made once in a run, whose processes share a folder."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx

folder: Path | None = None
"""Set for the time of a run."""


def once(name: str, make: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    """The graph of this name: read if a process of this run has made it already."""
    if folder is None:
        return make()
    path = folder / f"{name}.onnx"
    if not path.exists():
        part = folder / f"{name}.{os.getpid()}"
        part.write_bytes(make().SerializeToString())
        part.replace(path)
    return onnx.ModelProto.FromString(path.read_bytes())

"""Where in somebody else's code an operation was called."""

import linecache
import sys
from pathlib import Path
from types import FrameType

OURS = ("exporter.", "torch.", "training.", "contextlib", "unittest.")


def calling_line() -> str:
    """`file.py:31: code` of the nearest caller that belongs neither to PyTorch nor to the exporter; "" if none does."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not f"{module}.".startswith(OURS):
            code = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}: {code}" if code else ""
        frame = frame.f_back
    return ""

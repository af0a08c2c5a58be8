"""Checkpoints to verified ONNX bundles: `python -m exporter <checkpoint> --out models/<name>/<version>`."""

import os

# Read by ONNX Runtime when it is imported, which happens in this package's modules only after this line.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

"""The precisions of a network: what each promises, where it runs, and how its graph comes from the fp32 one."""

from collections.abc import Mapping
from types import MappingProxyType

import onnx

from exporter.half import half, why_not_half
from exporter.quantize import quantized
from exporter.weight_only import large_weights, weight_only
from models.manifest import Device, Precision

CONTRACTS: dict[Precision, str] = {
    "fp32": (
        "The trained network: its outputs are those of the reference up to rounding, and on the CPU an answer is the "
        "same to the bit {ways}; on CUDA it is close, not equal."
    ),
    "int8": (
        "The products of the LSTM are computed in 8 bits at constant ranges: on the CPU an answer is the same to the "
        "bit {ways}; how far it lies from fp32 is measured, not bounded."
    ),
    "int8-weights": (
        "Large weights are stored in 8 bits, and computed with in float32: a smaller file with fp32's speed and fp32's "
        "exactness; how far its answers lie from fp32 is measured, not bounded."
    ),
    "fp16": (
        "For CUDA only: the recurrent layers and their embeddings compute in float16, everything else, the state "
        "included, in float32; answers are close to fp32, and may differ in the last bits from batch to batch."
    ),
}
"""What is promised, and what is not; `{ways}` are those that a network can be run in."""
DEVICES: dict[Precision, tuple[Device, ...]] = {
    "fp32": ("cpu", "cuda"),
    "int8": ("cpu",),
    "int8-weights": ("cpu", "cuda"),
    "fp16": ("cuda",),
}
"""ONNX Runtime's int8 LSTM exists on the CPU only, its float16 recurrent layers on CUDA only."""
SMALL_WEIGHTS = "its weights are so small that 8 bits and their scales would save nothing"


def contract(
    precision: Precision,
    clamped: Mapping[str, float] = MappingProxyType({}),
    padding: bool = True,
    chunkable: bool = True,
) -> str:
    """What is promised of a precision of a network that allows padding, or chunks, or not.

    `clamped` are the bounds at which the inputs of layers are clamped, by the layers' names.
    """
    ways = ["alone", "in company", *["padded"] * padding, *["in chunks"] * chunkable]
    promised = CONTRACTS[precision].format(ways=f"{', '.join(ways[:-1])} and {ways[-1]}")
    bounds = " and ".join(f"what {layer} reads at ±{bound:.4g}" for layer, bound in clamped.items())
    told = f" It clamps {bounds} (after scaling), and beyond that its answers are not the network's." if bounds else ""
    return promised + told


def why_not(fp32: onnx.ModelProto) -> dict[Precision, str]:
    """The precisions that a graph cannot have, with the reason; whether it can be pinned is its source's to say."""
    reasons: dict[Precision, str] = {}
    if not large_weights(fp32.graph):
        reasons["int8-weights"] = SMALL_WEIGHTS
    if without_half := why_not_half(fp32):
        reasons["fp16"] = without_half
    return reasons


def variants(
    fp32: onnx.ModelProto, pinned: bool, bounds: Mapping[str, float] = MappingProxyType({})
) -> dict[Precision, onnx.ModelProto]:
    """The graph of every precision that can be had, fp32 included. Raises QuantizationError.

    `pinned` says whether the graph has the pinned units that an int8 LSTM needs; only then there is an int8 graph.
    `bounds` are where that one clamps its inputs (see `exporter.quantize.quantized`); no other does.
    """
    missing = why_not(fp32)
    models: dict[Precision, onnx.ModelProto] = {"fp32": fp32}
    if pinned:
        models["int8"] = quantized(fp32, bounds=bounds)
    if "int8-weights" not in missing:
        models["int8-weights"] = weight_only(fp32)
    if "fp16" not in missing:
        models["fp16"] = half(fp32)
    return models

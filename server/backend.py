"""The only place in the server that imports onnxruntime."""

import os
from functools import cache
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime

from models.manifest import Device

EXACT_SUMS = "session.x64quantprecision"
ERROR = 3
"""The least severe line that the runtime logs."""

PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class DeviceUnavailable(Exception):
    """The device that was asked for cannot run anything here, said in one sentence."""


class OnnxBackend:
    """A step function in ONNX Runtime.

    One intra-op thread unless told otherwise: networks of this size only lose by more, and the pool would otherwise be
    sized from the host, not from the container's quota.
    """

    def __init__(self, path: Path, device: Device = "cpu", threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        options.add_session_config_entry(EXACT_SUMS, str(int(int8_saturates())))
        options.log_severity_level = ERROR
        self.device = device
        self.session = onnxruntime.InferenceSession(path, options, providers=_providers(device))
        self._names = {node.name for node in self.session.get_inputs()}

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """inputs [B, T, ...], lengths int32 [B], state float32 [B, S] -> (outputs, next state); S may be 0."""
        if "state" not in self._names:
            (outputs,) = self.session.run(None, {"inputs": inputs, "lengths": lengths})
            return outputs, state
        outputs, next_state = self.session.run(None, {"inputs": inputs, "lengths": lengths, "state": state})
        return outputs, next_state

    def nodes_by_provider(self) -> dict[str, int]:
        """How many nodes of the optimized graph each execution provider runs."""
        assigned = self.session.get_provider_graph_assignment_info()
        counts: dict[str, int] = {}
        for part in assigned:
            counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
        return counts


def _providers(device: Device) -> list:
    if device == "cpu":
        return [PROVIDERS["cpu"]]
    return [(PROVIDERS["cuda"], {"use_tf32": "0"}), PROVIDERS["cpu"]]


@cache
def int8_saturates() -> bool:
    """Whether the fast int8 kernels clip their sums on this processor, as they do without VNNI; runs one to find out.

    Their answers are then further from fp32 than the exporter measured. With EXACT_SUMS the runtime takes other
    kernels, whose answers are, to the bit, those of a processor with VNNI, but which are no faster than fp32.
    """
    session = onnxruntime.InferenceSession(_PRODUCT, providers=[PROVIDERS["cpu"]])
    (sums,) = session.run(None, {"a": np.full((16, 16), 255, np.uint8), "b": np.full((16, 16), 127, np.int8)})
    return bool((sums != 16 * 255 * 127).any())


def choose_device(wanted: str) -> Device:
    """`auto`, `cpu` or `cuda` -> the device to use. Raises DeviceUnavailable for `cuda` where CUDA does not work."""
    if wanted == "cpu":
        return "cpu"
    if problem := cuda_problem():
        if wanted == "cuda":
            raise DeviceUnavailable(
                f"device is 'cuda', but {problem}; use device 'auto' or 'cpu' to run on the processor"
            )
        return "cpu"
    return "cuda"


def cuda_problem() -> str | None:
    """Why CUDA cannot be used; None if a tiny graph really runs on it."""
    if PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        return "this onnxruntime has no CUDA support (install onnxruntime-gpu in place of onnxruntime)"
    onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(_PROBE, options, providers=[PROVIDERS["cuda"]])
    except Exception as error:
        return f"CUDA does not start ({str(error).splitlines()[0]})"
    if PROVIDERS["cuda"] not in session.get_providers():
        return "the CUDA libraries or the GPU's driver could not be loaded"
    session.run(None, {"x": np.zeros(1, np.float32)})
    return None


# Two ONNX models, written out so that the server needs no onnx package: y = -x for one float32, and the product of two
# matrices of 16 x 16, uint8 and int8.
_PROBE = bytes.fromhex(
    "08083a320a0b0a017812017922034e65671201705a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a02080142040a001011"
)
_PRODUCT = bytes.fromhex(
    "080812003a5c0a180a01610a0162120179220d4d61744d756c496e74656765721201705a130a0161120e0a0c080212080a0208100a0208105a13"
    "0a0162120e0a0c080312080a0208100a02081062130a0179120e0a0c080612080a0208100a02081042040a001014"
)

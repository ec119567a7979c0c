"""Which providers really start here: each one has to run a tiny graph, and the session's own word counts."""

from edgewright.runtime.graphs.providers import (
    CPU,
    CUDA,
    load_onnxruntime,
    nvidia_driver_present,
    quiet_cuda_start,
    reason_of,
)

PROBE_GRAPH = (
    b'\x08\x08:5\n\x0e\n\x01x\n\x01x\x12\x01y"\x03Add\x12\x01pZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)
"""The ONNX graph y = x + x on one float32, so that a probe needs neither a file nor the onnx package."""


def probe_providers() -> list[tuple[str, bool, str]]:
    """Name, whether it starts, and why not, of each provider that the installed ONNX Runtime was built with.

    Raises `MachineError` when ONNX Runtime is not installed.
    """
    import numpy as np

    onnxruntime = load_onnxruntime()
    found = []
    for name in onnxruntime.get_available_providers():
        if name == CUDA and not nvidia_driver_present():
            found.append((name, False, "no NVIDIA driver on this machine"))
            continue
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            with quiet_cuda_start(onnxruntime):
                session = onnxruntime.InferenceSession(
                    PROBE_GRAPH, options, providers=list(dict.fromkeys((name, CPU))), enable_fallback=0
                )
            runs_on = session.get_providers()[0]
            if runs_on != name:
                found.append((name, False, f"the session runs on {runs_on}"))
                continue
            answer = session.run(None, {"x": np.ones(1, np.float32)})[0]
        except Exception as error:
            found.append((name, False, _reason(error)))
            continue
        right = answer.tolist() == [2.0]
        found.append((name, right, "" if right else f"1 + 1 gave {answer.tolist()[0]}"))
    return found


def _reason(error: BaseException) -> str:
    sentence = reason_of(error)
    return sentence if len(sentence) <= 120 else f"{sentence[:117]}..."

"""Switches ONNX Runtime's telemetry off.

From 1.29 on it would keep a device id and a queue of events in the user's cache folder, and report them.
"""

import os

SWITCH = "ORT_DISABLE_TELEMETRY"


def switch_telemetry_off() -> None:
    """Set what ONNX Runtime reads while it is imported, so before that. A value of the user's own stays.

    Processes started later inherit it.
    """
    os.environ.setdefault(SWITCH, "1")

"""From a torch model to a judged bundle: export, precisions, verdict, blame ladder."""

from edgewright.runtime.telemetry import switch_telemetry_off

switch_telemetry_off()  # before any module here imports onnxruntime, or something that does

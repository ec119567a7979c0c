"""From your data to a trained torch model, and the command line over all of edgewright."""

from edgewright.runtime.telemetry import switch_telemetry_off

switch_telemetry_off()  # before any module here imports onnxruntime, or something that does

"""Side-by-side measurements, one script per claim of the README."""

from edgewright.runtime.telemetry import switch_telemetry_off

switch_telemetry_off()  # before any module here imports onnxruntime, or something that does

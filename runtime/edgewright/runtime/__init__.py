"""Runs a bundle on a device: numpy, Pillow and ONNX Runtime, never torch.

```python
from edgewright.runtime import Engine

Engine("bundle")("photo.jpg").label
```
"""

from edgewright.runtime.bundle.opening import Bundle, open_bundle
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import BundleError, EdgewrightError, InputError, MachineError, ProviderError
from edgewright.runtime.selftest import SelfTestRow, selftest
from edgewright.runtime.series.settings import Series
from edgewright.runtime.streams.group import StreamGroup
from edgewright.runtime.streams.state import StreamState
from edgewright.runtime.streams.stream import Stream
from edgewright.runtime.telemetry import switch_telemetry_off
from edgewright.runtime.text.raw import Question, TextPair, Words

__all__ = [
    "Bundle",
    "BundleError",
    "EdgewrightError",
    "Engine",
    "InputError",
    "MachineError",
    "ProviderError",
    "Question",
    "SelfTestRow",
    "Series",
    "Stream",
    "StreamGroup",
    "StreamState",
    "TextPair",
    "Words",
    "open_bundle",
    "selftest",
]

# Nothing above imports onnxruntime, and no other module of the package is imported before this file has run.
switch_telemetry_off()

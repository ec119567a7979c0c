"""Runs a bundle on a device: numpy, Pillow and ONNX Runtime, never torch.

```python
from edgewright.runtime import Engine

Engine("bundle")("photo.jpg").label
```
"""

from edgewright.runtime.bundle import Bundle, open_bundle
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import (
    BundleError,
    EdgewrightError,
    InputError,
    MachineError,
    ProviderError,
)
from edgewright.runtime.selftest import SelfTestRow, selftest

__all__ = [
    "Bundle",
    "BundleError",
    "EdgewrightError",
    "Engine",
    "InputError",
    "MachineError",
    "ProviderError",
    "SelfTestRow",
    "open_bundle",
    "selftest",
]

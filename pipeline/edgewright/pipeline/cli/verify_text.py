"""How a self-test and a ladder read on the terminal."""

from collections.abc import Sequence
from typing import Any

from edgewright.pipeline.cli.output import table

__all__ = ["ladder_text", "selftest_text"]

"""What the device half of a task has to know of the data; it is fitted on the training part."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fitted:
    """The settings of a task's device half, and its assets: role to content. No settings: the model brings its own.

    `notes` are sentences for the user.
    """

    settings: Any = None
    assets: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

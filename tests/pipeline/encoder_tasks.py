"""The tasks of encoders, entered where a recipe looks for tasks, for tests that do not need all of the pipeline."""

import contextlib
from collections.abc import Iterator
from unittest import mock

from edgewright.pipeline.recipe_rules import ENCODER_TASK_RULES, TASK_RULES
from edgewright.pipeline.tasks.metric_names import ENCODER_TASK_METRICS, TASK_METRICS
from edgewright.runtime.tasks import TASKS
from tests.runtime.encoder_bundle import DEVICE_TASKS

__all__ = ["encoder_tasks"]


@contextlib.contextmanager
def encoder_tasks() -> Iterator[None]:
    """Recipes may name every task of an encoder, and the device half of each is found."""
    with (
        mock.patch.dict(TASK_RULES, ENCODER_TASK_RULES),
        mock.patch.dict(TASK_METRICS, ENCODER_TASK_METRICS),
        mock.patch.dict(TASKS, DEVICE_TASKS),
    ):
        yield

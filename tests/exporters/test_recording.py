"""What graphs are given: all rows of a sample in one batch, and nothing of what belongs to all samples."""

import numpy as np
import pytest

from edgewright.exporters.recording import Recorder, recorded
from tests.answering import FunctionGraphs
from tests.runtime.encoder_bundle import CASES, case


@pytest.mark.parametrize("name", CASES)
def test_the_rows_of_a_sample_are_recorded_together(name: str) -> None:
    example = case(name)
    task = example.device_task()
    graphs = FunctionGraphs(example.net.run, rows=1)
    for raw in example.raws:
        sample = task.encode(raw)
        found = recorded(task, sample, graphs)
        assert list(found) == ["model"] and len(found["model"]) == 1
        wanted = task.collate(task.windows(sample))
        assert all(np.array_equal(found["model"][0][key], value) for key, value in wanted.items())


def test_what_is_done_once_is_not_recorded_and_has_the_limits_of_the_graphs() -> None:
    graphs = FunctionGraphs(lambda inputs: inputs, rows=3)
    recorder = Recorder(graphs)
    inputs = {"x": np.zeros((2, 1), np.float32)}
    limits = recorder.once("labels", lambda: (recorder.run("model", inputs), recorder.limits)[1])
    assert limits == graphs.limits and recorder.inputs == {}
    recorder.run("model", inputs)
    assert recorder.limits.rows > 1000 and len(recorder.inputs["model"]) == 1

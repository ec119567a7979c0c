"""The streaming measurements measure what they say: the same model on both sides, and answers that are made."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import streaming, streaming_memory
from benchmarks.recurrent_subjects import (
    FEATURES,
    PlainStep,
    RecurrentSubject,
    make_audio_subject,
    make_sensor_subject,
)
from edgewright.runtime import Engine


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> RecurrentSubject:
    return make_sensor_subject("lstm", 16, tmp_path_factory.mktemp("subject"), ("fp32", "int8-dynamic"))


def test_the_bare_side_runs_the_graph_that_a_stream_runs(subject: RecurrentSubject) -> None:
    bare = streaming.BareStep(subject.bundle)
    bare.burst()
    found = bare.outputs["prediction"].numpy()
    with Engine(subject.bundle, "fp32", "cpu", cache=False) as engine, engine.stream() as stream:
        mean = np.full(FEATURES, 0.1)  # what the settings turn into the zeros that the bare side was fed
        wanted = [stream.outputs(mean)[0] for _ in range(streaming.BURST)][-1]
    assert np.allclose(found.ravel(), wanted.ravel(), atol=1e-5)


def test_a_look_makes_the_answer(subject: RecurrentSubject) -> None:
    seen: list[float] = []
    with Engine(subject.bundle, "int8-dynamic", "cpu", cache=False) as engine, engine.stream() as stream:

        class Noted:
            def __call__(self, row: np.ndarray) -> object:
                answer = stream.push(row)
                seen.append(float(answer.last[0]))
                return answer

        streaming.pushes_and_looks(Noted(), streaming._steps())()
    assert len(set(seen)) == streaming.BURST


def test_torch_s_step_carries_its_state() -> None:
    step = PlainStep("gru", 8)
    assert step().item() != step().item()


def test_what_grows_between_the_warm_up_and_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert streaming_memory.MINUTES * 60 * streaming_memory.RATE // streaming_memory.CHUNK == 6000
    monkeypatch.setattr(streaming_memory, "MINUTES", 1)
    monkeypatch.setattr(streaming_memory, "WARM_UP", 10.0)
    looks = iter((1000, 1060))
    monkeypatch.setattr(streaming_memory, "resident_kb", lambda: next(looks))
    assert streaming_memory.push_minutes(make_audio_subject("gru", 8, tmp_path).bundle) == 60
    assert next(looks, None) is None

"""Streams: equal to the whole sequence however the steps arrive, kept, restored, and never harmed by a bad piece."""

import dataclasses
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.runtime import Engine, Series, Stream, open_bundle
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.errors import BundleError, InputError, MachineError
from edgewright.runtime.series.settings import SeriesSettings
from edgewright.runtime.tasks.sequence_regression import Prediction
from tests.messages import refused
from tests.runtime.recurrent_bundle import (
    FEATURES,
    SETTINGS,
    STREAMING,
    Case,
    case,
    make_recurrent_bundle,
    series_values,
)
from tests.runtime.recurrent_graphs import Net
from tests.runtime.small_bundle import with_graph, write_manifest
from tests.runtime.streams.stream_helpers import engine_of


@pytest.fixture
def regression(tmp_path: Path) -> Engine:
    return engine_of(tmp_path, case("sequence-regression"))


def test_a_thousand_steps_equal_the_whole_sequence(regression: Engine) -> None:
    values = series_values(1000)
    whole = regression(values)
    with regression.stream() as stream:
        stepped = np.array([stream.push(row).last for row in values])
    np.testing.assert_allclose(stepped, whole.values, rtol=1e-5, atol=1e-5)
    assert len(stepped) == 1000 and stepped.std() > 0.1


def test_every_prefix_of_a_classified_series(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("sequence-classification"))
    values = series_values(60)
    wholes = engine([values[: step + 1] for step in range(60)])
    with engine.stream() as stream:
        for row, whole in zip(values, wholes, strict=True):
            assert stream.push(row).probabilities == pytest.approx(whole.probabilities, rel=1e-4)


def as_list(row: NDArray[Any]) -> Any:
    return row.tolist()


def as_mapping(row: NDArray[Any]) -> Any:
    return dict(zip(reversed(FEATURES), reversed(row.tolist()), strict=True))


def as_series(row: NDArray[Any]) -> Any:
    return Series(row[np.newaxis, ::-1], tuple(reversed(FEATURES)))


def as_float32(row: NDArray[Any]) -> Any:
    return row.astype(np.float32)


def as_block(row: NDArray[Any]) -> Any:
    return row[np.newaxis]


def as_strided(row: NDArray[Any]) -> Any:
    return np.repeat(row, 2)[::2]


def as_objects(row: NDArray[Any]) -> Any:
    return np.array(row.tolist(), object)


@pytest.mark.parametrize(
    "form", [as_list, as_mapping, as_series, as_float32, as_block, as_strided, as_objects]
)
def test_every_form_of_a_step(regression: Engine, form: Callable[[NDArray[Any]], Any]) -> None:
    # Whole numbers, so that float32 holds them too.
    values = np.round(series_values(9))
    expected = regression(values)
    for mixed in (False, True):
        with regression.stream() as stream:
            for step, row in enumerate(values):
                answer = stream.push(row if mixed and step % 2 else form(row))
                np.testing.assert_allclose(answer.last, expected.values[step], rtol=1e-6)


def test_blocks_of_any_size(regression: Engine) -> None:
    values = series_values(40)
    expected = regression(values).values
    with regression.stream() as stream:
        answers = [stream.push(values[start : start + 8]) for start in range(0, 40, 8)]
        np.testing.assert_allclose([answer.last for answer in answers], expected[7::8], rtol=1e-5)
        stream.reset()
        every = stream.push_all(values)
        np.testing.assert_allclose([answer.last for answer in every], expected, rtol=1e-5)
        assert stream.push(values[:0]) is None and stream.push_all(values[:0]) == []


def test_a_single_feature(tmp_path: Path) -> None:
    settings = SeriesSettings(("heat",), (20.0,), (5.0,), ("y",), (1.0,), (2.0,))
    example = Case("sequence-regression", settings, Net(1, 6, 1, per_step=True), (), ())
    engine = engine_of(tmp_path, example)
    values = series_values(5, columns=1)
    expected = engine(values).values
    with engine.stream() as stream:
        stream.push(values[0, 0])
        stream.push([values[1, 0]])
        stream.push(float(values[2, 0]))
        found = stream.push_all(values[3:, 0])
    np.testing.assert_allclose([answer.last for answer in found], expected[3:], rtol=1e-5)


@pytest.mark.parametrize("task", STREAMING)
def test_reset_begins_anew(tmp_path: Path, task: str) -> None:
    example = case(task)
    engine = engine_of(tmp_path, example)
    with engine.stream() as stream:
        first = [stream.push(piece) for piece in engine.task.pieces(example.raws[0])]
        stream.reset()
        again = [stream.push(piece) for piece in engine.task.pieces(example.raws[0])]
    assert first == again and first[-1] is not None


def test_streams_do_not_touch_each_other(regression: Engine) -> None:
    values = [series_values(20, seed) for seed in range(4)]
    expected = [regression(value).values for value in values]
    streams = [regression.stream() for _ in values]
    for step in range(20):
        for stream, value, whole in zip(streams, values, expected, strict=True):
            np.testing.assert_allclose(stream.push(value[step]).last, whole[step], rtol=1e-5)


def test_streams_in_threads(regression: Engine) -> None:
    values = [series_values(200, seed) for seed in range(8)]
    expected = [regression(value).values for value in values]
    wrong: list[int] = []

    def work(number: int) -> None:
        with regression.stream() as stream:
            found = [stream.push(row).last for row in values[number]]
        if not np.allclose(found, expected[number], rtol=1e-5):
            wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (np.array([1.0, 2.0]), "the step has 2 values: give one for each of the 3 features"),
        ([1.0, 2.0, 3.0, 4.0], "the step has 4 values: give one for each of the 3 features"),
        (np.zeros((2, 4)), "has 4 columns, the model takes 3"),
        (np.zeros((1, 1, 3)), "the array is 1x1x3"),
        (np.array([1.0, np.nan, 3.0]), "the column 'load' has no value in row 1"),
        (np.array([np.inf, 2.0, 3.0]), "the column 'heat' is infinite in row 1"),
        (np.array([1.0, 2.0, -np.inf], np.float32), "the column 'speed' is infinite in row 1"),
        (np.array([1e300, 2.0, 3.0]), "too large for the scale of the training data"),
        (np.array([1e40, 2.0, 3.0]), "too large for the scale of the training data"),
        (np.array(["1", "2", "3"]), "not numbers"),
        ([1.0, "high", 3.0], "holds 'high' where a number is needed"),
        ([1.0, [2.0], 3.0], "has 1 columns, the model takes 3|row 2"),
        ({"heat": 1.0, "load": 2.0}, "has no column 'speed'"),
        ({"heat": 1.0, "load": 2.0, "sped": 3.0}, "is 'sped' meant"),
        ({"heat": 1.0, "load": 2.0, "speed": 3.0, "more": 4.0}, "has the column 'more'"),
        ({"heat": 1.0, "load": [2.0, 3.0], "speed": 3.0}, "'load' has 2 values where 1 are needed"),
        (None, "cannot read a series from NoneType"),
        (5.0, "the step has 1 values"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], "row 2 has 2 values, row 1 has 3"),
    ],
)
def test_bad_pieces_change_nothing(regression: Engine, piece: Any, message: str) -> None:
    values = series_values(6)
    expected = regression(values).values
    with regression.stream() as stream:
        for step, row in enumerate(values):
            with pytest.raises(InputError, match=message) as caught:
                stream.push(piece)
            assert "\n" not in str(caught.value)
            np.testing.assert_allclose(stream.push(row).last, expected[step], rtol=1e-5)


def test_a_bad_row_in_a_block(regression: Engine) -> None:
    values = series_values(6)
    expected = regression(values).values
    bad = values.copy()
    bad[4, 1] = np.nan
    with regression.stream() as stream:
        with refused(InputError):
            stream.push_all(bad)
        np.testing.assert_allclose(stream.push(values).last, expected[-1], rtol=1e-5)


def test_a_closed_stream(regression: Engine) -> None:
    with regression.stream() as stream:
        stream.push(series_values(1)[0])
    for use in (
        lambda: stream.push(series_values(1)[0]),
        lambda: stream.push_all(series_values(1)),
        lambda: stream.outputs(series_values(1)),
        stream.reset,
        stream.state,
    ):
        with refused(InputError):
            use()


def test_models_without_a_streaming_form(tmp_path: Path, bundle: Path) -> None:
    for engine in (engine_of(tmp_path, case("text-classification")), Engine(bundle, provider="cpu")):
        for begin in (engine.stream, lambda engine=engine: engine.streams(3)):
            with refused(InputError):
                begin()


def test_a_closed_engine_begins_no_stream(regression: Engine) -> None:
    regression.close()
    with refused(InputError):
        regression.stream()


def test_a_step_that_fails_to_run(regression: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = regression.stream()
    row = series_values(1)[0]
    stream.push(row)
    bound = stream._runner.bound

    def fail(binding: Any, options: Any) -> None:
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : an operator failed")

    broken = dataclasses.replace(bound, run=fail)
    stream.push = stream._front.quick(broken, stream._push)
    with refused(MachineError):
        stream.push(row)
    stream._runner.bound = broken
    with refused(MachineError):
        stream.push([1.0, 2.0, 3.0])


def test_a_step_graph_that_does_not_fit(tmp_path: Path) -> None:
    example = case("sequence-regression")
    root = make_recurrent_bundle(tmp_path / "b", example)
    manifest = open_bundle(root).manifest
    assert manifest.streaming is not None
    Net(3, 9, 2, per_step=True).write_step(root / "onnx" / "step.onnx")
    write_manifest(root, manifest)
    with refused(BundleError):
        Engine(root, provider="cpu").stream()
    example.net.write_step(root / "onnx" / "step.onnx")

    def changed(**parts: Any) -> Manifest:
        return with_graph(manifest, "step", **parts)

    for parts, message in (
        ({"outputs": manifest.graphs["model"].outputs}, "must have an output 'prediction'"),
        ({"inputs": manifest.graphs["model"].inputs}, "the step graph has an input 'lengths'"),
        ({"states": manifest.streaming.states[:1]}, "has an input 'state_1'"),
    ):
        write_manifest(root, changed(**parts))
        with pytest.raises(BundleError, match=message):
            Engine(root, provider="cpu").stream()


def test_streams_leave_no_memory_behind(regression: Engine) -> None:
    """Ten thousand steps allocate nothing that stays, on the quick way and on the other."""
    import tracemalloc

    values = series_values(2500)
    rows = list(values)
    with regression.stream() as stream:

        def burst() -> None:
            for row in rows:
                stream.push(row)
            stream.push(values)

        burst()
        gc.collect()
        tracemalloc.start()
        burst()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        burst()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert after - before < 4096


def test_the_public_names() -> None:
    assert Stream.__doc__ and SETTINGS.features == FEATURES
    one, zero = np.ones(1), np.zeros(1)
    assert Prediction(("y",), np.ones((1, 1)), zero, one) == Prediction(("y",), zero, one, one)
    assert Prediction(("y",), np.ones((1, 1)), zero, one) != Prediction(("y",), np.ones((1, 1)), one, one)


def test_labels_with_half_a_character_stream_too(tmp_path: Path) -> None:
    """They are odd, and a manifest may hold them."""
    bundle = make_recurrent_bundle(tmp_path / "bundle", case("sequence-classification"))
    manifest = open_bundle(bundle).manifest
    labels = (*manifest.labels[:-1], "half \ud83d")
    write_manifest(bundle, dataclasses.replace(manifest, labels=labels))
    with Engine(bundle, cache=False).stream() as stream:
        assert stream.push(series_values(1)[0]).names == labels
        assert stream.state().arrays

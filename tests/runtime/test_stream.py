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
from safetensors.numpy import load_file, save_file

from edgewright.runtime import Engine, Series, Stream, open_bundle
from edgewright.runtime.errors import BundleError, InputError, MachineError
from edgewright.runtime.manifest import Manifest
from edgewright.runtime.series import SeriesSettings
from edgewright.runtime.tasks.classification import Classification
from edgewright.runtime.tasks.sequence_regression import Prediction
from tests.runtime.recurrent_bundle import (
    FEATURES,
    FORECAST,
    REGRESSION,
    SETTINGS,
    STREAMING,
    Case,
    case,
    forecast_series,
    make_recurrent_bundle,
    series_values,
    sound,
)
from tests.runtime.recurrent_graphs import Net
from tests.runtime.small_bundle import write_manifest


def engine_of(root: Path, example: Case) -> Engine:
    return Engine(make_recurrent_bundle(root / example.task, example), provider="cpu")


def with_settings(task: str, settings: SeriesSettings) -> Case:
    return dataclasses.replace(case(task), settings=settings, raws=())


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
        first = [stream.push(piece) for piece in engine.task.pieces(example.raws[0])]  # type: ignore[attr-defined]
        stream.reset()
        again = [stream.push(piece) for piece in engine.task.pieces(example.raws[0])]  # type: ignore[attr-defined]
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


def test_answers_keep_their_values(regression: Engine) -> None:
    """An answer that nobody has looked at yet must not change with the steps that come after it."""
    values = series_values(10)
    expected = regression(values).values
    with regression.stream() as stream:
        answers = [stream.push(row) for row in values]
    np.testing.assert_allclose([answer.last for answer in answers], expected, rtol=1e-5)


def test_late_answers_are_ordinary_ones(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("sequence-classification"))
    row = series_values(1)[0]

    def late() -> Any:
        stream = engine.stream()
        stream.push(row)
        stream.reset()
        stream.push(row)
        return stream.push(row)

    whole = engine(np.array([row, row]))
    assert isinstance(late(), Classification) and late() == late()
    assert whole.label == late().label and late().top(2) == late().labels[:2]
    assert hash(late()) == hash(late()) and repr(late()).startswith("Classification(names=")
    looked = late()
    assert looked.label and type(looked) is Classification
    assert engine.task.plain(late(), 1) == engine.task.plain(looked, 1)
    with pytest.raises(AttributeError):
        _ = late().nothing
    with pytest.raises(dataclasses.FrozenInstanceError):
        looked.index = 3  # type: ignore[misc]


# --- what is refused, and that nothing is lost by it


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
        with pytest.raises(InputError, match="'load' has no value in row 5"):
            stream.push_all(bad)
        np.testing.assert_allclose(stream.push(values).last, expected[-1], rtol=1e-5)


def test_an_output_that_is_not_finite(tmp_path: Path) -> None:
    example = case("sequence-regression")
    example.net.weights["b"][:] = np.inf
    engine = engine_of(tmp_path, dataclasses.replace(example, raws=()))
    with engine.stream() as stream:
        for _ in range(2):
            answer = stream.push(series_values(1)[0])
            for _ in range(2):
                with pytest.raises(InputError, match="answer is not finite"):
                    _ = answer.values


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
        with pytest.raises(InputError, match="this stream is closed"):
            use()


def test_models_without_a_streaming_form(tmp_path: Path, bundle: Path) -> None:
    for engine in (engine_of(tmp_path, case("text-classification")), Engine(bundle, provider="cpu")):
        for begin in (engine.stream, lambda engine=engine: engine.streams(3)):
            with pytest.raises(InputError, match="has no streaming form, it needs the whole input"):
                begin()


def test_a_closed_engine_begins_no_stream(regression: Engine) -> None:
    regression.close()
    with pytest.raises(InputError, match="this engine is closed"):
        regression.stream()


def test_a_step_that_fails_to_run(regression: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = regression.stream()
    row = series_values(1)[0]
    stream.push(row)
    bound = stream._runner.bound

    def fail(binding: Any, options: Any) -> None:
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : out of memory")

    broken = dataclasses.replace(bound, run=fail)
    stream.push = stream._front.quick(broken, stream._push)
    with pytest.raises(MachineError, match="onnxruntime failed in a step"):
        stream.push(row)
    stream._runner.bound = broken
    with pytest.raises(MachineError, match="onnxruntime failed in a step"):
        stream.push([1.0, 2.0, 3.0])


def test_a_step_graph_that_does_not_fit(tmp_path: Path) -> None:
    example = case("sequence-regression")
    root = make_recurrent_bundle(tmp_path / "b", example)
    manifest = open_bundle(root).manifest
    assert manifest.streaming is not None
    Net(3, 9, 2, per_step=True).write_step(root / "onnx" / "step.onnx")
    write_manifest(root, manifest)
    with pytest.raises(BundleError, match=r"onnx/step\.onnx must have an input 'state_0' of 1 x batch x 8"):
        Engine(root, provider="cpu").stream()
    example.net.write_step(root / "onnx" / "step.onnx")

    def changed(**parts: Any) -> Manifest:
        assert manifest.streaming is not None
        return dataclasses.replace(manifest, streaming=dataclasses.replace(manifest.streaming, **parts))

    for parts, message in (
        ({"outputs": manifest.outputs}, "must have an output 'prediction'"),
        ({"inputs": ()}, "has an input 'values' that the task does not know"),
        ({"states": manifest.streaming.states[:1]}, "has an input 'state_1'"),
    ):
        write_manifest(root, changed(**parts))
        with pytest.raises(BundleError, match=message):
            Engine(root, provider="cpu").stream()


# --- missing values and times


def regression_with(root: Path, **changes: Any) -> Engine:
    return engine_of(root, with_settings("sequence-regression", dataclasses.replace(REGRESSION, **changes)))


@pytest.mark.parametrize("missing", ["forward", "zero"])
def test_gaps_are_filled_as_in_the_whole_series(tmp_path: Path, missing: str) -> None:
    engine = regression_with(tmp_path, missing=missing)
    values = series_values(30)
    values[np.random.default_rng(1).random(values.shape) < 0.3] = np.nan
    values[0, 1] = np.nan
    expected = engine(values).values
    with engine.stream() as stream:
        found = [stream.push(row).last for row in values]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        stream.reset()
        blocks = [
            answer for start in range(0, 30, 7) for answer in stream.push_all(values[start : start + 7])
        ]
    np.testing.assert_allclose([answer.last for answer in blocks], expected, rtol=1e-5)


def test_a_gap_that_is_interpolated_needs_the_next_value(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, missing="interpolate")
    values = series_values(5)
    expected = engine(values).values
    with engine.stream() as stream:
        stream.push(values[:2])
        with pytest.raises(InputError, match="interpolating needs the next one"):
            stream.push(np.array([1.0, np.nan, 3.0]))
        np.testing.assert_allclose(stream.push(values[2:]).last, expected[-1], rtol=1e-5)


def timed(values: NDArray[np.float64], times: NDArray[np.float64]) -> Series:
    return Series(values, FEATURES, times)


def test_times_are_watched(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, step=10.0)
    values = series_values(4)
    expected = engine(values).values
    with engine.stream() as stream:
        stream.push(timed(values[:1], np.array([100.0])))
        for time, message in (
            (100.0, "occurs twice"),
            (90.0, "goes backwards"),
            (115.0, "is 15 long, training had 10"),
            (np.nan, "is not finite"),
        ):
            with pytest.raises(InputError, match=message):
                stream.push(timed(values[1:2], np.array([time])))
        with pytest.raises(InputError, match="the stream has times, this piece has none"):
            stream.push(values[1])
        answer = stream.push(timed(values[1:2], np.array([110.05])))
        np.testing.assert_allclose(answer.last, expected[1], rtol=1e-5)
        stream.reset()
        stream.push(values[0])
        stream.push(values[1])
        with pytest.raises(InputError, match="the stream has no times, this piece has some"):
            stream.push(timed(values[2:3], np.array([120.0])))
        np.testing.assert_allclose(stream.push(values[2]).last, expected[2], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_irregular_steps_are_resampled_as_in_the_whole_series(tmp_path: Path, size: int) -> None:
    engine = regression_with(tmp_path, step=10.0, irregular="resample")
    random = np.random.default_rng(3)
    times = 1e9 + np.cumsum(random.uniform(0.5, 35.0, 50))
    values = series_values(50)
    expected = engine(timed(values, times)).values
    with engine.stream() as stream:
        found: list[Any] = []
        for start in range(0, 50, size):
            part = slice(start, start + size)
            found += stream.push_all(timed(values[part], times[part]))
    np.testing.assert_array_equal(np.array([answer.last for answer in found]).shape, expected.shape)
    np.testing.assert_allclose([answer.last for answer in found], expected, rtol=1e-5)


def test_a_step_that_completes_nothing_answers_nothing(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, step=10.0, irregular="resample")
    values = series_values(3)
    with engine.stream() as stream:
        assert stream.push(timed(values[:1], np.array([0.0]))) is not None
        assert stream.push(timed(values[1:2], np.array([4.0]))) is None
        assert len(stream.push_all(timed(values[2:], np.array([31.0])))) == 3


def test_a_gap_of_years_is_not_filled(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, step=1e-3, irregular="resample")
    values = series_values(2)
    with engine.stream() as stream:
        stream.push(timed(values[:1], np.array([0.0])))
        with pytest.raises(InputError, match="are allowed: check the times"):
            stream.push(timed(values[1:], np.array([1e9])))
        assert stream.push(timed(values[1:], np.array([0.001]))) is not None


# --- series with a scale of their own


def scaled_engine(root: Path, **changes: Any) -> Engine:
    scale = ((1.0, 2.0, 3.0), (1.0, 2.0, 1.0), (5.0, 6.0), (7.0, 8.0))
    return regression_with(root, per_series={"a": scale, "b": REGRESSION.scales()}, **changes)


def test_each_series_has_its_own_scale(tmp_path: Path) -> None:
    engine = scaled_engine(tmp_path)
    values = series_values(6)
    wholes = {name: engine(Series(values, name=name)).values for name in "ab"}
    assert not np.allclose(wholes["a"], wholes["b"])
    together = engine([Series(values[:3], name="b"), Series(values, name="a")])
    np.testing.assert_allclose(together[1].values, wholes["a"], rtol=1e-6)
    for name, whole in wholes.items():
        with engine.stream(name) as stream:
            np.testing.assert_allclose([stream.push(row).last for row in values], whole, rtol=1e-5)
    with engine.stream() as stream:
        kept = [stream.push(Series(values[:1], name="a"))]
        kept += [stream.push(row) for row in values[1:]]
        with pytest.raises(InputError, match="this stream is of the series 'a', not of 'b'"):
            stream.push(Series(values[:1], name="b"))
        stream.reset()
        other = stream.push(Series(values[:1], name="b"))
    np.testing.assert_allclose([answer.last for answer in kept], wholes["a"], rtol=1e-5)
    np.testing.assert_allclose(other.last, wholes["b"][0], rtol=1e-5)


def test_unseen_series(tmp_path: Path) -> None:
    engine = scaled_engine(tmp_path / "refuse")
    row = series_values(1)[0]
    for begin in (lambda: engine.stream("c"), lambda: engine.streams(2, ["a", "c"])):
        with pytest.raises(InputError, match="the series 'c' is not one of the 2 that training saw"):
            begin()
    stream = engine.stream()
    with pytest.raises(InputError, match="a series without a name is not one of the 2"):
        stream.push(row)
    with pytest.raises(InputError, match="the series 'c' is not one of the 2"):
        stream.push(Series(row[np.newaxis], name="c"))
    assert stream.push(Series(row[np.newaxis], name="b")) is not None
    free = scaled_engine(tmp_path / "global", unseen="global")
    expected = free(Series(row[np.newaxis], name="c"))
    assert free.stream().push(row) == free.stream("c").push(row) == expected


# --- forecasts


def test_a_forecast_begins_with_its_context(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("forecasting"))
    series = forecast_series(6)
    pieces = list(engine.task.pieces(series))  # type: ignore[attr-defined]
    with engine.stream() as stream:
        answers = [stream.push(piece) for piece in pieces]
        assert answers[:5] == [None] * 5 and answers[5] == engine(series)
        assert answers[5].times is not None
        np.testing.assert_array_equal(answers[5].times, 1e9 + 60.0 * np.arange(6, 10))
        stream.reset()
        assert stream.push_all(series) == [engine(series)]
        with pytest.raises(InputError, match="says nothing of the 4 steps to forecast: give speed"):
            stream.push(series_values(1))


@pytest.mark.parametrize("anchor", ["seasonal", "last", "none"])
def test_forecasts_step_by_step(tmp_path: Path, anchor: str) -> None:
    """The stream carries what was before the context as well; the graph over all steps is what it equals."""
    assert FORECAST.forecast is not None
    forecast = dataclasses.replace(FORECAST.forecast, anchor=anchor, known=(), known_mean=(), known_std=())
    settings = dataclasses.replace(FORECAST, forecast=forecast)
    net = Net(3, 8, 2, horizon=4)
    engine = engine_of(tmp_path, Case("forecasting", settings, net, (), ()))
    values = series_values(40)
    longest = dataclasses.replace(forecast, context=40)
    whole = engine_of(
        tmp_path / "whole",
        Case("forecasting", dataclasses.replace(settings, forecast=longest), net, (), ()),
    )
    with engine.stream() as quick, engine.stream() as slow:
        rows = [quick.push(row) for row in values]
        blocks = [answer for start in range(0, 40, 9) for answer in slow.push_all(values[start : start + 9])]
    assert rows[:5] == [None] * 5 and len(blocks) == 35
    np.testing.assert_allclose(
        [answer.values for answer in rows[5:]], [answer.values for answer in blocks], rtol=1e-5
    )
    np.testing.assert_allclose(rows[-1].values, whole(values).values, rtol=1e-5)
    np.testing.assert_allclose(rows[5].values, engine(values[:6]).values, rtol=1e-5)


def test_known_columns_by_name(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("forecasting"))
    series = forecast_series(6)
    assert series.known is not None
    ahead = np.concatenate((series.values[:, 2], series.known[:, 0]))
    with engine.stream() as stream:
        for step in range(6):
            answer = stream.push(
                {
                    "heat": series.values[step, 0],
                    "load": [series.values[step, 1]],
                    "speed": ahead[step : step + 5],
                    "when": [1e9 + 60 * step],
                }
            )
    assert answer == engine(series)


# --- state


@pytest.mark.parametrize("task", STREAMING)
def test_a_saved_state_goes_on_anywhere(tmp_path: Path, task: str) -> None:
    example = case(task)
    raw = sound(5000) if task == "audio-classification" else example.raws[0]
    engine = engine_of(tmp_path, example)
    pieces = list(engine.task.pieces(raw))  # type: ignore[attr-defined]
    half = len(pieces) // 2
    with engine.stream() as stream:
        for piece in pieces[:half]:
            stream.push(piece)
        stream.save(tmp_path / "state")
        kept = stream.state()
        expected = [stream.push(piece) for piece in pieces[half:]]
    other = Engine(tmp_path / task, provider="cpu").stream()
    other.push(pieces[0])
    group = engine.streams(3)
    for restore in (str(tmp_path / "state"), tmp_path / "state", kept):
        other.restore(restore)
        assert [other.push(piece) for piece in pieces[half:]] == expected
        group.restore(1, restore)
        found = [group.push([piece], [1])[0] for piece in pieces[half:]]
        assert [engine.task.show(answer) if answer else None for answer in found] == [
            engine.task.show(answer) if answer else None for answer in expected
        ]


def test_a_state_keeps_the_clock_and_the_gaps(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, step=10.0, irregular="resample", missing="forward")
    times = 1e9 + np.cumsum(np.random.default_rng(3).uniform(0.5, 35.0, 30))
    values = series_values(30)
    values[14:17, 1] = np.nan
    expected = engine(timed(values, times)).values
    first, second = engine.stream(), engine.stream()
    begun = first.push_all(timed(values[:15], times[:15]))
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    found = begun + second.push_all(timed(values[15:], times[15:]))
    np.testing.assert_allclose([answer.last for answer in found], expected, rtol=1e-5)


def test_a_state_keeps_the_series(tmp_path: Path) -> None:
    engine = scaled_engine(tmp_path)
    values = series_values(4)
    expected = engine(Series(values, name="a")).values
    first = engine.stream("a")
    first.push(values[:2])
    first.save(tmp_path / "state")
    second = engine.stream()
    second.restore(tmp_path / "state")
    np.testing.assert_allclose(second.push(values[2:]).last, expected[-1], rtol=1e-5)
    with pytest.raises(InputError, match="the state of the series 'a', the stream is of 'b'"):
        engine.stream("b").restore(tmp_path / "state")


def test_states_of_others(tmp_path: Path) -> None:
    mine = engine_of(tmp_path / "mine", case("sequence-regression"))
    values = series_values(4)
    expected = mine(values).values
    stream = mine.stream()
    stream.push(values[:2])
    other_net = dataclasses.replace(case("sequence-regression"), net=Net(3, 8, 2, per_step=True, seed=1))
    other_scale = with_settings("sequence-regression", dataclasses.replace(REGRESSION, mean=(0.0, 0.0, 0.0)))
    others = (other_net, other_scale, case("sequence-classification"))
    for number, example in enumerate(others):
        foreign = engine_of(tmp_path / str(number), example).stream()
        foreign.push(values[:1])
        with pytest.raises(InputError, match="comes from another model, variant or settings"):
            stream.restore(foreign.state())
        foreign.save(tmp_path / "foreign")
        with pytest.raises(InputError, match=r"foreign comes from another model, variant or settings"):
            stream.restore(tmp_path / "foreign")
    np.testing.assert_allclose(stream.push(values[2:]).last, expected[-1], rtol=1e-5)


def test_states_that_are_damaged(regression: Engine, tmp_path: Path) -> None:
    values = series_values(4)
    expected = regression(values).values
    stream = regression.stream()
    stream.push(values[:2])
    stream.save(tmp_path / "state")
    good = (tmp_path / "state").read_bytes()
    (tmp_path / "folder").mkdir()
    save_file({"state_0": np.zeros(3)}, tmp_path / "weights")
    for content, name, message in (
        (b"", "empty", "is not the state of a stream"),
        (b"no state", "text", "is not the state of a stream"),
        (b"\xff" * 100, "bytes", "is not the state of a stream"),
        (good[:-1], "cut", "is not the state of a stream"),
        (None, "weights", "is not the state of a stream"),
        (None, "folder", "is a folder: give the state of a stream"),
        (None, "nowhere", "does not exist"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            stream.restore(tmp_path / name)
    state = stream.state()
    for name, array, message in (
        ("state_0", np.zeros((1, 9), np.float32), "does not fit this stream"),
        ("state_0", np.zeros((1, 8), np.float64), "does not fit this stream"),
        ("state_1", np.full((1, 8), np.nan, np.float32), "holds NaN or infinity"),
        ("front.steps", np.array([-1, 0]), "is damaged"),
        ("more", np.zeros(1), "does not fit this stream"),
    ):
        changed = dataclasses.replace(state, arrays={**state.arrays, name: array})
        with pytest.raises(InputError, match=message):
            stream.restore(changed)
    np.testing.assert_allclose(stream.push(values[2:]).last, expected[-1], rtol=1e-5)
    assert set(load_file(tmp_path / "state")) == set(state.arrays)


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
    assert Prediction(("y",), np.ones((1, 1))) == Prediction(("y",), np.ones((1, 1)))
    assert Prediction(("y",), np.ones((1, 1))) != Prediction(("y",), np.zeros((1, 1)))

"""The device halves of the recurrent tasks: tensors, answers, golden files, words, ill-fitting graphs."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine, Series, open_bundle, selftest
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.checks import check_feeds
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.forecasting import Forecast, Forecasting
from edgewright.runtime.tasks.sequence_regression import Prediction, SequenceRegression
from tests.messages import refused
from tests.runtime.recurrent_bundle import (
    AUDIO,
    FEATURES,
    FORECAST,
    LABELS,
    RECURRENT,
    REGRESSION,
    SETTINGS,
    STREAMING,
    TEXT,
    Case,
    case,
    forecast_series,
    make_recurrent_bundle,
    series_values,
    sound,
    tokenizer_json,
)
from tests.runtime.recurrent_graphs import Net
from tests.runtime.small_bundle import write_manifest


def engine_of(root: Path, example: Case, **options: Any) -> Engine:
    return Engine(make_recurrent_bundle(root / example.task, example), provider="cpu", **options)


@pytest.mark.parametrize("task", RECURRENT)
def test_golden_files_encode_to_the_same_tensors(tmp_path: Path, task: str) -> None:
    example = case(task)
    device = example.device_task()
    for number, raw in enumerate(example.raws):
        content, suffix = device.raw_file(raw)
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content)
        assert device.raw_file(path) == (content, suffix)
        found, expected = device.encode(path), device.encode(raw)
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype


@pytest.mark.parametrize("task", RECURRENT)
def test_samples_are_padded_with_zeros(task: str) -> None:
    example = case(task)
    device = example.device_task()
    samples = [device.encode(raw) for raw in example.raws]
    batch = device.collate(samples)
    names = [spec.name for spec in example.net.inputs]
    assert list(batch) == names
    for row, sample in enumerate(samples):
        length = int(sample["lengths"])
        assert batch["lengths"][row] == length and batch["lengths"].dtype == np.int32
        np.testing.assert_array_equal(batch[names[0]][row, :length], sample[names[0]])
        assert not batch[names[0]][row, length:].any()
    one = device.collate(samples[:1])
    assert np.shares_memory(one[names[0]], samples[0][names[0]]) and list(one) == names
    check_feeds(batch, example.net.inputs)


@pytest.mark.parametrize("task", RECURRENT)
def test_a_bundle_answers_and_tests_itself(tmp_path: Path, task: str) -> None:
    example = case(task)
    engine = engine_of(tmp_path, example)
    answers = engine(list(example.raws))
    for raw, answer in zip(example.raws, answers, strict=True):
        alone = engine(raw)
        assert alone.line() == answer.line()
        assert alone.to_json(2).keys() == answer.to_json(2).keys()
    (row,) = selftest(engine.bundle, provider="cpu")
    assert row.passed and row.reason == "" and row.relative is not None and row.relative < 1e-5
    assert (row.streamed is None) == (not example.streams)
    assert row.streamed is None or row.streamed < 1e-5


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_lists_of_any_lengths_keep_their_order(tmp_path: Path, batch_size: int) -> None:
    engine = engine_of(tmp_path, case("sequence-regression"), batch_size=batch_size)
    random = np.random.default_rng(0)
    raws = [series_values(int(length), number) for number, length in enumerate(random.integers(1, 40, 70))]
    for raw, answer in zip(raws, engine(raws), strict=True):
        assert answer.values.shape == (len(raw), 2)
        np.testing.assert_allclose(answer.values, engine(raw).values, rtol=1e-4, atol=1e-5)
    with refused(InputError):
        engine([*raws, np.zeros((0, 3))])
    assert engine([]) == []


@pytest.mark.parametrize("task", STREAMING)
def test_a_step_graph_of_another_net_is_noticed(tmp_path: Path, task: str) -> None:
    example = case(task)
    root = make_recurrent_bundle(tmp_path / "b", example)
    manifest = open_bundle(root).manifest
    net = example.net
    sizes = (net.features, net.hidden, net.outputs, net.per_step, net.horizon, net.known)
    Net(*sizes, seed=5, source=net.source).write_step(root / "onnx" / "step.onnx")
    write_manifest(root, manifest)
    (row,) = selftest(root, provider="cpu")
    assert not row.passed and row.relative is not None and row.relative < 1e-5
    assert "step by step the outputs differ from the whole model's by" in row.reason


def test_padding_that_counts_is_noticed(tmp_path: Path) -> None:
    """Golden answers are compared at their own lengths, and beyond them zeros are expected."""
    example = case("sequence-regression")
    root = make_recurrent_bundle(tmp_path / "b", example)
    (good,) = selftest(root, provider="cpu")
    assert good.passed and good.samples == 3
    manifest = open_bundle(root).manifest
    content, _ = example.device_task().raw_file(series_values(11, 12))
    (root / "golden" / "2.csv").write_bytes(content)
    write_manifest(root, manifest)
    (row,) = selftest(root, provider="cpu")
    assert not row.passed and "outputs differ from torch's" in row.reason


@pytest.mark.parametrize(
    ("task", "broken", "message"),
    [
        (
            "sequence-classification",
            {"features": 4},
            "must have an input 'values' of batch x time x 3 float32",
        ),
        ("sequence-classification", {"outputs": 4}, "must have an output 'logits' of batch x 3"),
        ("sequence-regression", {"outputs": 3}, "must have an output 'prediction' of batch x time x 2"),
        ("sequence-regression", {"per_step": False}, "must have an output 'prediction'"),
        ("forecasting", {"horizon": 5}, "must have an input 'anchor' of batch x 4 x 2"),
        ("forecasting", {"known": 0}, "must have an input 'known' of batch x 4 x 1"),
        (
            "audio-classification",
            {"features": 13},
            "must have an input 'input_features' of batch x time x 12",
        ),
        ("text-classification", {"vocabulary": 0}, "must have an input 'input_ids' of batch x time int64"),
    ],
)
def test_graphs_that_do_not_serve_the_task(
    tmp_path: Path, task: str, broken: dict[str, Any], message: str
) -> None:
    example = case(task)
    net = example.net
    parts = {
        name: getattr(net, name)
        for name in ("features", "outputs", "per_step", "horizon", "known", "vocabulary", "source")
    }
    other = Net(hidden=8, **{**parts, **broken})
    device = example.device_task()
    device.check({"model": GraphSpec(net.inputs, net.whole_outputs)})
    with pytest.raises(BundleError, match=message):
        device.check({"model": GraphSpec(other.inputs, other.whole_outputs)})
    extra = TensorSpec("more", "float32", ("batch",))
    with refused(BundleError):
        device.check({"model": GraphSpec((*net.inputs, extra), net.whole_outputs)})


def test_labels_and_tokenizers_must_be_there() -> None:
    for task, settings in (
        ("sequence-classification", SETTINGS),
        ("audio-classification", AUDIO),
        ("text-classification", TEXT),
    ):
        with refused(BundleError):
            load_task(task, to_plain(settings), (), {"tokenizer": tokenizer_json()})
    with refused(BundleError):
        load_task("text-classification", to_plain(TEXT), LABELS)
    with refused(BundleError):
        load_task("sequence-regression", to_plain(SETTINGS), ())
    with refused(BundleError):
        load_task("forecasting", to_plain(REGRESSION), ())


def test_predictions_are_in_the_users_units() -> None:
    task = SequenceRegression(to_plain(REGRESSION), ())
    output = np.array([[1, 0], [0, 2], [9, 9]], np.float32)
    answer = task.decode({"prediction": output}, {})
    np.testing.assert_array_equal(answer.values, [[14, -1], [10, -0.5], [46, 1.25]])
    scale = np.array([[0.0, 100.0], [1.0, 10.0]])
    own = task.decode({"prediction": output[:2]}, {"scale": scale})
    np.testing.assert_array_equal(own.values, [[1, 100], [0, 120]])
    assert own == Prediction(("torque", "drag"), output[:2], *scale) and own != answer
    assert own.last.tolist() == [0, 120] and task.decision(own) == []
    assert own.line() == "torque 0  drag 120  (the last of 2 steps)"
    assert own.to_json() == {"values": {"torque": [1.0, 0.0], "drag": [100.0, 120.0]}}
    for broken, error in (
        (np.full((2, 2), np.nan), InputError),
        (np.zeros((2, 3)), BundleError),
        (np.zeros(2), BundleError),
    ):
        with pytest.raises(error):
            task.decode({"prediction": broken.astype(np.float32)}, {})
    with refused(InputError):
        assert Prediction(("torque",), np.array([np.inf]), *scale[:, :1]).last


def test_forecasts_are_in_the_users_units_and_times() -> None:
    task = Forecasting(to_plain(FORECAST), ())
    series = forecast_series(9)
    sample = task.encode(series)
    assert sample["lengths"] == 6 and sample["values"].shape == (6, 3)
    scaled = (series.values - np.array([20, 1, 0.5])) / np.array([5, 0.5, 0.5])
    np.testing.assert_allclose(sample["values"], scaled[3:], rtol=1e-6)
    np.testing.assert_array_equal(sample["anchor"], sample["values"][[3, 4, 5, 3], :2])
    assert series.known is not None
    np.testing.assert_allclose(sample["known"], (series.known - 0.5) / 0.5, rtol=1e-6)
    outputs = {"prediction": np.arange(8, dtype=np.float32).reshape(4, 2)}
    answer = task.decode(outputs, sample)
    assert answer.times is not None
    np.testing.assert_array_equal(answer.times, 1e9 + 60.0 * np.arange(9, 13))
    np.testing.assert_array_equal(answer.values[1], [20 + 5 * 2, 1 + 0.5 * 3])
    timeless = task.decode(outputs, {})
    assert timeless.times is None and timeless != answer and answer == dataclasses.replace(answer)
    assert answer.line().startswith("heat 20 30 40 50  load 1.5 2.5")
    assert timeless.to_json()["times"] is None and answer.to_json()["values"]["heat"] == [20, 30, 40, 50]
    long = Forecast(("y",), np.arange(9.0)[:, np.newaxis])
    assert long.line() == "y 0 1 2 3 4 5 ... (9 steps)"


@pytest.mark.parametrize(("kind", "rows"), [("last", [5, 5, 5, 5]), ("none", None)])
def test_other_anchors(kind: str, rows: list[int] | None) -> None:
    assert FORECAST.forecast is not None
    forecast = dataclasses.replace(FORECAST.forecast, anchor=kind)
    task = Forecasting(to_plain(dataclasses.replace(FORECAST, forecast=forecast)), ())
    sample = task.encode(forecast_series(6))
    expected = np.zeros((4, 2)) if rows is None else sample["values"][rows, :2]
    np.testing.assert_array_equal(sample["anchor"], expected)


def test_series_too_short_to_forecast() -> None:
    task = Forecasting(to_plain(FORECAST), ())
    with refused(InputError):
        task.encode(forecast_series(5))
    series = forecast_series(6)
    with refused(InputError):
        task.encode(dataclasses.replace(series, known=None))
    with refused(InputError):
        task.encode(dataclasses.replace(series, known=np.zeros((3, 1))))
    with refused(InputError):
        task.encode(dataclasses.replace(series, known=np.array([[1], [np.nan], [1], [1.0]])))


def test_what_a_word_stands_for(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, series_column="machine")
    task = load_task("sequence-classification", to_plain(settings), LABELS)
    many = tmp_path / "many.csv"
    many.write_text("machine,heat,load,speed\na,1,2,3\nb,4,5,6\na,7,8,9\n")
    (tmp_path / "one.csv").write_text("machine,heat,load,speed\na,1,2,3\n")
    found = list(task.inputs(str(many)))
    assert [name for name, _ in found] == [f"{many}:a", f"{many}:b"]
    assert isinstance(found[0][1], Series) and len(task.encode(found[0][1])["values"]) == 2
    assert [name for name, _ in task.inputs(str(tmp_path))] == [
        f"{many}:a",
        f"{many}:b",
        str(tmp_path / "one.csv"),
    ]
    ((name, missing),) = task.inputs("nowhere.csv")
    assert name == "nowhere.csv" and "does not exist" in missing.reason
    audio = case("audio-classification").device_task()
    (tmp_path / "a.wav").write_bytes(audio.raw_file((sound(500), 8000))[0])
    (wav, *others) = audio.inputs(str(tmp_path))
    assert wav == (str(tmp_path / "a.wav"), tmp_path / "a.wav")
    assert [name for name, _ in others] == [str(many), str(tmp_path / "one.csv")]
    assert all("does not end like a sound" in raw.reason for _, raw in others)
    assert list(audio.inputs("nowhere.wav")) == [("nowhere.wav", Path("nowhere.wav"))]


def test_pieces_are_the_whole(tmp_path: Path) -> None:
    series = dataclasses.replace(forecast_series(6), name="a")
    pieces = list(case("forecasting").device_task().pieces(series))
    assert len(pieces) == 6 and all(piece.name == "a" and piece.columns == FEATURES for piece in pieces)
    np.testing.assert_array_equal(np.vstack([piece.values for piece in pieces]), series.values)
    np.testing.assert_array_equal(pieces[-1].known, series.known)
    assert pieces[0].known[0, 0] == series.values[1, 2]
    parts = list(case("audio-classification").device_task().pieces((sound(2000), 8000)))
    assert [(len(part), rate) for part, rate in parts] == [(800, 8000), (800, 8000), (400, 8000)]
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), sound(2000))


def test_lengths_must_lie_within_the_sequence(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("sequence-regression"))
    values = np.zeros((2, 5, 3), np.float32)
    assert engine.infer({"values": values, "lengths": np.array([5, 1], np.int32)})["prediction"].shape == (
        2,
        5,
        2,
    )
    for lengths in ([5, 6], [0, 5], [-1, 5]):
        with refused(InputError):
            engine.infer({"values": values, "lengths": np.array(lengths, np.int32)})


def test_a_folder_of_tables(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("sequence-classification"))
    folder = tmp_path / "tables"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.csv").write_bytes(engine.task.raw_file(series_values(4, number))[0])
    assert {name: answer.label for name, answer in engine(folder).items()} == {
        f"{number}.csv": engine(series_values(4, number)).label for number in range(3)
    }

"""Bundles of encoders through the engine: one and many, windows, labels given at run time, the self-test."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from edgewright.runtime import Engine, selftest
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.contracts import GraphSpec, Tensors
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.graphs import BatchLimits
from edgewright.runtime.graphs.session import SessionGraphs
from edgewright.runtime.running.rows import run_rows
from edgewright.runtime.text.raw import TextPair
from tests.answering import FunctionGraphs, run_all
from tests.messages import refused
from tests.runtime.encoder_bundle import CASES, case, make_encoder_bundle
from tests.runtime.small_bundle import with_graph


@pytest.mark.parametrize("name", CASES)
def test_the_engine_answers_as_encode_graph_and_decode_do(name: str, tmp_path: Path) -> None:
    example = case(name)
    task = example.device_task()
    samples = [task.encode(raw) for raw in example.raws]
    expected = list(map(task.decode, run_all(task, samples, example.net.run), samples))
    with Engine(make_encoder_bundle(tmp_path / "bundle", example)) as engine:
        several = engine(list(example.raws) * 9)
        assert len(several) == 9 * len(example.raws)
        for index, (raw, wanted) in enumerate(zip(example.raws, expected, strict=True)):
            alone = engine(raw)
            for answer in (alone, several[index], several[index - len(example.raws)]):
                assert near(answer, wanted), f"{answer} instead of {wanted}"
            assert alone.line() == wanted.line()
            assert near(alone.to_json(), wanted.to_json())


@pytest.mark.parametrize("name", CASES)
def test_the_self_test_replays_the_golden_samples(name: str, tmp_path: Path) -> None:
    (row,) = selftest(make_encoder_bundle(tmp_path / "bundle", case(name)))
    assert row.passed and row.reason == ""
    assert row.relative is not None and row.relative < 1e-5 and row.decisions == 1.0


@pytest.mark.parametrize("name", CASES)
def test_batches_of_any_size_answer_alike(name: str, tmp_path: Path) -> None:
    example = case(name)
    bundle = make_encoder_bundle(tmp_path / "bundle", example)
    raws = list(example.raws) * 3
    answers = [Engine(bundle, batch_size=size)(raws) for size in (1, 2, 64)]
    for other in answers[1:]:
        assert all(near(one, two) for one, two in zip(answers[0], other, strict=True))


@pytest.mark.parametrize(("batch_size", "limit"), [(4, None), (4, 40), (100, 40), (100, 6), (1, 40)])
def test_batches_hold_few_tokens_and_give_every_row_its_own(batch_size: int, limit: int | None) -> None:
    example = case("vectors")
    task = example.device_task()
    samples = [task.encode("good bad film " * count) for count in (1, 5, 2, 9, 3, 1, 12, 4, 1, 1, 6, 2)]
    shapes: list[tuple[int, ...]] = []

    def run(feeds: Tensors) -> Tensors:
        shapes.append(feeds["input_ids"].shape)
        assert (feeds["attention_mask"].sum(axis=1).max() == feeds["attention_mask"].shape[1]).all()
        return example.net.run(feeds)

    found = run_all(task, samples, run, batch_size, limit)
    for row, sample in zip(found, samples, strict=True):
        (alone,) = run_all(task, [sample], example.net.run)
        assert np.allclose(row["sentence_embedding"], alone["sentence_embedding"], atol=1e-6)
    rows = sum(len(sample["windows"]) for sample in samples)
    assert sum(count for count, _ in shapes) == rows
    assert all(count <= batch_size for count, _ in shapes)
    assert limit is None or all(count == 1 or count * length <= limit for count, length in shapes)
    longer = [length for _, length in shapes]
    assert longer == sorted(longer)
    if limit == 40:
        assert max(count * length for count, length in shapes) > 25 or batch_size == 1


@pytest.mark.parametrize("name", CASES)
def test_the_short_ways_are_those_of_many(name: str) -> None:
    """What `encode` and `run` leave out for a single sample changes nothing."""
    example = case(name)
    task, graphs = example.device_task(), FunctionGraphs(example.net.run)
    for raw in example.raws:
        sample, again = task.encode(raw), task.encode_all([raw, raw])[1]
        assert list(sample) == list(again)
        for key, array in sample.items():
            assert np.array_equal(array, again[key]) and array.dtype == again[key].dtype, key
        rows = [run_rows(task, [row], graphs)[0] for row in task.windows(sample)]
        merged = task.merge(rows, sample, graphs)
        (short,) = task.run([sample], graphs)
        assert list(short) == list(merged)
        for key, value in merged.items():
            assert short[key].shape == value.shape and np.allclose(short[key], value, atol=1e-6), key


@pytest.mark.parametrize("name", CASES)
def test_outputs_belong_to_one_sample(name: str) -> None:
    """Beside any others, in any batch: neither a batch axis nor padding, and none of a neighbour's numbers."""
    example = case(name)
    task = example.device_task()
    samples = [task.encode(raw) for raw in example.raws]
    alone = [run_all(task, [sample], example.net.run)[0] for sample in samples]
    for rows, tokens in ((1, None), (3, 40), (64, None)):
        together = run_all(task, [*samples, *samples[::-1]], example.net.run, rows, tokens)
        for one, other in zip([*alone, *alone[::-1]], together, strict=True):
            assert list(one) == list(other)
            for key, value in one.items():
                assert value.shape == other[key].shape and np.allclose(value, other[key], atol=1e-5), key


def test_only_a_processor_wants_small_batches(tmp_path: Path) -> None:
    class Elsewhere:
        provider = "cuda"
        run = None

    assert SessionGraphs({"model": cast(Any, Elsewhere)}, {"model": GraphSpec((), ())}).limits == BatchLimits(
        32, None
    )
    with Engine(make_encoder_bundle(tmp_path / "bundle", case("vectors")), batch_size=7) as engine:
        limits = engine._open().limits
    assert limits.rows == 7 and 128 <= (limits.tokens or 0) <= 4096


def test_what_is_encoded_at_once_fits_into_memory() -> None:
    task, raws = case("vectors").device_task(), ["good"] * 70
    assert [len(part) for part in task.parts(raws, 32)] == [32, 32, 6]
    long = ["good " * (1 << 20), *raws[:3], "bad " * (4 << 20), {"text": "a " * (8 << 20)}, "good"]
    assert [len(part) for part in task.parts(long, 32)] == [4, 1, 1, 1]
    assert [one for part in task.parts(long, 2) for one in part] == long
    assert [len(part) for part in case("nli").device_task().parts(raws[:25], 32)] == [10, 10, 5]
    pair = TextPair("a" * (9 << 20), "b" * (9 << 20))
    assert [len(part) for part in case("pair").device_task().parts([pair, pair], 32)] == [1, 1]
    assert list(task.parts([], 32)) == []


def test_what_is_answered_at_once_fits_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outputs of a sample are put together when its answer is made: each holds the vectors of all labels."""
    example = case("nearest label")
    with Engine(make_encoder_bundle(tmp_path / "bundle", example), batch_size=2) as engine:
        raws = [*example.raws * 7][:13]
        expected = [engine(raw) for raw in raws]
        steps: list[str] = []

        def noted(name: str) -> None:
            method = getattr(engine.task, name)

            def call(*arguments: Any) -> Any:
                steps.append(name)
                return method(*arguments)

            monkeypatch.setattr(engine.task, name, call)

        noted("merge")
        noted("decode")
        found = engine(raws)
        assert steps == ["merge", "decode"] * 13
    assert all(near(one, two) for one, two in zip(found, expected, strict=True))


def test_a_bad_text_of_a_list_is_named(tmp_path: Path) -> None:
    engine = Engine(make_encoder_bundle(tmp_path / "bundle", case("one label")))
    with refused(InputError):
        engine(["good", "  "])


@pytest.mark.parametrize("name", ["nli", "nearest label"])
def test_labels_come_with_the_text(name: str, tmp_path: Path) -> None:
    example = case(name)
    engine = Engine(make_encoder_bundle(tmp_path / "bundle", example))
    labels = ["boring", "good", "very", "Berlin"]
    answer = engine(example.raws[0], labels=labels)
    assert answer.names == tuple(labels) and sum(answer.probabilities) == pytest.approx(1)
    again = engine(list(example.raws), labels=labels)
    assert near(again[0], answer)
    # The order of the labels changes nothing but the order of the answer.
    turned = engine(example.raws[0], labels=labels[::-1])
    assert turned.label == answer.label
    assert turned.probabilities[::-1] == pytest.approx(answer.probabilities)
    assert engine(example.raws[0]).names == example.labels, "the bundle's own labels are still there"


def test_labels_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(make_encoder_bundle(tmp_path / "bundle", case("nearest label")))
    rows = []
    graphs = engine._open()
    run = graphs.run

    def counted(role: str, feeds: Any) -> Any:
        rows.append(len(feeds["input_ids"]))
        return run(role, feeds)

    monkeypatch.setattr(graphs, "run", counted)
    engine("good film", labels=["music", "sport"])
    assert sum(rows) == 3
    engine(["good film", "bad"], labels=["music", "sport"])
    assert sum(rows) == 5, "the labels' vectors are kept"
    for number in range(20):
        engine("good", labels=[f"{number}", "sport"])
    assert len(engine._known) <= 8
    engine.close()
    with refused(InputError):
        engine("good", labels=["music"])


def without_labels(manifest: Manifest) -> Manifest:
    return dataclasses.replace(
        manifest,
        labels=(),
        golden=dataclasses.replace(manifest.golden, samples=(), decisions=()),
    )


@pytest.mark.parametrize("name", ["nli", "nearest label"])
def test_bad_labels(name: str, tmp_path: Path) -> None:
    engine = Engine(make_encoder_bundle(tmp_path / "bundle", case(name), without_labels))
    with refused(InputError):
        engine("good")
    bad: list[tuple[Any, str]] = [
        ([], "no labels: give at least one"),
        ("music,sport", "labels is str: give a list of texts"),
        (["music", " "], "empty"),
        (["music", 3], "no text"),
        (["music", ["sport"]], "no text"),
        (3, "labels is int: give a list"),
        ({"music": 1}, "labels is dict: give a list"),
        (["music", "sport", "music"], "'music' is given twice"),
        (["music", "caf\udcff"], "lone surrogate"),
    ]
    for labels, words in bad:
        with pytest.raises(InputError, match=words):
            engine("good", labels=labels)


def test_thousands_of_labels(tmp_path: Path) -> None:
    many = [f"{one} {two}" for one in ("good", "bad", "film") for two in range(1000)]
    by_vectors = Engine(make_encoder_bundle(tmp_path / "vectors", case("nearest label")))
    answer = by_vectors("good film", labels=many)
    assert len(answer.names) == 3000 and len(answer.to_json(3)["labels"]) == 3
    by_nli = Engine(make_encoder_bundle(tmp_path / "nli", case("nli")))
    with refused(InputError):
        by_nli("good film", labels=many)


def test_labels_where_they_are_in_the_model(tmp_path: Path) -> None:
    engine = Engine(make_encoder_bundle(tmp_path / "bundle", case("one label")))
    with refused(InputError):
        engine("good", labels=["music"])
    with refused(InputError):
        engine.prepare(labels=["music"])
    assert engine("good", labels=None).label == engine("good").label


def test_one_label_alone_is_not_certain(tmp_path: Path) -> None:
    engine = Engine(make_encoder_bundle(tmp_path / "bundle", case("nli")))
    answer = engine("good film", labels=["music"])
    assert answer.label == "music" and 0.0 < answer.probability < 1.0


def test_a_tokenizer_that_does_not_match_the_model(tmp_path: Path) -> None:
    def smaller(manifest: Manifest) -> Manifest:
        return dataclasses.replace(manifest, processor={**manifest.processor, "vocabulary": 10})

    with refused(BundleError):
        Engine(make_encoder_bundle(tmp_path / "bundle", case("one label"), smaller))


@pytest.mark.parametrize("name", CASES)
def test_a_graph_that_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    def other(manifest: Manifest) -> Manifest:
        spec = manifest.graphs["model"].outputs[0]
        return with_graph(manifest, outputs=(dataclasses.replace(spec, name="scores"),))

    with refused(BundleError):
        Engine(make_encoder_bundle(tmp_path / "bundle", case(name), other))


def near(one: Any, two: Any) -> bool:
    """Equal but for the last digits of numbers."""
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        fields = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(two) and all(near(getattr(one, name), getattr(two, name)) for name in fields)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(near(value, two[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(near(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, (float, np.ndarray)):
        return bool(np.allclose(one, two, rtol=0, atol=1e-5))
    return bool(one == two)

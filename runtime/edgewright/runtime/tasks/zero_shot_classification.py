"""Zero-shot classification on the device: a text and labels in, the label that fits best out."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.options import Option
from edgewright.runtime.running.rows import run_rows
from edgewright.runtime.tasks.description import Description, ModelFacts, label_places, shortened
from edgewright.runtime.tasks.labels import (
    LOGITS,
    Classification,
    MultiLabel,
    chosen,
    finite,
)
from edgewright.runtime.tasks.sentence_embedding import EMBEDDING, pooling_files, unit
from edgewright.runtime.tasks.windowed import EncoderTask, weighted_mean
from edgewright.runtime.text.encoding import Tokens, joined, shown
from edgewright.runtime.text.settings import ZeroShotSettings

MOST_NLI_LABELS = 1000
"""More would read each text more than a thousand times."""

MOST_LABELS = 100_000


class ZeroShotClassification(EncoderTask[Classification | MultiLabel]):
    """The device half of zero-shot classification, by an NLI model or by embeddings.

    The labels of the bundle are those that count where none are given with the text; `with_options` makes a task for
    others.
    """

    name = "zero-shot-classification"
    kind = "zero-shot classifier"
    cut = 0
    options = (
        Option("labels", "What the text may be, for a bundle whose labels come with the question.", list),
    )

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(processor, assets)
        nli = self._way.by == "nli"
        outputs = {LOGITS: ("batch", "classes")} if nli else {EMBEDDING: ("batch", "dimensions")}
        self.signatures = self.reads(**outputs)
        self._hypotheses: list[tuple[Tokens, str]] = []
        self._label_rows: list[Tensors] = []
        self._key = object()
        if labels:
            try:
                self._prepare(labels)
            except InputError as error:
                raise BundleError(f"the labels of the bundle cannot be used: {error}") from None

    @property
    def rows_each(self) -> int:
        """By NLI, one for each label."""
        return max(1, len(self.labels)) if self._way.by == "nli" else 1

    @property
    def texts(self) -> int:
        """By NLI, the text and the hypothesis."""
        return 2 if self._way.by == "nli" else 1

    def with_options(self, **options: Any) -> "ZeroShotClassification":
        """The same task for other `labels`. Raises `InputError` for none, and for labels that cannot be told apart."""
        other = copy.copy(self)
        other._prepare(options["labels"])
        return other

    def check_settings(self) -> None:
        """There must be a way to score labels."""
        if self.settings.zero_shot is None:
            raise BundleError("zero-shot classification needs the settings zero_shot: get a fresh bundle")
        self._way: ZeroShotSettings = self.settings.zero_shot

    def describe(self, model: ModelFacts) -> Description:
        """By what it scores labels, and which these are where none are given."""
        nli = self._way.by == "nli"
        known = f"; without any it uses {shortened(self.labels)}" if self.labels else ""
        way = "the NLI model" if nli else "embeddings"
        said = f"Answers with one of the labels that are given with the text, by {way}{known}."
        example = '"The team won.", labels=["sport", "music"]'
        names = _class_names(self._way, model.config or {}) if nli else ()
        head = "ForSequenceClassification" if nli else "Model"
        own = self.described(self.name, said, example, head, label_places(names) if names else {})
        return own if nli else replace(own, files={**own.files, **pooling_files(model, self.settings)})

    def read(self, raw: Any) -> tuple[str, ...]:
        """The text. Raises `InputError` where there are no labels."""
        if not self.labels:
            raise InputError("there are no labels: give some, engine(text, labels=[...]) or --labels a,b")
        return super().read(raw)

    def arrange(self, tokens: list[Tokens], texts: Sequence[str]) -> Tensors:
        """A text to a sample: by NLI with a row for each label (`groups` int32 [labels]: how many windows each has)."""
        if self._way.by != "nli":
            return super().arrange(tokens, texts)
        if not len(tokens[0]):
            raise InputError(f"the text {shown(texts[0])} holds no token: give at least one word")
        rows = [
            self.tokenizer.sample([tokens[0], hypothesis], [texts[0], text])
            for hypothesis, text in self._hypotheses
        ]
        sample: Tensors = joined(rows)
        sample["lost"] = max((row["lost"] for row in rows), key=int)
        return sample

    def warm_up(self, graphs: Graphs) -> None:
        """By embeddings, read the labels."""
        if self._label_rows:
            self._label_vectors(graphs)

    def _label_vectors(self, graphs: Graphs) -> NDArray[Any]:
        """The vector of each label, [labels, dimensions]: they are the same for every text."""
        return graphs.once(
            self._key, lambda: np.stack([row[EMBEDDING] for row in run_rows(self, self._label_rows, graphs)])
        )

    def merge(self, rows: Sequence[Tensors], sample: Tensors, graphs: Graphs) -> Tensors:
        """By NLI the logits of each label, [labels, classes]; by embeddings the text's vector and those of the labels,
        [1 + labels, dimensions].
        """
        if self._way.by == "nli":
            values, weights = np.stack([row[LOGITS] for row in rows]), sample["windows"]
            groups = sample["groups"]
            if len(rows) == len(groups):
                return {LOGITS: values}
            ends = np.cumsum(groups).tolist()
            parts = [slice(end - size, end) for size, end in zip(groups.tolist(), ends, strict=True)]
            return {LOGITS: np.stack([weighted_mean(values[part], weights[part]) for part in parts])}
        vector = super().merge(rows, sample, graphs)[EMBEDDING]
        if len(rows) > 1 and self.settings.normalise:
            vector = unit(vector).astype(vector.dtype)
        return {EMBEDDING: np.vstack((vector, self._label_vectors(graphs)))}

    def decode(self, outputs: Tensors, sample: Tensors) -> Classification | MultiLabel:
        """Merged outputs, see `merge`, to the answer. Raises `InputError` when a value is not finite."""
        scores, lost = self._scores(outputs), int(sample["lost"])
        if self.settings.multi_label and len(self.labels) > 1:
            return MultiLabel(self.labels, scores, lost, self.settings.threshold)
        return Classification(self.labels, scores, lost, self._odds)

    def decision(self, answer: Classification | MultiLabel) -> Any:
        """The index of the best label; where several may hold, the indices of the chosen ones."""
        if self.settings.multi_label and isinstance(answer, Classification):
            return [0] if answer.probability >= self.settings.threshold else []
        return chosen(answer)

    @property
    def _odds(self) -> bool:
        """Whether each label is weighed against its own contradiction, not against the other labels."""
        alone = len(self.labels) == 1 and self._way.contradiction is not None
        return self.settings.multi_label or alone

    def _scores(self, outputs: Tensors) -> NDArray[np.float64]:
        """The logit of each label, [labels]."""
        way = self._way
        if way.by != "nli":
            vectors = unit(finite(outputs, EMBEDDING, (1 + len(self.labels), None)))
            cosines: NDArray[np.float64] = way.scale * (vectors[1:] @ vectors[0])
            return cosines
        logits = finite(outputs, LOGITS, (len(self.labels), None)).astype(np.float64)
        if logits.shape[1] <= max(way.entailment, way.contradiction or 0):
            raise BundleError(
                f"the graph tells {logits.shape[1]} classes apart, entailment is said to be number {way.entailment}: "
                "get a fresh copy of the bundle"
            )
        if self._odds and way.contradiction is not None:
            odds: NDArray[np.float64] = logits[:, way.entailment] - logits[:, way.contradiction]
            return odds
        entailed: NDArray[np.float64] = logits[:, way.entailment]
        return entailed

    def _prepare(self, labels: Sequence[str]) -> None:
        names = _checked(labels, MOST_NLI_LABELS if self._way.by == "nli" else MOST_LABELS)
        texts = [self._way.template.replace("{}", label) for label in names]
        tokens = self.tokenizer.tokens(texts)
        if self._way.by == "nli":
            self._hypotheses = list(zip(tokens, texts, strict=True))
        else:
            found: list[Tensors] = []
            for label, one, text in zip(names, tokens, texts, strict=True):
                if not len(one):
                    raise InputError(f"the label {shown(label)} holds no token: name it in words")
                rows = self.windows(self.tokenizer.sample([one], [text]))
                if len(rows) > 1:
                    raise InputError(f"the label {shown(label)} is longer than the model reads: shorten it")
                found += rows
            self._label_rows, self._key = found, object()
        self.labels = names


def _class_names(way: ZeroShotSettings, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names for the outputs of an NLI model where those of its config.json are not in the order of the head, which a
    run may have left; nothing where they are.
    """
    own = {int(place): str(name).lower() for place, name in (config.get("id2label") or {}).items()}
    said = own.get(way.entailment, "")
    if "entail" in said and re.search(r"(^|[^a-z])(not|non|no)[^a-z]*entail", said) is None:
        return ()
    places = {way.entailment: "entailment"}
    if way.contradiction is not None:
        places[way.contradiction] = "contradiction"
    count = max(len(own), max(places) + 1)
    rest = "neutral" if count - len(places) == 1 else "LABEL_{}"
    return tuple(places.get(index, rest.format(index)) for index in range(count))


def _checked(labels: Any, most: int) -> tuple[str, ...]:
    if isinstance(labels, (str, bytes)) or not isinstance(labels, Sequence):
        raise InputError(f"the labels are {type(labels).__name__}: give a list of them")
    names = []
    for label in labels:
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"the label {label!r} is empty or no text: name each one")
        if not label.isascii() and label.encode("utf-8", "replace").decode("utf-8") != label:
            raise InputError(
                f"the label {label!r} holds half a character (a lone surrogate): write it in UTF-8"
            )
        names.append(label.strip())
    if not names:
        raise InputError("there are no labels: give at least one")
    if len(names) > most:
        way = "a model by embeddings takes more" if most == MOST_NLI_LABELS else "ask in several parts"
        raise InputError(f"{len(names)} labels are more than the {most} that one question may have: {way}")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"the label {name!r} is given twice: leave one out")
        seen.add(name)
    return tuple(names)

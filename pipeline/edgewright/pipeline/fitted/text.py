"""What the device half of an encoder's task has to know: the checkpoint's own habits, and what the recipe changes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgewright.pipeline.catalog import WEIGHT_WORDS, TextEncoderTask
from edgewright.pipeline.data.readers import reader_of
from edgewright.pipeline.data.samples import SPLITS, Answers, Sample, Splits
from edgewright.pipeline.data.text.head_labels import run_inference
from edgewright.pipeline.data.text.vocabulary import one_thread
from edgewright.pipeline.fitted.units import fit_units
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import BundleError, DataError, InputError, ModelError, RecipeError
from edgewright.runtime.tasks import load_task
from edgewright.runtime.text.settings import EncoderTextSettings, QuestionSettings, ZeroShotSettings

if TYPE_CHECKING:
    from edgewright.pipeline.models.text_encoders.checkpoint import Checkpoint


AUTO_TOKENS = 512
"""What `max_tokens: auto` means at most: models that read thousands need memory and time for it."""

NLI_TEMPLATE = "This example is about {}."
EMBEDDING_TEMPLATE = "{}"

_BATCH = 512
_NAMED = 4


def fit_encoder(recipe: Recipe, splits: Splits) -> tuple[EncoderTextSettings, bytes, tuple[str, ...]]:
    """The settings, the tokenizer.json and sentences for the user, after every text was read once as the device will.

    Raises:
        RecipeError: the recipe wants what the checkpoint cannot do.
        DataError: a text cannot be read, or is too long where that is refused.
        ModelError: the checkpoint or its tokenizer cannot be used.
    """
    from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(recipe.model)
    settings = encoder_text_settings(recipe, checkpoint)
    if cast(TextEncoderTask, recipe.own).answers == "tokens":
        settings = replace(settings, units=fit_units(recipe, splits))
    content = checkpoint.tokenizer()
    _device_task(recipe, settings, content, splits.classes)  # with all labels, as it will be shipped
    with one_thread():
        notes = _read_once(recipe, settings, content, splits)
    if settings.zero_shot is not None:
        way = settings.zero_shot
        notes = (*notes, f"labels are scored by {way.by}, as {way.template.replace('{}', 'LABEL')!r}")
    return settings, content, notes


def encoder_text_settings(recipe: Recipe, checkpoint: "Checkpoint") -> EncoderTextSettings:
    """How texts become the checkpoint's inputs. Raises `RecipeError` for what it cannot do."""
    text, question = recipe.text, recipe.question
    task = cast(TextEncoderTask, recipe.own)
    asks = task.answers == "span"
    # A sentence model may have positions that it was never trained on.
    trained = min(checkpoint.max_tokens, checkpoint.preferred_tokens or AUTO_TOKENS, AUTO_TOKENS)
    limit = trained if text.max_tokens == "auto" else text.max_tokens
    if limit > checkpoint.max_tokens:
        raise RecipeError(
            f"text.max_tokens: {limit} is more than {recipe.model} reads ({checkpoint.max_tokens}): lower it, "
            "and use text.policy: stride for longer texts"
        )
    stride = 0
    if text.policy == "stride":
        stride = (
            text.stride if text.stride != "auto" else min(128, limit // 4) if asks else min(32, limit // 8)
        )
    if stride >= limit:
        raise RecipeError(f"text.stride: {stride} leaves windows of {limit} tokens nothing new: lower it")
    way = _zero_shot(recipe, checkpoint) if task.zero_shot else None
    embeds = task.answers == "embedding" and (way is None or way.by == "embedding")
    normalise = bool(checkpoint.normalise) if text.normalise == "auto" else text.normalise
    return EncoderTextSettings(
        max_tokens=limit,
        policy=text.policy,
        stride=stride,
        inputs=tuple(checkpoint.inputs),
        pad_id=checkpoint.pad_id,
        vocabulary=checkpoint.vocabulary,
        pair=len(recipe.data.texts) == 2,
        columns=_columns(recipe),
        multi_label=text.multi_label,
        threshold=text.threshold,
        truncation_side="right" if asks else checkpoint.truncation_side,
        normalise=normalise and embeds,
        question=QuestionSettings(question.no_answer, question.null_threshold, question.max_answer_tokens)
        if asks
        else None,
        zero_shot=way,
    )


def _columns(recipe: Recipe) -> tuple[str, ...]:
    data = recipe.data
    asks = cast(TextEncoderTask, recipe.own).answers == "span"
    return (data.question, data.context) if asks else data.texts


def _zero_shot(recipe: Recipe, checkpoint: "Checkpoint") -> ZeroShotSettings:
    wanted, source = recipe.zero_shot, recipe.model
    entailment, contradiction = checkpoint.entailment, checkpoint.contradiction
    if recipe.weights not in WEIGHT_WORDS:  # a run has a head of its own, with labels in an order of its own
        source = recipe.weights
        entailment, contradiction = run_inference(Path(recipe.weights))
    if wanted.by == "nli" and entailment is None:
        raise RecipeError(
            f"zero_shot.by: {source} has no label called entailment, so it is no model of inference: "
            "use by: embedding, or name an NLI checkpoint"
        )
    if wanted.by != "embedding" and entailment is not None:
        template = NLI_TEMPLATE if wanted.template == "auto" else wanted.template
        return ZeroShotSettings("nli", template, entailment, contradiction)
    return ZeroShotSettings("embedding", EMBEDDING_TEMPLATE if wanted.template == "auto" else wanted.template)


def _device_task(recipe: Recipe, settings: EncoderTextSettings, content: bytes, labels: Sequence[str]) -> Any:
    try:
        return load_task(recipe.task, to_plain(settings), labels, {"tokenizer": content})
    except BundleError as error:
        reason = (
            str(error).removesuffix(": get a fresh copy of the bundle").removesuffix(": get a fresh bundle")
        )
        if reason.startswith("the labels of the bundle"):
            raise DataError(f"{reason.replace('of the bundle', 'of the data', 1)}") from None
        raise ModelError(f"{recipe.model} cannot be used for {recipe.task}: {reason}") from None


def _read_once(
    recipe: Recipe, settings: EncoderTextSettings, content: bytes, splits: Splits
) -> tuple[str, ...]:
    """Notes on texts that are longer than what is read."""
    noun, limit = reader_of(recipe).noun, settings.max_tokens
    # Cut, so that what is lost can be counted; one label, since by NLI every label would be read with every text.
    labels = (max(splits.classes, key=len),) if settings.zero_shot and splits.classes else splits.classes
    task = _device_task(recipe, replace(settings, policy="truncate", stride=0), content, labels)
    long: list[Sample] = []
    longest = count = 0
    answers = _AnswerCounts(settings, task)
    for name in SPLITS:
        samples = splits.split(name)
        count += len(samples)
        for start in range(0, len(samples), _BATCH):
            some = samples[start : start + _BATCH]
            for sample, feeds in zip(some, _encoded(task, some, splits), strict=True):
                lost = int(feeds["lost"])
                if lost:
                    long.append(sample)
                    longest = max(longest, int(feeds["windows"].max()) + lost)
                if isinstance(sample.target, Answers) and sample.target.texts:
                    answers.add(feeds, sample.target)
    if not long:
        return answers.notes()
    text = f"{len(long)} of {count} {noun.many} have more than {limit} tokens (the longest {longest})"
    if settings.policy == "refuse":
        raise DataError(f"{text}, first {long[0].id}: shorten them, or use text.policy: truncate or stride")
    if settings.policy == "stride":
        done = f"they are read in windows of {limit} that share {settings.stride}"
    else:
        done = f"only the {'last' if settings.truncation_side == 'left' else 'first'} {limit} count"
    return (f"{text}: {done}", *answers.notes())


def _encoded(task: Any, samples: Sequence[Sample], splits: Splits) -> list[Any]:
    encode: Callable[[Sequence[Any]], list[Any]] = task.encode_all
    try:
        return encode([sample.raw for sample in samples])
    except InputError:
        raise _unreadable(encode, splits) from None


def _unreadable(encode: Callable[[Sequence[Any]], list[Any]], splits: Splits) -> DataError:
    """The first text that cannot be read, and which others."""
    found: list[tuple[str, str, InputError]] = []
    for split in SPLITS:
        for sample in splits.split(split):
            try:
                encode([sample.raw])
            except InputError as error:
                found.append((split, sample.id, error))
    split, first, reason = found[0]
    others = ", ".join(name for _, name, _ in found[1:_NAMED])
    more = (
        f" (nor can {len(found) - 1} more: {others}{' ...' if len(found) > _NAMED else ''})" if others else ""
    )
    return DataError(f"{splits.source}, {split} sample {first}: {reason}{more}")


class _AnswerCounts:
    """How many right answers the settings can never give."""

    def __init__(self, settings: EncoderTextSettings, task: Any) -> None:
        self._settings, self._task = settings, task
        self._all = self._behind = self._large = 0

    def add(self, feeds: Any, target: Answers) -> None:
        """Count the answers to one question, which was cut where it is too long."""
        question = self._settings.question or QuestionSettings()
        sizes = []
        for text, start in zip(target.texts, target.starts, strict=True):
            (place,) = self._task.answers_at(feeds, start, start + len(text))
            if place is not None:
                sizes.append(place[1] - place[0] + 1)
        self._all += 1
        if sizes:
            self._large += min(sizes) > question.max_answer_tokens
        elif self._settings.policy == "truncate":
            self._behind += 1

    def notes(self) -> tuple[str, ...]:
        """A sentence for each reason."""
        found = []
        if self._behind:
            found.append(
                f"{self._behind} of {self._all} answers stand in what is cut off: use text.policy: stride"
            )
        if self._large:
            most = (self._settings.question or QuestionSettings()).max_answer_tokens
            found.append(
                f"{self._large} of {self._all} answers have more than {most} tokens, and the device gives none of "
                "these: raise question.max_answer_tokens"
            )
        return tuple(found)

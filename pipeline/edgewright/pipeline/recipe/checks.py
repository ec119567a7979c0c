"""What of a recipe does not belong to its task and model, or cannot work with them."""

from collections.abc import Iterable

from edgewright.pipeline.catalog import TASKS, TaskSpec
from edgewright.pipeline.recipe.family import (
    all_sections,
    data_of_any,
    family_named,
    sections_of,
    sections_of_any,
)
from edgewright.pipeline.recipe.messages import either
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.recipe.values import changed_keys
from edgewright.runtime.hints import did_you_mean


def check_recipe(recipe: Recipe) -> None:
    """Raise `ValueError`, one line with the way out, for a combination that cannot work."""
    if recipe.task not in TASKS:
        raise ValueError(
            f"task: unknown task {recipe.task!r}{did_you_mean(recipe.task, TASKS, 1)}: "
            f"choose from {', '.join(TASKS)}"
        )
    _check_task(recipe)
    if recipe.weights == "none":
        _check_random_start(recipe)
    if recipe.transfer.mode == "feature-extraction" and recipe.training.augment != "none":
        raise ValueError(
            "training.augment: feature-extraction sees each image once, so it cannot be augmented: "
            "use augment: none, or mode: fine-tuning"
        )
    if recipe.data.calibration == 0 and "int8-static" in recipe.wanted_variants:
        raise ValueError(
            "data.calibration: int8-static is calibrated on this share of the samples: "
            "make it greater than 0, or list variants without int8-static"
        )


def _check_random_start(recipe: Recipe) -> None:
    published, transfer = recipe.family.published, recipe.transfer
    trained = f"{published[0]} or a path" if published else "the path of a run"
    if transfer.mode == "none":
        raise ValueError(
            "transfer.mode: none ships the weights as they are, and weights: none makes them random: "
            f"use weights: {trained}, or mode: fine-tuning"
        )
    if transfer.mode == "feature-extraction":
        raise ValueError(
            "transfer.mode: feature-extraction keeps the backbone as it is, and weights: none makes "
            f"it random: use weights: {trained}, or mode: fine-tuning"
        )
    if transfer.unfreeze != "all":
        raise ValueError(
            "transfer.unfreeze: with weights: none the frozen layers would stay random: "
            f"use unfreeze: all, or weights: {trained}"
        )
    if transfer.head == "keep":
        raise ValueError(
            f"transfer.head: weights: none has no trained head to keep: use head: new, or weights: {trained}"
        )


def _check_task(recipe: Recipe) -> None:
    spec = recipe.spec
    _check_model(recipe, spec)
    _check_sections(recipe, spec)
    _check_data_keys(recipe, spec)
    _check_training(recipe, spec)
    _check_mode(recipe, spec)
    if "text" in spec.sections:
        recipe.family.check_text(recipe)
        _check_columns(recipe)
    recipe.family.check(recipe)
    if "target" in spec.data and not spec.forecasts:
        for column in recipe.data.features or ():
            if column in (recipe.data.target or ()):
                raise ValueError(
                    f"data.features: {column!r} is the target, which the device does not have: leave it out"
                )
    if spec.forecasts:
        _check_forecast(recipe)


def _check_model(recipe: Recipe, spec: TaskSpec) -> None:
    family = recipe.family
    if family.name not in spec.families:
        learners = [family_named(name) for name in spec.families]
        names = [model for learner in learners for model in learner.models]
        if names and not family.models:
            raise ValueError(
                f"model: {recipe.model!r} cannot learn {recipe.task}{did_you_mean(recipe.model, names)}: "
                f"use {either(names)}"
            )
        users = [name for name, other in TASKS.items() if family.name in other.families]
        raise ValueError(
            f"model: {recipe.model} is for {either(users)}, not for {recipe.task}: {learners[-1].instead}"
        )
    if recipe.weights not in ("imagenet", "pretrained") or recipe.weights in family.weight_words:
        return
    if not family.published:
        raise ValueError(
            f"weights: there are no published weights of {recipe.model}: "
            "use weights: none, or the path of a run of your own"
        )
    raise ValueError(
        f"weights: {recipe.weights} is for other models: use {', '.join(family.weight_words)} or a path"
    )


def _check_sections(recipe: Recipe, spec: TaskSpec) -> None:
    foreign = all_sections() - sections_of(spec, recipe.family)
    for name in sorted(recipe.model_fields_set & foreign):
        if name in sections_of_any(spec):
            owners = [
                family_named(family) for family in spec.families if name in family_named(family).sections
            ]
            raise ValueError(
                f"{name}: this section is for {owners[0].kind}, not for {recipe.model}: remove it"
            )
        users = [task for task, other in TASKS.items() if name in sections_of_any(other)]
        raise ValueError(f"{name}: this section is for {either(users)}, not for {recipe.task}: remove it")


def _check_data_keys(recipe: Recipe, spec: TaskSpec) -> None:
    for key in sorted(recipe.data.model_fields_set - spec.data - recipe.own.data):
        owners = [family_named(name) for name, own in spec.families.items() if key in own.data]
        if owners:
            raise ValueError(
                f"data.{key}: this key is for {owners[0].kind}, not for {recipe.model}: remove it"
            )
        users = [task for task, other in TASKS.items() if key in data_of_any(other)]
        raise ValueError(
            f"data.{key}: this key is for {either(users)}, not for {recipe.task}: {_instead(key, spec)}"
        )
    for form, key in (("conll", "tags"), ("squad", "answers")):
        if recipe.data.format == form and key not in spec.data:
            users = [task for task, other in TASKS.items() if key in other.data] or [f"a task with {key}"]
            raise ValueError(f"data.format: {form} is for {either(users)}, not for {recipe.task}: use auto")


def _instead(key: str, spec: TaskSpec) -> str:
    if key == "window" and spec.forecasts:
        return "use forecast.context and forecast.horizon"
    if key == "label" and "target" in spec.data and not spec.forecasts:
        return "use data.target"
    return "remove it"


def _check_training(recipe: Recipe, spec: TaskSpec) -> None:
    task, training, family = recipe.task, recipe.training, recipe.family
    metrics = family.metrics(spec, recipe.text.multi_label)
    if training.metric not in metrics:
        what = f"{task} with text.multi_label" if recipe.text.multi_label else task
        raise ValueError(
            f"training.metric: expected {either(metrics)} for {what}, found {training.metric!r}"
            f"{did_you_mean(training.metric, metrics)}"
        )
    if not family.counts_updates and training.least_steps:
        others = any(family_named(name).counts_updates for name in spec.families)
        raise ValueError(
            f"training.least_steps: {recipe.model if others else task} goes by epochs alone: "
            "remove the key, or raise training.epochs"
        )
    if not family.augments and training.augment != "none":
        raise ValueError(f"training.augment: only images are augmented, {task} has none: remove the key")
    if not spec.classifies:
        for key, default in (("class_weights", "none"), ("label_smoothing", 0.0)):
            if getattr(training, key) != default:
                raise ValueError(f"training.{key}: {task} has no classes: remove the key")
    if not spec.regresses and training.loss is not None:
        users = [name for name, other in TASKS.items() if other.regresses]
        what = "a classifier" if spec.classifies else task
        raise ValueError(f"training.loss: {what} has its own: remove the key, or use {either(users)}")


def _check_mode(recipe: Recipe, spec: TaskSpec) -> None:
    mode = recipe.transfer.mode
    if mode == "none" and not recipe.family.ships_as_is:
        users = [name for name, other in TASKS.items() if "none" in other.modes]
        raise ValueError(
            f"transfer.mode: none ships a checkpoint of {either(users)} as it is, {recipe.model} is none: "
            "use mode: fine-tuning"
        )
    if mode not in spec.modes:
        trains_nothing = spec.modes == ("none",)
        reason = "trains nothing" if trains_nothing else "has no head to train on features"
        raise ValueError(
            f"transfer.mode: {recipe.task} {reason}, so that {mode} has nothing to do: "
            f"use mode: {' or '.join(spec.modes)}"
        )


def _check_columns(recipe: Recipe) -> None:
    """Columns of texts, and weights of labels."""
    data, text = recipe.data, recipe.text
    if isinstance(data.text, tuple) and not recipe.own.pairs:
        users = [name for name, other in TASKS.items() if any(own.pairs for own in other.families.values())]
        raise ValueError(
            f"data.text: {recipe.task} reads one text, not two: name one column, or use {either(users)}"
        )
    if text.multi_label and data.train_per_class is not None:
        raise ValueError(
            "data.train_per_class: with text.multi_label a text belongs to many classes: remove the key"
        )
    if text.multi_label and recipe.training.class_weights != "none":
        raise ValueError(
            "training.class_weights: with text.multi_label every label has a loss of its own: remove the key"
        )
    if data.separator is not None and not text.multi_label:
        raise ValueError(
            "data.separator: parts the labels of a text that has several: remove the key, or set text.multi_label: true"
        )


def _check_forecast(recipe: Recipe) -> None:
    forecast, data = recipe.forecast, recipe.data
    if "unseen" in changed_keys(data) and not forecast.per_series:
        raise ValueError(
            "data.unseen: without forecast.per_series every series is normalised alike, so that none is unseen: "
            "remove the key, or set forecast.per_series: true"
        )
    if data.layout == "wide" and (forecast.known or data.features):
        key = "forecast.known" if forecast.known else "data.features"
        raise ValueError(
            f"{key}: with layout: wide every column is a series of its own: remove the key, or use layout: long"
        )
    if forecast.per_series and data.unseen == "refuse" and data.split in ("series", "random"):
        raise ValueError(
            f"data.unseen: with split: {data.split} the judged series have no scale of their own: "
            "use unseen: global, or split: time"
        )
    _check_known(forecast.known or (), recipe)
    if data.split == "random" and (data.stride or 1) < forecast.context + forecast.horizon:
        raise ValueError(
            "data.split: windows overlap, so that dealt out at random they would be in two splits at once: "
            f"use split: time or series, or stride: {forecast.context + forecast.horizon}"
        )


def _check_known(known: Iterable[str], recipe: Recipe) -> None:
    data = recipe.data
    for column in known:
        if column in (data.target or ()) or column in (data.series, data.time):
            raise ValueError(f"forecast.known: {column!r} has another role in data: give it one role")

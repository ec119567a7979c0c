"""Which keys of a recipe belong to which task and model, what they default to there, and what cannot work together."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgewright.pipeline.catalog import (
    BUILTIN_DATA,
    ENCODER,
    RECURRENT,
    RECURRENT_MODELS,
    TASK_RULES,
    VISION,
    TaskRules,
    family_of,
    metrics_of,
    optional_sections,
)
from edgewright.pipeline.recipe.text import check_columns, check_text, own_text, text_defaults
from edgewright.pipeline.recipe.values import changed_keys
from edgewright.runtime.hints import did_you_mean

if TYPE_CHECKING:
    from edgewright.pipeline.recipe.recipe import Recipe


LEAST_STEPS = 600
"""Updates that a recurrent net gets from random weights, however few its samples, unless a recipe counts its epochs."""

ENCODER_EPOCHS = {"fine-tuning": 3, "feature-extraction": 10}
"""How long a checkpoint learns: it knows its language already, and a head on kept features costs next to nothing."""


def weight_words(task: str, model: object) -> tuple[str, ...]:
    """What `weights` may be beside a path, for this kind of model."""
    published = {VISION: ("imagenet",), ENCODER: ("pretrained",), RECURRENT: ()}[family_of(task, model)]
    return (*published, "none")


def fill_defaults(document: Mapping[str, Any], builtin: bool) -> dict[str, Any]:
    """`document` with the defaults that depend on its task, model and other keys. `builtin`: so is its data."""
    result = dict(document)
    task = str(result.get("task"))
    rules, family = TASK_RULES.get(task), family_of(task, result.get("model"))
    result.setdefault("weights", weight_words(task, result.get("model"))[0])
    transfer, training, data = (_section(result, name) for name in ("transfer", "training", "data"))
    text = _section(result, "text")
    if transfer is None or training is None:
        return result
    mode = transfer.get("mode")
    if rules is not None and mode is None and rules.modes[0] != "fine-tuning":
        mode = rules.modes[0]
        transfer = {"mode": mode, **transfer}
    result["transfer"] = {**_transfer_defaults(mode, result["weights"]), **transfer}
    defaults: dict[str, Any] = {}
    if mode == "feature-extraction" or builtin or family != VISION:
        defaults["augment"] = "none"
    if rules is not None:
        several = text is not None and text.get("multi_label") is True and family == ENCODER
        defaults["metric"] = metrics_of(task, several)[0]
        if family == RECURRENT and result["weights"] == "none":
            defaults["epochs"] = rules.epochs
            if "epochs" not in training:
                defaults["least_steps"] = LEAST_STEPS
        if family == ENCODER:
            defaults["batch_size"] = 16
            if mode in (None, "fine-tuning"):
                defaults["schedule"] = "linear"
            if (mode or "fine-tuning") in ENCODER_EPOCHS:
                defaults["epochs"] = ENCODER_EPOCHS[mode or "fine-tuning"]
        if text is not None and "text" in rules.sections:
            result["text"] = text_defaults(task, family, text)
    result["training"] = {**defaults, **training}
    if family == RECURRENT and data is not None:
        # Nothing that is made of a recurrent net by itself is calibrated: its samples would be lost to the training.
        listed = result.get("variants")
        static = isinstance(listed, (list, tuple)) and "int8-static" in listed
        result["data"] = {"calibration": 0.1 if static else 0.0, **data}
    if (
        data is not None
        and rules is not None
        and "target" in rules.data
        and str(data.get("source")) in BUILTIN_DATA
    ):
        result["data"] = {**BUILTIN_DATA[str(data["source"])], **(_section(result, "data") or {})}
    forecast = _section(result, "forecast")
    if result.get("task") == "forecasting" and forecast is not None and forecast.get("context") is None:
        result["forecast"] = {**forecast, "context": _context(forecast)}
    return result


def _transfer_defaults(mode: object, weights: object) -> dict[str, Any]:
    if mode == "feature-extraction":
        return {"unfreeze": 1}
    if mode == "none":
        return {"unfreeze": 1, "head_epochs": 0, "rate_divisor": 1.0, "head": "keep"}
    if weights == "none":
        return {"unfreeze": "all", "head_epochs": 0, "rate_divisor": 1.0}
    return {}


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    section = document.get(name, {})
    if name == "data" and isinstance(section, str):
        return {"source": section}
    return section if isinstance(section, Mapping) else None


def _context(forecast: Mapping[str, Any]) -> int:
    def steps(key: str) -> int:
        value = forecast.get(key, 1)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 1

    return max(2 * steps("season"), 2 * steps("horizon"), 16)


def only_own_keys(plain: dict[str, Any]) -> dict[str, Any]:
    """A recipe's plain values without what does not belong to its task, so that other tasks' keys change no digest."""
    rules, family = TASK_RULES[plain["task"]], family_of(plain["task"], plain["model"])
    foreign_sections = optional_sections() - rules.sections_of(family)
    result = {key: value for key, value in plain.items() if key not in foreign_sections}
    own_data = rules.data_of(family)
    result["data"] = {key: value for key, value in plain["data"].items() if key in own_data}
    if "text" in result:
        result["text"] = own_text(rules, family, plain["text"])
    foreign = set() if rules.regresses else {"loss"}
    foreign |= set() if family == RECURRENT else {"least_steps"}
    foreign |= set() if plain["training"]["schedule"] == "linear" else {"warmup"}
    result["training"] = {key: value for key, value in plain["training"].items() if key not in foreign}
    decay = plain["transfer"]["layer_decay"]
    result["transfer"] = {
        key: value for key, value in plain["transfer"].items() if key != "layer_decay" or decay is not None
    }
    return result


def check_task(recipe: "Recipe") -> None:
    """Raise `ValueError` for what does not belong to the recipe's task and model, or cannot work with them."""
    task, rules = recipe.task, TASK_RULES[recipe.task]
    family = family_of(task, recipe.model)
    _check_model(recipe, rules, family)
    for name in sorted(recipe.model_fields_set & (optional_sections() - rules.sections_of(family))):
        if name in rules.sections:
            raise ValueError(
                f"{name}: this section is for {_either(RECURRENT_MODELS)}, not for {recipe.model}: remove it"
            )
        users = [other for other, its in TASK_RULES.items() if name in its.sections]
        raise ValueError(f"{name}: this section is for {_either(users)}, not for {task}: remove it")
    for key in sorted(recipe.data.model_fields_set - rules.data_of(family)):
        if key in rules.data_of(ENCODER):
            raise ValueError(f"data.{key}: this key is for checkpoints, not for {recipe.model}: remove it")
        users = [other for other, its in TASK_RULES.items() if key in its.data_of(ENCODER)]
        raise ValueError(
            f"data.{key}: this key is for {_either(users)}, not for {task}: {_instead(key, task)}"
        )
    for form, key in (("conll", "tags"), ("squad", "answers")):
        if recipe.data.format == form and key not in rules.data:
            users = [other for other, its in TASK_RULES.items() if key in its.data] or [f"a task with {key}"]
            raise ValueError(f"data.format: {form} is for {_either(users)}, not for {task}: use auto")
    _check_training(recipe, rules, family)
    _check_mode(recipe, rules, family)
    if "text" in rules.sections:
        check_text(recipe, rules)
        check_columns(recipe)
    if family == RECURRENT:
        _check_network(recipe, rules)
    if task.startswith("sequence-"):
        for column in recipe.data.features or ():
            if column in (recipe.data.target or ()):
                raise ValueError(
                    f"data.features: {column!r} is the target, which the device does not have: leave it out"
                )
    if task == "forecasting":
        _check_forecast(recipe)


def _check_training(recipe: "Recipe", rules: TaskRules, family: str) -> None:
    task, training = recipe.task, recipe.training
    metrics = metrics_of(task, recipe.text.multi_label and family == ENCODER)
    if training.metric not in metrics:
        what = f"{task} with text.multi_label" if recipe.text.multi_label else task
        raise ValueError(
            f"training.metric: expected {_either(metrics)} for {what}, found {training.metric!r}"
            f"{did_you_mean(training.metric, metrics)}"
        )
    if family != RECURRENT and training.least_steps:
        name = recipe.model if rules.recurrent else task
        raise ValueError(
            f"training.least_steps: {name} goes by epochs alone: remove the key, or raise training.epochs"
        )
    if family != VISION and training.augment != "none":
        raise ValueError(f"training.augment: only images are augmented, {task} has none: remove the key")
    if not rules.classifies:
        for key, default in (("class_weights", "none"), ("label_smoothing", 0.0)):
            if getattr(training, key) != default:
                raise ValueError(f"training.{key}: {task} has no classes: remove the key")
    if not rules.regresses and training.loss is not None:
        users = [other for other, its in TASK_RULES.items() if its.regresses]
        what = "a classifier" if rules.classifies else task
        raise ValueError(f"training.loss: {what} has its own: remove the key, or use {_either(users)}")


def _check_mode(recipe: "Recipe", rules: TaskRules, family: str) -> None:
    mode = recipe.transfer.mode
    if mode == "none" and family != ENCODER:
        users = [other for other, its in TASK_RULES.items() if "none" in its.modes]
        raise ValueError(
            f"transfer.mode: none ships a checkpoint of {_either(users)} as it is, {recipe.model} is none: "
            "use mode: fine-tuning"
        )
    if mode not in rules.modes:
        *others, last = rules.modes
        reason = (
            f"{recipe.task} trains nothing"
            if rules.modes == ("none",)
            else f"{recipe.task} has no head to train on features"
        )
        raise ValueError(
            f"transfer.mode: {reason}, so that {mode} has nothing to do: use mode: {' or '.join((*others, last))}"
        )


def _check_model(recipe: "Recipe", rules: TaskRules, family: str) -> None:
    if family not in rules.models:
        if rules.recurrent:
            raise ValueError(
                f"model: {recipe.model!r} cannot learn {recipe.task}{did_you_mean(recipe.model, RECURRENT_MODELS)}: "
                f"use {_either(RECURRENT_MODELS)}"
            )
        users = [task for task, its in TASK_RULES.items() if its.recurrent]
        instead = (
            "name a checkpoint, a folder or a name of the hub"
            if ENCODER in rules.models
            else "use resnet18 or another of 'edgewright models'"
        )
        raise ValueError(f"model: {recipe.model} is for {_either(users)}, not for {recipe.task}: {instead}")
    if recipe.weights not in ("imagenet", "pretrained"):
        return
    words = weight_words(recipe.task, recipe.model)
    if recipe.weights in words:
        return
    if family == RECURRENT:
        raise ValueError(
            f"weights: there are no published weights of {recipe.model}: "
            "use weights: none, or the path of a run of your own"
        )
    raise ValueError(f"weights: {recipe.weights} is for other models: use {', '.join(words)} or a path")


def _check_network(recipe: "Recipe", rules: TaskRules) -> None:
    given = changed_keys(recipe.network)
    for key, reason in (rules.network or {}).items():
        if key in given:
            raise ValueError(f"network.{key}: does not belong to {recipe.task}, {reason}: remove the key")
    if "activation" in given and recipe.model != "rnn":
        raise ValueError(
            f"network.activation: the gates of {recipe.model} have their own: remove the key, or use model: rnn"
        )


def _check_forecast(recipe: "Recipe") -> None:
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
    targets = frozenset(data.target or ())
    for column in forecast.known or ():
        if column in targets or column in (data.series, data.time):
            raise ValueError(f"forecast.known: {column!r} has another role in data: give it one role")
    if data.split == "random" and (data.stride or 1) < forecast.context + forecast.horizon:
        raise ValueError(
            "data.split: windows overlap, so that dealt out at random they would be in two splits at once: "
            f"use split: time or series, or stride: {forecast.context + forecast.horizon}"
        )


def _instead(key: str, task: str) -> str:
    if key == "window" and task == "forecasting":
        return "use forecast.context and forecast.horizon"
    if key == "label" and task.startswith("sequence-"):
        return "use data.target"
    return "remove it"


def _either(names: Any) -> str:
    *rest, last = names
    return f"{', '.join(rest)} or {last}" if rest else last

"""Which keys of a recipe belong to which task and model, what they default to there, and what cannot work together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.pipeline.recipe_text import did_you_mean
from edgewright.pipeline.recipe_values import Section
from edgewright.pipeline.tasks.metric_names import TASK_METRICS

if TYPE_CHECKING:
    from edgewright.pipeline.recipe import Recipe

__all__ = [
    "BUILTIN_DATA",
    "RECURRENT_MODELS",
    "TASK_RULES",
    "TaskRules",
    "check_task",
    "fill_defaults",
    "is_recurrent",
    "only_own_keys",
]

RECURRENT_MODELS = ("rnn", "lstm", "gru")

_CLASSES = frozenset({"classes", "train_per_class"})
_TABLE = frozenset(
    {"format", "layout", "series", "time", "features", "target", "stride", "split", "missing", "irregular", "step",
     "min_length"}
)  # fmt: skip
_FILE = frozenset(
    {"source", "validation", "calibration", "calibration_limit", "evaluation", "max_bad", "seed"}
)


@dataclass(frozen=True)
class TaskRules:
    """What a recipe of one task may say.

    `sections` and `data` are the keys that belong to it beside those of every task; `network` those of its network
    that do not, with the reason. `epochs` is how long a model trains that starts
    from random weights.
    """

    sections: frozenset[str]
    data: frozenset[str]
    recurrent: bool = True
    classifies: bool = True
    epochs: int = 30
    network: Mapping[str, str] | None = None


_NO_EMBEDDING = {"embedding": "only texts are embedded"}

TASK_RULES: Mapping[str, TaskRules] = {
    "image-classification": TaskRules(frozenset({"input"}), _FILE | _CLASSES, recurrent=False, epochs=5),
    "sequence-classification": TaskRules(
        frozenset({"network"}), _FILE | _CLASSES | _TABLE | {"window"}, network=_NO_EMBEDDING
    ),
    "sequence-regression": TaskRules(
        frozenset({"network"}),
        _FILE | _TABLE | {"window"},
        classifies=False,
        network={**_NO_EMBEDDING, "readout": "every step has an answer of its own"},
    ),
    "forecasting": TaskRules(
        frozenset({"network", "forecast"}),
        _FILE | _TABLE | {"unseen"},
        classifies=False,
        network=_NO_EMBEDDING,
    ),
    "text-classification": TaskRules(
        frozenset({"network", "text"}),
        _FILE | _CLASSES | {"format", "text", "label"},
        epochs=10,
    ),
    "audio-classification": TaskRules(
        frozenset({"network", "audio"}), _FILE | _CLASSES, network=_NO_EMBEDDING
    ),
}
"""A task that a recipe may name, and its rules: one for each of `edgewright.runtime.tasks.TASKS`."""

BUILTIN_DATA: Mapping[str, Mapping[str, Any]] = {
    "builtin:co2": {"time": "date", "target": ["co2"], "missing": "interpolate"},
}
"""What a recipe need not say about the columns of a built-in set."""

LEAST_STEPS = 600
"""Updates that a recurrent net gets from random weights, however few its samples, unless a recipe counts its epochs."""

_REGRESSIONS = tuple(task for task, rules in TASK_RULES.items() if not rules.classifies)
_OPTIONAL_SECTIONS = frozenset().union(*(rules.sections for rules in TASK_RULES.values()))


def is_recurrent(model: object) -> bool:
    """Whether a recipe's `model` is a recurrent net."""
    return model in RECURRENT_MODELS


def fill_defaults(document: Mapping[str, Any], builtin: bool) -> dict[str, Any]:
    """`document` with the defaults that depend on its task, model and other keys. `builtin`: so is its data."""
    result = dict(document)
    rules = TASK_RULES.get(str(result.get("task")))
    recurrent = is_recurrent(result.get("model"))
    if recurrent:
        result.setdefault("weights", "none")
    transfer, training, data = (_section(result, name) for name in ("transfer", "training", "data"))
    if transfer is None or training is None:
        return result
    extraction = transfer.get("mode") == "feature-extraction"
    filled: dict[str, Any] = {}
    if extraction:
        filled = {"unfreeze": 1}
    elif result.get("weights") == "none":
        filled = {"unfreeze": "all", "head_epochs": 0, "rate_divisor": 1.0}
    result["transfer"] = {**filled, **transfer}
    defaults: dict[str, Any] = {}
    if extraction or builtin or (rules is not None and rules.recurrent):
        defaults["augment"] = "none"
    if rules is not None:
        defaults["metric"] = TASK_METRICS[str(result["task"])][0]
        if rules.recurrent and result.get("weights") == "none":
            defaults["epochs"] = rules.epochs
            if "epochs" not in training:
                defaults["least_steps"] = LEAST_STEPS
    result["training"] = {**defaults, **training}
    if recurrent and data is not None:
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
    rules = TASK_RULES[plain["task"]]
    result = {
        key: value for key, value in plain.items() if key not in _OPTIONAL_SECTIONS or key in rules.sections
    }
    result["data"] = {key: value for key, value in plain["data"].items() if key in rules.data}
    foreign = {"loss"} if rules.classifies else set()
    foreign |= set() if rules.recurrent else {"least_steps"}
    result["training"] = {key: value for key, value in plain["training"].items() if key not in foreign}
    return result


def check_task(recipe: "Recipe") -> None:
    """Raise `ValueError` for what does not belong to the recipe's task and model, or cannot work with them."""
    task, rules = recipe.task, TASK_RULES[recipe.task]
    _check_model(recipe, rules)
    for name in sorted(recipe.model_fields_set & (_OPTIONAL_SECTIONS - rules.sections)):
        users = [other for other, its in TASK_RULES.items() if name in its.sections]
        raise ValueError(f"{name}: this section is for {_either(users)}, not for {task}: remove it")
    for key in sorted(recipe.data.model_fields_set - rules.data):
        users = [other for other, its in TASK_RULES.items() if key in its.data]
        raise ValueError(
            f"data.{key}: this key is for {_either(users)}, not for {task}: {_instead(key, task)}"
        )
    training = recipe.training
    metrics = TASK_METRICS[task]
    if training.metric not in metrics:
        raise ValueError(
            f"training.metric: expected {_either(metrics)} for {task}, found {training.metric!r}"
            f"{did_you_mean(training.metric, metrics)}"
        )
    if not rules.recurrent and training.least_steps:
        raise ValueError(
            f"training.least_steps: {task} goes by epochs alone: remove the key, or raise training.epochs"
        )
    if rules.recurrent and training.augment != "none":
        raise ValueError(f"training.augment: only images are augmented, {task} has none: remove the key")
    if not rules.classifies:
        for key, default in (("class_weights", "none"), ("label_smoothing", 0.0)):
            if getattr(training, key) != default:
                raise ValueError(f"training.{key}: {task} has no classes: remove the key")
    elif training.loss is not None:
        raise ValueError(
            f"training.loss: a classifier has its own: remove the key, or use {_either(_REGRESSIONS)}"
        )
    if rules.recurrent:
        _check_network(recipe, rules)
    if task.startswith("sequence-"):
        for column in recipe.data.features or ():
            if column in (recipe.data.target or ()):
                raise ValueError(
                    f"data.features: {column!r} is the target, which the device does not have: leave it out"
                )
    if task == "forecasting":
        _check_forecast(recipe)


def _check_model(recipe: "Recipe", rules: TaskRules) -> None:
    if rules.recurrent and not is_recurrent(recipe.model):
        raise ValueError(
            f"model: {recipe.model!r} cannot learn {recipe.task}{did_you_mean(recipe.model, RECURRENT_MODELS)}: "
            f"use {_either(RECURRENT_MODELS)}"
        )
    if is_recurrent(recipe.model) and not rules.recurrent:
        users = [task for task, its in TASK_RULES.items() if its.recurrent]
        raise ValueError(
            f"model: {recipe.model} is for {_either(users)}, not for {recipe.task}: "
            "use resnet18 or another of 'edgewright models'"
        )
    if is_recurrent(recipe.model) and recipe.weights == "imagenet":
        raise ValueError(
            f"weights: there are no published weights of {recipe.model}: "
            "use weights: none, or the path of a run of your own"
        )


def _check_network(recipe: "Recipe", rules: TaskRules) -> None:
    given = _changed(recipe.network)
    for key, reason in (rules.network or {}).items():
        if key in given:
            raise ValueError(f"network.{key}: does not belong to {recipe.task}, {reason}: remove the key")
    if "activation" in given and recipe.model != "rnn":
        raise ValueError(
            f"network.activation: the gates of {recipe.model} have their own: remove the key, or use model: rnn"
        )


def _check_forecast(recipe: "Recipe") -> None:
    forecast, data = recipe.forecast, recipe.data
    if "unseen" in _changed(data) and not forecast.per_series:
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


def _changed(section: Section) -> set[str]:
    """The keys that do not stand at their default: a recipe that was saved has every key."""
    fields = type(section).model_fields
    return {name for name, field in fields.items() if getattr(section, name) != field.default}


def _instead(key: str, task: str) -> str:
    if key == "window" and task == "forecasting":
        return "use forecast.context and forecast.horizon"
    if key == "label" and task.startswith("sequence-"):
        return "use data.target"
    return "remove it"


def _either(names: Any) -> str:
    *rest, last = names
    return f"{', '.join(rest)} or {last}" if rest else last

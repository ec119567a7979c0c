"""What a recipe that was written in a few lines means: defaults that depend on its task, model and other keys."""

from collections.abc import Mapping
from typing import Any

from edgewright.pipeline.catalog import BUILTIN_DATA, TASKS
from edgewright.pipeline.recipe.family import all_sections, family_for, sections_of


def fill_defaults(document: Mapping[str, Any], builtin: bool) -> dict[str, Any]:
    """`document` with the defaults that depend on its task, model and other keys. `builtin`: so is its data."""
    result = dict(document)
    name = str(result.get("task"))
    spec, family = TASKS.get(name), family_for(name, result.get("model"))
    own = None if spec is None else spec.families.get(family.name)
    result.setdefault("weights", family.weight_words[0])
    transfer, training, data = (_section(result, name) for name in ("transfer", "training", "data"))
    text = _section(result, "text")
    if transfer is None or training is None:
        return result
    mode, weights = _word(transfer.get("mode")), _word(result["weights"])
    if spec is not None and mode is None and spec.modes[0] != "fine-tuning":
        mode = spec.modes[0]
        transfer = {"mode": mode, **transfer}
    result["transfer"] = {**_transfer_defaults(mode, weights), **transfer}
    defaults: dict[str, Any] = {}
    if mode == "feature-extraction" or builtin or not family.augments:
        defaults["augment"] = "none"
    if spec is not None:
        several = text is not None and text.get("multi_label") is True
        defaults["metric"] = family.metrics(spec, several)[0]
    if spec is not None and own is not None:
        defaults |= family.training_defaults(own, weights, mode or "fine-tuning", training)
        if text is not None and "text" in spec.sections:
            result["text"] = {**family.text_defaults(own), **text}
    result["training"] = {**defaults, **training}
    filled = family.data_defaults(result.get("variants"))
    if spec is not None and data is not None and "target" in spec.data:
        filled |= BUILTIN_DATA.get(str(data.get("source")), {})
    if data is not None and filled:
        result["data"] = {**filled, **data}
    forecast = _section(result, "forecast")
    if spec is not None and spec.forecasts and forecast is not None and forecast.get("context") is None:
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


def _word(value: object) -> str | None:
    """A word of the recipe; what is none has no defaults, and is refused further on."""
    return value if value is None or isinstance(value, str) else ""


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
    spec, family = TASKS[plain["task"]], family_for(plain["task"], plain["model"])
    own = spec.families[family.name]
    foreign_sections = all_sections() - sections_of(spec, family)
    result = {key: value for key, value in plain.items() if key not in foreign_sections}
    if result.get("stream", {}).get("memory") == "auto":
        del result["stream"]
    own_data = spec.data | own.data
    result["data"] = {key: value for key, value in plain["data"].items() if key in own_data}
    if "text" in result:
        result["text"] = {key: value for key, value in plain["text"].items() if key in own.text}
    foreign = set() if spec.regresses else {"loss"}
    foreign |= set() if family.counts_updates else {"least_steps"}
    foreign |= set() if plain["training"]["schedule"] == "linear" else {"warmup"}
    result["training"] = {key: value for key, value in plain["training"].items() if key not in foreign}
    decay = plain["transfer"]["layer_decay"]
    result["transfer"] = {
        key: value for key, value in plain["transfer"].items() if key != "layer_decay" or decay is not None
    }
    return result

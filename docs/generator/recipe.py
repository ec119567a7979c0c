"""The page of a recipe's keys, from its JSON Schema, the catalogue of tasks, and recipes of three lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docs.generator.markdown import GENERATED, listed, prose, table
from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.recipe.family import (
    RecipeFamily,
    all_sections,
    data_of_any,
    family_named,
    sections_of_any,
)
from edgewright.pipeline.recipe.load import recipe_from_plain, recipe_json_schema

_INTRO = """\
# Recipe

A recipe is a YAML file with a `task`, a `model` and `data`; every other key has a default. An unknown key, a value of
the wrong type, and a combination that cannot work are errors, one line for each, before anything runs.

- A relative path counts from the folder of the recipe; one that is given with `--set`, from the current folder.
- `none` and a missing key mean the same wherever a default is `none`.
- `--set training.epochs=10` overrides one key from the command line. Quote what the shell or YAML would read:
  `--set "transfer.unfreeze=['layer4*', fc]"`.
- `examples/photos.yaml`, `series.yaml`, `forecast.yaml`, `sounds.yaml` and `texts.yaml` show every key at its default,
  with a comment.
"""

_SCHEMA = """\
## For your editor

This writes the JSON Schema from which this page is made, for an editor that checks YAML while you type:

```python
import json
from pathlib import Path

from edgewright.pipeline.recipe.load import recipe_json_schema

Path("recipe.schema.json").write_text(json.dumps(recipe_json_schema()))
```
"""

_MODELS = {"vision": "resnet18"}
"""A model for each family that has no names of its own; any name is a checkpoint."""

_BOUNDS = (
    ("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"),
)  # fmt: skip


def page() -> str:
    """The whole page."""
    schema = recipe_json_schema()
    sections = {name: key for name, key in schema["properties"].items() if _section(key) is not None}
    single = {name: key for name, key in schema["properties"].items() if name not in sections}
    parts = [GENERATED, _INTRO, "## At the top\n", prose(schema["description"])]
    parts.append(_keys(single, schema.get("required", ()), {}))
    parts += ["## Defaults that depend on task and model\n", _dependent()]
    for name, key in sections.items():
        definition = schema["$defs"][_section(key)]
        owners = {one: _owners_of_data(one) for one in definition["properties"]} if name == "data" else {}
        parts += [f"## {name}\n", _belongs(name), prose(definition.get("description", ""))]
        parts.append(_keys(definition["properties"], definition.get("required", ()), owners))
    parts.append(_SCHEMA)
    return "\n".join(part for part in parts if part.strip())


def _section(key: Mapping[str, Any]) -> str | None:
    """The definition that a key of the recipe refers to."""
    choices = [key, *key.get("anyOf", ()), *key.get("allOf", ())]
    choices += [inner for choice in choices[1:] for inner in choice.get("anyOf", ())]
    found = [choice["$ref"].rpartition("/")[2] for choice in choices if "$ref" in choice]
    return found[0] if found else None


def _keys(keys: Mapping[str, Any], required: Any, owners: Mapping[str, str]) -> str:
    rows = []
    for name, key in keys.items():
        default = "required" if name in required else f"`{_written(key.get('default'))}`"
        rows.append((f"`{name}`", _kind(key), default, key.get("description", ""), owners.get(name, "")))
    return table(("key", "value", "default", "meaning", "only for"), rows)


def _kind(key: Mapping[str, Any]) -> str:
    """What a key may be, in words."""
    if "anyOf" in key:
        return " or ".join(dict.fromkeys(map(_kind, key["anyOf"])))
    if "const" in key:
        return f"`{_written(key['const'])}`"
    if "enum" in key:
        return listed(map(_written, key["enum"]))
    if key.get("type") == "array":
        if "prefixItems" in key:
            return f"list of {len(key['prefixItems'])}"
        return f"list of {_kind(key['items'])}"
    names = {"integer": "whole number", "string": "text", "boolean": "`true`, `false`", "null": "`none`"}
    bounds = " and ".join(f"{sign} {_number(key[bound])}" for bound, sign in _BOUNDS if bound in key)
    return f"{names.get(key.get('type', ''), key.get('type', 'any'))} {bounds}".rstrip()


def _number(value: float) -> str:
    """A bound, whole where it is."""
    return str(int(value)) if float(value).is_integer() else str(value)


def _written(value: Any) -> str:
    """A value as YAML has it."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _belongs(section: str) -> str:
    """Who has a section, where not every recipe may."""
    if section not in all_sections():
        return ""
    users = [name for name, spec in TASKS.items() if section in sections_of_any(spec)]
    families = [
        family for family in map(family_named, _families()) if section in getattr(family, "sections", ())
    ]
    models = f", with {families[0].kind}" if families else ""
    return f"For {_these(users)}{models}.\n"


def _families() -> Iterator[str]:
    yield from dict.fromkeys(name for spec in TASKS.values() for name in spec.families)


def _owners_of_data(key: str) -> str:
    return _these([name for name, spec in TASKS.items() if key in data_of_any(spec)])


def _these(users: Sequence[str]) -> str:
    """Tasks by name, or the few that are not among them; nothing where all are."""
    others = [name for name in TASKS if name not in users]
    if not others:
        return ""
    return f"all but {listed(others)}" if 2 * len(others) < len(users) else listed(users)


def _dependent() -> str:
    """What a recipe of three lines becomes, where that is not what the tables below say."""
    rows = []
    for task, spec in TASKS.items():
        for name in spec.families:
            family: RecipeFamily = family_named(name)
            model = family.models[0] if family.models else _MODELS.get(name, "./checkpoint")
            recipe = recipe_from_plain({"task": task, "model": model, "data": {"source": "/data"}})
            differing = listed(f"{key}: {_written(value)}" for key, value in _differing(recipe.to_plain()))
            rows.append((f"`{task}`", family.kind, differing))
    return table(("task", "model", "defaults"), rows)


def _differing(plain: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys with the values that differ from the schema's defaults."""
    schema = recipe_json_schema()
    for name, value in plain.items():
        key = schema["properties"][name]
        if not isinstance(value, dict):
            if "default" in key and value != key["default"]:
                yield name, value
            continue
        for inner, found in value.items():
            default = schema["$defs"][_section(key)]["properties"][inner]
            if "default" in default and found != default["default"]:
                yield f"{name}.{inner}", found

"""What the sections of a recipe share: their base, and the kinds of values that occur in several of them."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def none_word(value: Any) -> Any:
    """None for the word none."""
    return None if value == "none" else value


def _names(value: Any) -> Any:
    if value is None or value == "none":
        return None
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        raise ValueError(f"expected the name of a column or a list of names, found {value!r}")
    for name in names:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{name!r} is not the name of a column: put quotes around it")
    if len(set(names)) != len(names):
        raise ValueError("a column is listed twice: remove one")
    return tuple(names)


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, values keep their type, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def changed_keys(section: Section) -> set[str]:
    """The keys that do not stand at their default: a recipe that was saved has every key."""
    fields = type(section).model_fields
    return {name for name, field in fields.items() if getattr(section, name) != field.default}


PositiveOrNone = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(none_word)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Word = Annotated[Annotated[str, Field(min_length=1)] | None, BeforeValidator(none_word)]
Names = Annotated[tuple[str, ...] | None, BeforeValidator(_names)]
"""Names of columns: one word, a list, or none."""

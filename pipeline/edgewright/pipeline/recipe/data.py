"""The section `data` of a recipe: where samples come from and how they are divided."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from edgewright.pipeline.recipe.values import Names, PositiveOrNone, Section, Seed, Share, Word, none_word


def _classes(value: Any) -> Any:
    if value is None or value == "none":
        return None
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list of class names, found {value!r}")
    names = tuple(
        str(name) if isinstance(name, int) and not isinstance(name, bool) else name for name in value
    )
    for name in names:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{name!r} is not the name of a class: put quotes around it")
    if len(set(names)) != len(names):
        raise ValueError("a class is listed twice: remove one")
    if len(names) < 2:
        raise ValueError("a classifier needs at least two classes: list more, or remove the key to use all")
    return names


def _text(value: Any) -> Any:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not 1 <= len(names) <= 2:
        raise ValueError(f"expected the name of a column, or a list of two, found {value!r}")
    for name in names:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{name!r} is not the name of a column: put quotes around it")
    if len(set(names)) != len(names):
        raise ValueError("a column is listed twice: remove one")
    return names[0] if len(names) == 1 else tuple(names)


def _separator(value: Any) -> Any:
    if value is None or value == "none":
        return None
    if not isinstance(value, str) or len(value) != 1:
        raise ValueError(f"expected one character, such as ',', found {value!r}")
    return value


class Data(Section):
    """Where samples come from and how they are divided. A bare string in the recipe is `source`.

    `source` is a folder or a file (absolute once loaded) or "builtin:NAME". Shares are of all samples; a folder's own
    validation or test split takes the place of the share. `train_per_class` keeps only so many training
    samples of each class. More unreadable files than the share `max_bad` and the data is refused.

    The keys from `format` on are those of tables. `text` is a column of texts, or two of texts that are read together;
    `label` holds the class, or where any number of labels may hold a list, or text with `separator` between them.
    `words` and `tags` are columns of lists, beside which `text` may hold what the words were cut from; `question`,
    `context` and `answers` those of a table of questions.

    `features` and `target` are columns; None finds them. A series is cut into windows of `window` steps, one every
    `stride` steps (None: whole series; windows side by side, or one at every step of a forecast). `split` says what
    stays together: time cuts every series into parts that follow each other, series keeps whole series, random deals
    out windows. `step` is the time between two steps, in seconds or in the unit of a plain number.
    """

    source: str = Field(min_length=1)
    classes: Annotated[tuple[str, ...] | None, BeforeValidator(_classes)] = None
    train_per_class: PositiveOrNone = None
    validation: Share = 0.1
    calibration: Share = 0.1
    calibration_limit: int = Field(default=128, ge=1)
    evaluation: float = Field(default=0.2, gt=0, lt=1)
    max_bad: float = Field(default=0.05, ge=0, le=1)
    seed: Annotated[Seed | None, BeforeValidator(none_word)] = None
    format: Literal["auto", "csv", "parquet", "jsonl", "npz", "conll", "squad"] = "auto"
    layout: Literal["long", "wide"] = "long"
    series: Word = None
    time: Word = None
    features: Names = None
    target: Names = None
    text: Annotated[str | tuple[str, str], BeforeValidator(_text)] = "text"
    label: str = Field(default="label", min_length=1)
    separator: Annotated[str | None, BeforeValidator(_separator)] = None
    words: str = Field(default="words", min_length=1)
    tags: str = Field(default="tags", min_length=1)
    question: str = Field(default="question", min_length=1)
    context: str = Field(default="context", min_length=1)
    answers: str = Field(default="answers", min_length=1)
    window: PositiveOrNone = None
    stride: PositiveOrNone = None
    split: Literal["auto", "time", "series", "random"] = "auto"
    missing: Literal["refuse", "forward", "interpolate", "zero"] = "refuse"
    irregular: Literal["refuse", "resample", "ignore"] = "refuse"
    step: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(none_word)] = None
    unseen: Literal["refuse", "global"] = "refuse"
    min_length: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        shares = self.validation + self.calibration + self.evaluation
        if shares >= 1:
            raise ValueError(
                f"validation + calibration + evaluation is {shares:g}: "
                "keep the sum below 1 to leave samples to train on"
            )
        self._columns_have_one_role()
        texts = (*(("text", name) for name in self.texts), ("label", self.label))
        for group in (texts, (("words", self.words), ("tags", self.tags)), self._question_roles()):
            taken: dict[str, str] = {}
            for role, column in group:
                if column in taken:
                    raise ValueError(f"{taken[column]} and {role} are both {column!r}: name two columns")
                taken[column] = role
        return self

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of texts, one or two."""
        return (self.text,) if isinstance(self.text, str) else self.text

    def _question_roles(self) -> tuple[tuple[str, str], ...]:
        return (("question", self.question), ("context", self.context), ("answers", self.answers))

    def _columns_have_one_role(self) -> None:
        roles: dict[str, str] = {}
        named = (
            ("series", (self.series,) if self.series else ()),
            ("time", (self.time,) if self.time else ()),
            ("target", self.target or ()),
        )
        for role, columns in named:
            for column in columns:
                if column in roles:
                    raise ValueError(f"{column!r} is both {roles[column]} and {role}: give it one role")
                roles[column] = role
        for column in self.features or ():
            if roles.get(column) in ("series", "time"):
                raise ValueError(f"{column!r} is both {roles[column]} and a feature: give it one role")

"""What a family of models says while a recipe is read; nothing heavy is imported for it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from edgewright.pipeline.catalog import FALLBACK, FAMILIES, TASKS, FamilyTask, TaskSpec, load
from edgewright.pipeline.recipe.training import AUTO_VARIANTS


class RecipeFamily:
    """The part of a family that a recipe needs; subclasses say what differs from these defaults.

    `models` are the names of its models where these are all there are; a family without reads any name that its tasks
    are given. `kind` is what messages call its models, `instead` what they advise where one is missing. `published`
    are the words of `weights` for what can be downloaded, `variants` what `variants: auto` means, `sections` the
    sections of a recipe that only it has. `augments`: training samples are altered at random. `ships_as_is`: a model
    may be carried without any training. `counts_updates`: training goes on for `training.least_steps`.
    """

    name: ClassVar[str]
    models: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str]
    instead: ClassVar[str]
    published: ClassVar[tuple[str, ...]] = ()
    variants: ClassVar[tuple[str, ...]] = AUTO_VARIANTS
    sections: ClassVar[frozenset[str]] = frozenset()
    augments: ClassVar[bool] = False
    ships_as_is: ClassVar[bool] = False
    counts_updates: ClassVar[bool] = False

    @property
    def weight_words(self) -> tuple[str, ...]:
        """What `weights` may be beside a path; the first is the default."""
        return (*self.published, "none")

    def metrics(self, spec: TaskSpec, several: bool) -> tuple[str, ...]:
        """The metrics of a task, the default first; `several`: any number of labels may hold."""
        return spec.metrics

    def training_defaults(
        self, task: FamilyTask, weights: object, mode: object, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What the section training is filled up with, beside what is `given` there."""
        return {}

    def data_defaults(self, variants: object) -> dict[str, Any]:
        """What the section data is filled up with, for a recipe that lists these variants."""
        return {}

    def text_defaults(self, task: FamilyTask) -> dict[str, Any]:
        """What the section text is filled up with."""
        return {}

    def check_text(self, recipe: Any) -> None:
        """Raise `ValueError` for keys of the section text that do not belong to the recipe's task and model."""

    def check(self, recipe: Any) -> None:
        """Raise `ValueError` for whatever else of a recipe cannot work with its model."""


def family_named(name: str) -> Any:
    """The family of this name in the catalogue."""
    return load(FAMILIES[name])()


def families() -> tuple[Any, ...]:
    """Every family, in the order of the catalogue."""
    return tuple(map(family_named, FAMILIES))


def family_for(task: str, model: object) -> Any:
    """The family of a recipe's model: the one that has its name, else one that learns the task and reads any name."""
    everyone: tuple[RecipeFamily, ...] = families()
    spec = TASKS.get(task)
    named = [family for family in everyone if model in family.models]
    learning = [family for family in everyone if spec and family.name in spec.families and not family.models]
    return (named or learning or [family_named(FALLBACK)])[0]


def sections_of(spec: TaskSpec, family: RecipeFamily) -> frozenset[str]:
    """The sections of a recipe of this task with a model of this family, beside those that every recipe has."""
    return spec.sections | family.sections


def sections_of_any(spec: TaskSpec) -> frozenset[str]:
    """The sections of a recipe of this task, whatever its model."""
    return spec.sections.union(*(family_named(name).sections for name in spec.families))


def all_sections() -> frozenset[str]:
    """The sections that belong to some tasks only."""
    return frozenset().union(*map(sections_of_any, TASKS.values()))


def data_of_any(spec: TaskSpec) -> frozenset[str]:
    """The keys of the section data of a recipe of this task, whatever its model."""
    return spec.data.union(*(own.data for own in spec.families.values()))

"""Recurrent nets as a family: rnn, lstm and gru."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from edgewright.pipeline.catalog import RECURRENT, FamilyTask, RecurrentTask, load
from edgewright.pipeline.families.base import Family
from edgewright.pipeline.families.finding import matching
from edgewright.pipeline.models.recurrent.network import CELLS
from edgewright.pipeline.recipe.messages import either
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.recipe.values import changed_keys

if TYPE_CHECKING:
    from torch import nn

    from edgewright.exporters.bundle.origin import Origin
    from edgewright.pipeline.data.samples import Splits
    from edgewright.pipeline.fitted.fitted import Fitted
    from edgewright.pipeline.models.entry import ModelEntry
    from edgewright.pipeline.models.model import BuiltModel
    from edgewright.pipeline.models.recurrent.model import RecurrentModel

LEAST_STEPS = 600
"""Updates that a recurrent net gets from random weights, however few its samples, unless a recipe counts its epochs."""

MOST_TOKENS = 256
"""What a recurrent net reads of a text at most, unless a recipe says otherwise."""


class Recurrent(Family):
    """rnn, lstm and gru, trained from random weights or from a run of the user's own."""

    name = RECURRENT
    models = CELLS
    kind = either(CELLS)
    instead = f"use {kind}"
    # The cells have no statically quantised form.
    variants = ("fp32", "fp16", "int8-dynamic")
    sections = frozenset({"network", "stream"})
    counts_updates = True
    libraries = ("recurrent",)
    reads = "sequences"

    def training_defaults(
        self, task: FamilyTask, weights: object, mode: object, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        if weights != "none":
            return {}
        epochs: dict[str, Any] = {"epochs": cast(RecurrentTask, task).epochs}
        return epochs if "epochs" in given else {**epochs, "least_steps": LEAST_STEPS}

    def data_defaults(self, variants: object) -> dict[str, Any]:
        # Nothing that is made of a recurrent net by itself is calibrated: its samples would be lost to the training.
        static = isinstance(variants, (list, tuple)) and "int8-static" in variants
        return {"calibration": 0.1 if static else 0.0}

    def text_defaults(self, task: FamilyTask) -> dict[str, Any]:
        return {"max_tokens": MOST_TOKENS}

    def check_text(self, recipe: Recipe) -> None:
        text = recipe.text
        for key in sorted(changed_keys(text) - recipe.own.text):
            raise ValueError(
                f"text.{key}: is for checkpoints, not for {recipe.model}: remove the key, or name a checkpoint"
            )
        if text.policy == "stride":
            raise ValueError(f"text.policy: {recipe.model} reads no windows: use policy: truncate or refuse")
        if text.max_tokens == "auto":
            raise ValueError(
                f"text.max_tokens: auto is for checkpoints, {recipe.model} reads any number: give one"
            )
        if isinstance(recipe.data.text, tuple):
            raise ValueError(
                f"data.text: {recipe.model} reads one text, not two: name one column, or name a checkpoint"
            )

    def check(self, recipe: Recipe) -> None:
        given = changed_keys(recipe.network)
        for key, reason in cast(RecurrentTask, recipe.own).network.items():
            if key in given:
                raise ValueError(f"network.{key}: does not belong to {recipe.task}, {reason}: remove the key")
        self._check_stream(recipe)
        if "activation" in given and recipe.model != "rnn":
            raise ValueError(
                f"network.activation: the gates of {recipe.model} have their own: remove the key, or use model: rnn"
            )

    def _check_stream(self, recipe: Recipe) -> None:
        if recipe.stream.memory == "auto":
            return
        if "text" in recipe.spec.sections or recipe.network.bidirectional:
            what = "texts do" if "text" in recipe.spec.sections else "network.bidirectional: true reads"
            raise ValueError(f"stream.memory: {what} not stream, but need the whole input: remove the key")
        if (
            recipe.stream.memory == "carried"
            and recipe.cuts_samples
            and not recipe.spec.every_step
            and recipe.network.readout != "last"
        ):
            raise ValueError(
                f"stream.memory: carried, with network.readout: {recipe.network.readout} of all steps that there ever "
                "were, forgets nothing: use readout: last, or memory: context"
            )

    def fit(self, recipe: Recipe, splits: "Splits") -> "Fitted":
        fitted: Fitted = load(cast(RecurrentTask, recipe.own).fits)(recipe, splits)
        return fitted

    def build(self, recipe: Recipe, splits: "Splits", fitted: "Fitted") -> "BuiltModel":
        from edgewright.pipeline.models.recurrent.build import build_recurrent
        from edgewright.pipeline.models.recurrent.network import Network

        self.check_head(recipe, splits)
        return build_recurrent(
            recipe.task,
            Network(cell=recipe.model, **recipe.network.model_dump()),
            fitted.settings,
            len(splits.classes),
            fitted.assets,
            recipe.weights,
            recipe.transfer.head,
            recipe.training.seed,
        )

    def rebuild(self, build: Mapping[str, Any], licence: str) -> "BuiltModel":
        from edgewright.pipeline.models.recurrent.build import rebuild_recurrent

        return rebuild_recurrent(build, licence)

    def features(self, built: "BuiltModel") -> "nn.Module":
        """All inputs of the model to what `RecurrentBackbone` gives."""
        return cast("RecurrentModel", built.module).backbone().eval()

    def head(self, built: "BuiltModel") -> "nn.Module":
        """The head of a forecast also takes the model's inputs after `lengths`; where every step has an answer, those
        beyond the length are undefined.
        """
        return cast("RecurrentModel", built.module).answering()

    def origin(self, recipe: Recipe, built: "BuiltModel") -> "Origin":
        """The cell: transformers has none."""
        from edgewright.exporters.bundle.origin import Origin

        return Origin(built.name, built.name.upper())

    def outline(self, name: str) -> "BuiltModel":
        from edgewright.pipeline.models.recurrent.build import nominal_model

        return nominal_model(name)

    def entries(self, pattern: str | None) -> list["ModelEntry"]:
        from edgewright.pipeline.models.entry import ModelEntry

        # What recipe and data decide stays open: how many parameters there are, and how long a sequence is.
        licence = "none (trained from random weights)"
        return [
            ModelEntry(name, "recurrent", None, None, licence, ()) for name in matching(self.models, pattern)
        ]

    def not_alone(self, name: str) -> str | None:
        if name not in self.models:
            return None
        return f"{name} reads sequences, not images: choose a model of images, or a task of sequences, text or sound"

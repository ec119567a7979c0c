"""Encoders of text as a family: checkpoints of BERT and its kin, in a folder, on the hub or in a package."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgewright.pipeline.catalog import (
    PACKAGE_PREFIX,
    TASKS,
    TEXT_ENCODER,
    FamilyTask,
    TaskSpec,
    TextEncoderTask,
)
from edgewright.pipeline.families.base import Family
from edgewright.pipeline.families.finding import matching
from edgewright.pipeline.recipe.messages import either
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.recipe.values import changed_keys
from edgewright.pipeline.run_dir import RECIPE

if TYPE_CHECKING:
    from torch import nn

    from edgewright.exporters.bundle.origin import Origin
    from edgewright.pipeline.data.samples import Splits
    from edgewright.pipeline.fitted.fitted import Fitted
    from edgewright.pipeline.models.entry import ModelEntry
    from edgewright.pipeline.models.model import BuiltModel

MULTI_LABEL_METRICS = ("micro-f1", "macro-f1", "auroc")
"""The metrics where any number of labels may hold; the first is the default."""

_EPOCHS = {"fine-tuning": 3, "feature-extraction": 10}
"""How long a checkpoint learns: it knows its language already, and a head on kept features costs next to nothing."""


class TextEncoders(Family):
    """Checkpoints of encoders; a recipe names where one is."""

    name = TEXT_ENCODER
    kind = "checkpoints"
    instead = "name a checkpoint, a folder or a name of the hub"
    published = ("pretrained",)
    # Static scales rarely hold for all that a text may be.
    variants = ("fp32", "fp16", "int8-dynamic")
    ships_as_is = True
    libraries = ("encoder",)
    reads = "texts"
    listed = (
        "Texts are read by checkpoints of these architectures, and of others that transformers loads and "
        "exports; model: in a recipe says where one is: ./folder, owner/name of the hub, or package:NAME"
    )

    def metrics(self, spec: TaskSpec, several: bool) -> tuple[str, ...]:
        return MULTI_LABEL_METRICS if several else spec.metrics

    def training_defaults(
        self, task: FamilyTask, weights: object, mode: object, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        defaults: dict[str, Any] = {"batch_size": 16}
        if mode == "fine-tuning":
            defaults["schedule"] = "linear"
        if mode in _EPOCHS:
            defaults["epochs"] = _EPOCHS[str(mode)]
        return defaults

    def text_defaults(self, task: FamilyTask) -> dict[str, Any]:
        # What is cut off may hold the answer.
        return {"policy": "stride"} if cast(TextEncoderTask, task).answers == "span" else {}

    def check_text(self, recipe: Recipe) -> None:
        learnt = {
            key
            for spec in TASKS.values()
            for name, own in spec.families.items()
            if name != self.name
            for key in own.text
        }
        for key in sorted(changed_keys(recipe.text) - recipe.own.text):
            if key in learnt:
                raise ValueError(
                    f"text.{key}: is for rnn, lstm and gru, a checkpoint brings its own vocabulary: remove the key"
                )
            users = [
                task
                for task, spec in TASKS.items()
                if self.name in spec.families and key in spec.families[self.name].text
            ]
            raise ValueError(f"text.{key}: this key is for {either(users)}, not for {recipe.task}: remove it")

    def fit(self, recipe: Recipe, splits: "Splits") -> "Fitted":
        from edgewright.pipeline.fitted.fitted import Fitted
        from edgewright.pipeline.fitted.text import fit_encoder

        settings, tokenizer, notes = fit_encoder(recipe, splits)
        return Fitted(settings, {"tokenizer": tokenizer}, notes)

    def build(self, recipe: Recipe, splits: "Splits", fitted: "Fitted") -> "BuiltModel":
        from edgewright.pipeline.models.text_encoders.build import build_encoder

        return build_encoder(
            recipe.task,
            recipe.model,
            cast(Any, fitted.settings),
            len(splits.classes),
            fitted.assets,
            recipe.weights,
            recipe.transfer.head,
            recipe.text.pooling,
            recipe.training.seed,
        )

    def rebuild(self, build: Mapping[str, Any], licence: str) -> "BuiltModel":
        from edgewright.pipeline.models.text_encoders.build import rebuild_encoder

        return rebuild_encoder(build, licence)

    def features(self, built: "BuiltModel") -> "nn.Module":
        """All inputs of the model to what `EncoderBackbone` gives."""
        from edgewright.pipeline.models.text_encoders.network import cut

        return cut(built.module, built.name)[0].eval()

    def head(self, built: "BuiltModel") -> "nn.Module":
        """What `EncoderBackbone` gives to the model's output."""
        from edgewright.pipeline.models.text_encoders.network import cut

        return cut(built.module, built.name)[1]

    def fingerprint(self, built: "BuiltModel") -> Mapping[str, Any]:
        # What a checkpoint says of its pooling is in neither recipe nor weights.
        return {"build": built.build}

    def origin(self, recipe: Recipe, built: "BuiltModel") -> "Origin":
        """The checkpoint, and how it pools; its config.json says the rest."""
        from edgewright.exporters.bundle.origin import Origin

        base = built.name.removeprefix(PACKAGE_PREFIX) if recipe.weights in self.published else ""
        return Origin(base_model=base, pooling=built.build["pooling"])

    def claims(self, name: str) -> bool:
        """A folder that holds a checkpoint, a package, or a name of the hub."""
        folder = Path(name)
        if folder.is_dir():
            return (folder / "config.json").is_file() and not (folder / RECIPE).is_file()
        owner, _, rest = name.partition("/")
        return name.startswith(PACKAGE_PREFIX) or (owner.strip(".~") == owner != "" and rest != "")

    def outline(self, name: str) -> "BuiltModel":
        from edgewright.pipeline.models.text_encoders.build import nominal_encoder

        return nominal_encoder(name)

    def entries(self, pattern: str | None) -> list["ModelEntry"]:
        """Its architectures, since its checkpoints are anywhere; a checkpoint decides how many parameters there are."""
        from edgewright.pipeline.models.entry import ModelEntry
        from edgewright.pipeline.models.text_encoders.architectures import ARCHITECTURES

        return [
            ModelEntry(name, "encoder", None, None, "that of the checkpoint", ("pretrained",))
            for name in matching(tuple(ARCHITECTURES), pattern)
        ]

    def not_alone(self, name: str) -> str | None:
        from edgewright.pipeline.models.text_encoders.architectures import ARCHITECTURES

        if name not in ARCHITECTURES:
            return None
        return (
            f"{name} is an architecture, of which a checkpoint is needed: name its folder (./folder), its name "
            "on the hub (owner/name), or the package that carries it (package:NAME), with a task of texts"
        )

"""Text classification while it is trained: by a recurrent net, or by an encoder."""

from dataclasses import dataclass
from typing import Any

from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.tasks.classification import Classification, label_options
from edgewright.runtime.text.settings import EncoderTextSettings


@dataclass(frozen=True)
class TextClassification(Classification):
    """One label of `classes` for each text, by a recurrent net."""

    name: str = "text-classification"


def make(classes: tuple[str, ...], **options: Any) -> Objective:
    """The training half for `options`: with the `processor` of an encoder it is that of encoders."""
    if "processor" not in options:
        return TextClassification(classes, **options)
    from edgewright.pipeline.tasks import encoder_text_classification as encoders

    if options["processor"]["multi_label"]:
        return encoders.SeveralLabels(classes, **options)
    return encoders.OneLabel(classes, **options)


def options(recipe: Recipe, splits: Splits, built: BuiltModel) -> dict[str, Any]:
    """The settings of the task, as plain values."""
    if not isinstance(built.settings, EncoderTextSettings):
        return label_options(recipe, splits, built)
    from edgewright.pipeline.tasks.encoder_rows import encoder_label_options

    return encoder_label_options(recipe, splits, built)

"""What a model that can be carried is called, and what is known of it before it is built."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be carried.

    `name` is what a recipe's `model:` says; an encoder's is its architecture, of which a recipe names a checkpoint.
    `parameters` counts those of the published model (1000 classes in most), None where it is not known without
    building it. `input_size`: height and width in pixels, None for models of sequences and texts. `licence` is that of
    the published weights, `weights` their names, first the one that `weights: imagenet` takes; empty where none are
    published.
    """

    name: str
    library: str
    parameters: int | None
    input_size: tuple[int, int] | None
    licence: str
    weights: tuple[str, ...]

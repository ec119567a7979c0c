"""Where a model came from, in the words of model hubs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """What nothing in a bundle tells of its model by itself, as far as somebody knows it.

    Attributes:
        model_type: transformers' word for the architecture ("resnet"), or a plain one for what transformers lacks.
        classes: what the names of its classes in transformers begin with ("ResNet").
        base_model: the model whose weights it started from; empty where they were random.
        datasets: names of the data that it was trained and judged on.
        pooling: how an embedding is made of the states of its tokens: "mean", "cls" or "max".
    """

    model_type: str = ""
    classes: str = ""
    base_model: str = ""
    datasets: tuple[str, ...] = ()
    pooling: str | None = None


UNKNOWN = Origin()

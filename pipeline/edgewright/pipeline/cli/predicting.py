"""The work of `edgewright predict`: which files, answers in order, one bad file never hides the others."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from edgewright.pipeline.cli.output import message
from edgewright.runtime import Engine
from edgewright.runtime.errors import InputError
from edgewright.runtime.files import canonical_json
from edgewright.runtime.structure import to_plain
from edgewright.runtime.tasks.base import DeviceTask

__all__ = ["expand_inputs", "predict_inputs"]


def expand_inputs(task: DeviceTask, inputs: Sequence[Path]) -> list[Path]:
    """The files named, and the task's files below each folder named, in a stable order.

    A folder without any stays in the list: answering it then says what is wrong with it, as for a missing file.
    """
    files: list[Path] = []
    for path in inputs:
        try:
            files += task.files(path) if path.is_dir() else [path]
        except InputError:
            files.append(path)
    return files


def _answer_chunk(engine: Engine, files: list[Path]) -> Iterable[tuple[Path, Any, str | None]]:
    try:
        answers = engine(files)
    except InputError:
        # Some file of this chunk is bad: find it by answering one at a time.
        for file in files:
            try:
                yield file, engine(file), None
            except InputError as error:
                yield file, None, str(error)
        return
    for file, answer in zip(files, answers, strict=True):
        yield file, answer, None


def predict_inputs(engine: Engine, inputs: Sequence[Path], top: int, as_json: bool) -> int:
    """Print an answer for each input and return how many could not be answered."""
    files = expand_inputs(engine.task, inputs)
    size = engine.batch_size
    records: list[dict[str, Any]] = []
    failed = 0
    for start in range(0, len(files), size):
        for file, answer, error in _answer_chunk(engine, files[start : start + size]):
            if error is not None:
                failed += 1
                message(f"edgewright: {error}")
                records.append({"input": str(file), "error": error})
                continue
            labels = answer.labels[:top]
            records.append({"input": str(file), "labels": [to_plain(label) for label in labels]})
            if not as_json:
                click.echo(
                    f"{file}  " + "  ".join(f"{label.label} {label.probability:.1%}" for label in labels)
                )
    if as_json:
        answers = {"variant": engine.variant, "provider": engine.provider, "answers": records}
        click.echo(canonical_json(answers), nl=False)
    return failed

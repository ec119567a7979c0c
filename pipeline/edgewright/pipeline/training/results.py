"""What a training leaves in its run directory, and how later stages read it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load

from edgewright.pipeline.families import rebuild_model
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.tasks.registry import make_training_task
from edgewright.pipeline.training.checkpoint import write_tensors
from edgewright.pipeline.training.curve_picture import curves_svg
from edgewright.runtime.bundle.files import (
    canonical_json,
    sha256_of_bytes,
    sha256_of_file,
    write_json,
    write_text,
)
from edgewright.runtime.bundle.structure import StructureError, from_plain, parse_json, to_plain
from edgewright.runtime.errors import ModelError, TrainingError

WEIGHTS = "weights.safetensors"
METRICS = "metrics.json"
CURVES = "curves.jsonl"
CURVES_PICTURE = "curves.svg"
CONFUSION = "confusion.json"
GRADIENTS = "gradients.json"
MARKER = "trained.json"
RESULTS = (WEIGHTS, METRICS, CURVES, CURVES_PICTURE, CONFUSION, GRADIENTS, MARKER)
"""The files of a finished training; not every task has a confusion matrix, nor every model gradients over time."""

_METADATA = "edgewright"


@dataclass(frozen=True)
class Trained:
    """A finished training.

    `metrics` holds the figures of each split ("validation", "evaluation"), `curves` one row for each epoch,
    `rates` the peak learning rate of each phase, `notes` sentences for the user. `digests` has "weights" (of
    the file), "frozen" (of every tensor that no phase may move, the same before and after) and "training" (of
    all that decided the outcome). `gradients` has, of a recurrent model, what reached each time step: one row for
    each epoch that was looked at.
    """

    weights: Path
    metrics: Mapping[str, Mapping[str, Any]]
    curves: tuple[Mapping[str, Any], ...]
    rates: tuple[float, ...]
    digests: Mapping[str, str]
    notes: tuple[str, ...] = ()
    gradients: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Record:
    """What stands in the weights file beside the weights: enough to build the module from it alone."""

    task: str
    build: Mapping[str, Any]
    classes: tuple[str, ...]
    licence: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class LoadedModel:
    """A trained model, read back: the model in eval mode, its task, and what the file said of it."""

    built: BuiltModel
    task: Objective
    record: Record
    weights_sha256: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits; empty where numbers are predicted."""
        return self.record.classes


@dataclass(frozen=True)
class _Marker:
    fingerprint: str
    files: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, Any]]
    curves: tuple[Mapping[str, Any], ...]
    rates: tuple[float, ...]
    digests: Mapping[str, str]
    notes: tuple[str, ...]
    gradients: tuple[Mapping[str, Any], ...] = ()


def write_results(
    run_dir: Path, fingerprint: str, built: BuiltModel, record: Record, trained: Trained, metric: str
) -> Trained:
    """Write weights, metrics, curves, and where there are any confusion matrices and gradients; the marker last.

    `metric` is the name of the task's own figure, which the picture of the curves shows.

    Raises `MachineError`.
    """
    metadata = {_METADATA: json.dumps(to_plain(record), sort_keys=True)}
    weights = write_tensors(run_dir / WEIGHTS, built.module.state_dict(), metadata)
    confusion = {split: figures.get("confusion") for split, figures in trained.metrics.items()}
    written = [METRICS, CURVES]
    write_json(run_dir / METRICS, to_plain(trained.metrics))
    write_text(run_dir / CURVES, "".join(json.dumps(row, sort_keys=True) + "\n" for row in trained.curves))
    if trained.curves:
        write_text(run_dir / CURVES_PICTURE, curves_svg(trained.curves, metric))
        written.append(CURVES_PICTURE)
    if record.classes and any(rows is not None for rows in confusion.values()):
        write_json(run_dir / CONFUSION, {"classes": list(record.classes), "splits": confusion})
        written.append(CONFUSION)
    if trained.gradients:
        write_json(run_dir / GRADIENTS, {"epochs": to_plain(trained.gradients)})
        written.append(GRADIENTS)
    files = {name: sha256_of_file(run_dir / name) for name in written} | {WEIGHTS: weights}
    digests = {**trained.digests, "weights": weights, "training": fingerprint}
    marker = _Marker(
        fingerprint,
        files,
        trained.metrics,
        trained.curves,
        trained.rates,
        digests,
        trained.notes,
        trained.gradients,
    )
    plain = to_plain(marker)
    if not trained.gradients:
        del plain["gradients"]  # of a model without time the marker stays as it has always been
    write_json(run_dir / MARKER, plain)
    return _trained(run_dir, marker)


def finished_training(run_dir: Path, fingerprint: str) -> Trained | None:
    """The finished training of this `fingerprint` in `run_dir`, if its files are still as it left them."""
    try:
        marker = from_plain(_Marker, parse_json((run_dir / MARKER).read_bytes()))
        whole = all(sha256_of_file(run_dir / name) == digest for name, digest in marker.files.items())
    except (OSError, StructureError):
        return None
    return _trained(run_dir, marker) if whole and marker.fingerprint == fingerprint else None


def _trained(run_dir: Path, marker: _Marker) -> Trained:
    return Trained(
        run_dir / WEIGHTS,
        marker.metrics,
        marker.curves,
        marker.rates,
        marker.digests,
        marker.notes,
        marker.gradients,
    )


def load_trained(run_dir: Path) -> LoadedModel:
    """Read back what `fit` wrote into `run_dir`, from the weights file alone.

    Raises:
        TrainingError: there is no finished training in `run_dir`, or its weights file is broken.
        ModelError: the model can no longer be built.
    """
    path = run_dir / WEIGHTS
    try:
        content = path.read_bytes()
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_METADATA)
        record = from_plain(Record, parse_json(text or "null"))
        tensors = load(content)
    except FileNotFoundError:
        raise TrainingError(
            f"{run_dir} holds no trained weights: run 'edgewright fit' with this folder first"
        ) from None
    except (OSError, SafetensorError, StructureError) as error:
        raise TrainingError(f"{path} cannot be read ({error}): run 'edgewright fit' again") from None
    built = rebuild_model(record.build, record.licence)
    try:
        built.module.load_state_dict(tensors)
    except RuntimeError:
        raise ModelError(
            f"{path} does not fit {built.name}: run 'edgewright fit' again with this version"
        ) from None
    built.module.eval()
    options = dict(record.options)
    if options.get("class_weights") is not None:
        options["class_weights"] = tuple(options["class_weights"])
    task = make_training_task(record.task, record.classes, **options)
    return LoadedModel(built, task, record, sha256_of_bytes(content))


def fingerprint_of(parts: Mapping[str, Any]) -> str:
    """Hex SHA-256 of everything that decides the outcome of a training."""
    return sha256_of_bytes(canonical_json(to_plain(parts)).encode())

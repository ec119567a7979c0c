"""A run directory: where one training lives, who may write to it, and which stages are finished."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewright.runtime.bundle.files import explain_os_error, sha256_of_file, write_json
from edgewright.runtime.bundle.manifest import MANIFEST_NAME
from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import MachineError, RecipeError

RECIPE = "recipe.json"

RUN_FILES = (
    "recipe.json", "data.json", "weights.safetensors", "metrics.json", "curves.jsonl", "curves.svg",
    "confusion.json", "gradients.json", "trained.json", "checkpoints", "features", "export",
)  # fmt: skip
"""Everything that the stages write into a run directory."""

_HALF_WRITTEN = (".*.tmp-*", "export/.*.tmp-*")


@contextlib.contextmanager
def lock_run(run_dir: Path) -> Iterator[None]:
    """Hold `run_dir` for this process; the lock goes with the process, however it dies.

    Files that a killed process left half written are removed: nobody else can be writing them.

    Raises `MachineError` when another process holds it or the folder cannot be written, `RecipeError` when it is a
    bundle, which would not open with files of a run in it.
    """
    from filelock import FileLock, Timeout  # a device measures and predicts without it

    if (run_dir / MANIFEST_NAME).exists():
        raise RecipeError(f"{run_dir} is a bundle, not a run directory: name another folder")
    # Never the soft lock, a file that outlives its process.
    lock = FileLock(run_dir / ".lock", mode=0o644, thread_local=False, fallback_to_soft=False)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise MachineError(
            f"another process is working in {run_dir}: wait for it, or choose another run directory"
        ) from None
    except OSError as error:
        raise explain_os_error(error, run_dir) from error
    try:
        for pattern in _HALF_WRITTEN:
            for leftover in run_dir.glob(pattern):
                leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def read_run_json(run_dir: Path, name: str) -> Any:
    """The JSON document `name` of a run. Raises `RecipeError` when `run_dir` is not a run or the file is broken."""
    path = run_dir / name
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise RecipeError(
            f"{run_dir} is not a finished run ({name} is missing): run 'edgewright fit' first"
        ) from None
    except NotADirectoryError:
        raise RecipeError(
            f"{run_dir} is a file, not a run directory: name the folder that 'edgewright fit' wrote"
        ) from None
    except OSError as error:
        raise RecipeError(f"cannot read {path} ({error.strerror}): check its permissions") from None
    except StructureError as error:
        raise RecipeError(f"{path}: {error}: run 'edgewright fit' again with --restart") from None


def mark_stage(run_dir: Path, stage: str, key: str, files: tuple[Path, ...] = (), result: Any = None) -> None:
    """Write the marker that says `stage` is done for the inputs digested in `key`; the last thing a stage does."""
    digests = {str(file.relative_to(run_dir)): sha256_of_file(file) for file in files}
    write_json(run_dir / f"{stage}.done.json", {"key": key, "files": digests, "result": result})


def finished_stage(run_dir: Path, stage: str, key: str) -> dict[str, Any] | None:
    """The marker of `stage` if it was finished for the same inputs and its files are as it left them, else None."""
    try:
        marker = parse_json((run_dir / f"{stage}.done.json").read_bytes())
    except (OSError, StructureError):
        return None
    if not isinstance(marker, dict) or marker.get("key") != key:
        return None
    files = marker.get("files", {})
    if not isinstance(files, dict):
        return None
    for name, digest in files.items():
        file = run_dir / name
        if not file.is_file() or sha256_of_file(file) != digest:
            return None
    return marker

"""Parity of encoders, torch against ONNX Runtime: every architecture, every task, every precision, PASS or FAIL.

    python -m benchmarks.encoder_parity             every row not yet in benchmarks/encoder_parity.jsonl, then the table
    python -m benchmarks.encoder_parity 'bert/*'    those that match architecture/task, measured anew ('*': all)

Each architecture is a small checkpoint (two layers, 64 wide, 64 tokens) with random weights of a trained network's
scale: no hub is needed. The real MiniLM is beside them. Each graph is built, exported and made smaller as
`edgewright ship` does it, and opened as a device opens it (all optimisations of ONNX Runtime, CPU). Other
processes measure (`--workers`), so that a crash is one row.
"""

import argparse
import fnmatch
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "encoder_parity.jsonl"
TABLE = HERE / "encoder_parity.md"

PASS, FAIL = "PASS", "FAIL"
ERRORS = {"fp32": 1e-4, "fp16": 1e-2}
"""Largest error of a cell of the grid, as a share of torch's largest output there."""

SAME = 0.99
"""Least share of the clear decisions that must be torch's."""

COSINE = 0.99
"""Least cosine of every embedding to torch's."""

LIMITS = f"""PASS of fp32 means an error of at most {ERRORS["fp32"]:g} of torch's largest output, in every cell of
a grid: batch 1, 2 and 7 by five lengths up to the model's maximum (6, 9, 17, 40 and 64 tokens; of MiniLM 6, 9, 17, 320
and 512), real texts, every second one padded. PASS of fp16 means at most {ERRORS["fp16"]:g} there. PASS of any
precision also means that on 128 other texts {SAME:.0%} of the clear decisions, and there is at least one, are torch's,
and that the cosine of the worst embedding to torch's is at least {COSINE:g}. Decisions are the label of a text
(zero-shot: one of five), the label of a token, the start and the end of an answer, the nearest other text of an
embedding. One is clear where the best score is above the second best by more than a tenth of the largest score; from
those of untrained heads the mean of torch's scores is taken off, for such a head prefers one label whatever the text.
The limits are the same for every architecture, and for all int8 and int4."""


def compared() -> tuple[str, ...]:
    """The precisions of the table: those for every CPU."""
    from edgewright.exporters.precision.registry import PRECISIONS

    return tuple(name for name in PRECISIONS if not name.endswith("-vnni"))


def measure(
    name: str, task: str, precisions: Sequence[str] = (), published: bool = True, **changes: Any
) -> dict[str, Any]:
    """Build, export and compare one architecture for one task, in every precision or in some, in this process.

    `published`: with the head that transformers has for it, not with a linear one. `changes`: of its configuration.
    """
    import torch

    from benchmarks.encoder_grid import BATCHES, grid, lengths_of, make_subject
    from edgewright.exporters.graph.export import export_graph
    from edgewright.exporters.part import TorchGraphs
    from edgewright.runtime.errors import EdgewrightError

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    subject = make_subject(name, task, published, **changes)
    chosen = tuple(precisions or compared())
    model = subject.model
    row: dict[str, Any] = {
        "architecture": name,
        "task": task,
        "parameters": sum(parameter.numel() for parameter in model.module.parameters()),
        "head": "" if not model.head else "published" if subject.published else "linear",
        "batches": list(BATCHES),
        "lengths": list(lengths_of(model.limits["time"])),
        "precisions": {},
    }
    by_torch = TorchGraphs(model.parts())
    cells = [(feeds, by_torch.run("model", feeds)) for _, _, feeds in grid(subject)]
    wanted = list(subject.device.run(subject.judged, by_torch))
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        try:
            assert model.example is not None
            fp32 = export_graph(
                model.module,
                model.example(),
                Path(folder) / "model.onnx",
                model.input_names,
                model.output_names,
                model.dynamic_axes,
                model.route,
                model.limits,
            )
        except EdgewrightError as error:
            row["precisions"] = {each: {"status": FAIL, "note": str(error)} for each in chosen}
            return row
        for precision in chosen:
            row["precisions"][precision] = measure_precision(
                subject, fp32, precision, Path(folder), cells, wanted
            )
    return row


def measure_precision(
    subject: Any,
    fp32: Any,
    precision: str,
    folder: Path,
    cells: Sequence[tuple[Any, Any]],
    wanted: Any,
) -> dict[str, Any]:
    """Make one precision of the graph `fp32` and compare it with what torch gave to `cells` and to all texts."""
    from benchmarks.encoder_grid import agreement, relative_error
    from edgewright.exporters.precision.registry import PRECISIONS, make_variant
    from edgewright.runtime.errors import EdgewrightError
    from edgewright.runtime.graphs.session import SessionGraphs, open_session

    device = subject.device
    calibration = [device.collate(device.windows(sample)) for sample in subject.calibration]
    try:
        graph = fp32
        if precision != "fp32":
            graph = make_variant(fp32, precision, calibration, folder / PRECISIONS[precision].file)
        session = open_session(graph.path, provider="cpu", threads=1, cache=False)
        timed = device.timed_outputs
        error = max(relative_error(theirs, session.run(feeds), feeds, timed) for feeds, theirs in cells)
        found = list(device.run(subject.judged, SessionGraphs({"model": session}, device.signatures)))
    except EdgewrightError as problem:
        return {"status": FAIL, "note": str(problem)}
    agreed = agreement(subject, wanted, found)
    made = {
        "error": error if math.isfinite(error) else None,
        "clear": agreed.clear,
        "same": agreed.same,
        "commonest": round(agreed.commonest, 3),
        "every": round(agreed.every, 4),
        "cosine": agreed.cosine,
        "size": round(graph.size / fp32.size, 3),
        "note": graph.note,
    }
    return {"status": status(precision, made), **made}


def status(precision: str, made: Mapping[str, Any]) -> str:
    """PASS or FAIL of one precision, by the limits above."""
    error, cosine = made["error"], made["cosine"]
    holds = error is not None and error <= ERRORS.get(precision, math.inf)
    holds = holds and made["same"] >= SAME * made["clear"] > 0
    return PASS if holds and (cosine is None or cosine >= COSINE) else FAIL


def run_each(subjects: Sequence[tuple[str, str]], seconds: int) -> Iterator[dict[str, Any]]:
    """The rows of these, in order, from a process of their own; what ends it becomes a row, as does taking more than
    `seconds` for one, and another process goes on.
    """
    left = list(subjects)
    while left:
        words = [f"{name}/{task}" for name, task in left]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.encoder_parity", "--measure", *words],
                cwd=HERE.parent,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            assert process.stdout is not None
            alarm = start_alarm(seconds, process)
            for line in process.stdout:
                if line.startswith("{"):
                    alarm.cancel()
                    left.pop(0)
                    yield json.loads(line)
                    alarm = start_alarm(seconds, process)
            process.wait()
            alarm.cancel()
            if not left:
                return
            errors.seek(0)
            lines = errors.read().decode("utf-8", "replace").strip().splitlines()
        reason = (lines or [f"exit status {process.returncode}"])[-1][:300]
        name, task = left.pop(0)
        yield {"architecture": name, "task": task, "precisions": {}, "note": reason}


def start_alarm(seconds: int, process: subprocess.Popen[str]) -> threading.Timer:
    """End `process` after so long."""
    alarm = threading.Timer(seconds, process.kill)
    alarm.start()
    return alarm


def known_rows() -> dict[tuple[str, str], dict[str, Any]]:
    """The rows measured so far, by (architecture, task)."""
    if not RESULTS.exists():
        return {}
    rows = map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())
    return {(row["architecture"], row["task"]): row for row in rows}


def table(rows: Mapping[tuple[str, str], Mapping[str, Any]], precisions: Sequence[str]) -> str:
    """The rows as Markdown, a column for each precision."""
    each = [[row["precisions"].get(one, {}).get("status") for row in rows.values()] for one in precisions]
    passed = ", ".join(
        f"{one} {found.count(PASS)} of {len(rows)}" for one, found in zip(precisions, each, strict=True)
    )
    lines = [
        "# Parity of encoders, torch against ONNX Runtime (CPU)",
        "",
        "Made by `python -m benchmarks.encoder_parity`; the script's head says how.",
        "",
        LIMITS,
        "",
        "A cell shows the largest error of the grid; of the 128 texts how many of torch's clear decisions are kept;",
        "of embeddings the worst cosine. Random weights are harsher than trained ones: nothing has taught them to",
        "stand rounding. What a trained model keeps of its metric, `edgewright ship` judges. MiniLM and multilingual",
        "BERT are bert, DeBERTa-v3 is deberta-v2, XLM-R is xlm-roberta; all-MiniLM-L6-v2 is the real one, with its",
        "published weights.",
        "",
        f"PASS: {passed}.",
        "",
        f"| architecture | task | {' | '.join(precisions)} |",
        f"| --- | --- |{' --- |' * len(precisions)}",
    ]
    for (name, task), row in sorted(rows.items()):
        cells = " | ".join(_cell(row["precisions"].get(one), row.get("note", "")) for one in precisions)
        lines.append(f"| {name} | {task} | {cells} |")
    return "\n".join(lines) + "\n"


def _cell(made: Mapping[str, Any] | None, note: str) -> str:
    if made is None:
        return f"FAIL: {note}"
    if "error" not in made:
        return f"FAIL: {made['note'].replace('|', '/')}"
    error = "not finite" if made["error"] is None else f"{made['error']:.1e}"
    parts = [made["status"], error]
    if made["clear"]:
        parts.append(f"{made['same']}/{made['clear']}")
    if made["cosine"] is not None:
        parts.append(f"cos {made['cosine']:.4f}")
    return " ".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pattern", nargs="?", help="measure anew the rows whose architecture/task matches")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=900, help="limit for one row")
    parser.add_argument("--workers", type=int, default=1, help="how many rows are measured at once")
    arguments = parser.parse_args()
    if arguments.measure:
        for word in arguments.measure:
            print(json.dumps(measure(*word.split("/"))), flush=True)
        return 0
    from benchmarks.encoder_grid import SUBJECTS

    rows = known_rows()
    if arguments.pattern:
        wanted = [one for one in SUBJECTS if fnmatch.fnmatchcase("/".join(one), arguments.pattern)]
    else:
        wanted = [
            one for one in SUBJECTS if one not in rows or set(rows[one]["precisions"]) != set(compared())
        ]
    done, lock = 0, threading.Lock()

    def work(part: Sequence[tuple[str, str]]) -> None:
        nonlocal done
        for row in run_each(part, arguments.seconds):
            with lock:
                done += 1
                rows[row["architecture"], row["task"]] = row
                found = " ".join(f"{one} {made['status']}" for one, made in row["precisions"].items())
                text = f"{done}/{len(wanted)} {row['architecture']}/{row['task']}: {found or row.get('note')}"
                print(text, file=sys.stderr, flush=True)
                lines = [json.dumps(rows[key]) + "\n" for key in sorted(rows)]
                RESULTS.write_text("".join(lines), encoding="utf-8")
                TABLE.write_text(table(rows, compared()), encoding="utf-8")

    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(work, [wanted[start :: arguments.workers] for start in range(arguments.workers)]))
    TABLE.write_text(table(rows, compared()), encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"), end="")
    return int(any(row["precisions"].get("fp32", {}).get("status") != PASS for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())

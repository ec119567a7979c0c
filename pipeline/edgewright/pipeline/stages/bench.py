"""Measure a bundle on this machine, each variant in a process of its own so that memory and start are its own.

Needs no torch unless a run is given to compare with.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgewright.pipeline.stages.bench_row import BenchRow, Ratios
from edgewright.pipeline.stages.memory import peak_mb
from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.bundle.structure import from_plain, parse_json, to_plain
from edgewright.runtime.errors import BundleError, EdgewrightError, MachineError
from edgewright.runtime.series.settings import Series

_KNOWN_TROUBLE = 3
"""Exit status of the measuring process when its last words are meant for the user."""


def bench_bundle(
    bundle: Path,
    variant: str = "all",
    seconds: float = 3.0,
    batch: int = 8,
    provider: str = "auto",
    threads: int | None = None,
    against: Path | None = None,
) -> tuple[BenchRow, ...]:
    """Measure one variant or all, on the bundle's golden samples.

    Raises `BundleError` for a bundle without golden samples or without that variant.
    """
    opened = open_bundle(bundle)
    if not opened.manifest.golden.samples:
        raise BundleError(f"{bundle} holds no golden samples to measure on: export it again")
    if variant == "all":
        names = [found.name for found in opened.manifest.variants]
    else:
        names = [opened.manifest.variant(variant).name]
    ratios: Mapping[str, Ratios] = {}
    if against is not None:  # first, so that a missing torch or a wrong run costs no waiting
        from edgewright.pipeline.stages.bench_torch import ratios_to_torch

        ratios = ratios_to_torch(bundle, against, names, seconds, provider, threads)
    rows = [_in_own_process(bundle, name, seconds, batch, provider, threads) for name in names]
    return tuple(_with_ratios(row, ratios.get(row.variant)) for row in rows)


def _with_ratios(row: BenchRow, found: Ratios | None) -> BenchRow:
    return row if found is None else replace(row, ratio_to_torch=found.whole, step_ratio_to_torch=found.step)


def _in_own_process(
    bundle: Path, variant: str, seconds: float, batch: int, provider: str, threads: int | None
) -> BenchRow:
    order = json.dumps([str(bundle), variant, seconds, batch, provider, threads])
    done = subprocess.run(
        [sys.executable, "-m", "edgewright.pipeline.stages.bench", order],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        if done.returncode == _KNOWN_TROUBLE:
            raise MachineError(f"{variant} cannot be measured: {done.stderr.strip()}")
        lines = done.stderr.strip().splitlines() or ["it was killed, perhaps for lack of memory"]
        raise MachineError(
            f"measuring {variant} failed: {lines[-1]}: run 'edgewright verify {bundle}' to see why"
        )
    return from_plain(BenchRow, parse_json(done.stdout.splitlines()[-1]))


def _percentile(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def _repeat(run: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each call, for `seconds` in all and at least three calls, after two calls of warm-up."""
    for _ in range(2):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return times


def measure(
    bundle: Path, variant: str, seconds: float, batch: int, provider: str, threads: int | None
) -> BenchRow:
    """Measure one variant in this process: half the time on single inputs, half on batches."""
    before = time.perf_counter()
    engine = Engine(bundle, variant=variant, provider=provider, threads=threads, batch_size=batch)
    opened = open_bundle(bundle)
    raws = [
        raw
        for sample in opened.manifest.golden.samples
        for _, raw in engine.task.inputs(str(opened.path(sample.file)))
    ]
    engine(raws[0])
    start_ms = (time.perf_counter() - before) * 1e3
    turn = iter(range(1 << 62))
    single = sorted(_repeat(lambda: engine(raws[next(turn) % len(raws)]), seconds / 2))
    many = [raws[index % len(raws)] for index in range(batch)]
    batched = sorted(_repeat(lambda: engine(many), seconds / 2))
    return BenchRow(
        variant=variant,
        provider=engine.provider,
        p50_ms=_percentile(single, 0.5) * 1e3,
        p95_ms=_percentile(single, 0.95) * 1e3,
        throughput=batch / _percentile(batched, 0.5),
        start_ms=start_ms,
        step_us=None if not opened.manifest.streams else _step_us(engine, raws, seconds / 2),
        peak_mb=peak_mb(),
    )


def _step_us(engine: Engine, raws: list[Any], seconds: float) -> float:
    """The median over whole inputs of the time that one step takes, pushed as it would come: a plain row of a series,
    a tenth of a second of sound.
    """
    pieces = [[_as_pushed(piece) for piece in engine.task.pieces(raw)] for raw in raws]
    with engine.stream() as stream:
        steps = [sum(len(stream.outputs(piece)) for piece in whole) for whole in pieces]
        used = [(whole, count) for whole, count in zip(pieces, steps, strict=True) if count]
        if not used:
            raise BundleError("the golden samples are too short for one streaming step: export it again")
        turn = iter(range(1 << 62))
        each: list[float] = []

        def run() -> None:
            whole, count = used[next(turn) % len(used)]
            before = time.perf_counter()
            for piece in whole:
                stream.push(piece)
            each.append((time.perf_counter() - before) / count)

        _repeat(run, seconds)
    return _percentile(sorted(each), 0.5) * 1e6


def _as_pushed(piece: Any) -> Any:
    plain = isinstance(piece, Series) and piece.known is None and len(piece.values) == 1
    return piece.values[0] if plain else piece


if __name__ == "__main__":
    _bundle, *_rest = json.loads(sys.argv[1])
    try:
        print(json.dumps(to_plain(measure(Path(_bundle), *_rest))))
    except EdgewrightError as error:
        print(error, file=sys.stderr)
        sys.exit(_KNOWN_TROUBLE)

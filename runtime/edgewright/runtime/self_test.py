"""The golden self-test: does this device still give the answers that torch gave?"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgewright.runtime.arguments import kind_of
from edgewright.runtime.bundle.manifest import Variant
from edgewright.runtime.bundle.opening import Bundle, open_bundle
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import BundleError, EdgewrightError, InputError
from edgewright.runtime.graphs.proven import keep_proofs, place_of
from edgewright.runtime.graphs.providers import load_onnxruntime

# A step graph in whole numbers rounds each step anew: where the whole model may differ from torch by so much, the two
# may lie on either side of it.
_STREAM_FACTOR = 2.0


@dataclass(frozen=True)
class SelfTestRow:
    """What one variant did on the golden samples.

    `relative` is the largest absolute difference to torch's outputs over the largest absolute value of these,
    the worst of all outputs; `decisions` the share of samples decided as torch did; both are None when the
    variant did not run. `streamed` is the same for the steps of a stream against the whole model; None where there is
    no stream.
    """

    variant: str
    provider: str | None
    samples: int
    relative: float | None
    relative_allowed: float
    decisions: float | None
    decisions_needed: float
    passed: bool
    reason: str
    streamed: float | None = None


def selftest(
    bundle: str | Path | Bundle,
    variants: Sequence[str] | None = None,
    provider: str = "auto",
    threads: int | None = None,
    timeout: float | None = None,
) -> tuple[SelfTestRow, ...]:
    """Replay the golden samples of a bundle, from the raw files to the decisions, one at a time.

    Where there is a streaming form they are replayed through it as well. What comes of it is kept in the user's cache:
    the engine's "auto" takes what has answered as torch does here.

    Args:
        bundle: The folder of a bundle, or one that is already open.
        variants: Names of variants; none at all means every one that is in the bundle.
        provider: As for `Engine`.
        threads: As for `Engine`.
        timeout: As for `Engine`.

    Returns:
        One row per variant. A variant that cannot run here has a row that says why, and did not pass.

    Raises:
        BundleError: The bundle is damaged, holds no golden samples, or has no such variant.
        MachineError: ONNX Runtime is not installed.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    golden = opened.manifest.golden
    if not golden.samples:
        raise BundleError(f"the bundle {opened.root} holds no golden samples: pack it again with some")
    if variants is not None and not isinstance(variants, (list, tuple)):
        raise InputError(f"variants is {kind_of(variants)}: give a list of names, or leave it out")
    chosen = [opened.manifest.variant(name) for name in variants or ()] or opened.manifest.variants
    expected = golden_outputs(opened)
    load_onnxruntime()  # without it no variant could say anything
    open_engine = functools.partial(Engine, opened, provider=provider, threads=threads, timeout=timeout)
    rows = tuple(_replay(opened, variant, expected, open_engine) for variant in chosen)
    for used in sorted({row.provider for row in rows if row.provider is not None}):
        found = {row.variant: row.passed for row in rows if row.provider == used}
        keep_proofs(opened, place_of(used), found)
    return rows


def relative_difference(found: Sequence[Tensors], expected: Sequence[Tensors]) -> float:
    """Largest absolute difference over the largest absolute expected value, the worst of all outputs, over the outputs
    of samples.

    Infinity when an output is missing, of another shape, or not finite.
    """
    widest: dict[str, float] = {}
    scales: dict[str, float] = {}
    for ours, theirs in zip(found, expected, strict=True):
        for name, wanted in theirs.items():
            value = ours.get(name)
            if value is None or value.shape != wanted.shape or not np.isfinite(value).all():
                return float("inf")
            gap = np.abs(value.astype(np.float64) - wanted.astype(np.float64)).max(initial=0.0)
            widest[name] = max(widest.get(name, 0.0), float(gap))
            scales[name] = max(
                scales.get(name, 0.0), float(np.abs(wanted.astype(np.float64)).max(initial=0.0))
            )
    return max((_share(gap, scales[name]) for name, gap in widest.items()), default=0.0)


def _share(gap: float, scale: float) -> float:
    if scale == 0.0:
        return 0.0 if gap == 0.0 else float("inf")
    return gap / scale


def golden_outputs(bundle: Bundle) -> list[Tensors]:
    """What torch answered to the golden samples: the outputs of each. Raises `BundleError`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    golden = bundle.manifest.golden
    path = bundle.path(golden.outputs)
    try:
        tensors: Tensors = load_file(path)
    except (SafetensorError, KeyError, ValueError, AttributeError, OSError) as error:
        raise BundleError(f"{path} is not a safetensors file ({error}): pack the bundle again") from None
    outputs: list[Tensors] = [{} for _ in golden.samples]
    places = {str(number): one for number, one in enumerate(outputs)}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        if number in places:
            places[number][name] = value
    if not all(one.keys() == outputs[0].keys() != set() for one in outputs):
        raise BundleError(
            f"{path} does not hold the outputs of all {len(outputs)} golden samples: pack the bundle again"
        )
    return outputs


def _replay(
    bundle: Bundle, variant: Variant, expected: Sequence[Tensors], open_engine: Callable[..., Engine]
) -> SelfTestRow:
    golden, tolerance = bundle.manifest.golden, variant.tolerance
    row = SelfTestRow(
        variant=variant.name,
        provider=None,
        samples=len(golden.samples),
        relative=None,
        relative_allowed=tolerance.relative,
        decisions=None,
        decisions_needed=tolerance.decisions,
        passed=False,
        reason="",
    )
    try:
        with open_engine(variant=variant.name) as engine:
            row = dataclasses.replace(row, provider=engine.provider)
            task = engine.task
            # One at a time, as a device meets them: int8-dynamic takes its scales from the whole batch.
            encoded = [task.encode(bundle.path(sample.file)) for sample in golden.samples]
            found = [engine.outputs(sample) for sample in encoded]
            for ours, theirs in zip(found, expected, strict=True):
                if ours.keys() != theirs.keys():
                    names = ", ".join(sorted(ours.keys() ^ theirs.keys()))
                    raise BundleError(
                        f"golden outputs and the outputs here differ by {names}: pack the bundle again"
                    )
            decided = [task.decision(answer) for answer in map(task.decode, found, encoded)]
            if task.loops:
                found = list(map(engine.outputs, encoded, expected))
            streamed = _stream(engine, found) if bundle.manifest.streaming is not None else None
    except EdgewrightError as error:
        return dataclasses.replace(row, reason=str(error))
    relative = relative_difference(found, expected)
    agreed = list(map(task.same, decided, golden.decisions))
    share = sum(agreed) / len(agreed)
    reasons = []
    if not relative <= tolerance.relative:
        reasons.append(f"outputs differ from torch's by {relative:.2g}, {tolerance.relative:.2g} is allowed")
    if share < tolerance.decisions:
        wrong = [sample.id for sample, part in zip(golden.samples, agreed, strict=True) if not part]
        reasons.append(f"{len(wrong)} of {len(agreed)} decisions differ from torch's, first on {wrong[0]}")
    if streamed is not None and not streamed <= _STREAM_FACTOR * tolerance.relative:
        reasons.append(
            f"step by step the outputs differ from the whole model's by {streamed:.2g}, "
            f"{_STREAM_FACTOR * tolerance.relative:.2g} is allowed"
        )
    return dataclasses.replace(
        row,
        relative=relative,
        decisions=share,
        passed=not reasons,
        reason="; ".join(reasons),
        streamed=streamed,
    )


def _stream(engine: Engine, whole: Sequence[Tensors]) -> float | None:
    """How far the steps of a stream lie from what the whole model answered; None where no sample can be streamed."""
    stepped: list[Tensors] = []
    compared: list[Tensors] = []
    with engine.stream() as stream:
        for sample, outputs in zip(engine.manifest.golden.samples, whole, strict=True):
            stream.reset()
            try:
                steps = [
                    output
                    for piece in engine.task.pieces(engine.bundle.path(sample.file))
                    for output in stream.outputs(piece)
                ]
            except InputError:
                continue  # what only the whole series can answer, such as a gap that is interpolated
            ((name, expected),) = outputs.items()
            stepped.append({name: np.array(steps) if name in engine.task.timed_outputs else steps[-1]})
            compared.append({name: expected})
    return relative_difference(stepped, compared) if stepped else None

"""The blame ladder: the rungs from raw input to answer, each with one more thing changed; the first bad one is named.

Of a model with a streaming form, one more rung compares that with the whole model.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.exporters.distance import distance
from edgewright.exporters.judge.agreement import clear_rows, decision_of
from edgewright.exporters.judge.golden import widened
from edgewright.exporters.judge.measure import Measured, Opener, ladder_rows, measure, run_each
from edgewright.exporters.judge.nodes import first_apart_from_graph, first_apart_from_torch
from edgewright.exporters.judge.steps import open_step, stream_apart
from edgewright.exporters.reference import Reference, Samples
from edgewright.exporters.verdict import FP32_DECISIONS, FP32_RELATIVE, ROUNDING, Budget, Ladder, Rung
from edgewright.runtime.bundle.manifest import Variant
from edgewright.runtime.bundle.opening import Bundle, open_bundle
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import EdgewrightError, ProviderError
from edgewright.runtime.graphs.session import open_session
from edgewright.runtime.running.windows import encode_all
from edgewright.runtime.tasks import load_task

_SAME_ANSWER = 1e-4  # of numbers inside an answer, where the same graph ran twice


def climb(
    reference: Reference,
    bundle: Path | Bundle,
    samples: Samples,
    budget: Budget,
    provider: str = "auto",
    threads: int | None = None,
    limit: int = 64,
    opener: Opener = open_session,
    measured: Measured | None = None,
) -> Ladder:
    """Climb the ladder of a bundle on disk: the device's side from its manifest, torch's side from
    `reference`.

    The precision rung uses all samples (a drop of the metric needs them), the others `limit` of them, evenly
    spaced. `measured` may hold outputs already taken from the same files on the same samples. A rung that
    cannot run here is "not run" and says why; later rungs are climbed even when one has failed.

    Raises:
        BundleError: the bundle does not open.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    paths = {entry.name: opened.path(entry.graphs["model"]) for entry in opened.manifest.variants}
    if measured is None:
        rows = ladder_rows(len(samples), limit)
        measured, _ = measure(reference, samples, paths, provider, threads, opener, rows=rows)
    few = samples.take(measured.rows)
    climber = _Climber(
        reference,
        opened,
        samples,
        few,
        budget,
        provider,
        threads,
        opener,
        measured,
        encode_all(reference.task, few.raws),
    )
    return Ladder(tuple(climber.rungs()), len(samples))


@dataclasses.dataclass(frozen=True)
class _Climber:
    reference: Reference
    bundle: Bundle
    samples: Samples
    few: Samples
    budget: Budget
    provider: str
    threads: int | None
    opener: Opener
    measured: Measured
    feeds: list[Tensors]

    def rungs(self) -> list[Rung]:
        variants = [entry for entry in self.bundle.manifest.variants if entry.name != "fp32"]
        found = [self._guard("encode", "", self._encode)]
        found.append(self._guard("export", "fp32", lambda: self._graph("export", optimise=False)))
        found.append(self._guard("fusion", "fp32", lambda: self._graph("fusion", optimise=True)))
        for entry in variants:
            found.append(self._guard("precision", entry.name, partial(self._precision, entry)))
        if not variants:
            found.append(Rung("precision", "", "not run", None, None, "the bundle holds fp32 alone"))
        for entry in self.bundle.manifest.variants:
            found.append(self._guard("provider", entry.name, partial(self._provider, entry)))
        found.append(self._guard("decode", self.bundle.manifest.default_variant, self._decode))
        if self.bundle.manifest.streaming is not None:
            for entry in self.bundle.manifest.variants:
                found.append(self._guard("stream", entry.name, partial(self._stream, entry)))
        return found

    def _guard(self, name: str, variant: str, step: Callable[[], Rung]) -> Rung:
        try:
            return step()
        except EdgewrightError as error:
            return Rung(name, variant, "failed", None, None, str(error))

    def _encode(self) -> Rung:
        manifest = self.bundle.manifest
        device = load_task(manifest.task, manifest.processor, manifest.labels, self.bundle.assets())
        worst, figure, reason = "", 0.0, ""
        for sample_id, raw, training in zip(self.few.ids, self.few.raws, self.feeds, strict=True):
            found = device.encode(raw)
            for name, wanted in training.items():
                value = found.get(name)
                if value is None or value.shape != wanted.shape or value.dtype != wanted.dtype:
                    shape = "nothing" if value is None else f"{value.dtype} {value.shape}"
                    reason = (
                        f"the device encodes {name} to {shape}, training to {wanted.dtype} {wanted.shape}"
                    )
                    return Rung("encode", "", "failed", None, 0.0, reason, sample_id)
                gap = float(np.abs(value.astype(np.float64) - wanted).max(initial=0.0))
                if gap > figure:
                    worst, figure = sample_id, gap
        if figure > 0.0:
            reason = f"the device's tensors differ from training's by up to {figure:.3g}"
        return Rung("encode", "", "failed" if figure > 0.0 else "ok", figure, 0.0, reason, worst)

    def _graph(self, name: str, optimise: bool) -> Rung:
        path = self.bundle.path(self.bundle.manifest.variant("fp32").graphs["model"])
        session = self.opener(
            path, provider=self.provider, threads=self.threads, cache=False, optimise=optimise
        )
        found = run_each(self.reference, session, self.feeds)
        rung = self._against_torch(name, "fp32", found, FP32_RELATIVE, FP32_DECISIONS)
        if rung.status == "failed" and not optimise:
            feeds = self._one(rung.worst_sample)
            node = first_apart_from_torch(self.reference, path, feeds, FP32_RELATIVE)
            return dataclasses.replace(rung, node=node)
        return rung

    def _against_torch(
        self, name: str, variant: str, found: Tensors, tolerance: float, decisions: float
    ) -> Rung:
        wanted = self.measured.torch.few
        apart = distance(wanted, found)
        worst = self.few.ids[apart.worst]
        if not apart.finite:
            return Rung(name, variant, "failed", None, tolerance, "the outputs are not finite", worst)
        decide = decision_of(self.reference.task)
        clear = clear_rows(wanted, tolerance, decide, self.feeds)
        ours, theirs = (decide(outputs, self.feeds) for outputs in (wanted, found))
        wrong = np.array([one != two for one, two in zip(ours, theirs, strict=True)]) & clear
        reasons = []
        if not apart.relative <= tolerance:
            reasons.append(f"outputs differ from torch's by {apart.relative:.2g} of their scale")
        if wrong.sum() > (1.0 - decisions) * len(wrong):
            worst = self.few.ids[int(np.argmax(wrong))]
            reasons.append(f"{int(wrong.sum())} of {len(wrong)} samples are decided otherwise")
        status = "failed" if reasons else "ok"
        return Rung(name, variant, status, apart.relative, tolerance, "; ".join(reasons), worst)

    def _one(self, sample_id: str) -> Tensors:
        return self.reference.task.collate([self.feeds[self.few.ids.index(sample_id)]])

    def _tolerance(self, name: str) -> float | None:
        """How far the variant may lie from torch: what its verdict measured, or, before there is one, what it
        does now.
        """
        for row in self.bundle.manifest.verdict.get("rows", ()):
            if row["name"] == name and row["relative"] is not None:
                return widened(name, float(row["relative"]))
        apart = self.measured.apart[name]
        return widened(name, apart.relative) if apart.finite else None

    def _precision(self, variant: Variant) -> Rung:
        if variant.name in self.measured.errors:
            return Rung("precision", variant.name, "failed", None, None, self.measured.errors[variant.name])
        tolerance = self._tolerance(variant.name)
        apart = self.measured.apart[variant.name]
        worst = self.samples.ids[apart.worst]
        reasons = []
        if not apart.finite:
            reasons.append("the outputs are not finite")
        else:
            metric, sides = self.reference.metric, (self.measured.torch, self.measured.variants[variant.name])
            values = [metric.merit(metric.of(side.evidence)) for side in sides]
            drop = values[0] - values[1]
            if drop > self.budget.max_drop + ROUNDING:
                reasons.append(f"{metric.name} falls by {drop:.4f}, {self.budget.max_drop:.4f} is allowed")
            if tolerance is not None and not apart.relative <= tolerance:
                reasons.append(f"outputs differ from torch's by {apart.relative:.2g} of their scale")
        figure = apart.relative if apart.finite else None
        rung = Rung(
            "precision",
            variant.name,
            "failed" if reasons else "ok",
            figure,
            tolerance,
            "; ".join(reasons),
            worst,
        )
        if not reasons:
            return rung
        feeds = self.reference.task.collate([self.reference.task.encode(self.samples.raw(worst))])
        good = self.bundle.path(self.bundle.manifest.variant("fp32").graphs["model"])
        bad = self.bundle.path(variant.graphs["model"])
        return dataclasses.replace(rung, node=first_apart_from_graph(good, bad, feeds))

    def _provider(self, variant: Variant) -> Rung:
        used = self.measured.providers.get(variant.name, "cpu")
        other = "cuda" if used == "cpu" else "cpu"
        path = self.bundle.path(variant.graphs["model"])
        try:
            session = self.opener(path, provider=other, threads=self.threads, cache=False)
        except ProviderError as error:
            return Rung("provider", variant.name, "not run", None, None, f"{other} is not here: {error}")
        if variant.name not in self.measured.variants:
            return Rung("provider", variant.name, "not run", None, None, f"it does not run on {used} either")
        found = run_each(self.reference, session, self.feeds)
        # Against the same variant on the first provider: what the precision lost is the rung below's
        # business.
        apart = distance(self.measured.variants[variant.name].few, found)
        worst, tolerance = self.few.ids[apart.worst], self._tolerance(variant.name)
        if not apart.finite:
            return Rung("provider", variant.name, "failed", None, tolerance, f"not finite on {other}", worst)
        failed = tolerance is not None and not apart.relative <= tolerance
        reason = f"outputs on {other} differ from those on {used}" if failed else f"{other} against {used}"
        return Rung(
            "provider", variant.name, "failed" if failed else "ok", apart.relative, tolerance, reason, worst
        )

    def _stream(self, variant: Variant) -> Rung:
        """The step graph, from the initial states through every step, against the whole graph of the same variant."""
        streaming = self.bundle.manifest.streaming
        assert streaming is not None
        if variant.name not in self.measured.variants:
            return Rung("stream", variant.name, "not run", None, None, "its whole graph does not run")
        tolerance = FP32_RELATIVE if variant.name == "fp32" else self._tolerance(variant.name)
        runner = open_step(self.bundle.path(variant.graphs["step"]), streaming, self.provider, self.opener)
        whole = self.measured.variants[variant.name].few
        found, count = stream_apart(runner, self.feeds, whole, self.bundle.manifest.outputs)
        worst = self.few.ids[found.worst]
        if not found.finite:
            return Rung("stream", variant.name, "failed", None, tolerance, "a step is not finite", worst)
        failed = tolerance is not None and not found.relative <= tolerance
        reason = f"step by step against whole, {count} samples"
        if failed:
            reason = (
                f"answers step by step differ from the whole graph's by {found.relative:.2g} of their scale"
            )
        return Rung(
            "stream", variant.name, "failed" if failed else "ok", found.relative, tolerance, reason, worst
        )

    def _decode(self) -> Rung:
        """Torch's outputs through both decoders have to give equal answers, and the engine must add nothing
        of its own.
        """
        variant = self.bundle.manifest.default_variant
        with Engine(self.bundle, provider=self.provider, threads=self.threads, cache=False) as engine:
            wrong: dict[str, str] = {}
            wanted = self.measured.torch.few
            ours, theirs = (task.decode(wanted, self.feeds) for task in (self.reference.task, engine.task))
            for sample_id, one, two in zip(self.few.ids, ours, theirs, strict=True):
                if not _same(one, two, 0.0):
                    wrong.setdefault(sample_id, "the device reads another answer from torch's own outputs")
            if variant in self.measured.variants:
                expected = self.reference.task.decode(self.measured.variants[variant].few, self.feeds)
                for sample_id, raw, answer in zip(self.few.ids, self.few.raws, expected, strict=True):
                    if not _same(answer, engine(raw), _SAME_ANSWER):
                        wrong.setdefault(
                            sample_id, "the engine's answer is not the one of encode, graph and decode"
                        )
        share = 1.0 - len(wrong) / len(self.few)
        if not wrong:
            return Rung("decode", variant, "ok", share, 1.0)
        worst = next(iter(wrong))
        reason = f"{len(wrong)} of {len(self.few)} answers differ: {wrong[worst]}"
        return Rung("decode", variant, "failed", share, 1.0, reason, worst)


def _same(one: Any, two: Any, tolerance: float) -> bool:
    """Equal answers: dataclasses and sequences part by part, floats within `tolerance`, arrays of floats within
    `tolerance` of their largest value, everything else by ==.
    """
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        if type(one) is not type(two):
            return False
        return all(
            _same(getattr(one, field.name), getattr(two, field.name), tolerance)
            for field in dataclasses.fields(one)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(_same(a, b, tolerance) for a, b in zip(one, two, strict=True))
    if isinstance(one, float):
        return bool(abs(one - two) <= tolerance)
    if isinstance(one, np.ndarray) and one.dtype.kind == "f":
        near = tolerance * float(np.abs(one).max(initial=0.0))
        return np.shape(one) == np.shape(two) and bool(np.allclose(one, two, rtol=0.0, atol=near))
    return bool(np.array_equal(one, two))

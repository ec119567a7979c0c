"""The blame ladder: the rungs from raw input to answer, each with one more thing changed; the first bad one is named.

Of a model with a streaming form, two more rungs compare its steps with the whole model, and its answers over whole
recordings with those to samples.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.exporters.distance import distance
from edgewright.exporters.judge.agreement import clear_samples, decide
from edgewright.exporters.judge.golden import widened
from edgewright.exporters.judge.measure import (
    Measured,
    Opener,
    Setting,
    ladder_rows,
    measure,
    run_along,
    run_each,
)
from edgewright.exporters.judge.nodes import first_apart_from_graph, first_apart_from_torch
from edgewright.exporters.judge.steps import open_step, stream_apart
from edgewright.exporters.judge.warm import warm_rung
from edgewright.exporters.recording import recorded
from edgewright.exporters.reference import Reference, Samples
from edgewright.exporters.verdict import FP32_DECISIONS, FP32_RELATIVE, ROUNDING, Budget, Ladder, Rung
from edgewright.runtime.bundle.manifest import Variant
from edgewright.runtime.bundle.opening import Bundle, open_bundle
from edgewright.runtime.contracts import STEP, Tensors
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import EdgewrightError, ProviderError
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.graphs.session import open_session
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
    setting = Setting(reference, samples, opened.manifest.graphs, provider, threads, opener)
    if measured is None:
        files = {entry.name: _files(opened, entry) for entry in opened.manifest.variants}
        measured = measure(setting, files, rows=ladder_rows(len(samples), limit))
    few = samples.take(measured.rows)
    climber = _Climber(setting, opened, few, budget, measured, reference.task.encode_all(few.raws))
    return Ladder(tuple(climber.rungs()), len(samples))


def _files(bundle: Bundle, variant: Variant) -> dict[str, Path]:
    return {role: bundle.path(file) for role, file in variant.graphs.items()}


@dataclasses.dataclass(frozen=True)
class _Climber:
    setting: Setting
    bundle: Bundle
    few: Samples
    budget: Budget
    measured: Measured
    encoded: list[Tensors]

    @property
    def reference(self) -> Reference:
        return self.setting.reference

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
        if self.bundle.manifest.streams and self.setting.samples.streams:
            for entry in self.bundle.manifest.variants:
                found.append(self._guard("warm", entry.name, partial(self._warm, entry)))
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
        for sample_id, raw, training in zip(self.few.ids, self.few.raws, self.encoded, strict=True):
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
        files = _files(self.bundle, self.bundle.manifest.variant("fp32"))
        graphs = self.setting.open(files, optimise=optimise)
        rung = self._against_torch(name, "fp32", graphs, FP32_RELATIVE, FP32_DECISIONS)
        if rung.status == "failed" and not optimise:
            torch = self.reference.graphs
            sample = self.encoded[self.few.ids.index(rung.worst_sample)]
            for role, batches in recorded(self.reference.task, sample, torch).items():
                node = first_apart_from_torch(torch.parts[role], files[role], batches[0], FP32_RELATIVE)
                if node:
                    return dataclasses.replace(rung, node=node)
        return rung

    def _against_torch(
        self, name: str, variant: str, graphs: Graphs, tolerance: float, decisions: float
    ) -> Rung:
        wanted, task = self.measured.torch.few, self.reference.task
        found = run_each(task, graphs, self.encoded)
        apart = distance(wanted, run_along(task, graphs, self.encoded, wanted) if task.loops else found)
        worst = self.few.ids[apart.worst]
        if not apart.finite:
            return Rung(name, variant, "failed", None, tolerance, "the outputs are not finite", worst)
        clear = clear_samples(task, wanted, self.encoded, tolerance)
        ours, theirs = (decide(task, outputs, self.encoded) for outputs in (wanted, found))
        wrong = ~np.array(list(map(task.same, ours, theirs)), bool) & clear
        reasons = []
        if not apart.relative <= tolerance:
            reasons.append(f"outputs differ from torch's by {apart.relative:.2g} of their scale")
        if wrong.sum() > (1.0 - decisions) * len(wrong):
            worst = self.few.ids[int(np.argmax(wrong))]
            reasons.append(f"{int(wrong.sum())} of {len(wrong)} samples are decided otherwise")
        status = "failed" if reasons else "ok"
        return Rung(name, variant, status, apart.relative, tolerance, "; ".join(reasons), worst)

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
        worst = self.setting.samples.ids[apart.worst]
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
        sample = self.reference.task.encode(self.setting.samples.raw(worst))
        good, bad = (
            _files(self.bundle, self.bundle.manifest.variant(name)) for name in ("fp32", variant.name)
        )
        for role, batches in recorded(self.reference.task, sample, self.setting.open(good)).items():
            node = first_apart_from_graph(good[role], bad[role], batches[0])
            if node:
                return dataclasses.replace(rung, node=node)
        return rung

    def _provider(self, variant: Variant) -> Rung:
        used = self.measured.providers.get(variant.name, "cpu")
        other = "cuda" if used == "cpu" else "cpu"
        try:
            graphs = self.setting.open(_files(self.bundle, variant), provider=other)
        except ProviderError as error:
            return Rung("provider", variant.name, "not run", None, None, f"{other} is not here: {error}")
        if variant.name not in self.measured.variants:
            return Rung("provider", variant.name, "not run", None, None, f"it does not run on {used} either")
        found = run_along(self.reference.task, graphs, self.encoded, self.measured.torch.few)
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
        path, setting = self.bundle.path(variant.graphs[STEP]), self.setting
        runner = open_step(path, streaming, setting.provider, setting.opener)
        whole, every = self.measured.variants[variant.name].few, self.reference.task.timed_outputs
        found, count = stream_apart(runner, self.encoded, whole, every)
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

    def _warm(self, variant: Variant) -> Rung:
        """The stream of a variant over whole recordings, by the metric."""
        if variant.name not in self.measured.variants:
            return Rung("warm", variant.name, "not run", None, None, "its whole graph does not run")
        whole = self.measured.variants[variant.name]
        torch = self.measured.torch
        return warm_rung(self.setting, self.bundle, variant.name, torch, whole, self.budget)

    def _decode(self) -> Rung:
        """Torch's outputs through both decoders have to give equal answers, and the engine must add nothing
        of its own.
        """
        variant, setting = self.bundle.manifest.default_variant, self.setting
        with Engine(self.bundle, variant, setting.provider, setting.threads, cache=False) as engine:
            wrong: dict[str, str] = {}
            for sample_id, outputs, sample in zip(
                self.few.ids, self.measured.torch.few, self.encoded, strict=True
            ):
                one, two = (task.decode(outputs, sample) for task in (self.reference.task, engine.task))
                if not _same(one, two, 0.0):
                    wrong.setdefault(sample_id, "the device reads another answer from torch's own outputs")
            if variant in self.measured.variants:
                few = self.measured.variants[variant].few
                if self.reference.task.loops:  # which went along torch's choices there
                    graphs = setting.open(_files(self.bundle, self.bundle.manifest.variant(variant)))
                    few = run_each(self.reference.task, graphs, self.encoded)
                expected = map(self.reference.task.decode, few, self.encoded)
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

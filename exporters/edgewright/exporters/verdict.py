"""What judging says: one row per variant, the ladder, which variant ships. Plain JSON and back, exactly."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from safetensors.numpy import save

from edgewright.runtime.bundle.files import canonical_json
from edgewright.runtime.bundle.manifest import Proof, Tolerance
from edgewright.runtime.bundle.structure import StructureError, from_plain, parse_json, to_plain
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import ExportError

PASS = "PASS"
FAIL = "FAIL"
REJECTED = "REJECTED"
FP32_RELATIVE = 1e-4
"""How far fp32 may lie from torch, relative to the largest output."""
FP16_RELATIVE = 0.05
"""The same for fp16: beyond this it is not rounding but a number out of its range."""
FP32_DECISIONS = 1.0
"""Share of fp32's decisions away from ties that must equal torch's."""

ROUNDING = 1e-9
"""One sample of a hundred is 0.010000000000000009, and within a budget of 0.01."""


@dataclass(frozen=True)
class Budget:
    """What a variant may lose and must win.

    `max_drop` is the largest fall of the task metric (0.01 = one point of accuracy). With `require`
    "interval" the whole 95 % interval has to stay below it, with "estimate" the measured fall. A variant has
    to be `smaller_by` (share of fp32's bytes) or `faster_by` (share of fp32's speed) to be worth its place.
    """

    max_drop: float = 0.01
    smaller_by: float = 0.10
    faster_by: float = 0.05
    require: str = "estimate"


@dataclass(frozen=True)
class VariantRow:
    """One variant against torch on the evaluation samples. A number is None where it could not be measured.

    `drop` is torch's metric less the variant's, with its 95 % `interval`. `agreement` is the share of samples
    decided as torch does, `agreement_clear` the same without torch's near ties; None where a task decides nothing.
    All this is of samples that run alone; `same_in_list` is the share that is decided the same in a list of the
    engine's default size, `metric_in_list` the metric there. `relative` is `max_abs` over
    torch's largest output; `sqnr_db` is None for bit-equal outputs. Latencies are of one sample in
    milliseconds; `speed_vs_torch` and `speed_vs_fp32` say how many times as fast (medians of ratios taken in
    turn in the same run). Those of one step of a model with a streaming form are in microseconds, on one thread.
    `size` is the bytes of all graphs of the variant. `stream_metric` is the metric of its stream's answers, warm, over
    whole evaluation recordings.
    """

    name: str
    status: str
    reason: str
    notes: tuple[str, ...] = ()
    metric: float | None = None
    metric_torch: float | None = None
    drop: float | None = None
    interval: tuple[float, float] | None = None
    interval_method: str = ""
    agreement: float | None = None
    agreement_clear: float | None = None
    same_in_list: float | None = None
    metric_in_list: float | None = None
    max_abs: float | None = None
    relative: float | None = None
    passing_tolerance: float | None = None
    sqnr_db: float | None = None
    worst_sample: str = ""
    size: int | None = None
    size_ratio: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    torch_p50_ms: float | None = None
    torch_p95_ms: float | None = None
    speed_vs_torch: float | None = None
    speed_vs_fp32: float | None = None
    provider: str = ""
    step_p50_us: float | None = None
    torch_step_p50_us: float | None = None
    step_speed_vs_torch: float | None = None
    step_speed_vs_fp32: float | None = None
    stream_metric: float | None = None


@dataclass(frozen=True)
class Rung:
    """One step of the blame ladder. `status` is "ok", "failed" or "not run"; `node` is the first node that
    diverges.
    """

    name: str
    variant: str
    status: str
    figure: float | None
    tolerance: float | None
    reason: str = ""
    worst_sample: str = ""
    node: str = ""


@dataclass(frozen=True)
class Ladder:
    """Every rung in order; `samples` says how many samples it was climbed with."""

    rungs: tuple[Rung, ...]
    samples: int

    @property
    def first_failed(self) -> Rung | None:
        """The first rung over its tolerance, or None when all hold."""
        return next((rung for rung in self.rungs if rung.status == "failed"), None)


@dataclass(frozen=True)
class GoldenAnswers:
    """What torch answered to the samples that go into the bundle, and how near a device has to come.

    `outputs` is what `packed_outputs` gives; `tolerances` maps a variant's name to its tolerance.
    """

    ids: tuple[str, ...]
    outputs: str
    decisions: tuple[Any, ...]
    tolerances: Mapping[str, Tolerance]


NO_ANSWERS = GoldenAnswers((), "", (), {})


def packed_outputs(outputs: Sequence[Tensors]) -> str:
    """The outputs of samples as the file that a bundle holds, in base64: exact, and a fifth of the size of numbers that
    are written out.
    """
    named = {
        f"{index}.{name}": np.ascontiguousarray(value)
        for index, one in enumerate(outputs)
        for name, value in one.items()
    }
    return base64.b64encode(save(named)).decode("ascii")


@dataclass(frozen=True)
class Verdict:
    """Everything that was measured. `ranking` has the passing variants, the best first; it is empty when
    nothing ships. `stream_reason` says why a streaming form there was is not shipped; empty where it is. `cpu` is the
    class of the CPU that judged, `onnxruntime` the version.
    """

    metric_name: str
    samples: int
    budget: Budget
    rows: tuple[VariantRow, ...]
    ranking: tuple[str, ...]
    reason: str
    golden: GoldenAnswers
    ladder: Ladder | None = None
    threads: int = 1
    cpu: str = ""
    onnxruntime: str = ""
    stream_reason: str = ""

    def proven(self, name: str) -> tuple[Proof, ...]:
        """Where the variant `name` was seen to answer as torch does: where it was judged, or the ladder ran it."""
        used = self.row(name).provider
        places = [used]
        if self.ladder is not None and any(
            (rung.name, rung.variant, rung.status) == ("provider", name, "ok") for rung in self.ladder.rungs
        ):
            places.append("cuda" if used == "cpu" else "cpu")
        names = (self.cpu if place == "cpu" else place for place in places)
        return tuple(Proof(place, "measured", self.onnxruntime) for place in names if place)

    @property
    def ships(self) -> str | None:
        """The variant that "auto" means, or None: nothing may be shipped, and `reason` says why."""
        return self.ranking[0] if self.ranking else None

    def row(self, name: str) -> VariantRow:
        """The row of the variant `name`. Raises `ExportError` when it was not judged."""
        for row in self.rows:
            if row.name == name:
                return row
        raise ExportError(
            f"the verdict has no variant {name!r}: it has {', '.join(row.name for row in self.rows)}"
        )

    def summary(self) -> dict[str, Any]:
        """What stands in a bundle's manifest: all of it but the golden outputs, which have a file of their
        own.
        """
        plain: dict[str, Any] = to_plain(replace(self, golden=NO_ANSWERS))
        del plain["golden"]
        return {**plain, "ships": self.ships}


def verdict_to_json(verdict: Verdict) -> str:
    """Canonical JSON; `verdict_from_json` gives back an equal verdict."""
    return canonical_json(to_plain(verdict))


def verdict_from_json(text: str | bytes) -> Verdict:
    """Read a verdict. Raises `ExportError` naming the place when the text is not one."""
    try:
        return from_plain(Verdict, parse_json(text))
    except StructureError as error:
        raise ExportError(f"the stored verdict is broken ({error}): judge again") from None

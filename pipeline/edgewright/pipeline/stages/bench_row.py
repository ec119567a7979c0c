"""What a measurement of a bundle says of each variant."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ratios:
    """How many times as fast as torch: the graph of the whole model, and that of one step where there is one."""

    whole: float
    step: float | None = None


@dataclass(frozen=True)
class BenchRow:
    """One variant's figures: raw input to answer for p50/p95 (ms), answers per second in batches, start to first answer
    (ms, without the interpreter's own start), peak resident memory (MB), and how many times as fast as torch (graph
    alone). `step_us` is one streaming step from the raw input to its answer (median, microseconds), and
    `step_ratio_to_torch` its graph against torch's step; None where the bundle has no streaming form.
    """

    variant: str
    provider: str
    p50_ms: float
    p95_ms: float
    throughput: float
    start_ms: float
    peak_mb: float
    ratio_to_torch: float | None = None
    step_us: float | None = None
    step_ratio_to_torch: float | None = None

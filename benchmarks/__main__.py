"""Every claim of the README, measured here and now: `python -m benchmarks` (about twenty minutes)."""

from benchmarks import cold_start, encoders, engine, feature_extraction, large_inputs, streaming
from benchmarks.common import print_claims

raise SystemExit(
    print_claims(
        [
            *engine.measure(),
            *streaming.measure(),
            *cold_start.measure(),
            *feature_extraction.measure(),
            *encoders.measure(),
            *large_inputs.measure(),
        ]
    )
)

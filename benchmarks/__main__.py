"""Every claim of the README, measured here and now: `python -m benchmarks` (about fifteen minutes)."""

from benchmarks import cold_start, engine, feature_extraction
from benchmarks.common import print_claims

raise SystemExit(print_claims([*engine.measure(), *cold_start.measure(), *feature_extraction.measure()]))

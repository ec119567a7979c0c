"""The fuzz: `python -m tests.fuzz` tries every reader and decoder with damaged inputs; `make fuzz` does all of it.

A case is right when it is answered, or refused in one line. It is the same for the same target, number and seed.
"""

import argparse
import sys
import time

from tests.fuzz.runner import Tally, by_kind, report, run
from tests.fuzz.targets import TARGETS, import_libraries


def main() -> int:
    """Run what was asked for; the exit status is 1 where there is a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    names = [target.name for target in TARGETS]
    parser.add_argument("--target", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--case", type=int, help="try this case alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the cases, such as 0.1")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    chosen = [target for target in TARGETS if asked.target is None or target.name in asked.target]
    import_libraries()
    began = time.monotonic()
    tallies = run(chosen, asked.seed, asked.share, asked.seconds, asked.processes, _tell, asked.case)
    return 1 if report(tallies, time.monotonic() - began) else 0


def _tell(tallies: dict[str, Tally], seconds: float) -> None:
    done, planned = (sum(getattr(tally, key) for tally in tallies.values()) for key in ("done", "planned"))
    kinds = by_kind([fault for tally in tallies.values() for fault in tally.faults])
    begun = sum(tally.done > 0 for tally in tallies.values())
    print(
        f"{seconds:5.0f} s  {done:,} of {planned:,} cases  {begun} of {len(tallies)} targets  {len(kinds)} faults",
        file=sys.stderr,
    )


if __name__ == "__main__":
    raise SystemExit(main())

"""Ten minutes of sound pushed through a stream: does the process grow?"""

import gc
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Claim, print_claims

RATE, CHUNK, MINUTES = 16000, 1600, 10
WARM_UP = 60.0
"""Seconds of sound before the first look at the memory."""

ALLOWED_KB = 128
"""Less than this is the allocator's own breathing: ten minutes of features alone are 9600 kB."""


def resident_kb() -> int:
    """What of this process is in memory now, in kB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SystemExit("this measurement needs Linux: /proc/self/status tells the memory in use")


def push_minutes(bundle: Path) -> int:
    """Push ten minutes in chunks of 100 ms; the growth of the resident memory after the warm-up, in kB."""
    from edgewright.runtime import Engine

    generator = np.random.default_rng(0)
    second = (generator.normal(size=RATE) * 0.1).astype(np.float32)
    chunks = [second[start : start + CHUNK] for start in range(0, RATE, CHUNK)]
    with Engine(bundle, "fp32", "cpu") as engine, engine.stream(rate=RATE) as stream:
        before = 0
        for number in range(MINUTES * 60 * RATE // CHUNK):
            if number == int(WARM_UP * RATE / CHUNK):
                gc.collect()
                before = resident_kb()
            stream.push(chunks[number % len(chunks)])
        gc.collect()
        return resident_kb() - before


def memory_claim(folder: Path) -> Claim:
    """The growth, in a process of its own that holds neither torch nor another measurement."""
    from benchmarks.recurrent_subjects import make_audio_subject

    subject = make_audio_subject("gru", 64, folder)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.streaming_memory", str(subject.bundle)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    growth = int(done.stdout)
    return Claim(
        "streaming 10 minutes of audio features: memory growth",
        "none after warm-up",
        f"{growth} kB",
        growth <= ALLOWED_KB,
    )


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(push_minutes(Path(sys.argv[1])))
        raise SystemExit(0)
    with tempfile.TemporaryDirectory() as scratch:
        raise SystemExit(print_claims([memory_claim(Path(scratch))]))

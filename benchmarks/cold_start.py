"""From starting a process to its first answer: `Engine` against torch + torchvision, whole processes, in turn."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from safetensors.torch import save_file

from benchmarks.common import Claim, print_claims
from benchmarks.subjects import make_subject, photo_crops

ROUNDS = 7

EDGEWRIGHT = """
import sys
from edgewright.runtime import Engine
print(Engine(sys.argv[1], "int8-static", threads=1)(sys.argv[2]).label)
"""

TORCH = """
import sys
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
torch.set_num_threads(1)
model = torchvision.models.resnet18(weights=None)
model.load_state_dict(load_file(sys.argv[1]))
model.eval()
transform = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
image = transform(Image.open(sys.argv[2]).convert("RGB"))
with torch.inference_mode():
    print("label", model(image[None]).softmax(1).argmax().item())
"""


@dataclass(frozen=True)
class Run:
    """One process: wall seconds, and peak resident memory in MB."""

    seconds: float
    peak_mb: float


def run(code: str, *arguments: object, threads: int = 1) -> Run:
    """Run `code` in a fresh interpreter; byte code is cached for both sides, as on an installed machine."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # The child's own peak: RUSAGE_CHILDREN is the largest of all children, so each one is measured by its own parent.
    parent = (
        "import subprocess, sys, resource; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True, "
        "stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", parent, code, *map(str, arguments)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return Run(time.perf_counter() - before, int(done.stdout) / 1024)


def measure() -> list[Claim]:
    """Time and memory claims, on the variant that ships (int8-static)."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subject = make_subject("resnet18", folder)
        weights, photo = folder / "weights.safetensors", folder / "photo.jpg"
        save_file(subject.built.module.state_dict(), weights)
        Image.fromarray(photo_crops(1)[0]).save(photo, quality=90)
        pairs = []
        for number in range(ROUNDS + 1):
            pair = run(EDGEWRIGHT, subject.bundle, photo), run(TORCH, weights, photo)
            if number:  # the first round fills the disk cache
                pairs.append(pair)
    time_ratio = statistics.median(ours.seconds / theirs.seconds for ours, theirs in pairs)
    memory_ratio = statistics.median(ours.peak_mb / theirs.peak_mb for ours, theirs in pairs)
    ours, theirs = (
        Run(
            statistics.median(pair[side].seconds for pair in pairs),
            statistics.median(pair[side].peak_mb for pair in pairs),
        )
        for side in (0, 1)
    )
    return [
        Claim(
            "process start to first answer, against torch + torchvision: time", "<= 1/8",
            f"1/{1 / time_ratio:.1f} ({ours.seconds:.2f} / {theirs.seconds:.2f} s)", time_ratio <= 1 / 8,
        ),
        Claim(
            "process start to first answer, against torch + torchvision: memory", "<= 1/4",
            f"1/{1 / memory_ratio:.1f} ({ours.peak_mb:.0f} / {theirs.peak_mb:.0f} MB)", memory_ratio <= 1 / 4,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    assert resource  # the child's code uses it; here it says at once when a platform has none
    raise SystemExit(print_claims(measure()))

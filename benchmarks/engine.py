"""What the engine costs over bare ONNX Runtime, and how fast its graphs are against torch eager: one thread each."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image

from benchmarks.common import Claim, alternate, print_claims
from benchmarks.subjects import Subject, make_subject, photo_crops
from edgewright.runtime import Engine
from edgewright.runtime.graphs.session_options import cpu_session

ROUNDS = 120


def handwritten(session: onnxruntime.InferenceSession, labels: tuple[str, ...], photo: Path) -> str:
    """The script that a person writes instead: Pillow, numpy and `session.run`."""
    image = Image.open(photo).convert("RGB")
    width, height = image.size
    scale = 256 / min(width, height)
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255.0
    normalised = (pixels - np.array([0.485, 0.456, 0.406], np.float32)) / np.array(
        [0.229, 0.224, 0.225], np.float32
    )
    logits = session.run(None, {"pixel_values": np.ascontiguousarray(normalised.transpose(2, 0, 1))[None]})[
        0
    ][0]
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    return labels[int(probabilities.argmax())]


def overhead(subject: Subject, folder: Path) -> list[Claim]:
    """The engine beside bare calls, on a tensor and on a JPEG file."""
    photo = folder / "photo.jpg"
    Image.fromarray(photo_crops(1)[0]).save(photo, quality=90)
    engine = Engine(subject.bundle, "fp32", "cpu", threads=1)
    session = cpu_session(subject.bundle / "onnx" / "model.onnx", threads=1)
    tensor = alternate(lambda: engine.infer(subject.feeds), lambda: session.run(None, subject.feeds), ROUNDS)
    jpeg = alternate(
        lambda: engine(photo).label, lambda: handwritten(session, engine.manifest.labels, photo), ROUNDS
    )
    return [
        Claim(
            "`Engine` on a ready tensor / bare `session.run`, resnet18, batch 1", "<= 1.02 x", f"{tensor.ratio:.3f} x",
            tensor.ratio <= 1.02,
        ),
        Claim(
            "`Engine` from a JPEG file / a hand-written Pillow + numpy + `session.run` script", "<= 1.03 x",
            f"{jpeg.ratio:.3f} x", jpeg.ratio <= 1.03,
        ),
    ]  # fmt: skip


def against_torch(name: str, subject: Subject) -> list[Claim]:
    """fp32 and int8-static against torch eager, and OpenVINO on the same int8 file beside them."""
    module = subject.built.module.eval()
    images = torch.from_numpy(subject.feeds["pixel_values"])

    def eager() -> None:
        with torch.inference_mode():
            module(images)

    claims = []
    for variant, least in (("fp32", 1.4), ("int8-static", 4.5)):
        engine = Engine(subject.bundle, variant, "cpu", threads=1)
        found = alternate(eager, partial(engine.infer, subject.feeds), ROUNDS // 2)
        times = f"{found.ratio:.2f} x ({found.first_s * 1e3:.1f} / {found.second_s * 1e3:.1f} ms)"
        claims.append(
            Claim(
                f"{name} {variant} against torch eager, one thread",
                f">= {least} x faster",
                times,
                found.ratio >= least,
            )
        )
    claims.append(beside_openvino(name, subject))
    return claims


def beside_openvino(name: str, subject: Subject) -> Claim:
    """Nothing is promised here: the figure is the headroom that another engine shows on this file."""
    import openvino

    core = openvino.Core()
    graph = subject.bundle / "onnx" / "model_quantized.onnx"
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
    engine = Engine(subject.bundle, "int8-static", "cpu", threads=1)
    found = alternate(
        lambda: engine.infer(subject.feeds),
        lambda: request.infer({"pixel_values": subject.feeds["pixel_values"]}),
        ROUNDS // 2,
    )
    return Claim(
        f"{name} int8-static, `Engine` / OpenVINO on the same file", "(beside)", f"{found.ratio:.2f} x", True
    )


def sizes(name: str, subject: Subject) -> Claim:
    """Bytes of the int8 file over those of the fp32 file."""
    folder = subject.bundle / "onnx"
    ratio = (folder / "model_quantized.onnx").stat().st_size / (folder / "model.onnx").stat().st_size
    return Claim(f"{name} int8 file / fp32 file", "<= 0.28", f"{ratio:.3f}", ratio <= 0.28)


def measure() -> list[Claim]:
    """All claims of this script."""
    torch.set_num_threads(1)
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("resnet18", "resnet50"):
            subject = make_subject(name, folder)
            if name == "resnet18":
                claims += overhead(subject, folder)
            claims += against_torch(name, subject)
            claims.append(sizes(name, subject))
    return claims


if __name__ == "__main__":
    raise SystemExit(print_claims(measure()))

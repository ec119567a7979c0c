"""The real MiniLM, text in and vector out: against transformers' pipeline, against bare calls, how small and how true.

Two threads on both sides. `python -m benchmarks.encoders BUNDLE` measures a bundle that is there already.
"""

import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.cold_start import Run, run
from benchmarks.common import Claim, alternate, print_claims
from benchmarks.encoder_subjects import (
    TorchSide,
    minilm_bundle,
    minilm_folder,
    mixed_texts,
    short_and_long_texts,
)
from edgewright.runtime import Engine, open_bundle

THREADS, BATCH, TEXTS, JUDGED = 2, 16, 256, 1000
ROUNDS, SINGLE_ROUNDS, ENGINES, STARTS = 7, 300, 7, 5
INT8 = "int8-dynamic"
TEXT = "Return the absolute value of the argument, or raise an error where it has none."

EDGEWRIGHT = """
import sys
from edgewright.runtime import Engine
print(Engine(sys.argv[1], threads=int(sys.argv[2]))(sys.argv[3]).vector[0])
"""

TRANSFORMERS = """
import sys
import torch
from transformers import AutoModel, AutoTokenizer
torch.set_num_threads(int(sys.argv[2]))
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1]).eval()
batch = tokenizer([sys.argv[3]], padding=True, truncation=True, return_tensors="pt")
with torch.inference_mode():
    tokens = model(**batch).last_hidden_state
weights = batch["attention_mask"].unsqueeze(-1).float()
print(torch.nn.functional.normalize((tokens * weights).sum(1) / weights.sum(1), dim=1)[0, 0].item())
"""


def against_pipeline(bundle: Path, torch_side: TorchSide) -> list[Claim]:
    """Many texts of mixed length through `Engine`, and through transformers' pipeline on torch."""
    texts = mixed_texts(TEXTS)
    pipeline = torch_side.pipeline(BATCH)
    claims = []
    for variant, least in (("fp32", 2.5), (INT8, 5.5)):
        with Engine(bundle, variant, "cpu", THREADS, batch_size=BATCH) as engine:
            found = alternate(partial(pipeline, texts), partial(engine, texts), ROUNDS, warmup=1)
        claims.append(
            Claim(
                f"`Engine` on {TEXTS} texts of mixed length against `transformers.pipeline` on torch (batch {BATCH}), "
                f"MiniLM, {variant}",
                f">= {least} x faster",
                f"{found.ratio:.2f} x ({found.first_s:.2f} / {found.second_s:.2f} s)",
                found.ratio >= least,
            )
        )
    return claims


def against_bare_calls(bundle: Path) -> list[Claim]:
    """One text through `Engine`, and through the tokenizer and the session as a careful person would write it.

    Both run the engine's own session: two would fight for the cores (the threads of each wait busily for its next run)
    and differ by 5 % either way. Several engines are opened one after another; the median of their ratios counts.
    """
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.enable_truncation(int(open_bundle(bundle).manifest.processor["max_tokens"]))
    tokenizer.no_padding()
    claims = []
    for variant in ("fp32", INT8):
        found = []
        for _ in range(ENGINES):
            with Engine(bundle, variant, "cpu", THREADS) as engine:
                bare = partial(bare_call, tokenizer, _session(engine), TEXT)
                found.append(alternate(partial(engine, TEXT), bare, SINGLE_ROUNDS, warmup=20))
                assert np.allclose(engine(TEXT).vector, bare(), atol=1e-6)
        middle = sorted(found, key=lambda one: one.ratio)[ENGINES // 2]
        claims.append(
            Claim(
                f"`Engine` on one text / bare `tokenizers` + `session.run`, MiniLM, {variant}",
                "<= 1.03 x",
                f"{middle.ratio:.3f} x ({middle.first_s * 1e3:.2f} / {middle.second_s * 1e3:.2f} ms)",
                middle.ratio <= 1.03,
            )
        )
    return claims


def _session(engine: Engine) -> onnxruntime.InferenceSession:
    run = engine._open()._runs["model"]  # what no user needs has no public name
    session: onnxruntime.InferenceSession = cast(Any, run).__self__._session
    return session


def bare_call(tokenizer: Tokenizer, session: onnxruntime.InferenceSession, text: str) -> NDArray[np.float32]:
    """The vector of one text, float32 [dimensions]."""
    encoding = tokenizer.encode(text)
    feeds = {
        "input_ids": np.array([encoding.ids], np.int64),
        "attention_mask": np.array([encoding.attention_mask], np.int64),
        "token_type_ids": np.array([encoding.type_ids], np.int64),
    }
    vector: NDArray[np.float32] = session.run(None, feeds)[0][0]
    return vector


def starts(bundle: Path) -> list[Claim]:
    """From starting a process to its first answer, whole processes in turn; the variant that ships."""
    text = "The day is long and the night is short."
    pairs = []
    for number in range(STARTS + 1):
        pair = (
            run(EDGEWRIGHT, bundle, THREADS, text, threads=THREADS),
            run(TRANSFORMERS, minilm_folder(), THREADS, text, threads=THREADS),
        )
        if number:  # the first round fills the disk cache
            pairs.append(pair)
    ours, theirs = (
        Run(
            statistics.median(pair[side].seconds for pair in pairs),
            statistics.median(pair[side].peak_mb for pair in pairs),
        )
        for side in (0, 1)
    )
    seconds = statistics.median(first.seconds / second.seconds for first, second in pairs)
    memory = statistics.median(first.peak_mb / second.peak_mb for first, second in pairs)
    what = "process start to first answer, MiniLM, against transformers + torch"
    return [
        Claim(
            f"{what}: time", "<= 1/8", f"1/{1 / seconds:.1f} ({ours.seconds:.2f} / {theirs.seconds:.2f} s)",
            seconds <= 1 / 8,
        ),
        Claim(
            f"{what}: memory", "<= 1/3", f"1/{1 / memory:.1f} ({ours.peak_mb:.0f} / {theirs.peak_mb:.0f} MB)",
            memory <= 1 / 3,
        ),
    ]  # fmt: skip


def how_small_and_true(bundle: Path, torch_side: TorchSide) -> list[Claim]:
    """Bytes of a bundle with int8 alone over one with fp32 alone, and int8's cosine to torch at the worst text."""
    texts = short_and_long_texts(JUDGED)
    wanted = torch_side.embed(texts)
    cosines = {}
    for variant in ("fp32", INT8):
        with Engine(bundle, variant, "cpu", THREADS) as engine:
            found = np.stack([answer.vector for answer in engine(texts)]).astype(np.float64)
        cosines[variant] = (
            (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
        )
    ratio = bundle_bytes(bundle, INT8) / bundle_bytes(bundle, "fp32")
    worst, exact = float(cosines[INT8].min()), float(cosines["fp32"].min())
    return [
        Claim("int8 bundle / fp32 bundle, MiniLM", "<= 0.30", f"{ratio:.3f}", ratio <= 0.30),
        Claim(
            f"MiniLM int8, cosine to torch at the worst of {JUDGED:,} texts", ">= 0.99",
            f"{worst:.4f} (mean {cosines[INT8].mean():.4f})", worst >= 0.99,
        ),
        Claim(f"MiniLM fp32, cosine to torch at the worst of {JUDGED:,} texts", "(beside)", f"{exact:.7f}", True),
    ]  # fmt: skip


def bundle_bytes(bundle: Path, variant: str) -> int:
    """Bytes of all files of a bundle that would hold this variant alone."""
    manifest = open_bundle(bundle).manifest
    graphs = {graph for each in manifest.variants for graph in each.graphs.values()}
    others = graphs - set(manifest.variant(variant).graphs.values())
    return sum(entry.size for entry in manifest.files if entry.path.removesuffix(".data") not in others)


def measure(bundle: Path | None = None) -> list[Claim]:
    """All claims of this script."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = bundle or minilm_bundle(Path(scratch))
        torch_side = TorchSide.load(int(open_bundle(bundle).manifest.processor["max_tokens"]))
        return [
            *against_pipeline(bundle, torch_side),
            *against_bare_calls(bundle),
            *starts(bundle),
            *how_small_and_true(bundle, torch_side),
        ]


if __name__ == "__main__":
    raise SystemExit(print_claims(measure(Path(sys.argv[1]) if sys.argv[1:] else None)))

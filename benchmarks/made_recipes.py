"""Recipes for a comparison of two commits: the examples that run offline, and small ones of every task and family.

Each lies in a folder of its own below one working folder; data and checkpoints are made once, for both sides.
"""

import fnmatch
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DATA = "data"

SLOW = ("minilm_docs", "minilm_docs_finetuned")
"""Examples that take many minutes."""

EXAMPLES = (
    "co2", "digits", "digits_rows", "minilm", "ner", "questions", "stdlib_docs", "tones", "zero_shot", *SLOW
)  # fmt: skip
"""The examples whose data come with the project or a package; the others wait for somebody's own data."""

ASKED = {"zero_shot": ("Our team won the last game.", "--labels", "sport,music,cooking")}
"""What a bundle is asked beside its golden samples."""


MADE = {
    "images": """
task: image-classification
model: timm:test_resnet
weights: none
data: {source: ../data/photos}
input: {size: 32}
training: {epochs: 6, batch_size: 16, lr: 2e-3, early_stopping: 3}
""",
    "images-extracted": """
task: image-classification
model: timm:test_resnet
weights: ../images/base/bundle.run/weights.safetensors
data: {source: ../data/photos, classes: [down, plain], train_per_class: 20}
input: {size: 32}
transfer: {mode: feature-extraction}
training: {epochs: 10, batch_size: 8, lr: 1e-2}
budget: {smaller_by: 0.6}
""",
    "images-tuned": """
task: image-classification
model: timm:test_resnet
weights: ../images/base/bundle.run
data: {source: ../data/photos}
input: {size: 32}
transfer: {unfreeze: 3, gradual: true, head: keep}
training: {epochs: 3, optimizer: sgd, lr: auto, class_weights: balanced, label_smoothing: 0.1, metric: macro-f1}
variants: [fp32, int8-static]
budget: {require: interval, max_drop: 0.5}
""",
    "series-classes": """
task: sequence-classification
model: lstm
data: {source: ../data/sensors.csv, series: recording, time: time, features: [x, y], target: label, missing: forward}
network: {hidden: 16, layers: 2, dropout: 0.1, residual: true}
training: {epochs: 6, batch_size: 8, lr: 1e-2, checkpoint_seconds: 0}
""",
    "series-extracted": """
task: sequence-classification
model: lstm
weights: ../series-classes/base/bundle.run/weights.safetensors
data:
  {source: ../data/sensors.csv, series: recording, time: time, features: [x, y], target: label, missing: forward,
   classes: [calm, rising]}
network: {hidden: 16, layers: 2, dropout: 0.1, residual: true}
transfer: {mode: feature-extraction}
training: {epochs: 10, batch_size: 8, lr: 1e-2}
""",
    "series-values": """
task: sequence-regression
model: gru
data:
  {source: ../data/sensors.csv, series: recording, time: time, features: [x, y], target: load, missing: interpolate,
   split: series}
network: {hidden: 16, layer_norm: true}
training: {epochs: 6, batch_size: 8, lr: 1e-2, loss: huber}
""",
    "series-windows": """
task: sequence-classification
model: rnn
data:
  {source: ../data/sensors.csv, series: recording, features: [x, y], target: label, missing: zero, window: 8,
   stride: 4}
network: {hidden: 12, bidirectional: true, readout: max, init: orthogonal}
training: {epochs: 3, batch_size: 16}
variants: [fp32, fp16]
""",
    "series-rows": """
task: sequence-classification
model: gru
data: {source: ../data/gestures.jsonl, layout: wide, features: [x, y], target: label}
network: {hidden: 12, readout: mean}
training: {epochs: 4, batch_size: 8, lr: 1e-2}
""",
    "forecast-shop": """
task: forecasting
model: gru
data: {source: ../data/shop.parquet, series: store, time: week, target: sold, unseen: global}
forecast: {horizon: 4, season: 12, context: 24, known: [holiday], per_series: true}
network: {hidden: 16}
training: {epochs: 4, batch_size: 16, lr: 1e-2}
budget: {max_drop: 0.05}
""",
    "forecast-wide": """
task: forecasting
model: lstm
data: {source: ../data/wide.csv, layout: wide, time: day}
forecast: {horizon: 3, season: 7, anchor: last}
network: {hidden: 12}
training: {epochs: 3, batch_size: 16, lr: 1e-2}
budget: {max_drop: 0.05}
""",
    "text-gru": """
task: text-classification
model: gru
data: {source: ../data/texts.csv}
text: {vocabulary: 300, max_tokens: 16}
network: {hidden: 16, embedding: 16, readout: max}
training: {epochs: 5, batch_size: 8, lr: 1e-2}
""",
    "text-bert": """
task: text-classification
model: ../data/bert
data: {source: ../data/texts.csv}
text: {max_tokens: 16, policy: stride, stride: 4}
transfer: {unfreeze: all, layer_decay: 0.8}
training: {epochs: 4, batch_size: 8, lr: 1e-3}
""",
    "text-bert-extracted": """
task: text-classification
model: ../data/bert
data: {source: ../data/texts.csv}
text: {pooling: cls}
transfer: {mode: feature-extraction}
""",
    "text-bert-labels": """
task: text-classification
model: ../data/bert
data: {source: ../data/several.jsonl, separator: "|"}
text: {multi_label: true, threshold: 0.4}
transfer: {unfreeze: 2}
training: {epochs: 2, lr: 1e-3}
""",
    "text-bert-pairs": """
task: text-classification
model: ../data/bert
data: {source: ../data/pairs.csv, text: [first, second]}
transfer: {unfreeze: all}
training: {epochs: 2, lr: 1e-3}
""",
    "tokens-bert": """
task: token-classification
model: ../data/bert
weights: ../text-bert/base/bundle.run
data: {source: ../data/words.conll}
text: {max_tokens: 16, policy: stride, stride: 4}
transfer: {unfreeze: all}
training: {epochs: 4, batch_size: 8, lr: 1e-3}
""",
    "answers-bert": """
task: question-answering
model: ../data/bert
data: {source: ../data/questions.json}
question: {no_answer: true}
text: {max_tokens: 32, stride: 8}
transfer: {unfreeze: all}
training: {epochs: 4, batch_size: 8, lr: 1e-3}
budget: {max_drop: 0.1}
""",
    "vectors-bert": """
task: sentence-embedding
model: ../data/bert
data: {source: ../data/texts.csv}
text: {normalise: true, pooling: mean}
budget: {max_drop: 0.1}
""",
    "zero-shot-nli": """
task: zero-shot-classification
model: ../data/nli
data: {source: ../data/texts.csv}
zero_shot: {by: nli}
budget: {max_drop: 0.1}
""",
    "zero-shot-vectors": """
task: zero-shot-classification
model: ../data/bert
data: {source: ../data/texts.csv}
zero_shot: {by: embedding, template: "it was {} ."}
budget: {max_drop: 0.1}
""",
    "sounds": """
task: audio-classification
model: gru
data: {source: ../data/sounds}
audio: {sample_rate: 8000, mels: 16}
network: {hidden: 12, readout: mean}
training: {epochs: 4, batch_size: 8, lr: 1e-2}
""",
}
"""Name to recipe; paths count from a folder beside the made data."""

THOROUGH = ("images", "series-classes", "forecast-shop", "text-gru", "text-bert", "tokens-bert", "sounds")


@dataclass(frozen=True)
class Case:
    """One recipe. With `thorough` its training is also killed and resumed, and its run exported by the other side.

    `asked` are words for `predict` beside the golden samples.
    """

    name: str
    text: str
    thorough: bool = False
    asked: tuple[str, ...] = ()

    @property
    def weights_of(self) -> str | None:
        """The recipe whose run, of the first side, gives both sides their weights: `weights: ../NAME/base/...`."""
        found = re.search(r"^weights: \.\./([\w-]+)/base/", self.text, flags=re.MULTILINE)
        return None if found is None else found[1]


def choose_cases(checkout: Path, pattern: str, slow: bool) -> list[Case]:
    """The cases whose name matches, each behind the one that its weights come from.

    Examples are those of `checkout`, so that both sides read the same recipe.
    """
    names = [name for name in (*EXAMPLES, *MADE) if slow or name not in SLOW]
    chosen: dict[str, Case] = {}
    for name in fnmatch.filter(names, pattern):
        case = _case(checkout, name)
        if case.weights_of is not None:
            chosen.setdefault(case.weights_of, _case(checkout, case.weights_of))
        chosen.setdefault(name, case)
    return list(chosen.values())


def _case(checkout: Path, name: str) -> Case:
    if name in MADE:
        return Case(name, MADE[name].lstrip(), name in THOROUGH)
    text = (checkout / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
    return Case(name, text, asked=ASKED.get(name, ()))


def prepare(work: Path) -> None:
    """Make the data below `work` anew, in a process of its own: what a checkpoint needs fills a gigabyte.

    Raises `SystemExit` where the folder holds something else: it would be in the way, or lost.
    """
    mark = work / ".two-commits"
    if work.is_dir() and any(work.iterdir()) and not mark.exists():
        raise SystemExit(f"{work} is neither empty nor of an earlier call: choose another folder")
    shutil.rmtree(work / DATA, ignore_errors=True)
    (work / DATA).mkdir(parents=True)
    mark.touch()
    command = [sys.executable, "-m", "benchmarks.made_data", str(work / DATA)]
    subprocess.run(command, cwd=Path(__file__).parent.parent, check=True)

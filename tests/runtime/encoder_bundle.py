"""Makes small but real bundles of encoders, one for each task: tables of tokens, answered by numpy as well."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgewright.runtime.bundle.manifest import Golden, GoldenSample, Manifest, Tolerance, Variant
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, Tensors, TensorSpec
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.text.raw import Question, TextPair, Words
from edgewright.runtime.text.settings import EncoderTextSettings, QuestionSettings, ZeroShotSettings
from tests.answering import run_all
from tests.runtime.small_bundle import golden_file, write_manifest

__all__ = [
    "CASES",
    "Case",
    "Table",
    "case",
    "make_encoder_bundle",
    "tokenizer_json",
    "word_id",
]

WORDS = (
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film", "the", "a", "very", "was", "not", "boring", "Ada",
    "Lovelace", "lives", "in", "Berlin", ".", ",", "who", "where", "does", "she", "live", "this", "text", "is", "about",
    "music", "sport", "Paris", "and",
)  # fmt: skip

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def word_id(word: str) -> int:
    """The token of a word."""
    return WORDS.index(word)


def tokenizer_json() -> bytes:
    """A tokenizer of whole words with the marks of BERT, as tokenizer.json."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", word_id("[CLS]")), ("[SEP]", word_id("[SEP]"))],
    )
    return str(tokenizer.to_str()).encode()


@dataclasses.dataclass(frozen=True)
class Table:
    """A graph with a vector for every token: as it is for each one ("tokens"), split into two numbers ("span"), or the
    mean of a text's tokens, where a second text counts twice ("mean"), perhaps with length 1 ("unit").
    """

    kind: str
    width: int
    seed: int = 0

    @property
    def table(self) -> NDArray[np.float32]:
        """The vectors, float32 [words, width]."""
        random = np.random.default_rng(self.seed)
        return random.normal(size=(len(WORDS), self.width)).astype(np.float32)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the graph takes."""
        return tuple(TensorSpec(name, "int64", ("batch", "time")) for name in INPUTS)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What the graph gives."""
        if self.kind == "tokens":
            return (TensorSpec("logits", "float32", ("batch", "time", self.width)),)
        if self.kind == "span":
            shape = ("batch", "time")
            return tuple(TensorSpec(name, "float32", shape) for name in ("start_logits", "end_logits"))
        name = "sentence_embedding" if self.kind == "unit" else "logits"
        return (TensorSpec(name, "float32", ("batch", self.width)),)

    def run(self, feeds: Tensors) -> Tensors:
        """What the graph must answer, computed by numpy."""
        vectors = self.table[feeds["input_ids"]].astype(np.float64)
        if self.kind == "tokens":
            return {"logits": vectors.astype(np.float32)}
        if self.kind == "span":
            return {
                "start_logits": vectors[..., 0].astype(np.float32),
                "end_logits": vectors[..., 1].astype(np.float32),
            }
        weights = feeds["attention_mask"] * (1.0 + feeds["token_type_ids"])
        mean = (vectors * weights[..., np.newaxis]).sum(1) / weights.sum(1, keepdims=True)
        if self.kind == "unit":
            mean = mean / np.sqrt((mean * mean).sum(1, keepdims=True))
        return {self.outputs[0].name: mean.astype(np.float32)}

    def write(self, path: Path) -> None:
        """Write the graph."""
        nodes = [helper.make_node("Gather", ["table", "input_ids"], ["vectors"])]
        constants = {"table": self.table}
        if self.kind == "tokens":
            nodes.append(helper.make_node("Identity", ["vectors"], ["logits"]))
        elif self.kind == "span":
            constants |= {"zero": np.array(0), "one": np.array(1)}
            nodes.append(helper.make_node("Gather", ["vectors", "zero"], ["start_logits"], axis=2))
            nodes.append(helper.make_node("Gather", ["vectors", "one"], ["end_logits"], axis=2))
        else:
            name = self.outputs[0].name
            constants |= {"one": np.array(1), "axis": np.array([1]), "last": np.array([2])}
            nodes += [
                helper.make_node("Add", ["token_type_ids", "one"], ["types"]),
                helper.make_node("Mul", ["types", "attention_mask"], ["whole"]),
                helper.make_node("Cast", ["whole"], ["weights"], to=TensorProto.FLOAT),
                helper.make_node("Unsqueeze", ["weights", "last"], ["column"]),
                helper.make_node("Mul", ["vectors", "column"], ["weighted"]),
                helper.make_node("ReduceSum", ["weighted", "axis"], ["sum"], keepdims=0),
                helper.make_node("ReduceSum", ["weights", "axis"], ["total"], keepdims=1),
                helper.make_node("Div", ["sum", "total"], ["mean" if self.kind == "unit" else name]),
            ]
            if self.kind == "unit":
                nodes.append(helper.make_node("LpNormalization", ["mean"], [name], axis=1, p=2))
        used = {name for node in nodes for name in node.input}
        kept = ["input_ids"]
        for name in INPUTS[1:]:  # a graph keeps inputs that it does not read only where something takes them
            if name not in used:
                nodes.append(helper.make_node("Identity", [name], [f"unused_{name}"]))
            kept.append(name)
        types = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
        graph = helper.make_graph(
            nodes,
            "table",
            [helper.make_tensor_value_info(one.name, types[one.dtype], one.shape) for one in self.inputs],
            [helper.make_tensor_value_info(one.name, types[one.dtype], one.shape) for one in self.outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)


@dataclasses.dataclass(frozen=True)
class Case:
    """One task: its settings, its graph, and some raw inputs."""

    task: str
    settings: EncoderTextSettings
    net: Table
    labels: tuple[str, ...]
    raws: tuple[Any, ...]

    def device_task(self, **changes: Any) -> Any:
        """The device half of the task; `changes` are other settings."""
        settings = to_plain(dataclasses.replace(self.settings, **changes))
        task: Task[Any] = load_task(self.task, settings, self.labels, {"tokenizer": tokenizer_json()})
        return task


_SETTINGS = EncoderTextSettings(max_tokens=12, inputs=INPUTS, vocabulary=len(WORDS))
_STRIDE = dataclasses.replace(_SETTINGS, policy="stride", stride=2)
_TEXTS = (
    "the film was very good",
    "bad",
    "a boring film , not good . the film was not very good and she was in Paris not in Berlin .",
)
_LIVES = "Ada Lovelace lives in Berlin . she was in Paris"

CASES = {
    "one label": Case("text-classification", _SETTINGS, Table("mean", 3), ("calm", "glad", "sad"), _TEXTS),
    "several labels": Case(
        "text-classification",
        dataclasses.replace(_STRIDE, multi_label=True),
        Table("mean", 3),
        ("calm", "glad", "sad"),
        _TEXTS,
    ),
    "pair": Case(
        "text-classification",
        dataclasses.replace(_SETTINGS, pair=True, columns=("premise", "hypothesis")),
        Table("mean", 2),
        ("yes", "no"),
        (TextPair("the film was good", "good film"), {"premise": "bad", "hypothesis": _TEXTS[2]}),
    ),
    "entities": Case(
        "token-classification",
        _STRIDE,
        Table("tokens", 5),
        ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
        (_LIVES, Words(("Ada", "lives", "in", "Berlin", ".")), _TEXTS[2]),
    ),
    "answers": Case(
        "question-answering",
        dataclasses.replace(_STRIDE, question=QuestionSettings(no_answer=True, max_answer_tokens=4)),
        Table("span", 2),
        (),
        (Question("where does she live", _LIVES), Question("who", _TEXTS[2])),
    ),
    "vectors": Case(
        "sentence-embedding", dataclasses.replace(_STRIDE, normalise=True), Table("unit", 6), (), _TEXTS
    ),
    "nli": Case(
        "zero-shot-classification",
        dataclasses.replace(
            _STRIDE,
            max_tokens=16,
            zero_shot=ZeroShotSettings("nli", "this text is about {} .", entailment=2, contradiction=0),
        ),
        Table("mean", 3),
        ("music", "sport", "Paris"),
        _TEXTS,
    ),
    "nearest label": Case(
        "zero-shot-classification",
        dataclasses.replace(
            _STRIDE, normalise=True, zero_shot=ZeroShotSettings("embedding", "text about {}")
        ),
        Table("unit", 6),
        ("music", "sport", "Paris"),
        _TEXTS,
    ),
}  # fmt: skip


def case(name: str) -> Case:
    """The small example called `name`."""
    return CASES[name]


def make_encoder_bundle(
    root: Path, example: Case, change: Callable[[Manifest], Manifest] = lambda manifest: manifest
) -> Path:
    """Write a bundle of `example` with the variant fp32; `change` may alter the manifest before that."""
    example.net.write(root / "onnx" / "model.onnx")
    task: Task[Any] = example.device_task()
    (root / "golden").mkdir()
    samples = []
    for index, raw in enumerate(example.raws):
        content, suffix = task.raw_file(raw)
        (root / "golden" / f"{index}{suffix}").write_bytes(content)
        samples.append(GoldenSample(f"sample {index}", f"golden/{index}{suffix}"))
    encoded: Sequence[Tensors] = [task.encode(raw) for raw in example.raws]
    outputs = run_all(task, encoded, example.net.run)
    (root / "golden.safetensors").write_bytes(golden_file(outputs))
    decisions = tuple(task.decision(answer) for answer in map(task.decode, outputs, encoded))
    assets = {}
    for role, (name, content) in task.assets.items():
        (root / name).write_bytes(content)
        assets[role] = name
    manifest = Manifest(
        task=example.task,
        model="table",
        processor=task.processor,
        graphs={"model": GraphSpec(example.net.inputs, example.net.outputs)},
        labels=example.labels,
        variants=(Variant("fp32", {"model": "onnx/model.onnx"}, Tolerance(1e-4)),),
        default_variant="fp32",
        files=(),
        golden=Golden(tuple(samples), "golden.safetensors", decisions),
        verdict={},
        versions={},
        licence="Apache-2.0",
        seed=0,
        assets=assets,
    )
    return write_manifest(root, change(manifest))

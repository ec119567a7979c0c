"""What sentence-transformers and transformers make of the files of a bundle."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgewright.exporters.bundle.hub import hub_files
from edgewright.exporters.bundle.origin import Origin
from edgewright.runtime.contracts import GraphSpec, TensorSpec
from edgewright.runtime.tasks.description import ModelFacts
from tests.runtime.encoder_bundle import case, tokenizer_json

FACTS = {"model": GraphSpec((), (TensorSpec("sentence_embedding", "float32", ("batch", 6)),))}


def write_files(folder: Path, name: str, pooling: str | None = "mean", **config: Any) -> Path:
    """The files of a small example, as they lie in a bundle."""
    said = case(name).device_task().describe(ModelFacts(FACTS, config or None, pooling))
    for file, content in hub_files(said, "small", config or None, Origin("bert", "Bert")).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(json.dumps(content), encoding="utf-8")
    (folder / "tokenizer.json").write_bytes(tokenizer_json())
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_sentence_transformers_pools_as_the_graph_does(pooling: str, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = write_files(tmp_path, "vectors", pooling)
    modules = json.loads((folder / "modules.json").read_text())
    assert [module["type"].rpartition(".")[2] for module in modules] == [
        "Transformer",
        "Pooling",
        "Normalize",
    ]
    assert [(module["idx"], module["path"]) for module in modules[:2]] == [(0, ""), (1, "1_Pooling")]
    pool = Pooling.load(str(folder / "1_Pooling"))
    states = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    given = {"token_embeddings": torch.from_numpy(states), "attention_mask": torch.from_numpy(mask)}
    found = pool(given)["sentence_embedding"].numpy()
    rows = [states[0], states[1, :2]]
    wanted = {
        "mean": [row.mean(0) for row in rows],
        "cls": [row[0] for row in rows],
        "max": [row.max(0) for row in rows],
    }
    np.testing.assert_allclose(found, np.stack(wanted[pooling]), rtol=1e-5, atol=1e-6)
    length = json.loads((folder / "sentence_bert_config.json").read_text())
    assert length == {"max_seq_length": 12, "do_lower_case": False}


def test_labels_by_embeddings_come_with_the_same_files(tmp_path: Path) -> None:
    assert (write_files(tmp_path / "near", "nearest label") / "modules.json").exists()
    for name, pooling in (("vectors", None), ("one label", "mean"), ("nli", "mean")):
        assert not (write_files(tmp_path / name, name, pooling) / "modules.json").exists()


@pytest.mark.parametrize("kind", ["bert", "electra", "mobilebert", "roformer", "convbert", "squeezebert"])
def test_a_class_that_tells_two_texts_apart_reads_as_the_device_does(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = write_files(tmp_path, "pair", model_type=kind)
    said = json.loads((folder / "tokenizer_config.json").read_text())
    assert said["tokenizer_class"] != "PreTrainedTokenizerFast"
    found = AutoTokenizer.from_pretrained(folder)("the film was good", "good film")
    task = case("pair").device_task()
    wanted = task.encode({"premise": "the film was good", "hypothesis": "good film"})
    assert {name: found[name] for name in task.settings.inputs} == {
        name: wanted[name].tolist() for name in task.settings.inputs
    }


def test_others_have_the_general_class(tmp_path: Path) -> None:
    for kind, inputs in (
        ("roberta", ("input_ids", "attention_mask")),
        ("nothing", case("pair").settings.inputs),
    ):
        example = dataclasses.replace(
            case("pair"), settings=dataclasses.replace(case("pair").settings, inputs=inputs)
        )
        said = example.device_task().describe(ModelFacts())
        files = hub_files(said, "small", {"model_type": kind})
        assert files["tokenizer_config.json"]["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_what_is_not_known_is_not_said() -> None:
    said = case("vectors").device_task().describe(ModelFacts())
    assert hub_files(said, "timm:small")["config.json"] == {"model_type": "small"}
    assert hub_files(said, "small", {"architectures": [1], "model_type": "x"})["config.json"][
        "architectures"
    ] == [1]

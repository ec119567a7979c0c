"""Encoders of every architecture: what they answer, their blocks, their record, their weights from elsewhere."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.small_encoders import save_small_checkpoint
from edgewright.exporters.graph.transformers import encoder_batch
from edgewright.pipeline.families import feature_module, head_module, rebuild_model
from edgewright.pipeline.models.layers import layer_rows, resolve_unfreeze
from edgewright.pipeline.models.model import BuiltModel, training_outputs
from edgewright.pipeline.models.text_encoders.architectures import ARCHITECTURES
from edgewright.pipeline.models.text_encoders.build import nominal_encoder
from edgewright.pipeline.models.text_encoders.network import ANSWERS, published_class
from edgewright.runtime.errors import EdgewrightError, ModelError, RecipeError
from edgewright.runtime.text.settings import QuestionSettings, ZeroShotSettings
from tests.answering import run_all
from tests.messages import refused
from tests.pipeline.models.text_encoders.checkpoints import (
    LABELS,
    MINILM,
    TASKS,
    TEXTS,
    built,
    checkpoint,
    settings,
)

EACH = [
    (name, answer) for name in ARCHITECTURES for answer in TASKS if (name, answer) != ("nomic_bert", "span")
]


def answers(model: BuiltModel, *inputs: Tensor) -> tuple[Tensor, ...]:
    with torch.no_grad():
        found = model.module(*inputs)
    return (found,) if isinstance(found, Tensor) else tuple(found)


def error_of(kind: type[EdgewrightError], *arguments: Any, **more: Any) -> str:
    with pytest.raises(kind) as caught:
        built(*arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("name", "answer"), EACH)
def test_a_checkpoint_is_answered_as_transformers_does(name: str, answer: str | None) -> None:
    folder, labels = checkpoint(name, answer), LABELS[answer]
    model = built(folder, TASKS[answer], len(labels), head="keep" if answer else "new")
    again = rebuild_model(json.loads(json.dumps(model.build)), model.licence)
    again.module.load_state_dict(model.module.state_dict())
    given = model.example() if model.example is not None else ()
    found = answers(model, *given)
    assert model.output_names == ANSWERS[answer or "embedding"] and len(found) == len(model.output_names)
    for one, other in zip(found, answers(again, *given), strict=True):
        assert torch.equal(one, other)
    assert (again.blocks, again.head, again.build) == (model.blocks, model.head, model.build)
    for parameter, _ in model.module.named_parameters():
        assert sum(block.owns(parameter) for block in model.blocks) == 1, parameter
    names = [block.name for block in model.blocks]
    assert names[0] == "embeddings" and ("head" in names) == (answer is not None)
    assert [one for one in names if one.startswith("layer")] == ["layer.0", "layer.1"][
        : 1 if name == "albert" else 2
    ]
    if answer is not None:
        theirs: Any = published_class(answer).from_pretrained(folder)
        with torch.no_grad():
            wanted = theirs.eval()(**dict(zip(model.input_names, given, strict=True)))
        for one, key in zip(found, model.output_names, strict=True):
            assert torch.equal(one, wanted[key])


@pytest.mark.parametrize("name", ["bert", "roberta", "deberta-v2", "modernbert"])
def test_a_padded_text_is_answered_as_alone(name: str) -> None:
    model = built(checkpoint(name), "sentence-embedding")
    given = encoder_batch(model.example() if model.example else (), model.input_names, 4, 30)
    length = int(given[1][3].sum())
    alone = answers(model, *(tensor[3:4, :length] for tensor in given))[0]
    assert length < 30 and torch.allclose(answers(model, *given)[0][3], alone[0], atol=1e-5)


def test_what_is_exported_of_an_embedding_also_gives_what_it_is_pooled_from() -> None:
    model = built(checkpoint("bert"), "sentence-embedding")
    part = model.part("model")
    assert part.exported is not None and part.extra == ("last_hidden_state",)
    given = model.example() if model.example else ()
    with torch.no_grad():
        next(model.module.parameters()).mul_(1.5)  # its weights are those of the model, also after a training
        states, vectors = part.exported(*given)
    assert torch.equal(vectors, answers(model, *given)[0]) and states.shape[:2] == given[0].shape
    mask = given[1].unsqueeze(2).float()
    assert torch.allclose((states * mask).sum(1) / mask.sum(1), vectors, atol=1e-6)
    assert part.exported.state_dict().keys() == model.module.state_dict().keys()
    assert built(checkpoint("bert", "text"), "text-classification", 3, head="keep").part("model").extra == ()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_pooling_and_length(pooling: str) -> None:
    model = built(checkpoint("bert"), "sentence-embedding", pooling=pooling)
    given = model.example() if model.example else ()
    encoder: Any = model.module.get_submodule("encoder")
    with torch.no_grad():
        tokens = encoder(**dict(zip(model.input_names, given, strict=True)))[0].numpy()
    rows = [text[: int(count)] for text, count in zip(tokens, given[1].sum(dim=1), strict=True)]
    how: Any = {"mean": lambda row: row.mean(0), "cls": lambda row: row[0], "max": lambda row: row.max(0)}[
        pooling
    ]
    wanted = np.stack([how(row) for row in rows])
    assert np.abs(answers(model, *given)[0].numpy() - wanted).max() < 1e-5
    unit = built(
        checkpoint("bert"),
        "sentence-embedding",
        pooling=pooling,
        settings=settings(checkpoint("bert"), normalise=True),
    )
    wanted /= np.sqrt((wanted**2).sum(1, keepdims=True))
    assert np.abs(answers(unit, *given)[0].numpy() - wanted).max() < 1e-6


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "question-answering"])
def test_features_and_a_new_head_are_the_model(task: str) -> None:
    asks = QuestionSettings() if task == "question-answering" else None
    folder = checkpoint("distilbert")
    model = built(folder, task, 0 if asks else 4, settings=settings(folder, question=asks))
    given = model.example() if model.example else ()
    features, head = feature_module(model), head_module(model)
    with torch.no_grad():
        found = features(*given)
        assert found.shape[-1:] == model.feature_shape and found.ndim == (2 if task[:4] == "text" else 3)
        one, two = head(found), model.module(*given)
    for ours, theirs in zip(one if asks else (one,), two if asks else (two,), strict=True):
        assert torch.equal(ours, theirs)
    assert {name for name, _ in features.named_parameters()} == {
        name for name, _ in model.module.named_parameters() if not name.startswith("head.")
    }
    stacked, auxiliary = training_outputs(model.module, *given)
    assert stacked.shape[0] == 3 and stacked.shape[-1] == (2 if asks else 4) and auxiliary == {}
    assert model.module.get_submodule("head") is dict(head.named_modules())["head"]


def test_what_has_no_head_cannot_be_cut() -> None:
    with refused(ModelError):
        head_module(built(checkpoint("bert"), "sentence-embedding"))
    kept = built(checkpoint("bert", "text"), "text-classification", 3, head="keep")
    with refused(ModelError):
        feature_module(kept)


def test_the_real_minilm_is_what_sentence_transformers_makes_of_it() -> None:
    from sentence_transformers import SentenceTransformer

    from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint
    from edgewright.runtime.bundle.structure import to_plain
    from edgewright.runtime.tasks import load_task

    found = open_checkpoint(MINILM)
    how = settings(MINILM, normalise=found.normalise)
    model = built(MINILM, "sentence-embedding", settings=how, assets={"tokenizer": found.tokenizer()})
    assert model.licence == "apache-2.0" and model.feature_shape == (384,) and model.head == ""
    assert model.limits == {"batch": 1024, "time": 512} and model.route == "transformers"
    device: Any = load_task("sentence-embedding", to_plain(how), (), model.assets)

    def run(feeds: Any) -> Any:
        with torch.no_grad():
            given = [torch.from_numpy(feeds[name]) for name in model.input_names]
            return {"sentence_embedding": model.module(*given).numpy()}

    ours = run_all(device, device.encode_all(TEXTS), run)
    theirs: Any = SentenceTransformer(str(found.folder), device="cpu").encode(list(TEXTS))
    assert np.abs(np.stack([one["sentence_embedding"] for one in ours]) - theirs).max() < 1e-5


def test_random_weights_and_heads_are_those_of_the_seed() -> None:
    folder = checkpoint("electra")
    before = torch.random.get_rng_state()
    one, same, other = (
        built(folder, "text-classification", 3, seed=seed, weights=weights)
        for seed, weights in ((1, "pretrained"), (1, "pretrained"), (2, "pretrained"))
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    heads = [model.module.get_parameter("head.weight") for model in (one, same, other)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])
    fresh = [built(folder, "text-classification", 3, seed=seed, weights="none") for seed in (1, 1, 2)]
    first = [next(iter(model.module.parameters())) for model in (*fresh, one)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[3]) and fresh[0].licence.startswith("none")


def test_blocks_are_unfrozen_from_the_end() -> None:
    model = built(checkpoint("modernbert"), "text-classification", 3)
    head = {"head.weight", "head.bias"}
    assert resolve_unfreeze(model, 1) == head
    two = resolve_unfreeze(model, 2)
    assert two > head and all(
        name.startswith(("encoder.layers.1.", "encoder.final_norm")) for name in two - head
    )
    assert resolve_unfreeze(model, ["layer.0"]) > head
    assert resolve_unfreeze(model, 4) == {name for name, _ in model.module.named_parameters()}
    rows = layer_rows(model.module, two)
    assert {row.state for row in rows if row.name.startswith("encoder.layers.0")} == {"frozen"}
    bare = built(checkpoint("modernbert"), "sentence-embedding")
    assert resolve_unfreeze(bare, 0) == frozenset() and resolve_unfreeze(bare, 1) == two - head
    assert resolve_unfreeze(bare, "layer.1") == two - head
    assert len(nominal_encoder(str(checkpoint("bert"))).blocks) == 4
    shared = built(checkpoint("mpnet"), "sentence-embedding")  # its distances are read by every layer
    assert all(name.startswith("encoder.encoder.layer.1.") for name in resolve_unfreeze(shared, 1))


def run_of(model: BuiltModel, path: Path) -> Path:
    """The weights file that a run leaves."""
    tensors = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    save_file(tensors, path, {"edgewright": json.dumps({"build": model.build})})
    return path


@pytest.mark.parametrize("answer", ["text", "tokens", "span"])
def test_a_checkpoint_whose_answers_have_no_names(tmp_path: Path, answer: str) -> None:
    folder = save_small_checkpoint(tmp_path / "odd", "bert", TEXTS, answer, LABELS[answer], return_dict=False)
    assert json.loads((folder / "config.json").read_text())["return_dict"] is False
    model = built(folder, TASKS[answer], len(LABELS[answer]), head="keep")
    again = rebuild_model(json.loads(json.dumps(model.build)))
    again.module.load_state_dict(model.module.state_dict())
    assert model.example is not None
    inputs = model.example()
    for one, two in zip(answers(model, *inputs), answers(again, *inputs), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("published", [False, True])
def test_an_encoder_goes_on_from_a_run_of_another_task(tmp_path: Path, published: bool) -> None:
    folder = checkpoint("roberta", "text")
    first = built(folder, "text-classification", 3, head="keep" if published else "new")
    with torch.no_grad():
        for parameter in first.module.parameters():
            parameter.mul_(1.01)
    path = run_of(first, tmp_path / "weights.safetensors")
    other = built(folder, "sentence-embedding", weights=path)
    trunk = "network.roberta" if published else "encoder"
    ours, theirs = other.module.get_submodule("encoder"), first.module.get_submodule(trunk)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name
    kept = built(folder, "text-classification", 3, weights=path, head="keep")
    given = first.example() if first.example else ()
    assert torch.equal(answers(kept, *given)[0], answers(first, *given)[0])
    assert kept.build["published"] == published
    assert kept.licence == "that of the weights file the training started from"
    text = error_of(ModelError, folder, "text-classification", 2, weights=path, head="keep")
    assert "3" in text and "set transfer.head to new" in text
    text = error_of(ModelError, folder, "token-classification", 3, weights=path, head="keep")
    assert "text-classification" in text and "set transfer.head to new" in text
    text = error_of(ModelError, checkpoint("bert"), "sentence-embedding", weights=path)
    assert "is a roberta" in text and "a bert" in text


def test_weights_of_anything_else_are_refused(tmp_path: Path) -> None:
    folder = checkpoint("bert")
    plain = tmp_path / "plain.safetensors"
    save_file({"a": torch.zeros(1)}, plain)
    assert "was not left by a run" in error_of(ModelError, folder, "sentence-embedding", weights=plain)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign, {"edgewright": '{"build": {"library": "timm", "name": "vit"}}'})
    assert "is a vit of timm" in error_of(ModelError, folder, "sentence-embedding", weights=foreign)
    assert "there is no file" in error_of(
        ModelError, folder, "sentence-embedding", weights=tmp_path / "no.safetensors"
    )


def test_a_model_of_inference_keeps_its_head() -> None:
    way = ZeroShotSettings("nli", "this is {}", entailment=2, contradiction=0)
    folder = checkpoint("bert", "text")
    model = built(folder, "zero-shot-classification", 7, settings=settings(folder, zero_shot=way))
    given = model.example() if model.example else ()
    assert answers(model, *given)[0].shape == (3, 3) and model.output_names == ("logits",)
    by = ZeroShotSettings("embedding")
    near = built(folder, "zero-shot-classification", 7, settings=settings(folder, zero_shot=by))
    assert near.output_names == ("sentence_embedding",) and near.head == ""


def test_arguments_that_do_not_fit_are_told() -> None:
    bare, headed = checkpoint("bert"), checkpoint("bert", "tokens")
    assert "has no trained head" in error_of(ModelError, bare, "text-classification", 3, head="keep")
    assert "for token-classification" in error_of(ModelError, headed, "text-classification", 5, head="keep")
    assert "5 classes and the data has 3" in error_of(
        ModelError, headed, "token-classification", 3, head="keep"
    )
    assert "at least 2 classes" in error_of(RecipeError, bare, "text-classification", 1)
    assert "no head to keep" in error_of(
        RecipeError, headed, "token-classification", 5, head="keep", weights="none"
    )
    assert "neither new nor keep" in error_of(RecipeError, bare, "text-classification", 3, head="old")
    assert "does not do forecasting" in error_of(RecipeError, bare, "forecasting", 3)
    assert "text.pooling" in error_of(RecipeError, bare, "sentence-embedding", pooling="sum")


def test_a_record_that_is_none_is_told() -> None:
    record = dict(built(checkpoint("bert"), "sentence-embedding").build)
    for change in (
        {"config": {**record["config"], "model_type": "no such thing"}},
        {"settings": {**record["settings"], "max_tokens": 0}},
        {"answer": "song"},
        {"seed": "x"},
    ):
        with refused(ModelError) as caught:
            rebuild_model({**record, **change})
        assert "\n" not in str(caught.value)


def test_the_record_does_not_say_where_the_checkpoint_lay() -> None:
    model = built(checkpoint("bert"), "sentence-embedding")
    assert model.name == "bert-None" and str(checkpoint("bert").parent) not in json.dumps(model.build)

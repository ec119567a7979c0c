"""Checkpoints: what they say of themselves, where they are found, and what is said of those that cannot be used."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from benchmarks.small_encoders import save_small_checkpoint
from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint
from edgewright.pipeline.models.text_encoders.pooling_config import read_habits
from edgewright.runtime.errors import ModelError
from tests.messages import refused
from tests.pipeline.models.saved import command_in, in_shell
from tests.pipeline.models.text_encoders.checkpoints import LABELS, MINILM, TASKS, TEXTS, built, checkpoint


def error_of(name: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        open_checkpoint(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a small BERT that a test may spoil."""
    return Path(shutil.copytree(checkpoint("bert"), tmp_path / "bert"))


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def test_the_real_minilm_says_what_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    found = open_checkpoint(MINILM)
    assert (found.architecture, found.task, found.labels) == ("bert", None, ())
    assert (found.max_tokens, found.vocabulary, found.pad_id) == (512, 30522, 0)
    assert found.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert (found.pooling, found.normalise, found.preferred_tokens) == ("mean", True, 256)
    assert found.licence == "apache-2.0" and found.entailment is None
    tokenizer = Tokenizer.from_str(found.tokenizer().decode())
    tokenizer.no_padding()  # the file asks for it, and a device does not heed that
    assert tokenizer.encode("hello world").ids == [101, 7592, 2088, 102]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("answer", list(TASKS))
def test_the_task_of_a_head_and_its_labels(answer: str | None) -> None:
    found = open_checkpoint(str(checkpoint("electra", answer)))
    assert found.task == (TASKS[answer] if answer else None) and found.labels == LABELS[answer]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("bert", 64), ("roberta", 64), ("mpnet", 64), ("xlm-roberta", 64), ("modernbert", 64)],
)
def test_as_many_tokens_as_there_are_positions(name: str, tokens: int) -> None:
    found = open_checkpoint(str(checkpoint(name)))
    assert found.max_tokens == tokens
    model = built(checkpoint(name), "sentence-embedding")
    given = [torch.full((1, tokens), 5), torch.ones((1, tokens), dtype=torch.int64)]
    given += [torch.zeros((1, tokens), dtype=torch.int64)] * (len(model.input_names) - 2)
    assert model.module(*given).shape == (1, 64)
    if name in ("bert", "roberta", "mpnet", "xlm-roberta"):
        with pytest.raises((IndexError, RuntimeError)):
            model.module(*(torch.cat([one, one[:, :1]], dim=1) for one in given))


def test_labels_without_names_and_several_labels(folder: Path) -> None:
    save_small_checkpoint(
        folder, "bert", TEXTS, "text", num_labels=4, problem_type="multi_label_classification"
    )
    found = open_checkpoint(str(folder))
    assert found.labels == () and found.multi_label and found.task == "text-classification"


@pytest.mark.parametrize(
    ("labels", "places"),
    [
        (("contradiction", "neutral", "entailment"), (2, 0)),
        (("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), (0, 2)),
        (("entailment", "not_entailment"), (0, 1)),
        (("sad", "glad"), (None, None)),
    ],
)
def test_places_of_inference(
    tmp_path: Path, labels: tuple[str, ...], places: tuple[int | None, int | None]
) -> None:
    save_small_checkpoint(tmp_path / "nli", "bert", TEXTS, "text", labels)
    found = open_checkpoint(str(tmp_path / "nli"))
    assert (found.entailment, found.contradiction) == places


def test_habits_of_sentence_transformers(folder: Path) -> None:
    assert read_habits(folder).pooling is None and read_habits(folder).normalise is None
    kinds = ["Transformer", "Pooling", "Dense"]
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": f"{place}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    found = read_habits(folder)
    assert (found.pooling, found.normalise, found.foreign) == ("cls", False, "Dense")
    with refused(ModelError):
        built(folder, "sentence-embedding")
    assert built(folder, "text-classification", 2).build["pooling"] == "cls"
    (folder / "modules.json").write_text(json.dumps(modules[:2]))
    pooling.write_text(json.dumps({"pooling_mode_weightedmean_tokens": True}))
    with refused(ModelError):
        built(folder, "sentence-embedding")
    assert built(folder, "sentence-embedding", pooling="max").build["pooling"] == "max"
    (folder / "modules.json").write_text("{")
    assert "modules.json cannot be read" in error_of(folder)


def test_the_digest_is_that_of_configuration_weights_and_habits(folder: Path) -> None:
    before = open_checkpoint(str(folder)).digest
    assert open_checkpoint(str(checkpoint("bert"))).digest == before
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    found = open_checkpoint(str(folder))
    assert found.digest == before and found.licence == "mit"
    state = load_file(folder / "model.safetensors")
    next(iter(state.values())).add_(1.0)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    assert open_checkpoint(str(folder)).digest != before


def test_a_folder_without_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "kept")
    assert "has no model.safetensors" in error_of(folder)
    state = load_file(folder / "kept")
    torch.save(state, folder / "pytorch_model.bin")
    text = error_of(folder)
    assert "a pickle (pytorch_model.bin)" in text and text.endswith("and leave the recipe as it is")
    assert in_shell(command_in(text), folder).returncode == 0
    built(folder, "sentence-embedding")
    assert all(torch.equal(one, state[name]) for name, one in load_file(folder / "model.safetensors").items())


def test_pickles_in_shards_are_converted_whole(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "training_args.bin")
    (folder / "ggml.bin").touch()
    assert "has no model.safetensors" in error_of(folder), (
        "neither what a trainer leaves, nor what is no pickle"
    )
    torch.save({}, folder / "$(touch gone).bin")
    assert f"edgewright convert '{folder}/$(touch gone).bin' --out" in error_of(folder)
    names = sorted(state)
    for number, members in enumerate((names[::2], names[1::2]), 1):
        part = {name: state[name] for name in members}
        torch.save(part, folder / f"pytorch_model-0000{number}-of-00002.bin")
    (folder / "pytorch_model.bin.index.json").write_text("{}")
    assert in_shell(command_in(error_of(folder)), folder).returncode == 0
    built(folder, "sentence-embedding")
    assert load_file(folder / "model.safetensors").keys() == state.keys()


def test_weights_in_shards(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    wanted = built(folder, "sentence-embedding")
    names = sorted(state)
    shards = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for shard, members in shards.items():
        save_file({name: state[name] for name in members}, folder / shard, {"format": "pt"})
    places = {name: shard for shard, members in shards.items() for name in members}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "model.safetensors").unlink()
    found = built(folder, "sentence-embedding")
    given = wanted.example() if wanted.example else ()
    assert torch.equal(found.module(*given), wanted.module(*given))
    (folder / "model-2-of-2.safetensors").unlink()
    assert "lacks model-2-of-2.safetensors" in error_of(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    assert "cannot be read" in error_of(folder)


def test_weights_that_lack_a_part_or_are_broken(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with refused(ModelError):
        built(folder, "sentence-embedding")
    (folder / "model.safetensors").write_bytes(b"nothing")
    with refused(ModelError) as caught:
        built(folder, "sentence-embedding")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"num_hidden_layers": 1},
            r"hold encoder\.layer\.1\..*, a layer that its config.json does not count",
        ),
        ({"max_position_embeddings": 999}, r"do not fit .*position_embeddings.* and is to be 999 x"),
        ({"vocab_size": 10**6}, r"do not fit .*word_embeddings.* and is to be 1000000 x"),
    ],
)
@pytest.mark.parametrize("task", ["sentence-embedding", "text-classification"])
def test_a_configuration_of_other_weights(
    folder: Path, changes: dict[str, Any], reason: str, task: str
) -> None:
    edit(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=reason) as caught:
        built(folder, task, 2)
    assert "\n" not in str(caught.value)


def test_weights_in_half_precision_are_read_in_single(folder: Path) -> None:
    state = {name: one.half() for name, one in load_file(folder / "model.safetensors").items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    edit(folder / "config.json", dtype="float16")
    model = built(folder, "text-classification", 2)
    assert {one.dtype for one in model.module.parameters()} == {torch.float32}
    assert model.build["config"]["dtype"] == "float32"


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    state[name] = state[name][:50].clone()
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    edit(folder / "config.json", vocab_size=50)
    with refused(ModelError):
        open_checkpoint(str(folder)).tokenizer()


def test_a_folder_without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "has no tokenizer: put its tokenizer.json beside" in error_of(folder)
    (folder / "tokenizer.json").write_text("{}")
    assert "has no tokenizer that can be read" in error_of(folder)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "t5"}, "an encoder with a decoder"),
        ({"model_type": "gpt2"}, "no encoder of texts"),
        ({"model_type": "vit"}, "no encoder of texts"),
        ({"model_type": "bert", "is_decoder": True}, "no encoder of texts"),
        ({"model_type": "bert", "num_hidden_layers": 0}, "config.json of 0 layers"),
        ({"model_type": "nothing that is known"}, "cannot be loaded by transformers"),
        (
            {"model_type": "bert", "hidden_size": 30, "num_attention_heads": 4},
            "config.json that makes no model",
        ),
    ],
)
def test_what_is_no_encoder_is_refused(folder: Path, config: dict[str, Any], reason: str) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    assert reason in error_of(folder)


def test_folders_packages_and_files_that_are_none(folder: Path) -> None:
    assert "there is no folder" in error_of(folder.parent / "nothing")
    assert "is a file" in error_of(folder / "config.json")
    assert "holds no folder with config.json" in error_of("package:edgewright.runtime")
    assert "no Python package" in error_of("package:no_such_package_here")
    (folder / "config.json").unlink()
    assert "has no config.json" in error_of(folder)


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_arguments: Any, **_more: Any) -> str:
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    text = error_of("owner/name")
    assert "the hub cannot be reached (OSError)" in text and "for example model: ./" in text
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(checkpoint("bert")))
    assert open_checkpoint("owner/name").architecture == "bert"


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"architectures": [1]}),
        ("config.json", {"architectures": {"BertModel": 1}}),
        ("config.json", {"architectures": [["BertModel"]]}),
        ("config.json", {"max_position_embeddings": "512"}),
        ("config.json", {"type_vocab_size": [2]}),
        ("tokenizer_config.json", {"model_max_length": "x"}),
        ("tokenizer_config.json", {"model_max_length": [64]}),
        ("tokenizer_config.json", {"model_input_names": [["input_ids"], "attention_mask"]}),
        ("tokenizer_config.json", {"truncation_side": "middle"}),
    ],
)
def test_values_of_another_type(folder: Path, file: str, changes: dict[str, Any]) -> None:
    edit(folder / file, **changes)
    said = error_of(folder)
    assert next(iter(changes)) in said or "cannot be loaded" in said or "can be read" in said, said


def test_half_a_character_in_the_modules_changes_no_digest_into_a_traceback(folder: Path) -> None:
    modules = [{"type": "x.Transformer", "path": ""}, {"type": "x.\ud800", "path": "1"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    found = open_checkpoint(str(folder))
    assert found.habits.foreign == "\\ud800" and len(found.digest) == 64

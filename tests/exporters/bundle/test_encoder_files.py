"""What a bundle of an encoder tells people and other tools: its card, config.json, tokenizer_config.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgewright.exporters.bundle.card import model_card
from edgewright.exporters.bundle.hub import hub_files
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.tasks.description import Description, ModelFacts
from tests.runtime.encoder_bundle import CASES, case, make_encoder_bundle, tokenizer_json

TEXT = "the film was very good [SEP] Ada"


def manifest_of(name: str, folder: Path) -> Manifest:
    """The manifest of one of the small examples."""
    return open_bundle(make_encoder_bundle(folder / "bundle", case(name))).manifest


def description_of(name: str, manifest: Manifest, config: dict[str, Any] | None = None) -> Description:
    """What one of the small examples says of itself."""
    found: Description = case(name).device_task().describe(ModelFacts(manifest.graphs, config))
    return found


def card_of(name: str, folder: Path) -> str:
    """The card of one of the small examples."""
    manifest = manifest_of(name, folder)
    return model_card(manifest, description_of(name, manifest), None, {})


def files_of(name: str, folder: Path, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """What other tools read of one of the small examples."""
    manifest = manifest_of(name, folder)
    return dict(hub_files(description_of(name, manifest, config), manifest.model, config))


def bert_config() -> dict[str, Any]:
    """A config.json as a checkpoint has it."""
    from transformers import BertConfig

    config: dict[str, Any] = BertConfig(
        vocab_size=33,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        architectures=["BertForMaskedLM"],
    ).to_dict()
    return config | {"_name_or_path": "/home/someone/checkpoint"}


@pytest.mark.parametrize("name", CASES)
def test_a_card_says_what_the_model_answers_and_how_it_is_called(name: str, tmp_path: Path) -> None:
    card = card_of(name, tmp_path)
    tag = "sentence-similarity" if name == "vectors" else case(name).task
    assert f'pipeline_tag: "{tag}"' in card
    assert f"Reads up to {case(name).settings.max_tokens} tokens" in card
    (call,) = [line for line in card.splitlines() if line.startswith("answer = engine(")]
    compile(call, "card", "exec")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("one label", "one of 3 labels: calm, glad, sad. Reads up to 12 tokens; longer texts are cut"),
        (
            "several labels",
            "any of 3 labels: calm, glad, sad. Reads up to 12 tokens; longer texts are read in windows",
        ),
        ("pair", '{"premise": '),
        ("entities", "the spans of a text that are LOC, PER."),
        ("answers", "or says that there is no answer"),
        ("vectors", "a vector of 6 numbers of length 1"),
        ("nli", "by the NLI model; without any it uses music, sport, Paris"),
        ("nearest label", "by embeddings; without any it uses music, sport, Paris"),
    ],
)
def test_what_a_card_says_of_each_task(name: str, words: str, tmp_path: Path) -> None:
    assert words in card_of(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("one label", "BertForSequenceClassification"),
        ("entities", "BertForTokenClassification"),
        ("answers", "BertForQuestionAnswering"),
        ("vectors", "BertModel"),
        ("nli", "BertForSequenceClassification"),
        ("nearest label", "BertModel"),
    ],
)
def test_transformers_reads_the_config(name: str, architecture: str, tmp_path: Path) -> None:
    from transformers import AutoConfig

    example, folder = case(name), tmp_path / "files"
    folder.mkdir()
    for file, content in files_of(name, tmp_path, bert_config()).items():
        (folder / file).write_text(json.dumps(content), encoding="utf-8")
    assert "someone" not in (folder / "config.json").read_text(encoding="utf-8")
    config = AutoConfig.from_pretrained(folder)
    assert (config.model_type, config.hidden_size) == ("bert", 8)
    assert config.architectures == [architecture]
    if example.task in ("text-classification", "token-classification"):
        assert [config.id2label[index] for index in range(len(example.labels))] == list(example.labels)
    else:  # the labels of zero-shot are no places of the logits
        assert "music" not in config.id2label.values()


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (("contradiction", "neutral", "ENTAILMENT"), ["contradiction", "neutral", "ENTAILMENT"]),
        (("entailment", "neutral", "contradiction"), ["contradiction", "neutral", "entailment"]),
        (("entailment", "x", "not_entailment"), ["contradiction", "neutral", "entailment"]),
        (("LABEL_0", "LABEL_1"), ["contradiction", "neutral", "entailment"]),
        (("a", "b", "c", "d"), ["contradiction", "LABEL_1", "entailment", "LABEL_3"]),
    ],
)
def test_other_tools_find_entailment_where_the_head_has_it(
    own: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    config = bert_config() | {"id2label": {str(place): name for place, name in enumerate(own)}}
    told = files_of("nli", tmp_path, config)["config.json"]
    assert [told["id2label"][str(place)] for place in range(len(told["id2label"]))] == expected
    if tuple(expected) != own:
        assert told["label2id"] == {name: place for place, name in enumerate(expected)}


def test_transformers_reads_the_tokenizer_as_the_device_does(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    example = case("one label")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(tokenizer_json())
    for file, content in files_of("one label", tmp_path, bert_config()).items():
        (folder / file).write_text(json.dumps(content), encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = tokenizer(["the film was good", "bad"], padding=True, truncation=True)
    task = example.device_task()
    wanted = task.collate([task.encode("the film was good"), task.encode("bad")])
    assert set(found) == set(wanted)
    assert {key: found[key] for key in wanted} == {key: value.tolist() for key, value in wanted.items()}
    assert tokenizer.model_max_length == example.settings.max_tokens


def test_without_a_config_the_files_still_name_the_model(tmp_path: Path) -> None:
    files = files_of("vectors", tmp_path)
    assert files["config.json"] == {"model_type": "table"}
    assert files["special_tokens_map.json"] == {"pad_token": "[PAD]"}
    assert files["tokenizer_config.json"]["pad_token"] == "[PAD]"

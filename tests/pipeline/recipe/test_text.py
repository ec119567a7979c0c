"""Recipes of encoders: what a few lines mean, what belongs to which task, and paths of checkpoints."""

from pathlib import Path
from typing import Any

import pytest

from edgewright.pipeline.catalog import TASKS, TEXT_ENCODER
from edgewright.pipeline.families.text_encoders import MULTI_LABEL_METRICS
from edgewright.pipeline.recipe.load import load_recipe, override_export, recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import RecipeError
from tests.messages import refused

TEXT_TASKS = (
    "text-classification",
    "token-classification",
    "question-answering",
    "sentence-embedding",
    "zero-shot-classification",
)


def recipe(task: str, **changes: Any) -> Recipe:
    return recipe_from_plain({"task": task, "model": "owner/bert", "data": "/t.csv", **changes})


def refusal(task: str, **changes: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe(task, **changes)
    (line,) = str(caught.value).splitlines()
    return line.removeprefix("recipe: ")


def test_these_are_the_tasks_of_encoders() -> None:
    assert set(TEXT_TASKS) == {task for task, spec in TASKS.items() if TEXT_ENCODER in spec.families}


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_three_lines_are_a_recipe(task: str) -> None:
    found = recipe(task)
    assert found.family.name == TEXT_ENCODER and found.weights == "pretrained"
    assert found.wanted_variants == ("fp32", "fp16", "int8-dynamic") and found.data.calibration == 0.1
    assert found.training.metric == TASKS[task].metrics[0] and found.training.augment == "none"
    assert found.training.batch_size == 16 and found.training.least_steps == 0
    assert found.text.max_tokens == "auto" and found.transfer.mode == TASKS[task].modes[0]
    assert found.text.policy == ("stride" if task == "question-answering" else "truncate")
    again = recipe_from_plain(found.to_plain())
    assert again == found and again.digest() == found.digest()


@pytest.mark.parametrize("task", TEXT_TASKS)
@pytest.mark.parametrize("mode", ["none", "feature-extraction", "fine-tuning"])
def test_every_mode_of_a_task_is_filled_in(task: str, mode: str) -> None:
    if mode not in TASKS[task].modes:
        assert refusal(task, transfer={"mode": mode}).startswith("transfer.mode: ")
        return
    found = recipe(task, transfer={"mode": mode})
    assert recipe_from_plain(found.to_plain()) == found
    transfer, training = found.transfer, found.training
    if mode == "none":
        assert (transfer.head, transfer.unfreeze, transfer.head_epochs) == ("keep", 1, 0)
    elif mode == "feature-extraction":
        assert (transfer.unfreeze, training.epochs, training.schedule) == (1, 10, "one-cycle")
    else:
        assert (transfer.unfreeze, training.epochs, training.schedule) == (2, 3, "linear")
        assert transfer.head == "new" and training.warmup == 0.1


def test_random_weights_are_trained_whole() -> None:
    found = recipe("token-classification", weights="none")
    assert (found.transfer.unfreeze, found.transfer.head_epochs, found.transfer.rate_divisor) == ("all", 0, 1)
    for mode in ("none", "feature-extraction"):
        line = refusal("token-classification", weights="none", transfer={"mode": mode})
        assert line.startswith(f"transfer.mode: {mode}") and "use weights: pretrained or a path" in line


def test_a_recurrent_net_still_reads_texts() -> None:
    found = recipe("text-classification", model="gru")
    assert found.text.max_tokens == 256 and found.wanted_variants == ("fp32", "fp16", "int8-dynamic")
    assert set(found.to_plain()["text"]) == {"vocabulary", "max_tokens", "lowercase", "policy"}
    assert "separator" not in found.to_plain()["data"] and "network" in found.to_plain()


def test_keys_of_encoders_change_no_recipe_of_a_recurrent_net() -> None:
    # The digest of the release before encoders: an earlier run must be recognised.
    found = recipe("text-classification", model="lstm", data="builtin:stdlib-docs")
    assert found.digest() == "54171c9ee539df7e441585c90fc5dbc919e952666ad814d5e577b5999d2a3f75"


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_a_saved_recipe_says_nothing_that_belongs_to_others(task: str) -> None:
    plain = recipe(task).to_plain()
    spec = TASKS[task]
    own = spec.families[TEXT_ENCODER]
    assert set(plain["data"]) == spec.data | own.data and set(plain["text"]) == own.text
    sections = {"input", "network", "forecast", "text", "question", "zero_shot", "audio"}
    assert sections & set(plain) == spec.sections
    assert "loss" not in plain["training"] and "layer_decay" not in plain["transfer"]
    assert ("warmup" in plain["training"]) == (plain["training"]["schedule"] == "linear")


def test_several_labels_have_metrics_of_their_own() -> None:
    found = recipe("text-classification", text={"multi_label": True})
    assert found.training.metric == "micro-f1"
    for metric in MULTI_LABEL_METRICS:
        changed = recipe("text-classification", text={"multi_label": True}, training={"metric": metric})
        assert changed.training.metric == metric
    line = refusal("text-classification", text={"multi_label": True}, training={"metric": "accuracy"})
    assert line.startswith(
        "training.metric: expected micro-f1, macro-f1 or auroc for text-classification with text.multi_label"
    )


def test_columns_of_texts() -> None:
    pair = recipe("text-classification", data={"source": "/t.csv", "text": ["premise", "hypothesis"]})
    assert pair.data.text == pair.data.texts == ("premise", "hypothesis")
    assert recipe_from_plain(pair.to_plain()) == pair
    one = recipe("text-classification", data={"source": "/t.csv", "text": ["body"]})
    assert one.data.text == "body" and one.data.texts == ("body",)


@pytest.mark.parametrize(
    ("task", "changes", "begin", "way_out"),
    [
        ("token-clasification", {}, "task: unknown task", "(did you mean 'token-classification'?)"),
        ("token-classification", {"model": "gru"}, "model: gru is for sequence-", "name a checkpoint"),
        ("question-answering", {"weights": "imagenet"}, "weights: imagenet", "use pretrained, none or a path"),
        (
            "image-classification",
            {"model": "resnet18", "weights": "pretrained"},
            "weights: pretrained",
            "use imagenet, none",
        ),
        (
            "text-classification",
            {"model": "gru", "weights": "pretrained"},
            "weights: there are no published",
            "path",
        ),
        ("text-classification", {"network": {}}, "network: this section is for rnn, lstm or gru", "remove it"),
        (
            "forecasting",
            {"model": "gru", "question": {}},
            "question: this section is for question-",
            "remove it",
        ),
        (
            "token-classification",
            {"zero_shot": {}},
            "zero_shot: this section is for zero-shot-",
            "remove it",
        ),
        ("text-classification", {"text": {"vocabulary": 500}}, "text.vocabulary: is for rnn", "remove"),
        (
            "text-classification",
            {"model": "gru", "text": {"pooling": "cls"}},
            "text.pooling: is for checkpoints, not for gru",
            "name a checkpoint",
        ),
        (
            "text-classification",
            {"model": "gru", "text": {"policy": "stride"}},
            "text.policy: gru reads no windows",
            "truncate or refuse",
        ),
        (
            "text-classification",
            {"model": "gru", "text": {"max_tokens": "auto"}},
            "text.max_tokens: auto is for",
            "give one",
        ),
        (
            "token-classification",
            {"text": {"pooling": "cls"}},
            "text.pooling: this key is for text-classification, sentence-embedding or zero-shot",
            "remove it",
        ),
        (
            "sentence-embedding",
            {"text": {"multi_label": True}},
            "text.multi_label: this key is for text-classification, not",
            "remove it",
        ),
        ("text-classification", {"text": {"stride": 8}}, "text: stride says what windows share", "policy: stride"),
        (
            "text-classification",
            {"text": {"policy": "stride", "stride": 64, "max_tokens": 64}},
            "text: a stride of 64 leaves windows of 64",
            "lower stride",
        ),
        (
            "text-classification",
            {"text": {"max_tokens": 0}},
            "text.max_tokens: must be at least 1, found 0",
            "",
        ),
        ("text-classification", {"text": {"max_tokens": 1.5}}, "text.max_tokens: expected auto or a whole", "1.5"),
        ("text-classification", {"text": {"max_tokens": True}}, "text.max_tokens: expected auto or a whole", "True"),
        (
            "sentence-embedding",
            {"text": {"normalise": "yes"}},
            "text.normalise: expected auto, true or false",
            "'yes'",
        ),
        ("text-classification", {"text": {"threshold": 1.0}}, "text.threshold: must be less than 1", "found 1.0"),
        (
            "zero-shot-classification",
            {"zero_shot": {"template": "about it"}},
            "zero_shot.template: expected auto or a sentence with {}",
            'such as "This is about {}."',
        ),
        (
            "zero-shot-classification",
            {"zero_shot": {"by": "nly"}},
            "zero_shot.by: expected auto or nli or embedding",
            "(did you mean 'nli'?)",
        ),
        (
            "zero-shot-classification",
            {"transfer": {"mode": "fine-tuning"}},
            "transfer.mode: zero-shot-classification trains nothing",
            "use mode: none",
        ),
        (
            "sentence-embedding",
            {"transfer": {"mode": "feature-extraction"}},
            "transfer.mode: sentence-embedding has no head",
            "use mode: none or fine-tuning",
        ),
        (
            "image-classification",
            {"model": "resnet18", "transfer": {"mode": "none"}},
            "transfer.mode: none ships a checkpoint of text-classification",
            "use mode: fine-tuning",
        ),
        (
            "token-classification",
            {"transfer": {"mode": "none", "unfreeze": 2}},
            "transfer: none trains nothing",
            "remove unfreeze",
        ),
        (
            "token-classification",
            {"transfer": {"mode": "none", "head": "new"}},
            "transfer: none keeps the checkpoint's head",
            "use mode: fine-tuning",
        ),
        (
            "token-classification",
            {"transfer": {"layer_decay": 0.9, "rate_divisor": 10.0}},
            "transfer: layer_decay takes the place of rate_divisor",
            "keep one",
        ),
        (
            "token-classification",
            {"transfer": {"layer_decay": 0.9, "mode": "feature-extraction"}},
            "transfer: layer_decay needs mode: fine-tuning",
            "remove it",
        ),
        ("token-classification", {"transfer": {"layer_decay": 1.5}}, "transfer.layer_decay: must be at most 1", ""),
        (
            "token-classification",
            {"training": {"schedule": "cosine", "warmup": 0.2}},
            "training: warmup is for schedule: linear, not for cosine",
            "remove the key",
        ),
        (
            "question-answering",
            {"training": {"metric": "accuracy"}},
            "training.metric: expected f1 or exact-match for question-answering",
            "found 'accuracy'",
        ),
        (
            "question-answering",
            {"training": {"class_weights": "balanced"}},
            "training.class_weights: question-answering has no classes",
            "remove the key",
        ),
        (
            "question-answering",
            {"training": {"loss": "mse"}},
            "training.loss: question-answering has its own",
            "remove the key",
        ),
        (
            "text-classification",
            {"training": {"least_steps": 9}},
            "training.least_steps: owner/bert goes by epochs alone",
            "raise training.epochs",
        ),
        (
            "question-answering",
            {"question": {"max_answer_tokens": 0}},
            "question.max_answer_tokens: must be at least 1",
            "found 0",
        ),
    ],
)  # fmt: skip
def test_what_does_not_belong_or_cannot_work(
    task: str, changes: dict[str, Any], begin: str, way_out: str
) -> None:
    line = refusal(task, **changes)
    assert line.startswith(begin) and way_out in line


@pytest.mark.parametrize(
    ("task", "data", "begin", "way_out"),
    [
        ("sentence-embedding", {"text": ["a", "b"]}, "data.text: sentence-embedding reads one text", "name one"),
        ("text-classification", {"text": ["a", "b", "c"]}, "data.text: expected the name of a column", "list of two"),
        ("text-classification", {"text": ["a", "a"]}, "data.text: a column is listed twice", "remove one"),
        ("text-classification", {"text": ["a", "label"]}, "data: text and label are both 'label'", "two columns"),
        ("text-classification", {"separator": ","}, "data.separator: parts the labels", "text.multi_label: true"),
        ("text-classification", {"separator": "::"}, "data.separator: expected one character", "such as ','"),
        ("text-classification", {"words": "w"}, "data.words: this key is for token-classification", "remove it"),
        ("token-classification", {"label": "w"}, "data.label: this key is for text-classification", "remove it"),
        ("token-classification", {"text": ["a", "b"]}, "data.text: token-classification reads one text", "name one"),
        ("token-classification", {"tags": "words"}, "data: words and tags are both 'words'", "two columns"),
        ("question-answering", {"answers": "context"}, "data: context and answers are both", "two columns"),
        ("text-classification", {"format": "conll"}, "data.format: conll is for token-class", "use auto"),
        ("token-classification", {"format": "squad"}, "data.format: squad is for question-ans", "use auto"),
        ("question-answering", {"classes": ["a", "b"]}, "data.classes: this key is for", "remove it"),
    ],
)  # fmt: skip
def test_keys_of_data_that_cannot_work(task: str, data: dict[str, Any], begin: str, way_out: str) -> None:
    line = refusal(task, data={"source": "/t.csv", **data})
    assert line.startswith(begin) and way_out in line


def test_a_recurrent_net_reads_one_text() -> None:
    line = refusal("text-classification", model="gru", data={"source": "/t.csv", "text": ["a", "b"]})
    assert line.startswith("data.text: gru reads one text, not two") and "name a checkpoint" in line
    line = refusal("text-classification", model="gru", data={"source": "/t.csv", "separator": ","})
    assert line.startswith("data.separator: this key is for checkpoints, not for gru")


def test_one_label_and_several_per_class() -> None:
    line = refusal(
        "text-classification",
        data={"source": "/t.csv", "train_per_class": 5},
        text={"multi_label": True},
    )
    assert line.startswith("data.train_per_class: with text.multi_label")


def write(folder: Path, model: str, more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    path.write_text(f"task: text-classification\nmodel: {model}\ndata: t.csv\n{more}")
    return path


def test_a_checkpoint_is_a_folder_a_name_or_a_package(tmp_path: Path) -> None:
    (tmp_path / "models" / "bert").mkdir(parents=True)
    for written in ("models/bert", "./models/bert"):
        assert load_recipe(write(tmp_path, written)).model == str(tmp_path / "models" / "bert")
    for written in ("owner/bert", "bert-base-cased", "package:some_package", "lstm"):
        assert load_recipe(write(tmp_path, written)).model == written
    assert load_recipe(write(tmp_path, "./not-there")).model == str(tmp_path / "not-there")
    home = load_recipe(write(tmp_path, '"~/bert"')).model
    assert home == str((Path.home() / "bert").resolve())


def test_an_override_counts_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = load_recipe(write(tmp_path, "owner/bert"), ["model=./mine"])
    assert found.model == str(tmp_path / "here" / "mine") and found.data.source == str(tmp_path / "t.csv")


def test_the_digest_ignores_where_a_checkpoint_lies(tmp_path: Path) -> None:
    digests = set()
    for place in ("a", "b"):
        (tmp_path / place / "bert").mkdir(parents=True)
        digests.add(load_recipe(write(tmp_path / place, "./bert")).digest())
    assert len(digests) == 1
    assert (
        recipe("text-classification", model="one/bert").digest()
        != recipe("text-classification", model="two/bert").digest()
    )


def test_weights_of_a_checkpoint(tmp_path: Path) -> None:
    path = write(tmp_path, "owner/bert", "weights: pretrainde\n")
    with refused(RecipeError):
        load_recipe(path)
    run = tmp_path / "run"
    run.mkdir()
    (run / "weights.safetensors").touch()
    assert load_recipe(path, [f"weights={run}"]).weights == str(run / "weights.safetensors")


def test_a_finished_run_may_get_other_variants() -> None:
    finished = recipe("sentence-embedding")
    assert override_export(finished, ["variants=[fp32, int8-static]"]).variants == ("fp32", "int8-static")

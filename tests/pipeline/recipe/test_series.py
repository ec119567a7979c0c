"""Recipes of recurrent models: what five lines mean, and what belongs to which task."""

from pathlib import Path
from typing import Any

import pytest

from edgewright.pipeline.catalog import RECURRENT, TASKS, RecurrentTask
from edgewright.pipeline.families.recurrent import LEAST_STEPS, Recurrent
from edgewright.pipeline.recipe.family import family_named
from edgewright.pipeline.recipe.load import load_recipe, override_export, recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.tasks import TASKS as DEVICE_TASKS
from tests.messages import refused

SEQUENCES = [task for task in TASKS if RECURRENT in TASKS[task].families]


def recipe(task: str, **changes: Any) -> Recipe:
    return recipe_from_plain({"task": task, "model": "lstm", "data": "/t.csv", **changes})


def refusal(task: str, **changes: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe(task, **changes)
    (line,) = str(caught.value).splitlines()
    return line.removeprefix("recipe: ")


@pytest.mark.parametrize("task", SEQUENCES)
@pytest.mark.parametrize("model", Recurrent.models)
def test_three_lines_are_a_recipe(task: str, model: str) -> None:
    found = recipe(task, model=model)
    assert found.family.name == RECURRENT and found.weights == "none" and found.training.augment == "none"
    assert (found.transfer.unfreeze, found.transfer.head_epochs, found.transfer.rate_divisor) == ("all", 0, 1)
    own = TASKS[task].families[RECURRENT]
    assert isinstance(own, RecurrentTask) and found.training.epochs == own.epochs
    assert found.training.metric == TASKS[task].metrics[0]
    assert found.wanted_variants == ("fp32", "fp16", "int8-dynamic") and found.data.calibration == 0
    again = recipe_from_plain(found.to_plain())
    assert again == found and again.digest() == found.digest()


def test_an_epoch_count_of_the_users_own_is_kept_to() -> None:
    assert recipe("sequence-classification").training.least_steps == LEAST_STEPS
    assert recipe("sequence-classification", training={"epochs": 3}).training.least_steps == 0
    assert recipe("sequence-classification", training={"lr": 0.1}).training.least_steps == LEAST_STEPS
    found = recipe("sequence-classification", training={"epochs": 3, "least_steps": 50})
    assert (found.training.epochs, found.training.least_steps) == (3, 50)
    assert refusal("image-classification", model="resnet18", training={"least_steps": 50}) == (
        "training.least_steps: image-classification goes by epochs alone: remove the key, or raise training.epochs"
    )


def test_the_device_knows_every_task_of_the_catalogue() -> None:
    assert list(DEVICE_TASKS) == list(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_a_saved_recipe_says_nothing_that_belongs_to_other_tasks(task: str) -> None:
    model = {"vision": "resnet18", "recurrent": "gru", "text-encoder": "./bert"}[
        next(iter(TASKS[task].families))
    ]
    plain = recipe(task, model=model).to_plain()
    spec = TASKS[task]
    family = family_named(next(iter(spec.families)))
    assert set(plain["data"]) == spec.data
    sections = {"input", "network", "forecast", "text", "question", "zero_shot", "audio"}
    assert sections & set(plain) == (spec.sections | family.sections) - {"stream"}
    assert ("loss" in plain["training"]) == spec.regresses


def test_keys_of_sequences_change_no_recipe_of_images() -> None:
    plain = {"task": "image-classification", "model": "resnet18", "data": "builtin:digits"}
    # The digests of the release before recurrent models: an earlier run must be recognised.
    assert (
        recipe_from_plain(plain).digest()
        == "3656dd9aeb6835d85c4a3a2582e56cd08048cdf806c0b54700952785e2f82d60"
    )
    assert recipe_from_plain(plain).training_digest() == (
        "892ac1ec10b5cd0f868be9007c543779aff92ee9e1725a2a826819afb8340bcc"
    )


def test_weights_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    path = tmp_path / "recipe.yaml"
    path.write_text("task: sequence-regression\nmodel: gru\ndata: t.csv\nweights: run\n")
    with refused(RecipeError):
        load_recipe(path)
    (run / "weights.safetensors").touch()
    found = load_recipe(path)
    assert found.weights == str(run / "weights.safetensors")
    assert (found.training.epochs, found.transfer.unfreeze, found.transfer.head_epochs) == (5, 2, 1)
    frozen = load_recipe(path, ["transfer.mode=feature-extraction"])
    assert frozen.transfer.unfreeze == 1
    with refused(RecipeError):
        load_recipe(path, ["weights=nome"])


def test_the_context_of_a_forecast_follows_horizon_and_season() -> None:
    assert recipe("forecasting").forecast.context == 16
    assert recipe("forecasting", forecast={"horizon": 20}).forecast.context == 40
    assert recipe("forecasting", forecast={"horizon": 20, "season": 52}).forecast.context == 104
    assert (
        recipe("forecasting", forecast={"horizon": 20, "context": 5, "anchor": "last"}).forecast.context == 5
    )


def test_calibration_is_kept_for_those_who_ask_for_it() -> None:
    assert recipe("forecasting", variants=["fp32", "int8-static"]).data.calibration == 0.1
    assert recipe("forecasting", data={"source": "x", "calibration": 0.2}).data.calibration == 0.2
    finished = recipe("forecasting")
    with refused(RecipeError):
        override_export(finished, ["variants=[fp32, int8-static]"])
    assert override_export(finished, ["variants=[fp32]"]).variants == ("fp32",)


def test_columns_are_one_word_or_a_list() -> None:
    found = recipe("forecasting", data={"source": "x", "target": "sales", "features": ["rain", "price"]})
    assert found.data.target == ("sales",) and found.data.features == ("rain", "price")
    assert recipe("forecasting", data={"source": "x", "target": "none"}).data.target is None


def test_the_built_in_co2_knows_its_columns() -> None:
    found = recipe("forecasting", data="builtin:co2")
    assert (found.data.time, found.data.target, found.data.missing) == ("date", ("co2",), "interpolate")
    kept = recipe("forecasting", data={"source": "builtin:co2", "missing": "forward"})
    assert kept.data.missing == "forward" and kept.data.time == "date"


@pytest.mark.parametrize(
    ("task", "changes", "begin", "way_out"),
    [
        ("sequence-clasification", {}, "task: unknown task", "(did you mean 'sequence-classification'?)"),
        (
            "sequence-regression",
            {"model": "lstmm"},
            "model: 'lstmm' cannot",
            "(did you mean 'lstm'?): use rnn",
        ),
        ("forecasting", {"model": "resnet18"}, "model: 'resnet18' cannot", "use rnn, lstm or gru"),
        ("image-classification", {}, "model: lstm is for sequence-class", "use resnet18 or another"),
        ("forecasting", {"weights": "imagenet"}, "weights: there are no published", "use weights: none, or"),
        ("forecasting", {"input": {"size": 32}}, "input: this section is for image-", "remove it"),
        ("forecasting", {"text": {}}, "text: this section is for text-classification", "remove it"),
        ("text-classification", {"audio": {}}, "audio: this section is for audio-class", "remove it"),
        ("audio-classification", {"forecast": {}}, "forecast: this section is for fore", "remove it"),
        ("forecasting", {"training": {"metric": "r2"}}, "training.metric: expected skill for", "found 'r2'"),
        (
            "text-classification",
            {"training": {"metric": "acuracy"}},
            "training.metric: expected accuracy, macro-f1 or auroc for text-classification",
            "(did you mean 'accuracy' or 'auroc'?)",
        ),
        (
            "text-classification",
            {"training": {"augment": "light"}},
            "training.augment: only images",
            "remove",
        ),
        (
            "forecasting",
            {"training": {"class_weights": "balanced"}},
            "training.class_weights",
            "remove the key",
        ),
        ("forecasting", {"training": {"label_smoothing": 0.1}}, "training.label_smoothing", "remove the key"),
        (
            "text-classification",
            {"training": {"loss": "mae"}},
            "training.loss: a classifier",
            "remove the key",
        ),
        ("forecasting", {"training": {"loss": "mea"}}, "training.loss: expected mse or mae", "found 'mea'"),
        (
            "sequence-regression",
            {"network": {"readout": "mean"}},
            "network.readout: does not belong to sequence-regression, every step",
            "remove the key",
        ),
        ("forecasting", {"network": {"embedding": 8}}, "network.embedding: does not", "remove the key"),
        ("forecasting", {"network": {"activation": "relu"}}, "network.activation: the gates", "model: rnn"),
        ("forecasting", {"network": {"hiden": 8}}, "network.hiden: unknown key", "(did you mean 'hidden'?)"),
        ("forecasting", {"network": {"layers": 0}}, "network.layers: must be at least 1", "found 0"),
        ("forecasting", {"network": {"init": "xavir"}}, "network.init: expected default", "mean 'xavier'?"),
        (
            "forecasting",
            {"forecast": {"season": 52, "context": 10}},
            "forecast: the context of 10 steps does not hold a season of 52",
            "raise context, or use anchor: last",
        ),
        (
            "text-classification",
            {"transfer": {"mode": "feature-extraction"}},
            "transfer.mode: feature-extraction keeps",
            "use weights: the path of a run, or mode: fine-tuning",
        ),
        ("audio-classification", {"audio": {"hop_ms": 30.0}}, "audio: hop_ms 30 is longer", "lower hop_ms"),
        (
            "audio-classification",
            {"audio": {"window_ms": 1.0, "hop_ms": 1.0, "sample_rate": 8000}},
            "audio: window_ms 1 is too short for 8000 Hz",
            "raise it",
        ),
        ("text-classification", {"text": {"vocabulary": 10}}, "text.vocabulary: must be at least 300", "10"),
    ],
)
def test_what_does_not_belong_or_cannot_work(
    task: str, changes: dict[str, Any], begin: str, way_out: str
) -> None:
    line = refusal(task, **changes)
    assert line.startswith(begin) and way_out in line


@pytest.mark.parametrize(
    ("task", "data", "begin", "way_out"),
    [
        ("forecasting", {"window": 5}, "data.window: this key is for sequence-", "use forecast.context and"),
        ("sequence-regression", {"label": "y"}, "data.label: this key is for text-", "use data.target"),
        ("forecasting", {"classes": ["a", "b"]}, "data.classes: this key is for", "remove it"),
        ("text-classification", {"target": "y"}, "data.target: this key is for", "remove it"),
        ("audio-classification", {"series": "y"}, "data.series: this key is for", "remove it"),
        ("forecasting", {"unseen": "global"}, "data.unseen: without forecast.per_series", "per_series: true"),
        ("forecasting", {"time": "a", "series": "a"}, "data: 'a' is both series and time", "one role"),
        ("forecasting", {"time": "a", "features": ["a"]}, "data: 'a' is both time and a feature", "one role"),
        ("forecasting", {"target": ["a", "a"]}, "data.target: a column is listed twice", "remove one"),
        ("forecasting", {"target": 3}, "data.target: expected the name of a column", "a list of names"),
        ("forecasting", {"target": ["a", 3]}, "data.target: 3 is not the name of a column", "quotes"),
        (
            "sequence-regression",
            {"target": "a", "features": ["a"]},
            "data.features: 'a' is the target",
            "leave",
        ),
        ("forecasting", {"split": "random"}, "data.split: windows overlap", "stride: 17"),
        (
            "forecasting",
            {"layout": "wide", "features": ["a"]},
            "data.features: with layout: wide",
            "layout: long",
        ),
        ("forecasting", {"missing": "mean"}, "data.missing: expected refuse or forward", "found 'mean'"),
        ("forecasting", {"step": 0.0}, "data.step: must be greater than 0", "found 0.0"),
        (
            "text-classification",
            {"text": "a", "label": "a"},
            "data: text and label are both 'a'",
            "two columns",
        ),
    ],
)
def test_keys_of_data_that_cannot_work(task: str, data: dict[str, Any], begin: str, way_out: str) -> None:
    line = refusal(task, data={"source": "/t.csv", **data})
    assert line.startswith(begin) and way_out in line


def test_known_columns_and_scales_of_unseen_series() -> None:
    line = refusal("forecasting", data={"source": "x", "target": "y"}, forecast={"known": ["y"]})
    assert line.startswith("forecast.known: 'y' has another role in data")
    line = refusal("forecasting", data={"source": "x", "split": "series"}, forecast={"per_series": True})
    assert line.startswith("data.unseen: with split: series") and "unseen: global" in line
    assert recipe(
        "forecasting", data={"source": "x", "split": "series", "unseen": "global"}, forecast={"per_series": True}
    ).data.unseen == "global"  # fmt: skip
    line = refusal("forecasting", data={"source": "x", "layout": "wide"}, forecast={"known": ["y"]})
    assert line.startswith("forecast.known: with layout: wide")


@pytest.mark.parametrize(
    ("task", "changes", "memory"),
    [
        ("forecasting", {}, "context"),
        ("sequence-classification", {}, "carried"),
        ("sequence-regression", {"data": {"source": "/t.csv", "window": 20}}, "context"),
        ("audio-classification", {}, "context"),
        ("forecasting", {"stream": {"memory": "carried"}}, "carried"),
        ("sequence-classification", {"stream": {"memory": "context"}}, "context"),
    ],
)
def test_what_a_stream_remembers(task: str, changes: dict[str, Any], memory: str) -> None:
    found = recipe(task, **changes)
    assert found.stream_memory == memory
    assert ("stream" in found.to_plain()) == ("stream" in changes)
    assert recipe_from_plain(found.to_plain()) == found


def test_only_a_state_that_is_carried_beyond_its_samples_is_another_training() -> None:
    def digest(task: str, memory: str) -> str:
        return recipe(task, stream={"memory": memory}).training_digest()

    for task in ("forecasting", "audio-classification"):
        assert digest(task, "auto") == digest(task, "context") != digest(task, "carried")
    assert len({digest("sequence-regression", memory) for memory in ("auto", "context", "carried")}) == 1


def test_what_cannot_be_carried() -> None:
    carried = {"memory": "carried"}
    for task, changes in (
        ("text-classification", {}),
        ("forecasting", {"network": {"bidirectional": True}}),
        ("forecasting", {"network": {"readout": "mean"}}),
        ("audio-classification", {"network": {"readout": "max"}}),
    ):
        with refused(RecipeError):
            recipe(task, stream=carried, **changes)
    assert recipe("sequence-classification", stream=carried, network={"readout": "mean"})
    with refused(RecipeError):
        recipe_from_plain(
            {"task": "image-classification", "model": "resnet18", "data": "/d", "stream": carried}
        )

"""Targets of the workstation: recipes, checkpoints, what a run left, weights of others, folders of photos."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from edgewright.runtime.errors import EdgewrightError
from tests.fuzz.bundles import other_header
from tests.fuzz.damage import WORDS, damaged, json_bytes, odd_value, other_json, other_text, write
from tests.fuzz.trial import Target, Trial
from tests.runtime.small_bundle import colour_image

ROOT = Path(__file__).parents[2]
_KEYS = (
    "task", "model", "weights", "data", "data.source", "data.classes", "data.label", "data.group", "transfer",
    "transfer.mode", "transfer.unfreeze", "training", "training.epochs", "training.lr", "training.seed", "variants",
    "budget.max_drop", "input.size", "input", "quantization.method", "network", "network.hidden", "forecast.horizon",
    "text.max_tokens", "series", "sound.bands", "mode", "x", "", ".", "a..b", "data.x.y", "transfer.mode.x",
)  # fmt: skip
_VALUES = (
    "none", "auto", "all", "[none]", "{a: b}", "[]", "{}", "~", "-1", "0", "1e400", ".nan", "[1, [2]]",
    "!!python/object:x {}",
    "&a [*a]", "'", '"', "|", "? a", "- a\n- b", "2024-01-01", "9" * 5000, "[" * 2000, "\x00", "fp32", "[fp32, fp32]",
)  # fmt: skip


def _recipes(folder: Path) -> list[tuple[str, Any]]:
    """The examples, and each as plain values."""
    found = []
    for path in sorted((ROOT / "examples").rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        found.append((text, yaml.safe_load(text)))
    return found


def _attack_recipes(valid: Sequence[tuple[str, Any]], trial: Trial) -> object:
    from edgewright.pipeline.recipe.load import load_recipe

    random = trial.random
    text, document = random.choice(valid)
    if random.random() < 0.5:
        content = other_text(random, text, (*WORDS, *_VALUES)).encode("utf-8", "surrogatepass")
    elif random.random() < 0.8:
        content = json_bytes(random, other_json(random, document))  # JSON is YAML
    else:
        content = damaged(random, text.encode())
    return load_recipe(write(trial.folder / "recipe.yaml", content))


def _attack_overrides(valid: Sequence[tuple[str, Any]], trial: Trial) -> object:
    from edgewright.pipeline.recipe.load import load_recipe, override_export

    random = trial.random
    text, _ = random.choice(valid)
    path = write(trial.folder / "recipe.yaml", text.encode())
    words = []
    for _ in range(random.randint(1, 3)):
        value = random.choice((random.choice(_VALUES), random.choice(WORDS), json.dumps(odd_value(random))))
        words.append(f"{random.choice(_KEYS)}{random.choice(('=', '=', '=', '', '=='))}{value}")
    trial.tried = f"{words}"[:1000]
    recipe = load_recipe(path, words if random.random() < 0.7 else ())
    return override_export(recipe, words)


def _checkpoints(folder: Path) -> list[Path]:
    from benchmarks.small_encoders import save_small_checkpoint

    texts = ("the film was good", "Ada lives in Berlin") * 3
    found = []
    for name, answer, labels in (
        ("bert", "text", ("calm", "glad")),
        ("roberta", None, ()),
        ("distilbert", "tokens", ("O", "B-X")),
    ):
        place = save_small_checkpoint(folder / name, name, texts, answer, labels)
        (place / "1_Pooling").mkdir()
        write(
            place / "1_Pooling" / "config.json",
            b'{"pooling_mode_mean_tokens": true, "word_embedding_dimension": 32}',
        )
        modules = [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]
        write(place / "modules.json", json.dumps(modules).encode())
        write(place / "sentence_bert_config.json", b'{"max_seq_length": 32}')
        write(place / "README.md", b"---\nlicense: mit\n---\n# A model\n")
        found.append(place)
    return found


_SIZES = frozenset(
    {"vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "num_hidden_layers"}
)


def _attack_checkpoints(valid: Sequence[Path], trial: Trial) -> object:
    from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint

    random = trial.random
    place = random.choice(valid)
    copy = trial.folder / "checkpoint"
    shutil.copytree(place, copy)
    files = sorted(path for path in copy.rglob("*") if path.suffix in (".json", ".md"))
    file = random.choice((*files, *[copy / "config.json"] * 4, *[copy / "tokenizer_config.json"] * 2))
    trial.tried = f"{place.name}/{file.name}"
    content = file.read_bytes()
    if file.suffix == ".json" and random.random() < 0.85:
        file.write_bytes(json_bytes(random, other_json(random, json.loads(content))))
    else:
        file.write_bytes(damaged(random, content))
    return open_checkpoint(str(copy)).tokenizer()


def _runs(folder: Path) -> Path:
    return ROOT / "tests" / "pipeline" / "stages" / "old_run" / "run"


_RUN_FILES = (
    "recipe.json",
    "data.json",
    "trained.json",
    "export/verdict.json",
    "export/fp32.done.json",
    "weights.safetensors",
)


def damaged_run(valid: Path, trial: Trial) -> Path:
    """A copy of a run with one altered file."""
    random = trial.random
    copy = trial.folder / "run"
    shutil.copytree(valid, copy)
    name = random.choice(_RUN_FILES)
    trial.tried = name
    content = (copy / name).read_bytes()
    if name.endswith("safetensors"):
        content = other_header(random, content) if random.random() < 0.6 else damaged(random, content)
    elif random.random() < 0.85:
        content = json_bytes(random, other_json(random, json.loads(content)))
    else:
        content = damaged(random, content)
    write(copy / name, content)
    return copy


def _attack_runs(valid: Path, trial: Trial) -> object:
    """Everything that reads a run; one part that refuses keeps none of the others from being tried."""
    from edgewright.exporters.verdict import verdict_from_json
    from edgewright.pipeline.data.sources import restore_splits
    from edgewright.pipeline.run_dir import finished_stage, read_run_json
    from edgewright.pipeline.stages.fit import run_recipe
    from edgewright.pipeline.training.results import finished_training, load_trained

    run = damaged_run(valid, trial)
    refused: EdgewrightError | None = None
    for read in (
        lambda: load_trained(run),
        lambda: finished_training(run, json.loads((valid / "trained.json").read_bytes())["fingerprint"]),
        lambda: verdict_from_json((run / "export" / "verdict.json").read_bytes()),
        lambda: finished_stage(
            run, "export/fp32", json.loads((valid / "export" / "fp32.done.json").read_bytes())["key"]
        ),
        lambda: restore_splits(read_run_json(run, "data.json"), run_recipe(run)),
    ):
        try:
            read()
        except EdgewrightError as error:
            refused = error
    if refused is not None:
        raise refused
    return None


def _weights(folder: Path) -> tuple[Any, Mapping[str, bytes]]:
    import torch
    from safetensors.torch import save
    from torch import nn

    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    state = module.state_dict()
    torch.save(state, folder / "a.pt")
    record = {"edgewright": json.dumps({"build": {"name": "x"}})}
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    return module, {
        "a.safetensors": save(dict(state), record),
        "b.safetensors": save(wrapped),
        "a.pt": (folder / "a.pt").read_bytes(),
    }


def _attack_weights(valid: tuple[Any, Mapping[str, bytes]], trial: Trial) -> object:
    from edgewright.pipeline.models.weights import load_state, read_weights_file, read_weights_record

    random = trial.random
    module, files = valid
    name = random.choice(sorted(files))
    content = files[name]
    trial.tried = name
    if name.endswith("safetensors") and random.random() < 0.6:
        content = other_header(random, content)
    else:
        content = damaged(random, content)
    path = write(trial.folder / name, content)
    state = read_weights_file(path)
    read_weights_record(path)
    load_state(module, state, str(path), ("1",), (), random.random() < 0.5)
    return state


def _photos(folder: Path) -> dict[str, bytes]:
    found = {}
    for number in range(12):
        path = folder / f"{number}.png"
        colour_image(number % 3, (8, 8), number).save(path)
        found[f"{'ab'[number % 2]}/{number}.png"] = path.read_bytes()
    return found


def _attack_photos(valid: dict[str, bytes], trial: Trial) -> object:
    from edgewright.pipeline.data.sources import open_data
    from edgewright.pipeline.recipe.load import recipe_from_plain

    random = trial.random
    for name, content in valid.items():
        chance = random.random()
        if chance < 0.1:
            continue
        folder = random.choice(("train", "test", "val", "A", ".x", "é", "c")) if chance < 0.2 else ""
        try:
            write(trial.folder / folder / name, damaged(random, content) if chance > 0.8 else content)
        except OSError:
            continue
    document = {
        "task": "image-classification", "model": "resnet18", "weights": "none",
        "data": {"source": str(trial.folder), "evaluation": random.choice((0.2, 0.5)),
                 "classes": random.choice((None, ["a"], ["b", "a"], ["x"]))},
    }  # fmt: skip
    return open_data(recipe_from_plain(document))


TARGETS = (
    Target("recipes", 4000, _recipes, _attack_recipes),
    Target("overrides", 3000, _recipes, _attack_overrides),
    Target("checkpoints", 1200, _checkpoints, _attack_checkpoints, 60.0),
    Target("runs", 600, _runs, _attack_runs),
    Target("weights", 3000, _weights, _attack_weights),
    Target("photos", 500, _photos, _attack_photos),
)

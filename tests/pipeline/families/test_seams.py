"""What no task of the product needs yet, trained, shipped, judged, verified and answered without a change in it.

An answer that is a picture, a loop over two graphs, two towers with names that are asked for.
"""

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

from edgewright.exporters.part import TorchGraphs
from edgewright.pipeline.cli.main import commands
from edgewright.pipeline.stages.export import _load, _samples
from edgewright.pipeline.training.results import load_trained
from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.errors import InputError
from tests.command import Call
from tests.messages import refused
from tests.pipeline.families import toy_spelling, toy_towers
from tests.pipeline.families.registered import register_toy
from tests.pipeline.families.toy_pictures import Mask

DIGITS = "data: {source: 'builtin:digits', classes: [0, 1, 2], train_per_class: 60}\n"
DIGITS_TRAINING = "training: {epochs: 12, batch_size: 32, lr: 5e-3}\n"
SQUARES = "data: {source: 'builtin:squares'}\n"
SQUARES_TRAINING = "training: {epochs: 40, batch_size: 8, lr: 5e-2}\n"
VARIANTS = "variants: [fp32, fp16, int8-dynamic]\n"
NEVER_SMALL = "budget: {smaller_by: 0.01, faster_by: 0.99, max_drop: 0.1}\n"


def shipped(cli: Call, folder: Path, task: str, model: str, data: str) -> tuple[Path, dict[str, Any]]:
    """A bundle, and what was said of it; held against its run."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"task: {task}\nmodel: {model}\n{data}{VARIANTS}{NEVER_SMALL}")
    found = cli("ship", recipe, "--out", folder / "bundle", "--json")
    assert found.code in (0, 1), found.err  # a variant of so small a model may not earn its place
    verified = cli("verify", folder / "bundle", "--against", folder / "bundle.run", "--json")
    assert verified.code == 0, verified.err
    assert cli("verify", folder / "bundle").code == 0
    return folder / "bundle", found.json["verdict"]


def rows_of(verdict: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in verdict["rows"]}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = {"reader": "tests.pipeline.families.toy_pictures:READER", "builtin": ("squares",)}
    nothing = {"classifies": False, "sections": frozenset(), "data": frozenset({"source"})}
    register_toy(
        monkeypatch, "toy-pictures", "toy_pictures", True, metrics=("overlap",), **pictures, **nothing
    )
    spelling = {"spell": ("tests.pipeline.families.toy_spelling:spell", "Spell a picture.")}
    register_toy(monkeypatch, "toy-spelling", "toy_spelling", True, metrics=("accuracy",), commands=spelling)
    register_toy(monkeypatch, "toy-towers", "toy_towers", True)


@pytest.mark.usefixtures("toys")
def test_an_answer_that_is_a_picture_of_any_size(cli: Call, tmp_path: Path) -> None:
    bundle, verdict = shipped(cli, tmp_path, "toy-pictures", "toy-convolutions", SQUARES + SQUARES_TRAINING)
    fp32 = rows_of(verdict)["fp32"]
    assert (verdict["metric_name"], fp32["status"], fp32["interval_method"]) == (
        "overlap", "PASS", "paired bootstrap",
    )  # fmt: skip
    assert fp32["metric"] > 0.7 and fp32["agreement"] > 0.98
    samples = _samples(_load(tmp_path / "bundle.run", None))
    with Engine(bundle, "fp32", cache=False) as engine:
        together = engine(list(samples.raws))
        for raw, answer in zip(samples.raws, together, strict=True):
            assert isinstance(answer, Mask) and answer.pixels.shape == raw.shape
            assert (answer.pixels != engine(raw).pixels).mean() < 0.02
    assert len({answer.pixels.shape for answer in together}) > 8
    told = cli("predict", bundle, bundle / "golden", "--json", "--out", tmp_path / "masks")
    assert told.code == 0, told.err
    for sample, row in zip(open_bundle(bundle).manifest.golden.samples, told.json["answers"], strict=True):
        with Image.open(row["files"][0]) as mask, Image.open(bundle / sample.file) as picture:
            assert mask.size == picture.size
            assert np.count_nonzero(np.asarray(mask)) == row["bright"]
    again = cli("predict", bundle, bundle / "golden" / "0.png", "--out", tmp_path / "masks")
    assert again.out.rstrip().endswith(str(tmp_path / "masks" / "0-2.png"))
    beside = predict_beside(cli, bundle, tmp_path / "pictures")
    assert beside == ["0-2.png", "0.png"]
    long = tmp_path / ("漢字" * 40 + ".png")
    long.write_bytes((bundle / "golden" / "0.png").read_bytes())
    found = cli("predict", bundle, long, "--out", tmp_path / "masks", "--json").json["answers"][0]["files"]
    assert Path(found[0]).exists() and Path(found[0]).stem == "漢字" * 16 + "漢"


def predict_beside(cli: Call, bundle: Path, folder: Path) -> list[str]:
    """The files of a folder in which a picture lies that was answered into the same folder."""
    folder.mkdir()
    content = (bundle / "golden" / "0.png").read_bytes()
    (folder / "0.png").write_bytes(content)
    assert cli("predict", bundle, folder / "0.png", "--out", folder).code == 0
    assert (folder / "0.png").read_bytes() == content
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("toys")
def test_a_loop_over_two_graphs(cli: Call, tmp_path: Path) -> None:
    bundle, verdict = shipped(cli, tmp_path, "toy-spelling", "toy-speller", DIGITS + DIGITS_TRAINING)
    rows, manifest = rows_of(verdict), open_bundle(bundle).manifest
    assert rows["fp32"]["status"] == "PASS" and rows["fp32"]["metric"] > 0.8
    assert rows["fp32"]["relative"] < 1e-5 and rows["int8-dynamic"]["relative"] < 0.5
    decoder = manifest.graphs["decoder"]
    assert list(manifest.graphs) == ["decoder", "encoder"] or list(manifest.graphs) == ["encoder", "decoder"]
    assert decoder.states[0].grows == "past" and decoder.capacity == {"past": toy_spelling.LONGEST}
    assert decoder.constants == {"keys": "encoder.keys"}
    picture = bundle / manifest.golden.samples[0].file
    with Engine(bundle, "fp32", cache=False) as engine:
        word = engine(picture).text
        assert word in toy_spelling.WORDS and word == manifest.golden.decisions[0]
        assert engine(picture, steps=1).text == word[:1]
        parts = engine.iterate(picture)
        assert next(parts).text == word[0]
        parts.close()
        assert list(parts) == [], "who closes it ends the work"
        assert "".join(part.text for part in engine.iterate(picture)) == word
        assert "".join(part.text for part in engine.iterate(picture, steps=2)) == word[:2]
        assert engine(picture, beams=3).text == word
        scores = {other: engine.score((picture, other)) for other in toy_spelling.WORDS}
        assert max(scores, key=scores.__getitem__) == word and all(score < 0 for score in scores.values())
        assert "score" in dir(engine)
        with pytest.raises(AttributeError, match="no attribute 'chat'"):
            engine.chat("hello")
        for wrong, message in (
            ({"steps": True}, "steps is bool"),  # though 1 has been asked for
            ({"steps": 1.0}, "steps is float"),
            ({"steps": 0}, "steps is 0: give a number from 1 to 20"),
            ({"step": 1}, "did you mean"),
        ):
            with pytest.raises(InputError, match=message):
                engine(picture, **wrong)
        with refused(InputError):
            next(engine.iterate(picture, beams=2))
        assert engine.schema["properties"]["steps"] == {
            "type": "integer", "description": "How many letters there may be.", "default": 5, "minimum": 1,
            "maximum": 20,
        }  # fmt: skip
        # More than the model holds is refused: nobody finds an end that is not there.
        sample, graphs = engine.task.encode(picture), engine._open()
        keys = graphs.run("encoder", engine.task.collate([sample]))
        bound = graphs.bound("decoder", 1, {"encoder": keys}, {"past": 2})
        for _ in range(2):
            bound.run({"token": np.array([1])})
        with refused(InputError):
            bound.run({"token": np.array([1])})
        with refused(InputError):
            graphs.bound("decoder")
        first = {"token": np.array([0]), **keys, "past": np.zeros((1, 0, toy_spelling.WIDTH), np.float32)}
        assert set(engine.infer(first, role="decoder")) == {"scores", "past_next"}
        for feeds, role in (
            ({**first, "keys": keys["keys"][:0]}, "decoder"),
            (first, "writer"),
            (first, ["decoder"]),
        ):
            with refused(InputError):
                engine.infer(feeds, role=role)  # type: ignore[arg-type]
    told = cli("predict", bundle, picture, "--steps", "2", "--json")
    assert told.code == 0 and told.json["answers"][0]["text"] == word[:2]
    assert cli("predict", bundle, picture, "--steps", "many").code == 1
    spelt = cli("predict", bundle, picture, "--variant", "fp32", "--format", "letters")
    assert (spelt.code, spelt.out) == (0, "".join(f"{letter}\n" for letter in word)), "a form of its own"
    assert "--beams" in cli("predict", bundle, "--help").out
    assert commands()["spell"][1] == "Spell a picture." and cli("spell", bundle, picture).out == f"{word}\n"
    assert "Spell a picture." in cli("--help").out


@pytest.mark.usefixtures("toys")
def test_rows_that_are_put_in_another_order_take_their_states_along(cli: Call, tmp_path: Path) -> None:
    """Beams: one is followed in two ways, another is left; states and constants go with the rows."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"task: toy-spelling\nmodel: toy-speller\n{DIGITS}training: {{epochs: 1}}\n")
    assert cli("fit", recipe, "--out", tmp_path / "run").code == 0
    graphs = TorchGraphs(load_trained(tmp_path / "run").built.parts())
    random = np.random.default_rng(0)
    keys = random.normal(size=(3, 2, toy_spelling.WIDTH)).astype(np.float32)
    bound = graphs.bound("decoder", 3, {"encoder": {"keys": keys}})
    bound.run({"token": np.array([1, 2, 3])})
    bound.reorder([2, 2, 0])
    found = bound.run({"token": np.array([1, 3, 2])})["scores"]
    for place, (row, first, second) in enumerate(((2, 3, 1), (2, 3, 3), (0, 1, 2))):
        alone = graphs.bound("decoder", 1, {"encoder": {"keys": keys[row : row + 1]}})
        alone.run({"token": np.array([first])})
        wanted = alone.run({"token": np.array([second])})["scores"][0]
        np.testing.assert_allclose(found[place], wanted, atol=1e-6)


@pytest.mark.usefixtures("toys")
def test_two_towers_and_names_that_are_read_once(
    cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, verdict = shipped(cli, tmp_path, "toy-towers", "toy-towers", DIGITS + DIGITS_TRAINING)
    assert rows_of(verdict)["fp32"]["status"] == "PASS" and rows_of(verdict)["fp32"]["metric"] > 0.8
    golden = sorted((bundle / "golden").glob("*.png"))
    with Engine(bundle, "fp32", cache=False) as engine:
        graphs, roles = engine._open(), list[str]()
        run = graphs.run

        def counted(role: str, inputs: Any) -> Any:
            roles.append(role)
            return run(role, inputs)

        monkeypatch.setattr(graphs, "run", counted)
        answers = engine(golden)
        assert [answer.names for answer in answers] == [("0", "1", "2")] * len(golden)
        assert roles == ["name", "picture"]
        two = [engine(path, labels=["2", "0"]) for path in golden]
        assert roles[2:] == ["name", *["picture"] * len(golden)], "the names are read once"
        engine.prepare(labels=["1", "0"])
        assert roles[-1] == "name"
        for answer, other in zip(answers, two, strict=True):
            wanted = max(
                (score for score in answer.scores if score.label != "1"), key=lambda one: one.probability
            )
            assert other.label == wanted.label
    told = cli("predict", bundle, golden[0], "--labels", "2,0", "--top", "2", "--json")
    assert [row["label"] for row in told.json["answers"][0]["labels"]] == [
        score.label for score in two[0].scores
    ]


def test_a_command_of_a_task_goes_with_it() -> None:
    assert "spell" not in commands() and isinstance(toy_spelling.spell, click.Command)
    assert toy_towers.letters_of(["2"])["letters"].shape == (1, 4)

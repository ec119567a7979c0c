"""Names of others on the terminal: labels, models and files that break lines, steer it, or turn a line around."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from edgewright.runtime import Engine, open_bundle
from tests.command import Call
from tests.runtime.small_bundle import colour_image, make_bundle

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07", "two\nedgewright: all is well", "\u202egnp.exe", "\x9b31m\u2028<script>x</script>",
    "a\rb\x08\x7f", "\u0007 bell", "\u2066\U000e0041",
)  # fmt: skip


def safe(text: str, lines: int | None = None) -> bool:
    """Whether a text prints as it is: nothing in it but letters and the ends of its own lines."""
    return all(character.isprintable() or character == "\n" for character in text) and (
        lines is None or text.count("\n") == lines
    )


@pytest.fixture(params=range(0, len(HOSTILE), 2))
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A bundle with three such labels, in which one is the model's name, too."""
    names = (HOSTILE * 2)[request.param : request.param + 3]
    return make_bundle(
        tmp_path / "bundle",
        lambda manifest: dataclasses.replace(manifest, labels=names, model=names[0], licence=names[1]),
    )


def test_answers_in_every_form(hostile: Path, cli: Call, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    colour_image(1).save(image)
    labels = list(open_bundle(hostile).manifest.labels)
    for options, lines in (
        ((), 1),
        (("--top", 3), 1),
        (("--format", "label"), 1),
        (("--format", "jsonl"), 1),
    ):
        answer = cli("predict", hostile, image, "--provider", "cpu", *options)
        assert answer.code == 0 and safe(answer.out, lines) and safe(answer.err), answer
    for form in ("json", "jsonl"):
        answer = cli("predict", hostile, image, "--provider", "cpu", "--format", form)
        found: Any = json.loads(answer.out)
        found = found["answers"][0] if form == "json" else found
        assert (
            safe(answer.out)
            and labels[1]
            in json.dumps(found, ensure_ascii=False)
            .encode("utf-8", "surrogatepass")
            .decode("utf-8", "surrogatepass")
        ) or json.dumps(labels[1]) in json.dumps(found)


BRIEF = ("bench", "--seconds", "0.1")


@pytest.mark.parametrize("command", [("verify",), ("verify", "--json"), BRIEF, (*BRIEF, "--json")])
def test_tables_of_a_bundle(hostile: Path, cli: Call, command: tuple[str, ...]) -> None:
    name, *options = command
    answer = cli(name, hostile, "--provider", "cpu", *options)
    assert safe(answer.out) and safe(answer.err), answer


def test_an_engine_and_its_answers_as_python_shows_them(hostile: Path) -> None:
    with Engine(hostile, provider="cpu") as engine:
        answer = engine(colour_image(1))
        for shown in (engine, answer, answer.labels, answer.line(3), answer.bare()):
            assert safe(str(shown), 0), shown
    assert safe(repr(engine), 0)


def test_errors_that_name_what_is_in_a_bundle(hostile: Path, cli: Call, tmp_path: Path) -> None:
    manifest = open_bundle(hostile).manifest
    missing = tmp_path / HOSTILE[0].replace("/", "_")
    for words in (("predict", hostile, missing), ("predict", hostile, "x.png", "--variant", "\x1b[2J")):
        answer = cli(*words)
        assert answer.code == 1 and safe(answer.err) and safe(answer.out), (words, answer)
    assert manifest.labels

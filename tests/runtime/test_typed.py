"""What type checkers make of an engine: `make check` reads this file, and pytest runs it."""

from pathlib import Path
from typing import Any, assert_type

from edgewright.runtime import Answer, Classification, Engine
from tests.runtime.small_bundle import make_bundle


def test_an_engine_says_what_it_answers_with(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    picture = bundle / "golden" / "0.png"
    with Engine[Classification](bundle, cache=False) as engine:
        answer, answers = engine(picture), engine([picture, picture])
        assert_type(answer, Classification)
        assert_type(answers, list[Classification])
        assert_type(answer.label, str)
        assert isinstance(answer, Classification) and isinstance(answer, Answer)
        assert [one.label for one in answers] == [answer.label] * 2
    with Engine(bundle, cache=False) as untyped:
        assert_type(untyped(picture), Any)

"""The answers of streams: they are what the engine gives, frozen, and never change."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime.errors import InputError
from edgewright.runtime.tasks.labels import Classification
from edgewright.runtime.tasks.sequence_regression import Prediction
from tests.messages import refused
from tests.runtime.recurrent_bundle import REGRESSION, Case, case, series_values
from tests.runtime.recurrent_graphs import Net
from tests.runtime.streams.stream_helpers import engine_of


def regression_of(targets: int) -> Case:
    """The small example of sequence-regression with its first targets only."""
    settings = dataclasses.replace(
        REGRESSION,
        targets=REGRESSION.targets[:targets],
        target_mean=REGRESSION.target_mean[:targets],
        target_std=REGRESSION.target_std[:targets],
    )
    net = Net(3, 8, targets, per_step=True)
    return dataclasses.replace(case("sequence-regression"), settings=settings, net=net)


@pytest.mark.parametrize("targets", [1, 2])
def test_answers_keep_their_values(tmp_path: Path, targets: int) -> None:
    """An answer that nobody has looked at yet must not change with the steps that come after it."""
    regression = engine_of(tmp_path, regression_of(targets))
    values = series_values(10)
    expected = regression(values).values
    with regression.stream() as stream:
        answers = [stream.push(row) for row in values]
    np.testing.assert_allclose([answer.last for answer in answers], expected, rtol=1e-5)


def test_answers_are_ordinary_ones(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("sequence-classification"))
    row = series_values(1)[0]

    def made() -> Any:
        stream = engine.stream()
        stream.push(row)
        stream.reset()
        stream.push(row)
        return stream.push(row)

    whole = engine(np.array([row, row]))
    assert isinstance(made(), Classification) and made() == made()
    assert whole.label == made().label and made().top(2) == made().labels[:2]
    assert hash(made()) == hash(made()) and repr(made()).startswith("<Classification ")
    looked = made()
    assert looked.label and type(looked) is Classification
    assert made().to_json(1) == looked.to_json(1)
    with pytest.raises(AttributeError):
        _ = made().nothing
    with pytest.raises(dataclasses.FrozenInstanceError):
        looked.index = 3


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda answer: pickle.loads(pickle.dumps(answer))]
)
@pytest.mark.parametrize("kind", ["one number", "numbers", "class"])
def test_answers_that_nobody_has_looked_at(tmp_path: Path, kind: str, copied: Callable[[Any], Any]) -> None:
    """They are frozen, and what is copied or sent to another process is the ordinary answer."""
    example = {
        "one number": regression_of(1),
        "numbers": regression_of(2),
        "class": case("sequence-classification"),
    }[kind]
    engine = engine_of(tmp_path, example)
    row = series_values(1)[0]

    def unseen() -> Any:
        stream = engine.stream()
        stream.push(row)
        return stream.push(row)

    field = "index" if kind == "class" else "values"
    answer = unseen()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(answer, field, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(answer, field)
    assert answer == unseen()
    made = copied(unseen())
    assert type(made) in (Classification, Prediction) and made == unseen()
    assert repr(made) == repr(unseen()) and made == copied(made)
    assert dataclasses.replace(unseen()) == unseen()


def test_an_answer_of_one_number(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, regression_of(1))
    values = series_values(6)
    expected = engine(values).values
    with engine.stream() as stream:
        answers = [stream.push(row) for row in values]
        slow = engine.stream().push_all(values)
    for answer, other, wanted in zip(answers, slow, expected, strict=True):
        assert answer == other and answer.names == ("torque",)
        assert answer.last.shape == (1,) and answer.values.shape == (1, 1)
        assert answer.last.dtype == answer.values.dtype == np.float64
        assert type(answer) is Prediction and np.shares_memory(answer.last, answer.values)
        np.testing.assert_allclose(answer.last, wanted, rtol=1e-5)
    with pytest.raises(AttributeError, match="'Prediction' object has no attribute 'nothing'"):
        _ = answers[0].nothing


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "look",
    [
        lambda answer: answer.last,
        lambda answer: answer.values,
        lambda answer: copy.copy(answer).last,
        lambda answer: pickle.loads(pickle.dumps(answer)).to_json(),
        lambda answer: answer == answer,
    ],
)
def test_an_output_that_is_not_finite(
    tmp_path: Path, targets: int, wrong: float, look: Callable[[Any], Any]
) -> None:
    example = regression_of(targets)
    example.net.weights["b"][:] = wrong
    engine = engine_of(tmp_path, dataclasses.replace(example, raws=()))
    with engine.stream() as stream:
        for _ in range(2):
            answer = stream.push(series_values(1)[0])
            for _ in range(2):
                with refused(InputError):
                    look(answer)

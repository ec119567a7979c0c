"""What is of the wrong type for a public call is refused in one line, and says what to give."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine, Series, open_bundle, selftest
from edgewright.runtime.arguments import check_text, check_whole, is_path, kind_of
from edgewright.runtime.errors import BundleError, EdgewrightError, InputError
from edgewright.runtime.series.reading import as_series
from tests.runtime.recurrent_bundle import FORECAST, SETTINGS, case, make_recurrent_bundle, series_values

LARGE = 2**70
ODD: tuple[Any, ...] = (
    None, "x", 1.5, True, b"x", [], {}, (1,), object(), np.zeros(3), np.array("x"), float("nan"), LARGE, lambda: 3,
)  # fmt: skip


def matrix(values: Any) -> Any:
    """numpy's own, which it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(values)


def one_line(call: Callable[[], object], kind: type[EdgewrightError] = EdgewrightError) -> str:
    """What is said where a call is refused."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", ["batch_size", "threads", "variant", "provider"])
def test_settings_of_an_engine(bundle: Path, name: str, value: Any) -> None:
    if value is None and name == "threads":
        return
    fits = isinstance(value, int) and not isinstance(value, bool) and name == "batch_size"  # however large
    if fits:
        Engine(bundle, batch_size=value).close()
    elif not (value is LARGE and name == "threads"):  # which ONNX Runtime itself refuses
        message = one_line(lambda: Engine(bundle, **{"threads": 1, name: value}))
        assert name in message or name == "variant" or "provider" in message


def test_whole_numbers_of_numpy_are_whole_numbers(bundle: Path) -> None:
    one: Any = np.int64(1)
    three: Any = np.uint8(3)
    with Engine(bundle, threads=one, batch_size=three) as engine:
        assert engine.batch_size == 3
        assert len(engine([bundle / "golden" / f"{place}.png" for place in (0, 1, 2, 0)])) == 4


@pytest.mark.parametrize(
    "value", [value for value in ODD if not isinstance(value, str)], ids=lambda value: type(value).__name__
)
def test_what_is_no_path_is_no_bundle(value: Any) -> None:
    for call in (Engine, open_bundle, selftest):
        one_line(lambda call=call: call(value), BundleError)  # type: ignore[misc]


@pytest.mark.parametrize("value", [3, "fp32", np.zeros(2), {"fp32": 1}, [None], [[]]], ids=repr)
def test_variants_of_a_self_test(bundle: Path, value: Any) -> None:
    one_line(lambda: selftest(bundle, variants=value, threads=1))


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    root = tmp_path_factory.mktemp("streaming") / "bundle"
    return Engine(make_recurrent_bundle(root, case("sequence-classification")), threads=1, cache=False)


@pytest.mark.parametrize(
    "value", [value for value in ODD if not isinstance(value, str)], ids=lambda value: type(value).__name__
)
def test_streams(streaming: Engine, value: Any) -> None:
    one_line(lambda: streaming.stream(value), InputError)
    one_line(lambda: streaming.streams(value), InputError)
    if value is not None:
        one_line(lambda: streaming.streams(2, value), InputError)
    group = streaming.streams(2)
    pieces = list(series_values(2))
    if value is not None:
        one_line(lambda: group.push(pieces, value), InputError)
        one_line(lambda: group.state(value), InputError)
    assert len(group.push(pieces, np.array([1, 0]))) == 2


@pytest.mark.parametrize(
    "raw",
    [
        Series(series_values(3), name=np.zeros(2)),  # type: ignore[arg-type]
        Series(series_values(3), name=3),  # type: ignore[arg-type]
        Series(series_values(3), columns=3),  # type: ignore[arg-type]
        Series(series_values(3), columns=("heat", 1, "speed")),  # type: ignore[arg-type]
        Series(series_values(3), times=[0, 1, 2]),  # type: ignore[arg-type]
        Series(series_values(3), times=np.array(["a", "b", "c"])),
        Series(series_values(3), known={"a": 1}),  # type: ignore[arg-type]
        Series(matrix([[1.0, 2.0]])),
        {"values": [1, 2], "columns": 3},
        {"heat": matrix([1.0, 2.0]), "load": [1, 2], "speed": [1, 2]},
        {"heat": {1, 2}, "load": [1, 2], "speed": [1, 2]},
        {"heat": np.array(3.0), "load": [1, 2], "speed": [1, 2]},
        {"heat": np.zeros(2, "m8[s]"), "load": [1, 2], "speed": [1, 2]},
        np.array(None),
    ],
    ids=lambda raw: type(raw).__name__,
)
def test_parts_of_a_series(raw: Any) -> None:
    for settings in (SETTINGS, FORECAST):
        one_line(lambda settings=settings: as_series(raw, settings), InputError)  # type: ignore[misc]


def test_whole_numbers_beyond_float_are_infinite() -> None:
    read = as_series({"heat": [10**400, 1], "load": [-(10**400), 2], "speed": [0, 2**62]}, SETTINGS)
    assert read.values.tolist() == [[np.inf, -np.inf, 0], [1, 2, 2.0**62]]


def test_what_is_masked_is_missing() -> None:
    values = np.ma.masked_array(series_values(2), [[True, False, False], [False, False, True]])
    for raw in (values, Series(values)):
        read = as_series(raw, SETTINGS).values
        assert np.isnan(read).tolist() == [[True, False, False], [False, False, True]]
    columns = {name: values[:, place] for place, name in enumerate(SETTINGS.features)}
    assert np.isnan(as_series(columns, SETTINGS).values).sum() == 2


def test_checks() -> None:
    assert check_whole(np.int8(3), "n") == 3 and check_text("a", "name", "a name") == "a"
    assert one_line(lambda: check_whole("3", "n")) == "n is '3': give 1 or more"
    assert one_line(lambda: check_whole(0, "n")) == "n is 0: give 1 or more"
    assert one_line(lambda: check_text(b"a", "name", "a name")) == "name is bytes: give a name"
    assert is_path("a") and is_path(Path("a")) and not is_path(b"a") and not is_path(3)
    assert kind_of("x" * 50) == "str" and kind_of([1]) == "list"


@pytest.mark.parametrize("count", [(1 << 16) + 1, 10**9, 1 << 63, 10**30])
def test_more_streams_than_a_group_holds(streaming: Engine, count: int) -> None:
    with pytest.raises(InputError, match="give 65536 at most"):
        streaming.streams(count)


@pytest.mark.parametrize("odd", [np.array(np.inf, np.float16), np.array(3), np.float32(2), Path("a"), None])
def test_rows_of_a_series_that_are_no_rows(odd: Any) -> None:
    for raw in ([odd], [odd, [1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0], odd], (odd, odd)):
        one_line(lambda raw=raw: as_series(raw, SETTINGS), InputError)  # type: ignore[misc]

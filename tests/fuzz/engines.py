"""Targets that call the runtime as a program does: arguments, raw inputs in memory, tensors, pushes."""

import datetime
import decimal
import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from edgewright.runtime import Engine, Question, Series, TextPair, Words, open_bundle, selftest
from edgewright.runtime.series.reading import as_series
from tests.fuzz.bundles import made_bundles
from tests.fuzz.damage import WORDS, odd_value
from tests.fuzz.trial import Target, Trial
from tests.runtime.recurrent_bundle import FORECAST, REGRESSION, SETTINGS, series_values, sound

_DTYPES = (
    "f2",
    "f4",
    "f8",
    "i1",
    "u1",
    "i2",
    "i4",
    "i8",
    "u8",
    "?",
    "c16",
    "U2",
    "S2",
    "M8[s]",
    "m8[s]",
    "O",
    "V3",
    ">f4",
)


class _Odd:
    """An object that nobody expects, with a length that it cannot keep."""

    def __len__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return "<odd>"


def _matrix(values: Any) -> Any:
    """numpy's own, which it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(values)


def odd_array(random: Random) -> Any:
    """An array of any dtype and shape, with odd values."""
    shape = tuple(random.choice((0, 1, 2, 3, 4, 16)) for _ in range(random.randrange(5)))
    kind = random.choice(_DTYPES)
    array = np.zeros(shape, kind)
    if kind in ("f2", "f4", "f8") and array.size:
        values = (np.nan, np.inf, -np.inf, 1e-45, 6e4) + ((3.4e38,) if kind != "f2" else ())
        array.reshape(-1)[random.randrange(array.size)] = random.choice(values)
    wrap = random.randrange(12)
    if wrap == 0 and array.ndim <= 2 and kind != "O":
        return _matrix(array)
    if wrap == 1:
        return np.ma.masked_array(array, np.zeros(shape, bool))
    if wrap == 2 and array.ndim:
        return array[::-1]
    return array


_ODD_TEXTS: tuple[Any, ...] = tuple(
    kind(*parts) for kind, parts in ((Words, ((1,),)), (TextPair, ("a", 3)), (Question, (None, "a")))
)


def odd_object(random: Random) -> Any:
    """Anything that Python has."""
    kind = random.randrange(6)
    if kind < 2:
        return odd_array(random)
    if kind == 2:
        return odd_value(random)
    return random.choice((
        None, object(), _Odd(), lambda: 3, int, b"", b"\xff\x00", bytearray(b"abc"), memoryview(b"abc"), range(3),
        {1, 2}, Path("none"), Path("\0"), Path("x" * 5000), iter([1]), (x for x in "ab"),
        datetime.datetime(2024, 1, 1), decimal.Decimal("1.5"), 2 + 3j, np.float32(1.5), np.int64(3), np.str_("x"),
        np.datetime64("NaT"), {1: 2}, {(): None}, (), (1,), [[]], [None], [b"x"], {"values": 3}, {"heat": "x"},
        {"heat": [1], "load": [1, 2]}, float("nan"), 10**400,
        Series(np.zeros((2, 3))), Series(np.zeros(3)), Series(np.zeros((1, 2)), ("a",)), Words(()), *_ODD_TEXTS,
    ))  # fmt: skip


class _Engines:
    """An engine of each kind of bundle, opened when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.bundles = made_bundles(folder)
        self._open: dict[Path, Engine] = {}

    def any(self, random: Random, streams: bool = False) -> Engine:
        """One of them."""
        while True:
            bundle = random.choice(self.bundles)
            if bundle not in self._open:
                self._open[bundle] = Engine(bundle, threads=1)
            engine = self._open[bundle]
            if not streams or engine.manifest.streaming is not None:
                return engine


_ARGUMENTS = ("variant", "provider", "threads", "cache", "batch_size", "allow_fallback", "timeout")


def _attack_arguments(engines: _Engines, trial: Trial) -> object:
    random = trial.random
    bundle: Any = random.choice(engines.bundles)
    value = odd_object(random)
    way = random.randrange(10)
    trial.tried = f"way {way}, {value!r}"[:500]
    if way == 0:
        return repr(Engine(value))
    if way < 4:
        name = random.choice(_ARGUMENTS)
        trial.tried += f" as {name}"
        return repr(Engine(bundle, **{"threads": 1, name: value}))
    if way == 4:
        return open_bundle(value)
    if way == 5:
        name = random.choice(("variants", "provider", "threads", "timeout"))
        return selftest(bundle, **{"threads": 1, name: value})
    engine = engines.any(random)
    raw = engine.bundle.path(engine.manifest.golden.samples[0].file)
    options = {random.choice(("labels", "top", "multi_label", "x", "template")): value}
    if way == 6:
        return engine(raw, **options)
    if way == 7:
        return list(engine.iterate(raw, **options))
    if way == 8:
        engine.prepare(**options)
        return None
    return engine.stream(value, **(options if random.random() < 0.3 else {}))


def _attack_inputs(engines: _Engines, trial: Trial) -> object:
    random = trial.random
    engine = engines.any(random)
    raw: Any = odd_object(random)
    if random.random() < 0.3:
        raw = [raw, engine.bundle.path(engine.manifest.golden.samples[0].file)]
    trial.tried = f"{engine.manifest.task}: {raw!r}"[:500]
    if random.random() < 0.2:
        return list(engine.iterate(raw))
    answers = engine(raw)
    for answer in answers if isinstance(answers, list) else [answers]:
        answer.line()
        answer.to_json()
    return answers


def _attack_tensors(engines: _Engines, trial: Trial) -> object:
    random = trial.random
    engine = engines.any(random)
    inputs = engine.manifest.graphs["model"].inputs
    feeds: Any = {}
    for spec in inputs:
        shape = [random.choice((1, 1, 2, 0, 5)) if isinstance(axis, str) else axis for axis in spec.shape]
        feeds[spec.name] = np.ones(shape, spec.dtype)
    way = random.randrange(5)
    name = random.choice(inputs).name
    if way == 0:
        feeds[name] = odd_object(random)
    elif way == 1:
        feeds[name] = odd_array(random)
    elif way == 2:
        feeds[random.choice(WORDS)] = feeds.pop(name)
    elif way == 3 and feeds[name].size:
        odd = (
            random.choice((-1, 10**9, -(2**31)))
            if feeds[name].dtype.kind == "i"
            else random.choice((np.nan, 1e38))
        )
        feeds[name].reshape(-1)[random.randrange(feeds[name].size)] = odd
    elif way == 4:
        feeds = odd_object(random)
    role = "model" if random.random() < 0.9 else odd_object(random)
    trial.tried = f"{engine.manifest.task}, {role!r}: {feeds!r}"[:500]
    return engine.infer(feeds, role)


def _attack_pushes(engines: _Engines, trial: Trial) -> object:
    random = trial.random
    engine = engines.any(random, streams=True)
    good: Sequence[Any] = list(series_values(4))
    if engine.manifest.task == "audio-classification":
        good = [sound(80)] * 4
    pieces: list[Any] = [*good, odd_object(random), odd_array(random), *good[:1]]
    random.shuffle(pieces)
    trial.tried = f"{engine.manifest.task}: {pieces!r}"[:500]
    if random.random() < 0.3:
        return _group(engine, random, pieces)
    with engine.stream() as stream:
        for piece in pieces:
            push: Callable[[Any], Any] = random.choice(
                (stream.push, stream.push, stream.push_all, stream.outputs)
            )
            _refused(functools.partial(push, piece))
        return stream.state()


def _group(engine: Engine, random: Random, pieces: list[Any]) -> object:
    count = random.choice((1, 2, 3, odd_object(random)))
    group = engine.streams(count, random.choice((None, None, odd_object(random))))
    for piece in pieces[:4]:
        block = random.choice((piece, [piece] * len(group), np.stack([series_values(1)[0]] * len(group))))
        rows = random.choice((None, None, [0], [0, 0], [-1], [99], odd_object(random)))
        _refused(functools.partial(group.push, block, rows))
    return group.state(0)


def _refused(call: Callable[[], object]) -> None:
    """Call, where a refusal leaves the stream as it was."""
    from edgewright.runtime import InputError

    try:
        call()
    except InputError as error:
        assert len(str(error).splitlines()) == 1, error


_COLUMN: tuple[Any, ...] = (
    [1.0, 2.0, 3.0], [1, None, 3], ["1", "2", "3"], [10**400, 1, 2], np.arange(3), np.ones((3, 1)), [True, False, True],
    _matrix([1.0, 2.0, 3.0]), [], [[1], [2], [3]], 3, None, "abc", [np.float32(1), 2, 3],
    ["2024-01-01", "2024-01-02", "x"],
)  # fmt: skip


def _attack_series(state: Any, trial: Trial) -> object:
    random = trial.random
    settings = random.choice((SETTINGS, REGRESSION, FORECAST))
    names = [*settings.features, "when", "values", "times", "name", "known", "columns"]
    way = random.randrange(4)
    if way == 0:
        raw: Any = {name: random.choice(_COLUMN) for name in random.sample(names, random.randint(1, 6))}
    elif way == 1:
        raw = {name: random.choice(_COLUMN) for name in settings.features}
    elif way == 2:
        raw = Series(
            random.choice((series_values(3), odd_array(random), odd_object(random))),
            random.choice((None, settings.features, ("a",), odd_object(random))),
            random.choice((None, np.arange(3.0), odd_object(random))),
            random.choice(("", "a", odd_object(random))),
            random.choice((None, np.ones((4, 1)), odd_object(random))),
        )
    else:
        raw = odd_object(random)
    trial.tried = f"{raw!r}"[:500]
    return as_series(raw, settings)


TARGETS = (
    Target("arguments", 3000, _Engines, _attack_arguments),
    Target("inputs", 6000, _Engines, _attack_inputs),
    Target("infer", 4000, _Engines, _attack_tensors),
    Target("pushes", 4000, _Engines, _attack_pushes),
    Target("series", 8000, lambda folder: None, _attack_series),
)

"""Targets that read files of data: pictures, sounds, tables, texts."""

import functools
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from edgewright.runtime.images.decoding import load_image
from edgewright.runtime.images.encoding import encode_image
from edgewright.runtime.series.reading import read_series
from edgewright.runtime.series.settings import SeriesSettings, WideTable
from edgewright.runtime.sound.decoding import load_audio, write_wav
from edgewright.runtime.tables.reading import read_table
from edgewright.runtime.text.tagged_rows import TAGGED_READERS
from tests.fuzz.damage import WORDS, damaged, json_bytes, odd_value, other_json, other_text, write
from tests.fuzz.trial import Target, Trial
from tests.runtime.encoder_bundle import case
from tests.runtime.recurrent_bundle import AUDIO, sound
from tests.runtime.small_bundle import SETTINGS, colour_image

Valid = Mapping[str, bytes]
"""The contents of valid files by their names."""


def _pick(random: Random, valid: Valid) -> tuple[str, bytes]:
    name = random.choice(sorted(valid))
    return name, valid[name]


def _pictures(folder: Path) -> Valid:
    found = {}
    image = colour_image(1, (13, 17))
    forms: Sequence[tuple[str, str, dict[str, Any]]] = [
        ("RGB", "png", {}), ("RGBA", "png", {}), ("P", "png", {}), ("I;16", "png", {}), ("1", "png", {}),
        ("RGB", "jpg", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}),
        ("L", "jpg", {"progressive": True}), ("CMYK", "jpg", {}), ("RGB", "webp", {"lossless": True}),
        ("RGB", "bmp", {}),
        ("RGB", "tiff", {"compression": "tiff_lzw"}), ("I;16", "tiff", {}), ("F", "tiff", {}), ("P", "gif", {}),
        ("L", "bmp", {}), ("RGB", "webp", {"quality": 50}), ("RGB", "tiff", {"compression": "jpeg"}),
        ("RGB", "ppm", {}),
    ]  # fmt: skip
    for number, (mode, suffix, options) in enumerate(forms):
        buffer = io.BytesIO()
        made = image.convert("L").convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
        form = {"jpg": "jpeg"}.get(suffix, suffix)
        made.save(buffer, form, **options)
        found[f"{number}.{suffix}"] = buffer.getvalue()
    return found


def _attack_pictures(valid: Valid, trial: Trial) -> object:
    name, content = _pick(trial.random, valid)
    if trial.random.random() < 0.1:  # another ending than the content's
        name = f"a.{trial.random.choice(sorted(valid)).rpartition('.')[2]}"
    trial.tried = name
    path = write(trial.folder / name, damaged(trial.random, content))
    raw = path.read_bytes() if trial.random.random() < 0.3 else path
    return encode_image(load_image(raw), SETTINGS)


def _sounds(folder: Path) -> Valid:
    import soundfile

    samples = sound(700)
    found = {"a.wav": write_wav(samples, 8000)}
    for suffix, kinds in (
        ("wav", ("PCM_U8", "PCM_24", "FLOAT", "ULAW")),
        ("flac", ("PCM_16",)),
        ("ogg", ("VORBIS",)),
    ):
        for kind in kinds:
            for channels in (1, 2):
                buffer = io.BytesIO()
                data = np.stack([samples] * channels, axis=1)
                soundfile.write(buffer, data, 8000, format=suffix, subtype=kind)
                found[f"{kind}{channels}.{suffix}"] = buffer.getvalue()
    return found


def _attack_sounds(valid: Valid, trial: Trial) -> object:
    name, content = _pick(trial.random, valid)
    trial.tried = name
    path = write(trial.folder / name, damaged(trial.random, content))
    return load_audio(path.read_bytes() if trial.random.random() < 0.3 else path, AUDIO)


_SERIES = SeriesSettings(("heat", "load"), (0.0, 0.0), (1.0, 1.0), time_column="when", series_column="series")
_READINGS = (
    _SERIES,
    SeriesSettings(("heat",), (0.0,), (1.0,)),
    SeriesSettings(("value",), (0.0,), (1.0,), wide=WideTable((), ("label",))),
    SeriesSettings(("heat", "load"), (0.0, 0.0), (1.0, 1.0), wide=WideTable(("heat", "load"), ("label",))),
)
_COLUMNS: Mapping[str, Sequence[Any]] = {
    "when": ["2024-01-01T00:00:00", "2024-01-01T00:01:00", "2024-01-01T00:02:00", "2024-01-01T00:03:00"],
    "series": ["a", "a", "b", "b"],
    "heat": [1.5, 2.25, -3.0, 4e-3],
    "load": [1, 2, 3, 4],
    "note": ["x", 'say "no"', "two\nlines", "é, ü; \t"],
}


def _tables(folder: Path) -> Valid:
    import csv

    found = {}
    for delimiter, suffix in ((",", "csv"), (";", "csv"), ("\t", "tsv"), ("\t", "csv")):
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
            text = io.StringIO()
            writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
            writer.writerows([list(_COLUMNS), *zip(*_COLUMNS.values(), strict=True)])
            found[f"{ord(delimiter)}-{quoting}.{suffix}"] = text.getvalue().encode()
    return found


def _attack_tables(valid: Valid, trial: Trial) -> object:
    random = trial.random
    name, content = _pick(random, valid)
    if random.random() < 0.5:
        content = other_text(random, content.decode()).encode("utf-8", "surrogatepass")
    else:
        content = damaged(random, content)
    return _read_all(write(trial.folder / name, content), random)


def _read_all(path: Path, random: Random) -> object:
    if random.random() < 0.5:
        return read_series(path, random.choice(_READINGS))
    table = read_table(path)
    for name in table.columns:
        (table.times if random.random() < 0.3 else table.numbers)(name)
    return table


def _rows(folder: Path) -> list[Mapping[str, Any]]:
    return [dict(zip(_COLUMNS, row, strict=True)) for row in zip(*_COLUMNS.values(), strict=True)]


def _attack_lines(valid: list[Mapping[str, Any]], trial: Trial) -> object:
    random = trial.random
    found = other_json(random, valid) if random.random() < 0.7 else valid
    rows = found if isinstance(found, list) else [found]
    content = b"\n".join(
        json_bytes(random, row) if random.random() < 0.3 else json.dumps(row).encode() for row in rows
    )
    return _read_all(write(trial.folder / "a.jsonl", content), random)


def _parquets(folder: Path) -> Valid:
    import pyarrow
    from pyarrow import parquet

    moments = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"], "datetime64[ms]")
    table = pyarrow.table({**_COLUMNS, "moment": moments, "list": [[1.0], [], None, [2.0, 3.0]]})
    found = {}
    for number, compression in enumerate(("none", "snappy", "zstd", "gzip")):
        path = folder / f"{number}.parquet"
        parquet.write_table(table, path, compression=compression, use_dictionary=bool(number % 2))
        found[path.name] = path.read_bytes()
    return found


def _attack_parquets(valid: Valid, trial: Trial) -> object:
    name, content = _pick(trial.random, valid)
    path = write(trial.folder / name, damaged(trial.random, content))
    if trial.random.random() < 0.4:
        return list(TAGGED_READERS[".parquet"](path))
    return _read_all(path, trial.random)


def _arrays(folder: Path) -> Valid:
    found: dict[str, bytes] = {}
    plain = {name: np.array(_COLUMNS[name]) for name in ("heat", "load", "series", "note")}
    made: Mapping[str, Mapping[str, Any]] = {
        "plain": plain,
        "parts": {"values": np.ones((4, 2)), "times": np.arange(4.0), "name": np.array("a")},
        "deep": {"heat": np.ones((2, 3, 4)), "load": np.zeros(4, np.float16)},
    }
    for name, arrays in made.items():
        for save in (np.savez, np.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, **dict[str, Any](arrays))
            found[f"{name}{len(found)}.npz"] = buffer.getvalue()
    return found


_DTYPES = ("f2", "f4", "f8", "i1", "i8", "u8", "?", "c8", "U3", "S3", "M8[s]", "m8[s]", "V4", ">f4")


def _attack_arrays(valid: Valid, trial: Trial) -> object:
    random = trial.random
    if random.random() < 0.5:
        name, content = _pick(random, valid)
        content = damaged(random, content)
    else:
        arrays = {}
        for key in random.sample(
            ("heat", "load", "when", "series", "values", "times", "name", "known", "rate", "x"), 4
        ):
            shape = random.choice(((), (0,), (1,), (4,), (4, 2), (2, 0), (2, 3, 4)))
            arrays[key] = np.zeros(shape, random.choice(_DTYPES))
        trial.tried = ", ".join(f"{key}: {array.dtype} {array.shape}" for key, array in arrays.items())
        buffer = io.BytesIO()
        np.savez(buffer, **dict[str, Any](arrays))
        name, content = "a.npz", buffer.getvalue()
    return _read_all(write(trial.folder / name, content), random)


_SENTENCES = "-DOCSTART- O O\n\nAda B-PER\nlives O\n# id = 2\nin\tO\nBerlin\tB-LOC\n\nBad O\n"


def _row_files(folder: Path) -> Valid:
    texts = [{"text": text, "label": "01"} for text in ("good film", "a, b", "")]
    lines = "\n".join(map(json.dumps, [*texts, "only text", {"tokens": ["Ada", "lives"]}, {"words": "a b"}]))
    table = 'text;label\ngood film;01\n"a; b\nc";1\n;x\n'
    return {
        "a.jsonl": lines.encode(), "a.csv": table.encode(), "a.tsv": b"words\ttext\nAda lives\tx\n",
        "b.tsv": _SENTENCES.replace(" ", "\t").encode(), "a.conll": _SENTENCES.encode(), "a.bio": _SENTENCES.encode(),
        "a.iob": _SENTENCES.encode(),
    }  # fmt: skip


def _attack_rows(valid: Valid, trial: Trial) -> object:
    random = trial.random
    name, content = _pick(random, valid)
    if random.random() < 0.6:
        content = other_text(random, content.decode()).encode("utf-8", "surrogatepass")
    else:
        content = damaged(random, content)
    path = write(trial.folder / name, content)
    task = _TASKS["entities"]
    answered = 0
    for _, raw in TAGGED_READERS[path.suffix](path):
        answered += _answered(functools.partial(task.encode, raw))
    return answered


def _answered(call: Callable[[], object]) -> bool:
    from edgewright.runtime.errors import InputError

    try:
        call()
    except InputError as error:
        assert len(str(error).splitlines()) == 1, error
        return False
    return True


_TASKS = {
    name: case(name).device_task() for name in ("one label", "pair", "entities", "answers", "vectors", "nli")
}


def _texts(folder: Path) -> Valid:
    pair = json.dumps({"text": "good film", "text_pair": "bad"}).encode()
    asked = json.dumps({"question": "who lives", "context": "Ada lives in Berlin"}).encode()
    return {
        "a.txt": "\ufeffthe film was very good, caf\u00e9".encode(), "pair.json": pair, "asked.json": asked,
        "words.json": b'{"tokens": ["Ada", "lives"]}',
    }  # fmt: skip


def _attack_texts(valid: Valid, trial: Trial) -> object:
    random = trial.random
    task = _TASKS[random.choice(sorted(_TASKS))]
    way = random.randrange(3)
    if way == 0:
        name, content = _pick(random, valid)
        raw: Any = write(trial.folder / name, damaged(random, content))
    elif way == 1:
        raw = other_text(random, "good film " * random.choice((1, 30)))
    else:
        name, content = _pick(random, valid)
        raw = other_json(random, json.loads(content)) if name.endswith("json") else odd_value(random)
    trial.tried = f"{task.name}: {raw!r}"[:500]
    return task.encode(raw)


def _squad(folder: Path) -> Any:
    answer = {"text": "Berlin", "answer_start": 10}
    asked = {"id": "1", "question": "where", "answers": [answer], "is_impossible": False}
    return {
        "version": "2",
        "data": [{"title": "t", "paragraphs": [{"context": "She is in Berlin.", "qas": [asked] * 3}]}],
    }


def _attack_squad(valid: Any, trial: Trial) -> object:
    from edgewright.pipeline.data.text.questions import open_questions
    from edgewright.pipeline.recipe.load import recipe_from_plain

    path = write(trial.folder / "a.json", json_bytes(trial.random, other_json(trial.random, valid)))
    recipe = {"task": "question-answering", "model": "owner/bert", "data": {"source": str(path)}}
    return open_questions(recipe_from_plain(recipe))


def _training_tables(folder: Path) -> Valid:
    rows = [
        (f"text {number} {WORDS[number % 20]}".replace("\n", " "), "ab"[number % 2]) for number in range(30)
    ]
    table = "text,label\n" + "".join(f'"{text.replace(chr(34), "")}",{label}\n' for text, label in rows)
    return {
        "a.csv": table.encode(),
        "b.tsv": table.replace(",", "\t").encode(),
        "a.conll": _SENTENCES.encode() * 4,
    }


def _attack_training_tables(valid: Valid, trial: Trial) -> object:
    from edgewright.pipeline.data.sources import open_data
    from edgewright.pipeline.recipe.load import recipe_from_plain

    random = trial.random
    name, content = _pick(random, valid)
    if random.random() < 0.5:
        content = other_text(random, content.decode()).encode("utf-8", "surrogatepass")
    else:
        content = damaged(random, content)
    path = write(trial.folder / name, content)
    task = "token-classification" if name.endswith("conll") else "text-classification"
    document = {"task": task, "model": "owner/bert", "data": {"source": str(path), "evaluation": 0.3}}
    return open_data(recipe_from_plain(document))


TARGETS = (
    Target("pictures", 11000, _pictures, _attack_pictures),
    Target("sounds", 7000, _sounds, _attack_sounds),
    Target("tables", 7000, _tables, _attack_tables),
    Target("json-lines", 5000, _rows, _attack_lines),
    Target("parquet", 4000, _parquets, _attack_parquets),
    Target("npz", 5000, _arrays, _attack_arrays),
    Target("rows", 4000, _row_files, _attack_rows),
    Target("texts", 6000, _texts, _attack_texts),
    Target("squad", 2000, _squad, _attack_squad),
    Target("training-tables", 1500, _training_tables, _attack_training_tables),
)

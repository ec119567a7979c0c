"""A table means the same to training and to the device, in every form and dialect, and whatever its size."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.files import tables
from edgewright.pipeline.data.files.tables import read_table
from edgewright.pipeline.data.samples import Sample
from edgewright.pipeline.data.series.from_tables import table_recordings
from edgewright.pipeline.data.text.labelled import open_texts
from edgewright.pipeline.data.text.questions import open_questions
from edgewright.pipeline.data.text.tagged import open_tagged_texts
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.series.reading import read_series
from edgewright.runtime.series.settings import SeriesSettings, WideTable
from edgewright.runtime.tables.reading import TABLE_SUFFIXES
from edgewright.runtime.text.raw import Question, TextPair, Words
from edgewright.runtime.text.reading import file_texts, read_parts, read_words
from tests.pipeline.data.small_tables import gestures, open_table, sensors, write_npz, write_parquet
from tests.pipeline.data.small_tables import recipe as recurrent_recipe
from tests.runtime.encoder_bundle import case

Columns = Mapping[str, Sequence[Any]]


def delimited(delimiter: str, **choices: Any) -> Any:
    def write(path: Path, columns: Columns) -> Path:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", **choices)
        writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
        path.write_text(text.getvalue(), encoding=choices.get("encoding", "utf-8"), newline="")
        return path

    return write


def write_lines(path: Path, columns: Columns) -> Path:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


FORMS: dict[str, Any] = {
    "comma.csv": delimited(","),
    "semicolon.csv": delimited(";"),
    "tab.csv": delimited("\t"),
    "tab.tsv": delimited("\t"),
    "quoted.csv": delimited(",", quoting=csv.QUOTE_ALL),
    "lines.jsonl": write_lines,
    "lines.ndjson": write_lines,
    "table.parquet": write_parquet,
    "table.pq": write_parquet,
}
TEXTS = [
    "pump, again",
    "paid; late",
    "a\ttab",
    'she said "no"',
    "two\nlines",
    "01",
    "1.0",
    "nan",
    "None",
    "\u6587 \u00fc",
]


@pytest.fixture(params=["plain", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delimited text is read by either reader."""
    monkeypatch.setattr(tables, "_LARGE", 1 if request.param == "large" else 1 << 40)


def learner(task: str, source: Path, **data: Any) -> Recipe:
    document = {"task": task, "model": "owner/bert", "data": {"source": str(source), **data}}
    return recipe_from_plain(document)


def raws_of(found: Any) -> list[Any]:
    samples: list[Sample] = [sample for split in found.given.values() for sample in split]
    return [sample.raw for sample in samples]


def test_every_ending_is_tried() -> None:
    assert {Path(name).suffix for name in FORMS} == set(TABLE_SUFFIXES) - {".npz"}


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("form", FORMS)
def test_texts(tmp_path: Path, form: str) -> None:
    path = FORMS[form](tmp_path / form, {"label": ["a", "b"] * 5, "text": TEXTS})
    assert raws_of(open_texts(learner("text-classification", path))) == TEXTS
    found = list(file_texts(path))
    assert [read_parts(raw, ("text",)) for _, raw in found] == [(text,) for text in TEXTS]
    numbers = [int(name.removeprefix(f"{path}:")) for name, _ in found]
    if path.suffix in (".parquet", ".pq", ".jsonl", ".ndjson"):
        assert numbers == list(range(1, 11))
    else:
        assert numbers == [2, 3, 4, 5, 7, 8, 9, 10, 11, 12], "the line on which each ends"


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("form", FORMS)
def test_pairs(tmp_path: Path, form: str) -> None:
    columns = {"one": TEXTS, "two": TEXTS[::-1], "label": ["a", "b"] * 5}
    path = FORMS[form](tmp_path / form, columns)
    raws = raws_of(open_texts(learner("text-classification", path, text=["one", "two"])))
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    assert raws == [TextPair(*pair) for pair in pairs]
    names = ("text", "text_pair")
    assert [read_parts(raw, names, ("one", "two")) for _, raw in file_texts(path)] == pairs


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("form", FORMS)
def test_questions(tmp_path: Path, form: str) -> None:
    contexts = [f"The box {number} holds {text}." for number, text in enumerate(TEXTS)]
    columns = {"question": [f"What, {text}?" for text in TEXTS], "context": contexts, "answers": TEXTS}
    path = FORMS[form](tmp_path / form, columns)
    raws = raws_of(open_questions(learner("question-answering", path)))
    wanted = list(zip(columns["question"], contexts, strict=True))
    assert raws == [Question(*one) for one in wanted]
    names = ("question", "context")
    assert [read_parts(raw, names) for _, raw in file_texts(path)] == wanted


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("form", [form for form in FORMS if not form.endswith(".tsv")])
def test_words_of_one_cell(tmp_path: Path, form: str) -> None:
    words = [("Ada", "lives", "in", "01"), ("1.0", "pumps,", '"leak"', ";")]
    path = FORMS[form](
        tmp_path / form, {"words": [" ".join(one) for one in words], "tags": ["B-PER O O O"] * 2}
    )
    raws = raws_of(open_tagged_texts(learner("token-classification", path)))
    assert raws == [" ".join(one) for one in words]
    task = case("entities").device_task()
    assert [read_words(raw) for _, raw in task.inputs(str(path))] == words


@pytest.mark.parametrize("form", ["lines.jsonl", "table.parquet"])
def test_lists_of_words(tmp_path: Path, form: str) -> None:
    words = [["Ada", "lives"], ["a", "01", "1.0"]]
    path = FORMS[form](tmp_path / form, {"words": words, "tags": [["B-PER", "O"], ["O", "O", "O"]]})
    raws = raws_of(open_tagged_texts(learner("token-classification", path)))
    assert raws == [" ".join(one) for one in words]
    task = case("entities").device_task()
    assert [read_words(raw) for _, raw in task.inputs(str(path))] == [tuple(one) for one in words]


@pytest.mark.parametrize("suffix", [".conll", ".bio", ".iob", ".tsv"])
def test_files_of_sentences(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text("-DOCSTART- O\n\nAda\tB-PER\nlives\tO\n\n\n# id = 2\nin\tO\nBerlin\tB-LOC\n".replace(
        "\t", "\t" if suffix == ".tsv" else " "
    ))  # fmt: skip
    raws = raws_of(open_tagged_texts(learner("token-classification", path)))
    found = list(case("entities").device_task().inputs(str(path)))
    assert raws == ["Ada lives", "in Berlin"]
    assert [raw for _, raw in found] == [Words(("Ada", "lives")), Words(("in", "Berlin"))]
    assert [name for name, _ in found] == [f"{path}:3", f"{path}:8"]


SERIES_FORMS = {**FORMS, "table.npz": write_npz}


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("form", SERIES_FORMS)
@pytest.mark.parametrize("task", ["forecasting", "sequence-regression", "sequence-classification"])
def test_series(tmp_path: Path, form: str, task: str) -> None:
    columns = gestures(6) if task == "sequence-classification" else sensors(3, 20)
    name = next(iter(columns))
    columns[name] = [
        {"g00": "007", "g01": "7", "s0": "1.0", "s1": "1"}.get(cell, cell) for cell in columns[name]
    ]
    path = SERIES_FORMS[form](tmp_path / form, columns)
    target = {"forecasting": ["heat"], "sequence-regression": ["flow"]}.get(task)
    sections = {"forecast": {"context": 4, "horizon": 2}} if task == "forecasting" else {}
    time = "hour" if "hour" in columns else None
    recipe = recurrent_recipe(task, path, sections, series=name, time=time, target=target)
    form_name = TABLE_SUFFIXES[path.suffix]
    if form_name == "npz":
        from edgewright.pipeline.data.series.from_arrays import array_recordings

        trained = array_recordings(path, recipe, "t")
    else:
        trained = table_recordings(read_table(path, form_name), recipe, "t")
    features = trained.columns.features
    settings = SeriesSettings(
        features, (0.0,) * len(features), (1.0,) * len(features), series_column=name, time_column=time
    )
    found = read_series(path, settings)
    assert [one.name for one in found] == [one.name for one in trained.series]
    assert {"007", "7"} <= {one.name for one in found} or {"1.0", "1"} <= {one.name for one in found}
    for one, other in zip(found, trained.series, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        if other.times is not None:
            np.testing.assert_array_equal(one.times, other.times)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_series(tmp_path: Path, form: str) -> None:
    steps = np.random.default_rng(0).normal(size=(4, 3))
    columns = {"series": ["01", "1", "1.0", "x"], "label": ["01", "1", "01", "1"]}
    path = FORMS[form](tmp_path / form, columns | {f"t{n}": steps[:, n].tolist() for n in range(3)})
    recipe = recurrent_recipe("sequence-classification", path, layout="wide")
    trained = table_recordings(read_table(path, TABLE_SUFFIXES[path.suffix]), recipe, "t").series
    settings = SeriesSettings(("value",), (0.0,), (1.0,), wide=WideTable((), ("label",)))
    found = read_series(path, settings)
    assert [one.name for one in found] == [one.name for one in trained] == ["01", "1", "1.0", "x"]
    assert [one.labels for one in trained] == [("01",), ("1",), ("01",), ("1",)]
    for one, other, row in zip(found, trained, steps, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.values[:, 0], row)


WRITTEN = {
    "leading zeros": ("01", "02", "1"),
    "with a point": ("1.0", "0.0"),
    "dates": ("2024-01-31", "2024-02-01"),
    "powers": ("1e3", "1000", "+1", "1"),
    "agents": ("007", "7"),
    "words for nothing": ("nan", "None", "NA"),
    "truth": ("true", "TRUE", "1"),
}


@pytest.mark.parametrize("rows", [10, 1000], ids=["small", "beyond 4 MiB"])
@pytest.mark.parametrize("labels", WRITTEN.values(), ids=list(WRITTEN))
def test_classes_are_what_is_written(tmp_path: Path, labels: tuple[str, ...], rows: int) -> None:
    path = tmp_path / "t.csv"
    lines = [
        f"{number},{labels[number % len(labels)]},{number},{row}.5{'0' * (120 if rows > 10 else 0)}\n"
        for number in range(36)
        for row in range(rows)
    ]
    path.write_text("recording,label,x,y\n" + "".join(lines))
    assert (path.stat().st_size > 4 << 20) == (rows > 10)
    splits = open_table("sequence-classification", path, series="recording", evaluation=0.3)
    assert set(splits.classes) == set(labels)


@pytest.mark.parametrize("rows", [10, 1000], ids=["small", "beyond 4 MiB"])
@pytest.mark.parametrize("column", ["recording", "series"])
def test_recordings_are_what_is_written(tmp_path: Path, column: str, rows: int) -> None:
    path = tmp_path / "t.csv"
    names = [f"{number:03d}" for number in range(30)] + [str(number) for number in range(30)]
    filler = "0" * (80 if rows > 10 else 0)
    path.write_text(
        f"{column},label,x\n"
        + "".join(
            f"{name},{'ab'[n % 2]},{n}.5{filler}\n" for n, name in enumerate(names) for _ in range(rows)
        )
    )
    assert (path.stat().st_size > 4 << 20) == (rows > 10)
    named = column if column != "series" else None  # its default name is found
    splits = open_table("sequence-classification", path, series=named, evaluation=0.3)
    assert splits.looked_at == "60 series"


@pytest.mark.parametrize("rows", [20, 30_000], ids=["small", "beyond 4 MiB"])
def test_a_column_is_numbers_by_all_its_cells(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "late,early,mixed,label\n"
        + "".join(
            f"{'' if row < rows // 2 else row},{row if row < rows // 3 else 'word'},{row},{'0' * 150}1\n"
            for row in range(rows)
        )
        + "5,word,high,1\n"
    )
    table = read_table(path, "csv")
    assert [name for name in table.columns if table.is_numeric(name)] == ["late", "mixed", "label"]
    numbers = table.numbers("late")
    assert np.isnan(numbers[: rows // 2]).all() and numbers[-1] == 5
    with pytest.raises(Exception, match=rf"t\.csv: line {rows + 2}: the column 'mixed' holds text .*'high'"):
        table.numbers("mixed")

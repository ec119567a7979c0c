"""Small data of every kind that a recipe can read, made from a seed: photos, sensors, a shop's table, texts, sounds.

    python -m benchmarks.made_data FOLDER

What is to be learnt is easy, so that a few epochs teach it; a few samples are bad, missing or there twice, as in life.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.small_encoders import save_small_checkpoint

_TOPICS = {
    "sport": ("team", "goal", "match", "player", "league", "coach", "won", "lost", "score", "ball"),
    "food": ("bread", "soup", "salt", "oven", "pepper", "cook", "taste", "sweet", "onion", "plate"),
    "music": ("song", "drum", "choir", "piano", "tune", "band", "chord", "sing", "melody", "stage"),
}
_FILLERS = ("the", "a", "of", "and", "was", "it", "very", "with", "for", "an", "old", "new", "this", "that")
_NAMES = ("Ada", "Bo", "Cy", "Eve", "Flo", "Gus", "Ivo", "Jo")
_TOWNS = ("Oslo", "Rome", "Bonn", "Lima", "Cork", "Bern")


def make_data(folder: Path) -> None:
    """Write all of it below `folder`; the same files every time."""
    for number, make in enumerate((_photos, _sensors, _shop, _wide, _texts, _words, _questions, _sounds)):
        make(folder, np.random.default_rng(number))
    _checkpoints(folder)


def _photos(folder: Path, draws: np.random.Generator) -> None:
    """photos/across, photos/down, photos/plain: stripes of any colour, or none. PNG and JPEG; one is no image."""
    from PIL import Image

    waves = np.sin(np.arange(48) * 0.9)[:, np.newaxis, np.newaxis] * 60
    looks = {"across": waves, "down": waves.transpose(1, 0, 2), "plain": np.zeros((48, 48, 1))}
    for name, look in looks.items():
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(40):
            colours = (
                draws.uniform(70, 185, 3) + look * draws.uniform(0.6, 1.4) + draws.normal(0, 12, (48, 48, 3))
            )
            picture = Image.fromarray(colours.clip(0, 255).astype(np.uint8)[: 40 + number % 9])
            picture.save(folder / "photos" / name / f"{number:02d}.{'jpg' if number % 4 == 0 else 'png'}")
    (folder / "photos" / "plain" / "broken.png").write_bytes(b"no picture")
    twice = (folder / "photos" / "down" / "01.png").read_bytes()
    (folder / "photos" / "down" / "again.png").write_bytes(twice)


def _sensors(folder: Path, draws: np.random.Generator) -> None:
    """sensors.csv: recordings of 10 to 20 steps of x and y, some cells empty; each step's load, a label of each."""
    lines = ["recording,time,x,y,load,label"]
    for number in range(90):
        label, steps = ("calm", "shaking", "rising")[number % 3], int(draws.integers(10, 21))
        rise = np.linspace(0, 3, steps) if label == "rising" else np.zeros(steps)
        x = rise + draws.normal(0, 2.0 if label == "shaking" else 0.3, steps)
        y = draws.normal(20, 4, steps)
        load = np.convolve(x + 0.1 * y, [0.5, 0.3, 0.2])[:steps]
        for step in range(steps):
            cell = "" if step and draws.random() < 0.03 else f"{x[step]:.4f}"
            lines.append(f"r{number:02d},{step},{cell},{y[step]:.3f},{load[step]:.4f},{label}")
    (folder / "sensors.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _shop(folder: Path, draws: np.random.Generator) -> None:
    """shop.parquet: five years of weeks of three stores, what they sold, a price, and whether there was a holiday."""
    import pyarrow
    from pyarrow import parquet

    weeks, stores = np.arange(260), ("north", "south", "east")
    holiday = (weeks % 13 == 5).astype(np.int64)
    price = [5 + draws.normal(0, 0.3, weeks.size) for _ in stores]
    sold = [
        scale * (10 + 3 * np.sin(weeks * np.pi / 6) + 4 * holiday - own + draws.normal(0, 0.5, weeks.size))
        for scale, own in zip((1, 4, 0.5), price, strict=True)
    ]
    columns = {
        "store": np.repeat(stores, weeks.size),
        "week": np.tile(weeks, len(stores)),
        "sold": np.concatenate(sold),
        "price": np.concatenate(price),
        "holiday": np.tile(holiday, len(stores)),
    }
    parquet.write_table(pyarrow.table(columns), folder / "shop.parquet")


def _wide(folder: Path, draws: np.random.Generator) -> None:
    """wide.csv: a row for each day, a column for each of four meters. gestures.jsonl: a row for each recording."""
    days = np.arange(240)
    meters = [np.sin(days * 2 * np.pi / 7 + shift) * 5 + 20 + draws.normal(0, 0.5, 240) for shift in range(4)]
    rows = [f"{day}," + ",".join(f"{meter[day]:.3f}" for meter in meters) for day in days]
    (folder / "wide.csv").write_text("\n".join(["day,a,b,c,d", *rows]) + "\n", encoding="utf-8")
    gestures = []
    for number in range(80):
        steps, left = int(draws.integers(5, 12)), number % 2 == 0
        x = np.cumsum(draws.normal(-0.5 if left else 0.5, 0.6, steps)).round(4)
        gestures.append(
            {"x": x.tolist(), "y": draws.normal(size=steps).round(4).tolist(), "label": "lr"[left]}
        )
    _write_lines(folder / "gestures.jsonl", gestures)


def _texts(folder: Path, draws: np.random.Generator) -> None:
    """texts.csv: text and label. several.jsonl: any number of labels. pairs.csv: two texts of one topic, or of two."""
    topics = list(_TOPICS)
    some = [(topics[number % 3], _sentence(draws, [topics[number % 3]])) for number in range(150)]
    text = "text,label\n" + "".join(f"{words},{label}\n" for label, words in some)
    (folder / "texts.csv").write_text(text, encoding="utf-8")
    several = []
    for _ in range(150):
        labels = [topic for topic in topics if draws.random() < 0.5] or [topics[0]]
        several.append({"text": _sentence(draws, labels), "label": "|".join(labels)})
    _write_lines(folder / "several.jsonl", several)
    pairs = ["first,second,label"]
    for number in range(150):
        one = topics[number % 3]
        two = one if number % 2 else topics[(number + 1) % 3]
        pairs.append(
            f"{_sentence(draws, [one])},{_sentence(draws, [two])},{'same' if one == two else 'other'}"
        )
    (folder / "pairs.csv").write_text("\n".join(pairs) + "\n", encoding="utf-8")


def _sentence(draws: np.random.Generator, topics: Sequence[str]) -> str:
    count = int(draws.integers(4, 24))
    words = [_FILLERS[draws.integers(len(_FILLERS))] for _ in range(count)]
    for topic in [*topics] * (1 + count // 8):
        words[draws.integers(count)] = _TOPICS[topic][draws.integers(10)]
    return " ".join(words)


def _words(folder: Path, draws: np.random.Generator) -> None:
    """words.conll: sentences with people and towns."""
    blocks = []
    for _ in range(100):
        name, town = _NAMES[draws.integers(len(_NAMES))], _TOWNS[draws.integers(len(_TOWNS))]
        filler = [f"{_FILLERS[draws.integers(len(_FILLERS))]} O" for _ in range(draws.integers(1, 12))]
        blocks.append([f"{name} B-PER", "Berg I-PER", "lives O", "in O", f"{town} B-LOC", *filler, ". O"])
    text = "\n\n".join("\n".join(block) for block in blocks)
    (folder / "words.conll").write_text(text + "\n", encoding="utf-8")


def _questions(folder: Path, draws: np.random.Generator) -> None:
    """questions.json in the form of SQuAD 2: who lives where, and some that the text does not answer."""
    paragraphs = []
    for number in range(50):
        name, town = _NAMES[draws.integers(len(_NAMES))], _TOWNS[draws.integers(len(_TOWNS))]
        context = f"{_sentence(draws, ['food'])} . {name} lives in {town} . {_sentence(draws, ['music'])}"
        asked = [("who lives there", name), ("where is the home", town), ("when was it", "")]
        answers = [[{"text": text, "answer_start": context.index(text)}] if text else [] for _, text in asked]
        questions = [
            {"id": f"q{number}-{place}", "question": question, "answers": found, "is_impossible": not found}
            for place, ((question, _), found) in enumerate(zip(asked, answers, strict=True))
        ]
        paragraphs.append({"context": context, "qas": questions})
    document = {"version": "v2.0", "data": [{"title": "homes", "paragraphs": paragraphs}]}
    (folder / "questions.json").write_text(json.dumps(document), encoding="utf-8")


def _sounds(folder: Path, draws: np.random.Generator) -> None:
    """sounds/high, sounds/low, sounds/noise: a third of a second or more, at 8 kHz, a few at 16."""
    import soundfile

    for name in ("high", "low", "noise"):
        (folder / "sounds" / name).mkdir(parents=True)
        for number in range(30):
            rate = 16000 if number % 7 == 0 else 8000
            time = np.arange(int(rate * draws.uniform(0.3, 0.6))) / rate
            tone = np.sin(2 * np.pi * time * draws.uniform(*((900, 1400) if name == "high" else (200, 400))))
            wave: NDArray[np.float64] = draws.normal(0, 0.3, time.size) + tone * (name != "noise")
            soundfile.write(folder / "sounds" / name / f"{number:02d}.wav", 0.3 * wave.clip(-3, 3), rate)


def _checkpoints(folder: Path) -> None:
    """bert: a bare encoder; nli: one with the head of natural language inference. Random weights of a fair scale."""
    words = [
        *_FILLERS,
        *(word for topic in _TOPICS.values() for word in topic),
        *_NAMES,
        *_TOWNS,
        "lives",
        "in",
    ]
    texts = [" ".join(words)] * 3
    save_small_checkpoint(folder / "bert", "bert", texts)
    labels = ("contradiction", "neutral", "entailment")
    save_small_checkpoint(folder / "nli", "bert", texts, "text", labels, seed=1)


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    make_data(Path(sys.argv[1]))

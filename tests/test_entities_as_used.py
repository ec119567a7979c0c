"""Entities judged as they are used: what a verdict says is what a device answers to the sentences as raw text."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.small_encoders import save_small_checkpoint
from edgewright.exporters.verdict import Verdict
from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.recipe.load import load_recipe
from edgewright.pipeline.stages.export import ship
from edgewright.runtime import Engine

Row = tuple[list[str], list[str]]

ODD = {
    "MAIL": ("user@host.org", "ann.lee@post-box.net", "x_y@mail.io"),
    "FIRM": ("AT&T", "Yahoo!", "3M", "C&A"),
    "SIZE": ("3.5mm", "1,000.50", "5''", "12%"),
    "TAG": ("#tag", "#rock'n'roll", "@bob_7"),
    "CITY": ("東京", "大阪市", "New York", "Sankt-Pölten"),
}
FRAMES = (
    "please write to {MAIL} about the e-mail",
    "they say {FIRM} sold a bolt of {SIZE}",
    "the post {TAG} by {MAIL} came from {CITY} .",
    "in {CITY} , {FIRM} pays {SIZE} more !",
    "nothing new in {CITY} ; we wait",
    "see {TAG} and {TAG} ( not {SIZE} )",
)


def sentence(draw: random.Random) -> Row:
    """Words, parted as a file has them, and their tags."""
    words: list[str] = []
    tags: list[str] = []
    for part in draw.choice(FRAMES).split():
        kind = part.strip("{}")
        found = draw.choice(ODD[kind]).split() if kind in ODD else [part]
        words += found
        tags += [f"{'I' if place else 'B'}-{kind}" if kind in ODD else "O" for place in range(len(found))]
    return words, tags


def true_spans(words: Sequence[str], tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """The entities of a sentence whose words are parted by spaces, in characters."""
    found: list[tuple[int, int, str]] = []
    start = 0
    for word, tag in zip(words, tags, strict=True):
        if tag[0] == "B":
            found.append((start, start + len(word), tag[2:]))
        elif tag[0] == "I":
            found[-1] = (found[-1][0], start + len(word), tag[2:])
        start += len(word) + 1
    return set(found)


def spans_in(answer: Any) -> set[tuple[int, int, str]]:
    return {(one.start, one.end, one.label) for one in answer.entities}


def f1(pairs: Sequence[tuple[set[Any], set[Any]]]) -> float:
    hits = sum(len(ours & theirs) for ours, theirs in pairs)
    return 2 * hits / sum(len(ours) + len(theirs) for ours, theirs in pairs)


def in_bytes(folder: Path, texts: Sequence[str]) -> Path:
    """A small RoBERTa with a tokenizer as it has one: a word's token begins with the space before it."""
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing
    from transformers import PreTrainedTokenizerFast

    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer: Any = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=500, special_tokens=marks, show_progress=False)
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    save_small_checkpoint(folder, "roberta", texts, vocab_size=tokenizer.get_vocab_size())
    build: Any = PreTrainedTokenizerFast
    build(
        tokenizer_object=tokenizer._tokenizer,
        bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>",
        pad_token="<pad>", mask_token="<mask>", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@dataclass(frozen=True)
class Shipped:
    """A bundle, what was said of it, and the sentences that it was judged with."""

    bundle: Path
    run: Path
    verdict: Verdict
    judged: list[Row]


@pytest.fixture(scope="module", params=["bert", "bytes"])
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    folder, draw = tmp_path_factory.mktemp(request.param), random.Random(3)
    rows = [sentence(draw) for _ in range(400)]
    texts = [" ".join(words) for words, _ in rows]
    model = (
        in_bytes(folder / "model", texts)
        if request.param == "bytes"
        else save_small_checkpoint(folder / "model", "bert", texts)
    )
    lines = "\n".join("".join(f"{word} {tag}\n" for word, tag in zip(*row, strict=True)) for row in rows)
    (folder / "train.conll").write_text(lines, encoding="utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"task: token-classification\nmodel: {model}\nweights: none\ndata: train.conll\n"
        "transfer: {unfreeze: all}\ntraining: {epochs: 24, lr: 2e-3}\nvariants: [fp32]\n"
    )
    outcome = ship(recipe, folder / "bundle", folder / "run")
    assert outcome.bundle is not None, outcome.verdict.reason
    by_text = dict(zip(texts, rows, strict=True))
    judged = [by_text[sample.raw] for sample in open_data(load_recipe(recipe)).evaluation]
    return Shipped(outcome.bundle, folder / "run", outcome.verdict, judged)


def test_a_verdict_says_what_is_answered_to_raw_text(shipped: Shipped) -> None:
    row = shipped.verdict.row("fp32")
    with Engine(shipped.bundle, threads=1) as engine:
        answers = [engine(" ".join(words)) for words, _ in shipped.judged]
        listed = engine([" ".join(words) for words, _ in shipped.judged])
    truths = [true_spans(*one) for one in shipped.judged]
    found = f1(list(zip(map(spans_in, answers), truths, strict=True)))
    assert found == pytest.approx(row.metric) and found > 0.9
    assert f1(list(zip(map(spans_in, listed), truths, strict=True))) == pytest.approx(row.metric_in_list)
    trained = json.loads((shipped.run / "metrics.json").read_text())["evaluation"]
    assert trained["span-f1"] == pytest.approx(row.metric_torch)
    assert trained["spans"] == sum(map(len, truths))
    assert trained["words"] == sum(len(words) for words, _ in shipped.judged)


def test_words_that_are_given_have_a_label_each(shipped: Shipped) -> None:
    with Engine(shipped.bundle, threads=1) as engine:
        answers = [engine({"tokens": words}) for words, _ in shipped.judged]
    right = total = 0
    for answer, (words, tags) in zip(answers, shipped.judged, strict=True):
        assert [word.text for word in answer.words] == words and len(answer.tags) == len(tags)
        right += sum(one == other for one, other in zip(answer.tags, tags, strict=True))
        total += len(tags)
    assert right > 0.95 * total


def test_text_as_people_write_it(shipped: Shipped) -> None:
    """Without the space that a file puts before punctuation."""
    wanted = [
        ("see #rock'n'roll and #tag (not 12%)", ["#rock'n'roll", "#tag", "12%"]),
        ("in 東京, 3M pays 3.5mm more!", ["東京", "3M", "3.5mm"]),
        ("the post @bob_7 by user@host.org came from New York.", ["@bob_7", "user@host.org", "New York"]),
    ]
    with Engine(shipped.bundle, threads=1) as engine:
        found = [[one.text for one in engine(text).entities] for text, _ in wanted]
    assert sum(one == entities for one, (_, entities) in zip(found, wanted, strict=True)) >= 2, found


def test_golden_samples_are_raw_texts(shipped: Shipped) -> None:
    texts = {path.read_text(encoding="utf-8") for path in (shipped.bundle / "golden").glob("*.txt")}
    assert texts and texts <= {" ".join(words) for words, _ in shipped.judged}

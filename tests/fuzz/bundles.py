"""Targets that open a bundle: its manifest, its files, what stands in them, the state of a stream."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from edgewright.runtime import Engine, open_bundle, selftest
from edgewright.runtime.bundle.files import sha256_of_bytes
from edgewright.runtime.bundle.manifest import MANIFEST_NAME, manifest_from_json, sealed_json
from edgewright.runtime.errors import BundleError
from edgewright.runtime.text.encoding import EncoderTokenizer
from tests.fuzz.damage import damaged, json_bytes, odd_value, other_json, write
from tests.fuzz.trial import Target, Trial
from tests.runtime import encoder_bundle, recurrent_bundle
from tests.runtime.small_bundle import make_bundle


def made_bundles(folder: Path) -> list[Path]:
    """A bundle of each kind."""
    os.environ["EDGEWRIGHT_CACHE"] = "off"
    found = [make_bundle(folder / "colours")]
    for name in ("entities", "answers", "pair", "nearest label"):
        found.append(encoder_bundle.make_encoder_bundle(folder / name, encoder_bundle.case(name)))
    for task in ("sequence-classification", "forecasting", "audio-classification", "text-classification"):
        found.append(recurrent_bundle.make_recurrent_bundle(folder / task, recurrent_bundle.case(task)))
    return found


def document_of(bundle: Path) -> dict[str, Any]:
    """The manifest as plain JSON."""
    document: dict[str, Any] = json.loads((bundle / MANIFEST_NAME).read_bytes())
    return document


def _sealed(document: Any) -> bytes:
    """A manifest whose digest is right, where it can have one."""
    try:
        return sealed_json(document).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, AttributeError):
        return json.dumps(document).encode()


def _attack_manifest(bundles: Sequence[Path], trial: Trial) -> object:
    random = trial.random
    bundle = random.choice(bundles)
    if random.random() < 0.3:
        return manifest_from_json(damaged(random, (bundle / MANIFEST_NAME).read_bytes()))
    return manifest_from_json(_sealed(other_json(random, document_of(bundle))))


def _attack_settings(bundles: Sequence[Path], trial: Trial) -> object:
    """Other values in a manifest whose digest is right: what opens has to answer, or to say why not."""
    random = trial.random
    bundle = random.choice(bundles)
    document = document_of(bundle)
    part = random.choice(
        ("processor", "processor", "labels", "graphs", "golden", "variants", "all", "assets")
    )
    if part == "all":
        document = other_json(random, document)
    elif document.get(part):
        document[part] = other_json(random, document[part], 2)
    trial.tried = f"{bundle.name}: {part}"
    copy = trial.folder / "bundle"
    shutil.copytree(bundle, copy)
    write(copy / MANIFEST_NAME, _sealed(document))
    return _use(copy, random)


def _use(bundle: Path, random: Random) -> object:
    opened = open_bundle(bundle)
    if random.random() < 0.5:
        return selftest(opened, threads=1)
    with Engine(opened, threads=1, cache=False) as engine:
        for sample in opened.manifest.golden.samples[:2]:
            engine(opened.path(sample.file)).line()
        if opened.manifest.streaming is not None:
            with engine.stream() as stream:
                for piece in engine.task.pieces(opened.path(opened.manifest.golden.samples[0].file)):
                    stream.push(piece)
    return None


def _spoil(random: Random, file: Path, other: Path) -> None:
    """Alter a file, put another in its place, or something that is no file."""
    way = random.randrange(10)
    if way < 3:
        file.write_bytes(damaged(random, file.read_bytes()))
    elif way == 3:
        file.write_bytes(other.read_bytes())
    elif way == 4:
        write(file.with_name("extra"), b"")
    elif way == 5:
        os.truncate(file, random.choice((0, 1, 1 << 30)))
    else:
        file.unlink()
        if way == 6:
            file.mkdir()
        elif way == 7:
            file.symlink_to(other)
        elif way == 8:
            file.hardlink_to(other)
        elif random.random() < 0.5:
            os.mkfifo(file)


def _attack_files(bundles: Sequence[Path], trial: Trial) -> object:
    """Any file altered behind the manifest's back: never opened."""
    random = trial.random
    bundle = random.choice(bundles)
    copy = trial.folder / "bundle"
    shutil.copytree(bundle, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    random.shuffle(files)
    before = {path: path.read_bytes() for path in files}
    trial.tried = f"{bundle.name}/{files[0].relative_to(copy)}"
    _spoil(random, *files[:2])
    opened = open_bundle(copy)
    after = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert after == before, "an altered bundle opens"
    return opened


def _attack_contents(bundles: Sequence[Path], trial: Trial) -> object:
    """Any file but a graph altered, with its right digest in the manifest: parsed as it stands."""
    random = trial.random
    bundle = random.choice(bundles)
    document = document_of(bundle)
    entries = [entry for entry in document["files"] if not entry["path"].endswith(".onnx")]
    entry = random.choice(entries)
    content = (bundle / entry["path"]).read_bytes()
    if entry["path"].endswith(".json") and random.random() < 0.6:
        content = json_bytes(random, other_json(random, json.loads(content)))
    elif entry["path"].endswith(".safetensors") and random.random() < 0.6:
        content = other_header(random, content)
    else:
        content = damaged(random, content)
    trial.tried = f"{bundle.name}/{entry['path']}"
    return _use(_with_file(bundle, trial.folder / "bundle", document, entry, content), random)


def _attack_graphs(bundles: Sequence[Path], trial: Trial) -> object:
    random = trial.random
    bundle = random.choice(bundles)
    document = document_of(bundle)
    entry = random.choice([entry for entry in document["files"] if entry["path"].endswith(".onnx")])
    content = damaged(random, (bundle / entry["path"]).read_bytes(), 3)
    trial.tried = f"{bundle.name}/{entry['path']}"
    return _use(_with_file(bundle, trial.folder / "bundle", document, entry, content), random)


def _with_file(
    bundle: Path, copy: Path, document: dict[str, Any], entry: dict[str, Any], content: bytes
) -> Path:
    shutil.copytree(bundle, copy)
    write(copy / entry["path"], content)
    entry |= {"sha256": sha256_of_bytes(content), "size": len(content)}
    write(copy / MANIFEST_NAME, _sealed(document))
    return copy


_DTYPES = (
    "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F4", "F6_E2M3", "I64", "I32", "I8", "U8", "U64", "BOOL",
    "C64", "X",
)  # fmt: skip


def other_header(random: Random, content: bytes) -> bytes:
    """A safetensors file with another header."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    names = [name for name in header if name != "__metadata__"]
    if random.random() < 0.5:
        entry = header[random.choice(names)]
        start = entry["data_offsets"][0]
        kind = random.choice(_DTYPES)
        length = {"F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}.get(
            kind, 1
        )
        count = (entry["data_offsets"][1] - start) // length
        entry |= {"dtype": kind, "shape": random.choice(([count], [1, count], [count, 1], [0], []))}
    else:
        header = other_json(random, header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def _tokenizers(folder: Path) -> list[tuple[Any, dict[str, Any]]]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "good": 3, "g": 4, "##o": 5, "##d": 6, "bad": 7}
    pieces = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    pieces.normalizer, pieces.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    pieces.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    pairs = Tokenizer(models.BPE({"g": 0, "o": 1, "go": 2, "d": 3, "Ġ": 4}, [("g", "o")], unk_token=None))
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel()
    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("good", -2.0), ("o", -3.0)], 0))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    settings = encoder_bundle.case("vectors").settings
    bare = type(settings)(max_tokens=12, inputs=settings.inputs[:2])
    own = json.loads(encoder_bundle.tokenizer_json())
    others = [json.loads(one.to_str()) for one in (pieces, pairs, unigram)]
    return [(settings, own), *((bare, other) for other in others)]


def _attack_tokenizers(valid: Sequence[tuple[Any, dict[str, Any]]], trial: Trial) -> object:
    settings, document = trial.random.choice(valid)
    content = json_bytes(trial.random, other_json(trial.random, document))
    tokenizer = EncoderTokenizer(content, settings)
    texts = ["good film", "Ada lives in Berlin " * 5, "é😀\u202e"]
    return [
        tokenizer.sample([tokens], [text])
        for tokens, text in zip(tokenizer.tokens(texts), texts, strict=True)
    ]


def _state_of(folder: Path) -> tuple[Path, bytes]:
    os.environ["EDGEWRIGHT_CACHE"] = "off"
    bundle = recurrent_bundle.make_recurrent_bundle(
        folder / "b", recurrent_bundle.case("sequence-classification")
    )
    with Engine(bundle, threads=1) as engine, engine.stream() as stream:
        for row in recurrent_bundle.series_values(3):
            stream.push(row)
        stream.save(folder / "state")
    return bundle, (folder / "state").read_bytes()


_ENGINES: dict[Path, Engine] = {}


def _attack_states(valid: tuple[Path, bytes], trial: Trial) -> object:
    bundle, content = valid
    if bundle not in _ENGINES:
        _ENGINES[bundle] = Engine(bundle, threads=1)
    random = trial.random
    content = other_header(random, content) if random.random() < 0.5 else damaged(random, content)
    path = write(trial.folder / "state", content)
    with _ENGINES[bundle].stream() as stream:
        stream.restore(path)
        return stream.push(recurrent_bundle.series_values(1)[0])


def _attack_structure(valid: Mapping[str, Any], trial: Trial) -> object:
    """Anything at all where a manifest is expected."""
    content = json_bytes(trial.random, odd_value(trial.random))
    write(trial.folder / "b" / MANIFEST_NAME, content)
    try:
        open_bundle(trial.folder / "b")
    except BundleError:
        return None
    raise AssertionError("nonsense opens")


TARGETS = (
    Target("manifest", 6000, made_bundles, _attack_manifest),
    Target("manifest-settings", 2000, made_bundles, _attack_settings),
    Target("bundle-files", 2000, made_bundles, _attack_files),
    Target("bundle-contents", 2000, made_bundles, _attack_contents),
    Target("graphs", 1500, made_bundles, _attack_graphs),
    Target("nonsense", 3000, lambda folder: {}, _attack_structure),
    Target("tokenizer", 5000, _tokenizers, _attack_tokenizers),
    Target("stream-state", 3000, _state_of, _attack_states),
)

"""`edgewright predict`: files, folders, a bad one among good ones."""

from pathlib import Path

import pytest

from edgewright.runtime import open_bundle
from tests.command import Call, Shipped


def golden(shipped: Shipped) -> list[tuple[Path, str]]:
    """The golden files with the labels that torch gave them."""
    manifest = open_bundle(shipped.bundle).manifest
    return [
        (shipped.bundle / sample.file, manifest.labels[decision])
        for sample, decision in zip(manifest.golden.samples, manifest.golden.decisions, strict=True)
    ]


def test_several_files_are_answered_in_order(cli: Call, shipped: Shipped) -> None:
    wanted = golden(shipped)
    answer = cli("predict", shipped.bundle, *(file for file, _ in wanted))
    assert (answer.code, answer.err) == (0, "")
    lines = [line.split() for line in answer.out.splitlines()]
    assert [(line[0], line[1]) for line in lines] == [(str(file), label) for file, label in wanted]
    assert all(25 < float(line[2].removesuffix("%")) <= 100 for line in lines)


def test_a_folder_and_a_file_as_json(cli: Call, shipped: Shipped) -> None:
    wanted = golden(shipped)
    first = wanted[0][0]
    answer = cli(
        "predict", shipped.bundle, shipped.bundle / "golden", first, "--json", "--top", 3, "--variant", "fp32"
    )
    assert (answer.code, answer.err) == (0, "")
    assert answer.json.keys() == {"variant", "provider", "answers"}
    assert (answer.json["variant"], answer.json["provider"]) == ("fp32", "cpu")
    answers = answer.json["answers"]
    assert [(Path(entry["input"]), entry["labels"][0]["label"]) for entry in answers] == [*wanted, wanted[0]]
    for entry in answers:
        chances = [label["probability"] for label in entry["labels"]]
        assert len(chances) == 3
        assert chances == sorted(chances, reverse=True)
        assert entry["labels"][0].keys() == {"label", "index", "probability"}


def test_more_labels_than_there_are_gives_all(cli: Call, shipped: Shipped) -> None:
    answer = cli("predict", shipped.bundle, golden(shipped)[0][0], "--top", 99)
    assert len(answer.out.split()) == 1 + 2 * 4


def test_a_bad_file_hides_none_of_the_others(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    files = [file for file, _ in golden(shipped)]
    torn, empty, missing = tmp_path / "torn.png", tmp_path / "empty.jpg", tmp_path / "missing.png"
    torn.write_bytes(files[0].read_bytes()[:60])
    empty.touch()
    (tmp_path / "no images").mkdir()
    answer = cli("predict", shipped.bundle, files[0], torn, missing, tmp_path / "no images", empty, files[1])
    assert answer.code == 1
    assert [line.split()[0] for line in answer.out.splitlines()] == [str(files[0]), str(files[1])]
    named = answer.err.splitlines()
    assert len(named) == 4
    for line, path in zip(named, (torn, missing, tmp_path / "no images", empty), strict=True):
        assert line.startswith("edgewright: ")
        assert str(path) in line


def test_bad_files_stand_in_the_json_too(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    answer = cli("predict", shipped.bundle, tmp_path, golden(shipped)[0][0], "--json")
    assert answer.code == 1
    bad, good = answer.json["answers"]
    assert bad.keys() == {"input", "error"}
    assert good.keys() == {"input", "labels"}
    assert answer.err == f"edgewright: {bad['error']}\n"


def test_a_name_with_control_characters_cannot_break_the_line(
    cli: Call, shipped: Shipped, tmp_path: Path
) -> None:
    (tmp_path / "a\n\x1b[31m.png").write_text("no picture")
    answer = cli("predict", shipped.bundle, tmp_path)
    assert (answer.code, len(answer.err.splitlines())) == (1, 1)
    assert "\x1b" not in answer.err


def test_an_unknown_variant_is_named_with_those_there_are(cli: Call, shipped: Shipped) -> None:
    line = cli("predict", shipped.bundle, shipped.bundle / "golden", "--variant", "int9").error()
    assert "no variant 'int9': choose one of auto, fp32" in line


def test_what_is_not_a_bundle_is_one_line(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    assert "does not exist" in cli("predict", tmp_path / "none", "x.png").error()
    assert "has no edgewright.json" in cli("predict", tmp_path, "x.png").error()
    assert "not a folder" in cli("predict", shipped.recipe, "x.png").error()


def test_an_altered_bundle_answers_nothing(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    bundle = shipped.copy_bundle(tmp_path / "bundle")
    graph = bundle / "onnx" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[-100] ^= 1
    graph.write_bytes(content)
    assert (
        "onnx/model.onnx in the bundle has been altered" in cli("predict", bundle, bundle / "golden").error()
    )


def test_cuda_without_a_gpu_is_an_error_and_no_fallback(cli: Call, shipped: Shipped) -> None:
    from edgewright.runtime.graphs.probe import probe_providers

    answer = cli("predict", shipped.bundle, golden(shipped)[0][0], "--provider", "cuda")
    if any("CUDA" in name and starts for name, starts, _ in probe_providers()):
        assert answer.code == 0
    else:
        assert "choose --provider cpu" in answer.error()


@pytest.mark.parametrize(
    "option", [("--top", 0), ("--threads", 0), ("--threads", 100_000), ("--provider", "tpu")]
)
def test_impossible_options_exit_2(cli: Call, shipped: Shipped, option: tuple[str, object]) -> None:
    answer = cli("predict", shipped.bundle, "x.png", *option)
    assert (answer.code, answer.out) == (2, "")


def test_torch_is_never_loaded(shipped: Shipped) -> None:
    """In a process of its own: this one has torch already."""
    import subprocess
    import sys

    from tests.command import environment

    program = (
        "import sys\nfrom edgewright.pipeline.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    for words in (["predict", shipped.bundle, shipped.bundle / "golden"], ["verify", shipped.bundle]):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, words)],
            capture_output=True, text=True, check=True, env=environment(),
        )  # fmt: skip
        assert not {"torch", "onnx", "transformers", "rich", "pydantic"} & set(done.stderr.split())
        assert "onnxruntime" in done.stderr.split()

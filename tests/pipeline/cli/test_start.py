"""What a person meets first: no arguments, help, a mistyped command; and how light all that is."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.pipeline.cli.main import COMMANDS
from tests.command import COMMAND, Call, environment, run_anew

HEAVY = {
    "accelerate", "onnx", "onnxruntime", "onnxscript", "optimum", "pydantic", "scipy", "sklearn", "timm", "torch",
    "torchmetrics", "torchvision", "transformers", "yaml",
}  # fmt: skip


def test_alone_it_says_how_to_write_a_recipe(
    cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = cli()
    assert (answer.code, answer.err) == (0, "")
    assert "write recipe.yaml" in answer.out
    assert "edgewright ship recipe.yaml --out bundle/" in answer.out


def test_beside_a_recipe_it_says_to_ship_it(
    cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("services: {}\n")
    (tmp_path / "digits.yml").write_text("task: image-classification\n")
    assert "Next step: edgewright ship digits.yml --out bundle/" in cli().out


def test_beside_a_bundle_it_says_to_predict(
    cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "edgewright.json").write_text("{}")
    assert "Next step: edgewright predict digits INPUT" in cli().out


def test_a_mistyped_command_gets_the_near_one(cli: Call) -> None:
    answer = cli("predit", "bundle")
    assert (answer.code, answer.out) == (2, "")
    assert "No such command 'predit'. Did you mean 'predict'?" in answer.err
    assert "Did you mean" not in cli("qqqq").err


def test_help_names_every_command_and_the_exit_statuses(cli: Call) -> None:
    answer = cli("--help")
    assert answer.code == 0
    for name, text in COMMANDS.items():
        assert f"  {name} " in answer.out
        assert text.split()[0] in answer.out
    assert "Exit status: 0 done, 1 something is" in answer.out


def test_the_version_is_the_package_s(cli: Call) -> None:
    from importlib.metadata import version

    assert cli("--version").out.strip() == f"edgewright, version {version('edgewright')}"


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_exits_2_with_the_usage(cli: Call, name: str) -> None:
    answer = cli(name, "--no-such-option")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"Usage: edgewright {name}")
    assert "No such option" in answer.err


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("models", "doctor")])
def test_a_missing_argument_exits_2(cli: Call, name: str) -> None:
    answer = cli(name)
    assert (answer.code, answer.out) == (2, "")
    assert "Missing argument" in answer.err


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_loads_nothing_heavy(name: str) -> None:
    program = (
        "import json, sys\nfrom edgewright.pipeline.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    words = [*([name] if name else []), "--help"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: edgewright")
    assert not HEAVY & set(json.loads(done.stderr))


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_takes_less_than_three_tenths_of_a_second(name: str) -> None:
    def seconds() -> float:
        words = [*COMMAND, *([name] if name else []), "--help"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return used.ru_utime + used.ru_stime

    assert statistics.median(seconds() for _ in range(5)) < 0.3


def test_a_reader_that_goes_away_is_no_trouble() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "No space left on device" in done.stderr


def test_shell_completion_offers_the_commands() -> None:
    answer = run_anew(
        env=environment(_EDGEWRIGHT_COMPLETE="bash_complete", COMP_WORDS="edgewright ", COMP_CWORD="1")
    )
    assert {line.split(",")[1] for line in answer.out.splitlines()} == set(COMMANDS)

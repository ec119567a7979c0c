"""Targets that are whole commands, in this process: words, options and files of any kind."""

import contextlib
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from edgewright.runtime.errors import EdgewrightError
from tests.fuzz.bundles import made_bundles
from tests.fuzz.damage import WORDS, damaged, other_text, write
from tests.fuzz.trial import Target, Trial
from tests.fuzz.workstation import ROOT, damaged_run

_OPTIONS = (
    "--json", "--stream", "--top", "--variant", "--provider", "--threads", "--out", "--labels", "--help", "--against",
    "--timeout", "--format", "--set", "-", "--", "-x", "--top=2", "--threads=1", "--variant=fp32", "--provider=cpu",
)  # fmt: skip
_WORDS = (
    *WORDS,
    "3",
    "-1",
    "0",
    "auto",
    "fp32",
    "cpu",
    "cuda",
    "json",
    "csv",
    "a,b",
    "1e9",
    "a good film",
    "none.png",
)


def call(words: Sequence[str]) -> int:
    """Run a command; its exit status. Raises `AssertionError` for what no command may say."""
    from edgewright.pipeline.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(words))
        except SystemExit as left:
            code = left.code
    said = err.getvalue()
    assert code in (0, 1, 2, 3), f"exit status {code}: {said[-2000:]}"
    assert "Traceback" not in said and "internal error" not in said, said[-3000:]
    assert code == 0 or said or out.getvalue(), "says nothing"
    assert "Warning" not in said, said[-2000:]
    return int(code or 0)


def _bundles(folder: Path) -> list[Path]:
    return made_bundles(folder)


def _file(bundle: Path, trial: Trial) -> str:
    """A golden input, damaged or not, or a word."""
    random = trial.random
    source = random.choice(sorted((bundle / "golden").iterdir()))
    way = random.randrange(5)
    if way == 0:
        return str(source)
    if way == 1:
        return random.choice(_WORDS)
    if way == 2:
        return str(bundle / "golden")
    name = (
        source.name
        if random.random() < 0.8
        else f"a{random.choice(('.csv', '.jsonl', '.txt', '.wav', '', '.json'))}"
    )
    return str(write(trial.folder / f"{random.randrange(9)}-{name}", damaged(random, source.read_bytes(), 3)))


def _attack_predict(bundles: Sequence[Path], trial: Trial) -> object:
    random = trial.random
    bundle = random.choice(bundles)
    words = ["predict", str(bundle), *(_file(bundle, trial) for _ in range(random.randint(1, 3)))]
    return _call(words, trial)


def _attack_verify(bundles: Sequence[Path], trial: Trial) -> object:
    random = trial.random
    bundle = random.choice(bundles)
    if random.random() < 0.5:
        copy = trial.folder / "bundle"
        shutil.copytree(bundle, copy)
        path = random.choice(sorted(path for path in copy.rglob("*") if path.is_file()))
        path.write_bytes(damaged(random, path.read_bytes(), 2))
        bundle = copy
    words = ["verify", str(bundle)]
    if random.random() < 0.2:
        words += ["--against", str(trial.folder)]
    return _call(words, trial)


def _attack_words(bundles: Sequence[Path], trial: Trial) -> object:
    """Any command with words that mean nothing; none that trains or measures."""
    random = trial.random
    name = random.choice(("predict", "verify", "models", "layers", "predict", "x", "", "export"))
    words = [name, *(random.choice(_WORDS) for _ in range(random.randrange(3)))]
    return _call(words, trial)


def _call(words: list[str], trial: Trial) -> object:
    random = trial.random
    for _ in range(random.choice((0, 0, 1, 2))):
        words.insert(random.randint(1, len(words)), random.choice(_OPTIONS))
        if random.random() < 0.5:
            words.append(random.choice(_WORDS))
    words = [word.replace("\0", "") for word in words]  # no shell can pass one on
    trial.tried = f"edgewright {words}"[:2000]
    with contextlib.chdir(trial.folder):
        if call(words):
            raise EdgewrightError("the command has said what is wrong")
    return None


def _run(folder: Path) -> Path:
    return ROOT / "tests" / "pipeline" / "stages" / "old_run" / "run"


def _attack_export(valid: Path, trial: Trial) -> object:
    run = damaged_run(valid, trial)
    told = trial.tried
    words = ["export", str(run), "--out", str(trial.folder / "bundle"), "--variants", "fp32"]
    with contextlib.chdir(trial.folder):
        trial.tried = told
        if call(words):
            raise EdgewrightError("the command has said what is wrong")
    return None


def _attack_recipe_words(valid: Path, trial: Trial) -> object:
    """A broken recipe for the commands that begin with one: refused before anything is trained."""
    random = trial.random
    text = other_text(random, (ROOT / "examples" / "photos.yaml").read_text(encoding="utf-8"))
    path = write(trial.folder / "recipe.yaml", text.encode("utf-8", "surrogatepass"))
    command = random.choice(("fit", "ship", "layers", "compare", "gradients"))
    return _call([command, str(path), "--out", str(trial.folder / "out")], trial)


TARGETS = (
    Target("predict", 1500, _bundles, _attack_predict),
    Target("verify", 500, _bundles, _attack_verify),
    Target("words", 800, _bundles, _attack_words),
    Target("export", 24, _run, _attack_export, 240.0),
    Target("recipe-commands", 300, _run, _attack_recipe_words, 60.0),
)

"""Whether two commits give the same: every offline example and small recipes of every task, run by both, here and now.

    python -m benchmarks.two_commits BASE_CHECKOUT THIS_CHECKOUT                    half an hour on two cores
    python -m benchmarks.two_commits BASE_CHECKOUT THIS_CHECKOUT --only 'text-*'    some of it; --list names all

Each checkout has its own .venv (`make setup`). A recipe is shipped by both sides, side by side, from the same data.
Then everything that came of it is compared: recipe and digests, splits, weights bit for bit, metrics and verdict to
1e-12, ONNX files byte for byte, golden samples and decisions, files for other tools, what predict and verify answer.
For some recipes the second side is also killed in the middle of its training and goes on, which must give the weights
of the first side's whole run, and exports the run that the first side trained.

Latencies are masked. For them not to decide what ships, `budget.faster_by` is set to its greatest value, so that
variants have to be smaller; where two sides disagree about one all the same, by PASS against REJECTED, it says "speed".
Exit status 1 where anything differs.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.made_recipes import Case, choose_cases, prepare
from benchmarks.same_results import (
    MANIFEST,
    Finding,
    compare_bundles,
    compare_runs,
    decided_by_speed,
    first_difference,
    masked,
    without,
)

RUN, BUNDLE = "bundle.run", "bundle"
SPEED_ASIDE = ("--set", "budget.faster_by=0.99")

_DIGESTS = """
import importlib, json, sys
for name in ("edgewright.pipeline.recipe.load", "edgewright.pipeline.recipe"):  # today, and before the rooms
    try:
        load = importlib.import_module(name).load_recipe
        break
    except (ImportError, AttributeError):
        continue
recipe = load(sys.argv[1])
print(json.dumps({"recipe": recipe.digest(), "training": recipe.training_digest()}))
"""
_OFTEN = ("--set", "training.checkpoint_seconds=0")
_KILL_AT = 5
"""How many checkpoints there are when the training is killed."""


@dataclass(frozen=True)
class Said:
    """What one call of the command left."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Side:
    """One checkout, and the folder below each recipe's own where it works."""

    name: str
    checkout: Path

    def start(self, folder: Path, *words: str) -> "subprocess.Popen[str]":
        """Start Python with `words`: one thread, no hub, no cache of graphs."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "EDGEWRIGHT_CACHE": "off"}
        command = [str(self.checkout / ".venv" / "bin" / "python"), *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)

    def call(self, folder: Path, *words: str) -> Said:
        """The command line of this checkout, in `folder`."""
        return self.python(folder, "-m", "edgewright.pipeline", *words)

    def python(self, folder: Path, *words: str) -> Said:
        """Python of this checkout. The name of `folder` is taken out of what it says."""
        with self.start(folder, *words) as process:
            out, err = process.communicate()
        plain = [text.replace(str(folder), "FOLDER") for text in (out, err)]
        return Said(process.returncode, *plain)


def ship_and_ask(side: Side, case: Case, folder: Path) -> dict[str, Said]:
    """Ship a recipe in an empty `folder`, and ask its bundle: what each command said."""
    said = {
        "digests": side.python(folder, "-c", _DIGESTS, "../recipe.yaml"),
        "ship": side.call(folder, "ship", "../recipe.yaml", "--out", BUNDLE, "--json", *SPEED_ASIDE),
    }
    if not (folder / BUNDLE).is_dir():
        return said
    manifest = json.loads((folder / BUNDLE / MANIFEST).read_bytes())
    for variant in sorted(one["name"] for one in manifest["variants"]):
        chosen = ("--variant", variant, "--top", "3", "--json")
        said[f"predict {variant}"] = side.call(folder, "predict", BUNDLE, f"{BUNDLE}/golden", *chosen)
        if case.asked:
            said[f"predict {variant} asked"] = side.call(folder, "predict", BUNDLE, *case.asked, *chosen)
        if any("step" in one["graphs"] for one in manifest["variants"]):
            streamed = side.call(folder, "predict", BUNDLE, f"{BUNDLE}/golden", "--stream", *chosen)
            said[f"predict {variant} streamed"] = streamed
    said["verify"] = side.call(folder, "verify", BUNDLE, "--json")
    said["verify against the run"] = side.call(folder, "verify", BUNDLE, "--against", RUN, "--json")
    return said


def kill_and_resume(side: Side, folder: Path) -> Finding | None:
    """Train until there are some checkpoints, kill -9, train on in the same folder. None where that worked."""
    words = ("fit", "../recipe.yaml", "--out", "killed", *SPEED_ASIDE, *_OFTEN)
    with side.start(folder, "-m", "edgewright.pipeline", *words) as process:
        while _last_checkpoint(folder / "killed") < _KILL_AT:
            if process.poll() is not None:
                return Finding("killed", "the training ended before it could be killed")
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    if (folder / "killed" / "weights.safetensors").exists():
        return Finding("killed", "it had its weights already when it was killed")
    resumed = side.call(folder, *words)
    return Finding("resumed", resumed.err) if resumed.code else None


def _last_checkpoint(run: Path) -> int:
    numbers = (re.search(r"(\d+)\.json$", path.name) for path in run.glob("checkpoints/*.json"))
    return max((int(found[1]) for found in numbers if found), default=0)


def thorough(base: Side, this: Side, home: Path, code: int) -> Iterator[Finding]:
    """Kill and resume on the second side, and export there what the first side trained; `code` is how that ended."""
    whole, folder = home / base.name, home / this.name
    failed = kill_and_resume(this, folder)
    if failed is not None:
        yield failed
    else:
        found = compare_runs(whole / RUN, folder / "killed")
        yield from (_about("killed and resumed", one) for one in found if _of_training(one.what))
    shutil.copytree(whole / RUN, folder / "trained", ignore=shutil.ignore_patterns("export", ".lock"))
    said = this.call(folder, "export", "trained", "--out", "exported", "--json", *SPEED_ASIDE)
    if said.code != code:
        yield Finding("exported by the second", said.err)
    for one in compare_shipped(whole, folder, "trained", "exported"):
        yield _about("exported by the second", one)


def _of_training(what: str) -> bool:
    """Not what an export adds, nor the recipe, which says how often a checkpoint is written."""
    return not what.startswith("export/") and what != "recipe.json"


def _about(subject: str, found: Finding) -> Finding:
    return Finding(f"{subject}: {found.what}", found.difference, found.note)


def compare_shipped(one: Path, two: Path, run: str = RUN, bundle: str = BUNDLE) -> Iterator[Finding]:
    """The run folders and the bundles of both sides; `run` and `bundle` are the names on the second side."""
    yield from compare_runs(one / RUN, two / run)
    bundles = (one / BUNDLE, two / bundle)
    there = [folder.is_dir() for folder in bundles]
    by_speed = decided_by_speed(one / RUN, two / run)
    if by_speed:
        yield Finding("bundle", note=f"not compared, for speed decided whether it has {', '.join(by_speed)}")
    elif all(there):
        yield from compare_bundles(*bundles)
    else:
        yield Finding("bundle", "on neither side" if not any(there) else "on one side only")


def compare_said(one: Mapping[str, Said], two: Mapping[str, Said], by_speed: list[str]) -> Iterator[Finding]:
    """Exit statuses, JSON and messages of every command."""
    for what in {**one, **two}:
        if what not in one or what not in two:
            if not by_speed:
                yield Finding(what, "asked on one side only")
            continue
        yield Finding(what, first_difference(_plain(one[what], by_speed), _plain(two[what], by_speed)))


def _plain(said: Said, by_speed: list[str]) -> dict[str, Any]:
    try:
        out = without(masked(json.loads(said.out)), by_speed)
    except ValueError:
        out = said.out
    return {"exit status": said.code, "stdout": out, "stderr": said.err.splitlines()}


def compare_case(base: Side, this: Side, case: Case, work: Path) -> Iterator[Finding]:
    """Both sides of one recipe, in folders made anew below `work`."""
    home = work / case.name
    shutil.rmtree(home, ignore_errors=True)
    for side in (base, this):
        (home / side.name).mkdir(parents=True)
    (home / "recipe.yaml").write_text(case.text, encoding="utf-8")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda side: ship_and_ask(side, case, home / side.name), (base, this))
    if not (home / base.name / RUN).is_dir():
        yield Finding("ship", first["ship"].err or "the first side left nothing")
        return
    one, two = home / base.name, home / this.name
    yield from compare_said(first, second, decided_by_speed(one / RUN, two / RUN))
    yield from compare_shipped(one, two)
    if case.thorough:
        yield from thorough(base, this, home, first["ship"].code)


def compare_all(base: Side, this: Side, cases: list[Case], work: Path) -> int:
    """Print a line for each thing that was compared; returns how many differ."""
    prepare(work)
    differ = 0
    for case in cases:
        for found in compare_case(base, this, case, work):
            differ += bool(found.difference)
            mark = "DIFFERS" if found.difference else "speed" if found.note else "ok"
            text = found.difference or found.note
            print(f"{mark:8}{case.name}: {found.what}{f': {text}' if text else ''}", flush=True)
    print(f"{len(cases)} recipes: {f'{differ} things differ' if differ else 'everything is equal'}")
    return differ


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", type=Path, metavar="BASE_CHECKOUT")
    parser.add_argument("this", type=Path, metavar="THIS_CHECKOUT")
    parser.add_argument(
        "--work", type=Path, help="keep everything here; what an earlier call left is replaced"
    )
    parser.add_argument("--only", default="*", metavar="PATTERN", help="recipes whose name matches")
    parser.add_argument("--slow", action="store_true", help="also the examples that take many minutes")
    parser.add_argument("--list", action="store_true", help="name the recipes and leave")
    arguments = parser.parse_args()
    base, this = Side("base", arguments.base.resolve()), Side("this", arguments.this.resolve())
    cases = choose_cases(base.checkout, arguments.only, arguments.slow)
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    for side in (base, this):
        if not (side.checkout / ".venv" / "bin" / "python").exists():
            parser.error(f"{side.checkout} has no .venv: run 'make setup' there")
    if not cases:
        parser.error(f"--only {arguments.only}: no such recipe, --list names them")
    with tempfile.TemporaryDirectory(prefix="edgewright-two-commits-") as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        return int(compare_all(base, this, cases, work) > 0)


if __name__ == "__main__":
    sys.exit(main())

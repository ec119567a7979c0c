"""What tests of several folders share: the command line in this process, and one shipped run and bundle."""

import gc
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.command import RECIPE, Answer, Call, Shipped, run_process
from tests.messages import Messages
from tests.quick_exports import open_variants_in_forks, remember_operators
from tests.telemetry_devices import Device, may_trace, traced_devices

# Nothing that is made while tests are collected ever goes away: looking for garbage in it, then and later, is in vain.
gc.disable()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background, a process and its children ignore Ctrl-C; the tests that press it need to be heard.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-messages", action="store_true", help="Write down what errors say now.")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Messages(config.getoption("--update-messages")))


def pytest_collection_finish() -> None:
    judging = sys.modules.get("edgewright.exporters.judge.judge")
    if judging is not None:  # no test asks how exactly a latency is measured
        vars(judging)["SECONDS"] = 1.0
    gc.freeze()
    gc.enable()


def pytest_runtestloop(session: pytest.Session) -> None:
    if not session.config.option.collectonly and "edgewright.exporters.graph.export" in sys.modules:
        remember_operators()
        open_variants_in_forks()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Call the command line in this process, with one thread; libraries that write past Python are heard too."""
    import torch

    from edgewright.pipeline.cli.main import main

    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Answer(left.value.code, out, err)

    logger = logging.getLogger("edgewright")
    kept = logger.handlers, logger.level
    yield call
    logger.handlers, logger.level = kept
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def traced(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Device, Device] | None]:
    """Two devices under strace, see `tests/test_telemetry.py`. They only wait, for a minute and a half, and do so
    beside all other tests, from the start. None where nothing asks for them or strace may not run.
    """
    wanted = any(item.name == "test_a_device_speaks_to_nobody" for item in request.session.items)
    if not wanted or not may_trace():
        yield None
        return
    yield from traced_devices(shared_folder(tmp_path_factory) / "traced")


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of this run of pytest, the same for all of its processes."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """One run and bundle for the whole session, made once however many processes run tests.

    Each process has a copy: two commands that work in one run at a time are refused.
    """
    base = shared_folder(tmp_path_factory)
    folder = base / "shipped"
    folder.mkdir(exist_ok=True)
    found = Shipped(folder / "recipe.yaml", folder / "bundle.run", folder / "bundle", {})
    report = folder / "report.json"
    with FileLock(base / "shipped.lock"):
        if not report.exists():
            _ship(found, report)
    own = tmp_path_factory.mktemp("shipped") / "shipped"
    shutil.copytree(folder, own)
    verdict = json.loads(report.read_text(encoding="utf-8"))
    return Shipped(own / found.recipe.name, own / found.run.name, own / found.bundle.name, verdict)


def _ship(found: Shipped, report: Path) -> None:
    found.recipe.write_text(RECIPE, encoding="utf-8")
    answer = run_process("ship", found.recipe, "--out", found.bundle, "--json")
    assert answer.code == 0, answer.err
    (_, *epochs) = answer.err.splitlines()
    assert all(", epoch " in line for line in epochs)
    assert "240 train, 72 validation, 72 calibration, 144 evaluation" in answer.err
    report.write_text(answer.out, encoding="utf-8")

"""How far it is: a line for each epoch in a log, and a display that a small terminal survives."""

import fcntl
import logging
import os
import pty
import re
import struct
import termios
import threading
from functools import partial
from pathlib import Path

import pyte
import pytest

from edgewright.pipeline.cli.output import progress_bars
from edgewright.pipeline.progress import in_words, silent
from tests.command import RECIPE, Call, start_process

EPOCH = re.compile(
    r"(head|fine-tuning), epoch (\d+) of (\d+): loss [\d.e+-]+, validation accuracy [01]\.\d{4}, rate [\d.e+-]+"
    r"(, about (\d+ h )?(\d+ min ?)?(\d+ s )?left)?"
)


def stderr_to(terminal: str) -> None:
    os.dup2(os.open(terminal, os.O_RDWR), 2)


def test_a_log_has_a_line_for_each_epoch(cli: Call, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    answer = cli("fit", tmp_path / "recipe.yaml", "--out", tmp_path / "run", "--set", "training.epochs=4")
    assert answer.code == 0
    lines = [line for line in answer.err.splitlines() if "epoch" in line]
    found = [EPOCH.fullmatch(line) for line in lines]
    assert all(found), lines
    assert [match[2] for match in found if match and match[1] == "fine-tuning"] == ["1", "2", "3", "4"]
    assert ["left" in line for line in lines] == [True] * (len(lines) - 1) + [False]
    assert (tmp_path / "run" / "curves.svg").exists()


def test_a_hundred_epochs_in_a_small_terminal(tmp_path: Path) -> None:
    """Every epoch's line stands once, whole, and nothing of a bar is left between or below them."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    screen = pyte.HistoryScreen(80, 24, history=1000, ratio=1)
    stream, shown = pyte.ByteStream(screen), []
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def look() -> None:
        while True:
            try:
                content = os.read(master, 4096)
            except OSError:
                return
            stream.feed(content)
            shown.append(sum("training: fine-tuning" in line for line in screen.display))

    words = ["fit", tmp_path / "recipe.yaml", "--out", tmp_path / "run", "--set", "training.epochs=100"]
    sizes = ["--set", "data.train_per_class=8", "--set", "data.source=builtin:digits"]
    with start_process(*words, *sizes, before=partial(stderr_to, os.ttyname(slave))) as process:
        reader = threading.Thread(target=look)
        reader.start()
        process.communicate()
        os.close(slave)
        reader.join(10)
    os.close(master)
    assert process.returncode == 0
    above = ["".join(row[column].data for column in range(80)) for row in screen.history.top]
    text = "\n".join(line.rstrip() for line in [*above, *screen.display])
    epochs = re.findall(r"fine-tuning, epoch (\d+) of 100: ", text)
    assert epochs == [str(number) for number in range(1, 101)]
    assert max(shown) == 1, "one bar at a time"
    assert "\u2501" not in text, "no bar is left behind"


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as progress:
        assert progress is silent
    assert capsys.readouterr().err == ""


def test_messages_find_their_way_back() -> None:
    logger = logging.getLogger("edgewright")
    before = [getattr(handler, "stream", None) for handler in logger.handlers]
    with progress_bars():
        pass
    assert [getattr(handler, "stream", None) for handler in logger.handlers] == before


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.01, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_time_in_words(seconds: float, said: str) -> None:
    assert in_words(seconds) == said

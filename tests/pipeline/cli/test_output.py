"""What commands say of files of others reaches a terminal as text, and as nothing else."""

import logging

import pytest

from edgewright.pipeline.cli.main import _show_messages
from edgewright.pipeline.cli.output import emit, message


def test_no_text_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;title\x07 \u202egnp \x9b2J"
    message(name)
    emit(None, False, f"{name}\nnext")
    logger = logging.getLogger("edgewright")
    kept = logger.handlers, logger.level
    try:
        _show_messages()
        logger.info("%s\nnext", name)
    finally:
        logger.handlers, logger.level = kept
    out, err = capsys.readouterr()
    escaped = r"\x1b]0;title\x07 \u202egnp \x9b2J"
    assert out == f"{escaped}\nnext\n"
    assert err == f"{escaped}\n{escaped}\\nnext\n"

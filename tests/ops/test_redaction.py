"""No secret gets into a log, in either form, wherever in a line it stands; nor into the message of a command."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import pytest
import structlog
from click.testing import CliRunner

from oms.cli.main import oms
from oms.config import secrets
from oms.config.secrets import HIDDEN, secret
from oms.config.settings import Log
from oms.ops.log import configure

WORD, TOKEN = 'Tr0ub"4dor&3', f"oms_{'0a' * 4}_{'5f' * 32}"


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_remembered", set())


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_gets_into_the_log_by_value_event_exception_or_library(
    tmp_path: Path, form: Literal["json", "console"]
) -> None:
    secret(WORD)
    configure(Log(file=tmp_path / "oms.log", format=form))
    log = structlog.get_logger("oms.test")
    log.warning(f"trying {WORD}", password=WORD, parts=[WORD, {"token": TOKEN}])
    try:
        raise ValueError(f"cannot connect with {WORD} and {TOKEN} to postgresql://oms:unread@db/oms")
    except ValueError:
        log.exception("failed")
    logging.getLogger("psycopg.pool").error("cannot connect: %s", WORD)
    text = (tmp_path / "oms.log").read_text()
    assert [one for one in (WORD, "Tr0ub", TOKEN, "5f5f5f", "unread") if one in text] == []
    assert text.count(HIDDEN) == 9  # the traceback shows the line as well


def test_no_secret_gets_into_the_message_of_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMS_TOKEN", TOKEN + "x")
    (tmp_path / "oms.toml").write_text("")
    kept = tmp_path / "token"
    kept.write_text(TOKEN + "x")
    kept.chmod(0o600)
    for given in ((), ("--token-file", str(kept))):
        result = CliRunner().invoke(oms, ["--control", "tls://127.0.0.1:1", *given, "kill", "list"])
        assert (result.exit_code, "is no token" in result.output, "5f5f" in result.output) == (2, True, False)
    monkeypatch.setenv("OMS_TOKEN", TOKEN)
    result = CliRunner().invoke(oms, ["--control", f"tls://127.0.0.1:1{TOKEN}", "kill", "list"])
    assert (result.exit_code, HIDDEN in result.output, "5f5f" in result.output) == (2, True, False)

"""Operators' commands to the gateway of a test, as typed; the gateway's own log in this process is left out."""

from __future__ import annotations

import json
import re
from typing import Any

from click.testing import CliRunner

from oms.cli.main import oms
from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from tests.system.house import House


def said(house: House, command: str, *more: str) -> tuple[int, str]:
    """Exit code and what a person reads."""
    result = CliRunner().invoke(oms, [*command.split(), *more, "--config", str(house.config_file)])
    return result.exit_code, re.sub(r"(?m)^\d{4}-\d\d-\d\d \d\d:.*\n", "", result.output)


def answer(house: House, command: str, *more: str, code: int = 0) -> Any:
    """What a program reads."""
    found, text = said(house, command, *more, "--json")
    assert found == code, text
    return json.loads(text)


def replays(house: House) -> None:
    """The chain holds, and the journal gives the tables."""
    house.check_chain()
    ledger = ledger_engine(house.url, read_only=True)
    try:
        found = verify_tables(ledger)
    finally:
        ledger.dispose()
    assert (found.differences, found.ok) == ([], True)

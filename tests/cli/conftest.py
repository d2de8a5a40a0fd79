"""The CLI on a ledger with a day in it, called as a person would call it, without a terminal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from oms.cli.main import oms
from oms.config.templates import write_demo

Oms = Callable[..., Result]


def write_config(directory: Path, url: str | None) -> Path:
    """The demo's configuration; with a URL, on that database."""
    path = write_demo(directory, client_port=5201, broker_ports=(5301, 5302), trading="on")
    if url is not None:
        text = path.read_text()
        assert "[database]\n" in text
        path.write_text(text.replace("[database]\n", f'[database]\nurl = "{url}"\n', 1))
    return path


@pytest.fixture(scope="session")
def ledger_config(filled_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of the day of `tests/ledger/filled_ledger.py`."""
    return write_config(tmp_path_factory.mktemp("desk"), filled_url)


@pytest.fixture
def run_oms(ledger_config: Path) -> Oms:
    """Runs `oms ...` on the filled ledger, or on another configuration."""

    def run(command: str, config: Path = ledger_config) -> Result:
        return CliRunner().invoke(oms, shlex.split(command), env={"OMS_CONFIG": str(config)}, prog_name="oms")

    return run


@pytest.fixture
def oms_json(run_oms: Oms) -> Callable[[str], Any]:
    """What a command prints with --json, read."""

    def run(command: str) -> Any:
        result = run_oms(f"{command} --json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run

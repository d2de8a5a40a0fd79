"""The root: quick help, one message and an exit code for what an operator must mend."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oms.cli.main import COMMANDS, oms
from oms.config.templates import write_demo
from tests.cli.conftest import Oms, write_config

LISTINGS = ("positions", "orders list", "fills list", "sessions list", "exceptions list")
COMMANDS_WITH_LEDGER = (*LISTINGS, "orders show O1", "orders explain O1", "verify", "db status", "db migrate")


def test_help_imports_no_database_no_engine_and_no_configuration() -> None:
    code = (
        "import sys\nfrom oms.cli import main\nsys.argv = ['oms', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'psycopg', 'quickfix', 'pydantic', 'rich', 'alembic'} & set(sys.modules)\n"
        "sys.stderr.write(','.join(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert "Prove the journal" in done.stdout


def test_every_command_that_is_installed_has_help_with_an_example(run_oms: Oms) -> None:
    from click import Context, Group

    def leaves(words: list[str], command: object) -> list[str]:
        if isinstance(command, Group):
            found = [
                (name, command.get_command(Context(command), name))
                for name in command.list_commands(Context(command))
            ]
            return [leaf for name, child in found for leaf in leaves([*words, name], child)]
        return [" ".join(words)]

    mine = [
        leaf
        for leaf in leaves([], oms)
        if leaf.split()[0] in {"kill", "trading", *(c.split()[0] for c in COMMANDS_WITH_LEDGER)}
    ]
    assert len(mine) >= 24
    for leaf in mine:
        result = run_oms(f"{leaf} --help")
        assert result.exit_code == 0
        assert f"Example: oms {leaf}" in " ".join(result.output.split())


def test_the_listed_commands_are_those_whose_modules_are_there(run_oms: Oms) -> None:
    listed = run_oms("--help").output
    for name in ("orders", "fills", "sessions", "exceptions", "verify", "db"):
        assert name in COMMANDS
        assert f"\n  {name} " in listed


def test_python_m_oms_is_oms() -> None:
    done = subprocess.run([sys.executable, "-m", "oms", "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("oms, version ")


def test_an_unknown_command_is_bad_input(run_oms: Oms) -> None:
    result = run_oms("ordres list")
    assert result.exit_code == 2
    assert "No such command 'ordres'" in result.stderr


@pytest.mark.parametrize("command", COMMANDS_WITH_LEDGER)
def test_a_configuration_that_is_not_there_ends_with_one_message(run_oms: Oms, command: str, tmp_path: Path) -> None:
    result = run_oms(command, tmp_path / "no.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("oms: the configuration is wrong; oms check shows it all\n")
    assert "no.toml" in result.stderr


@pytest.mark.parametrize("command", COMMANDS_WITH_LEDGER)
def test_a_database_that_refuses_ends_with_one_message_and_its_remedy(
    run_oms: Oms, command: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, "postgresql://oms@127.0.0.1:9/oms")
    result = run_oms(command, config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("oms: database oms on 127.0.0.1:9: ")
    assert result.stderr.endswith("start the server, or check host and port in [database] url\n")


@pytest.mark.postgres
@pytest.mark.parametrize("command", [*COMMANDS_WITH_LEDGER[:-2]])
def test_a_database_without_a_ledger_says_how_to_make_one(
    run_oms: Oms, command: str, tmp_path: Path, empty_postgres_url: str
) -> None:
    result = run_oms(command, write_config(tmp_path, empty_postgres_url))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "oms: the database has no ledger yet; run: oms db migrate\n"


def test_reading_does_not_make_an_embedded_ledger_that_never_was(run_oms: Oms, tmp_path: Path) -> None:
    config = write_demo(tmp_path, client_port=5201, broker_ports=(5301, 5302), trading="on")
    result = run_oms("orders list", config)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"yet; start the gateway once: oms run --config {config}\n")
    assert not (tmp_path / "state" / "postgres").exists()


@pytest.mark.postgres
@pytest.mark.parametrize("listing", LISTINGS)
def test_every_listing_is_empty_but_right_on_a_new_ledger(
    run_oms: Oms, listing: str, tmp_path: Path, postgres_url: str
) -> None:
    config = write_config(tmp_path, postgres_url)
    assert run_oms(listing, config).exit_code == 0
    printed = json.loads(run_oms(f"{listing} --json", config).stdout)
    if listing == "sessions list":
        assert {one["state"] for one in printed["sessions"]} == {"never logged on"}
    else:
        assert printed == []

"""`oms init` and `oms check` as a person or a script sees them: output, exit code, files."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from oms.cli.check import check
from oms.cli.init import init
from oms.config.dictionaries import STANDARD_DIRECTORY
from oms.config.load import load
from oms.config.templates import demo_files

if TYPE_CHECKING:
    import click

    from tests.config.conftest import Desk

FILES = [
    "accounts.csv",
    "fix_specs/standard-fix42.toml",
    "fix_specs/standard-fix44.toml",
    "fix_specs/standard-fix50sp2.toml",
    "instruments.csv",
    "limits.csv",
    "markets.toml",
    "oms.toml",
    "sessions.cfg",
]


def run(command: click.Command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def run_json(command: click.Command, *arguments: object) -> tuple[int, Any]:
    result = run(command, *arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


# -- init ---------------------------------------------------------------------------------------------------


def test_init_writes_a_configuration_that_loads_with_trading_off(tmp_path: Path) -> None:
    result = run(init, tmp_path / "desk")
    directory = tmp_path / "desk"
    assert result.output.replace(str(directory), "DESK") == (
        "Written to DESK:\n"
        "  accounts.csv                      accounts, and who may use them\n"
        "  fix_specs/standard-fix42.toml     dialect of a counterparty\n"
        "  fix_specs/standard-fix44.toml     dialect of a counterparty\n"
        "  fix_specs/standard-fix50sp2.toml  dialect of a counterparty\n"
        "  instruments.csv                   instruments that may be traded\n"
        "  limits.csv                        limits on projections: not in force until oms.toml names it\n"
        "  markets.toml                      trading hours and holidays: not in force until oms.toml names it\n"
        "  oms.toml                          gateway, database, limits, routes\n"
        "  sessions.cfg                      FIX sessions: CLIENT1, CLIENT2, BROKER1, BROKER2\n"
        'Trading is off: write trading = "on" in DESK/oms.toml when it is time.\n'
        "Next: oms check --config DESK/oms.toml, then oms run --config DESK/oms.toml\n"
    )
    assert result.exit_code == 0
    written = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    assert written == FILES
    config = load(directory / "oms.toml")
    assert (config.gateway.trading, config.warnings) == ("off", ())
    assert {name: spec.port for name, spec in config.sessions.items()} == {
        "CLIENT1": 5201,
        "CLIENT2": 5201,
        "BROKER1": 5301,
        "BROKER2": 5302,
    }


def test_init_takes_ports_and_the_trading_switch(tmp_path: Path) -> None:
    arguments = (tmp_path, "--client-port", 6001, "--broker-port", 7001, "--trading", "on")
    assert run_json(init, *arguments) == (0, {"ok": True, "config": str(tmp_path / "oms.toml"), "files": FILES})
    config = load(tmp_path / "oms.toml")
    assert config.gateway.trading == "on"
    assert sorted({spec.port for spec in config.sessions.values()}) == [6001, 7001, 7002]


def test_init_keeps_oms_toml_to_its_owner(tmp_path: Path) -> None:
    run(init, tmp_path)
    assert stat.S_IMODE((tmp_path / "oms.toml").stat().st_mode) == 0o600


def test_init_does_not_overwrite_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "sessions.cfg").write_text("mine")
    result = run(init, tmp_path)
    assert (result.exit_code, result.stderr) == (
        2,
        f"oms init: {tmp_path}/sessions.cfg exists; "
        "name another directory, or add --force to overwrite sessions.cfg\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["sessions.cfg"]
    assert (tmp_path / "sessions.cfg").read_text() == "mine"


def test_init_overwrites_when_told_so_and_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "sessions.cfg").write_text("theirs")
    (tmp_path / "notes.txt").write_text("mine")
    assert run(init, tmp_path, "--force").exit_code == 0
    assert (tmp_path / "sessions.cfg").read_text() == demo_files()["sessions.cfg"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_init_refuses_one_port_for_both_sides(tmp_path: Path) -> None:
    problem = "--client-port 5302: 5301 and 5302 are the brokers' ports; choose another"
    assert run_json(init, tmp_path, "--client-port", 5302) == (2, {"ok": False, "problem": problem})
    assert list(tmp_path.iterdir()) == []


def test_init_refuses_a_file_and_a_place_it_cannot_write_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run(init, tmp_path / "file").stderr == f"oms init: {tmp_path}/file is not a directory; name another\n"
    below = run(init, tmp_path / "file" / "desk")
    assert (below.exit_code, below.stderr.startswith("oms init: cannot write ")) == (2, True)


@pytest.mark.parametrize("arguments", [("--client-port", "0"), ("--trading", "maybe"), ("--client-port", "70000")])
def test_init_refuses_bad_options_with_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(init, tmp_path, *arguments).exit_code == 2


# -- check --------------------------------------------------------------------------------------------------


def test_check_shows_what_is_configured(desk: Desk) -> None:
    result = run(check, "--config", desk.main)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.replace(str(desk.directory), "DESK").splitlines()]
    assert [line for line in lines if line.strip(" ─")] == [
        "configuration DESK/oms.toml",
        "gateway oms, environment test, trading on",
        "trade date begins at 00:00:00 UTC",
        "state DESK/state",
        "stores 0 of 4 sessions have a message store; not CLIENT1, CLIENT2, BROKER1, BROKER2: new, or lost"
        " (oms run --new-machine makes lost ones again)",
        "database embedded Postgres",
        "instruments 12 in EUR, USD on XETR, XNAS",
        "breakers broker-rejects (reject_rate), broker-errors (errors), contradictions (inconsistencies)",
        "accounts 5, 4 active",
        "Sessions",
        "name role version session address dialect",
        "CLIENT1 client FIX.4.4 FIX.4.4:OMS->CLIENT1 *:5201 standard-fix44",
        "CLIENT2 client FIX.4.2 FIX.4.2:OMS->CLIENT2 *:5201 standard-fix42",
        "BROKER1 broker FIX.4.2 FIX.4.2:OMS->BROKER1 127.0.0.1:5301 standard-fix42",
        "BROKER2 broker FIXT.1.1 FIX.5.0SP2 FIXT.1.1:OMS->BROKER2 127.0.0.1:5302 standard-fix50sp2",
        "Routes, first match wins",
        "# name for orders with broker fallbacks",
        "1 named-destination ex_destination BROKER2 BROKER2 none",
        "2 germany security_exchange XETR BROKER2 BROKER1",
        "3 everything-else anything BROKER1 BROKER2",
        "Limits per order, most specific wins",
        "client account symbol max OrderQty(38) max notional",
        "* * * 10,000 1,000,000",
        "CLIENT2 * * 2,000 200,000",
        "CLIENT1 FUND1 AAPL 20,000 4,000,000",
        "ok",
    ]


def test_check_as_json(desk: Desk) -> None:
    desk.change("sessions.cfg", "TargetCompID=BROKER1", "TargetCompID=BROKER1\nResetOnLogon=Y")
    exit_code, told = run_json(check, "--config", desk.main)
    assert exit_code == 0
    assert {name: told[name] for name in ("ok", "config", "database", "instruments", "accounts")} == {
        "ok": True,
        "config": str(desk.main),
        "database": "embedded",
        "instruments": 12,
        "accounts": 5,
    }
    assert told["sessions"][3] == {
        "name": "BROKER2",
        "role": "broker",
        "version": "FIXT.1.1 FIX.5.0SP2",
        "session_id": "FIXT.1.1:OMS->BROKER2",
        "address": "127.0.0.1:5302",
        "tls": False,
        "dialect": "standard-fix50sp2",
        "dictionaries": [str(STANDARD_DIRECTORY / "FIXT11.xml"), str(STANDARD_DIRECTORY / "FIX50SP2.xml")],
    }
    assert told["limits"][1] == {
        "client": "CLIENT2",
        "account": "*",
        "symbol": "*",
        "max_order_qty": "2000",
        "max_order_notional": "200000",
    }
    assert told["routes"][1]["name"] == "germany"
    assert [warning["key"] for warning in told["warnings"]] == ["[SESSION] BROKER1 ResetOnLogon"]


def test_check_tells_every_problem_and_exits_with_2(desk: Desk) -> None:
    desk.change("oms.toml", 'trading = "on"', 'tradng = "on"').change("accounts.csv", "FUND1,CLIENT1,Y", "FUND1,,Y")
    result = run(check, "--config", desk.main)
    assert (result.exit_code, result.stdout) == (2, "")
    assert desk.plain(result.stderr) == (
        "2 problems: the gateway will not start.\n"
        "oms.toml: [gateway] tradng: unknown key; did you mean trading?\n"
        "accounts.csv: line 4 clients: missing; write for example CLIENT1;CLIENT2\n"
    )


def test_check_tells_problems_as_json(desk: Desk) -> None:
    desk.change("oms.toml", 'trading = "on"', 'tradng = "on"')
    assert run_json(check, "--config", desk.main) == (
        2,
        {
            "ok": False,
            "problems": [
                {
                    "file": str(desk.main),
                    "key": "[gateway] tradng",
                    "problem": "unknown key",
                    "remedy": "did you mean trading?",
                }
            ],
        },
    )


def test_check_shows_warnings_and_exits_with_0(desk: Desk) -> None:
    desk.change("sessions.cfg", "TargetCompID=BROKER1", "TargetCompID=BROKER1\nResetOnLogon=Y")
    result = run(check, "--config", desk.main)
    assert result.exit_code == 0
    assert desk.plain(result.stdout).splitlines()[-2:] == [
        "warning: sessions.cfg: [SESSION] BROKER1 ResetOnLogon: Y: messages sent while the other side was away "
        "are lost; write ResetOnLogon=N; numbers are reset by schedule (StartTime, EndTime) or by an operator",
        "ok",
    ]


def test_check_without_a_configuration_says_what_to_do(tmp_path: Path) -> None:
    result = run(check, "--config", tmp_path / "oms.toml")
    assert (result.exit_code, result.stderr) == (
        2,
        "1 problem: the gateway will not start.\n"
        f"{tmp_path}/oms.toml: no such file; create it or correct --config; `oms init DIR` writes an example\n",
    )


def test_check_never_shows_the_password_of_the_database(desk: Desk) -> None:
    desk.change("oms.toml", "[inbox]", 'url = "postgresql://oms:secret@localhost/oms"\n\n[inbox]')
    for arguments in ((), ("--json",)):
        result = run(check, "--config", desk.main, *arguments)
        assert (result.exit_code, "secret" in result.output) == (0, False)
    desk.change("oms.toml", "postgresql://", "mysql://")
    assert "secret" not in run(check, "--config", desk.main).output


@pytest.mark.parametrize("command", [init, check])
def test_help_has_an_example(command: click.Command) -> None:
    assert f"Example: oms {command.name}" in run(command, "--help").output

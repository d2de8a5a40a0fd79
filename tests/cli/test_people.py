"""`oms people`: who is added, changed and revoked in the file, and what a person reads of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from oms.cli.main import oms
from oms.config import secrets
from oms.config.templates import write_demo


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(secrets, "_SCRYPT", (2**10, 8, 1))
    path = write_demo(tmp_path, client_port=5201, broker_ports=(5301, 5302), trading="on")
    path.write_text(path.read_text() + '\n[operators]\nfile = "people.json"\n')
    return path


def run(config: Path, command: str, code: int = 0) -> str:
    result = CliRunner().invoke(oms, ["people", *command.split(), "--config", str(config)])
    assert result.exit_code == code, result.output
    return result.output


def asked(config: Path, command: str) -> Any:
    return json.loads(run(config, f"{command} --json"))


def test_a_token_is_shown_once_and_everybody_is_listed_without_it(config: Path) -> None:
    text = run(config, "add ann --role trader --client BUYA --client BUYB --symbol SAP --days 30")
    form = (
        r"ann is trader for client BUYA or BUYB; symbol SAP\.\n"
        r"The token, which is not shown again:\n(oms_\w{8}_\w{64})\n"
    )
    found = re.fullmatch(form, text)
    assert found is not None, text
    assert run(config, "add bob --role risk --user 1002 --no-token") == "bob is risk for everything.\n"
    rows = asked(config, "list")
    assert [(one["operator"], one["role"], one["scope"], one["user"], one["state"]) for one in rows] == [
        ("ann", "trader", {"client": ["BUYA", "BUYB"], "symbol": ["SAP"]}, None, "active"),
        ("bob", "risk", {}, 1002, "active"),
    ]
    assert found[1].rpartition("_")[2] not in run(config, "list") + json.dumps(rows)
    assert "scrypt" not in run(config, "list") + json.dumps(rows)


def test_an_operator_gets_another_token_another_role_and_is_revoked_for_good(config: Path, tmp_path: Path) -> None:
    first = asked(config, "add ann --role trader")["token"]
    kept = tmp_path / "ann.token"
    assert run(config, f"rotate ann --token-to {kept}").splitlines()[1] == f"The token is in {kept}."
    assert kept.stat().st_mode & 0o777 == 0o600
    assert first != kept.read_text().strip()
    assert run(config, "role ann --role risk --account FUND*") == "ann is risk for account FUND*.\n"
    assert run(config, "revoke ann") == "ann is revoked.\n"
    one = asked(config, "list")[0]
    assert (one["state"], one["token_created"], one["role"]) == ("revoked", None, "risk")
    said = [run(config, command, 2) for command in ("rotate ann", "role ann --role admin", "revoke ann")]
    assert said == ["oms: ann was revoked; add somebody under another name, so that records stay apart\n"] * 3


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("add ann --role god", "'god' is not one of 'viewer', 'trader', 'risk', 'operations', 'admin'"),
        ("add a/b --role risk", "oms: a name has 1 to 32 letters, digits, _ or -; nothing was changed"),
        ("add bob --role risk", "oms: there is bob already; `oms people role` or `oms people rotate` changes that"),
        ("add ann --role risk --no-token", "--no-token needs --user"),
        (
            "add ann --role risk --user 1002",
            "oms: bob and ann are the same; nobody is two people; nothing was changed",
        ),
        (
            "add ann --role risk --token-to /dev/null",
            "oms: --token-to /dev/null: File exists; name a file that is not",
        ),
        ("rotate zoe", "oms: there is no operator zoe; `oms people list` shows them"),
        ("add ann --role risk --days 0", "0 is not in the range 1<=x<=3660"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy_and_changes_nothing(
    config: Path, command: str, words: str
) -> None:
    run(config, "add bob --role risk --user 1002")
    before = (config.parent / "people.json").read_bytes()
    assert words in run(config, command, 2)
    assert (config.parent / "people.json").read_bytes() == before


def test_a_scope_that_is_none_is_refused(config: Path) -> None:
    args = ["people", "add", "ann", "--role", "risk", "--client", "", "--config", str(config)]
    result = CliRunner().invoke(oms, args)
    assert (result.exit_code, "a scope has patterns of 1 to 64 printable characters" in result.output) == (2, True)


def test_without_a_file_in_the_configuration_it_says_what_to_write(config: Path) -> None:
    config.write_text(config.read_text().replace('file = "people.json"', ""))
    assert run(config, "list", 2).startswith(
        'oms: oms.toml names no file of people: write file = "people.json" under'
    )

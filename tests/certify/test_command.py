"""`oms certify` as a person runs it: a gateway of its own, real FIX sessions and Postgres, nothing left behind."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

import oms.cli.certify
from oms.certify.scenario import parse
from oms.cli.main import oms as program
from tests.certify.conftest import HEAD

WRONG = """\
| 1 | client | NewOrderSingle | X | | | | 100 | | | | |
| 2 | broker | ExecutionReport | X | | New | New | 100 | 0 | 100 | 0 | |
| 3 | broker | ExecutionReport | X | | Trade | Filled | 100 | 40 | 60 | 40 | LastPx(31)=10 |
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that Postgres may enter as a user of its own: pytest closes its own to others at every start."""
    with tempfile.TemporaryDirectory(prefix="oms-certify-") as name:
        yield Path(name) / "reports"


def certify(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(program, ["certify", "--dir", str(directory), *options])


@pytest.mark.parametrize("text", ["--scenario Z.1.a", "--pair 4.2", "--pair 4.2/4.3", "--scenario B.1.b-7z"])
def test_what_is_not_there_is_bad_input_and_nothing_is_started(directory: Path, text: str) -> None:
    result = certify(directory, *text.split())
    assert (result.exit_code, directory.exists()) == (2, False)
    assert "; write " in result.stderr


@pytest.mark.system
@pytest.mark.engine
@pytest.mark.postgres
def test_scenarios_pass_with_the_gateway_killed_on_the_way_and_nothing_is_left_running(directory: Path) -> None:
    result = certify(directory, "--pair", "4.2/4.4", "--scenario", "B.1.b", "--kill", "--seed", "3", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"], document["kills"], document["problems"]) == (0, True, 2, [])
    assert [(one["run"], one["pair"], one["failure"]) for one in document["runs"]] == [
        (name, "4.2/4.4", "") for name in ("B.1.b", "B.1.b-2a", "B.1.b-6a", "B.1.b-8a")
    ]
    (page,) = directory.glob("certification-*.md")
    assert "| 4.2/4.4 | 1 of 1 | 4 of 4 |" in page.read_text()
    running = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert [command for command in running if str(directory) in command] == []


@pytest.mark.system
@pytest.mark.engine
@pytest.mark.postgres
def test_a_gateway_that_does_not_do_as_the_scenario_has_it_fails_and_the_summary_says_where(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = parse(f"# A.1.a Filled before it is filled\n\n{HEAD}{WRONG}", "A.1.a.md")
    monkeypatch.setattr(oms.cli.certify, "load_all", lambda: [scenario])
    result = certify(directory, "--pair", "4.4/5.0SP2")
    assert result.exit_code == 1
    assert "A.1.a, 4.4/5.0SP2, step 3 (the broker's 8): the client got something else\n" in result.stdout
    assert "  OrdStatus(39)            expected 2                            received 1\n" in result.stdout
    assert "1 did not pass. " in result.stdout

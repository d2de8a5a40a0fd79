"""`oms sim broker` and `oms sim client` tell what is wrong with what they are given, and how to mend it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from oms.cli.sim import sim


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    result = CliRunner().invoke(sim, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize("command", ["broker", "client"])
def test_help_has_an_example(command: str) -> None:
    code, output = run(command, "--help")
    assert code == 0
    assert f"Example: oms sim {command} --name" in output


@pytest.mark.parametrize("options", [[], ["--orders", "orders.csv", "--generate", "5"]])
def test_the_client_wants_either_a_file_or_a_number(tmp_path: Path, options: list[str]) -> None:
    assert run("client", "--name", "C", "--port", "9", "--dir", str(tmp_path), *options) == (
        2,
        "oms sim client: say what to send: either --orders FILE or --generate N\n",
    )


def test_a_bad_orders_file_is_told_where(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("action,ref\nnew,a\n")
    code, output = run("client", "--name", "C", "--port", "9", "--dir", str(tmp_path), "--orders", str(path))
    assert (code, output) == (
        2,
        f"oms sim client: {path}: line 2: symbol or qty is empty; an order needs both\n",
    )


def test_a_bad_behaviour_file_is_told_where(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("[[rule]]\nsteps = ['fill', {do = 'delay'}]\n")
    code, output = run("broker", "--name", "B", "--port", "9", "--dir", str(tmp_path), "--behaviour", str(path))
    assert (code, output) == (2, f"oms sim broker: {path}: rule.1.steps.2: step delay needs ms; correct it\n")


@pytest.mark.engine
def test_a_port_in_use_is_told_and_the_directory_is_free_again(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for _ in range(2):
            code, output = run("broker", "--name", "B", "--port", port, "--dir", str(tmp_path / "b"))
            assert code == 2
            assert output.startswith(f"oms sim broker: port {port}: cannot listen")
            assert output.endswith("choose another port or stop what uses it\n")

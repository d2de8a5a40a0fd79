"""`oms health`: whether the gateway is well, for people and for monitoring: exit code 0 if it is, 1 if not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oms.cli.output import config_option, console, emit_json, json_option, print_tables, state_dir_of, table
from oms.errors import OperatorError
from oms.ops.control import call

UNHEALTHY = 1


@click.command(epilog="Example: oms health --json || page-somebody")
@config_option
@json_option
def health(path: Path, as_json: bool) -> None:
    """Whether the gateway answers, its threads turn, and its ledger, lease and sessions are well.

    Exit code 0: healthy, warnings or not. 1: not healthy, or the gateway does not answer. It asks neither the ledger
    nor a counterparty, so that it answers while they do not.
    """
    state_dir = state_dir_of(path)
    try:
        found = call(state_dir, "health", {}, seconds=5.0)
    except OperatorError as error:
        found = {"healthy": False, "findings": [{"about": "gateway", "state": "bad", "text": str(error)}]}
    if as_json:
        emit_json(found)
    else:
        _print(found)
    if not found["healthy"]:
        click.get_current_context().exit(UNHEALTHY)


def _print(found: dict[str, Any]) -> None:
    warnings = sum(one["state"] == "warn" for one in found["findings"])
    told = f" ({warnings} to look at)" if warnings and found["healthy"] else ""
    click.echo(f"The gateway is {'healthy' if found['healthy'] else 'NOT healthy'}{told}.")
    rows = [(one["state"], one["about"], one["text"]) for one in found["findings"]]
    print_tables(console(), [table("Findings", ("state", "about", "what was seen~"), rows)])

"""`oms trading`: switch trading on or off while the gateway runs, and see since when and why it is as it is.

Off counts at once, also while the ledger is gone; on counts once it is journaled, and needs a second person where
`[operators] two_people` says so. Both hold over restarts. `[gateway] trading = "off"` is the ceiling: nothing here
switches trading on then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oms.cli.approvals import say_done
from oms.cli.output import config_option, emit_json, json_option, reason_option, state_dir_of
from oms.ops.control import call

IS_OFF = 1


@click.group(short_help="Switch trading on or off; see why it is off.")
def trading() -> None:
    """Whether new orders, and replaces that add risk, are let through at all. Cancels always are."""


@trading.command(epilog='Example: oms trading on --reason "positions agree after the power cut"')
@reason_option
@config_option
@json_option
def on(text: str, path: Path, as_json: bool) -> None:
    """Let new orders through again. Kill switches that are engaged stay so."""
    answer = call(state_dir_of(path), "trading.on", {"text": text})
    if as_json or "proposal_id" in answer:
        say_done(answer, as_json)
        return
    click.echo(f"Trading is on (journal row {answer['journal_seq']}).")
    _say_kills(answer)


@trading.command(epilog='Example: oms trading off --reason "exchange test until 09:30"')
@reason_option
@config_option
@json_option
def off(text: str, path: Path, as_json: bool) -> None:
    """Refuse new orders, and replaces that add risk, at once; live orders stay (`oms kill engage` cancels them)."""
    answer = call(state_dir_of(path), "trading.off", {"text": text})
    if as_json:
        emit_json(answer)
    else:
        row = f" (journal row {answer['journal_seq']})" if "journal_seq" in answer else ""
        click.echo(f"Trading is off{row}: new orders are refused, cancels go.")
    if answer["problem"]:
        raise click.ClickException(str(answer["problem"]))


@trading.command(epilog="Example: oms trading status --json")
@config_option
@json_option
@click.pass_context
def status(context: click.Context, path: Path, as_json: bool) -> None:
    """Whether trading is on, since when, by whom and why. Exit code 0 if orders are let through, 1 if not."""
    answer = call(state_dir_of(path), "trading.status", {})
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"Trading is {answer['text']} (environment {answer['environment']}).")
        if answer["remedy"]:
            click.echo(f"To switch it on: {answer['remedy']}")
        _say_kills(answer)
    if answer["trading"] == "off" or answer["firm_kills"]:
        context.exit(IS_OFF)


def _say_kills(answer: dict[str, Any]) -> None:
    if kills := answer["firm_kills"]:
        click.echo(f"No order leaves all the same: kill switch {', '.join(kills)} is engaged for the firm.")

"""`oms breakers`: what circuit breakers watch and which are open; open one, close one.

All of it asks the running gateway. Exit codes: 0 done, 2 bad input or no gateway, 3 no such breaker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oms.cli.approvals import say_done
from oms.cli.output import (
    NotFound,
    config_option,
    console,
    emit_json,
    json_option,
    reason_option,
    state_dir_of,
    table,
)
from oms.core.breaker_rules import SCOPE, whose
from oms.ops.control import call

_WHICH = {"client": "client session", "account": "account", "symbol": "symbol", "broker": "broker session"}


@click.group(short_help="List and show circuit breakers; open and close them.")
def breakers() -> None:
    """Circuit breakers: while one is open, no new orders and no replaces that add risk in its scope.

    They open by themselves, and are open after a restart. Cancels are never stopped, executions always taken.
    """


def _scope_options(command: Any) -> Any:
    for part in reversed(SCOPE):
        command = click.option(f"--{part}", metavar="NAME", help=f"The breaker of this {_WHICH[part]}.")(command)
    return command


@breakers.command("list", epilog="Example: oms breakers list")
@config_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """The rules, and the breakers that are not closed."""
    answer = call(state_dir_of(path), "breakers.list", {})
    if as_json:
        emit_json(answer)
        return
    if not answer["rules"]:
        click.echo("No circuit breaker is configured: [[breakers]] in oms.toml.")
        return
    rows = [
        (one["breaker"], one["measure"] or "not configured", _scope(one["scope"]), one["threshold"],
         _seconds(one["window"]), one["action"], _seconds(one["rest"]) or "operator", one["open"], one["half_open"],
         one["trips"])
        for one in answer["rules"]
    ]  # fmt: skip
    columns = (
        "breaker", "measure", "for each", "threshold>", "window>", "action", "closes after", "open>", "half-open>",
        "opened>",
    )  # fmt: skip
    console().print(table("Circuit breakers", columns, rows))
    _show_open(answer["breakers"])


@breakers.command(epilog="Example: oms breakers show broker-rejects")
@click.argument("name")
@config_option
@json_option
def show(name: str, path: Path, as_json: bool) -> None:
    """One rule: its numbers, what is open, and what the closed ones have counted so far."""
    answer = call(state_dir_of(path), "breakers.show", {"breaker": name})
    if not answer["rules"]:
        raise NotFound(f"there is no breaker {name}; `oms breakers list` shows those that there are")
    if as_json:
        emit_json(answer)
        return
    for rule in answer["rules"]:
        click.echo(f"{rule['breaker']}: {rule['meaning']}; for each {_scope(rule['scope'])}")
        window = f" within {rule['window']} s" if rule["window"] else ""
        least = f", of at least {rule['min_count']}" if rule["min_count"] else ""
        click.echo(f"opens at {rule['threshold']}{window}{least}; action {rule['action']}")
        rest = f"after {rule['rest']} s {rule['probes']} orders may pass to see" if rule["rest"] else "by an operator"
        click.echo(f"closes: {rest}; opened {answer['trips']} times since the start")
    _show_open(answer["breakers"])
    if answer["closed"]:
        rows = [(whose(one["scope"]), one["bad"], one["total"]) for one in answer["closed"]]
        console().print(table("Closed, as of their last event", ("for", "counts>", "of>"), rows))
        if answer["closed_in_all"] > len(rows):
            click.echo(f"and {answer['closed_in_all'] - len(rows)} more that count less")


def _show_open(found: list[dict[str, Any]]) -> None:
    if not found:
        click.echo("None is open.")
        return
    rows = [
        (one["breaker"], whose(one["scope"]), one["state"], one["since"][:19].replace("T", " "), one["item_id"],
         one["text"])
        for one in found
    ]  # fmt: skip
    columns = ("breaker", "for", "state", "since (UTC)", "item", "why~")
    console().print(table("Not closed", columns, rows))


def _scope(scope: dict[str, str]) -> str:
    return ", ".join(f"{part} {pattern}" for part, pattern in scope.items()) or "the firm"


def _seconds(value: int | None) -> str:
    return "" if value is None else f"{value} s"


@breakers.command(
    epilog='Example: oms breakers trip broker-rejects --broker BROKER1 --reason "they call: stop sending"'
)
@click.argument("name")
@_scope_options
@reason_option
@config_option
@json_option
def trip(name: str, text: str, path: Path, as_json: bool, **scope: str | None) -> None:
    """Open one by hand. It closes as its rule says."""
    given = {part: value for part, value in scope.items() if value}
    answer = call(state_dir_of(path), "breakers.trip", {"breaker": name, **given, "text": text})
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{name} for {whose(given)} is open (journal row {answer['journal_seq']}).")


@breakers.command(epilog='Example: oms breakers reset broker-rejects --broker BROKER1 --reason "their fix is live"')
@click.argument("name")
@_scope_options
@click.option("--all", "every", is_flag=True, help="All of this name that are not closed.")
@reason_option
@config_option
@json_option
def reset(name: str, every: bool, text: str, path: Path, as_json: bool, **scope: str | None) -> None:
    """Close one: it counts anew from here. Orders that were canceled stay so."""
    given = {part: value for part, value in scope.items() if value}
    if every and given:
        raise click.UsageError("give --all or the scope of one, not both")
    args = {"breaker": name, **given, "text": text} | ({"all": "Y"} if every else {})
    answer = call(state_dir_of(path), "breakers.reset", args)
    if as_json or "proposal_id" in answer:
        say_done(answer, as_json)
    else:
        what = "all of them" if every else whose(given)
        click.echo(f"{name} for {what} is closed (journal row {answer['journal_seq']}).")

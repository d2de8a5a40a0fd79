"""`oms start-report`: what a start of the gateway found and did, step by step, from its journal.

A start that was refused before it could write into the ledger is told of from the state directory instead. Exit code
0 for a start that came to its end, 1 for one that was refused or cut off, 3 where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from oms.cli.output import (
    NotFound,
    Since,
    clean,
    config_option,
    console,
    day_and_time,
    emit_json,
    json_option,
    limit_option,
    plural,
    print_labelled,
    print_tables,
    span,
    table,
)
from oms.config.load import Config, load
from oms.core.trading import Switch
from oms.errors import OperatorError
from oms.ledger.database import open_ledger
from oms.ledger.starts import Start, start_at, start_number, starts
from oms.ops.limit_set import facts_text
from oms.startup_report import REFUSED_FILE

NOT_OPEN = 1
STEPS = {
    "claim": "right to write the ledger taken, database up, schema current",
    "connect": "ledger connected",
    "tail": "end of the journal proved",
    "stores": "session positions read, message stores looked at",
    "ids": "ids of the day loaded",
    "orders": "live orders loaded",
    "messages": "messages of unknown fate settled",
    "totals": "totals, kill switches and proposals loaded",
    "engines": "QuickFIX: dictionaries read, message stores opened",
    "flow": "flow made",
    "align": "expected MsgSeqNum(34) set",
    "begin": "first batch decided",
    "kills": "kill switches compared with the journal",
    "open brokers": "QuickFIX: broker sessions opened",
    "open clients": "QuickFIX: client sessions opened",
    "tune": "interpreter set up",
}
STOPS = {
    "clean": "in order",
    "unclean": "cut off: it wrote no stop",
    "refused": "the start before this one was refused",
    "first start": "this ledger's first start",
    "not told": "not told: written by an earlier version",
}
OUTCOMES = {"open": "open", "refused": "refused", "unfinished": "cut off before it was open"}


@click.command("start-report", epilog="Example: oms start-report --at 07:00")
@config_option
@click.option("--number", type=click.IntRange(1), help="That start; --list shows the numbers.")
@click.option("--at", "moment", type=Since(), help="The last start not after: 2026-03-02T07:00, 07:00, 2h, 1d (UTC).")
@click.option("--list", "as_list", is_flag=True, help="List the starts, newest first.")
@limit_option
@json_option
@click.pass_context
def start_report(
    context: click.Context,
    path: Path,
    number: int | None,
    moment: datetime | None,
    as_list: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show what the last start of the gateway (or another one) found, set and opened, and how long each step took."""
    if (number is not None) + (moment is not None) + as_list > 1:
        raise click.UsageError("--number, --at and --list exclude one another")
    config = load(path)
    if as_list:
        with open_ledger(config) as engine:
            found = starts(engine, limit)
        _list(found, as_json)
        return
    start = _wanted(config, number, moment)
    if as_json:
        emit_json(_as_json(start))
    else:
        _show(start)
    if start.outcome != "open":
        context.exit(NOT_OPEN)


def _wanted(config: Config, number: int | None, moment: datetime | None) -> Start:
    outside = _outside(config) if number is None else None
    if outside is not None and moment is not None and outside.at > moment:
        outside = None
    try:
        with open_ledger(config) as engine:
            if number is not None:
                start = start_number(engine, number)
            elif moment is not None:
                start = start_at(engine, moment)
            else:
                start = next(iter(starts(engine, 1)), None)
    except OperatorError as error:
        if outside is None:
            raise
        click.echo(f"oms: the ledger cannot be asked ({error}); this is from the state directory", err=True)
        return outside
    if outside is not None and (start is None or outside.at > (start.stopped_at or start.opened_at or start.at)):
        return outside
    if start is None:
        raise NotFound("there is no report of such a start; `oms start-report --list` shows those there are")
    return start


def _outside(config: Config) -> Start | None:
    """The last start that was refused and could not be journaled."""
    file = config.gateway.state_dir / REFUSED_FILE
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        at = datetime.fromisoformat(facts.pop("at"))
        made = Start(int(facts.pop("number", 0)), at, 0, "refused")
        made.steps = [(str(name), float(seconds)) for name, seconds in facts.pop("steps")]
        made.seconds, made.refused = facts.pop("seconds"), facts.pop("refused")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        click.echo(f"oms: {file} cannot be read: {error}; remove it", err=True)
        return None
    made.facts = facts
    return made


def _as_json(start: Start) -> dict[str, Any]:
    made = asdict(start)
    made["steps"] = [{"step": name, "seconds": seconds} for name, seconds in start.steps]
    made["in_journal"] = bool(start.seq)
    return made


# -- for people ---------------------------------------------------------------------------------------------------


def _list(found: list[Start], as_json: bool) -> None:
    if as_json:
        emit_json([_as_json(one) for one in found])
        return
    if not found:
        click.echo("No start is reported in this ledger.")
        return
    columns = ("start>", "began (UTC)", "took>", "outcome", "stopped (UTC)", "stop before", "live orders>", "reason~")
    rows = [
        (
            one.number,
            day_and_time(one.at),
            "" if one.seconds is None else span(one.seconds),
            OUTCOMES[one.outcome],
            day_and_time(one.stopped_at),
            one.facts.get("stop_before", ""),
            sum(one.facts.get("live_orders", {}).values()),
            one.refused,
        )
        for one in found
    ]
    console().print(table("Starts", columns, rows))


def _show(start: Start) -> None:
    out = console()
    facts = start.facts
    took = "" if start.seconds is None else f" after {span(start.seconds)}"
    which = f"Start {start.number}" if start.number else "A start"
    where = f"on {clean(facts.get('host', 'an unknown host'))}, oms {clean(facts.get('version', '?'))}"
    click.echo(f"{which} {where}, {day_and_time(start.at)} (UTC): {OUTCOMES[start.outcome]}{took}")
    if start.stopped_at is not None:
        click.echo(f"It ended in order, {day_and_time(start.stopped_at)} (UTC).")
    if start.refused:
        step = STEPS.get(str(facts.get("refused_in")), "before its first step")
        click.echo(f"Refused in the step `{step}`: {clean(start.refused)}")
    if not start.seq:
        click.echo(f"It could not write into the ledger: this is from {REFUSED_FILE} in the state directory.")
    print_labelled(out, [(label, Text(clean(text))) for label, text in _facts(start)])
    sessions = facts.get("sessions", {})
    columns = (
        "session", "role", "committed in>", "out>", "resets>", "store: next in>", "next out>", "set to expect>",
        "messages~", "store~",
    )  # fmt: skip
    rows = [_session(name, one) for name, one in sessions.items()]
    steps = [(STEPS.get(name, name), span(seconds)) for name, seconds in start.steps]
    print_tables(
        out,
        [
            table("Sessions: MsgSeqNum(34)", columns, rows) if rows else None,
            table("Steps", ("step", "took>"), steps) if steps else None,
        ],
    )


def _facts(start: Start) -> list[tuple[str, str]]:
    facts = start.facts
    lines = [("stop before", STOPS.get(facts.get("stop_before", ""), "not known"))]
    if ledger := facts.get("ledger"):
        lines.append(("ledger", f"{ledger['database']}, schema {ledger['schema']}, PostgreSQL {ledger['postgres']}"))
    if tail := facts.get("tail"):
        proved = f"{plural(tail['rows'], 'row')} in {plural(tail['batches'], 'batch')} proved"
        end = f"up to row {tail['seq']:,} of batch {tail['batch']:,}, hash {tail['hash'] or 'none'}"
        lines.append(("journal", f"{proved}, {end}"))
    if "live_orders" in facts:
        lines.append(("live orders", _counted(facts["live_orders"])))
    if ids := facts.get("ids"):
        asked = ", ".join(ids["asked_each_time"])
        text = f"{ids['client_ids']:,} ClOrdID(11) of clients, {ids['fill_ids']:,} ExecID(17) of brokers"
        many = f"; too many, the ledger is asked each time: {asked}" if asked else ""
        lines.append(("ids of the day", text + many))
    if trading := facts.get("trading"):
        lines.append(("trading", _trading(trading)))
    if limits := facts.get("limits"):
        lines.append(("limits", facts_text(limits)))
    if "kills" in facts:
        lines.append(("kill switches", ", ".join(facts["kills"]) or "none engaged"))
    if facts.get("sessions_disabled"):
        lines.append(("disabled sessions", ", ".join(facts["sessions_disabled"])))
    if "poison" in facts:
        lines.append(("poison messages", f"{facts['poison']} noted" if facts["poison"] else "none"))
    if "items_open" in facts:
        lines.append(("open items", _counted(facts["items_open"])))
    if "items_opened" in facts:
        lines.append(("items it opened", _counted(facts["items_opened"])))
    return lines


def _trading(fact: Mapping[str, Any]) -> str:
    """The switch that the start began with; the configuration's word comes first."""
    if fact["ceiling"] == "off":
        return 'off: trading = "off" in [gateway]'
    remedy = "" if fact["on"] else "; `oms trading on --reason TEXT` switches it on"
    return Switch.of_fact(fact).text + remedy


def _counted(numbers: Mapping[str, int]) -> str:
    """``3: 2 working, 1 unknown``."""
    if not numbers:
        return "none"
    return f"{sum(numbers.values()):,}: " + ", ".join(f"{number:,} {name}" for name, number in numbers.items())


def _session(name: str, one: Mapping[str, Any]) -> tuple[object, ...]:
    ledger, store = one.get("ledger", {}), one.get("store", {})
    rebuilt = one.get("rebuilt")
    made = (
        f"made again: {plural(rebuilt['messages'], 'message')}, next out {rebuilt['next_sender']}" if rebuilt else ""
    )
    return (
        name,
        one.get("role", ""),
        ledger.get("in", ""),
        ledger.get("out", ""),
        ledger.get("resets", "") or "",
        store.get("next_in", ""),
        store.get("next_out", ""),
        one.get("set_back_to") or "",
        ", ".join(f"{number:,} {outcome}" for outcome, number in one.get("messages", {}).items()) or "all known",
        made or one.get("lost", ""),
    )

"""`oms sessions`: which FIX sessions there are and what they are doing; see also `session_control`, `set_seq`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from oms.cli.output import (
    config_option,
    console,
    day_and_time,
    emit_json,
    json_option,
    print_tables,
    reading,
    span,
    table,
)
from oms.cli.session_control import COMMANDS
from oms.cli.set_seq import set_seq
from oms.config.load import Config
from oms.ledger import queries
from oms.ledger.database import Engine, is_gateway_running
from oms.ledger.records import SessionActivity
from oms.ledger.standing_rows import command_rows
from oms.ledger.statistics import latencies, refusals
from oms.ops.standing import LASTING, KeptOut, Standing, standing

LIST_COLUMNS = (
    "session", "role", "version", "state~", "since (UTC)", "MsgSeqNum(34) in>", "out>", "waiting>", "resets>",
    "orders today>", "alive>", "fills today>",
)  # fmt: skip


@click.group(short_help="List and show FIX sessions; log them on and out; set their sequence numbers.")
def sessions() -> None:
    """FIX sessions: clients and brokers."""


@sessions.command("list", epilog="Example: oms sessions list --stats")
@config_option
@click.option("--stats", is_flag=True, help="Also latency per hop and refusals by reason, of the newest messages.")
@json_option
def list_(path: Path, stats: bool, as_json: bool) -> None:
    """List all sessions, logged on or not, with how far they are and what they did today."""
    with reading(path, recorded=False) as (config, engine):
        running = is_gateway_running(engine)
        today = config.gateway.trade_date(datetime.now(UTC))
        said = standing(command_rows(engine, LASTING))
        found = _sessions(config, queries.list_sessions(engine, today), running, said)
        if as_json:
            extra = {"latencies": latencies(engine), "refusals": refusals(engine)} if stats else {}
            emit_json({"gateway_running": running, "trade_date": today, "sessions": found, **extra})
            return
        out = console()
        state = "is running" if running else "is not running"
        click.echo(f"Gateway {config.gateway.name} ({config.gateway.environment}) {state}; trade date {today}.")
        print_tables(out, [table("Sessions", LIST_COLUMNS, [_row(one) for one in found])])
        if any(one.get("waiting") for one in found):
            click.echo("waiting: messages that leave when the session is logged on")
        if stats:
            _show_statistics(engine)


for command in (*COMMANDS, set_seq):
    sessions.add_command(command)


def _sessions(
    config: Config, active: Sequence[SessionActivity], running: bool, said: Standing
) -> list[dict[str, Any]]:
    """Sessions of the ledger and of the configuration as one list: those configured first, in file order."""
    by_name = {one.position.session: one for one in active}
    found = []
    for name in [*config.sessions, *(name for name in by_name if name not in config.sessions)]:
        spec, one = config.sessions.get(name), by_name.get(name)
        version = "" if spec is None else spec.appl_ver_id
        role = spec.role if spec is not None else by_name[name].position.role
        entry: dict[str, Any] = {"session": name, "role": role, "version": version}
        entry |= {"disabled": _text(said.disabled.get(name)), "drained": _text(said.drained.get(name))}
        words = [word for word in ("disabled", "drained") if entry[word]]
        if one is None:
            found.append(entry | {"state": ", ".join(["never logged on", *words])})
            continue
        position = asdict(one.position)
        counts = {key: getattr(one, key) for key in ("waiting", "orders_today", "live_orders", "fills_today")}
        state = "logged on" if position["logged_on"] else "logged out"
        if position["logged_on"] and not running:
            state = "no gateway"
        state = ", ".join([state, *words])
        if spec is None:
            state += ", not configured any more"
        found.append(position | entry | counts | {"state": state})
    return found


def _text(why: KeptOut | None) -> str:
    return "" if why is None else why.text


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    keys = (
        "in_msg_seq_num", "out_msg_seq_num", "waiting", "epoch", "orders_today", "live_orders", "fills_today",
    )  # fmt: skip
    since = day_and_time(one.get("changed_at"))[:19]
    return (one["session"], one["role"], one["version"], one["state"], since, *(one.get(key, "") for key in keys))


def _show_statistics(engine: Engine) -> None:
    out = console()
    hops = [
        (one.hop, one.session, one.count, span(one.p50), span(one.p90), span(one.p99), span(one.worst))
        for one in latencies(engine)
    ]
    refused = [(one.session, one.by, one.reason, one.count) for one in refusals(engine)]
    latency_columns = ("latency", "session", "messages>", "p50>", "p90>", "p99>", "worst>")
    refused_columns = ("session", "refused by", "reason~", "count>")
    print_tables(
        out,
        [
            table("Time within the gateway", latency_columns, hops) if hops else None,
            table("Refused requests", refused_columns, refused) if refused else None,
        ],
    )
    if not hops and not refused:
        click.echo("No messages yet.")

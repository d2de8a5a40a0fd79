"""`oms sessions show`: one session, as the gateway, the ledger and its store have it; logon, logout, disable, enable,
drain; password-hash.

`show` also works without a gateway, from the ledger and the store; the others need the running gateway.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from oms.cli.output import (
    NotFound,
    config_option,
    console,
    day_and_time,
    emit_json,
    json_option,
    plural,
    print_tables,
    reading,
    reason_option,
    span,
    state_dir_of,
    table,
)
from oms.config.certificates import Ends, ends_of
from oms.config.load import Config
from oms.config.schedule import schedule_of
from oms.config.sessions import SessionSpec
from oms.ledger import queries
from oms.ledger.database import Engine
from oms.ledger.records import JournalEntry
from oms.ledger.statistics import latencies
from oms.ops.control import NoGateway, call

LAST_MESSAGES = 10
_reason = click.option(
    "--reason", "text", required=True, help="Why; kept in the journal with your name, and told to them as Text(58)."
)


@click.command(epilog="Example: oms sessions show BROKER1")
@click.argument("session")
@config_option
@json_option
def show(session: str, path: Path, as_json: bool) -> None:
    """Show one session: its state, its numbers in engine, store and ledger, latency, last messages."""
    with reading(path, recorded=False) as (config, engine):
        spec = config.sessions.get(session)
        if spec is None:
            raise NotFound(f"there is no session {session}; there are {', '.join(config.sessions)}")
        found = _found(config, engine, spec)
    if as_json:
        emit_json(found)
    else:
        _print(found)


def _found(config: Config, engine: Engine, spec: SessionSpec) -> dict[str, Any]:
    from oms.fix.renumber import stored_numbers  # with QuickFIX, which listing sessions does without

    today = config.gateway.trade_date(datetime.now(UTC))
    active = next((one for one in queries.list_sessions(engine, today) if one.position.session == spec.name), None)
    try:
        live: dict[str, Any] | None = call(config.gateway.state_dir, "sessions.show", {"session": spec.name})
    except NoGateway:
        live = None
    stored = stored_numbers(spec.store_path / spec.store_prefix)
    return {
        "session": spec.name,
        "role": spec.role,
        "version": spec.appl_ver_id,
        "dialect": spec.dialect.name,
        "address": f"{spec.host}:{spec.port}" if spec.host else f"port {spec.port} of this machine",
        "tls": spec.tls,
        "certificates": [one._asdict() for one in ends_of(spec.settings)] if spec.tls else [],
        "next_reset": _next_reset(spec),
        "store": str(spec.store_path / spec.store_prefix),
        "gateway_running": live is not None,
        "state": _state(live),
        "engine": live,
        "password": _password(spec),
        "stored": None if stored is None else {"next_out": stored[0], "next_in": stored[1]},
        "ledger": None if active is None else active,
        "latencies": [one for one in latencies(engine) if one.session == spec.name],
        "messages": [_message(one) for one in queries.last_of_session(engine, spec.name, LAST_MESSAGES)],
    }


def _message(entry: JournalEntry) -> dict[str, Any]:
    """One row of the table of messages: its MsgSeqNum(34) is that under which it came, or went out."""
    number = entry.msg_seq_num if entry.send is None else entry.send.msg_seq_num
    return {
        "received_at": entry.received_at,
        "kind": entry.kind,
        "msg_type": entry.msg_type,
        "msg_seq_num": number,
        "order_id": entry.order_id,
        "seq": entry.seq,
    }


def _next_reset(spec: SessionSpec) -> dict[str, Any] | None:
    """When its numbers start at 1 again by its schedule, and whether it is open now; None without a schedule."""
    schedule, now = schedule_of(spec.settings), datetime.now(UTC)
    return None if schedule is None else {"at": schedule.next_reset(now), "open": schedule.is_open(now)}


def _password(spec: SessionSpec) -> str:
    """What is done about passwords at logon, without any."""
    if not spec.password:
        return ""
    return "asked for" if spec.side == "client" else "ours is told"


def _state(live: dict[str, Any] | None) -> str:
    if live is None:
        return "no gateway"
    state = "logged on" if live["logged_on"] else str(live["kept_out"]) or "logged out"
    return f"{state}, {live['drained']}" if live["drained"] else state


def _pace(outbound: dict[str, Any]) -> str:
    """How fast messages leave for a broker with a limit, and what waits."""
    full, now = outbound["max_messages_per_second"], outbound["messages_per_second_now"]
    waiting = ", ".join(f"{number} {urgency}" for urgency, number in outbound["waiting"].items() if number)
    text = f"{full} messages a second" + (f", {now:g} now" if now != full else "")
    if outbound["too_fast"]:
        text += f" ({plural(outbound['too_fast'], 'complaint')} that it gets too many)"
    oldest = f", the oldest for {span(outbound['oldest_seconds'])}" if waiting else ""
    return f"{text}; waiting: {waiting or 'nothing'}{oldest}"


def _print_more(found: dict[str, Any]) -> None:
    """Schedule, certificates, password."""
    live = found["engine"]
    if (reset := found["next_reset"]) is not None:
        closed = "" if reset["open"] else "; closed until then"
        click.echo(f"  schedule  numbers start at 1 again {day_and_time(reset['at'])} UTC{closed}")
    for one in found["certificates"]:
        click.echo(f"  TLS       {one['key']} {one['file']} {Ends(**one).says(datetime.now(UTC))}")
    if found["password"]:
        refused = f"; {live['logons_refused']} Logon(A) not accepted" if live and live["logons_refused"] else ""
        click.echo(f"  password  {found['password']} with Logon(A){refused}")


def _print(found: dict[str, Any]) -> None:
    live, stored, ledger = found["engine"], found["stored"], found["ledger"]
    click.echo(
        f"{found['session']} ({found['role']}, {found['version']}, dialect {found['dialect']}): {found['state']}"
    )
    click.echo(f"  address   {found['address']}{', TLS' if found['tls'] else ''}")
    click.echo(f"  store     {found['store']}")
    _print_more(found)
    if live is not None:
        at = live["last_message_at"]
        last = "never" if at is None else day_and_time(datetime.fromisoformat(at))
        beat = f", HeartBtInt(108) {live['heartbeat_seconds']} s" if live["heartbeat_seconds"] else ""
        click.echo(f"  last      message in or out {last} UTC{beat}; {live['inbox_waiting']} heard and not yet taken")
        if live.get("outbound"):
            click.echo(f"  outbound  {_pace(live['outbound'])}")
        if live["store_problem"]:
            click.echo(f"  PROBLEM   its store cannot be written: {live['store_problem']}")
    rows: list[tuple[object, ...]] = []
    if live is not None:
        rows.append(("engine", live["next_in"], live["next_out"], "the next to expect and to send"))
    if stored is not None:
        rows.append(("store", stored["next_in"], stored["next_out"], "the next, as in the store's file"))
    if ledger is not None:
        one = ledger.position
        meaning = f"the last that is committed and settled; {ledger.waiting} waiting, {one.epoch} resets"
        rows.append(("ledger", one.in_msg_seq_num, one.out_msg_seq_num, meaning))
    hops = [(one.hop, one.count, span(one.p50), span(one.p99), span(one.worst)) for one in found["latencies"]]
    messages = [
        (day_and_time(at), *("" if one is None else one for one in more))
        for at, *more in (row.values() for row in found["messages"])
    ]
    print_tables(
        console(),
        [
            table("MsgSeqNum(34)", ("", "in>", "out>", "meaning~"), rows) if rows else None,
            table("Time within the gateway", ("hop", "messages>", "p50>", "p99>", "worst>"), hops) if hops else None,
            table(
                "Last messages",
                ("time (UTC)", "kind", "MsgType(35)", "MsgSeqNum(34)>", "OrderID(37)", "journal row>"),
                messages,
            )
            if messages
            else None,
        ],
    )


@click.command(epilog='Example: oms sessions logout BROKER1 --reason "they asked for it"')
@click.argument("session")
@_reason
@config_option
@json_option
def logout(session: str, text: str, path: Path, as_json: bool) -> None:
    """Log a session out; it stays out until `oms sessions logon`, or until the next start."""
    _change("sessions.logout", session, text, path, as_json)


@click.command(epilog='Example: oms sessions logon BROKER1 --reason "they are ready"')
@click.argument("session")
@reason_option
@config_option
@json_option
def logon(session: str, text: str, path: Path, as_json: bool) -> None:
    """Let a session log on again that was logged out."""
    _change("sessions.logon", session, text, path, as_json)


@click.command(epilog='Example: oms sessions disable CLIENT1 --reason "their contract has ended"')
@click.argument("session")
@_reason
@config_option
@json_option
def disable(session: str, text: str, path: Path, as_json: bool) -> None:
    """Log a session out and keep it out, over starts too, until `oms sessions enable`."""
    _change("sessions.disable", session, text, path, as_json)


@click.command(epilog='Example: oms sessions enable CLIENT1 --reason "contract renewed"')
@click.argument("session")
@reason_option
@config_option
@json_option
def enable(session: str, text: str, path: Path, as_json: bool) -> None:
    """Take a session back into use that was disabled; it may log on at once."""
    _change("sessions.enable", session, text, path, as_json)


@click.command(epilog='Example: oms sessions drain BROKER1 --reason "they close early"')
@click.argument("session")
@click.option("--undo", is_flag=True, help="Take new orders again.")
@reason_option
@config_option
@json_option
def drain(session: str, undo: bool, text: str, path: Path, as_json: bool) -> None:
    """Take no new orders from a client, or give a broker none; what lives is served. Holds over starts."""
    verb = "sessions.undrain" if undo else "sessions.drain"
    answer = call(state_dir_of(path), verb, {"session": session, "text": text}, seconds=30.0)
    if as_json:
        emit_json(answer)
    else:
        state = f"is {answer['drained']}" if answer["drained"] else "takes new orders again"
        click.echo(f"{session} {state} (journal row {answer['journal_seq']}).")


@click.command("reload", epilog="Example: oms sessions reload --preview")
@click.option("--preview", is_flag=True, help="Tell what it would do; change nothing.")
@click.option(
    "--force", is_flag=True, help="Retire sessions that are gone from the file although they have live orders."
)
@click.option("--reason", "text", default="", help="Why; kept in the journal with your name.")
@config_option
@json_option
def reload_(preview: bool, force: bool, text: str, path: Path, as_json: bool) -> None:
    """Read sessions.cfg again: add new sessions, change passwords and time-outs, retire sessions that are gone.

    A new client may come to a port that others use. With a new broker the [[routes]] of oms.toml
    are read again too. What needs a restart is named and left alone.
    """
    if not preview and not text.strip():
        raise click.UsageError("say why: --reason TEXT, or look first: --preview")
    args = {"text": text} | ({"preview": "Y"} if preview else {}) | ({"force": "Y"} if force else {})
    answer = call(state_dir_of(path), "sessions.reload", args, seconds=60.0)
    if as_json:
        emit_json(answer)
        return
    word = "would be" if preview else "is"
    for name, keys in answer["changed"].items():
        click.echo(f"{name}: {', '.join(keys)} {word} in force from the next logon on")
    for name in answer["added"]:
        out = answer.get("kept_out", {}).get(name, "")
        state = f", but is {out}; `oms sessions enable {name}` lets it log on" if out else " and may log on"
        click.echo(f"{name}: new, {'would be added' if preview else f'is added{state}'}")
    if answer["routes"]:
        click.echo(f"routes {', '.join(answer['routes'])}: {word} as oms.toml has them now")
    for name in answer["back"]:
        click.echo(f"{name}: in the file again; `oms sessions enable` and `drain --undo` take it into use")
    for name in answer["retired"]:
        number = answer["live_orders"].get(name, 0)
        left = f"; it has {number} live orders" if number else ""
        click.echo(f"{name}: gone from the file, {word} drained, logged out and disabled{left}")
    for what in answer["restart"]:
        click.echo(f"{what}: needs a restart")
    if not any(answer[key] for key in ("changed", "added", "back", "retired", "restart")):
        click.echo("sessions.cfg says what is in force already.")


@click.command("password-hash", epilog="Example: oms sessions password-hash --stdin < password.txt")
@click.option("--stdin", "piped", is_flag=True, help="Read the first line of standard input; ask nothing.")
def password_hash(piped: bool) -> None:
    """Make the hash of a client's password, for OmsPassword in sessions.cfg; the password is kept nowhere."""
    from oms.config.secrets import hashed

    if piped:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password(554)", hide_input=True, confirmation_prompt=True, err=True)
    if not 8 <= len(password) <= 256 or not password.isprintable():
        raise click.ClickException("a password has 8 to 256 printable characters; choose another")
    click.echo(hashed(password))


def _change(verb: str, session: str, text: str, path: Path, as_json: bool) -> None:
    answer = call(state_dir_of(path), verb, {"session": session, "text": text}, seconds=30.0)
    if as_json:
        emit_json(answer)
    elif answer["logged_on"] and answer["kept_out"]:
        raise click.ClickException(
            f"{session} is still logged on: it does not answer and cannot be cut off; try again"
        )
    else:
        state = answer["kept_out"] or "may log on"
        click.echo(f"{session} {'is ' if answer['kept_out'] else ''}{state} (journal row {answer['journal_seq']}).")


COMMANDS = (show, logon, logout, disable, enable, drain, reload_, password_hash)

"""`oms reconcile file`: a broker's end-of-day file against the ledger.

Compares here, reading the ledger only, and tells the running gateway what it found, in parts that fit the control
socket. Where none runs, what was found is printed only, and that is said. A file that cannot be read wholly changes
nothing. Exit code 1 where something differs, 2 for a bad file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from oms.cli.output import config_option, console, emit_json, json_option, plural, print_tables, reading, table
from oms.config.broker_file import FILE_LIMIT, FileReader, Values
from oms.config.load import Config
from oms.core.order import decimal_text
from oms.errors import OperatorError
from oms.ledger import broker_file as compared
from oms.ledger.broker_file import Matched, Plan, Result
from oms.ops.control import NoGateway, call

DIFFERS = 1
COLUMNS = ("what", "line>", "journal rows~", "OrderID(37)", "text~")
EPILOG = """Examples: oms reconcile file BROKER1 fills-20260302.csv --trade-date 2026-03-02;
oms reconcile file BROKER1 positions.csv --positions"""
_PART = 40_000  # characters of facts in one command
_TRANSLATED = {1: "account", 55: "symbol"}


@dataclass(frozen=True, slots=True)
class _File:
    broker: str
    name: str
    sha256: str
    day: date


@click.command("file", epilog=EPILOG)
@click.argument("broker")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--trade-date", type=click.DateTime(["%Y-%m-%d"]), help="Trade date of the file. Absent: today's.")
@click.option("--positions", is_flag=True, help="The file has positions, not executions.")
@config_option
@json_option
def file_command(
    broker: str, file: Path, trade_date: datetime | None, positions: bool, path: Path, as_json: bool
) -> None:
    """Compare a broker's end-of-day file with the ledger, and tell the running gateway what differs.

    Fills that the file confirms get it as a witness; each difference is an exception item. No fill is ever booked
    from a file. How the broker writes its files: [file] in its dialect.
    """
    with reading(path, recorded=False) as (config, engine):
        day = trade_date.date() if trade_date is not None else config.gateway.trade_date(datetime.now(UTC))
        data = _bytes(file)
        about = _File(broker, file.name, hashlib.sha256(data).hexdigest(), day)
        result = _compared(config, engine, about, data, positions)
        kinds = [one for one in compared.KINDS if (one == compared.POSITION) == positions]
        planned = compared.plan(engine, broker, day, result.breaks, kinds)
    answer = _tell(config, about, result, planned)
    if as_json:
        emit_json(_json(about, result, planned, answer))
    else:
        _print(about, result, answer, positions)
    if result.breaks or answer.get("problems"):
        raise SystemExit(DIFFERS)


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(FILE_LIMIT + 1)
    except OSError as error:
        raise OperatorError(
            f"cannot read {file}: {error.strerror or error}; give a file that you may read"
        ) from error


def _compared(config: Config, engine: Any, about: _File, data: bytes, positions: bool) -> Result:
    spec = config.sessions.get(about.broker)
    if spec is None or spec.role != "broker":
        names = ", ".join(one.name for one in config.role("broker")) or "none"
        raise OperatorError(f"there is no broker session {about.broker}; there are: {names}")
    known: Values = {
        _TRANSLATED[rule.tag]: {theirs: ours for ours, theirs in rule.table.items()}
        for rule in spec.dialect.translate
        if rule.tag in _TRANSLATED
    }
    reader = FileReader(spec.dialect.file, data, about.name, known)
    if positions:
        end = datetime.combine(about.day + timedelta(days=1), config.gateway.trading_day_rollover, UTC)
        return compared.compare_positions(engine, about.broker, reader.positions(about.day), end)
    told = reader.executions(about.day)
    compared.check_broker(engine, about.broker, about.day, told, about.name)
    return compared.compare(compared.booked(engine, about.broker, about.day), told, about.broker)


# -- telling the gateway -----------------------------------------------------------------------------------------


def _tell(config: Config, about: _File, result: Result, planned: Plan) -> dict[str, Any]:
    """Tell the running gateway in parts; what it did, or that there is none."""
    counts = {
        "lines": result.lines,
        "fills": result.fills,
        "matched": len(result.matched),
        "differing": sum(one.kind != compared.MISSING_HERE for one in result.breaks),
        "missing_here": sum(one.kind == compared.MISSING_HERE for one in result.breaks),
    }
    args = {"broker": about.broker, "trade_date": about.day.isoformat(), "file": about.name, "sha256": about.sha256}
    args |= {name: str(count) for name, count in counts.items()}
    total: dict[str, Any] = {"told": True, "witnesses": 0, "opened": 0, "closed": 0, "done": [], "problems": []}
    parts = list(_parts(result, planned))
    for number, facts in enumerate(parts, 1):
        args["facts"] = json.dumps(facts)
        if number == len(parts):
            args["last"] = "Y"
        try:
            answer = call(config.gateway.state_dir, "reconcile.file", args, seconds=60.0)
        except NoGateway:
            if number == 1:
                return {"told": False}
            raise
        args["round"] = total["round"] = answer["round"]
        for name in ("witnesses", "opened", "closed", "done", "problems"):
            total[name] += answer[name]
    return total


def _parts(result: Result, planned: Plan) -> Iterator[dict[str, list[list[str]]]]:
    """All facts, in parts of a bounded size; one at least."""
    facts = [("witnesses", _witness(one)) for one in result.matched]
    for name, one in planned.opened:
        about = one.exec_id or f"{one.account} {one.symbol}"
        facts.append(("opened", [name, one.kind, one.text[:1000], one.order_id, about, one.symbol, one.account]))
    facts += [("closed", list(one)) for one in planned.closed]
    part: dict[str, list[list[str]]] = {"witnesses": [], "opened": [], "closed": []}
    size = 0
    for kind, fact in facts:
        length = len(json.dumps(json.dumps(fact)))  # as the control socket's line will have it
        if size + length > _PART:
            yield part
            part, size = {"witnesses": [], "opened": [], "closed": []}, 0
        part[kind].append(fact)
        size += length
    yield part


def _witness(one: Matched) -> list[str]:
    told, fill = one.told, one.booked
    figures = [decimal_text(told.quantity), decimal_text(told.price)]
    others = [told.cl_ord_id, told.account, told.symbol, told.side]
    return [fill.day.isoformat(), fill.exec_id, fill.kind, *figures, *others]


# -- what people and programs read -------------------------------------------------------------------------------


def _json(about: _File, result: Result, planned: Plan, answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "broker": about.broker,
        "trade_date": about.day,
        "file": about.name,
        "sha256": about.sha256,
        "lines": result.lines,
        "fills": result.fills,
        "matched": [{"line": one.told.line, "exec_id": one.told.exec_id} for one in result.matched],
        "breaks": result.breaks,
        "already_open": planned.still_open,
        "gateway": answer,
    }


def _print(about: _File, result: Result, answer: dict[str, Any], positions: bool) -> None:
    what = "positions" if positions else "fills"
    rows = [
        (one.kind, one.line or "", ", ".join(map(str, one.seqs)), one.order_id, one.text) for one in result.breaks
    ]
    head = f"{about.name} of {about.broker}, trade date {about.day}"
    print_tables(console(), [table(head, COLUMNS, rows) if rows else None])
    agree = "" if positions else f", {len(result.matched)} agree"
    lines = plural(result.lines, "line")
    click.echo(f"{head}: {lines}, {result.fills} {what} in the ledger{agree}, {len(result.breaks)} differ.")
    if not answer["told"]:
        click.echo("No gateway runs: nothing was recorded. Start it with `oms run` and repeat, to keep this.")
        return
    click.echo(
        f"Recorded as round {answer['round']}: {plural(answer['witnesses'], 'fill')} confirmed,"
        f" {plural(answer['opened'], 'item')} opened, {answer['closed']} closed."
    )
    for text in (*answer["done"], *(f"NOT DONE: {problem}" for problem in answer["problems"])):
        click.echo(text)

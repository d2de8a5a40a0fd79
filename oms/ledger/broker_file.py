"""A broker's end-of-day file compared with the fills and positions of the ledger. Reads only.

Executions with their corrections and busts count as they stand, by the core's own rules (`oms.core.executions`), and
belong to the trade date of the execution that was amended. A line of the file is about the execution that has its
ExecID(17) in any version. What only one side has, and a line or fill of the same order, quantity, price and second
under another ExecID(17), is a suspected duplicate rather than missing twice.
Limits: executions without an ExecID(17) cannot be compared; a fill without a time is never a suspected duplicate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, func, select

from oms.config.broker_file import BadFile, Holding, Told
from oms.core.executions import Entry, Execution, enter, kept_for
from oms.core.order import Child, decimal_text
from oms.ledger import schema
from oms.ledger.positions import positions

ZERO = Decimal(0)
MISSING_HERE, MISSING_THERE = "file_missing_here", "file_missing_there"
MISMATCH, DUPLICATE, POSITION = "file_mismatch", "file_duplicate", "file_position"
KINDS = (MISSING_HERE, MISSING_THERE, MISMATCH, DUPLICATE, POSITION)
_SECOND = timedelta(seconds=1)

fills = schema.fills


@dataclass(frozen=True, slots=True)
class Booked:
    """An execution of the ledger as it stands: the fill row of its last version, and every ExecID(17) it had."""

    exec_ids: tuple[str, ...]
    exec_id: str  # of the last version
    day: date  # trade date of that row
    kind: str
    live: bool  # False: busted
    quantity: Decimal
    price: Decimal
    symbol: str
    side: str
    account: str
    order_id: str
    child_id: str
    order_ids: frozenset[str]  # how the broker may name the order
    at: datetime | None
    seqs: tuple[int, ...]  # journal rows of all versions


@dataclass(frozen=True, slots=True)
class Break:
    """One difference. `line` of the file and `seqs` of the journal are the evidence, as far as there is any."""

    kind: str
    exec_id: str
    text: str
    order_id: str
    symbol: str
    account: str
    line: int | None
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """A line of the file that says the same as a fill."""

    told: Told
    booked: Booked


@dataclass(slots=True)
class Result:
    """What a comparison found."""

    lines: int
    fills: int
    matched: list[Matched] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)


# -- the ledger's side ---------------------------------------------------------------------------------------------


def booked(engine: Engine, broker: str, day: date) -> list[Booked]:
    """The executions of a broker and trade date, as they stand."""
    children = schema.child_orders
    place = func.coalesce(fills.c.child_id, "at " + fills.c.broker)
    of_day = select(place).where(fills.c.broker == broker, fills.c.trade_date == day)
    query = (
        select(fills, children.c.cl_ord_id, children.c.broker_order_id)
        .select_from(fills.outerjoin(children, fills.c.child_id == children.c.child_id))
        .where(fills.c.broker == broker, place.in_(of_day))
        .order_by(fills.c.seq)
    )
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return netted(rows, day)


def netted(rows: Iterable[dict[str, Any]], day: date) -> list[Booked]:
    """The executions of a trade date out of the fill rows of some orders, in the journal's order."""
    children: dict[str, Child] = {}
    by_client_id: dict[str, dict[str, Any]] = {}
    for row in rows:
        place = row["child_id"] or f"at {row['broker']}"
        child = children.setdefault(place, Child(place, "", row["broker"], "", ZERO, None, None, 0, 0))
        by_client_id[row["client_exec_id"]] = row
        entry = Entry(
            row["kind"], row["exec_id"], row["exec_ref_id"], row["client_exec_id"], row["last_qty"], row["last_px"],
            row["transact_time"],
        )  # fmt: skip
        enter(child, entry)
        for _ in kept_for(child, row["exec_id"]):
            pass
    found: dict[int, Booked] = {}
    for child in children.values():
        for execution in child.executions.values():
            chain = execution.chain or [execution]
            if id(chain[0]) not in found:
                found[id(chain[0])] = _booked(chain, [by_client_id[one.client_exec_id] for one in chain])
    first = {id_: by_client_id[one] for id_, one in _firsts(children.values())}
    return [one for id_, one in found.items() if first[id_]["trade_date"] == day]


def _firsts(children: Iterable[Child]) -> Iterable[tuple[int, str]]:
    for child in children:
        for execution in child.executions.values():
            first = (execution.chain or [execution])[0]
            yield id(first), first.client_exec_id


def _booked(chain: Sequence[Execution], rows: list[dict[str, Any]]) -> Booked:
    last, row, first = chain[-1], rows[-1], rows[0]
    names = {first["child_id"], first["cl_ord_id"], first["broker_order_id"]}
    return Booked(
        tuple(one["exec_id"] for one in rows),
        row["exec_id"],
        row["trade_date"],
        row["kind"],
        last.live,
        last.last_qty,
        last.last_px,
        first["symbol"],
        first["side"],
        first["account"],
        first["order_id"] or "",
        first["child_id"] or "",
        frozenset(name for name in names if name),
        first["transact_time"],
        tuple(one["seq"] for one in rows),
    )


def check_broker(engine: Engine, broker: str, day: date, told: Sequence[Told], name: str) -> None:
    """Refuse a file whose executions are another broker's. Raises BadFile."""
    ids = [one.exec_id for one in told]
    query = select(fills.c.broker, func.count()).where(fills.c.trade_date == day).group_by(fills.c.broker)
    counts: dict[str, int] = {}
    with engine.connect() as connection:
        for start in range(0, len(ids), 5000):
            for row in connection.execute(query.where(fills.c.exec_id.in_(ids[start : start + 5000]))):
                counts[row[0]] = counts.get(row[0], 0) + row[1]
    if broker not in counts and counts:
        other = max(counts, key=lambda one: counts[one])
        line = told[0].line
        raise BadFile(
            f"{name}, line {line}: no ExecID(17) of it is {broker}'s, and {counts[other]} are {other}'s; if it is the"
            f" file of {other}, give that name. Nothing was compared."
        )


# -- the comparison ------------------------------------------------------------------------------------------------


def compare(ours: Sequence[Booked], told: Sequence[Told], broker: str) -> Result:
    """Compare the executions of both sides."""
    live = [one for one in ours if one.live]
    result = Result(len(told), len(live))
    by_id = {exec_id: one for one in ours for exec_id in one.exec_ids}
    taken: dict[int, Told] = {}  # by identity of the execution
    alone: list[Told] = []
    seen: dict[str, Told] = {}
    for line in told:
        one = by_id.get(line.exec_id)
        twice = seen.setdefault(line.exec_id, line) if one is None else taken.setdefault(id(one), line)
        if twice is not line:
            text = f"{_line(line)} is about the same execution as line {twice.line}"
            result.breaks.append(_break(DUPLICATE, broker, text, line, one))
        elif one is None:
            alone.append(line)
        elif wrong := _wrong(one, line):
            text = f"{wrong}: the file has {_line(line)}, the ledger {_fill(one)}"
            result.breaks.append(_break(MISMATCH, broker, text, line, one))
        else:
            result.matched.append(Matched(line, one))
    left = [one for one in live if id(one) not in taken]
    _unmatched(result, broker, alone, left, live)
    result.breaks.sort(key=lambda one: (one.line is None, one.line or 0, one.seqs))
    return result


def _unmatched(result: Result, broker: str, alone: list[Told], left: list[Booked], live: list[Booked]) -> None:
    """What only one side has."""
    of_ours = _by_terms(live)
    of_theirs = _by_terms([one.told for one in result.matched])
    free = {id(one) for one in left}
    for line in alone:
        like = [one for one in _near(of_ours, line) if id(one) in free and _same_order(one, line)]
        twin = [one for one in _near(of_theirs, line) if _same_line(one, line)]
        if like:
            free.discard(id(like[0]))
            text = f"{_line(line)} looks like {_fill(like[0])}: one execution under two ExecIDs(17)?"
            result.breaks.append(_break(DUPLICATE, broker, text, line, like[0]))
        elif twin:
            text = f"{_line(line)} looks like line {twin[0].line}, ExecID(17) {twin[0].exec_id}: told twice there?"
            result.breaks.append(_break(DUPLICATE, broker, text, line, None))
        else:
            text = f"the ledger does not have {_line(line)}; it was not booked"
            result.breaks.append(_break(MISSING_HERE, broker, text, line, None))
    for one in left:
        if id(one) not in free:
            continue
        like = [other for other in _near(of_ours, one) if other is not one and _same_fill(one, other)]
        if like:
            text = f"the file does not have {_fill(one)}, which looks like {_fill(like[0])}: booked twice?"
            result.breaks.append(_break(DUPLICATE, broker, text, None, one))
        else:
            text = f"the file does not have {_fill(one)}"
            result.breaks.append(_break(MISSING_THERE, broker, text, None, one))


def _terms(one: Any, second: int) -> tuple[object, ...]:
    return one.symbol, one.side, one.quantity, one.price, second


def _by_terms(some: Iterable[Any]) -> dict[tuple[object, ...], list[Any]]:
    """By what they traded and the second of it, so that a day of equal executions stays quick to search."""
    found: dict[tuple[object, ...], list[Any]] = {}
    for one in some:
        if one.at is not None:
            found.setdefault(_terms(one, int(one.at.timestamp())), []).append(one)
    return found


def _near(some: dict[tuple[object, ...], list[Any]], one: Any) -> Iterator[Any]:
    """Those with the same terms in the second of `one`, before or after."""
    if one.at is not None:
        second = int(one.at.timestamp())
        for near in (second, second - 1, second + 1):
            yield from some.get(_terms(one, near), ())


def _at_once(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= _SECOND


def _same_order(one: Booked, line: Told) -> bool:
    names = {line.order_id, line.cl_ord_id} - {""}
    return _at_once(one.at, line.at) and (not names or not one.order_ids or bool(names & one.order_ids))


def _same_line(one: Told, other: Told) -> bool:
    same = (one.order_id, one.cl_ord_id) == (other.order_id, other.cl_ord_id)
    return same and _at_once(one.at, other.at)


def _same_fill(one: Booked, other: Booked) -> bool:
    return one.child_id == other.child_id and _at_once(one.at, other.at)


def _wrong(one: Booked, line: Told) -> str:
    if not one.live:
        return "busted here, and in the file"
    pairs = (
        ("LastQty(32)", one.quantity, line.quantity),
        ("LastPx(31)", one.price, line.price),
        ("Symbol(55)", one.symbol, line.symbol),
        ("Side(54)", one.side, line.side),
    )
    names = [name for name, ours, theirs in pairs if ours != theirs]
    return f"{' and '.join(names)} {'differ' if len(names) > 1 else 'differs'}" if names else ""


def _line(line: Told) -> str:
    figures = f"{decimal_text(line.quantity)} at {decimal_text(line.price)}"
    return f"ExecID(17) {line.exec_id}, {figures}, Symbol(55) {line.symbol}, Side(54) {line.side} (line {line.line})"


def _fill(one: Booked) -> str:
    rows = ", ".join(map(str, one.seqs))
    figures = f"{decimal_text(one.quantity)} at {decimal_text(one.price)}" if one.live else "a bust"
    return (
        f"ExecID(17) {one.exec_id}, {figures}, Symbol(55) {one.symbol}, Side(54) {one.side}"
        f" (journal {'rows' if len(one.seqs) > 1 else 'row'} {rows})"
    )


def _break(kind: str, broker: str, text: str, line: Told | None, one: Booked | None) -> Break:
    told = one if one is not None else line
    assert told is not None
    return Break(
        kind,
        line.exec_id if line is not None else told.exec_id,
        f"{broker}'s file: {text}" if not text.startswith("the file") else f"{broker}: {text}",
        one.order_id if one is not None else "",
        told.symbol,
        told.account,
        line.line if line is not None else None,
        one.seqs if one is not None else (),
    )


# -- positions -----------------------------------------------------------------------------------------------------


def compare_positions(engine: Engine, broker: str, held: Sequence[Holding], as_of: datetime) -> Result:
    """Compare positions with what all fills of the ledger until `as_of` add up to."""
    ours = {(one.account, one.symbol): one.net for one in positions(engine, as_of=as_of, broker=broker)}
    result = Result(len(held), len(ours))
    told = {(one.account, one.symbol): one for one in held}
    for place in sorted(ours.keys() | told.keys()):
        line = told.get(place)
        here, there = ours.get(place, ZERO), line.net if line is not None else ZERO
        if here != there:
            where = f" (line {line.line})" if line is not None else " (no line)"
            named = f"Account(1) {place[0] or 'absent'}, Symbol(55) {place[1]}"
            text = f"{broker}'s file of positions: {named}: {decimal_text(there)}{where}, ours {decimal_text(here)}"
            result.breaks.append(
                Break(POSITION, "", text, "", place[1], place[0], line.line if line is not None else None, ())
            )
    return result


# -- exception items -----------------------------------------------------------------------------------------------


def item_id(broker: str, day: date, one: Break) -> str:
    """The id of the exception item of a break: the same for the same difference, whichever file shows it."""
    words = "|".join((broker, one.kind, one.exec_id, *(() if one.exec_id else (one.account, one.symbol))))
    return f"{prefix(day)}{hashlib.sha256(words.encode()).hexdigest()[:12].upper()}"


def prefix(day: date) -> str:
    """How the ids of all items of a trade date's files begin."""
    return f"F{day:%Y%m%d}-"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a result makes of the exception items: those to open, with their ids, and those that are over."""

    opened: list[tuple[str, Break]]
    still_open: int
    closed: list[tuple[str, str, str]]  # item id, kind, OrderID(37)


def plan(engine: Engine, broker: str, day: date, breaks: Sequence[Break], kinds: Sequence[str]) -> Plan:
    """Compare breaks with the items that there are. `kinds` are those that this comparison can tell."""
    items = schema.exception_items
    query = select(items.c.item_id, items.c.kind, items.c.state, items.c.order_id).where(
        items.c.session == broker, items.c.item_id.like(f"{prefix(day)}%"), items.c.kind.in_(kinds)
    )
    with engine.connect() as connection:
        there = connection.execute(query).all()
    open_ids = {_base(row.item_id): row for row in there if row.state == "open"}
    times: dict[str, int] = {}
    for row in there:
        times[_base(row.item_id)] = times.get(_base(row.item_id), 0) + 1
    wanted = {item_id(broker, day, one): one for one in breaks}
    opened = [
        (name if name not in times else f"{name}-{times[name] + 1}", one)
        for name, one in wanted.items()
        if name not in open_ids
    ]
    closed = [(row.item_id, row.kind, row.order_id or "") for name, row in open_ids.items() if name not in wanted]
    return Plan(opened, len(wanted) - len(opened), closed)


def _base(name: str) -> str:
    """An item's id without the number of its repetition."""
    return "-".join(name.split("-")[:2])

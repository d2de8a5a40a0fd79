"""Reads the ledger for people: orders, fills, sessions, exception items, and the whole story of one order.

Every function takes an engine, reads in one transaction and returns records; none writes, and nothing on the hot
path calls them. Lists are bounded by `limit`. An identifier is compared whole and as it is, never as a pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Select,
    Table,
    TextClause,
    exists,
    func,
    or_,
    select,
    text,
)

from oms.ledger import schema
from oms.ledger.records import (
    ChildOrder,
    ClientOrder,
    Confirmation,
    ExceptionItem,
    Fill,
    ItemStory,
    JournalEntry,
    KilledOrder,
    Match,
    OrderStory,
    Request,
    Send,
    SessionActivity,
    SessionPosition,
)
from oms.ledger.statistics import RECENT_ROWS
from oms.ledger.witnesses import DROP_COPY, confirmations

R = TypeVar("R", ClientOrder, ChildOrder, Request, Fill, SessionPosition, ExceptionItem)

orders, children, requests, fills = schema.client_orders, schema.child_orders, schema.requests, schema.fills
journal, batches, sends = schema.journal, schema.batches, schema.sends
positions, items = schema.session_positions, schema.exception_items


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders to list; what is None or false does not narrow. ``statuses`` are values of OrdStatus(39)."""

    client: str | None = None
    broker: str | None = None
    account: str | None = None
    symbol: str | None = None
    statuses: tuple[str, ...] = ()
    live: bool = False
    trade_date: date | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class FillFilter:
    """Which fills to list; what is None does not narrow."""

    order_id: str | None = None
    client: str | None = None
    broker: str | None = None
    account: str | None = None
    symbol: str | None = None
    trade_date: date | None = None
    since: datetime | None = None


def list_orders(engine: Engine, wanted: OrderFilter, limit: int) -> list[ClientOrder]:
    """Orders that match, newest first, ``limit`` at most."""
    where: list[ColumnElement[bool]] = _equal(
        orders, client=wanted.client, account=wanted.account, symbol=wanted.symbol, trade_date=wanted.trade_date
    )
    if wanted.broker is not None:
        where.append(exists().where(children.c.order_id == orders.c.order_id, children.c.broker == wanted.broker))
    if wanted.statuses:
        where.append(orders.c.ord_status.in_(wanted.statuses))
    if wanted.live:
        where.append(~orders.c.finished)
    if wanted.since is not None:
        where.append(orders.c.received_at >= wanted.since)
    query = select(orders).where(*where).order_by(orders.c.order_id.desc()).limit(limit)
    with engine.connect() as connection:
        return _records(connection, ClientOrder, query)


def list_fills(engine: Engine, wanted: FillFilter, limit: int) -> list[Fill]:
    """Fills, corrections and busts that match, newest first, ``limit`` at most."""
    where: list[ColumnElement[bool]] = _equal(
        fills,
        order_id=wanted.order_id,
        broker=wanted.broker,
        account=wanted.account,
        symbol=wanted.symbol,
        trade_date=wanted.trade_date,
    )
    if wanted.client is not None:
        where.append(exists().where(orders.c.order_id == fills.c.order_id, orders.c.client == wanted.client))
    if wanted.since is not None:
        where.append(fills.c.received_at >= wanted.since)
    query = select(fills).where(*where).order_by(fills.c.seq.desc()).limit(limit)
    with engine.connect() as connection:
        return _records(connection, Fill, query)


def witnesses_of(engine: Engine, found: Sequence[Fill]) -> dict[str, list[Confirmation]]:
    """Who tells each fill, by its ExecID(17) to the client (`oms.ledger.witnesses`)."""
    with engine.connect() as connection:
        return confirmations(connection, found)


def list_exceptions(
    engine: Engine, *, state: Literal["open", "resolved"] | None = "open", order_id: str | None = None, limit: int
) -> list[ExceptionItem]:
    """Exception items, newest first, ``limit`` at most; of both states where ``state`` is None."""
    where = _equal(items, state=state, order_id=order_id)
    query = select(items).where(*where).order_by(items.c.opened_at.desc(), items.c.item_id.desc()).limit(limit)
    with engine.connect() as connection:
        return _records(connection, ExceptionItem, query)


def exception_item(engine: Engine, item_id: str) -> ItemStory | None:
    """One exception item with its evidence and what operators did about it; None where there is none."""
    with engine.connect() as connection:
        found = _records(connection, ExceptionItem, select(items).where(items.c.item_id == item_id))
        if not found:
            return None
        evidence = _entries(connection, journal.c.seq == found[0].seq)
        done = _entries(connection, journal.c.kind == "operator", journal.c.seq > found[0].seq)
        closing = _closing(connection, found[0])
    history = tuple(one for one in done if one.command is not None and one.command.args.get("item_id") == item_id)
    by_rule = None if any(one.msg_type == "exceptions.resolve" for one in history) else closing
    return ItemStory(found[0], evidence[0] if evidence else None, history, by_rule)


def _closing(connection: Connection, item: ExceptionItem) -> JournalEntry | None:
    """The event about its order that resolved an item: that of the same moment."""
    if item.resolved_at is None or item.order_id is None:
        return None
    same = journal.c.received_at == item.resolved_at
    found = _entries(connection, journal.c.order_id == item.order_id, same, journal.c.seq > item.seq)
    return next((one for one in found if one.kind != "out"), None)


def killed_orders(engine: Engine, kill_id: str) -> list[KilledOrder] | None:
    """The orders that were alive in scope when a kill switch was engaged, None where the ledger has no such kill."""
    with engine.connect() as connection:
        engaged = _entries(connection, journal.c.kind == "operator", journal.c.msg_type == "kill.engage")
        ours = [one for one in engaged if one.command is not None and one.command.args.get("kill_id") == kill_id]
        if not ours:
            return None
        ids = [order_id for one in ours for order_id in (one.detail or {})["answer"]["orders"]]
        found = _records(connection, ClientOrder, select(orders).where(orders.c.order_id.in_(ids)))
    broker = brokers_of(engine, ids)
    return [
        KilledOrder(
            one.order_id,
            one.client,
            one.cl_ord_id,
            one.account,
            one.symbol,
            ", ".join(broker.get(one.order_id, [])),
            one.cum_qty,
            one.leaves_qty,
            _outcome(one),
        )
        for one in sorted(found, key=lambda one: one.order_id)
    ]


def _outcome(order: ClientOrder) -> str:
    if order.life == "canceled":
        return "canceled"
    if order.cum_qty >= order.order_qty:  # the cancel may still wait for its answer
        return "filled"
    return "ended" if order.finished else "unanswered"


def list_sessions(engine: Engine, today: date) -> list[SessionActivity]:
    """Every session that ever logged on, clients first, with what it has done on the trade date ``today``."""
    parents = children.join(orders, orders.c.order_id == children.c.order_id)
    new = orders.c.trade_date == today
    filled = fills.c.trade_date == today
    with engine.connect() as connection:

        def count(by: ColumnElement[str], source: FromClause, *where: ColumnElement[bool]) -> dict[str, int]:
            query = select(by, func.count()).select_from(source).where(*where).group_by(by)
            return {row[0]: row[1] for row in connection.execute(query)}

        orders_today = count(orders.c.client, orders, new) | count(children.c.broker, parents, new)
        live = count(orders.c.client, orders, ~orders.c.finished) | count(
            children.c.broker, children, ~children.c.finished
        )
        of_clients = fills.join(orders, orders.c.order_id == fills.c.order_id)
        fills_today = count(orders.c.client, of_clients, filled) | count(fills.c.broker, fills, filled)
        left = exists().where(sends.c.seq == journal.c.seq)
        unsettled = journal.join(positions, positions.c.session == journal.c.session)
        waiting = count(
            journal.c.session, unsettled, journal.c.kind == "out", journal.c.seq > positions.c.out_seq, ~left
        )
        found = _records(
            connection, SessionPosition, select(positions).order_by(positions.c.role.desc(), positions.c.session)
        )
    return [
        SessionActivity(one, *(counted.get(one.session, 0) for counted in (orders_today, live, fills_today, waiting)))
        for one in found
    ]


def get_order(engine: Engine, order_id: str) -> ClientOrder | None:
    """The order with this OrderID(37), or None."""
    with engine.connect() as connection:
        found = _records(connection, ClientOrder, select(orders).where(orders.c.order_id == order_id))
    return found[0] if found else None


def find_order(engine: Engine, identifier: str) -> list[Match]:
    """Orders that an identifier names, newest first.

    Taken are OrderID(37) and ClOrdID(11) of either side, of the order or of any cancel or replace of it, and
    ExecID(17) of either side. Identifiers of clients repeat from day to day, so there may be several.
    """
    if not identifier:  # a broker's OrderID(37) is empty until it is known
        return []
    named: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for what, query in _namings(identifier):
            for order_id in connection.scalars(query):
                if order_id is not None and what not in named.setdefault(order_id, []):
                    named[order_id].append(what)
        query = select(orders).where(orders.c.order_id.in_(named)).order_by(orders.c.order_id.desc())
        found = _records(connection, ClientOrder, query)
    return [Match(order, tuple(named[order.order_id])) for order in found]


def _namings(identifier: str) -> Iterable[tuple[str, Select[str | None]]]:
    """What an identifier may be, and the OrderID(37)s it would then name."""
    yield "OrderID(37)", select(orders.c.order_id).where(orders.c.order_id == identifier)
    yield (
        "ClOrdID(11) of the client",
        select(orders.c.order_id).where(
            or_(orders.c.original_cl_ord_id == identifier, orders.c.cl_ord_id == identifier)
        ),
    )
    yield (
        "ClOrdID(11) of a cancel or replace of the client",
        select(requests.c.order_id).where(requests.c.cl_ord_id == identifier),
    )
    yield (
        "ClOrdID(11) to the broker",
        select(children.c.order_id).where(or_(children.c.child_id == identifier, children.c.cl_ord_id == identifier)),
    )
    yield (
        "ClOrdID(11) of a cancel or replace to the broker",
        select(requests.c.order_id).where(requests.c.broker_cl_ord_id == identifier),
    )
    yield (
        "OrderID(37) of the broker",
        select(children.c.order_id).where(children.c.broker_order_id == identifier, children.c.broker_order_id != ""),
    )
    yield "ExecID(17) to the client", select(fills.c.order_id).where(fills.c.client_exec_id == identifier)
    yield "ExecID(17) of the broker", select(fills.c.order_id).where(fills.c.exec_id == identifier)


def find_messages(engine: Engine, cl_ord_id: str, limit: int) -> list[JournalEntry]:
    """The newest messages that carry this ClOrdID(11), in order: what came of a request that is no order.

    Reads the whole journal where it must; for the rare question that the tables cannot answer.
    """
    needle = b"\x0111=" + cl_ord_id.encode("utf-8", "surrogateescape") + b"\x01"
    carries = text("position(:needle IN journal.raw) > 0").bindparams(needle=needle)
    with engine.connect() as connection:
        return _entries(connection, journal.c.kind.in_(("in", "out")), carries, newest=limit)


def last_of_session(engine: Engine, session: str, limit: int) -> list[JournalEntry]:
    """The newest rows about a session, in order; of the newest rows of the journal only, so that it stays quick."""
    recent = text("journal.seq > (SELECT coalesce(max(seq), 0) FROM journal) - :rows").bindparams(rows=RECENT_ROWS)
    with engine.connect() as connection:
        return _entries(connection, journal.c.session == session, recent, newest=limit)


def order_story(engine: Engine, order_id: str) -> OrderStory | None:
    """Everything about one order, None where there is none with this OrderID(37)."""
    with engine.connect() as connection:
        found = _records(connection, ClientOrder, select(orders).where(orders.c.order_id == order_id))
        if not found:
            return None
        entries = {entry.seq: entry for entry in _entries(connection, journal.c.order_id == order_id)}
        # What made a row happen may be no message of the order itself: a logon, an operator's command.
        causes = {entry.cause for entry in entries.values() if entry.cause is not None} - set(entries)
        filled = _of_order(connection, Fill, fills, order_id, "seq")
        raised = _of_order(connection, ExceptionItem, items, order_id, "seq")
        said = confirmations(connection, filled)
        # Nor is what a drop copy tells of a fill.
        copied = {one.seq for some in said.values() for one in some if one.witness == DROP_COPY}
        others = (causes | copied | {item.seq for item in raised}) - set(entries)
        if others:
            entries |= {entry.seq: entry for entry in _entries(connection, journal.c.seq.in_(others))}
        return OrderStory(
            found[0],
            tuple(_of_order(connection, ChildOrder, children, order_id, "sent_seq")),
            tuple(_of_order(connection, Request, requests, order_id, "seq")),
            tuple(filled),
            tuple(raised),
            tuple(entries[seq] for seq in sorted(entries)),
            said,
        )


def _of_order(connection: Connection, kind: type[R], table: Table, order_id: str, by: str) -> list[R]:
    return _records(connection, kind, select(table).where(table.c.order_id == order_id).order_by(table.c[by]))


def _entries(
    connection: Connection, *where: ColumnElement[bool] | TextClause, newest: int | None = None
) -> list[JournalEntry]:
    """Journal rows in order, each with its commit time and what became of it."""
    joined = journal.outerjoin(batches, batches.c.batch == journal.c.batch)
    joined = joined.outerjoin(sends, sends.c.seq == journal.c.seq)
    columns = [column.label(f"send_{column.name}") for column in sends.c]
    query = select(journal, batches.c.committed_at, *columns).select_from(joined).where(*where)
    found = []
    for row in connection.execute(query.order_by(journal.c.seq.desc()).limit(newest)):
        values = dict(row._mapping)
        sent = {column.name: values.pop(f"send_{column.name}") for column in sends.c}
        values["raw"] = bytes(values["raw"])
        found.append(JournalEntry(**values, send=Send(**sent) if sent["seq"] is not None else None))
    return found[::-1]


def _equal(table: Table, **values: object) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in values.items() if value is not None]


def _records(connection: Connection, kind: type[R], query: Select[Any]) -> list[R]:
    rows: Sequence[Any] = connection.execute(query).all()
    return [kind(**row._mapping) for row in rows]


def brokers_of(engine: Engine, order_ids: Sequence[str]) -> dict[str, list[str]]:
    """The brokers that have or had each order, in the order in which it was sent to them."""
    query = select(children.c.order_id, children.c.broker).where(children.c.order_id.in_(order_ids))
    found: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for order_id, broker in connection.execute(query.order_by(children.c.sent_seq)):
            found.setdefault(order_id, []).append(broker)
    return found


def open_items_of(engine: Engine, order_ids: Sequence[str]) -> dict[str, int]:
    """How many open exception items each order has; orders without any are left out."""
    query = select(items.c.order_id, func.count()).where(items.c.state == "open", items.c.order_id.in_(order_ids))
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(items.c.order_id))}

"""The proof: what clients recorded, what the ledger says and what brokers recorded, order by order and fill by fill.

`compare` is a pure function over the three views. Orders are matched through ids alone: a client's first ClOrdID(11)
names the order in the ledger, the ledger's child order names the order at the broker, and tag 7001, which clients set
and nobody between reads, must say the same. Fills are matched by ExecID(17): the broker's in the ledger, the ledger's
at the client, each exactly once, net of busts and corrections.
Limit: the views must be of a moment when all is quiet; what is under way shows as a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from oms.core import transitions as life
from oms.demo.fills import NetFill, net_fills
from oms.ledger.records import ChildOrder, ClientOrder
from oms.ledger.snapshot import Snapshot
from oms.sim.checks import ClientOrder as ClientsOrder
from oms.sim.record import BrokerOrder, BrokerView, ClientView
from oms.sim.wire import plain

ABSENT = "absent"
REPLACED_42, NEW = "5", "0"  # OrdStatus(39) 5 exists in FIX 4.2 only: a replaced order that is not filled at all


@dataclass(frozen=True, slots=True)
class Views:
    """The three views. `arrivals`: per broker, how often each ClOrdID(11) came in a NewOrderSingle(D) that was not
    marked as a possible duplicate."""

    clients: Mapping[str, ClientView]
    brokers: Mapping[str, BrokerView]
    ledger: Snapshot
    arrivals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Difference(NamedTuple):
    """One thing that the views do not agree on: about what, in what, and what each says ('' where it has no say)."""

    about: str
    what: str
    client: str = ""
    ledger: str = ""
    broker: str = ""


class Compared(NamedTuple):
    """How much was compared, and what differs."""

    orders: int
    at_brokers: int
    fills: int
    amended: int  # of the fills: busted or corrected
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Whether the views agree in everything."""
        return not self.differences


def compare(views: Views) -> Compared:
    """Everything on which the three views do not agree."""
    book = _Book(views)
    differences = [
        *book.problems,
        *_client_orders(book),
        *_only_in_ledger(book),
        *_children(book),
        *_broker_orders(book),
        *_broker_fills(book),
        *_own_checks(views),
    ]
    return Compared(
        orders=sum(len(view.orders) for view in views.clients.values()),
        at_brokers=sum(len(view.orders) for view in views.brokers.values()),
        fills=sum(len(view.fills) for view in views.brokers.values()),
        amended=sum(fill.latest_exec_id != fill.exec_id for v in views.brokers.values() for fill in v.fills.values()),
        differences=differences,
    )


class _Book:
    """The ledger by its ids, and where each of its orders is in the other views."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self.orders: dict[tuple[str, str], ClientOrder] = {}
        self.by_id: dict[str, ClientOrder] = {}
        self.children: dict[tuple[str, str], ChildOrder] = {}
        self.children_of: dict[str, list[ChildOrder]] = {}
        self.problems: list[Difference] = []
        for order in views.ledger.orders:
            key = (order.client, order.original_cl_ord_id)
            if key in self.orders:
                self.problems.append(Difference(self.about(order), "ClOrdID(11)", ledger="two orders have it"))
            self.orders[key] = self.by_id[order.order_id] = order
        for child in views.ledger.children:
            self.children[child.broker, child.child_id] = child
            self.children_of.setdefault(child.order_id, []).append(child)
        self.fills, doubts = net_fills(views.ledger.fills)
        self.problems += [Difference(about, "fill", ledger=text) for about, text in doubts]
        self.fills_of: dict[str, list[NetFill]] = {}
        for fill in self.fills.values():
            self.fills_of.setdefault(fill.order_id, []).append(fill)

    def about(self, order: ClientOrder) -> str:
        """An order by its ids on all sides."""
        ids = [f"{order.client} ClOrdID(11) {order.original_cl_ord_id}", f"OrderID(37) {order.order_id}"]
        ids += [f"{one.broker} ClOrdID(11) {one.child_id}" for one in self.children_of.get(order.order_id, [])]
        return ", ".join(ids)

    def held(self, child: ChildOrder) -> BrokerOrder | None:
        """What its broker has of a child order."""
        view = self.views.brokers.get(child.broker)
        return None if view is None else view.orders.get(child.child_id)

    def at_brokers(self, order: ClientOrder) -> list[BrokerOrder]:
        """What the brokers have of an order of the ledger."""
        found = [self.held(child) for child in self.children_of.get(order.order_id, [])]
        return [held for held in found if held is not None]


# --- orders -----------------------------------------------------------------------------------------------


def _client_orders(book: _Book) -> Iterator[Difference]:
    for client, view in book.views.clients.items():
        for cl_ord_id, told in view.orders.items():
            order = book.orders.get((client, cl_ord_id))
            if order is None:
                if not _never_booked(told):
                    text = f"OrdStatus(39) {told.ord_status or ABSENT}, {len(told.fills)} fills"
                    yield Difference(f"{client} ClOrdID(11) {cl_ord_id}", "order", text, ABSENT)
                continue
            at_brokers = book.at_brokers(order)
            if len(at_brokers) > 1:
                names = " and ".join(one.first_cl_ord_id for one in at_brokers)
                yield Difference(book.about(order), "order at a broker twice", broker=f"ClOrdID(11) {names}")
            yield from _terms(book.about(order), told, order, at_brokers[-1] if at_brokers else None)
            yield from _told_fills(book, told, order)


def _never_booked(told: ClientsOrder) -> bool:
    """Refused for what it was, so that it never became an order: OrderID(37) is NONE."""
    return told.ord_status == "8" and not told.order_id and not told.fills


def _only_in_ledger(book: _Book) -> Iterator[Difference]:
    for order in book.views.ledger.orders:
        view = book.views.clients.get(order.client)
        if view is None or order.original_cl_ord_id not in view.orders:
            yield Difference(book.about(order), "order", ABSENT, f"OrdStatus(39) {order.ord_status}")
        filled = sum((fill.qty for fill in book.fills_of.get(order.order_id, [])), Decimal(0))
        if filled != order.cum_qty:
            text = f"{plain(order.cum_qty)}, its fills are {plain(filled)}"
            yield Difference(book.about(order), "CumQty(14)", ledger=text)


def _terms(about: str, told: ClientsOrder, order: ClientOrder, held: BrokerOrder | None) -> Iterator[Difference]:
    """Ids, state and quantities of one order, as each view has them."""
    at_broker = _held_terms(held) if held is not None else {}
    for what, client, ledger in (
        ("OrderID(37)", told.order_id, order.order_id),
        ("ClOrdID(11) in force", told.cl_ord_id, order.cl_ord_id),
        ("OrdStatus(39)", _status(told.ord_status), _status(order.ord_status)),
        ("OrderQty(38)", plain(told.qty), plain(order.order_qty)),
        ("Price(44)", plain(told.price), plain(order.price)),
        ("CumQty(14)", plain(told.cum_qty), plain(order.cum_qty)),
        ("LeavesQty(151)", plain(told.leaves_qty), plain(order.leaves_qty)),
        ("AvgPx(6)", plain(told.avg_px), plain(order.avg_px)),
    ):
        broker = at_broker.get(what, ledger)
        if client != ledger or broker != ledger:
            has_say = what in at_broker
            yield Difference(about, what, client or ABSENT, ledger or ABSENT, (broker or ABSENT) if has_say else "")


def _held_terms(held: BrokerOrder) -> dict[str, str]:
    """The terms on which a broker has a say; its ids are its own."""
    order = held.order
    return {
        "OrdStatus(39)": _status(held.ord_status),
        "OrderQty(38)": plain(order.qty),
        "Price(44)": plain(order.price),
        "CumQty(14)": plain(order.cum_qty),
        "LeavesQty(151)": plain(order.leaves_qty),
        "AvgPx(6)": plain(order.avg_px),
    }


def _status(ord_status: str) -> str:
    return NEW if ord_status == REPLACED_42 else ord_status


def _children(book: _Book) -> Iterator[Difference]:
    """Every child order is at its broker, unless it was refused or never left; the broker names it as the ledger."""
    for child in book.views.ledger.children:
        order = book.by_id.get(child.order_id)
        about = book.about(order) if order is not None else f"{child.broker} ClOrdID(11) {child.child_id}"
        held = book.held(child)
        never_left = child.child_id in book.views.ledger.never_left
        what = f"order at {child.broker}"
        if held is None:
            if child.life != life.REJECTED and not (never_left and child.finished):
                yield Difference(about, what, ledger=child.life, broker=ABSENT)
            continue
        if never_left:
            yield Difference(about, what, ledger="never left", broker=f"OrdStatus(39) {held.ord_status}")
        for what, ledger, broker in (
            ("ClOrdID(11) in force at the broker", child.cl_ord_id, held.order.cl_ord_id),
            ("OrderID(37) of the broker", child.broker_order_id, held.order.order_id),
            ("CumQty(14) of the child order", plain(child.cum_qty), plain(held.order.cum_qty)),
        ):
            if ledger != broker:
                yield Difference(about, what, ledger=ledger or ABSENT, broker=broker)


def _broker_orders(book: _Book) -> Iterator[Difference]:
    """No broker has an order that the ledger does not know, or that another client sent, or got it twice."""
    for broker, view in book.views.brokers.items():
        for cl_ord_id, held in view.orders.items():
            about = f"{broker} ClOrdID(11) {cl_ord_id}"
            child = book.children.get((broker, cl_ord_id))
            order = book.by_id.get(child.order_id) if child is not None else None
            if order is None:
                yield Difference(about, "order", client=held.order.trace, ledger=ABSENT, broker=held.ord_status)
                continue
            sent = f"{order.client}/{order.original_cl_ord_id}"
            if held.order.trace not in ("", sent):
                yield Difference(about, "whose order it is (7001)", client=held.order.trace, ledger=sent)
        for cl_ord_id, times in book.views.arrivals.get(broker, {}).items():
            if times > 1:
                about = f"{broker} ClOrdID(11) {cl_ord_id}"
                yield Difference(about, "NewOrderSingle(D)", ledger="once", broker=f"{times} times")


# --- fills ------------------------------------------------------------------------------------------------


def _told_fills(book: _Book, told: ClientsOrder, order: ClientOrder) -> Iterator[Difference]:
    """Every fill of the ledger was told to the client under its ExecID(17), and nothing else was."""
    known = {fill.client_exec_id: fill for fill in book.fills_of.get(order.order_id, [])}
    for exec_id in _both(known, told.fills):
        ledger, client = known.get(exec_id), told.fills.get(exec_id)
        left = _traded(client.qty, client.px) if client else ABSENT
        right = _traded(ledger.qty, ledger.px) if ledger else ABSENT
        if left != right:
            yield Difference(f"{book.about(order)}, ExecID(17) {exec_id} to the client", "fill", left, right)


def _broker_fills(book: _Book) -> Iterator[Difference]:
    """Every fill of a broker is in the ledger, for the same order, and the ledger has no other."""
    of_ledger: dict[str, dict[str, NetFill]] = {name: {} for name in book.views.brokers}
    for fill in book.fills.values():
        of_ledger.setdefault(fill.broker, {})[fill.exec_id] = fill
    for broker, known in of_ledger.items():
        view = book.views.brokers.get(broker, BrokerView())
        strays = {line.get("exec_id", "") for line in view.strays}
        for exec_id in _both(known, view.fills):
            ledger, made = known.get(exec_id), view.fills.get(exec_id)
            if made is None and exec_id in strays:
                continue  # reported for an order that nobody sent
            left = _traded(ledger.qty, ledger.px) if ledger else ABSENT
            right = _traded(made.qty, made.px) if made else ABSENT
            about = f"{broker} ExecID(17) {exec_id}"
            if ledger is not None and ledger.order_id in book.by_id:
                about += f", {book.about(book.by_id[ledger.order_id])}"
            if left != right:
                text = right if made is None or made.sent else f"{right}, not sent yet"
                yield Difference(about, "fill", ledger=left, broker=text)
            elif ledger is not None and made is not None:
                yield from _same_order(book, about, ledger, made.order_id)


def _same_order(book: _Book, about: str, ledger: NetFill, broker_order_id: str) -> Iterator[Difference]:
    child = book.children.get((ledger.broker, ledger.child_id))
    known_as = child.broker_order_id if child is not None else ABSENT
    if known_as != broker_order_id:
        yield Difference(about, "OrderID(37) of the fill", ledger=known_as, broker=broker_order_id)


def _traded(qty: Decimal, px: Decimal) -> str:
    return f"{plain(qty)} at {plain(px)}" if qty else "busted"


def _both(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return sorted({*one, *other})


# --- what each side found wrong by itself ------------------------------------------------------------------


def _own_checks(views: Views) -> Iterator[Difference]:
    for client, view in views.clients.items():
        for text, times in Counter(view.violations).items():
            often = f" ({times} times)" if times > 1 else ""
            yield Difference(client, "a report that must not be", client=text + often)
    for broker, brokers_view in views.brokers.items():
        if brokers_view.unsent:
            yield Difference(broker, "reports not sent yet", broker=str(brokers_view.unsent))

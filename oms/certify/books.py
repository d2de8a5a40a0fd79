"""The ledger at the end of a certification, held against the players' own books: orders, fills, exception items.

The tables are read once, after every player's fence, so that everything that was said is committed (I1). An order is
found by the client's first ClOrdID(11); a fill of no order, and its item, by the run's label in the broker's ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from oms.certify.account import Account, Booked
from oms.certify.player import Player
from oms.ledger import queries
from oms.ledger.database import Engine
from oms.ledger.records import ClientOrder, ExceptionItem, Fill
from oms.ledger.replay import verify_tables
from oms.ledger.verify import verify_chain

_ALL = 1_000_000


class Books(NamedTuple):
    """The ledger's rows by what they belong to."""

    orders: dict[str, dict[str, list[ClientOrder]]]  # by the run's label, then by the client's first ClOrdID(11)
    fills: dict[str, list[Fill]]  # by OrderID(37), or by the run's label where no order has them
    items: dict[str, list[ExceptionItem]]  # by OrderID(37); '' where no order has them


def read_books(engine: Engine) -> Books:
    """Everything of the ledger, oldest first."""
    orders: dict[str, dict[str, list[ClientOrder]]] = defaultdict(lambda: defaultdict(list))
    fills: dict[str, list[Fill]] = defaultdict(list)
    items: dict[str, list[ExceptionItem]] = defaultdict(list)
    for order in queries.list_orders(engine, queries.OrderFilter(), _ALL):
        orders[_label(order.original_cl_ord_id)][order.original_cl_ord_id].append(order)
    for fill in reversed(queries.list_fills(engine, queries.FillFilter(), _ALL)):
        fills[fill.order_id or _label(fill.exec_id)].append(fill)
    for item in reversed(queries.list_exceptions(engine, limit=_ALL)):
        items[item.order_id or ""].append(item)
    return Books(orders, fills, items)


def _label(identifier: str) -> str:
    """The run's label of a ClOrdID(11) or ExecID(17) that a player gave: all but the letter."""
    return identifier.rpartition(":")[0]


def proof(engine: Engine) -> list[str]:
    """What is wrong with the journal: its hash chain (I6), and the tables that replaying it gives (I7)."""
    chain = verify_chain(engine)
    if chain.problem is not None:
        return [f"the journal's hash chain is broken in batch {chain.problem.batch}: {chain.problem.text}"]
    return [
        f"the journal replayed gives another {one.table} {one.key} {one.column}: {one.replayed}, stored {one.stored}"
        for one in verify_tables(engine).differences
    ]


def audit(books: Books, player: Player) -> str:
    """What the ledger has otherwise than a run that was played to its end, '' if all is as it must be."""
    orders = books.orders.get(player.label, {})
    found = [line for account in player.accounts for line in _order(books, orders, account)]
    known = {account.first_cl_ord_id for account in player.accounts} | {player.fence_id}
    found += [f"  an order of ClOrdID(11) {one} that must not be there" for one in orders if one not in known]
    if player.by_voice is not None:
        fills = books.fills.get(player.label, [])
        items = [item for item in books.items.get("", []) if player.label in item.text]
        found += _fills(player.by_voice, fills, [item.kind for item in items])
    if not found:
        return ""
    return "\n".join([f"{player.name}, {player.pair}, at the end: the ledger has something else", *found])


def _order(books: Books, orders: Mapping[str, Sequence[ClientOrder]], account: Account) -> Iterator[str]:
    found = orders.get(account.first_cl_ord_id, [])
    if len(found) != 1:
        yield f"  expected one order of ClOrdID(11) {account.first_cl_ord_id}, the ledger has {len(found)}"
        return
    order = found[0]
    for name, expected, kept in (
        ("OrderID(37)", account.order_id, order.order_id),
        ("ClOrdID(11)", account.cl_ord_id, order.cl_ord_id),
        ("OrdStatus(39)", account.ord_status, order.ord_status),
        ("OrderQty(38)", account.order_qty, order.order_qty),
        ("CumQty(14)", account.cum_qty, order.cum_qty),
        ("LeavesQty(151)", account.leaves_qty, order.leaves_qty),
        ("AvgPx(6)", account.avg_px, order.avg_px),
    ):
        if expected != kept:
            yield f"  {name:<16} expected {expected}, the ledger has {kept}"
    items = [item.kind for item in books.items.get(order.order_id, [])]
    yield from _fills(account, books.fills.get(order.order_id, []), items)


def _fills(account: Account, fills: Sequence[Fill], items: Sequence[str]) -> Iterator[str]:
    kept = [Booked(one.kind, one.exec_id, one.exec_ref_id, one.last_qty, one.last_px) for one in fills]
    for number in range(max(len(kept), len(account.booked))):
        expected = account.booked[number] if number < len(account.booked) else None
        have = kept[number] if number < len(kept) else None
        if expected != have:
            yield f"  fill {number + 1}: expected {_shown(expected)}, the ledger has {_shown(have)}"
    if sorted(items) != sorted(account.items):
        yield f"  open exception items: expected {account.items or 'none'}, the ledger has {list(items) or 'none'}"


def _shown(fill: Booked | None) -> str:
    if fill is None:
        return "none"
    ref = f" of {fill.exec_ref_id}" if fill.exec_ref_id else ""
    return f"{fill.kind} {fill.exec_id}{ref}: {fill.last_qty.normalize():f} at {fill.last_px.normalize():f}"

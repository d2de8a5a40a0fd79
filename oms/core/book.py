"""What the core remembers: live orders under all their ids, today's duplicate keys, sessions, the next number.

Invariant (I11): finished orders leave through `evict`; what stays of them are three bytes for each ClOrdID(11) and
ExecID(17) of the day (`oms.core.seen`). An order that is not found here may still be in the ledger: the flow looks
before the core decides.
Owned by the core thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from oms.core.client_ids import ClientIds
from oms.core.copies import DropCopies
from oms.core.differences import Told
from oms.core.order import Child, Order, Request, is_for_replace, request_id_of
from oms.core.rounds import Round
from oms.core.seen import KEEP, Seen
from oms.core.shared import Shared

if TYPE_CHECKING:  # proposals are kept here, and made there
    from oms.core.approvals import Proposal

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


_TRIPLES = tuple(a + b + c for a in _DIGITS for b in _DIGITS for c in _DIGITS)


def number_id(prefix: str, number: int) -> str:
    """A short id that sorts as its number does: prefix and nine digits of base 36 (good for 10^14)."""
    number, low = divmod(number, 46656)
    high, middle = divmod(number, 46656)
    return prefix + _TRIPLES[high] + _TRIPLES[middle] + _TRIPLES[low]


@dataclass(slots=True)
class MassCancel:
    """An OrderMassCancelRequest(q) that went to a broker: its request, and the orders that it is to cancel."""

    request: Request
    broker: str
    order_ids: frozenset[str]


@dataclass(slots=True)
class SessionState:
    """One counterparty session as the core knows it."""

    name: str
    role: str
    epoch: int = 0
    in_msg_seq_num: int = 0
    logged_on: bool = False
    changed_at: object = None
    news: bool = field(default=False, compare=False)  # a client that is told with News(B)


class UsedIds(Protocol):
    """The ledger's word on ids that memory has only a trace of, after all that is under way is committed."""

    def client_key_used(self, client: str, day: date, cl_ord_id: str) -> bool:
        """Whether a client used this ClOrdID(11) on this trading day."""

    def fill_key_used(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether a fill with this ExecID(17) and trade date is booked."""

    def copy_told(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether the drop copy has told this execution."""


@dataclass(slots=True)
class Book:
    """Orders and keys in memory. With `ledger`, which is asked in doubt, old keys leave memory."""

    next_seq: int = 1
    orders: dict[str, Order] = field(default_factory=dict)
    by_client_id: ClientIds = field(default_factory=ClientIds)  # and a client a ClOrdID(11), on another day
    by_broker_id: dict[str, tuple[Order, Child]] = field(default_factory=dict)
    by_broker_order_id: Shared = field(default_factory=Shared)  # a broker may use an OrderID(37) again
    client_keys: dict[str, Seen] = field(default_factory=dict)
    client_keys_day: dict[str, date] = field(default_factory=dict)
    fill_keys: dict[tuple[str, date], Seen] = field(default_factory=dict)
    sessions: dict[str, SessionState] = field(default_factory=dict)
    finished: deque[str] = field(default_factory=deque)
    mass_cancels: dict[str, MassCancel] = field(default_factory=dict)  # not answered, by ClOrdID(11) to the broker
    adopted: Shared = field(default_factory=Shared)  # by the broker's own ClOrdID(11)
    # What only matters to the running process: questions to brokers, and what they answered (`reconcile`).
    rounds: dict[str, Round] = field(default_factory=dict, compare=False)  # under way, by broker
    asked: dict[str, int] = field(default_factory=dict, compare=False)  # outside of a round: order -> journal row
    told: dict[str, Told] = field(default_factory=dict, compare=False)
    strangers: dict[tuple[str, str], int] = field(default_factory=dict, compare=False)  # raised: broker, OrderID(37)
    unanswered: dict[str, str] = field(default_factory=dict, compare=False)  # broker -> its open item
    proposals: dict[str, Proposal] = field(default_factory=dict)  # of operators: open ones, and the last closed
    # Kill switches that clients were told of with News(B): whom, and of what scope (`news`).
    told_of_kill: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict, compare=False)
    trading_item: str = ""  # the open item that tells of orders refused because trading is off (`trading`)
    drop_copies: DropCopies = field(default_factory=DropCopies)
    foreseen: tuple[str, date, str, bool] | None = field(default=None, compare=False)  # of the event in hand alone
    ledger: UsedIds | None = None
    keep_ids: int = KEEP
    client_keys_from: date = date.min
    keys_from: date = date.min  # of earlier days the ledger may have keys that were not loaded
    fill_keys_from: dict[str, date] = field(default_factory=dict)  # by broker, where later: days before are forgotten

    def begin_run(self) -> None:
        """A run of the gateway begins: what only mattered to the one before is forgotten (in a replay)."""
        for known in (self.rounds, self.asked, self.told, self.strangers):
            known.clear()

    def take_seq(self) -> int:
        """The next number of the journal; ids are made from it."""
        seq = self.next_seq
        self.next_seq = seq + 1
        return seq

    def is_up(self, session: str) -> bool:
        """Whether a session is logged on, as far as its last event told."""
        state = self.sessions.get(session)
        return state is not None and state.logged_on

    def is_shared(self) -> bool:
        """Whether more than one client is logged on."""
        return sum(one.logged_on and one.role == "client" for one in self.sessions.values()) > 1

    def _client_key_used(self, session: str, day: date, cl_ord_id: str) -> bool:
        return self.ledger is not None and self.ledger.client_key_used(session, day, cl_ord_id)

    def _fill_key_used(self, broker: str, day: date, exec_id: str) -> bool:
        return self.ledger is not None and self.ledger.fill_key_used(broker, day, exec_id)

    # -- ClOrdIDs of clients, unique per session and trading day ------------------------------------------

    def foresee_client_key(self, session: str, day: date, cl_ord_id: str) -> bool:
        """As `client_key_seen`, for the event that is applied next: looked up once for both."""
        seen = self.client_key_seen(session, day, cl_ord_id)
        self.foreseen = (session, day, cl_ord_id, seen)
        return seen

    def client_key_seen(self, session: str, day: date, cl_ord_id: str) -> bool:
        """Whether this client used this ClOrdID(11) already on this trading day, or a live order has it."""
        foreseen, self.foreseen = self.foreseen, None
        if foreseen is not None and foreseen[:3] == (session, day, cl_ord_id):
            return foreseen[3]
        if self.client_key_of_day(session, day, cl_ord_id):
            return True
        return self.by_client_id.alive(session, cl_ord_id) is not None

    def client_key_of_day(self, session: str, day: date, cl_ord_id: str) -> bool:
        """Whether this client used this ClOrdID(11) already on this trading day."""
        self._roll(session, day)
        return cl_ord_id in self.client_keys[session]

    def note_client_key(self, session: str, day: date, cl_ord_id: str) -> None:
        """A ClOrdID(11) is used up."""
        self._roll(session, day)
        self.client_keys[session].add(cl_ord_id)

    def load_client_keys(self, session: str, day: date, cl_ord_ids: Iterable[str] | None) -> None:
        """At a start: a client's ClOrdIDs(11) of a day so far. None: too many, and the ledger is asked of each."""
        self._roll(session, day)
        if cl_ord_ids is not None:
            self.client_keys[session].load(cl_ord_ids)
            return
        ask = partial(self._client_key_used, session, day)
        self.client_keys[session] = Seen(ask, self.keep_ids, complete=False)

    def _roll(self, session: str, day: date) -> None:
        before = self.client_keys_day.get(session, self.client_keys_from)
        if self.client_keys_day.get(session) != day:
            self.client_keys_day[session] = day
            ask = None if self.ledger is None else partial(self._client_key_used, session, day)
            self.client_keys[session] = Seen(ask, self.keep_ids, complete=day >= before)

    # -- ExecIDs of fills, unique per broker and trade date (I3) ------------------------------------------

    def fill_key_seen(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether this fill is in the ledger."""
        keys = self.fill_keys.get((broker, day))
        if keys is None:  # of a day long ago, or without fills until now
            return not self._knows_fills_of(broker, day) and self._fill_key_used(broker, day, exec_id)
        return exec_id in keys

    def _knows_fills_of(self, broker: str, day: date) -> bool:
        """Whether memory had every ExecID(17) of this trade date from the first one on."""
        return day >= max(self.fill_keys_from.get(broker, date.min), self.keys_from)

    def note_fill_key(self, broker: str, day: date, exec_id: str) -> None:
        """A fill goes into the ledger."""
        self._fill_keys(broker, day).add(exec_id)

    def load_fill_keys(self, broker: str, day: date, exec_ids: Iterable[str]) -> None:
        """At a start: the ExecIDs(17) of a broker's trade date so far."""
        self._fill_keys(broker, day).load(exec_ids)

    def _fill_keys(self, broker: str, day: date) -> Seen:
        keys = self.fill_keys.get((broker, day))
        if keys is None:
            ask = None if self.ledger is None else partial(self._fill_key_used, broker, day)
            self._forget_old_fill_days(broker)
            complete = self._knows_fills_of(broker, day)
            keys = self.fill_keys[broker, day] = Seen(ask, self.keep_ids, complete=complete)
        return keys

    def _forget_old_fill_days(self, broker: str, keep: int = 5) -> None:
        if self.ledger is None:
            return
        days = sorted(day for name, day in self.fill_keys if name == broker)
        for day in days[: max(len(days) - keep + 1, 0)]:
            del self.fill_keys[broker, day]
            self.fill_keys_from[broker] = max(self.fill_keys_from.get(broker, date.min), day + timedelta(days=1))

    # -- orders under their ids -----------------------------------------------------------------------------

    def add(self, order: Order) -> None:
        """Take an order up under every id it has."""
        self.orders[order.order_id] = order
        self.by_client_id.add(order)
        for child in order.children:
            self.add_child(order, child)
        own = {child.child_id for child in order.children}
        for request in order.requests:
            child_then = order.child_before(request.seq)
            if child_then is not None and request.broker_cl_ord_id not in own:
                self.by_broker_id[request.broker_cl_ord_id] = (order, child_then)

    def at_broker(self, cl_ord_id: str) -> tuple[Order, Child] | None:
        """The order and child that a broker means by a ClOrdID(11) of ours.

        The cancel of a replace by cancel and new is about the child that was at work before its request.
        """
        found = self.by_broker_id.get(cl_ord_id)
        if found is not None or not is_for_replace(cl_ord_id):
            return found
        found = self.by_broker_id.get(request_id_of(cl_ord_id))
        request = found[0].request_by_broker_id(cl_ord_id) if found is not None else None
        if found is None or request is None:
            return None
        child = found[0].child_before(request.seq)
        return None if child is None else (found[0], child)

    def add_child(self, order: Order, child: Child) -> None:
        """Take a child up under its broker's ids."""
        self.by_broker_id[child.child_id] = (order, child)
        if not order.client:
            self.adopted.add(child.broker, child.cl_ord_id, order, child)
        if child.broker_order_id:
            self.by_broker_order_id.add(child.broker, child.broker_order_id, order, child)

    def told_order_id(self, order: Order, child: Child, broker_order_id: str) -> None:
        """A broker gives an order its OrderID(37), or another one."""
        if child.broker_order_id:
            self.by_broker_order_id.drop(child.broker, child.broker_order_id, child)
        child.broker_order_id = broker_order_id
        self.by_broker_order_id.add(child.broker, broker_order_id, order, child)

    def finish(self, order: Order) -> None:
        """An order has finished: it may be evicted after those that finished before it."""
        self.finished.append(order.order_id)

    def evict(self, keep: int) -> None:
        """Forget the oldest finished orders, but for the `keep` last ones."""
        while len(self.finished) > keep:
            order = self.orders.get(self.finished.popleft())
            if order is not None and order.finished:
                self.forget(order)

    def forget(self, order: Order) -> None:
        """Take an order out of memory with all its ids."""
        self.orders.pop(order.order_id, None)
        self.by_client_id.drop(order)
        for broker_cl_ord_id in order.to_client:
            self.by_broker_id.pop(broker_cl_ord_id, None)
        for request in order.requests:  # those of mass cancels have no counterpart at the client
            self.by_broker_id.pop(request.broker_cl_ord_id, None)
        self.asked.pop(order.order_id, None)
        self.told.pop(order.order_id, None)
        for child in order.children:
            self.by_broker_id.pop(child.child_id, None)
            if not order.client:
                self.adopted.drop(child.broker, child.cl_ord_id, child)
            self.by_broker_order_id.drop(child.broker, child.broker_order_id, child)

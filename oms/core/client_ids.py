"""Which order a client means by a ClOrdID(11): ids are unique for a day, so several orders may have had the same.

An id means the order that used it today; where none did, the one that is alive, and else the one that used it last. A
cancel whose order is over by that rule means one that is alive, if there is one: cancels are never blocked, so an
order that is alive again after its end (a bust, a late fill) can be canceled by its id although that was used again.
For a replace, a status request or a repeat that would be a guess: it may have crossed the end of today's order.
That follows from the journal alone. Whoever is alive is in memory; whether an id was used today, is known. If it is
not an order in memory that used it today, or nobody who has it is alive, `Core.missing` has the ledger asked for the
last one that used the id (`oms.ledger.load`, `oms.ledger.evicted`).
Owned by the core thread.
"""

from __future__ import annotations

from datetime import date

from oms.core.order import Order

Key = tuple[str, str]


class ClientIds:
    """Orders by client and every ClOrdID(11) they have had there; `named` is for looking only."""

    __slots__ = ("_several", "named")

    def __init__(self) -> None:
        self.named: dict[Key, Order] = {}
        self._several: dict[Key, tuple[Order, ...]] = {}  # all of them, where memory has more than one

    def find(self, client: str, cl_ord_id: str, day: date) -> Order | None:
        """The order that an id means on a trading day; the ledger may know of a later use (`Core.missing`)."""
        key = client, cl_ord_id
        if not self._several or key not in self._several:  # as nearly always
            return self.named.get(key)

        def rank(order: Order) -> tuple[bool, bool, int]:
            seq, used_on = order.used(cl_ord_id)
            return used_on == day, not order.finished, seq

        return max(self._several[key], key=rank)

    def alive(self, client: str, cl_ord_id: str) -> Order | None:
        """The order with this id that has not finished, the last that used it if there are several."""
        key = client, cl_ord_id
        if not self._several or key not in self._several:
            found = self.named.get(key)
            return None if found is None or found.finished else found
        living = [order for order in self._several[key] if not order.finished]
        return max(living, key=lambda order: order.used(cl_ord_id), default=None)

    def add(self, order: Order) -> None:
        """An order with all its ids."""
        if not order.client:  # adopted: nobody asks for it, and brokers may give many the same id
            return
        for cl_ord_id in (order.original_cl_ord_id, *order.to_broker):
            self.use(order, cl_ord_id)

    def use(self, order: Order, cl_ord_id: str) -> None:
        """An order has this id too."""
        key = order.client, cl_ord_id
        known = self.named.setdefault(key, order)
        if known is not order:
            those = self._several.get(key, (known,))
            self._several[key] = those if any(one is order for one in those) else (*those, order)

    def drop(self, order: Order) -> None:
        """An order leaves memory."""
        if not order.client:
            return
        for cl_ord_id in (order.original_cl_ord_id, *order.to_broker):
            key = order.client, cl_ord_id
            those = self._several.pop(key, None)
            if those is None:
                if self.named.get(key) is order:
                    del self.named[key]
                continue
            left = tuple(one for one in those if one is not order)
            self.named[key] = left[0]
            if len(left) > 1:
                self._several[key] = left

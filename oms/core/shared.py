"""Ids that a broker may give to more than one order: its OrderID(37), and its own ClOrdID(11) of orders we adopted.

Which order such an id means must not depend on which finished orders happen to be in memory. Whoever is alive is
always there; of those the newest is meant. Where nobody is alive, the ledger may know a newer one than memory does.
Owned by the core thread.
"""

from __future__ import annotations

from oms.core.order import Child, Order

Named = tuple[Order, Child]


class Shared:
    """Orders and children by broker and id; `named` is for looking only."""

    def __init__(self) -> None:
        self.named: dict[tuple[str, str], tuple[Named, ...]] = {}

    def add(self, broker: str, name: str, order: Order, child: Child) -> None:
        """The broker knows a child by this id too."""
        found = self.named.get((broker, name))
        if found is None:  # as nearly always
            self.named[broker, name] = ((order, child),)
        else:
            self.named[broker, name] = (*(one for one in found if one[1] is not child), (order, child))

    def drop(self, broker: str, name: str, child: Child) -> None:
        """The child has this id no longer, or leaves memory."""
        found = self.named.get((broker, name))
        if found is None:
            return
        left = tuple(one for one in found if one[1] is not child)
        if left:
            self.named[broker, name] = left
        else:
            del self.named[broker, name]

    def alive(self, broker: str, name: str) -> Named | None:
        """The newest order with this id that has not finished."""
        found = [one for one in self.named.get((broker, name), ()) if not one[0].finished]
        return max(found, key=_age, default=None)

    def newest(self, broker: str, name: str) -> Named | None:
        """The newest that is alive; where none is, the newest that memory knows."""
        return self.alive(broker, name) or max(self.named.get((broker, name), ()), key=_age, default=None)

    def __len__(self) -> int:
        return len(self.named)


def _age(named: Named) -> int:
    return named[0].new_seq

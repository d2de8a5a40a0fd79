"""Kill switches: what is stopped, and for whom.

A kill has a scope: patterns for client, account, symbol, broker and trader; a part that is not given matches all,
so an empty scope is the whole firm. In scope no new order is taken and no replace, whatever it changes; cancels
always go. Kills are in force from the moment an operator engages them until one is released, over restarts too.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from oms.core.order import Order

SCOPES = ("client", "account", "symbol", "broker", "trader")


class Kill(NamedTuple):
    """One kill switch that is engaged. `scope` has (part, pattern), in the order of SCOPES."""

    kill_id: str
    scope: tuple[tuple[str, str], ...]
    operator: str
    reason: str

    @property
    def text(self) -> str:
        """What is stopped, for people: `account FUND1, symbol *`, or `the firm`."""
        return ", ".join(f"{part} {pattern}" for part, pattern in self.scope) or "the firm"

    @property
    def of_broker(self) -> bool:
        """Whether the scope names a broker: then it is judged when the broker is known, not before."""
        return any(part == "broker" for part, _ in self.scope)

    def covers_order(self, order: Order) -> bool:
        """Whether an order, where it is now, is in scope."""
        broker = order.child.broker if order.child is not None else ""
        return self.covers(
            client=order.client, account=order.account, symbol=order.symbol, broker=broker, trader=order.trader
        )

    def covers(self, **about: str) -> bool:
        """Whether something with these parts is in scope."""
        return all(fnmatchcase(about.get(part, ""), pattern) for part, pattern in self.scope)


def scope_of(args: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """The scope that a command's arguments give."""
    return tuple((part, args[part]) for part in SCOPES if args.get(part))


def covering(kills: Iterable[Kill], **about: str) -> Kill | None:
    """The first kill that covers this, None where none does."""
    for kill in kills:
        if kill.covers(**about):
            return kill
    return None

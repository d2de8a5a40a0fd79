"""Kill switches: what is stopped, and for whom.

A kill has a scope: patterns for client, account, symbol, broker and trader; a part that is not given matches all,
so an empty scope is the whole firm. In scope no new order is taken and no replace, whatever it changes; cancels
always go. Kills are in force from the moment an operator engages them until one is released, over restarts too.
One that is reduce-only lets new orders and replaces through that bring the net position of their account and symbol
nearer to zero, whatever else is open; where the position is not known, none.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import NamedTuple

from oms.core.exposure import BUYS, Projection, Totals
from oms.core.order import ZERO, Order

SCOPES = ("client", "account", "symbol", "broker", "trader")
POSITION: Projection = ("account", "symbol")


class Kill(NamedTuple):
    """One kill switch that is engaged. `scope` has (part, pattern), in the order of SCOPES.

    `since`: the journal row from which on the core has judged by it, 0 until that is known. What a reduce-only kill
    lets through was decided after it.
    """

    kill_id: str
    scope: tuple[tuple[str, str], ...]
    operator: str
    reason: str
    reduce_only: bool = False
    since: int = 0

    @property
    def text(self) -> str:
        """What is stopped, for people: `account FUND1, symbol *`, or `the firm`."""
        scope = ", ".join(f"{part} {pattern}" for part, pattern in self.scope) or "the firm"
        return f"{scope} (reduce-only)" if self.reduce_only else scope

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


def reduces(side: str, leaves: Decimal, own: Decimal, now: Totals) -> bool:
    """Whether an order brings the position nearer to zero, and not beyond it if all that is open on its side trades.

    `leaves` is what it would have open, `own` what of it is in the totals already.
    """
    more = max(leaves - own, ZERO)
    if side in BUYS:
        return now.net < 0 and now.open_buy + more <= -now.net
    return now.net > 0 and now.open_sell + more <= now.net


def covering(kills: Iterable[Kill], **about: str) -> Kill | None:
    """The first kill that covers this, None where none does."""
    for kill in kills:
        if kill.covers(**about):
            return kill
    return None

"""Cancel on disconnect: a client that is gone and does not come back in time has its live orders canceled.

Off by default; it is configured per client session. `Watch` looks at the sessions from time to time: a client that
has been logged out for its grace and has something alive is told of, once for each time it went away. After a start
the grace begins anew, so that who was cut off by our own restart has the whole of it. What it finds is an event like
any other (`CancelOnDisconnect`): journaled, and applied here as one cancel per order, held where its broker is away.
The client hears of it by the reports that wait for its next logon. A client that came back in between keeps its
orders. Limit: a cancel that a broker refuses is not asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from oms.core import mass
from oms.core.book import Book, number_id
from oms.core.messages import CancelOnDisconnect, Event
from oms.core.order import Order
from oms.core.replies import Context


class Grace(NamedTuple):
    """How long a client may be away, and the TimeInForce(59) values of orders that are left alone, side by side."""

    seconds: int
    exempt: str = ""


class Watch:
    """Finds clients that stay away. Owned by the core thread."""

    def __init__(self, book: Book, graces: Mapping[str, Grace]) -> None:
        self._book = book
        self._graces = graces
        self._away: dict[str, tuple[object, datetime]] = {}  # the mark of this absence, and when it was first seen
        self._told: dict[str, object] = {}  # the absence that was told of

    def look(self, now: datetime) -> Iterator[tuple[str, CancelOnDisconnect]]:
        """The sessions whose grace is over since the last look, with what is to be done."""
        for session, grace in self._graces.items():
            state = self._book.sessions.get(session)
            if state is None or state.logged_on:
                self._away.pop(session, None)
                continue
            mark, since = self._away.get(session, (self, now))
            if mark != state.changed_at:
                mark, since = self._away[session] = (state.changed_at, now)
            if now - since < timedelta(seconds=grace.seconds) or self._told.get(session, self) == mark:
                continue
            self._told[session] = mark
            if any(_affected(self._book, session, grace.exempt)):
                yield session, CancelOnDisconnect(grace.seconds, grace.exempt)


def _affected(book: Book, session: str, exempt: str) -> Iterator[Order]:
    """The client's live orders that are not exempt and whose cancel is not under way."""
    for order in book.orders.values():
        if (
            order.client == session
            and order.leaves_qty
            and order.child is not None
            and (order.time_in_force or "0") not in exempt
            and not any(request.kind == "F" for request in order.pending_requests)
        ):
            yield order


def cancel(ctx: Context, seq: int, event: Event, msg: CancelOnDisconnect) -> None:
    """Cancel what the client left, unless it is back."""
    if ctx.book.is_up(event.session):
        ctx.fx.detail["disconnect"] = {"back": True}
        return
    orders = sorted(_affected(ctx.book, event.session, msg.exempt), key=lambda order: order.order_id)
    for order in orders:
        mass.cancel_one(ctx, seq, event, order, number_id("D", seq))
    ctx.fx.order_id = None  # it is about all of them
    ctx.fx.detail["disconnect"] = {"orders": [order.order_id for order in orders]}

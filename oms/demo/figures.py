"""How much each client and broker did, from the three views. Pure; latencies are floats, in milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from oms.demo.comparison import Views
from oms.ledger.records import Request
from oms.sim.progress import percentiles

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Asked:
    """Cancels or replaces: how many were asked for, and how many were granted."""

    asked: int
    granted: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One client or broker; None is what it has no say in.

    `ord_status` counts its orders by OrdStatus(39), `shares` are net of busts, cancels and replaces those that
    reached a broker.
    """

    name: str
    version: str
    orders: int
    ord_status: Mapping[str, int]
    fills: int
    shares: Decimal
    cancels: Asked
    replaces: Asked
    busted: int = 0
    corrected: int | None = None
    duplicates: int | None = None  # reports sent twice on purpose
    measured: int = 0  # orders whose first report was timed
    first_report_ms: Mapping[str, float] = field(default_factory=dict)


def client_figures(views: Views, versions: Mapping[str, str]) -> list[Figures]:
    """One per client, in the order of `versions` (FIX version by name)."""
    made = []
    for name, version in versions.items():
        view = views.clients[name]
        fills = [fill for order in view.orders.values() for fill in order.fills.values()]
        cancels, replaces = _requests(one for one in views.ledger.requests if one.client == name)
        made.append(
            Figures(
                name,
                version,
                orders=len(view.orders),
                ord_status=dict(Counter(order.ord_status for order in view.orders.values())),
                fills=len(fills),
                shares=sum((fill.qty for fill in fills), ZERO),
                cancels=cancels,
                replaces=replaces,
                busted=sum(not fill.qty for fill in fills),
                measured=len(view.latencies_ms),
                first_report_ms=percentiles(list(view.latencies_ms.values())),
            )
        )
    return made


def broker_figures(views: Views, versions: Mapping[str, str]) -> list[Figures]:
    """One per broker, in the order of `versions`."""
    broker_of = {child.order_id: child.broker for child in views.ledger.children}
    made = []
    for name, version in versions.items():
        view = views.brokers[name]
        cancels, replaces = _requests(one for one in views.ledger.requests if broker_of.get(one.order_id) == name)
        amended = [fill for fill in view.fills.values() if fill.latest_exec_id != fill.exec_id]
        made.append(
            Figures(
                name,
                version,
                orders=len(view.orders),
                ord_status=dict(Counter(order.ord_status for order in view.orders.values())),
                fills=len(view.fills),
                shares=sum((fill.qty for fill in view.fills.values()), ZERO),
                cancels=cancels,
                replaces=replaces,
                busted=sum(not fill.qty for fill in amended),
                corrected=sum(bool(fill.qty) for fill in amended),
                duplicates=view.duplicates,
            )
        )
    return made


def _requests(requests: Iterable[Request]) -> tuple[Asked, Asked]:
    """Cancels and replaces."""
    counted = Counter((one.kind, one.state == "accepted") for one in requests)
    cancels, replaces = ((counted[kind, False], counted[kind, True]) for kind in ("F", "G"))
    return Asked(sum(cancels), cancels[1]), Asked(sum(replaces), replaces[1])

"""What a storm proved: one row per promise, how much it was checked on, and what broke it.

`judge` is pure. It sorts the differences that the demo's comparison found between clients, ledger and brokers by the
promise that each breaks; what fits none counts against the row "everything else".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from oms.core import transitions as life
from oms.demo.comparison import Compared, Difference, Views
from oms.ledger.replay import TablesReport
from oms.ledger.verify import ChainReport

AT_MOST_ONCE = "every order at a broker at most once per routing decision, and none lost"
IN_LEDGER = "every fill of a broker in the ledger exactly once"
TOLD = "every client told of every fill exactly once, by ExecID(17)"
QUANTITIES = "CumQty(14) equal at client, ledger and broker"
TERMS = "everything else equal on three sides: status, ids, prices, what reports say"
UNKNOWN = "an order with an unknown outcome is an open exception item"
CHAIN = "the journal's hash chain holds"
REPLAY = "the journal replayed gives the same tables"
RUN = "the run ended by itself, with every order at its end"


@dataclass(slots=True)
class Promise:
    """One row: on how many things it was checked, and what broke it."""

    text: str
    checked: int
    broken: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing broke it."""
        return not self.broken


@dataclass(frozen=True, slots=True)
class Verdict:
    """All rows. `unknown` are the orders whose outcome nobody knows, `items` the exception items by kind."""

    promises: list[Promise]
    unknown: list[str]
    items: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether every promise held."""
        return all(one.ok for one in self.promises)


def judge(
    views: Views, compared: Compared, chain: ChainReport, replay: TablesReport | None, problems: list[str]
) -> Verdict:
    """The verdict over three views, the proofs of the journal, and what went wrong in the run."""
    ledger = views.ledger
    told = sum(len(order.fills) for view in views.clients.values() for order in view.orders.values())
    rows = {
        AT_MOST_ONCE: Promise(AT_MOST_ONCE, compared.at_brokers),
        IN_LEDGER: Promise(IN_LEDGER, compared.fills),
        TOLD: Promise(TOLD, told),
        QUANTITIES: Promise(QUANTITIES, compared.orders),
        TERMS: Promise(TERMS, compared.orders),
        UNKNOWN: Promise(UNKNOWN, len(ledger.orders)),
        CHAIN: Promise(CHAIN, chain.rows),
        REPLAY: Promise(REPLAY, replay.events if replay is not None else 0),
        RUN: Promise(RUN, compared.orders, list(problems)),
    }
    for difference in compared.differences:
        rows[_promise_of(difference)].broken.append(_told(difference))
    held = {item.order_id for item in ledger.items if item.state == "open"}
    unknown = [order for order in ledger.orders if order.life == life.UNKNOWN]
    rows[UNKNOWN].broken += [f"OrderID(37) {one.order_id} has no item" for one in unknown if one.order_id not in held]
    if chain.problem is not None:
        rows[CHAIN].broken.append(f"batch {chain.problem.batch}: {chain.problem.text}")
    if replay is None:
        rows[REPLAY].broken.append("not replayed, because the chain is broken")
    else:
        rows[REPLAY].broken += [" ".join(one) for one in replay.differences]
    names = [f"{one.client} ClOrdID(11) {one.original_cl_ord_id} OrderID(37) {one.order_id}" for one in unknown]
    return Verdict(list(rows.values()), names, dict(Counter(item.kind for item in ledger.items)))


def _promise_of(difference: Difference) -> str:
    what = difference.what
    if what == "fill":
        return TOLD if "to the client" in difference.about else IN_LEDGER
    if what.startswith("order at ") or what in ("order", "NewOrderSingle(D)", "ClOrdID(11)"):
        return AT_MOST_ONCE
    if what == "a report that must not be" and "ExecID(17)" in difference.client:
        return TOLD
    if what == "OrderID(37) of the fill" or what.startswith("reports not sent"):
        return IN_LEDGER
    return QUANTITIES if what.startswith("CumQty(14)") else TERMS


def _told(difference: Difference) -> str:
    sides = (("client", difference.client), ("ledger", difference.ledger), ("broker", difference.broker))
    says = ", ".join(f"{side}: {text}" for side, text in sides if text)
    return f"{difference.about}: {difference.what} ({says})"

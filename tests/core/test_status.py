"""OrdStatus(39) for every combination of life, pending requests and quantities, against the standard's ranks.

The rank below is the list of FIX 4.4's ExecutionReport, written out: 11 pending cancel, 10 pending replace,
9 done for day, 8 calculated, 7 filled, 6 stopped, 5 suspended, 4 canceled or expired, 3 partially filled,
2 new, rejected or pending new. An order has the status of the highest rank among all the states it is in.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from decimal import Decimal as D

import pytest

from oms.core import order as o
from oms.core import transitions as life
from oms.core.status import ord_status

RANK = {"6": 11, "E": 10, "3": 9, "B": 8, "2": 7, "7": 6, "9": 5, "4": 4, "C": 4, "1": 3, "0": 2, "8": 2, "A": 2}
OWN_STATUS = {
    "received": "A", "routed": "A", "pending_new": "A", "unknown": "A", "working": "0", "stopped": "7",
    "suspended": "9", "done_for_day": "3", "calculated": "B", "canceled": "4", "expired": "C", "rejected": "8",
}  # fmt: skip
REQUESTS = [
    [],
    [("F", o.SENT)],
    [("G", o.SENT)],
    [("F", o.PENDING)],
    [("G", o.PENDING)],
    [("G", o.PENDING), ("F", o.PENDING)],
    [("F", o.PENDING), ("G", o.PENDING)],
    [("F", o.REFUSED)],
    [("G", o.ACCEPTED), ("F", o.REFUSED), ("G", o.SENT)],
    [("F", o.HELD)],
    [("G", o.PENDING), ("F", o.HELD)],
]
TOLD_PENDING = (o.PENDING, o.HELD)  # the broker said so, or we did because it is logged out


def order_in(state: str, cum: int, requests: list[tuple[str, str]]) -> o.Order:
    order = o.Order(
        "O1", "CLIENT1", "A1", "FUND1", "", "IBM", "", "1", "2", "0", "", D(100), D(10), None,
        date(2026, 3, 2), datetime(2026, 3, 2, tzinfo=UTC), 1, 1, order_qty=D(100), cum_qty=D(cum), life=state,
    )  # fmt: skip
    for number, (kind, request_state) in enumerate(requests):
        order.requests.append(
            o.Request(
                number, "CLIENT1", order.trade_date, kind, f"R{number}", "A1", "O1", f"C{number}", request_state
            )
        )
    return order


def by_rank(state: str, cum: int, requests: list[tuple[str, str]]) -> str:
    """The status of the highest rank, from all that apply."""
    applying = [OWN_STATUS[state]]
    if cum:
        applying.append("2" if cum >= 100 else "1")
    applying += [{"F": "6", "G": "E"}[kind] for kind, request_state in requests if request_state in TOLD_PENDING]
    return max(applying, key=lambda status: RANK[status])


@pytest.mark.parametrize("state", list(life.TABLE))
def test_ord_status_is_the_highest_ranked_of_the_states_an_order_is_in(state: str) -> None:
    cases = list(itertools.product((0, 40, 100, 120), REQUESTS))
    found = {(cum, str(requests)): ord_status(order_in(state, cum, requests)) for cum, requests in cases}
    assert found == {(cum, str(requests)): by_rank(state, cum, requests) for cum, requests in cases}


@pytest.mark.parametrize(
    ("state", "tif", "leaves"),
    [
        ("received", "0", 60), ("routed", "0", 60), ("pending_new", "0", 60), ("unknown", "0", 60),
        ("working", "0", 60), ("stopped", "0", 60), ("suspended", "0", 60),
        ("canceled", "0", 0), ("expired", "0", 0), ("rejected", "0", 0), ("calculated", "0", 0),
        ("done_for_day", "", 0), ("done_for_day", "0", 0), ("done_for_day", "3", 0), ("done_for_day", "2", 0),
        ("done_for_day", "1", 60), ("done_for_day", "6", 60),
    ],
)  # fmt: skip
def test_leaves_qty_is_the_rest_while_the_order_may_trade_again_and_zero_after(
    state: str, tif: str, leaves: int
) -> None:
    order = order_in(state, 40, [])
    order.time_in_force = tif
    assert order.leaves_qty == leaves


def test_leaves_qty_is_never_below_zero() -> None:
    assert order_in("working", 120, []).leaves_qty == 0


@pytest.mark.parametrize(
    ("state", "cum", "request_state", "finished"),
    [
        ("working", 40, None, False), ("working", 100, None, True), ("canceled", 0, None, True),
        ("rejected", 0, None, True), ("done_for_day", 40, None, True), ("routed", 0, None, False),
        ("routed", 100, None, False), ("unknown", 100, None, False),
        ("working", 100, o.SENT, False), ("canceled", 0, o.PENDING, False), ("canceled", 0, o.HELD, False),
        ("canceled", 0, o.ACCEPTED, True), ("working", 100, o.REFUSED, True),
    ],
)  # fmt: skip
def test_an_order_is_finished_when_nothing_of_it_is_open_and_no_request_waits_for_an_answer(
    state: str, cum: int, request_state: str | None, finished: bool
) -> None:
    requests = [("F", request_state)] if request_state else []
    assert order_in(state, cum, requests).finished is finished


def test_avg_px_follows_from_the_executions_to_eight_decimals() -> None:
    order = order_in("working", 3, [])
    order.notional = D(10)
    assert str(order.avg_px) == "3.33333333"
    order.cum_qty = D(0)
    assert order.avg_px == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [("10.500", "10.5"), ("10", "10"), ("100", "100"), ("1E+3", "1000"), ("0.00000001", "0.00000001"), ("0.0", "0")],
)
def test_a_decimal_goes_out_without_exponent_and_needless_zeros(value: str, text: str) -> None:
    assert o.decimal_text(D(value)) == text

"""What a broker reports wrongly: kept as evidence, raised as an exception item, and nothing else stops.

All tests share one gateway. A fill is a fact: where it can be booked it is, where it cannot an item says so.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from oms.sim.wire import Message
from tests.system.conftest import Desk
from tests.system.words import cancel, fields, new_order, replace, report, shape

LONG = "".join(f"{number:04x}" for number in range(0, 60_000, 41))


def working(desk: Desk, cl_ord_id: str) -> Message:
    """An order of CLIENT1 that the broker has acknowledged; returns what the broker got."""
    desk.client.send(new_order(cl_ord_id))
    asked = desk.broker.expect("D")
    desk.broker.send(report(desk.broker, asked, "0", f"N-{cl_ord_id}"))
    desk.client.expect("8", ClOrdID=cl_ord_id, ExecType="0")
    return asked


def items_after(desk: Desk, seq: int) -> list[tuple[str, str, str]]:
    """Kind, severity and text of the exception items after a journal row, as soon as there are any."""
    found = desk.house.until(
        "SELECT kind, severity, text FROM exception_items WHERE seq > %s ORDER BY seq, item_id", seq
    )
    return [(row["kind"], row["severity"], row["text"]) for row in found]


def booked(desk: Desk, cl_ord_id: str) -> list[tuple[str, str, Decimal]]:
    """Kind, ExecID(17) and LastQty(32) of the fills of an order."""
    found = desk.house.rows(
        "SELECT kind, exec_id, last_qty FROM fills JOIN client_orders USING (order_id) WHERE original_cl_ord_id = %s"
        " ORDER BY fills.seq",
        cl_ord_id,
    )
    return [(row["kind"], row["exec_id"], row["last_qty"]) for row in found]


# Reports that the engine refuses: (what is done to a good fill, Text(58) of the reject, its RefTagID(371))
REFUSED: dict[str, tuple[Callable[[str], str], str, str]] = {
    "ExecType(150) outside the enumeration": (
        lambda text: text.replace("|150=F", "|150=Z"),
        "Value is incorrect (out of range) for this tag",
        "150",
    ),
    "OrdStatus(39) outside the enumeration": (
        lambda text: text.replace("|39=1", "|39=Z"),
        "Value is incorrect (out of range) for this tag",
        "39",
    ),
    "no ExecID(17)": (lambda text: text.replace("|17=R-X", ""), "Required tag missing", "17"),
    "LastQty(32) that is not a number": (
        lambda text: text.replace("|32=40", "|32=forty"),
        "Incorrect data format for value",
        "32",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_report_that_the_engine_refuses_is_an_exception_item_because_it_may_be_a_lost_fill(
    desk: Desk, what: str
) -> None:
    spoil, reason, tag = REFUSED[what]
    cl_ord_id = f"R-{tag}"
    asked = working(desk, cl_ord_id)
    before = desk.journal_end()
    sent = desk.broker.send(spoil(report(desk.broker, asked, "F", "R-X", cum=40, last=(40, "150"), avg="150")))
    reject = desk.broker.expect("3")
    assert (reject[45], reject[58], reject[371], reject[372]) == (sent[34], reason, tag, "8")
    text = f"the FIX engine refused a MsgType(35) 8, a fill may be lost: {reason} (RefTagID(371)={tag})"
    assert items_after(desk, before) == [("report_refused_by_engine", "error", text)]
    evidence = desk.house.rows(
        "SELECT journal.kind, journal.raw FROM exception_items JOIN journal USING (seq)"
        " WHERE exception_items.seq > %s",
        before,
    )
    assert [(row["kind"], bytes(row["raw"]).decode()) for row in evidence] == [("refused", sent.raw)]
    assert booked(desk, cl_ord_id) == []
    desk.client.expect_nothing("8", ClOrdID=cl_ord_id)
    desk.still_trades()


def test_a_cancel_reject_that_the_engine_refuses_is_an_exception_item(desk: Desk) -> None:
    asked = working(desk, "CR1")
    before = desk.journal_end()
    desk.broker.send(f"35=9|37=B|11=X|41={asked[11]}|39=0|434=Z|102=0")
    assert desk.broker.expect("3")[371] == "434"
    assert [kind for kind, _, _ in items_after(desk, before)] == ["report_refused_by_engine"]
    desk.still_trades()


def test_a_fill_for_an_order_that_nobody_knows_is_booked_and_answered_with_a_dont_know_trade(desk: Desk) -> None:
    before = desk.journal_end()
    desk.broker.send(
        "35=8|37=BX|17=UX1|11=NOBODY|150=F|39=1|55=AAPL|54=1|38=100|32=40|31=150.25|151=60|14=40|6=150.25"
    )
    answer = desk.broker.expect("Q")
    text = "no order of ours: ClOrdID(11) NOBODY, OrderID(37) BX"
    assert sorted(fields(answer)) == [
        (17, "UX1"),
        (31, "150.25"),
        (32, "40"),
        (37, "BX"),
        (38, "100"),
        (54, "1"),
        (55, "AAPL"),
        (58, text),
        (127, "D"),
    ]
    expected = ("unknown_order", "error", "fill for no order of ours: ClOrdID(11) NOBODY, OrderID(37) BX")
    assert items_after(desk, before) == [expected]
    kept = desk.house.rows("SELECT order_id, symbol, last_qty, last_px FROM fills WHERE exec_id = 'UX1'")
    assert [tuple(row.values()) for row in kept] == [(None, "AAPL", Decimal(40), Decimal("150.25"))]
    desk.still_trades()


def test_a_status_for_an_order_that_nobody_knows_is_a_warning(desk: Desk) -> None:
    before = desk.journal_end()
    desk.broker.send("35=8|37=BY|17=UY1|11=NOBODY2|150=0|39=0|55=AAPL|54=1|38=100|151=100|14=0|6=0")
    expected = ("unknown_order", "warning", "report for no order of ours: ClOrdID(11) NOBODY2, OrderID(37) BY")
    assert items_after(desk, before) == [expected]
    desk.still_trades()


# Fills that do not add up: (the fill's words, what is booked, items raised)
CROOKED: dict[str, tuple[dict[str, object], list[tuple[str, str, Decimal]], list[tuple[str, str, str]]]] = {
    "CumQty(14) is not the sum of the fills": (
        {"cum": 70, "last": (40, "150")},
        [("trade", "Q1-X", Decimal(40))],
        [("quantity_mismatch", "warning", "broker's CumQty(14) 70, ledger's 40")],
    ),
    "more than was ordered": (
        {"cum": 140, "leaves": 0, "last": (140, "150")},
        [("trade", "Q2-X", Decimal(140))],
        [("overfill", "error", "filled 140 of OrderQty(38) 100")],
    ),
    "a fill of nothing": (
        {"cum": 0, "last": (0, "150")},
        [],
        [("fill_without_quantity", "error", "a fill needs LastQty(32) above zero and LastPx(31)")],
    ),
    "a negative fill": (
        {"cum": 0, "last": (-40, "150")},
        [],
        [("fill_without_quantity", "error", "a fill needs LastQty(32) above zero and LastPx(31)")],
    ),
    "a fill of 10^30": (
        {"cum": 0, "last": (10**30, "150")},
        [],
        [
            (
                "unreadable_report",
                "error",
                f"LastQty(32): {10**30} is not a number of at most 15 digits and 10 decimals",
            )
        ],
    ),
}


@pytest.mark.parametrize("what", CROOKED)
def test_a_fill_that_does_not_add_up_is_an_exception_item_and_booked_if_it_can_be(desk: Desk, what: str) -> None:
    words, fills, items = CROOKED[what]
    cl_ord_id = f"Q{list(CROOKED).index(what) + 1}"
    asked = working(desk, cl_ord_id)
    before = desk.journal_end()
    desk.broker.send(report(desk.broker, asked, "F", f"{cl_ord_id}-X", ord_status="1", avg="150", **words))  # type: ignore[arg-type]
    assert items_after(desk, before) == items
    assert booked(desk, cl_ord_id) == fills
    told = [shape(message) for message in desk.client.untaken if message.get(11) == cl_ord_id]
    filled = str(fills[0][2]) if fills else ""
    status = "2" if filled == "140" else "1"
    rest = "0" if filled == "140" else "60"
    assert told == [("8", cl_ord_id, "F", status, filled, rest, filled)] * len(fills)
    for _ in told:
        desk.client.expect("8", ClOrdID=cl_ord_id)
    desk.still_trades()


def test_a_fill_with_an_exec_id_that_no_index_could_hold_is_an_exception_item(desk: Desk) -> None:
    asked = working(desk, "LX1")
    before = desk.journal_end()
    desk.broker.send(report(desk.broker, asked, "F", LONG, cum=40, last=(40, "150"), avg="150"))
    assert items_after(desk, before)[0] == ("unreadable_report", "error", "ExecID(17): is longer than 400 characters")
    assert booked(desk, "LX1") == []
    desk.broker.send(report(desk.broker, asked | {11: "NOBODY3"}, "F", LONG, cum=40, last=(40, "150"), order_id="BZ"))
    desk.house.until("SELECT FROM exception_items WHERE text LIKE '%%NOBODY3%%'")
    desk.still_trades()


def test_a_fill_after_the_order_ended_is_booked_told_and_an_exception_item(desk: Desk) -> None:
    asked = working(desk, "E1")
    desk.broker.send(report(desk.broker, asked, "4", "E1-C", leaves=0))
    desk.client.expect("8", ClOrdID="E1", ExecType="4")
    before = desk.journal_end()
    desk.broker.send(report(desk.broker, asked, "F", "E1-X", cum=40, leaves=0, last=(40, "150"), avg="150"))
    assert shape(desk.client.expect("8", ClOrdID="E1")) == ("8", "E1", "F", "4", "40", "0", "40")
    assert items_after(desk, before) == [
        ("fill_after_end", "error", "fill of 40 reported while the order is canceled")
    ]
    desk.still_trades()


def test_a_fill_told_twice_is_booked_and_told_once(desk: Desk) -> None:
    asked = working(desk, "T1")
    for _ in range(2):
        desk.broker.send(report(desk.broker, asked, "F", "T1-X", cum=40, last=(40, "150"), avg="150"))
    desk.still_trades()
    desk.client.expect("8", ClOrdID="T1", ExecType="F")
    desk.client.expect_nothing("8", ClOrdID="T1")
    assert booked(desk, "T1") == [("trade", "T1-X", Decimal(40))]


def test_a_correction_of_a_fill_that_nobody_knows_is_an_exception_item(desk: Desk) -> None:
    asked = working(desk, "G1")
    before = desk.journal_end()
    desk.broker.send(report(desk.broker, asked, "H", "G1-H", ord_status="0", ref="G1-NONE", last=(40, "150")))
    assert [kind for kind, _, _ in items_after(desk, before)] == ["unknown_execution"]
    desk.still_trades()


@pytest.mark.parametrize("kind", ["3", "j"])
def test_an_order_that_the_brokers_engine_rejects_is_rejected_to_its_client_with_the_reason(
    desk: Desk, kind: str
) -> None:
    cl_ord_id = f"J1-{kind}"
    desk.client.send(new_order(cl_ord_id))
    asked = desk.broker.expect("D")
    more = "|373=99" if kind == "3" else "|380=0"
    desk.broker.send(f"35={kind}|45={asked[34]}|372=D|58=no such thing here{more}")
    told = desk.client.expect("8", ClOrdID=cl_ord_id)
    assert shape(told) == ("8", cl_ord_id, "8", "8", None, "0", "0")
    assert told[58] == "broker refused the message: no such thing here"
    desk.still_trades()


@pytest.mark.parametrize("kind", ["3", "j"])
def test_a_request_that_the_brokers_engine_rejects_is_refused_and_the_order_lives_on(desk: Desk, kind: str) -> None:
    cl_ord_id = f"J2-{kind}"
    working(desk, cl_ord_id)
    more = "|373=99" if kind == "3" else "|380=0"
    for number, request in enumerate(
        (replace(f"{cl_ord_id}-G", cl_ord_id, 200), cancel(f"{cl_ord_id}-F", cl_ord_id))
    ):
        desk.client.send(request)
        asked = desk.broker.expect("GF"[number])
        desk.broker.send(f"35={kind}|45={asked[34]}|372={asked.type}|58=not now{more}")
        refusal = desk.client.expect("9", OrigClOrdID=cl_ord_id)
        assert (refusal[11], refusal[39], refusal[434], refusal[58]) == (
            f"{cl_ord_id}-{'GF'[number]}",
            "0",
            "21"[number],
            "not now",
        )
    desk.still_trades()


def test_a_reject_of_a_message_that_nobody_sent_is_an_exception_item(desk: Desk) -> None:
    before = desk.journal_end()
    desk.broker.send("35=3|45=999999|372=D|373=99|58=what was that")
    expected = "BROKER1 refused MsgSeqNum(34) 999999, MsgType(35) D: what was that"
    assert items_after(desk, before) == [("message_rejected", "error", expected)]
    desk.still_trades()

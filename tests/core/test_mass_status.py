"""OrderMassStatusRequest(AF), and application messages that are not taken, with what to send instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oms.core import messages as m
from tests.core.desk import own, texts
from tests.core.driver import CLIENT, CLIENT2, Sent
from tests.core.mass_desk import MassDesk


@pytest.fixture
def desk() -> Iterator[MassDesk]:
    desk = MassDesk()
    yield desk
    desk.replayed()


# -- OrderMassStatusRequest(AF) -----------------------------------------------------------------------------------


def test_every_live_order_is_reported_and_the_last_one_says_so(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2", "A3", "A4")
    desk.fill("A2", 40)
    desk.report("A4", "4", order_id="B-A4")
    status = {"ExecID": "0", "MassStatusReqID": "S1", "TotNumReports": 3}
    assert desk.mass_status() == [
        own("A1", "I", "0", LastRptRequested="N", **status),
        own("A2", "I", "1", order="A2", cum=40, LastRptRequested="N", **status),
        own("A3", "I", "0", order="A3", LastRptRequested="Y", **status),
    ]
    assert desk.details[-1] == {"mass": {"orders": 3}}


def test_a_mass_status_is_of_the_symbol_the_account_and_the_client_that_asks(desk: MassDesk) -> None:
    desk.open_orders("A1")
    desk.open_orders("A2", symbol="LOTS")
    desk.new("B1", client=CLIENT2)
    assert [one.fields["ClOrdID"] for one in desk.mass_status("1", symbol="LOTS")] == ["A2"]
    assert [one.fields["ClOrdID"] for one in desk.mass_status("8", account="FUND1")] == ["A1", "A2"]
    assert [one.fields["ClOrdID"] for one in desk.mass_status(client=CLIENT2)] == ["B1"]


def test_without_a_live_order_one_report_says_so(desk: MassDesk) -> None:
    desk.open_orders("A1")
    fields: dict[str, object] = {
        "OrderID": "NONE", "ExecID": "0", "ExecType": "I", "OrdStatus": "8", "LeavesQty": 0, "CumQty": 0, "AvgPx": 0,
        "OrdRejReason": "5", "Text": "no live order of yours matches", "TransactTime": "now", "MassStatusReqID": "S1",
        "TotNumReports": 0, "Symbol": "LOTS", "Side": "7", "LastRptRequested": "Y",
    }  # fmt: skip
    assert desk.mass_status("1", symbol="LOTS") == [Sent(CLIENT, "8", texts(fields))]


def test_a_mass_status_that_cannot_be_taken_is_refused_with_a_business_reject(desk: MassDesk) -> None:
    problem = m.Problem("MassStatusReqType(585)", "6 is not taken here", "0")
    fields = {
        "RefSeqNum": 1, "RefMsgType": "AF", "BusinessRejectReason": "0", "BusinessRejectRefID": "S1",
        "Text": "MassStatusReqType(585): 6 is not taken here",
    }  # fmt: skip
    assert desk.mass_status("6", problem=problem) == [Sent(CLIENT, "j", texts(fields))]


# -- what is not taken ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "E",
            "MsgType(35) E is not supported here: NewOrderList, order lists are not taken; send each order as"
            " NewOrderSingle(D), and cancel or ask about each by itself",
        ),
        (
            "J",
            "MsgType(35) J is not supported here: AllocationInstruction, allocations and confirmations are not taken;"
            " arrange them with the broker's middle office",
        ),
        ("ZZ", "MsgType(35) ZZ is not supported here; the rules of engagement name what is"),
    ],
)
def test_what_is_not_taken_is_refused_with_what_to_do_instead(desk: MassDesk, kind: str, text: str) -> None:
    fields = {
        "RefSeqNum": 1,
        "RefMsgType": kind,
        "BusinessRejectReason": "3",
        "Text": text,
        "BusinessRejectRefID": "L1",
    }
    assert desk.event(CLIENT, m.Unsupported(kind, "L1")) == [Sent(CLIENT, "j", texts(fields))]

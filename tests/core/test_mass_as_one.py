"""A mass cancel that goes to a broker as one request: when it may, what the broker answers (r), after a crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oms.core import messages as m
from oms.core.judge import LiveJudge
from tests.core.desk import er, fill_er, own
from tests.core.driver import BROKER, BROKER2, CLIENT, CLIENT2, Sent
from tests.core.mass_desk import AS_ONE, MassDesk, ids, taken
from tests.core.terms import BROKERS, TERMS

REFUSED = m.MassCancelReport("", "0", "0", None, (), "not today")


@pytest.fixture
def desk() -> Iterator[MassDesk]:
    """Both brokers take OrderMassCancelRequest(q)."""
    desk = MassDesk(AS_ONE)
    yield desk
    desk.replayed()


# -- as one request to the broker --------------------------------------------------------------------------------


def test_a_broker_that_takes_mass_cancels_gets_one_request_and_each_order_is_told(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    report, request = desk.mass_cancel(kind="1", symbol="IBM", side="1")
    assert report == taken(
        desk, "A1", "A2", MassCancelRequestType="1", MassCancelResponse="1", Symbol="IBM", Side="1"
    )
    ours = request.fields.pop("ClOrdID")
    assert request == Sent(
        BROKER, "q", {"MassCancelRequestType": "1", "TransactTime": "now", "Symbol": "IBM", "Side": "1"}
    )
    request.fields["ClOrdID"] = ours
    assert ids(desk.mass_cancel("M2")) == [(CLIENT, "r", "A2")]
    assert desk.answer(request) == []
    assert desk.report("A1", "4", order_id="B-A1") == [er("A1", "4", "4", leaves=0)]
    assert desk.report(ours, "4", orig=desk.to_broker("A2"), order_id="B-A2") == [
        er("A2", "4", "4", leaves=0, order="A2", OrigClOrdID="A2")
    ]
    assert desk.open_items() == []
    assert desk.book.mass_cancels == {}


def test_refused_as_one_request_it_goes_order_by_order(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2", "A3")
    request = desk.mass_cancel()[1]
    desk.report("A2", "4", order_id="B-A2")
    sent = desk.answer(request, response="0", reject_reason="0", text="not today")
    assert ids(sent) == [(BROKER, "F", "to-broker:A1"), (BROKER, "F", "to-broker:A3")]
    assert desk.details[-1]["mass_answer"] == {
        "state": "rejected",
        "reason": "refused as one request, MassCancelRejectReason(532) 0: not today",
        "one_by_one": [desk.order("A1").order_id, desk.order("A3").order_id],
    }
    assert desk.report(sent[0].fields["ClOrdID"], "4", orig="A1") == [er("A1", "4", "4", leaves=0)]
    assert desk.answer(request, response="0") == []
    assert desk.open_items() == ["unknown_request"]


@pytest.mark.parametrize("listed", ["to-broker", "OrderID"])
def test_orders_that_its_report_does_not_list_are_canceled_one_by_one(desk: MassDesk, listed: str) -> None:
    desk.open_orders("A1", "A2", "A3")
    request = desk.mass_cancel()[1]
    named = ("B-A2",) if listed == "OrderID" else (desk.to_broker("A2"),)
    assert ids(desk.answer(request, affected=named, total=1)) == [
        (BROKER, "F", "to-broker:A1"),
        (BROKER, "F", "to-broker:A3"),
    ]
    assert ids(desk.mass_cancel("M2")[1:]) == [(BROKER, "F", "to-broker:A2")]


def test_a_report_that_says_that_no_order_was_affected_leaves_all_to_be_canceled(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    sent = desk.answer(desk.mass_cancel()[1], total=0)
    assert ids(sent) == [(BROKER, "F", "to-broker:A1"), (BROKER, "F", "to-broker:A2")]


def test_a_request_that_did_not_leave_is_held_order_by_order(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    request = desk.mass_cancel()[1]
    desk.logged_out()
    told = desk.event(BROKER, m.NotSent(1, "q", request.fields["ClOrdID"], "BROKER1 is logged out"))
    text = "BROKER1 is logged out: the cancel leaves at its next logon"
    assert told == [own(one, "6", "6", Text=text, order=one) for one in ("A1", "A2")]
    assert ids(desk.up()) == [(BROKER, "F", "to-broker:A1"), (BROKER, "F", "to-broker:A2")]


def test_a_request_whose_message_was_refused_goes_order_by_order(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    request = desk.mass_cancel()[1]
    sent = desk.event(BROKER, m.MessageReject(7, "q", request.fields["ClOrdID"], "unsupported"))
    assert ids(sent) == [(BROKER, "F", "to-broker:A1"), (BROKER, "F", "to-broker:A2")]
    assert desk.open_items() == []


@pytest.mark.parametrize(
    "why", ["another client's order", "another account", "a pending cancel", "not acknowledged", "one order"]
)
def test_it_goes_as_one_request_only_where_that_hits_no_other_order(desk: MassDesk, why: str) -> None:
    desk.open_orders("A1")
    more: dict[str, str] = {}
    if why == "another client's order":
        desk.open_orders("A2")
        desk.new("B1", client=CLIENT2)
    elif why == "another account":
        desk.open_orders("A2")
        desk.new("B1", client=CLIENT2, account="FUND2")
        more = {"account": "FUND1"}
    elif why == "a pending cancel":
        desk.open_orders("A2")
        desk.cancel("C1", "A2")
    elif why == "not acknowledged":
        desk.new("A2")
    sent = desk.mass_cancel(**more)[1:]
    assert "q" not in [one.msg_type for one in sent]
    assert ids(sent)[0] == (BROKER, "F", "to-broker:A1")


def test_brokers_that_take_it_and_brokers_that_do_not_are_asked_in_one_go() -> None:
    brokers = BROKERS | {BROKER2: BROKERS[BROKER2]._replace(mass_cancel=True)}
    desk = MassDesk(TERMS._replace(brokers=brokers))
    desk.open_orders("A1")
    desk.logged_out()
    for one in ("A2", "A3"):
        desk.new(one)
        desk.report(one, "0", broker=BROKER2, order_id=f"B-{one}")
    desk.up()
    sent = desk.mass_cancel()
    assert [(one.session, one.msg_type) for one in sent] == [(CLIENT, "r"), (BROKER, "F"), (BROKER2, "q")]
    assert desk.answer(sent[2]) == []  # BROKER1 has no word in it
    assert desk.open_items() == ["unknown_request"]
    assert ids(desk.answer(sent[2], BROKER2, response="0")) == [
        (BROKER2, "F", "to-broker:A2"),
        (BROKER2, "F", "to-broker:A3"),
    ]
    desk.replayed()


def test_a_report_without_a_client_order_id_is_that_of_the_only_request_open(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    desk.mass_cancel()
    assert len(desk.event(BROKER, REFUSED)) == 2
    assert desk.event(BROKER, REFUSED) == []
    assert desk.open_items() == ["unknown_request"]


def test_a_fill_that_crosses_a_mass_cancel_is_told_as_ever(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    request = desk.mass_cancel()[1]
    assert desk.fill("A1", 100) == [fill_er("A1", "2", 100, cum=100)]
    assert desk.order("A1").finished
    assert ids(desk.answer(request, response="0")) == [(BROKER, "F", "to-broker:A2")]


# -- after a crash -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_one", [True, False])
def test_after_a_crash_no_order_gets_a_second_cancel_and_none_is_forgotten(as_one: bool) -> None:
    before = MassDesk(AS_ONE if as_one else TERMS)
    before.open_orders("A1", "A2", "A3")
    requests = before.mass_cancel()[1:]
    after = before.replayed()
    after._numbers = dict(before._numbers)
    after.core._context.judge = LiveJudge(after.terms, after.book.is_up)
    again = m.MassCancelRequest("M2", "7", "", "", "", None)
    assert ids(after.event(CLIENT, again)) == [(CLIENT, "r", "A3")]
    if as_one:
        sent = after.event(BROKER, REFUSED)
    else:
        sent = [
            one for request in requests for one in after.event(BROKER, m.NotSent(1, "F", our_id(request), "away"))
        ]
        assert [one.fields["ExecType"] for one in sent] == ["6", "6", "6"]
        sent = after.event(BROKER, m.SessionUp(1, 1000))
    assert ids(sent) == [(BROKER, "F", f"to-broker:{one}") for one in ("A1", "A2", "A3")]


def our_id(request: Sent) -> str:
    return request.fields["ClOrdID"]

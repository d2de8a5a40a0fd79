"""OrderMassCancelRequest(q) of a client, order by order: what it means, what is told, what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oms.core import messages as m
from oms.core.judge import LiveJudge
from tests.core.desk import cancel_reject, er, own
from tests.core.driver import BROKER, CLIENT, CLIENT2
from tests.core.mass_desk import MassDesk, ids, refused, taken
from tests.core.terms import TERMS


@pytest.fixture
def desk() -> Iterator[MassDesk]:
    desk = MassDesk()
    yield desk
    desk.replayed()


# -- what a request means ---------------------------------------------------------------------------------------


def test_all_live_orders_of_the_client_are_canceled_one_by_one_under_ids_of_ours(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    sent = desk.mass_cancel()
    report, *requests = sent
    assert report == taken(desk, "A1", "A2")
    assert dict(desk.raw[-3].body) == {"534": "2", "41": "A2", "535": desk.order("A2").order_id}
    assert [pair[1] for pair in desk.raw[-3].body if pair[0] == "41"] == ["A1", "A2"]
    ours = [one.fields.pop("ClOrdID") for one in requests]
    whose = {"Account": "FUND1", "Symbol": "IBM", "Side": "1", "OrderQty": "100", "TransactTime": "now"}
    assert [one.fields for one in requests] == [
        {"OrigClOrdID": "to-broker:A1", "OrderID": "B-A1", **whose},
        {"OrigClOrdID": "to-broker:A2", "OrderID": "B-A2", **whose},
    ]
    assert len(set(ours)) == 2
    assert desk.details[-1]["mass"] == {"orders": 2, "as_one": {}}


def test_a_canceled_order_is_told_under_its_own_id_and_its_request_is_answered(desk: MassDesk) -> None:
    desk.open_orders("A1")
    request = desk.mass_cancel()[1]
    about = request.fields["ClOrdID"]
    assert desk.report(about, "6", orig="A1", order_id="B-A1") == [er("A1", "6", "6")]
    assert desk.report(about, "4", orig="A1", order_id="B-A1") == [er("A1", "4", "4", leaves=0)]
    assert desk.order("A1").finished
    assert desk.open_items() == []


def test_a_refused_cancel_is_told_under_the_id_of_the_mass_cancel(desk: MassDesk) -> None:
    desk.open_orders("A1")
    request = desk.mass_cancel()[1]
    desk.fill("A1", 100)
    assert desk.refuse(request.fields["ClOrdID"], "0", "too late") == [
        cancel_reject("M1", "A1", "2", "0", "too late")
    ]
    assert desk.order("A1").finished


@pytest.mark.parametrize(
    ("more", "meant"),
    [
        ({"kind": "1", "symbol": "IBM"}, ["A1", "A2", "A4"]),
        ({"kind": "1", "symbol": "LOTS"}, ["A3"]),
        ({"kind": "1", "symbol": "UNVALUED"}, []),
        ({"account": "FUND1", "side": "2"}, ["A4"]),
        ({"account": "FUND2"}, []),
    ],
)
def test_symbol_side_and_account_narrow_it(desk: MassDesk, more: dict[str, str], meant: list[str]) -> None:
    desk.open_orders("A1", "A2")
    desk.open_orders("A3", symbol="LOTS")
    desk.open_orders("A4", side="2")
    sent = desk.mass_cancel(**more)
    assert sent[0].fields["TotalAffectedOrders"] == str(len(meant))
    assert ids(sent[1:]) == [(BROKER, "F", f"to-broker:{one}") for one in meant]


def test_orders_of_other_clients_and_finished_ones_are_left_alone(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2", "A3")
    desk.new("A1", client=CLIENT2)
    desk.fill("A2", 100)
    desk.report("A3", "4", order_id="B-A3")
    sent = desk.mass_cancel()
    assert sent[0] == taken(desk, "A1")
    assert ids(sent[1:]) == [(BROKER, "F", "to-broker:A1")]


def test_without_a_live_order_the_request_is_taken_and_means_none(desk: MassDesk) -> None:
    assert desk.mass_cancel() == [taken(desk)]


def test_it_is_never_refused_for_risk() -> None:
    desk = MassDesk()
    desk.open_orders("A1")
    desk.core._context.judge = LiveJudge(TERMS._replace(trading=False), desk.book.is_up)
    assert [one.msg_type for one in desk.mass_cancel()] == ["r", "F"]


def test_an_order_that_its_broker_has_not_acknowledged_is_canceled_too(desk: MassDesk) -> None:
    desk.new("A1")
    sent = desk.mass_cancel()
    assert ids(sent[1:]) == [(BROKER, "F", "to-broker:A1")]
    told = [own("A1", "4", "4", leaves=0, Text="canceled before it left: BROKER1 is logged out")]
    assert desk.not_sent("A1", "D") == told


def test_an_order_whose_cancel_is_under_way_is_counted_and_gets_no_second_one(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    desk.cancel("C1", "A1")
    sent = desk.mass_cancel()
    assert sent[0].fields["TotalAffectedOrders"] == "2"
    assert ids(sent[1:]) == [(BROKER, "F", "to-broker:A2")]
    assert ids(desk.mass_cancel("M2")) == [(CLIENT, "r", "A2")]


def test_cancels_for_a_broker_that_is_away_are_held_and_told_and_leave_at_its_logon(desk: MassDesk) -> None:
    desk.open_orders("A1", "A2")
    desk.logged_out()
    text = "BROKER1 is logged out: the cancel leaves at its next logon"
    told = [own(one, "6", "6", Text=text, order=one) for one in ("A1", "A2")]
    assert desk.mass_cancel() == [taken(desk, "A1", "A2"), *told]
    assert ids(desk.mass_cancel("M2")) == [(CLIENT, "r", "A2")]
    assert ids(desk.up()) == [(BROKER, "F", "to-broker:A1"), (BROKER, "F", "to-broker:A2")]


def test_a_cancel_that_did_not_leave_is_held_like_any_other(desk: MassDesk) -> None:
    desk.open_orders("A1")
    request = desk.mass_cancel()[1]
    told = desk.event(BROKER, m.NotSent(1, "F", request.fields["ClOrdID"], "BROKER1 is logged out"))
    assert told == [own("A1", "6", "6", Text="BROKER1 is logged out: the cancel leaves at its next logon")]
    assert ids(desk.up()) == [(BROKER, "F", "to-broker:A1")]


# -- refused -----------------------------------------------------------------------------------------------------


def test_a_client_order_id_is_used_up_by_it_and_it_takes_none_that_is_used(desk: MassDesk) -> None:
    desk.open_orders("A1")
    desk.mass_cancel("M1")
    text = "ClOrdID(11) M1 was used already on this trading day"
    assert desk.mass_cancel("M1") == [refused(text, "99")]
    assert desk.new("M1")[0].fields["Text"] == text
    text = "ClOrdID(11) A1 was used already on this trading day"
    assert desk.mass_cancel("A1") == [refused(text, "99", ClOrdID="A1")]


def test_ids_made_for_its_parts_give_way_to_those_of_the_client(desk: MassDesk) -> None:
    desk.open_orders("A1")
    taken_already = f"M1/{desk.order('A1').order_id}"
    desk.open_orders(taken_already)
    desk.mass_cancel()
    assert [one.cl_ord_id for one in desk.order("A1").requests] == [f"{taken_already}+"]
    assert desk.refuse(desk.order("A1").requests[0].broker_cl_ord_id, "2") == [cancel_reject("M1", "A1", "0", "2")]


def test_a_request_with_a_problem_is_refused_with_its_reason_and_cancels_nothing(desk: MassDesk) -> None:
    desk.open_orders("A1")
    problem = m.Problem("MassCancelRequestType(530)", "5 is not taken here", "0")
    assert desk.mass_cancel(kind="5", problem=problem) == [
        refused("MassCancelRequestType(530): 5 is not taken here", "0", kind="5")
    ]
    assert ids(desk.mass_cancel()[1:]) == [(BROKER, "F", "to-broker:A1")]

"""The story of an order: decisions in words, the summary, what to look at, time per hop. No database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.cli import story as told
from oms.cli.fix_names import Field, Names
from oms.cli.words import ORD_STATUS, ord_status, side, status_value, time_in_force
from oms.ledger.records import ChildOrder, ClientOrder, ExceptionItem, Fill, JournalEntry, OrderStory, Request, Send

DAY = date(2026, 3, 2)
START = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def order(**values: Any) -> ClientOrder:
    made = ClientOrder(
        "O1", "CLIENT1", "a1", "a1", "FUND1", "", "AAPL", "XNAS", "1", "2", "0", "",
        Decimal(100), Decimal("1.5"), None, Decimal(100), Decimal("1.5"), None,
        Decimal(0), Decimal(100), Decimal(0), Decimal(0), "working", "0", False, None, DAY, START, 1, 1,
    )  # fmt: skip
    return replace(made, **values)


def fill(exec_id: str, shares: int, price: str = "1.5", kind: str = "trade", ref: str = "") -> Fill:
    return Fill(
        f"E{exec_id}", "BROKER1", DAY, exec_id, ref, kind, "O1", "C2", "FUND1", "AAPL", "1", Decimal(shares),
        Decimal(price), START, START, START, 5,
    )  # fmt: skip


def entry(seq: int, kind: str, session: str, msg_type: str, seconds: float, **values: Any) -> JournalEntry:
    made = JournalEntry(
        seq,
        seq,
        kind,
        session,
        msg_type,
        None,
        "O1",
        None,
        None,
        at(seconds),
        DAY,
        b"",
        None,
        at(seconds + 0.001),
        None,
    )
    return replace(made, **values)


def story(
    entries: tuple[JournalEntry, ...] = (), fills: tuple[Fill, ...] = (), one: ClientOrder | None = None, **more: Any
) -> OrderStory:
    entries = entries or (entry(1, "in", "CLIENT1", "D", 0),)
    parts: dict[str, Any] = {"children": (), "requests": (), "items": (), **more}
    return OrderStory(order=one or order(), fills=fills, entries=entries, **parts)


@pytest.mark.parametrize(
    ("detail", "lines"),
    [
        ({}, []),
        ({"verdict": {"ok": True, "broker": "BROKER1"}}, ["verdict: accepted"]),
        ({"verdict": "rejected", "rule": "tick_size"}, ["verdict: rejected by rule tick_size"]),
        (
            {
                "checks": [
                    ["tick_size", True, "tick 0.01"],
                    ["lot_size", False, "7 in lots of 10"],
                    ["known", True, ""],
                ]
            },
            ["rule tick_size: ok, tick 0.01", "rule lot_size: REFUSED, 7 in lots of 10", "rule known: ok"],
        ),
        (
            {"checks": [{"rule": "max_order_qty", "ok": False, "numbers": {"order_qty": "9", "limit": "5"}}]},
            ["rule max_order_qty: REFUSED, order_qty 9, limit 5"],
        ),
        ({"checks": [{"rule": "x", "ok": True}, "odd", 7]}, ["rule x: ok", "rule: odd", "rule: 7"]),
        (
            {"route": {"rule": "us", "broker": "B1", "tried": [["B2", "logged out"], "B3"]}},
            ["route: B2 passed over, logged out", "route: B3 passed over", "route: us to B1"],
        ),
        ({"route": {"rule": "", "broker": ""}}, ["route: no rule matches, no broker takes it"]),
        ({"route": "manual"}, ["route: manual"]),
        ({"transition": ["routed", "accept", "working"]}, ["state: routed to working (accept)"]),
        ({"transition": ["odd"]}, ['state: ["odd"]']),
        ({"ord_status": ["0", "1"]}, ["OrdStatus(39): New (0) to Partially filled (1)"]),
        ({"duplicate": True}, ["duplicate: was seen before, changes nothing"]),
        ({"refused": "too late"}, ["refused: too late"]),
        ({"repeat": "O1"}, ["repeated request of OrderID(37) O1: answered with its state"]),
        ({"broker_up": True}, []),
        ({"broker_up": False}, ["the broker's session was logged out"]),
        ({"items": [["overfill", "110 of 100"]]}, ["exception item overfill: 110 of 100"]),
        ({"dropped": ["453", "447"], "note": "late"}, ['dropped: ["453", "447"]', "note: late"]),
    ],
)
def test_a_decision_is_told_in_words_and_what_is_not_known_as_it_stands(
    detail: dict[str, Any], lines: list[str]
) -> None:
    assert list(told.decisions(detail)) == lines


@pytest.mark.parametrize(
    ("fills", "text"),
    [
        ((), "no fills, no requests"),
        ((fill("1", 60, "1.50"),), "1 fill: 60 at 1.5"),
        (tuple(fill(str(n), 10, f"1.{n}") for n in range(1, 6)), "5 fills: 50 from 1.1 to 1.5"),
        (
            (fill("1", 60), fill("2", 50, kind="correct", ref="1"), fill("3", 50, kind="bust", ref="2")),
            "1 fill: 60 at 1.5; 1 correction; 1 bust",
        ),
    ],
)
def test_what_happened_is_told_by_fill_or_in_sum(fills: tuple[Fill, ...], text: str) -> None:
    assert dict(told.summary(story(fills=fills)))["happened"] == text


@pytest.mark.parametrize(
    ("fills", "shares"),
    [
        ((), Decimal(0)),
        ((fill("1", 60), fill("2", 40)), Decimal(100)),
        ((fill("1", 60), fill("2", 50, kind="correct", ref="1")), Decimal(50)),
        ((fill("1", 60), fill("2", 50, kind="correct", ref="1"), fill("3", 50, kind="bust", ref="2")), Decimal(0)),
        ((fill("1", 60), fill("3", 60, kind="bust", ref="9")), None),
    ],
)
def test_fills_add_up_net_of_corrections_and_busts(fills: tuple[Fill, ...], shares: Decimal | None) -> None:
    assert told.net_filled(fills) == shares


def test_an_order_with_nothing_wrong_has_nothing_to_look_at() -> None:
    done = order(cum_qty=Decimal(60), leaves_qty=Decimal(40))
    assert told.to_look_at(story(fills=(fill("1", 60),), one=done)) == []


def test_fills_that_do_not_add_up_are_something_to_look_at() -> None:
    assert told.to_look_at(story(fills=(fill("1", 60),))) == ["the fills add up to 60, CumQty(14) is 0"]


def test_what_did_not_leave_and_what_was_not_answered_is_something_to_look_at() -> None:
    refused = Send(2, "BROKER1", "refused", None, at(0.01), "session logged out")
    item = ExceptionItem(
        "X1", at(1), "overfill", "error", "operations", "BROKER1", "O1", 2, "110 of 100", "open", None, None
    )
    request = Request(3, "CLIENT1", DAY, "a2", "a1", "O1", "G", "C3", "pending", Decimal(50), Decimal("1.4"), None)
    entries = (
        entry(1, "in", "CLIENT1", "D", 0),
        entry(2, "out", "BROKER1", "D", 0, cause=1, send=refused),
        entry(4, "out", "BROKER1", "G", 1, cause=3),
    )
    found = told.to_look_at(story(entries, one=order(life="routed"), items=(item,), requests=(request,)))
    assert found == [
        "error overfill since 13:00:01.000: 110 of 100 (X1)",
        "row 2, D to BROKER1, did not leave: session logged out",
        "row 4, G to BROKER1, has not left",
        "the broker has not answered the order",
        "replace a2 to OrderQty(38) 50 at 1.4 pending: no answer yet",
    ]


def test_an_order_whose_fate_is_not_known_is_something_to_look_at() -> None:
    assert told.to_look_at(story(one=order(life="unknown"))) == ["what the broker holds of it is not known"]


def test_a_message_that_was_slow_within_the_gateway_is_something_to_look_at() -> None:
    sent = Send(2, "BROKER1", "sent", 7, at(2.5), None)
    entries = (entry(1, "in", "CLIENT1", "D", 0), entry(2, "out", "BROKER1", "D", 0, cause=1, send=sent))
    assert told.to_look_at(story(entries)) == [
        "gateway, CLIENT1 to BROKER1: committed to sent took 2.5 s",
        "gateway, CLIENT1 to BROKER1: in all took 2.5 s",
    ]


def test_a_message_that_waited_for_a_brokers_limit_says_for_how_long() -> None:
    sent = Send(2, "BROKER1", "sent", 7, at(2.5), "waited 2.500 s for its turn, at 5 messages a second")
    (line,) = told._timing(entry(2, "out", "BROKER1", "D", 0, send=sent), None)
    assert line.endswith("; waited 2.500 s for its turn, at 5 messages a second")


def test_each_child_order_is_told_with_what_became_of_it() -> None:
    def child(child_id: str, broker: str, sent_seq: int) -> ChildOrder:
        return ChildOrder(
            child_id,
            "O1",
            broker,
            child_id,
            "",
            "us",
            Decimal(100),
            None,
            None,
            Decimal(0),
            "routed",
            False,
            sent_seq,
            1,
        )

    entries = (
        entry(1, "in", "CLIENT1", "D", 0),
        entry(2, "out", "BROKER1", "D", 0, send=Send(2, "BROKER1", "refused", None, at(1), "logged out")),
        entry(3, "out", "BROKER2", "D", 0, send=Send(3, "BROKER2", "sent", 9, at(2), None)),
        entry(4, "out", "BROKER3", "D", 0),
    )
    children = (child("C2", "BROKER1", 2), child("C3", "BROKER2", 3), child("C4", "BROKER3", 4))
    assert dict(told.summary(story(entries, children=children)))["went"] == (
        "BROKER1 by route us as ClOrdID(11) C2, did not leave (logged out); "
        "BROKER2 by route us as ClOrdID(11) C3, sent 13:00:02.000; "
        "BROKER3 by route us as ClOrdID(11) C4, has not left"
    )


def test_a_broker_is_timed_until_its_first_answer_to_the_same_cl_ord_id() -> None:
    sent = Send(2, "BROKER1", "sent", 7, at(0.003), None)
    entries = (
        entry(1, "in", "CLIENT1", "D", 0),
        entry(2, "out", "BROKER1", "D", 0, cause=1, send=sent, raw=b"35=D\x0111=C2\x01"),
        entry(3, "in", "BROKER1", "8", 0.5, raw=b"35=8\x0111=OTHER\x01"),
        entry(4, "in", "BROKER1", "8", 0.703, raw=b"35=8\x0111=C2\x01"),
        entry(5, "in", "BROKER1", "8", 0.9, raw=b"35=8\x0111=C2\x01"),
    )
    assert told.hops(story(entries)) == [
        told.Hop("gateway, CLIENT1 to BROKER1: received to committed", 1, 0.001, 0.001),
        told.Hop("gateway, CLIENT1 to BROKER1: committed to sent", 1, 0.002, 0.002),
        told.Hop("gateway, CLIENT1 to BROKER1: in all", 1, 0.003, 0.003),
        told.Hop("BROKER1: until its first answer", 1, 0.7, 0.7),
    ]


def test_fields_are_named_by_the_dictionary_and_unknown_ones_by_number() -> None:
    names = Names({"54": "Side"}, {("54", "1"): "Buy"}, {"D": "NewOrderSingle"})
    found = names.fields("54=1\x015001=a=b\x01garbage\x01")
    assert found == [
        Field("54", "Side", "1", "Buy"), Field("5001", "", "a=b", ""), Field("", "", "garbage", ""),
    ]  # fmt: skip
    assert [field.label for field in found] == ["Side(54)", "(5001)", "()"]
    assert (names.message("D"), names.message("U1")) == ("NewOrderSingle(D)", "(U1)")


def test_values_are_told_in_words_with_the_value() -> None:
    assert [ord_status("1"), ord_status("Z"), side("2"), time_in_force(""), time_in_force("1")] == [
        "Partially filled (1)", "(Z)", "Sell (2)", "Day", "Good till cancel (1)",
    ]  # fmt: skip


@pytest.mark.parametrize("value", ORD_STATUS)
def test_a_status_is_understood_as_word_and_as_value(value: str) -> None:
    word = ORD_STATUS[value]
    assert {status_value(text) for text in (value, value.lower(), word, word.lower().replace(" ", "-"))} == {value}

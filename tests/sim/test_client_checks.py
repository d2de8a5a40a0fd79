"""The client notices each thing that must not be in the reports it gets, and does not cry wolf."""

from __future__ import annotations

import pytest

from oms.sim.checks import Statement
from oms.sim.wire import Message, wired
from tests.sim.talk import VERSIONS, Talk, cancel, order, replace, rule


def report(cl_ord_id: str = "X", **changes: str) -> Message:
    """A good part fill of 40 of 100 at 10, with changes by t-number."""
    tags = {"35": "8", "11": cl_ord_id, "37": "O1", "17": "E1", "150": "F", "39": "1", "38": "100"}
    tags |= {"32": "40", "31": "10", "14": "40", "151": "60", "6": "10"}
    tags |= {name[1:]: value for name, value in changes.items()}
    return Message(wired("|".join(f"{tag}={value}" for tag, value in tags.items() if value)))


@pytest.fixture
def statement() -> Statement:
    """A statement with one order X for 100."""
    made = Statement()
    made.sent(Message(wired(order())))
    return made


def first_words(problems: list[str]) -> list[str]:
    return [problem.partition(": ")[0] for problem in problems]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_that_follows_the_standard_is_never_blamed(version: str) -> None:
    steps = (
        "accept",
        "{do='part_fill', qty=10, px=10.1}",
        "pending_replace",
        "{do='part_fill', qty=7, px=9.9}",
        "replace",
    )
    rules = rule(
        *steps, "bust", "{do='correct', nth=1, px=10.3}", "pending_cancel", "{do='part_fill', qty=3}", "cancel"
    )
    talk, made = Talk(rules, version), Statement()
    for text in (order(), replace("Y", "X", 120), cancel("Z", "Y")):
        made.sent(Message(wired(text)))
        talk.say(text)
    assert len(talk.out) == 10
    assert [problem for message in talk.out for problem in made.received(message)] == []
    known = made.orders["X"]
    assert (known.ids, known.ord_status, known.finished) == (["X", "Y"], "4", True)
    assert [(str(fill.qty), str(fill.px)) for fill in known.fills.values()] == [
        ("10", "10.3"),
        ("0", "9.9"),
        ("3", "10"),
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"t151": "59"}, "CumQty(14) 40 + LeavesQty(151) 59 is not OrderQty(38) 100"),
        ({"t14": "41", "t151": "59"}, "CumQty(14) 41, but the fills told are 40"),
        ({"t6": "10.01"}, "AvgPx(6) 10.01, but the fills told give 10"),
        (
            {"t150": "H", "t19": "E0", "t14": "0", "t151": "100", "t6": "0"},
            "ExecRefID(19) E0 names no execution",
        ),
        ({"t11": "W"}, "unknown ClOrdID(11) W"),
        ({"t35": "AB"}, "MsgType(35) AB was not expected"),
    ],
)
def test_a_wrong_report_is_found(statement: Statement, changes: dict[str, str], problem: str) -> None:
    found = first_words(statement.received(report(**changes)))
    assert [words[: len(problem)] for words in found] == [problem]


def test_an_exec_id_told_twice_is_found_unless_it_is_marked_as_possibly_so(statement: Statement) -> None:
    assert statement.received(report()) == []
    assert first_words(statement.received(report())) == ["ExecID(17) E1 was told before"]
    assert statement.received(report(t97="Y")) + statement.received(report(t43="Y")) == []
    assert (statement.repeats, statement.orders["X"].filled_qty) == (2, 40)


def test_another_order_id_is_found(statement: Statement) -> None:
    statement.received(report())
    second = report(t17="E2", t37="O2", t14="80", t151="20")
    assert first_words(statement.received(second)) == ["OrderID(37) was O1 before"]


def test_an_order_that_had_to_be_refused_and_was_not_is_found_once() -> None:
    made = Statement()
    made.sent(Message(wired(order())), expect_reject=True)
    assert first_words(made.received(report())) == ["the order had to be refused"]
    assert made.received(report(t17="E2", t14="80", t151="20")) == []


def test_a_cancel_reject_for_no_open_request_is_found(statement: Statement) -> None:
    reject = Message(wired("35=9|11=Y|41=X|37=O1|39=1|434=1|102=0"))
    assert first_words(statement.received(reject)) == ["OrderCancelReject(9) for a request that is not open"]


def test_a_status_reply_that_overtakes_a_fill_is_not_blamed_but_the_order_is_not_finished(
    statement: Statement,
) -> None:
    reply = report(t150="I", t17="0", t39="2", t14="100", t151="0", t32="", t31="")
    assert statement.received(reply) == []
    assert not statement.orders["X"].finished
    assert statement.received(report(t39="2", t32="100", t14="100", t151="0")) == []
    assert statement.orders["X"].finished


def test_an_order_that_filled_while_its_cancel_was_pending_is_finished_by_the_cancel_reject(
    statement: Statement,
) -> None:
    statement.sent(Message(wired(cancel("Y", "X"))))
    statement.received(report(t39="6", t32="100", t14="100", t151="0"))
    assert not statement.orders["X"].finished
    statement.received(Message(wired("35=9|11=Y|41=X|37=O1|39=2|434=1|102=0")))
    assert statement.orders["X"].finished


def test_an_order_rejected_while_its_cancel_is_pending_is_finished_by_the_cancel_reject(statement: Statement) -> None:
    statement.sent(Message(wired(cancel("Y", "X"))))
    rejected = report(t150="8", t39="6", t14="0", t151="0", t6="0", t32="", t31="")
    assert statement.received(rejected) == []
    statement.received(Message(wired("35=9|11=Y|41=X|37=O1|39=8|434=1|102=0")))
    assert (statement.orders["X"].ord_status, statement.orders["X"].finished) == ("8", True)


def test_a_business_reject_ends_the_order_or_the_request_it_names(statement: Statement) -> None:
    assert statement.received(Message(wired("35=j|372=D|379=X|380=3|58=no"))) == []
    known = statement.orders["X"]
    assert (known.ord_status, known.reject_reason, known.text, known.finished) == ("8", "3", "no", True)

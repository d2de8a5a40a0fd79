"""Messages of which nobody knows whether they left: what adds risk is asked for, the rest is told again (I2, I5)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oms.core.doubt import poss_resend
from oms.core.messages import InDoubt, Outgoing
from tests.core.desk import Desk, er, own
from tests.core.driver import BROKER, CLIENT
from tests.core.test_cancel_new import CANCEL_NEW, cancel_id

LOST = "is not known: the message store was lost; it is not sent again"


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Whatever a test does, the journal replayed gives the same."""
    made = Desk()
    yield made
    assert made.replayed().book.next_seq == made.book.next_seq


def doubt(desk: Desk, cl_ord_id: str, msg_type: str) -> list[Outgoing]:
    """A request to BROKER1 is in doubt; what leaves."""
    text = f"35={msg_type}\x0111={cl_ord_id}\x0155=IBM\x01"
    desk.event(BROKER, InDoubt(7, msg_type, cl_ord_id, "", text))
    return desk.fx.outgoing


def raised(desk: Desk) -> list[tuple[str, str, str]]:
    """Kind, severity and text of the items that the last event opened."""
    return [(item.kind, item.severity, item.text) for item in desk.fx.items.values()]


def test_an_order_is_unknown_and_raised_and_neither_sent_nor_rejected(desk: Desk) -> None:
    desk.new("A1")
    assert doubt(desk, desk.to_broker("A1"), "D") == []
    assert desk.state("A1")[0] == desk.order("A1").children[0].life == "unknown"
    assert raised(desk) == [("unknown_outcome", "error", f"whether the order left for BROKER1 {LOST}")]


@pytest.mark.parametrize(("answer", "told"), [("0", "0"), ("8", "8")])
def test_the_brokers_word_decides_about_an_order_in_doubt(desk: Desk, answer: str, told: str) -> None:
    desk.new("A1")
    doubt(desk, desk.to_broker("A1"), "D")
    (sent,) = desk.report("A1", answer, text="no credit" if answer == "8" else "")
    assert (sent.fields["ClOrdID"], sent.fields["OrdStatus"]) == ("A1", told)
    assert desk.open_items() == []


def test_a_broker_that_does_not_know_the_order_has_it_rejected(desk: Desk) -> None:
    desk.new("A1")
    doubt(desk, desk.to_broker("A1"), "D")
    sent = desk.report("A1", "I", ord_status="8", order_id="NONE", exec_id="0", text="no such order")
    assert sent == [own("A1", "8", "8", leaves=0, OrdRejReason="0", Text="no such order")]
    assert desk.open_items() == []


def test_an_order_that_its_broker_has_answered_is_in_no_doubt(desk: Desk) -> None:
    desk.working("A1")
    assert doubt(desk, desk.to_broker("A1"), "D") == []
    assert desk.state("A1")[0] == "working"
    desk.new("A2")
    desk.report("A2", "A")
    assert doubt(desk, desk.to_broker("A2"), "D") == []
    assert desk.state("A2")[0] == "pending_new"
    assert desk.open_items() == []


def test_an_order_that_another_broker_has_by_now_is_in_no_doubt(desk: Desk) -> None:
    desk.new("A1")
    first = desk.to_broker("A1")
    desk.not_sent("A1", "D")
    assert doubt(desk, first, "D") == []
    assert desk.state("A1")[0] == "routed"


def test_a_replace_stays_open_and_is_raised_until_the_broker_answers(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 120)
    assert doubt(desk, desk.to_broker("R1"), "G") == []
    assert desk.state("A1") == ("working", "100", "0", [("R1", "sent")])
    assert raised(desk) == [("unanswered", "error", f"whether the replace left for BROKER1 {LOST}")]
    assert desk.fill("A1", 10) != []
    assert desk.open_items() == ["unanswered"]
    assert desk.report("R1", "5", orig="A1", order_qty=120) != []
    assert desk.open_items() == []


def test_a_replace_that_its_broker_has_answered_is_in_no_doubt(desk: Desk) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", 120)
    desk.report("R1", "E", orig="A1")
    assert doubt(desk, desk.to_broker("R1"), "G") == []
    desk.report("R1", "5", orig="A1", order_qty=120)
    assert doubt(desk, desk.to_broker("R1"), "G") == []
    assert desk.open_items() == []


def test_the_cancel_that_makes_room_for_a_replace_is_not_sent_again_while_the_order_is_at_work() -> None:
    desk = Desk(CANCEL_NEW)
    desk.working("A1")
    desk.replace("R1", "A1", 120)
    cancel = cancel_id(desk)
    assert doubt(desk, cancel, "F") == []
    assert raised(desk) == [
        ("unknown_outcome", "error", f"whether the cancel that makes room for a replace left for BROKER1 {LOST}")
    ]
    (new,) = [one for one in desk.report(cancel, "4") if one.msg_type == "D"]
    assert desk.open_items() == []
    assert doubt(desk, cancel, "F") == []
    assert desk.open_items() == []
    assert doubt(desk, desk.to_broker("R1"), "D") == []
    assert [child.life for child in desk.order("A1").children] == ["canceled", "unknown"]
    assert (new.session, desk.open_items()) == (BROKER, ["unknown_outcome"])
    assert desk.report("R1", "0", order_id="B-2")[0].fields["ExecType"] == "5"
    assert desk.open_items() == []
    desk.replayed()


@pytest.mark.parametrize("msg_type", ["F", "H", "q", "Q"])
def test_what_adds_no_risk_leaves_again_marked(desk: Desk, msg_type: str) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    about = desk.to_broker("C1")
    (again,) = doubt(desk, about, msg_type)
    assert (again.session, again.msg_type) == (BROKER, msg_type)
    assert again.text == f"35={msg_type}\x0197=Y\x0111={about}\x0155=IBM\x01"
    assert desk.open_items() == []


def test_a_report_is_told_again_word_for_word_and_marked(desk: Desk) -> None:
    desk.working("A1")
    text = "35=8\x0137=O1\x0117=E1\x0158=D\xfcsseldorf\x01"
    desk.event(CLIENT, InDoubt(7, "8", "", desk.order("A1").order_id, text))
    (again,) = desk.fx.outgoing
    assert again == Outgoing(
        again.seq,
        CLIENT,
        "8",
        desk.order("A1").order_id,
        {},
        text="35=8\x0197=Y\x0137=O1\x0117=E1\x0158=D\xfcsseldorf\x01",
    )
    assert desk.fill("A1", 10) == [er("A1", "F", "1", cum=10, LastQty=10, LastPx=10)]


def test_what_is_marked_already_is_not_marked_twice() -> None:
    once = poss_resend("35=8\x0117=E1\x01")
    assert poss_resend(once) == once == "35=8\x0197=Y\x0117=E1\x01"
    assert poss_resend("") == ""


def test_a_question_about_all_orders_is_not_put_again_because_a_new_one_follows(desk: Desk) -> None:
    assert doubt(desk, "", "AF") == []


def test_what_nobody_knows_changes_nothing(desk: Desk) -> None:
    assert doubt(desk, "C000000999", "D") == []
    assert doubt(desk, "C000000999", "G") == []
    assert desk.open_items() == []

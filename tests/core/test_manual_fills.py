"""Fills that people enter: they move the order, tell the client once, and are never booked a second time.

`I3` and `I4` of the design. Every test ends with a replay of the same events, and with the book made again from rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from oms.core.messages import Command, ResendDeclined
from tests.core.desk import Desk, er, fill_er
from tests.core.driver import BROKER, CLIENT, DAY, Sent
from tests.core.rebuilt import restart

BY_HAND = "entered by hand"


class Hands(Desk):
    """A desk with an operator, ann, who enters things about order A1."""

    def enter(self, verb: str, **args: object) -> list[Sent]:
        order_id = args.pop(
            "order_id", self.order("A1").order_id if (CLIENT, "A1") in self.book.by_client_id.named else ""
        )
        given = {"order_id": order_id, "text": "told by telephone"} | args
        return self.event("", Command("ann", verb, tuple((name, str(value)) for name, value in given.items())))

    def add(self, qty: object, px: object = 10, exec_id: str = "f1", **more: object) -> list[Sent]:
        return self.enter("fills.add", exec_id=exec_id, qty=qty, px=px, **({"trade_date": DAY} | more))

    @property
    def refused(self) -> Any:
        return self.details[-1].get("refused")


def by_hand(sent: Sent) -> Sent:
    """A report that says so, at the gateway's own time."""
    return sent._replace(fields=sent.fields | {"Text": BY_HAND, "TransactTime": "now"})


@pytest.fixture
def hands() -> Iterator[Hands]:
    made = Hands()
    made.working("A1")
    yield made
    made.replayed()
    restart(made)


def test_a_fill_entered_by_hand_moves_the_order_is_told_once_and_says_who_and_why(hands: Hands) -> None:
    assert hands.add(40, "10.5") == [by_hand(fill_er("A1", "1", 40, "10.5", cum=40, avg="10.5"))]
    order = hands.order("A1")
    assert hands.outcome == ([("trade", "f1", "40", "10.5", "order:A1")], [])
    assert hands.state("A1") == ("working", "100", "40", [])
    (fill,) = hands.fills
    assert (fill.origin, fill.broker, fill.seq) == ("manual", BROKER, hands.events[-1][0])
    assert hands.details[-1]["manual"] == {
        "verb": "fills.add", "child_id": order.children[0].child_id, "exec_id": "f1", "ref": "",
        "reason": "told by telephone", "silent": False, "operator": "ann",
    }  # fmt: skip
    assert hands.fx.answer == {
        "journal_seq": hands.events[-1][0], "order_id": order.order_id, "exec_id": "f1",
        "client_exec_id": fill.client_exec_id, "told": CLIENT, "cum_qty": "40", "leaves_qty": "60", "avg_px": "10.5",
    }  # fmt: skip


def test_the_rest_entered_by_hand_fills_the_order_and_a_bust_by_hand_reopens_it(hands: Hands) -> None:
    hands.fill("A1", 60, exec_id="f0")
    assert hands.add(40) == [by_hand(fill_er("A1", "2", 40, cum=100))]
    assert hands.order("A1").finished
    told = by_hand(er("A1", "H", "1", cum=60, ExecRefID="f1"))
    assert hands.enter("fills.bust", ref="f1", exec_id="x1") == [told]
    assert hands.outcome.fills == [("bust", "x1", "0", "0", "order:A1")]
    assert not hands.order("A1").finished


def test_a_correction_by_hand_of_the_brokers_fill_counts_its_new_figures(hands: Hands) -> None:
    hands.fill("A1", 60, 10, exec_id="f0")
    told = by_hand(er("A1", "G", "1", cum=50, avg="10.1", LastQty=50, LastPx="10.1", ExecRefID="f0"))
    assert hands.enter("fills.correct", ref="f0", qty=50, px="10.1") == [told]
    assert hands.fills[-1].exec_id.startswith("M")  # an id of ours where the broker has given none
    assert [one.origin for one in hands.fills] == ["broker", "manual"]


def test_a_silent_one_moves_the_order_and_tells_nobody(hands: Hands) -> None:
    assert hands.add(40, silent="Y") == []
    assert hands.state("A1")[2] == "40"
    assert hands.fill("A1", 10, exec_id="f2", cum_qty=50) == [fill_er("A1", "1", 10, cum=50)]
    assert hands.open_items() == []


@pytest.mark.parametrize(("qty", "px", "severity"), [(40, 10, "warning"), (30, 10, "error"), (40, 11, "error")])
def test_the_brokers_own_report_of_it_is_not_booked_again_but_raised_and_linked(
    hands: Hands, qty: int, px: int, severity: str
) -> None:
    hands.add(40)
    entered = hands.fills[-1].client_exec_id
    assert hands.fill("A1", qty, px, exec_id="f1", cum_qty=40) == []
    assert hands.outcome == ([], [("manual_fill_reported", "open")])
    assert (hands.items[-1].severity, entered in hands.items[-1].text) == (severity, True)
    assert hands.details[-1]["manual_fill"] == entered
    assert hands.state("A1")[2] == "40"
    hands.fill("A1", qty, px, exec_id="f1", cum_qty=40)  # and again, as after a resend
    assert hands.outcome == ([], [])


def test_it_is_found_under_another_trade_date_too(hands: Hands) -> None:
    hands.add(40)
    hands.tick(1)
    assert hands.fill("A1", 40, exec_id="f1", cum_qty=40, trade_date=hands.day) == []
    assert hands.open_items() == ["manual_fill_reported"]


def test_an_execution_that_an_operator_linked_is_not_booked_again_and_can_be_busted_under_its_own_id(
    hands: Hands,
) -> None:
    hands.add(40, exec_id="by-phone-1")
    assert hands.enter("fills.link", ref="by-phone-1", exec_id="f7") == []
    assert hands.fill("A1", 40, exec_id="f7", cum_qty=40) == []
    assert hands.open_items() == ["manual_fill_reported"]
    assert hands.state("A1")[2] == "40"
    told = er("A1", "H", "0", cum=0, LastQty=0, LastPx=0, ExecRefID="by-phone-1")
    assert hands.bust("A1", "f7", cum_qty=0, exec_id="b1") == [told]
    assert hands.state("A1")[2] == "0"


def test_what_waited_for_the_execution_is_applied_and_told_when_it_is_entered(hands: Hands) -> None:
    hands.correct("A1", "f1", 30, 10, exec_id="g1", cum_qty=30)
    assert hands.open_items() == ["unknown_execution"]
    corrected = er("A1", "G", "1", cum=30, LastQty=30, LastPx=10, ExecRefID="f1", TransactTime="now")
    assert hands.add(40) == [by_hand(fill_er("A1", "1", 40, cum=40)), corrected]
    assert hands.open_items() == []
    assert hands.add(40, exec_id="f1") == []
    assert hands.refused.startswith("ExecID(17) f1 of BROKER1 is booked already")


def test_more_than_ordered_is_entered_and_raised(hands: Hands) -> None:
    hands.add(140)
    assert (hands.state("A1")[2], hands.open_items()) == ("140", ["overfill"])


def test_an_order_of_unknown_outcome_works_once_a_fill_of_it_is_entered() -> None:
    hands = Hands()
    hands.new("A1")
    hands.event(BROKER, ResendDeclined(hands.to_broker("A1")))
    assert hands.open_items() == ["unknown_outcome"]
    hands.add(40)
    assert (hands.state("A1")[0], hands.open_items()) == ("working", [])
    hands.replayed()


REFUSALS = [
    ({"verb": "fills.add", "order_id": "O9", "exec_id": "f1", "qty": 1, "px": 1, "trade_date": DAY},
     "there is no order O9; `oms orders list` shows them"),
    ({"verb": "fills.add", "child_id": "C9", "exec_id": "f1", "qty": 1, "px": 1, "trade_date": DAY},
     "never went to a broker C9"),
    ({"verb": "fills.add", "exec_id": "f0", "qty": 1, "px": 1, "trade_date": DAY},
     "ExecID(17) f0 of BROKER1 is booked already for"),
    ({"verb": "fills.correct", "ref": "f9", "qty": 1, "px": 1}, "no execution with ExecID(17) f9"),
    ({"verb": "fills.correct", "ref": "f0", "qty": 60, "px": 10}, "f0 has that quantity and price already"),
    ({"verb": "fills.bust", "ref": "f8"}, "with ExecID(17) f8 was busted: enter a new one with `oms fills add`"),
    ({"verb": "fills.link", "ref": "f0", "exec_id": "f7"}, "no fill was entered by hand under ExecID(17) f0"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "words"), REFUSALS, ids=[str(number) for number in range(len(REFUSALS))])
def test_what_cannot_be_entered_is_refused_with_a_reason_recorded_and_changes_nothing(
    hands: Hands, given: dict[str, object], words: str
) -> None:
    hands.fill("A1", 60, exec_id="f0")
    hands.fill("A1", 10, exec_id="f8")
    hands.bust("A1", "f8", exec_id="b8")
    args = dict(given)
    assert hands.enter(str(args.pop("verb")), **args) == []
    assert words in hands.refused
    assert hands.fx.answer == {"journal_seq": hands.events[-1][0], "refused": hands.refused}
    assert (hands.outcome, hands.state("A1")[2]) == (([], []), "60")

"""What no message will settle, operators do: by the table, told to the client, without inventing a fill.

Every test ends with a replay of the same events, and with the book made again from rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from oms.core.messages import Command, InDoubt, ResendDeclined
from oms.core.settle import WORDS
from tests.core.desk import Desk, er, fill_er
from tests.core.driver import BROKER, CLIENT, Sent
from tests.core.rebuilt import restart
from tests.core.rounds_desk import terms_with


class Settling(Desk):
    """A desk with an operator, ann, who settles order A1."""

    def settle(self, word: str, order_id: str = "") -> list[Sent]:
        given = {"order_id": order_id or self.order("A1").order_id, "as": word, "text": "told by telephone"}
        return self.event("", Command("ann", "orders.settle", tuple(given.items())))

    def refused(self, word: str, order_id: str = "") -> Any:
        """Why it was refused; nothing has happened then."""
        before = (self.book.orders.get(self.order("A1").order_id), self.items[:])
        assert self.settle(word, order_id) == []
        assert (self.book.orders.get(self.order("A1").order_id), self.items) == before
        return self.fx.answer["refused"] if self.fx.answer else None


@pytest.fixture
def desk() -> Iterator[Settling]:
    made = Settling()
    yield made
    made.replayed()
    restart(made)


def settled(sent: Sent, word: str) -> Sent:
    """A report that says so, at the gateway's own time."""
    return sent._replace(fields=sent.fields | {"Text": f"settled by an operator as {word}", "TransactTime": "now"})


@pytest.mark.parametrize(("word", "exec_type"), [("canceled", "4"), ("expired", "C")])
def test_an_order_that_the_broker_ended_without_a_report_ends_and_its_client_is_told(
    desk: Settling, word: str, exec_type: str
) -> None:
    desk.working("A1")
    desk.fill("A1", 40)
    assert desk.settle(word) == [settled(er("A1", exec_type, exec_type, cum=40, leaves=0, avg=10), word)]
    assert desk.state("A1") == (word, "100", "40", [])
    assert desk.outcome == ([], [])  # no fill is made of it
    child_id = desk.order("A1").children[0].child_id
    assert desk.details[-1]["settled"] == {
        "as": word, "child_id": child_id, "reason": "told by telephone", "operator": "ann",
    }  # fmt: skip
    assert desk.fx.answer == {
        "journal_seq": desk.events[-1][0], "order_id": desk.order("A1").order_id, "as": word, "told": CLIENT,
        "life": word, "order_qty": "100", "cum_qty": "40", "leaves_qty": "0",
    }  # fmt: skip


def test_an_order_in_doubt_is_settled_as_rejected_or_as_working_and_its_item_closes(desk: Settling) -> None:
    desk.new("A1")
    desk.event(BROKER, ResendDeclined(desk.to_broker("A1")))
    assert desk.open_items() == ["unknown_outcome"]
    told = settled(er("A1", "8", "8", leaves=0, OrdRejReason=0), "rejected")
    assert desk.settle("rejected") == [told]
    assert (desk.state("A1")[0], desk.open_items()) == ("rejected", [])
    assert desk.items[-1].resolution == "settled as rejected by ann: told by telephone"


def test_an_order_that_the_broker_confirms_by_telephone_works_and_trades_on(desk: Settling) -> None:
    desk.new("A1")
    desk.event(BROKER, ResendDeclined(desk.to_broker("A1")))
    assert desk.settle("working") == [settled(er("A1", "0", "0"), "working")]
    assert (desk.state("A1")[0], desk.open_items()) == ("working", [])
    assert desk.fill("A1", 100) == [fill_er("A1", "2", 100, cum=100)]


def test_a_cancel_that_is_open_is_answered_by_the_end_and_an_open_replace_refused(desk: Settling) -> None:
    desk.working("A1")
    desk.replace("R1", "A1", qty=150)
    desk.cancel("C1", "A1")
    rejected, canceled = desk.settle("canceled")
    assert (rejected.msg_type, rejected.fields["ClOrdID"], rejected.fields["Text"]) == (
        "9", "R1", "settled by an operator as canceled",
    )  # fmt: skip
    assert canceled == settled(er("A1", "4", "4", leaves=0, ClOrdID="C1", OrigClOrdID="A1"), "canceled")
    assert desk.state("A1") == ("canceled", "100", "0", [("R1", "rejected"), ("C1", "accepted")])


def test_an_order_that_expired_refuses_its_open_cancel(desk: Settling) -> None:
    desk.working("A1")
    desk.cancel("C1", "A1")
    refused, expired = desk.settle("expired")
    assert (refused.msg_type, refused.fields["CxlRejReason"]) == ("9", "0")
    assert expired == settled(er("A1", "C", "C", leaves=0), "expired")


def test_a_replace_in_doubt_is_settled_as_done_with_the_terms_that_were_asked_for(desk: Settling) -> None:
    desk.working("A1")
    desk.fill("A1", 40)
    desk.replace("R1", "A1", qty=150, px=11)
    desk.event(BROKER, InDoubt(1, "G", desk.to_broker("R1"), desk.order("A1").order_id))
    assert desk.open_items() == ["unanswered"]
    told = er("R1", "5", "1", qty=150, cum=40, leaves=110, avg=10, OrigClOrdID="A1", Price=11)
    assert desk.settle("replaced") == [settled(told, "replaced")]
    assert desk.state("A1") == ("working", "150", "40", [("R1", "accepted")])
    assert desk.open_items() == []
    (asked,) = desk.cancel("C2", "R1")
    assert asked.fields["OrigClOrdID"] == "to-broker:R1"  # the broker knows it by that id now


@pytest.mark.parametrize(("word", "name"), [("replace-rejected", "R1"), ("cancel-rejected", "C1")])
def test_a_request_that_the_broker_never_took_is_refused_and_the_order_is_as_it_was(
    desk: Settling, word: str, name: str
) -> None:
    desk.working("A1")
    if name == "R1":
        desk.replace("R1", "A1", qty=150)
    else:
        desk.cancel("C1", "A1")
    (told,) = desk.settle(word)
    assert (told.msg_type, told.fields["ClOrdID"], told.fields["OrdStatus"], told.fields["Text"]) == (
        "9", name, "0", f"settled by an operator as {word}",
    )  # fmt: skip
    assert desk.state("A1") == ("working", "100", "0", [(name, "rejected")])


def test_a_fill_after_it_was_settled_is_booked_told_and_put_before_a_person(desk: Settling) -> None:
    desk.working("A1")
    desk.settle("canceled")
    desk.fill("A1", 40)
    assert (desk.state("A1")[2], desk.open_items()) == ("40", ["fill_after_end"])
    assert len(desk.fills) == 1


def test_what_does_not_follow_from_the_state_is_refused_with_the_remedy(desk: Settling) -> None:
    desk.working("A1")
    name = desk.order("A1").order_id
    assert desk.refused("gone") == (
        "gone is no way to settle an order; there are canceled, expired, rejected, working, replaced,"
        " replace-rejected, cancel-rejected"
    )
    assert desk.refused("canceled", "O9") == "there is no order O9; `oms orders list --live` shows those alive"
    no_news = f"{name} is working: that it works is no news. `oms orders show {name}` shows it"
    assert desk.refused("working") == no_news
    assert desk.refused("replaced") == f"no replace of {name} is open; `oms orders show {name}` shows its requests"
    assert desk.refused("cancel-rejected") == (
        f"no cancel of {name} is open; `oms orders show {name}` shows its requests"
    )
    desk.fill("A1", 40)
    assert desk.refused("rejected") == (
        f"{name} has traded 40: what has traded is not rejected. Settle the rest with --as canceled"
    )
    desk.cancel("C1", "A1")
    desk.fill("A1", 60)
    assert desk.refused("canceled") == (
        f"nothing of {name} is open any more; settle its open request with --as cancel-rejected"
    )
    desk.settle("cancel-rejected")
    gone = f"{name} is filled already, and nothing of it is open; `oms orders explain {name}` shows why"
    assert [desk.refused(word) for word in WORDS] == [gone] * len(WORDS)


def test_where_a_broker_has_no_replace_the_new_order_in_doubt_is_there_or_is_not() -> None:
    for word, state, requests in (
        ("replaced", "working", [("R1", "accepted")]),
        ("canceled", "canceled", [("R1", "rejected")]),
    ):
        desk = Settling(terms_with(cancel_new=True))
        desk.working("A1")
        desk.replace("R1", "A1", qty=150)
        assert "has no replace, and the new order of this one has not left" in desk.refused("replaced")
        asked = next(out for out in desk.raw if out.msg_type == "F")
        desk.report(asked.fields["11"], "4")
        desk.event(BROKER, ResendDeclined(desk.order("A1").children[-1].child_id))
        assert desk.open_items() == ["unknown_outcome"]
        assert "nothing of" in desk.refused("replace-rejected")
        assert "--as replaced if it is there" in desk.refused("working")
        (told,) = desk.settle(word)
        assert word in told.fields["Text"]
        assert (desk.state("A1")[0], desk.state("A1")[3], desk.open_items()) == (state, requests, [])
        desk.replayed()


def test_an_adopted_order_is_settled_without_telling_anybody_and_its_refused_cancel_is_no_item() -> None:
    desk = Settling(terms_with(adopts=True))
    desk.report("VOICE", "0", order_id="B-9", order_qty=100, price=10, cum_qty=0)
    (order,) = desk.book.orders.values()
    desk.event("", Command("ann", "orders.cancel", (("order_id", order.order_id), ("text", "not ours"))))
    assert desk.settle("cancel-rejected", order.order_id) == []
    assert (order.life, desk.open_items()) == ("working", ["adopted_order"])
    assert desk.settle("expired", order.order_id) == []
    assert (order.life, desk.fx.answer["told"] if desk.fx.answer else None) == ("expired", "")
    desk.replayed()

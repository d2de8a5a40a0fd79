"""Commands that need two people: one proposes, another approves exactly that; all else is refused and recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from oms.core import approvals
from oms.core.book import Book
from oms.core.messages import Command
from tests.core.desk import Desk
from tests.core.driver import DAY


class Office(Desk):
    """A desk with operators."""

    def do(self, operator: str, verb: str, **args: object) -> dict[str, Any]:
        self.event("", Command(operator, verb, tuple((name, str(value)) for name, value in args.items())))
        return self.fx.answer or {}

    def propose(self, operator: str = "ann", verb: str = "fills.add", **more: object) -> dict[str, Any]:
        given = {"order_id": self.order("A1").order_id, "exec_id": "f1", "qty": 40, "px": 10, "trade_date": DAY}
        if verb != "fills.add":
            given = {}
        return self.do(operator, "approvals.propose", proposed=verb, valid_seconds=60, text="why", **(given | more))

    def approve(self, operator: str, found: dict[str, Any], **more: object) -> dict[str, Any]:
        given = {"proposal_id": found["proposal_id"], "hash": found["hash"]} | more
        return self.do(operator, "approvals.approve", **given)

    def later(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def office() -> Office:
    made = Office()
    made.working("A1")
    return made


def test_a_proposal_does_nothing_and_its_approval_does_it_with_both_names(office: Office) -> None:
    found = office.propose()
    assert (office.outcome, office.state("A1")[2]) == (([], []), "0")
    assert (found["state"], found["proposer"], len(found["hash"])) == ("open", "ann", 16)
    done = office.approve("bob", found)
    assert (done["state"], done["by"], done["cum_qty"]) == ("approved", "bob", "40")
    people = {"proposer": "ann", "approver": "bob", "proposal": found["proposal_id"]}
    assert office.details[-1]["manual"].items() >= people.items()
    office.replayed()


def test_the_hash_is_of_all_that_would_be_done_and_of_who_asked(office: Office) -> None:
    of_ann = office.propose()
    contents = office.book.proposals[of_ann["proposal_id"]]
    changed = {
        "verb": "fills.bust", "args": (*contents.args[:-1], ("text", "else")), "proposer": "eve",
        "proposal_id": "P1", "expires_at": contents.expires_at + timedelta(seconds=1),
    }  # fmt: skip
    before = contents.hash
    hashes = {before}
    for name, value in changed.items():
        was = getattr(contents, name)
        setattr(contents, name, value)
        hashes.add(contents.hash)
        setattr(contents, name, was)
    assert (len(hashes), contents.hash) == (6, before)


def test_who_proposed_cannot_approve_nor_can_anybody_twice_or_unread_or_late(office: Office) -> None:
    found = office.propose()
    name = found["proposal_id"]
    assert office.approve("ann", found)["refused"] == (
        f"ann proposed {name} and cannot approve it; another operator has to"
    )
    assert "is not that of" in office.approve("bob", found, hash="")["refused"]
    assert office.approve("bob", found, barred="not you")["refused"] == "not you"
    assert office.approve("bob", found)["state"] == "approved"
    again = f"{name} is approved by bob already (journal row {office.events[-1][0]}): nothing was done"
    assert office.approve("carl", found)["refused"] == again
    assert office.do("carl", "approvals.reject", proposal_id=name, text="no")["refused"] == again
    assert office.do("bob", "approvals.approve", proposal_id="P9", hash="")["refused"].startswith(
        "there is no proposal"
    )
    late = office.propose(exec_id="f2")
    office.later(61)
    assert "expired at 2026-03-02 13:01:00 UTC" in office.approve("bob", late)["refused"]
    assert "is expired already" in office.approve("bob", late)["refused"]
    assert office.state("A1")[2] == "40"
    assert [detail["refused"] for detail in office.details if "refused" in detail] != []
    office.replayed()


def test_what_a_report_has_overtaken_is_not_done_any_more(office: Office) -> None:
    found = office.propose()
    office.fill("A1", 40, exec_id="f1")
    assert (
        "cannot be done any more: ExecID(17) f1 of BROKER1 is booked already"
        in office.approve("bob", found)["refused"]
    )
    assert (office.book.proposals[found["proposal_id"]].state, office.state("A1")[2]) == ("failed", "40")
    office.replayed()


def test_what_cannot_be_done_is_not_proposed(office: Office) -> None:
    assert "there is no order O9" in office.propose(order_id="O9")["refused"]
    assert office.propose(barred="not you")["refused"] == "not you"
    assert office.book.proposals == {}


def test_one_that_nobody_approves_is_found_and_expires(office: Office) -> None:
    found = office.propose(verb="kill.release", kill_id="K1")
    name = found["proposal_id"]
    assert approvals.overdue(office.book, office.now) == []
    office.later(61)
    assert approvals.overdue(office.book, office.now) == [name]
    assert office.do("oms", "approvals.expire", proposal_id=name)["state"] == "expired"
    assert approvals.overdue(office.book, office.now) == []


def test_so_many_wait_and_no_more_and_old_ones_are_forgotten(office: Office) -> None:
    for number in range(approvals.OPEN_LIMIT):
        office.propose(verb="kill.release", kill_id=f"K{number}")
    assert office.propose(verb="kill.release")["refused"].startswith("100 proposals wait already")
    for _ in range(3):
        for name in [one.proposal_id for one in office.book.proposals.values() if one.state == "open"]:
            office.do("bob", "approvals.reject", proposal_id=name, text="no")
        for number in range(approvals.OPEN_LIMIT):
            office.propose(verb="kill.release", kill_id=f"K{number}")
    states = [one.state for one in office.book.proposals.values()]
    assert (states.count("open"), states.count("rejected")) == (approvals.OPEN_LIMIT, approvals.CLOSED_KEPT)


def test_after_a_restart_the_journals_rows_give_the_same_proposals(office: Office) -> None:
    first, second, third = (office.propose(exec_id=f"f{number}") for number in range(3))
    office.approve("ann", first)
    office.approve("bob", first)
    office.do("bob", "approvals.reject", proposal_id=second["proposal_id"], text="no")
    book = Book()
    for seq, event, detail in office.events:
        if isinstance(event.body, Command):
            body = event.body
            approvals.restore(book, seq, event.received_at, body.operator, body.verb, body.args, detail)
    assert book.proposals == office.book.proposals
    assert [one.state for one in book.proposals.values()] == ["approved", "rejected", "open"]
    assert book.proposals[third["proposal_id"]].hash == third["hash"]

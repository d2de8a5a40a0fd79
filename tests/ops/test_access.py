"""May he? By role and scope, without a ledger; and what is written down of it, and how much at most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from oms.core.approvals import Proposal
from oms.core.book import Book
from oms.core.kill import Kill
from oms.errors import OperatorError
from oms.inbox import Inbox
from oms.ops import recorder
from oms.ops.access import Access
from oms.ops.people import Caller, People, Refused
from oms.ops.recorder import IN_ALL, PER_KEY, Recorder
from oms.ops.roles import TABLE

BUYA = {"client": ("BUYA",)}
AT = datetime(2026, 3, 2, tzinfo=UTC)
SESSIONS = {"BUYA": SimpleNamespace(role="client"), "SELL1": SimpleNamespace(role="broker")}


class Desk:
    """An Access that remembers what it let through, and what it had written down."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, dict[str, str]]] = []
        self.answer: dict[str, Any] = {}
        self.problem = ""
        self.inbox = Inbox([""], 10)
        self.book = Book()
        config: Any = SimpleNamespace(sessions=SESSIONS, operators=SimpleNamespace(file=None))
        kills = [Kill("K1", (("client", "BUYA"),), "ann", ""), Kill("K2", (), "ann", "")]
        url = "postgresql://nobody@127.0.0.1:1/none"
        self.access = Access(self._do, People(), self.inbox, url, self.book, config, lambda: kills)

    def _do(self, operator: str, verb: str, args: dict[str, str]) -> dict[str, Any]:
        if self.problem:
            raise OperatorError(self.problem)
        self.done.append((operator, verb, args))
        return self.answer

    def may(self, role: str, verb: str, scope: Any = None, **args: str) -> bool:
        """Whether a command is let through."""
        before = len(self.done)
        try:
            self.access(Caller("ann", role, scope or {}, "user 1001"), verb, args)
        except Refused:
            assert len(self.done) == before
            return False
        assert self.done[before:] == [("ann", verb, args)]
        return True

    def propose(self, name: str, verb: str, **args: str) -> None:
        """A proposal of bob's."""
        made = Proposal(name, verb, tuple(args.items()), "bob", AT, AT + timedelta(hours=1), 1)
        self.book.proposals[name] = made

    def written(self) -> list[tuple[str, str, dict[str, str]]]:
        """Operators' rows on their way to the journal."""
        return [(str(one.matter[0]), str(one.matter[1]), dict(one.matter[2])) for one in self.inbox.take(500, 0.01)]  # type: ignore[call-overload]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("role", ["viewer", "trader", "risk", "operations", "admin"])
def test_a_role_may_what_the_table_says_and_admins_what_it_does_not_know(desk: Desk, role: str) -> None:
    may = {verb for verb in TABLE if desk.may(role, verb)}
    assert may == {verb for verb, rule in TABLE.items() if role in rule.roles}
    assert desk.may(role, "ledger.drop") is (role == "admin")


def test_a_trader_of_one_client_stops_that_client_and_no_other_and_not_the_firm(desk: Desk) -> None:
    asked: list[dict[str, str]] = [
        {"client": "BUYA"}, {"client": "BUYA", "symbol": "*"}, {"client": "BUYB"}, {"client": "*"},
        {"client": "BUY?"}, {"symbol": "SAP"}, {},
    ]  # fmt: skip
    found = [desk.may("trader", "kill.engage", BUYA, text="x", **args) for args in asked]
    assert found == [True, True, False, False, False, False, False]
    assert [desk.may("risk", "kill.release", BUYA, kill_id=name) for name in ("K1", "K2", "K3")] == [
        True,
        False,
        False,
    ]
    sessions = [desk.may("operations", "sessions.logout", BUYA, session=name) for name in ("BUYA", "SELL1", "NONE")]
    assert sessions == [True, False, False]
    assert not desk.may("risk", "trading.on", BUYA)  # which has no scope
    assert desk.may("viewer", "kill.list", BUYA)  # and reads that have none are not restricted


def test_what_a_scope_needs_the_ledger_for_is_refused_without_it(desk: Desk) -> None:
    with pytest.raises(OperatorError, match="127"):
        desk.may("trader", "orders.cancel", BUYA, order_id="O1")
    assert desk.done == []
    assert desk.may("trader", "orders.cancel", order_id="O1")


def test_an_approver_needs_the_role_and_scope_for_what_is_proposed(desk: Desk) -> None:
    desk.propose("P1", "kill.release", kill_id="K1")
    desk.propose("P2", "sessions.set_seq", session="SELL1")
    found = [desk.may(role, "approvals.approve", proposal_id=name)
             for role in ("risk", "operations", "trader", "viewer") for name in ("P1", "P2")]  # fmt: skip
    assert found == [True, False, False, True, False, False, False, False]
    assert desk.may("risk", "approvals.approve", BUYA, proposal_id="P1")
    assert not desk.may("operations", "approvals.approve", BUYA, proposal_id="P2")
    assert not desk.may("trader", "approvals.reject", proposal_id="P1")
    own = Caller("bob", "trader", {}, "user 1002")
    assert desk.access(own, "approvals.reject", {"proposal_id": "P1"}) == {}  # what one proposed oneself


def test_what_somebody_proposed_who_was_revoked_since_is_not_approved(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.propose("P1", "kill.release", kill_id="K1")
    monkeypatch.setattr(People, "gone", lambda people, name: name == "bob")
    assert not desk.may("risk", "approvals.approve", proposal_id="P1")
    assert desk.may("risk", "approvals.reject", proposal_id="P1")


def test_a_list_of_proposals_has_those_of_ones_scope(desk: Desk) -> None:
    told = [
        {"verb": "kill.release", "contents": {"kill_id": "K1"}},
        {"verb": "kill.release", "contents": {"kill_id": "K2"}},
        {"verb": "sessions.set_seq", "contents": {"session": "BUYA"}},
    ]
    desk.answer = {"proposals": told}
    seen = desk.access(Caller("ann", "viewer", BUYA), "approvals.list", {})
    assert seen == {"proposals": [told[0], told[2]]}
    assert desk.access(Caller("ann", "viewer"), "approvals.list", {}) == {"proposals": told}


def test_what_is_refused_and_what_is_read_is_written_down_without_secrets(desk: Desk) -> None:
    token = f"oms_{'0a' * 4}_{'5f' * 32}"
    desk.may("viewer", "kill.engage", BUYA, client="BUYB", text="x", note=token)
    desk.may("risk", "approvals.list")
    desk.may("risk", "kill.list")
    desk.problem = "there is no such item"
    with pytest.raises(OperatorError):
        desk.may("risk", "exceptions.take", item_id="X9")
    desk.problem = "bob approved it already (journal row 9)"
    with pytest.raises(OperatorError):
        desk.may("risk", "approvals.approve", proposal_id="P9")
    desk.access.refused(Refused("", "10.0.0.7", "wrong token"), "kill\x1b[2J" * 100)
    refused, read, failed, stranger = desk.written()
    why = "ann is viewer and may not kill.engage; it takes one of the roles admin, operations, risk, trader"
    assert refused == ("ann", "access.refused", {
        "what": "kill.engage", "role": "viewer", "scope": "client BUYA", "from": "user 1001, by user",
        "about": "client BUYB; note ********", "why": why,
    })  # fmt: skip
    assert read == ("ann", "access.read", {"what": "approvals.list", "role": "risk", "from": "user 1001, by user"})
    assert (failed[2]["what"], failed[2]["why"]) == ("exceptions.take", "there is no such item")
    assert stranger[:2] == ("", "access.refused")
    assert (len(stranger[2]["what"]), stranger[2]["from"], stranger[2]["why"]) == (64, "10.0.0.7", "wrong token")
    assert not [value for value in stranger[2].values() if len(value) > 500]


def test_nobody_fills_the_journal_and_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 0.0
    monkeypatch.setattr(recorder, "monotonic", lambda: at)
    rows: list[tuple[str, str, dict[str, str]]] = []
    found = Recorder(lambda *row: rows.append(row))
    for _ in range(1000):
        found.note("access.refused", "eve", {"what": "kill.release"})
    assert len(rows) == PER_KEY
    for number in range(1000):
        found.note("access.refused", f"eve{number}", {"what": "kill.release"})
    assert len(rows) == IN_ALL
    left_out = 2000 - IN_ALL
    at = 61.0
    found.note("access.read", "ann", {"what": "approvals.list"})
    assert rows[IN_ALL][:2] == ("gateway", "access.left_out")
    assert rows[IN_ALL][2]["count"] == str(left_out)
    assert rows[IN_ALL][2]["most"].startswith("eve refused: 990, ")
    assert rows[IN_ALL + 1 :] == [("ann", "access.read", {"what": "approvals.list"})]
    found.flush()
    assert len(rows) == IN_ALL + 2

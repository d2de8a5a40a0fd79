"""A paced sender: the urgent first, each message settled by itself, and never one twice whatever comes in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from oms import inbox as box
from oms import outbox, paced
from oms.outbox import Message, Outbox
from oms.pace import Pace
from oms.paced import PacedSender
from tests.flow.outbox_desk import AGES_AGO, Desk, Ledger
from tests.system.house import until

STOPPED = 0.02  # messages a second: the next one leaves in 50 seconds


class PacedDesk(Desk):
    """A paced sender with everything around it; `rate` 0: no more than the burst."""

    def __init__(self, ledger: Ledger, *, burst: int = 1000, window: float = 10, max_wait: float = 10) -> None:
        super().__init__(ledger, "broker", timedelta(seconds=window), True)
        self.sender.stop()
        self.sender.thread.join(5)
        self.window, self.max_wait = timedelta(seconds=window), timedelta(seconds=max_wait)
        self.why = ""
        self.cursors: list[int] = []
        self.paced = self.made(burst)

    def made(self, burst: int, cursor: int = 0, settled: frozenset[int] = frozenset()) -> PacedSender:
        """A new sender on the same line and ledger."""
        pace = Pace(1, burst, 10)
        pace.full = STOPPED  # type: ignore[assignment]
        told = self.inbox, "", cursor, self.window, lambda cl_ord_id: self.why, lambda: self.held
        self.paced = self.sender = PacedSender(
            "S", "broker", self.line.send, *told, pace=pace, max_wait=self.max_wait, settled=settled
        )
        self.paced.thread.start()
        return self.paced

    def put(self, *made: Message) -> None:
        """Committed messages, delivered."""
        self.ledger.messages += made
        Outbox({"S": self.sender}).deliver(list(made))

    def flat(self) -> list[tuple[Any, ...]]:
        self.cursors = [int(one.matter[0]) for one in self.told if one.kind == box.SENT_PACED]  # type: ignore[call-overload]
        shown = [one._replace(matter=one.matter[1:]) if one.kind == box.SENT_PACED else one for one in self.told]
        told, self.told = self.told, shown
        try:
            return super().flat()
        finally:
            self.told = told

    def more(self, tokens: int) -> None:
        """Let so many leave."""
        self.paced.pace._burst = 1000
        self.paced.pace._tokens += tokens
        self.paced._wake.set()


@pytest.fixture
def desks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: list[PacedDesk] = []
    monkeypatch.setattr(outbox, "CHUNK", 4)
    monkeypatch.setattr(outbox, "_LEDGER_PAUSE", 0.01)
    monkeypatch.setattr(paced, "_WORTH_TELLING", 1e12)

    def make(**how: Any) -> PacedDesk:
        ledger = Ledger()
        monkeypatch.setattr(outbox, "Reader", ledger.connect)
        made.append(PacedDesk(ledger, **how))
        return made[-1]

    yield make
    for desk in made:
        desk.line.free.set()
        desk.sender.stop()
        desk.sender.thread.join(5)
        assert not desk.sender.thread.is_alive()


def message(seq: int, kind: str, order: str = "", orig: str = "") -> Message:
    more = f"41={orig}\x01" if orig else ""
    text = f"35={kind}\x01{more}11={seq}\x01"
    return Message(seq, "S", kind, text, outbox.datetime.now(outbox.UTC), order)


def sent(*numbers: int) -> list[tuple[Any, ...]]:
    return [(one, "sent", 1000 + one, None) for one in numbers]


def test_past_the_burst_messages_wait_and_leave_by_urgency_and_the_cursor_stays_before_the_lowest(
    desks: Any,
) -> None:
    desk = desks(burst=1)
    desk.up()
    desk.put(message(1, "D", "A"))
    assert desk.hears(1) == sent(1)
    desk.put(message(2, "D", "B"), message(3, "G", "A", "1"), message(4, "F", "C", "0"), message(5, "H", "C"))
    until(lambda: desk.paced.waiting() == {"cancel": 1, "replace": 1, "new": 1, "other": 1}, "they wait")
    assert desk.paced.oldest_seconds() > 0
    assert desk.paced.outbound()["waiting"]["new"] == 1
    desk.more(2)
    assert desk.hears(3) == sent(1, 4, 3)
    assert desk.cursors[-1] == 1
    desk.more(2)
    assert (desk.hears(5), desk.cursors[-1], desk.line.left) == (sent(1, 4, 3, 2, 5), 5, [1, 4, 3, 2, 5])
    assert (desk.paced.statistics(), desk.paced.oldest_seconds()) == ({"waiting": 0, "behind": 0}, 0)


def test_an_order_that_waits_is_given_up_with_its_cancel_and_the_core_hears_of_both_at_once(desks: Any) -> None:
    desk = desks(burst=1)
    desk.up()
    desk.put(message(1, "D", "A"))
    desk.hears(1)
    desk.put(message(2, "D", "B"), message(3, "D", "C"))
    desk.put(message(4, "F", "B", "2"))
    why = "a cancel came before it could leave"
    gone = [
        (2, "refused", None, why),
        (4, "refused", None, why),
        (2, "not sent", "2", why),
        (4, "not sent", "4", why),
    ]
    assert desk.hears(5) == [*sent(1), *gone]
    assert desk.cursors[-1] == 2
    desk.more(1)
    assert (desk.hears(6)[5:], desk.line.left, desk.cursors[-1]) == (sent(3), [1, 3], 4)


def test_what_waits_for_too_long_is_refused_with_the_limit_and_a_cancel_stays(desks: Any) -> None:
    desk = desks(burst=1, max_wait=0.05)
    desk.up()
    desk.put(message(1, "F", "Z", "0"))
    desk.hears(1)
    desk.put(message(2, "D", "A"), message(3, "F", "B", "0"))
    why = "waited for more than 0 s at S's limit of 0.02 messages a second"
    assert desk.hears(3)[1:] == [(2, "refused", None, why), (2, "not sent", "2", why)]
    assert (desk.paced.waiting()["cancel"], desk.cursors[-1]) == (1, 2)


def test_a_logout_gives_up_all_that_waits(desks: Any) -> None:
    desk = desks(burst=1)
    desk.up()
    desk.put(message(1, "D", "A"))
    desk.hears(1)
    desk.put(message(2, "D", "B"), message(3, "F", "C", "0"))
    until(lambda: len(desk.paced._line) == 2, "both wait")
    desk.up(False)
    why = "S is logged out"
    refused = [(2, "refused", None, why), (3, "refused", None, why)]
    assert desk.hears(5)[1:] == [*refused, (2, "not sent", "2", why), (3, "not sent", "3", why)]
    desk.up()
    desk.more(5)
    desk.put(message(4, "D", "D"))
    assert (desk.hears(6)[5:], desk.line.left) == (sent(4), [1, 4])


def test_a_kill_stops_what_waits_and_costs_no_turn(desks: Any) -> None:
    desk = desks(burst=1)
    desk.up()
    desk.put(message(1, "D", "A"))
    desk.hears(1)
    desk.put(message(2, "D", "B"), message(3, "G", "B", "2"), message(4, "F", "C", "0"))
    until(lambda: len(desk.paced._line) == 3, "they wait")
    desk.why = "kill switch K1 is engaged"
    desk.more(2)
    behind = "what it changes did not leave"
    assert desk.hears(6)[1:] == [
        *sent(4), (2, "refused", None, desk.why), (3, "refused", None, behind),
        (2, "not sent", "2", desk.why), (3, "not sent", "3", behind),
    ]  # fmt: skip


def test_after_a_start_what_the_ledger_has_is_taken_up_but_for_what_the_start_settled(desks: Any) -> None:
    desk = desks(window=3600)
    desk.sender.stop()
    desk.sender.thread.join(5)
    old = [message(seq, "F" if seq % 3 == 0 else "D", f"O{seq}") for seq in range(1, 12)]
    desk.ledger.messages += old
    desk.made(1000, cursor=2, settled=frozenset({4, 6}))
    desk.put(*old[9:])  # delivered as well
    desk.up()
    assert desk.hears(7) == sent(3, 9, 5, 7, 8, 10, 11)
    assert desk.cursors[-1] == 11


def test_an_order_of_before_the_start_is_refused_past_the_resend_window(desks: Any) -> None:
    desk = desks(burst=10)
    desk.ledger.messages += [
        one._replace(decided_at=AGES_AGO) for one in (message(1, "D", "A"), message(2, "F", "B"))
    ]
    desk.up()
    why = "older than S's resend window of 10 s"
    assert sorted(desk.hears(3)) == sorted([(1, "refused", None, why), (1, "not sent", "1", why), *sent(2)])


def test_past_its_memory_the_ledger_is_the_queue_and_nothing_is_lost_or_doubled(
    desks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "QUEUE_LIMIT", 10)
    monkeypatch.setattr(paced, "_LIMIT", 8)
    desk = desks(burst=1)
    desk.up()
    desk.line.free.clear()
    desk.put(message(1, "D", "A"))
    assert desk.line.blocked.wait(5)
    for seq in range(2, 60):
        desk.put(message(seq, "D", f"O{seq}"))
    assert desk.paced.statistics()["waiting"] <= 10
    desk.line.free.set()
    until(lambda: len(desk.paced._line) >= 8, "its memory is full")
    assert desk.paced.statistics()["behind"]
    desk.more(100)
    assert desk.hears(59) == sent(*range(1, 60))
    assert desk.line.left == list(range(1, 60))


def test_without_the_lease_nothing_leaves_and_all_does_by_urgency_when_it_is_back(desks: Any) -> None:
    desk = desks()
    desk.up()
    desk.put(message(1, "D", "A"))
    desk.hears(1)
    desk.held = False
    desk.put(message(2, "D", "B"), message(3, "F", "C", "0"))
    until(lambda: desk.sender.statistics()["behind"], "the sender has seen that it may not send")
    assert desk.line.left == [1]
    desk.held = True
    assert desk.hears(3) == sent(1, 3, 2)


def test_a_complaint_of_the_broker_halves_the_pace_and_says_so(desks: Any) -> None:
    desk = desks()
    desk.paced.pace = Pace(40, 4, 10, [paced_rule()])
    assert desk.paced.slow_down("35=8\x0158=too many\x01") == ""
    said = desk.paced.slow_down("8=FIX.4.4\x019=1\x0135=j\x0158=Too Many messages\x01")
    assert said == "S gets too many messages: now 20 a second, of 40"
    assert desk.paced.outbound()["messages_per_second_now"] == 20


def paced_rule() -> Any:
    from oms.pace import TooFast

    return TooFast("j", "58", "too many*")

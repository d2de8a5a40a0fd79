"""The inbox: bounded per session, fair among sessions, in order within each (I10)."""

from __future__ import annotations

import threading

from oms import inbox as box
from oms.inbox import Heard, Inbox


def heard(session: str, text: str, kind: str = box.IN) -> Heard:
    return Heard(kind, session, text, (), 0)


def texts(taken: list[Heard]) -> list[str]:
    return [one.raw for one in taken]


def test_a_flood_of_one_session_leaves_the_others_their_share_of_every_batch() -> None:
    inbox = Inbox(["A", "B", "C"], 100)
    for number in range(100):
        inbox.put(heard("A", f"a{number}"))
    inbox.put(heard("B", "b0"))
    inbox.put(heard("C", "c0"))
    taken = inbox.take(12, 0)
    assert len(taken) == 12
    assert {"b0", "c0"} <= set(texts(taken))
    assert [text for text in texts(taken) if text[0] == "a"] == [f"a{number}" for number in range(10)]
    assert texts(inbox.take(1000, 0)) == [f"a{number}" for number in range(10, 100)]
    assert inbox.take(1000, 0) == []


def test_every_session_gets_at_least_one_entry_into_a_batch_however_small_that_is() -> None:
    inbox = Inbox(["A", "B", "C"], 10)
    for name in "ABC":
        for number in range(2):
            inbox.put(heard(name, f"{name}{number}"))
    assert sorted(texts(inbox.take(1, 0))) == ["A0", "B0", "C0"]


def test_what_the_gateway_tells_itself_comes_first_and_is_never_held_back() -> None:
    inbox = Inbox(["A"], 1)
    inbox.put(heard("A", "a0"))
    for number in range(10):
        inbox.tell(heard("A", f"own{number}", box.SENT))
    assert texts(inbox.take(3, 0)) == [*(f"own{number}" for number in range(10)), "a0"]


def test_a_logon_stays_behind_what_the_session_sent_before_it_and_never_blocks() -> None:
    inbox = Inbox(["A"], 2)
    inbox.put(heard("A", "a0"))
    inbox.put(heard("A", "a1"))
    inbox.follow(heard("A", "down", box.DOWN))
    inbox.follow(heard("A", "up", box.UP))
    assert texts(inbox.take(10, 0)) == ["a0", "a1", "down", "up"]


def test_a_session_past_its_limit_waits_for_room_and_no_other_session_does() -> None:
    inbox = Inbox(["A", "B"], 2)
    for number in range(2):
        inbox.put(heard("A", f"a{number}"))
    blocked = threading.Thread(target=inbox.put, args=(heard("A", "a2"),))
    blocked.start()
    inbox.put(heard("B", "b0"))
    assert inbox.statistics() == {"own": 0, "A": 2, "B": 1}
    assert blocked.is_alive()
    assert sorted(texts(inbox.take(10, 0))) == ["a0", "a1", "b0"]
    blocked.join(5)
    assert not blocked.is_alive()
    assert texts(inbox.take(10, 5)) == ["a2"]


def test_a_close_releases_who_waits_and_keeps_what_it_brought() -> None:
    inbox = Inbox(["A"], 1)
    inbox.put(heard("A", "a0"))
    blocked = threading.Thread(target=inbox.put, args=(heard("A", "a1"),))
    blocked.start()
    inbox.close()
    blocked.join(5)
    assert not blocked.is_alive()
    inbox.put(heard("A", "a2"))
    assert texts(inbox.take(10, 0)) == ["a0", "a1", "a2"]


def test_take_waits_for_the_first_entry_and_for_a_wake() -> None:
    inbox = Inbox(["A"], 1)
    taken: list[list[Heard]] = []
    waiting = threading.Thread(target=lambda: taken.append(inbox.take(10, 30)))
    waiting.start()
    inbox.put(heard("A", "a0"))
    waiting.join(5)
    assert [texts(one) for one in taken] == [["a0"]]
    waiting = threading.Thread(target=lambda: taken.append(inbox.take(10, 30)))
    waiting.start()
    inbox.wake()
    waiting.join(5)
    assert taken[1] == []


def order(number: int) -> str:
    return f"8=FIX.4.4\x019=100\x0135=D\x0134={number}\x01"


def cancel(number: int) -> str:
    return f"8=FIX.4.4\x019=100\x0135=F\x0134={number}\x01"


def test_a_cancel_that_is_the_next_of_its_session_comes_before_all_orders() -> None:
    inbox = Inbox(["A", "B", "C"], 100)
    for number in range(1, 51):
        inbox.put(heard("A", order(number)))
    inbox.put(heard("B", order(1)))
    inbox.put(heard("C", cancel(1)))
    inbox.put(heard("C", order(2)))
    assert texts(inbox.take(10, 0))[0] == cancel(1)


def test_a_cancel_never_overtakes_within_its_session_because_its_number_settles_all_before_it() -> None:
    inbox = Inbox(["A", "B"], 100)
    sent = [order(1), cancel(2), order(3), cancel(4), cancel(5), order(6)]
    for text in sent:
        inbox.put(heard("A", text))
    inbox.put(heard("B", order(1)))
    taken = [one.raw for _ in range(7) for one in inbox.take(2, 0) if one.session == "A"]
    assert taken == sent


def test_a_flood_of_cancels_takes_no_more_than_its_share_of_a_batch() -> None:
    inbox = Inbox(["A", "B"], 100)
    for number in range(1, 51):
        inbox.put(heard("A", cancel(number)))
        inbox.put(heard("B", order(number)))
    sessions = [one.session for one in inbox.take(20, 0)]
    assert sessions[:10] == ["A"] * 10
    assert sessions.count("B") == 5


def test_reports_come_before_new_orders_and_leave_every_client_room() -> None:
    inbox = Inbox(["A", "B", "BROKER"], 100, brokers=["BROKER"])
    for number in range(50):
        for name in ("A", "B", "BROKER"):
            inbox.put(heard(name, f"{name}{number}"))
    sessions = [one.session for one in inbox.take(20, 0)]
    assert sessions[:15] == ["BROKER"] * 15
    assert {sessions.count("A"), sessions.count("B")} <= {1, 2, 3}
    assert {one.session for one in inbox.take(3, 0)} == {"A", "B", "BROKER"}

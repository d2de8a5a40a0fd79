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

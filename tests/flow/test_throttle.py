"""A client session's rate at the inbox: what goes on, what waits, what is refused; cancels never are."""

from __future__ import annotations

import threading

from oms import inbox as box
from oms.config.throttles import Policy, Rate
from oms.inbox import Heard, Inbox
from oms.throttle import Bucket, Throttle

SECOND = 1_000_000
OVER = "more than 2 messages in a second"
BEHIND = f"{OVER}; not delayed any longer because a cancel or a logout came behind it"


def heard(msg_type: str, number: int, at_us: int = 0) -> Heard:
    return Heard(box.IN, "A", f"8=FIX.4.4\x019=100\x0135={msg_type}\x0134={number}\x01", (), at_us)


class Desk:
    """A throttle with what it let go. Times are seconds since its beginning."""

    def __init__(self, policy: Policy, most_delayed: int | None = 10, refusals: int = 100) -> None:
        self.over: list[int] = []
        self.throttle = Throttle(Rate(2, policy, most_delayed, refusals), self.over.append)
        self.number = 0

    def come(self, msg_types: str, at: float = 0) -> None:
        for msg_type in msg_types:
            self.number += 1
            one = heard(msg_type, self.number, int((100 + at) * SECOND))
            self.throttle.expect(one)
            self.throttle.waiting.append(one)

    def logged_out(self) -> None:
        one = Heard(box.DOWN, "A", "", (), 0)
        self.throttle.expect(one)
        self.throttle.waiting.append(one)

    def go(self, at: float = 0) -> list[tuple[str, tuple[object, ...]]]:
        """What goes on now: its MsgType(35), or kind, and its mark."""
        ready: box.deque[Heard] = box.deque()
        self.throttle.release(ready, int((100 + at) * SECOND))
        return [(one.raw.split("\x01")[2][3:] if one.raw else one.kind, one.matter) for one in ready]


def test_a_bucket_holds_a_second_of_tokens_and_fills_evenly() -> None:
    bucket = Bucket(2)
    taken = [bucket.take(int(at * SECOND)) for at in (5, 5, 5, 5.4, 5.5, 5.5, 9, 9, 9)]
    assert taken == [True, True, False, False, True, False, True, True, False]
    assert bucket.wait_us(9 * SECOND) == SECOND / 2
    assert bucket.wait_us(10 * SECOND) == 0


def test_reject_refuses_what_is_over_the_rate_by_the_times_at_which_it_came_and_never_a_cancel() -> None:
    desk = Desk("reject")
    desk.come("DGDFHq")
    desk.come("D", at=1)
    refused = (OVER, 0)
    assert desk.go(at=60) == [("D", ()), ("G", ()), ("D", refused), ("F", ()), ("H", refused), ("q", ()), ("D", ())]


def test_cancels_and_answers_to_the_gateway_take_no_tokens() -> None:
    desk = Desk("reject")
    desk.come("FFFq3jQDD")
    assert [mark for _, mark in desk.go()] == [()] * 9


def test_delay_lets_what_is_over_the_rate_go_on_in_its_turn_and_notes_how_long_it_waited() -> None:
    desk = Desk("delay")
    desk.come("DDDD")
    assert desk.go() == [("D", ()), ("D", ())]
    assert desk.throttle.wait_seconds(100 * SECOND) == 0.5
    assert desk.go(at=0.4) == []
    assert desk.go(at=0.5) == [("D", ("", 500))]
    assert desk.go(at=1.25) == [("D", ("", 1250))]
    assert desk.throttle.wait_seconds(100 * SECOND) is None
    desk.come("D", at=9)
    assert desk.go(at=9.2) == [("D", ())]  # it waited for the core, not for its turn


def test_a_cancel_is_reached_at_once_because_what_waits_before_it_is_refused_and_what_follows_waits() -> None:
    desk = Desk("delay")
    desk.come("DDDG")
    assert desk.go() == [("D", ()), ("D", ())]
    desk.come("FDq", at=0.25)
    desk.come("D", at=0.25)
    assert desk.go(at=0.3) == [("D", (BEHIND, 300)), ("G", (BEHIND, 300)), ("F", ()), ("D", (BEHIND, 0)), ("q", ())]
    assert desk.go(at=0.5) == [("D", ("", 250))]


def test_an_order_before_a_cancel_goes_on_while_there_are_tokens() -> None:
    desk = Desk("delay")
    desk.come("DFDFDF")
    assert [mark for _, mark in desk.go()] == [(), (), (), (), (BEHIND, 0), ()]


def test_a_client_that_is_gone_has_nothing_waiting() -> None:
    desk = Desk("delay")
    desk.come("DDD")
    desk.logged_out()
    assert desk.go() == [("D", ()), ("D", ()), ("D", (BEHIND, 0)), (box.DOWN, ())]


def test_beyond_the_most_that_may_wait_the_oldest_is_refused() -> None:
    desk = Desk("delay", most_delayed=1)
    desk.come("DDDDD")
    text = f"{OVER}; not delayed any longer because 1 wait already"
    assert desk.go() == [("D", ()), ("D", ()), ("D", (text, 0)), ("D", (text, 0))]
    assert desk.go(at=0.5) == [("D", ("", 500))]


def test_where_nothing_else_is_said_a_second_of_messages_may_wait() -> None:
    desk = Desk("delay", most_delayed=None)
    desk.come("DDDDD")
    text = f"{OVER}; not delayed any longer because 2 wait already"
    assert desk.go() == [("D", ()), ("D", ()), ("D", (text, 0))]


def test_disconnect_tells_once_per_logon_after_so_many_refusals_within_a_second() -> None:
    desk = Desk("disconnect", refusals=3)
    desk.come("DDDD")
    desk.come("DDD", at=1)  # two tokens, one refusal: three within one second and a bit
    desk.go()
    assert desk.over == []
    desk.come("DDDD", at=1.1)
    desk.go()
    assert desk.over == [3]
    desk.throttle.waiting.append(Heard(box.UP, "A", "", (1, 1), 0))
    desk.come("DDDDDD", at=3)
    desk.go()
    assert desk.over == [3, 3]


def inbox_of(policy: Policy, per_session: int) -> Inbox:
    return Inbox(["A", "B"], per_session, throttles={"A": Throttle(Rate(2, policy, most_delayed=10))})


def now(msg_type: str, number: int, session: str = "A") -> Heard:
    return heard(msg_type, number, box.now_us())._replace(session=session)


def types(taken: list[Heard]) -> list[str]:
    return [one.session + one.raw.split("\x01")[2][3:] for one in taken]


def test_while_a_session_waits_for_its_turn_the_others_go_on_and_it_follows_by_itself() -> None:
    inbox = inbox_of("delay", 10)
    for number in range(1, 4):
        inbox.put(now("D", number))
    inbox.put(now("D", 1, "B"))
    assert sorted(types(inbox.take(10, 0))) == ["AD", "AD", "BD"]
    assert inbox.statistics() == {"A": 1, "B": 0, "own": 0}
    inbox.put(now("D", 2, "B"))
    assert types(inbox.take(10, 0)) == ["BD"]
    assert types(inbox.take(10, 30)) == ["AD"]  # after half a second, not after thirty


def test_a_full_queue_of_delayed_orders_holds_its_session_back_until_a_cancel_comes() -> None:
    inbox = inbox_of("delay", 3)
    for number in range(1, 6):
        inbox.put(now("D", number))
        if number == 2:
            inbox.take(10, 0)
    blocked = threading.Thread(target=inbox.put, args=(now("F", 6),))
    blocked.start()
    taken = types(inbox.take(10, 30))
    blocked.join(5)
    assert not blocked.is_alive()
    assert [*taken, *types(inbox.take(10, 30))] == ["AD", "AD", "AD", "AF"]


def test_a_close_lets_everything_go_that_waits() -> None:
    inbox = inbox_of("delay", 10)
    for number in range(1, 6):
        inbox.put(now("D", number))
    inbox.close()
    assert [one.matter for one in inbox.take(10, 0)] == [()] * 5

"""The queue before a broker with a limit: the most urgent first, and no order's messages out of their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.outbox import Message
from oms.outqueue import BUILT_ON, FOR_CANCEL, NOTHING_THERE, TOO_OLD, OutQueue

NOW = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=10)


def message(seq: int, kind: str, order: str = "", orig: str = "", cl_ord_id: str = "") -> Message:
    """A message of a journal row, named after it; `orig` is what it changes."""
    more = f"41={orig}\x01" if orig else ""
    return Message(seq, "S", kind, f"35={kind}\x0111={cl_ord_id or f'C{seq}'}\x01{more}", NOW, order)


class Desk:
    """A queue that remembers what was given up."""

    def __init__(self) -> None:
        self.queue = OutQueue()
        self.gone: list[tuple[int, str]] = []

    def put(self, *messages: Message, until: datetime = LATER) -> Desk:
        for one in messages:
            self.gone += [(other.message.seq, other.why) for other in self.queue.take_up(one, until)]
        return self

    def leave(self, at_most: int = 1000) -> list[int]:
        """The rows that leave, in turn."""
        left: list[int] = []
        while len(left) < at_most and (first := self.queue.first()) is not None:
            self.queue.done(first)
            left.append(first.message.seq)
        return left


def test_cancels_leave_first_then_replaces_new_orders_and_the_rest_each_in_the_order_of_the_journal() -> None:
    desk = Desk().put(
        message(1, "H", "A"), message(2, "D", "B"), message(3, "G", "C", "c"), message(4, "F", "E", "e"),
        message(5, "D", "F"), message(6, "q"), message(7, "G", "G", "g"), message(8, "F", "H", "h"),
    )  # fmt: skip
    assert desk.queue.counts == [3, 2, 2, 1]
    assert (desk.leave(), desk.gone) == ([4, 6, 8, 3, 7, 2, 5, 1], [])
    assert (len(desk.queue), desk.queue.oldest) == (0, None)


def test_an_order_that_has_not_left_is_dropped_with_its_cancel_and_what_is_in_between() -> None:
    desk = Desk().put(
        message(1, "D", "A"), message(2, "D", "B"), message(3, "G", "A", "C1"), message(4, "F", "A", "C1")
    )
    assert desk.gone == [(1, FOR_CANCEL), (3, FOR_CANCEL), (4, FOR_CANCEL)]
    desk.put(message(5, "G", "A", "C1"), message(6, "F", "A", "C1"))  # decided before the core heard of it
    assert desk.gone[3:] == [(5, NOTHING_THERE), (6, NOTHING_THERE)]
    assert desk.leave() == [2]


@pytest.mark.parametrize(
    ("orig", "gone", "left"),
    [
        ("c0", [(2, FOR_CANCEL), (3, FOR_CANCEL)], [4, 1]),
        ("C2", [(3, FOR_CANCEL)], [2, 4, 1]),
        ("C3", [], [2, 3, 4, 1]),
    ],
)
def test_a_cancel_takes_along_the_replaces_that_it_names_and_drops_the_others(
    orig: str, gone: list[Any], left: list[int]
) -> None:
    desk = Desk().put(
        message(1, "G", "B", "b"), message(2, "G", "A", "c0"), message(3, "G", "A", "C2"), message(4, "F", "A", orig)
    )
    assert (desk.gone, desk.leave()) == (gone, left)


def test_a_cancel_passes_its_orders_status_requests_and_a_replace_does_not() -> None:
    desk = Desk().put(message(1, "H", "A"), message(2, "G", "B", "b"), message(3, "F", "A", "a"))
    assert desk.leave() == [3, 2, 1]
    desk.put(message(4, "H", "A"), message(5, "G", "B", "b"), message(6, "G", "A", "a"))
    assert desk.leave() == [4, 5, 6]


def test_the_cancel_before_the_new_order_of_a_replace_is_a_replace_and_drops_nothing() -> None:
    desk = Desk().put(message(1, "D", "A"), message(2, "D", "B"), message(3, "F", "B", "C2", cl_ord_id="K3"))
    assert (desk.gone, desk.leave()) == ([], [2, 3, 1])


def test_what_is_too_old_is_given_up_with_all_that_makes_no_sense_without_it() -> None:
    soon = NOW + timedelta(seconds=1)
    desk = Desk().put(message(1, "D", "A"), message(2, "G", "B", "b"), message(3, "F", "E", "e"), until=soon)
    desk.put(message(4, "G", "A", "C1"), message(5, "G", "B", "C2"), message(6, "G", "B", "b"), message(7, "H", "A"))
    assert desk.queue.expired(soon) == []
    found = [(one.message.seq, one.why) for one in desk.queue.expired(LATER)]
    assert found == [(1, TOO_OLD), (4, BUILT_ON), (7, BUILT_ON), (2, TOO_OLD), (5, BUILT_ON)]
    assert desk.leave() == [3, 6]


def test_a_replace_that_a_cancel_names_is_never_too_old() -> None:
    desk = Desk().put(message(1, "G", "A", "a"), message(2, "F", "A", "C1"), until=NOW)
    assert (desk.queue.expired(LATER), desk.leave()) == ([], [1, 2])


def test_a_refused_order_takes_along_what_waits_behind_it_and_a_refused_replace_what_builds_on_it() -> None:
    desk = Desk().put(message(1, "D", "A"), message(2, "G", "A", "C1"))
    first = desk.queue.first()
    assert first is not None
    assert [(one.message.seq, one.why) for one in desk.queue.refused(first)] == [(2, BUILT_ON)]
    assert (desk.leave(), len(desk.queue)) == ([], 0)


def test_all_that_waits_is_given_up_in_the_order_of_the_journal() -> None:
    desk = Desk().put(message(1, "D", "A"), message(2, "F", "B", "b"), message(3, "H"), message(4, "G", "A", "C1"))
    assert [(one.message.seq, one.why) for one in desk.queue.clear("down")] == [(n, "down") for n in (1, 2, 3, 4)]
    assert (desk.leave(), desk.queue.next_expiry() is not None, len(desk.queue)) == ([], True, 0)


def test_a_message_that_waits_for_ever_keeps_nothing_of_those_that_came_and_went() -> None:
    desk = Desk().put(message(1, "H", "A"))
    for seq in range(2, 6000):
        desk.put(message(seq, "D", f"O{seq}"))
        assert desk.leave(1) == [seq]
    assert max(map(len, (desk.queue._rows, desk.queue._ready, desk.queue._ages))) < 1200
    assert desk.leave() == [1]


# -- any order of things --------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from(["D", "G", "F", "H", "q", "leave", "leave", "refuse", "old"]), st.integers(0, 4),
              st.integers(0, 3)),
    max_size=80,
)  # fmt: skip


@given(STEPS)
def test_each_message_leaves_or_is_given_up_once_and_no_orders_messages_out_of_their_order(
    steps: list[tuple[str, int, int]],
) -> None:
    desk, names, left, gone, put = Desk(), dict[str, list[str]](), list[Message](), list[Message](), list[Message]()
    sent_new: set[str] = set()
    given_up_at: dict[int, int] = {}
    for seq, (step, number, back) in enumerate(steps, 1):
        given_up_at = {one.seq: seq - 1 for one in gone} | given_up_at
        order = f"O{number}"
        if step in ("leave", "refuse"):
            first = desk.queue.first()
            if first is not None and step == "leave":
                assert not any(
                    one.msg_type in ("F", "q") for one in put if one not in left and one not in gone
                ) or first.message.msg_type in ("F", "q", "G"), "a cancel waits behind what no cancel needs"
                desk.queue.done(first)
                left.append(first.message)
            elif first is not None:
                gone += [first.message, *(one.message for one in desk.queue.refused(first))]
            continue
        if step == "old":
            gone += [one.message for one in desk.queue.expired(NOW + timedelta(seconds=10 * seq))]
            continue
        known = names.setdefault(order, [])
        if step == "D" and order in sent_new:
            continue
        sent_new |= {order} if step == "D" else set()
        orig = known[-1 - back % len(known)] if known and step in "GF" else ""
        one = message(seq, step, "" if step == "q" else order, orig)
        known += [f"C{seq}"] if step in "DG" else []
        put.append(one)
        gone += [other.message for other in desk.queue.take_up(one, NOW + timedelta(seconds=5 * seq))]
    waiting = [one.message for one in desk.queue.clear("end")]
    assert sorted(one.seq for one in [*left, *gone, *waiting]) == [one.seq for one in put]
    for order in names:
        chain = [one for one in left if one.order_id == order and one.msg_type != "H"]
        assert [one.seq for one in chain] == sorted(one.seq for one in chain)
        asked = [one for one in left if one.order_id == order]
        assert [one.seq for one in asked if one.msg_type != "F"] == sorted(
            one.seq for one in asked if one.msg_type != "F"
        )
        if any(one.order_id == order and one.msg_type == "D" for one in gone):
            after = next(one.seq for one in gone if one.order_id == order and one.msg_type == "D")
            assert not [one for one in chain if one.seq >= after], "a message about an order that never left"
    for one in left:  # what it names by OrigClOrdID(41) was not given up while it waited behind that
        named = one.text.partition("\x0141=C")[2].rstrip("\x01")
        assert not named or given_up_at.get(int(named), 0) < one.seq

"""The outbox: every committed message leaves at most once, in order, or the core is told that it never will."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from oms import outbox
from tests.flow.outbox_desk import AGES_AGO, MakeDesk, make_desk, sent
from tests.system.house import until

__all__ = ["make_desk"]  # the fixture


def test_messages_leave_in_order_and_are_noted_with_the_number_they_left_under(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.up()
    desk.commit(1, 2)
    desk.commit(3)
    assert desk.hears(3) == sent(1, 2, 3)
    assert desk.line.left == [1, 2, 3]


def test_past_the_limit_the_ledger_is_the_queue_and_nothing_is_lost_or_overtaken(make_desk: MakeDesk) -> None:
    desk = make_desk("client")
    desk.up()
    desk.line.free.clear()
    desk.commit(1)
    assert desk.line.blocked.wait(5)
    for number in range(2, 60):
        desk.commit(number)
    assert desk.sender.statistics()["waiting"] <= 10
    desk.line.free.set()
    assert desk.hears(59) == sent(*range(1, 60))
    assert desk.line.left == list(range(1, 60))


def test_a_session_holds_a_connection_to_the_ledger_only_while_it_catches_up(make_desk: MakeDesk) -> None:
    """A hundred sessions would else hold a hundred, which is all that a server lets in."""
    desk = make_desk("client")
    connections: list[int] = []
    desk.line.before = lambda seq: connections.append(desk.ledger.connections)
    desk.commit(1, 2)
    desk.up()
    desk.hears(2)
    desk.commit(3)
    assert desk.hears(3) == sent(1, 2, 3)
    assert (connections, desk.ledger.connections) == ([1, 1, 0], 0)


def test_messages_for_a_client_that_is_logged_out_wait_in_the_ledger(make_desk: MakeDesk) -> None:
    desk = make_desk("client")
    desk.commit(1, 2, 3)
    until(lambda: desk.sender.statistics() == {"waiting": 0, "behind": 1}, "nothing waits in memory")
    desk.up()
    assert desk.hears(3) == sent(1, 2, 3)
    desk.up(False)
    desk.commit(4, 5)
    desk.up()
    assert desk.hears(5) == sent(1, 2, 3, 4, 5)
    assert desk.line.left == [1, 2, 3, 4, 5]


def test_a_client_that_drops_and_returns_in_the_middle_of_catching_up_misses_nothing(make_desk: MakeDesk) -> None:
    """The third message meets a line that is down for a moment; those after it must not overtake it."""
    desk = make_desk("client")
    desk.commit(1, 2, 3, 4, 5, 6)
    downs = [3]

    def flicker(seq: int) -> None:
        desk.line.up = seq not in downs
        if not desk.line.up:
            downs.remove(seq)
            desk.commit(7)
            desk.sender.set_up(True)  # it is back before the sender has noticed that it was gone

    desk.line.before = flicker
    desk.up()
    assert desk.hears(7) == sent(1, 2, 3, 4, 5, 6, 7)
    assert desk.line.left == [1, 2, 3, 4, 5, 6, 7]


def test_a_request_to_a_broker_that_is_logged_out_never_leaves_and_the_core_is_told_after_the_note(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    desk.up()
    desk.commit(1)
    desk.hears(1)
    desk.up(False)
    desk.commit(2)
    reason = "S is logged out"
    assert desk.hears(3) == [*sent(1), (2, "refused", None, reason), (2, "not sent", "2", reason)]
    desk.up()
    desk.commit(3)
    assert desk.hears(4)[3:] == sent(3)
    assert desk.line.left == [1, 3]


def test_with_trading_off_orders_and_replaces_are_refused_and_cancels_leave(make_desk: MakeDesk) -> None:
    desk = make_desk(may_send=False)
    desk.up()
    desk.commit(1)
    desk.commit(2, kind="G")
    desk.commit(3, kind="F")
    desk.commit(4, kind="H")
    refused = [(1, "refused", None, "trading is off"), (1, "not sent", "1", "trading is off")]
    refused += [(2, "refused", None, "trading is off"), (2, "not sent", "2", "trading is off")]
    assert desk.hears(6) == [*refused, *sent(3, 4)]


def test_what_the_engine_cannot_make_is_refused_with_its_words_and_the_next_leaves(make_desk: MakeDesk) -> None:
    for role in ("broker", "client"):
        desk = make_desk(role)
        desk.line.spoiled = {1}
        desk.up()
        desk.commit(1)
        desk.commit(2)
        wanted = [(1, "refused", None, "no such thing"), (1, "not sent", "1", "no such thing"), *sent(2)]
        assert desk.hears(3) == wanted


def test_to_a_client_many_leave_in_one_call_and_to_a_broker_each_alone(make_desk: MakeDesk) -> None:
    """Before each order to a broker the kill switch is asked, and a stuck line holds back no more than one."""
    for role, sizes in (("client", [5]), ("broker", [1, 1, 1, 1, 1])):
        desk = make_desk(role)
        desk.up()
        desk.commit(1)
        desk.hears(1)
        desk.line.calls.clear()
        desk.commit(2, 3, 4, 5, 6)
        assert desk.hears(6) == sent(1, 2, 3, 4, 5, 6)
        assert desk.line.calls == sizes


def test_one_message_among_many_that_the_engine_cannot_make_is_refused_alone(make_desk: MakeDesk) -> None:
    desk = make_desk("client")
    desk.line.spoiled = {3}
    desk.up()
    desk.commit(1)
    desk.hears(1)
    desk.commit(2, 3, 4)
    refused = [(3, "refused", None, "no such thing"), (3, "not sent", "3", "no such thing")]
    assert desk.hears(5) == [*sent(1, 2), *refused, *sent(4)]


def test_a_client_that_drops_among_many_has_the_rest_after_its_return(make_desk: MakeDesk) -> None:
    desk = make_desk("client")
    desk.up()
    desk.commit(1)
    desk.hears(1)

    def drop(seq: int) -> None:
        if seq == 3:
            desk.line.up = False
            desk.line.before = lambda seq: None

    desk.line.before = drop
    desk.commit(2, 3, 4)
    until(lambda: bool(desk.sender.statistics()["behind"]), "the sender is behind")
    assert desk.line.left == [1, 2]
    desk.up()
    assert desk.hears(4) == sent(1, 2, 3, 4)
    assert desk.line.left == [1, 2, 3, 4]


def test_after_a_start_requests_wait_for_their_brokers_logon_within_the_window(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.commit(1)
    desk.commit(2, kind="F")
    desk.sender.set_up(False)
    assert desk.line.left == []
    desk.up()
    assert desk.hears(2) == sent(1, 2)


def test_when_the_window_is_over_without_a_logon_the_core_is_told(make_desk: MakeDesk) -> None:
    desk = make_desk(window=0.05)
    desk.line.up = False
    desk.commit(1)
    assert [one[:3] for one in desk.hears(2)] == [(1, "refused", None), (1, "not sent", "1")]
    assert desk.line.left == []


def test_an_order_older_than_the_window_is_refused_at_the_logon_and_a_cancel_leaves(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.commit(1, at=AGES_AGO)
    desk.commit(2, kind="G", at=AGES_AGO)
    desk.commit(3, kind="F", at=AGES_AGO)
    desk.up()
    reason = "older than S's resend window of 10 s"
    refused = [
        (one, what, number, reason) for one in (1, 2) for what, number in (("refused", None), ("not sent", str(one)))
    ]
    assert desk.hears(5) == [*refused, *sent(3)]
    assert desk.line.left == [3]


def test_with_a_window_of_0_the_first_order_after_a_logon_leaves_though_the_sender_is_still_catching_up(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(window=0)
    desk.ledger.gone = True
    desk.up()
    desk.commit(1)
    until(lambda: desk.ledger.reads > 1, "the sender is catching up")
    desk.ledger.gone = False
    assert desk.hears(1) == sent(1)
    desk.commit(2)
    assert desk.hears(2) == sent(1, 2)


def test_an_order_of_this_run_that_waited_for_long_in_the_ledger_is_refused_and_a_cancel_leaves(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_STALE", timedelta(0))
    desk = make_desk(window=0)
    desk.ledger.gone = True
    desk.up()
    desk.commit(1)
    desk.commit(2, kind="F")
    until(lambda: desk.ledger.reads > 1, "the sender is catching up")
    desk.ledger.gone = False
    reason = "waited for more than 0 s for S"
    assert desk.hears(3) == [(1, "refused", None, reason), (1, "not sent", "1", reason), *sent(2)]


def test_a_ledger_that_is_gone_is_waited_for_while_catching_up(make_desk: MakeDesk) -> None:
    desk = make_desk("client")
    desk.ledger.gone = True
    desk.commit(1, 2)
    desk.up()
    until(lambda: desk.ledger.reads > 3, "the ledger is asked again and again")
    desk.ledger.gone = False
    assert desk.hears(2) == sent(1, 2)


def test_an_answer_that_is_here_before_the_send_returned_finds_its_message(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.up()
    desk.commit(1)
    desk.hears(1)
    desk.line.free.clear()
    made = desk.commit(2)
    assert desk.line.blocked.wait(5)
    threading.Timer(0.02, desk.line.free.set).start()
    assert desk.sender.sent(1002) == made[0]
    assert desk.sender.sent(1001) is not None
    assert desk.sender.sent(7) is None


# -- without the lease on the ledger --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["client", "broker"])
def test_without_the_lease_nothing_leaves_and_when_it_is_renewed_everything_does_in_order(
    make_desk: MakeDesk, role: str
) -> None:
    desk = make_desk(role)
    desk.up()
    desk.commit(1)
    assert desk.hears(1) == sent(1)
    desk.held = False
    desk.commit(2, kind="F")
    desk.commit(3)
    until(lambda: desk.sender.statistics()["behind"], "the sender has seen that it may not send")
    assert desk.line.left == [1]
    desk.held = True
    assert desk.hears(3) == sent(1, 2, 3)
    assert desk.line.left == [1, 2, 3]


def test_an_order_that_grew_old_without_the_lease_is_refused_when_it_is_renewed(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.up()
    desk.held = False
    desk.commit(1, at=AGES_AGO)
    until(lambda: desk.sender.statistics()["behind"], "the sender has seen that it may not send")
    desk.held = True
    reason = "older than S's resend window of 10 s"
    assert desk.hears(2) == [(1, "refused", None, reason), (1, "not sent", "1", reason)]
    assert desk.line.left == []


@pytest.mark.parametrize("role", ["client", "broker"])
def test_a_lease_that_runs_out_between_the_senders_question_and_the_engines_refuses_no_message(
    make_desk: MakeDesk, role: str
) -> None:
    desk = make_desk(role)
    desk.up()

    def run_out(seq: int) -> None:
        desk.held = desk.line.up = False  # the engine asks last of all, and then takes nothing

    desk.line.before = run_out
    desk.commit(1)
    until(lambda: not desk.held and desk.sender.statistics()["behind"], "the message was not taken")
    assert desk.flat() == []
    desk.line.before = lambda seq: None
    desk.held = desk.line.up = True
    assert desk.hears(1) == sent(1)
    assert desk.line.left == [1]

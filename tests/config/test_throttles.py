"""The rate of a client session, as its section of sessions.cfg or [DEFAULT] gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms.config.throttles import Rate

if TYPE_CHECKING:
    from tests.config.conftest import Desk

CFG = "sessions.cfg"


def test_a_client_has_the_rate_of_its_section_or_of_default_and_a_broker_none(desk: Desk) -> None:
    desk.change(CFG, "[DEFAULT]", "[DEFAULT]\nOmsMaxRate=50")
    desk.change(
        CFG, "SocketAcceptPort=5201", "SocketAcceptPort=5201\nOmsMaxRate=7\nOmsOverRate=delay\nOmsMaxDelayed=9"
    )
    found = {name: spec.rate for name, spec in desk.load().sessions.items()}
    others = {name: Rate(50, "reject") for name in found if name.startswith("CLIENT")}
    assert found == dict.fromkeys(found) | others | {"CLIENT1": Rate(7, "delay", 9)}
    assert len(others) > 1


def test_a_client_that_is_logged_out_for_its_rate_has_the_numbers_of_its_section(desk: Desk) -> None:
    keys = "\nOmsMaxRate=7\nOmsOverRate=disconnect\nOmsDisconnectAfter=20\nOmsLogonAfterSeconds=300"
    desk.change(CFG, "SocketAcceptPort=5201", "SocketAcceptPort=5201" + keys)
    assert desk.load().sessions["CLIENT1"].rate == Rate(7, "disconnect", None, 20, 300)


def test_a_session_without_a_rate_may_send_any_number(desk: Desk) -> None:
    assert desk.load().sessions["CLIENT1"].rate is None

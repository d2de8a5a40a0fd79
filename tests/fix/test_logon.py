"""The door of a client session: what it lets in, what it tells operators, when it is shut; what hides passwords."""

from __future__ import annotations

import pytest

import oms.fix.logon as logon_module
from oms.config.secrets import hashed
from oms.fix.logon import FAILURES, SECONDS, Credentials, Door, masked

RIGHT = "correct-horse"
HEAD = "8=FIX.4.4|9=1|35=A|34=1|49=C|52=x|56=O|98=0|108=30|"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def logon(more: str) -> str:
    return f"{HEAD}{more}|10=000|".replace("|", "\x01")


@pytest.mark.parametrize("kept", [RIGHT, hashed(RIGHT)], ids=["itself", "hash"])
def test_only_the_right_name_with_the_right_password_is_let_in(kept: str) -> None:
    door = Door(Credentials("buya", kept), Clock())
    wrong = "Username(553) or Password(554) is wrong; from 10.0.0.1"
    for more, why in (
        (f"553=buya|554={RIGHT}", ""),
        (f"553=buya|554={RIGHT}x", wrong),
        (f"553=buyb|554={RIGHT}", wrong),
        (f"554={RIGHT}", wrong),
        ("553=buya|554=", wrong),
        (f"553=buya|554={RIGHT}", ""),
        ("", "no Password(554); from 10.0.0.1"),
        (f"95={len(RIGHT)}|96={RIGHT}", ""),
        (f"95=3|96={RIGHT}", wrong),
        (f"553=buya|95={len(RIGHT)}|96={RIGHT}", ""),
    ):
        assert door.why_not(logon(more), "10.0.0.1") == why, more
    assert (door.refused, door.shut) == (6, 0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that costs nothing, for tests that show many passwords."""
    monkeypatch.setattr(logon_module, "matches", lambda text, kept: text == RIGHT)


@pytest.mark.usefixtures("quick")
def test_after_some_wrong_ones_within_a_minute_one_address_is_shut_out_for_a_minute_and_nothing_is_compared() -> None:
    clock = Clock()
    door = Door(Credentials("buya", RIGHT), clock)
    right, wrong = logon(f"553=buya|554={RIGHT}"), logon("553=buya|554=guess")
    for _ in range(FAILURES - 1):
        assert "shut" not in door.why_not(wrong, "10.0.0.1")
        clock.now += SECONDS / FAILURES
    clock.now -= 1
    assert door.why_not(wrong, "10.0.0.1").endswith("5 within 60 s: the door is shut for 60 s")
    assert door.why_not(right, "10.0.0.1") == "the door is shut for 10.0.0.1: no Logon(A) is looked at for 60 s"
    assert door.why_not(right, "10.0.0.2") == ""
    clock.now += SECONDS
    assert door.why_not(right, "10.0.0.1") == ""
    for _ in range(3 * FAILURES):  # slow ones shut nothing
        assert "shut" not in door.why_not(wrong, "10.0.0.1")
        clock.now += SECONDS / (FAILURES - 2)
    assert (door.shut, door.refused) == (1, FAILURES + 1 + 3 * FAILURES)


@pytest.mark.usefixtures("quick")
def test_many_addresses_do_not_fill_the_memory() -> None:
    door = Door(Credentials("buya", RIGHT), Clock())
    for number in range(500):
        door.why_not(logon("553=buya|554=guess"), f"10.0.{number // 256}.{number % 256}")
    assert len(door._wrong) <= 100


def test_passwords_leave_a_message_and_what_is_said_of_it_and_nothing_else_changes() -> None:
    raw = logon("553=buya|554=hunter22|95=9|96=a\x01b=c|d e|925=new2new2|58=buya")
    hidden, said = masked(raw, "Equal sign not found in hunter22")
    assert hidden == logon("553=buya|554=***|95=9|96=***|925=***|58=buya")
    assert said == "Equal sign not found in ***"
    order = "8=FIX.4.4\x019=1\x0135=D\x0111=A1\x0158=554 is no password\x0110=000\x01"
    assert masked(order) == (order,)
    assert masked("") == ("",)

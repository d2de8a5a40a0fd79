"""[outbound] of a dialect and [[replace_discipline]] of oms.toml: what they may say, and what becomes of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from oms.core.terms import ReplaceRule
from oms.terms import core_terms_of

if TYPE_CHECKING:
    from tests.config.conftest import Desk

FIX42 = "fix_specs/standard-fix42.toml"
WRONG = {
    "max_messages_per_second = -1": (
        "[outbound] max_messages_per_second: -1 is not a whole number from 0 to 10000; write for example"
        " max_messages_per_second = 50"
    ),
    "burst = 5": "[outbound]: burst without max_messages_per_second; add max_messages_per_second, which it lowers",
    "max_messages_per_second = 5\nmax_wait_seconds = 0": (
        "[outbound] max_wait_seconds: 0 is not a whole number from 1 to 3600; write for example max_wait_seconds = 10"
    ),
    "rate = 5": "[outbound] rate: unknown key; remove it; known here: max_messages_per_second, burst,"
    " max_wait_seconds, recover_seconds, too_fast",
    'max_messages_per_second = 5\n[[outbound.too_fast]]\nmsg_type = "D"\nvalue = "x"': (
        '[[outbound.too_fast]] #1 msg_type: "D" is not "3", "8", "9" or "j"; write for example msg_type = "j"'
    ),
    'max_messages_per_second = 5\n[[outbound.too_fast]]\nmsg_type = "j"\nvalue = "*"': (
        '[[outbound.too_fast]] #1 value: "*" is not a text, or a pattern with *, ? or [..];'
        ' write for example value = "*rate limit*"'
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_limit_that_makes_no_sense_is_refused_with_a_remedy(desk: Desk, text: str) -> None:
    desk.append(FIX42, f"\n[outbound]\n{text}\n")
    assert desk.problems() == [f"{FIX42}: {WRONG[text]}"]


def test_a_limit_is_the_brokers_and_adds_what_may_be_waited_to_the_time_for_an_answer(desk: Desk) -> None:
    plain = {one.name: core_terms_of(desk.load()).brokers[one.name] for one in desk.load().role("broker")}
    desk.append(FIX42, "\n[outbound]\nmax_messages_per_second = 20\nmax_wait_seconds = 7\n")
    config = desk.load()
    for spec in config.role("broker"):
        limited = spec.appl_ver_id == "FIX.4.2"
        facts, before = core_terms_of(config).brokers[spec.name], plain[spec.name]
        assert spec.paced is limited
        assert facts.acknowledge_seconds == before.acknowledge_seconds + 7 * limited
        assert facts.answer_seconds == before.answer_seconds + 7 * limited
        assert facts.status_requests_per_second == (20 if limited else before.status_requests_per_second)
        assert spec.dialect.outbound.at_once == (2 if limited else 1)
    assert not any(spec.paced for spec in config.role("client"))
    assert any(spec.paced for spec in config.role("broker"))


def test_the_replace_discipline_is_the_cores_in_its_own_words(desk: Desk) -> None:
    desk.append(
        "oms.toml",
        '\n[[replace_discipline]]\nname = "calm"\nclient = "CLIENT1"\nmin_interval_ms = 500\nmin_ticks = 2\n'
        "min_qty_percent = 2.5\none_outstanding = true\npause_after_fill_ms = 200\n",
    )
    every = ("*",)
    assert core_terms_of(desk.load()).replace_rules == (
        ReplaceRule(
            "calm", ("CLIENT1",), every, every, every, timedelta(milliseconds=500), 2, Decimal("2.5"), True,
            timedelta(milliseconds=200), False,
        ),
    )  # fmt: skip
    desk.change("oms.toml", "min_ticks = 2", "min_tick = 2")
    (problem,) = desk.problems()
    assert problem.endswith("[[replace_discipline]] #1 min_tick: unknown key; did you mean min_ticks?")

"""[[breakers]]: what may be written, what becomes of it, and what is refused with which remedy."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from oms.config.templates import demo_files
from oms.core.breaker_rules import Rule

if TYPE_CHECKING:
    from tests.config.conftest import Desk

TOML = "oms.toml"


def added(desk: Desk, lines: str) -> Desk:
    """The demo's configuration, with a fourth breaker."""
    body = "\n".join(line.strip() for line in lines.split(";"))
    return desk.append(TOML, f"\n[[breakers]]\n{body}\n")


def test_a_rule_comes_as_it_is_written_and_defaults_are_safe(desk: Desk) -> None:
    added(desk, 'name = "loss"; measure = "loss"; account = "FUND*"; symbol = "*"; threshold = 5000.50')
    added(desk, 'name = "busy"; measure = "fills"; threshold = 9; window = 5; action = "cancel_working"; rest = 7')
    assert [one.rule() for one in desk.load().breakers[3:]] == [
        Rule(
            "loss", "loss", (("account", "FUND*"), ("symbol", "*")), Decimal("5000.50"), 60, 20, False, 0, 3, "last"
        ),
        Rule("busy", "fills", (), Decimal(9), 5, 20, True, 7, 3, "last"),
    ]


def test_what_init_writes_has_breakers_on_for_brokers_and_more_in_comments(desk: Desk) -> None:
    assert [(one.name, one.broker, one.action) for one in desk.load().breakers] == [
        ("broker-rejects", "*", "block"),
        ("broker-errors", "*", "block"),
        ("contradictions", "*", "block"),
    ]
    commented = demo_files()[TOML].partition("# With amounts that fit the desk:\n")[2].partition("\n\n")[0]
    desk.append(TOML, "\n" + "".join(line.removeprefix("#").lstrip() + "\n" for line in commented.splitlines()))
    assert [one.name for one in desk.load().breakers[3:]] == ["account-loss", "repeated-execution", "ledger-slow"]


MEASURE = (
    'one of "reject_rate", "refusal_rate", "errors", "unacknowledged_orders", "unacknowledged_age", '
    '"inconsistencies", "fills", "loss", "database_lag", "reconciliation_breaks"'
)
WRONG = [
    ('measure = "reject_rate"; threshold = 5', "name: missing; write for example name = \"broker-rejects\""),
    ('name = "x"; measure = "rejects"; threshold = 5',
     f'measure: "rejects" is not {MEASURE}; write for example measure = "reject_rate"'),
    ('name = "x"; measure = "fills"; threshold = 0',
     "threshold: 0 is not a number above zero with at most 12 decimals and below 10^16; write for example"
     " threshold = 50"),
    ('name = "x"; measure = "fills"; threshold = 1; window = 0',
     "window: 0 is not a whole number from 1 to 86400; write for example window = 60"),
    ('name = "x"; measure = "fills"; threshold = 1; action = "stop"',
     'action: "stop" is not "block" or "cancel_working"; write for example action = "block"'),
    ('name = "x"; measure = "fills"; threshold = 1; acount = "*"', "acount: unknown key; did you mean account?"),
    ('name = "x"; measure = "database_lag"; threshold = 1; broker = "*"',
     "broker with database_lag; remove broker; a rule of database_lag can name no scope: it is the firm's"),
    ('name = "x"; measure = "refusal_rate"; threshold = 1; broker = "*"',
     "broker with refusal_rate; remove broker; a rule of refusal_rate can name client or account or symbol"),
    ('name = "x"; measure = "errors"; threshold = 1',
     'errors is counted for each session; name one of them: client = "*" or broker = "*"'),
    ('name = "x"; measure = "reject_rate"; threshold = 101',
     "threshold 101 is a percentage; write a number above 0 and up to 100"),
    ('name = "x"; measure = "fills"; threshold = 1; min_count = 5',
     "min_count has an effect only with a percentage; remove min_count"),
    ('name = "x"; measure = "loss"; threshold = 1; window = 5',
     "window has an effect only with a measure that is counted over one; remove window"),
    ('name = "x"; measure = "fills"; threshold = 1; mark = "last"',
     'mark has an effect only with measure = "loss"; remove mark'),
    ('name = "x"; measure = "fills"; threshold = 1; probes = 2',
     "probes has an effect only with rest; remove probes"),
    ('name = "broker-rejects"; measure = "fills"; threshold = 1',
     'name: "broker-rejects" as #1 has; name it otherwise'),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "problem"), WRONG, ids=[problem.split(";")[0][:40] for _, problem in WRONG])
def test_what_cannot_be_meant_is_refused_with_its_place_and_a_remedy(desk: Desk, lines: str, problem: str) -> None:
    (told,) = added(desk, lines).problems()
    assert told.startswith("oms.toml: [[breakers]] #4")
    assert told.removeprefix("oms.toml: [[breakers]] #4").lstrip(": ") == problem


def test_names_that_there_are_not_are_refused_and_patterns_without_any_are_warned_of(desk: Desk) -> None:
    added(desk, 'name = "x"; measure = "fills"; threshold = 1; broker = "BROKER9"; account = "NONE*"')
    (told,) = desk.problems()
    assert told.startswith('oms.toml: [[breakers]] #4 broker: no broker session "BROKER9"')
    desk.change(TOML, 'broker = "BROKER9"', 'broker = "BROKER1"')
    assert [one for one in desk.warnings() if "breakers" in one] == [
        'oms.toml: [[breakers]] #4 account: "NONE*" matches no account there is now; correct it, or leave it for'
        " later"
    ]

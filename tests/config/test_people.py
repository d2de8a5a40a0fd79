"""[operators] and [exceptions]: what they may say, and that nobody can be two people."""

from __future__ import annotations

from typing import get_args

import pytest

from oms.config.load import load
from oms.config.people import Exceptions, Verb
from tests.config.conftest import Desk

TOML = "oms.toml"

BAD = {
    "one user who is two operators": (
        '[operators]\nusers = { ann = "ann", bob = "ann" }',
        "oms.toml: [operators] users: ann and bob are the same system user ann; keep one of them",
    ),
    "an operator's name that is none": (
        '[operators]\nusers = { "a b" = 1001 }',
        'oms.toml: [operators] users: "a b" is no name of an operator; use 1 to 32 letters, digits, _ or -',
    ),
    "a user that is a list": (
        "[operators]\nusers = { ann = [] }",
        'oms.toml: [operators] users: ann = []; write for example ann = "ann", or ann = 1002',
    ),
    "a command that cannot need two people": (
        '[operators]\ntwo_people = ["kill.engage"]',
        'oms.toml: [operators] two_people: "kill.engage" is not a list of '
        + ", ".join(f'"{verb}"' for verb in get_args(Verb))
        + '; write for example two_people = ["fills.add", "fills.correct", "fills.bust", "sessions.set_seq"]',
    ),
    "no time to approve": (
        "[operators]\napproval_minutes = 0",
        "oms.toml: [operators] approval_minutes: 0 is not a whole number from 1 to 10080;"
        " write for example approval_minutes = 60",
    ),
    "no time for a kind": (
        "[exceptions]\nkinds = { overfill = 0 }",
        "oms.toml: [exceptions] kinds: overfill = 0; write a whole number of minutes from 1 to 525600",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_sections_about_people_are_refused_with_file_key_and_remedy(desk: Desk, case: str) -> None:
    section, expected = BAD[case]
    desk.change(TOML, "[inbox]", f"{section}\n[inbox]")
    assert desk.problems() == [expected]


def test_operators_and_times_are_read_and_have_defaults(desk: Desk) -> None:
    plain = load(desk.main)
    assert (plain.operators.users, plain.operators.approval_minutes) == ({}, 60)
    assert {"fills.add", "fills.correct", "fills.bust", "sessions.set_seq"} <= set(plain.operators.two_people)
    text = "[operators]\nusers = { ann = 1001 }\ntwo_people = []\n[exceptions]\nkinds = { overfill = 5 }\n[inbox]"
    desk.change(TOML, "[inbox]", text)
    config = load(desk.main)
    assert (config.operators.users, config.operators.two_people) == ({"ann": 1001}, ())
    asked = (("overfill", "warning"), ("x", "warning"), ("x", "error"))
    times = [config.exceptions.minutes_for(*one) for one in asked]
    assert times == [5, 240, 30]
    assert Exceptions().minutes_for("overfill", "error") == 30

"""What a dialect may not say.

Every case spoils the demo configuration in one place and compares the whole list of messages (I12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.config.conftest import Desk

CFG = "sessions.cfg"
FIX42 = "fix_specs/standard-fix42.toml"
FIX44 = "fix_specs/standard-fix44.toml"

CASES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "a dialect that is not there": (
        ("change", CFG, "OmsDialect=standard-fix44", "OmsDialect=acme"),
        [
            (
                "fix_specs/acme.toml: no such file; create it or correct OmsDialect of [SESSION] CLIENT1 "
                "in sessions.cfg; `oms init DIR` writes an example"
            ),
        ],
    ),
    "a dialect that is not TOML": (
        ("write", FIX44, "name"),
        [
            (
                "fix_specs/standard-fix44.toml: not TOML: Expected '=' after a key in a key/value pair (at "
                "end of document); mend that place; texts need quotes, sections need [ ]"
            ),
        ],
    ),
    "an unknown section": (
        ("append", FIX44, "\n[tag]\n"),
        [
            "fix_specs/standard-fix44.toml: [tag]: unknown section; did you mean tags?",
        ],
    ),
    "a misspelt key": (
        ("append", FIX44, "\nunkown = 'x'\n"),
        [
            "fix_specs/standard-fix44.toml: [tags] unkown: unknown key; did you mean unknown?",
        ],
    ),
    "another name than the file's": (
        ("change", FIX44, 'name = "standard-fix44"', 'name = "acme"'),
        [
            ('fix_specs/standard-fix44.toml: name: "acme" is not the file\'s name; write name = "standard-fix44"'),
        ],
    ),
    "no ord_types": (
        ("change", FIX44, "ord_types = [", "ordtypes = ["),
        [
            ('fix_specs/standard-fix44.toml: ord_types: missing; write for example ord_types = ["market", "limit"]'),
            "fix_specs/standard-fix44.toml: ordtypes: unknown key; did you mean ord_types?",
        ],
    ),
    "an unknown order type": (
        ("change", FIX44, '"stop_limit"]', '"stoplimit"]'),
        [
            (
                'fix_specs/standard-fix44.toml: ord_types: "stoplimit" is no OrdType(40); write one of '
                "market, limit, stop, stop_limit, or the one-character FIX value"
            ),
        ],
    ),
    "an order type that the dictionary lacks": (
        ("change", FIX44, '"stop_limit"]', '"Z"]'),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 OmsDialect: standard-fix44 has ord_types Z, no "
                "OrdType(40) of FIX44.xml; correct the dialect or the dictionary"
            ),
        ],
    ),
    "no time in force": (
        ("change", FIX44, '["day", "gtc", "ioc", "fok"]', "[]"),
        [
            (
                "fix_specs/standard-fix44.toml: times_in_force: [] is not a list of words or FIX values; "
                'write for example times_in_force = ["day", "ioc"]'
            ),
        ],
    ),
    "a time in force that FIX 4.2 lacks": (
        ("change", FIX42, '"fok"]', '"at_the_close"]'),
        [
            (
                "sessions.cfg: [SESSION] CLIENT2 OmsDialect: standard-fix42 has times_in_force 7, no "
                "TimeInForce(59) of FIX42.xml; correct the dialect or the dictionary"
            ),
            (
                "sessions.cfg: [SESSION] BROKER1 OmsDialect: standard-fix42 has times_in_force 7, no "
                "TimeInForce(59) of FIX42.xml; correct the dialect or the dictionary"
            ),
        ],
    ),
    "status_requests that is text": (
        ("change", FIX44, "status_requests = true", 'status_requests = "yes"'),
        [
            (
                'fix_specs/standard-fix44.toml: status_requests: "yes" is not true or false; write for '
                "example status_requests = true"
            ),
        ],
    ),
    "an id length too short for ours": (
        ("change", FIX44, "length = 20", "length = 8"),
        [
            (
                "fix_specs/standard-fix44.toml: max_cl_ord_id_length: 8 is not a whole number from 10 to "
                "255; write for example max_cl_ord_id_length = 20"
            ),
        ],
    ),
    "a negative resend window": (
        ("change", FIX44, "seconds = 10", "seconds = -1"),
        [
            (
                "fix_specs/standard-fix44.toml: resend_window_seconds: -1 is not a whole number from 0 to "
                "86400; write for example resend_window_seconds = 10"
            ),
        ],
    ),
    "a rule that sets the quantity": (
        ("change", FIX44, "set = {}", 'set = { "38" = "1" }'),
        [
            (
                "fix_specs/standard-fix44.toml: [tags] set: tag 38 is the gateway's own; remove 38; rules "
                "are for the other tags"
            ),
        ],
    ),
    "a tag by name": (
        ("change", FIX44, "set = {}", 'set = { "HandlInst" = "1" }'),
        [
            (
                'fix_specs/standard-fix44.toml: [tags] set: "HandlInst" is not a tag number; write the '
                'number of the tag, such as "21"'
            ),
        ],
    ),
    "a value that is a number": (
        ("change", FIX44, "set = {}", 'set = { "21" = 1 }'),
        [
            (
                "fix_specs/standard-fix44.toml: [tags] set: 1 is not a FIX value; write printable text in "
                'quotes, such as "1"'
            ),
        ],
    ),
    "a value with a separator in it": (
        ("change", FIX44, "set = {}", 'set = { "21" = "1\\u000135=8" }'),
        [
            (
                "fix_specs/standard-fix44.toml: [tags] set: '1\\x0135=8' is not a FIX value; write "
                'printable text in quotes, such as "1"'
            ),
        ],
    ),
    "a rule that drops ClOrdID": (
        ("change", FIX44, "drop = []", 'drop = ["11"]'),
        [
            (
                "fix_specs/standard-fix44.toml: [tags] drop: tag 11 is the gateway's own; remove 11; rules "
                "are for the other tags"
            ),
        ],
    ),
    "a drop that is no list": (
        ("change", FIX44, "drop = []", 'drop = "9001"'),
        [
            (
                'fix_specs/standard-fix44.toml: [tags] drop: "9001" is not a list of tag numbers; write '
                'for example drop = ["9001"]'
            ),
        ],
    ),
    "an unknown rule for unknown fields": (
        ("change", FIX44, 'unknown = "reject"', 'unknown = "ignore"'),
        [
            (
                'fix_specs/standard-fix44.toml: [tags] unknown: "ignore" is not "reject", "drop" or '
                '"pass"; write for example unknown = "reject"'
            ),
        ],
    ),
    "reports cannot be rejected": (
        ("change", FIX44, 'unknown_reports = "drop"', 'unknown_reports = "reject"'),
        [
            (
                'fix_specs/standard-fix44.toml: [tags] unknown_reports: "reject" is not "drop" or "pass"; '
                'write for example unknown_reports = "drop"'
            ),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_dialect_is_refused_with_file_key_and_remedy(desk: Desk, case: str) -> None:
    (action, *arguments), expected = CASES[case]
    getattr(desk, action)(*arguments)
    assert desk.problems() == expected

"""What tag rules may not say, and which do not fit the counterparty's dictionary: file, key, remedy (I12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oms.config.dialects import OWN_ID_LENGTH
from oms.core.book import number_id

if TYPE_CHECKING:
    from tests.config.conftest import Desk

FIX44 = "fix_specs/standard-fix44.toml"
SYMBOLS = "fix_specs/symbols.csv"

# The text added to the dialect, and all that is said about it.
CASES: dict[str, tuple[str, str]] = {
    "a rule without an action": (
        '[[to_counterparty]]\nmessages = ["D"]',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1: does nothing; add rename, drop, map, "
        "default, set or require, or remove it",
    ),
    "a misspelt action": (
        '[[to_counterparty]]\nrenam = { "7001" = "9001" }',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1 renam: unknown key; did you mean rename?",
    ),
    "a misspelt section": (
        '[[to_counterparties]]\ndrop = ["58"]',
        "fix_specs/standard-fix44.toml: to_counterparties: unknown key; did you mean to_counterparty?",
    ),
    "the second of two rules": (
        '[[to_counterparty]]\ndrop = ["58"]\n[[to_counterparty]]\ndrop = "59"',
        'fix_specs/standard-fix44.toml: [[to_counterparty]] #2 drop: "59" is not a list of tag numbers; '
        'write for example drop = ["9002"]',
    ),
    "a rule that renames the quantity": (
        '[[to_counterparty]]\nrename = { "38" = "9001" }',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1 rename: tag 38 is the gateway's own; "
        "remove 38; rules are for the other tags",
    ),
    "a rule that renames into the price": (
        '[[from_counterparty]]\nrename = { "9001" = "44" }',
        "fix_specs/standard-fix44.toml: [[from_counterparty]] #1 rename: tag 44 is the gateway's own; "
        "remove 44; rules are for the other tags",
    ),
    "a rule that maps OrdType": (
        '[[to_counterparty]]\nmap = { "40" = { "2" = "L" } }',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1 map: tag 40 is the gateway's own; remove "
        "40; rules are for the other tags",
    ),
    "a rule that sets what was filled": (
        '[[from_counterparty]]\nset = { "32" = "1" }',
        "fix_specs/standard-fix44.toml: [[from_counterparty]] #1 set: tag 32 says what happened; remove "
        "32; no rule may change it",
    ),
    "a rule for Symbol": (
        '[[to_counterparty]]\nmap = { "55" = { "AAPL" = "APPLE" } }',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1 map: tag 55 is the gateway's own; write a"
        ' [[translate]] section with tag = "55"',
    ),
    "a tag by name": (
        '[[to_counterparty]]\nset = { "Account" = "X" }',
        'fix_specs/standard-fix44.toml: [[to_counterparty]] #1 set: "Account" is not a tag number; write'
        ' the number of the tag, such as "21"',
    ),
    "a value that is a number": (
        '[[to_counterparty]]\nset = { "9001" = 1 }',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1 set: 1 is not a FIX value; write "
        'printable text in quotes, such as "1"',
    ),
    "a map without tables": (
        '[[to_counterparty]]\nmap = { "100" = "Q" }',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1 map: a section is not a table of tag to a"
        ' table of value to value; write for example map = { "100" = { "XNAS" = "Q", "XNYS" = "N" } }',
    ),
    "messages by name": (
        '[[to_counterparty]]\nmessages = ["NewOrderSingle"]\ndrop = ["58"]',
        'fix_specs/standard-fix44.toml: [[to_counterparty]] #1 messages: ["NewOrderSingle"] is not a '
        'list of MsgType(35) values; write for example messages = ["D", "G"]',
    ),
    "messages that are never refused": (
        '[[to_counterparty]]\nmessages = ["D", "F"]\nrequire = ["9001"]',
        'fix_specs/standard-fix44.toml: [[to_counterparty]] #1: messages has "F", which is never '
        'refused: cancels and reports always pass; write messages = ["D", "G"]',
    ),
    "two fields renamed into one": (
        '[[to_counterparty]]\nrename = { "7001" = "9001", "7002" = "9001" }',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1: rename gives two fields one tag; give each its own",
    ),
    "the length of data renamed": (
        '[[to_counterparty]]\nrename = { "354" = "9001" }',
        "fix_specs/standard-fix44.toml: [[to_counterparty]] #1 rename: tag 354 is a data field or its "
        "length; remove 354; it can only be dropped",
    ),
    "an unknown word for unmapped": (
        '[[translate]]\ntag = "1"\ntable = { "A" = "B" }\nunmapped = "reject"',
        'fix_specs/standard-fix44.toml: [[translate]] #1 unmapped: "reject" is not "pass" or "refuse"; '
        'write for example unmapped = "refuse"',
    ),
    "a translation without a tag": (
        '[[translate]]\ntable = { "A" = "B" }',
        'fix_specs/standard-fix44.toml: [[translate]] #1 tag: missing; write for example tag = "55"',
    ),
    "a translation of the side": (
        '[[translate]]\ntag = "54"\ntable = { "1" = "B" }',
        "fix_specs/standard-fix44.toml: [[translate]] #1 tag: tag 54 is the gateway's own; remove 54; "
        "rules are for the other tags",
    ),
    "a translation with neither table nor file": (
        '[[translate]]\ntag = "55"',
        "fix_specs/standard-fix44.toml: [[translate]] #1: neither table nor file; write one of them, for"
        ' example file = "acme-symbols.csv"',
    ),
    "a translation with both": (
        '[[translate]]\ntag = "55"\ntable = { "A" = "B" }\nfile = "x.csv"',
        "fix_specs/standard-fix44.toml: [[translate]] #1: both table and file; write one of them, for "
        'example file = "acme-symbols.csv"',
    ),
    "two of ours that are one of theirs": (
        '[[translate]]\ntag = "1"\ntable = { "A" = "X", "B" = "X" }',
        'fix_specs/standard-fix44.toml: [[translate]] #1 table: "X" stands for "A" and "B"; give each '
        "its own, so that the way back is known",
    ),
    "a file that is not there": (
        '[[translate]]\ntag = "55"\nfile = "nowhere.csv"',
        "fix_specs/nowhere.csv: no such file; create it or correct [[translate]] #1 file in standard-"
        "fix44.toml; `oms init DIR` writes an example",
    ),
    "a group that loses what its entries begin with": (
        '[[to_counterparty]]\ndrop = ["448"]',
        "sessions.cfg: [SESSION] CLIENT1 OmsDialect: standard-fix44: [[to_counterparty]] #1 drop: 448 "
        "begins every entry of its repeating group; drop the group by its count field",
    ),
    "a member of a group that leaves it": (
        '[[to_counterparty]]\nmessages = ["D"]\nrename = { "447" = "9001" }',
        "sessions.cfg: [SESSION] CLIENT1 OmsDialect: standard-fix44: [[to_counterparty]] #1 rename: 447 "
        "is a member of repeating group 453 of FIX44.xml, 9001 is not; add field 9001 to the group in "
        "the dictionary",
    ),
    "a field that moves into a group": (
        '[[from_counterparty]]\nmessages = ["D"]\nrename = { "9001" = "447" }',
        "sessions.cfg: [SESSION] CLIENT1 OmsDialect: standard-fix44: [[from_counterparty]] #1 rename: "
        "447 is only there in repeating group 453 of FIX44.xml, 9001 is not; name a field that stands "
        "outside groups",
    ),
    "a member set outside its group": (
        '[[to_counterparty]]\nmessages = ["D"]\nset = { "452" = "1" }',
        "sessions.cfg: [SESSION] CLIENT1 OmsDialect: standard-fix44: [[to_counterparty]] #1 set: 452 is "
        "only there in repeating groups of FIX44.xml; remove 452; groups come from the other side",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rule_that_cannot_be_is_refused_with_file_key_and_remedy(desk: Desk, case: str) -> None:
    text, said = CASES[case]
    problems = desk.append(FIX44, f"\n{text}\n").problems()
    assert problems == [said]


def test_an_unknown_way_to_replace_is_refused(desk: Desk) -> None:
    desk.change(FIX44, "[tags]", 'replace = "cancel"\n[tags]')
    assert desk.problems() == [
        'fix_specs/standard-fix44.toml: replace: "cancel" is not "request" or "cancel_new"; write for example'
        ' replace = "cancel_new"'
    ]


def translated(desk: Desk, lines: str) -> Desk:
    """A dialect that translates Symbol(55) by a file."""
    desk.append(FIX44, '\n[[translate]]\ntag = "55"\nfile = "symbols.csv"\n')
    return desk.write(SYMBOLS, lines)


def test_the_table_of_a_translation_is_read_from_its_file(desk: Desk) -> None:
    config = translated(desk, "# ours first\nours,theirs\nAAPL,AAPL.O\nSAP,SAPG.DE\n").load()
    (rule,) = config.sessions["CLIENT1"].dialect.translate
    assert (rule.tag, rule.table, rule.unmapped) == (55, {"AAPL": "AAPL.O", "SAP": "SAPG.DE"}, "pass")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "fix_specs/symbols.csv: empty; begin with the header line ours,theirs"),
        ("ours,theirs\n", "fix_specs/symbols.csv: no line below the header; add at least one ours"),
        (
            "ours,their\nA,B\n",
            'fix_specs/symbols.csv: line 1 (header): unknown column "their"; did you mean theirs?\n'
            "fix_specs/symbols.csv: line 1 (header): no column theirs; add it; known here: ours, theirs",
        ),
        ("ours,theirs\nA,B\nA,C\n", 'fix_specs/symbols.csv: line 3 ours: "A" is on line 2 too; keep one'),
        (
            "ours,theirs\nA,X\nB,X\n",
            'fix_specs/symbols.csv: theirs "X" stands for "A" and "B"; give each its own, so that the way back is'
            " known",
        ),
        (
            "ours,theirs\nA\n",
            "fix_specs/symbols.csv: line 2: 1 values for 2 columns; write one value per column; leave optional ones"
            " empty, and quote values that contain a comma",
        ),
    ],
)
def test_a_bad_table_is_refused_with_file_line_and_remedy(desk: Desk, lines: str, said: str) -> None:
    assert "\n".join(translated(desk, lines).problems()) == said


def test_every_rule_that_is_shown_as_an_example_can_be_read(desk: Desk) -> None:
    desk.append(
        FIX44,
        """
[[to_counterparty]]
messages = ["D", "G"]
rename = { "7001" = "9001" }
drop = ["453", "355"]
map = { "100" = { "XNAS" = "Q" } }
unmapped = "refuse"
default = { "21" = "1" }
set = { "9002" = "A" }
require = ["9001"]
""",
    )
    (rule,) = desk.load().sessions["CLIENT1"].dialect.to_counterparty
    assert (rule.messages, rule.rename, rule.drop) == ({"D", "G"}, {7001: 9001}, {453, 355})
    assert (rule.map, rule.unmapped, rule.default) == ({100: {"XNAS": "Q"}}, "refuse", {21: "1"})
    assert (rule.set, rule.require) == ({9002: "A"}, {9001})


def test_no_id_of_ours_is_longer_than_the_shortest_limit_that_can_be_written() -> None:
    assert {len(number_id("C", number)) for number in (1, 36**9 - 1)} == {OWN_ID_LENGTH}

"""`oms dialect`: the dry run of tag rules as a person and a script see it, and lists of what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from oms.cli.main import oms
from oms.core.messages import Outgoing
from oms.fix.encode import Encoder
from tests.fix.test_rules import pairs, spec_of

SOH = "\x01"
RULES = """
name = "acme"
description = "Acme, equities"
ord_types = ["market", "limit"]
times_in_force = ["day"]

[tags]
set = { "21" = "1" }
drop = ["58"]

[[translate]]
tag = "55"
file = "acme-symbols.csv"
unmapped = "refuse"

[[to_counterparty]]
messages = ["D", "G"]
rename = { "7001" = "9001" }
drop = ["453"]
set = { "57" = "DESK7" }
require = ["9001"]

[[from_counterparty]]
rename = { "9001" = "7001" }
"""
ORDER = "35=D|11=A1|55=AAPL|7001=x|453=1|448=P|447=D|452=1|58=hi|60=20260302-13:00:00"


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    (tmp_path / "acme-symbols.csv").write_text("ours,theirs\nAAPL,AAPL.O\n")
    file = tmp_path / "acme.toml"
    file.write_text(RULES)
    return file


def run(*command: str, text: str | None = None) -> Result:
    return CliRunner().invoke(oms, ["dialect", *command], input=text, prog_name="oms")


def as_json(*command: str, exit_code: int = 0) -> Any:
    result = run(*command, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def table(result: Result) -> list[str]:
    """The lines of the tables, with single spaces."""
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    return [line for line in lines if line.strip(" ─")]


def test_a_message_to_the_counterparty_is_shown_tag_by_tag_with_the_rule_that_did_it(acme: Path) -> None:
    result = run("test", str(acme), ORDER, "--to-counterparty")
    assert result.exit_code == 0
    assert table(result) == [
        "To the counterparty",
        "before after by",
        "MsgType(35) D MsgType(35) D",
        "ClOrdID(11) A1 ClOrdID(11) A1",
        "Symbol(55) AAPL Symbol(55) AAPL.O [[translate]] #1",
        "(7001) x (9001) x [[to_counterparty]] #1 rename",
        "NoPartyIDs(453) 1 dropped [[to_counterparty]] #1 drop",
        "PartyID(448) P dropped [[to_counterparty]] #1 drop",
        "PartyIDSource(447) D dropped [[to_counterparty]] #1 drop",
        "PartyRole(452) 1 dropped [[to_counterparty]] #1 drop",
        "Text(58) hi dropped [tags] drop",
        "TransactTime(60) 20260302-13:00:00 TransactTime(60) 20260302-13:00:00",
        "TargetSubID(57) DESK7 [[to_counterparty]] #1 set",
        "HandlInst(21) 1 [tags] set",
        "Passes; 9 fields changed.",
    ]


def test_a_message_from_the_counterparty_is_shown_as_the_gateway_would_read_it(acme: Path) -> None:
    result = run("test", str(acme), "8=FIX.4.4|35=8|55=AAPL.O|9001=x", "--from-counterparty")
    assert result.exit_code == 0
    assert table(result)[2:] == [
        "BeginString(8) FIX.4.4 BeginString(8) FIX.4.4",
        "MsgType(35) 8 MsgType(35) 8",
        "Symbol(55) AAPL.O Symbol(55) AAPL [[translate]] #1",
        "(9001) x (7001) x [[from_counterparty]] #1 rename",
        "Passes; 2 fields changed.",
    ]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("35=D|55=AAPL", "field (9001) is missing, and required by [[to_counterparty]] #1"),
        ("35=D|55=IBM|7001=x", "Symbol(55) IBM has no other value in [[translate]] #1"),
        ("35=D|55=AAPL|7001=x|4999=y", "field 4999 is not in FIX44.xml ([tags] unknown = reject)"),
    ],
)
def test_what_would_be_refused_is_said_with_the_reason_and_exit_code_1(acme: Path, order: str, said: str) -> None:
    result = run("test", str(acme), order, "--to-counterparty")
    assert (result.exit_code, table(result)[-1]) == (1, f"Refused: {said}.")
    found = as_json("test", str(acme), order, "--to-counterparty", exit_code=1)
    assert (found["passes"], found["refusal"]) == (False, said)


def test_json_has_every_field_and_the_whole_message(acme: Path) -> None:
    found = as_json("test", str(acme), "35=D|55=AAPL|7001=x", "--to-counterparty")
    assert found["fields"][1] == {
        "was_tag": "55", "before": "AAPL", "tag": "55", "after": "AAPL.O", "by": "[[translate]] #1",
    }  # fmt: skip
    assert (found["passes"], found["refusal"]) == (True, "")
    assert found["message"] == "35=D|55=AAPL.O|9001=x|57=DESK7|21=1|"


def test_the_dry_run_gives_the_fields_that_the_gateway_would_send(acme: Path) -> None:
    found = as_json("test", str(acme), ORDER, "--to-counterparty")
    spec = spec_of(
        tags={"set": {"21": "1"}, "drop": ["58"]},
        translate=[{"tag": "55", "table": {"AAPL": "AAPL.O"}}],
        to_counterparty=[{"messages": ["D"], "rename": {"7001": "9001"}, "drop": ["453"], "set": {"57": "DESK7"}}],
    )
    body = tuple(pair for pair in pairs(ORDER) if pair[0] not in ("35", "11"))
    sent = Encoder(spec).encode(Outgoing(1, "THEM", "D", "", {"11": "A1"}, body)).text
    assert sorted(found["message"][:-1].split("|")) == sorted(sent[:-1].split(SOH))


def test_the_message_may_come_from_standard_input_and_with_soh(acme: Path) -> None:
    text = "8=FIX.4.2|9=5|35=D|55=AAPL|7001=x|10=000|\n".replace("|", SOH)
    result = run("test", str(acme), "-", "--to-counterparty", "--json", text=text)
    found = json.loads(result.stdout)
    assert (result.exit_code, found["dictionary"].endswith("FIX42.xml")) == (0, True)
    assert found["message"] == "35=D|55=AAPL.O|9001=x|57=DESK7|21=1|"


def test_the_dictionary_is_the_one_beside_the_dialect_or_the_one_named(acme: Path) -> None:
    root = Path(__file__).parents[2] / "fix_specs"
    order = ("35=D|11=A1|55=AAPL|7001=x", "--to-counterparty")
    found = as_json("test", str(root / "custom-tags-fix50sp2.toml"), *order)
    assert found["dictionary"] == str(root / "custom-tags-fix50sp2.xml")
    assert as_json("test", str(acme), *order, "--version", "5.0SP2")["dictionary"].endswith("FIX50SP2.xml")
    assert as_json("test", str(acme), *order, "--dictionary", "FIX42.xml")["dictionary"].endswith("FIX42.xml")


def test_a_dictionary_that_uses_what_it_does_not_define_is_told(acme: Path) -> None:
    bad = acme.with_suffix(".xml")
    bad.write_text(
        '<fix type="FIX" major="4" minor="4"><messages><message name="NewOrderSingle" msgtype="D">'
        '<field name="Nothing"/></message></messages></fix>'
    )
    result = run("test", str(acme), ORDER, "--to-counterparty")
    said = f"oms: {acme}: acme.xml has 'Nothing' in a message and does not define it; correct the dictionary\n"
    assert (result.exit_code, result.stderr) == (2, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ORDER",), "which way does the message go? write --to-counterparty or --from-counterparty"),
        (
            ("ORDER", "--to-counterparty", "--from-counterparty"),
            "which way does the message go? write --to-counterparty or --from-counterparty",
        ),
        (
            ("hello", "--to-counterparty"),
            "MESSAGE is no FIX text; write for example '35=D|11=A1|55=AAPL|54=1|38=100|40=1'",
        ),
        (
            ("ORDER", "--to-counterparty", "--dictionary", "none.xml"),
            "no data dictionary none.xml; name one with --dictionary, or leave it to --version",
        ),
    ],
)
def test_bad_input_is_one_message_with_the_remedy_and_exit_code_2(
    acme: Path, arguments: tuple[str, ...], said: str
) -> None:
    given = [ORDER if one == "ORDER" else one for one in arguments]
    result = run("test", str(acme), *given)
    assert (result.exit_code, result.stderr) == (2, f"oms: {said}\n")


def test_a_dialect_that_cannot_be_read_is_told_with_its_key(acme: Path) -> None:
    acme.write_text(RULES.replace('drop = ["453"]', 'drop = ["448"]'))
    said = (
        "[[to_counterparty]] #1 drop: 448 begins every entry of its repeating group;"
        " drop the group by its count field"
    )
    result = run("test", str(acme), ORDER, "--to-counterparty")
    assert (result.exit_code, result.stderr) == (2, f"oms: {acme}: {said}\n")
    acme.write_text("name = 1")
    result = run("show", str(acme))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"oms: {acme}: name: 1 is not text; write for example name = ")


def test_show_tells_everything_with_defaults(acme: Path) -> None:
    lines = table(run("show", str(acme)))
    assert "replace request" in lines
    assert "[[translate]] #1 table AAPL = AAPL.O" in lines
    assert "[[to_counterparty]] #1 rename 7001 = 9001" in lines
    assert as_json("show", str(acme))["to_counterparty"][0]["set"] == {"57": "DESK7"}


def test_list_has_the_standard_dialects_and_those_of_the_directory(acme: Path) -> None:
    found = as_json("list", "--directory", str(acme.parent))
    assert [one["name"] for one in found] == ["standard-fix42", "standard-fix44", "standard-fix50sp2", "acme"]
    assert found[-1] == {
        "name": "acme",
        "description": "Acme, equities",
        "rules": "1 to_counterparty, 1 from_counterparty, 1 translate",
        "file": str(acme),
    }

"""Tag rules on messages both ways: every kind of rule, repeating groups, data, FIX 4.2, 4.4 and 5.0 SP2."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from oms.config.dialects import Dialect
from oms.core import messages as m
from oms.core.messages import Outgoing, Pairs
from oms.fix.decode import decode_guarded
from oms.fix.encode import Encoder, allowed_tags, incoming_rules, refusals
from oms.fix.rules import Rules, as_read, as_refused, noted, storable
from tests.fix.conftest import session_spec

SOH = "\x01"
DAY = date(2026, 3, 2)
VERSIONS = ("4.2", "4.4", "5.0SP2")
ACCOUNTS = {"tag": "1", "table": {"FUND1": "77", "FUND2": "78"}}
SYMBOLS = {"tag": "55", "table": {"AAPL": "AAPL.O", "SAP": "SAPG.DE"}}


def pairs(text: str) -> Pairs:
    return tuple((tag, value) for tag, _, value in (part.partition("=") for part in text.split("|") if part))


def spec_of(version: str = "4.4", tags: dict[str, Any] | None = None, **sections: Any) -> Any:
    """A session whose dialect has these sections."""
    plain = session_spec(version, **(tags or {}))
    dialect = Dialect(name="x", ord_types=["limit"], times_in_force=["day"], tags=plain.dialect.tags, **sections)  # type: ignore[arg-type]
    return replace(plain, dialect=dialect)


def to(rule: dict[str, Any], body: str, version: str = "4.4", kind: str = "D", **more: Any) -> str:
    """What leaves of a message with ClOrdID(11) C1 and this body, | for SOH."""
    spec = spec_of(
        version, more.pop("tags", None), to_counterparty=[rule] if rule else [], **more.pop("sections", {})
    )
    out = Outgoing(1, "THEM", kind, "O1", {"11": "C1"}, pairs(body), **more)
    return Encoder(spec).encode(out).text[:-1].replace(SOH, "|").removeprefix(f"35={kind}|")


def read(text: str, *rules: dict[str, Any], **sections: Any) -> tuple[str, m.Problem | None]:
    """What the gateway takes a message for, and why it would refuse it."""
    found = incoming_rules(spec_of(from_counterparty=list(rules), **sections))
    assert found is not None
    made, refusal = found.read(text.replace("|", SOH) + SOH)
    return made[:-1].replace(SOH, "|"), refusal


# -- every kind of rule, to the counterparty ----------------------------------------------------------------------

KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "rename": ({"rename": {"7001": "9001"}}, "11=C1|55=IBM|9001=a|58=hi"),
    "rename of what is not there": ({"rename": {"7009": "58"}}, "11=C1|55=IBM|7001=a|58=hi"),
    "rename into a tag that is there": ({"rename": {"7001": "58"}}, "11=C1|55=IBM|58=a"),
    "two that change places": ({"rename": {"7001": "58", "58": "7001"}}, "11=C1|55=IBM|58=a|7001=hi"),
    "drop": ({"drop": ["7001", "58"]}, "11=C1|55=IBM"),
    "map": ({"map": {"7001": {"a": "ALPHA", "b": "BETA"}}}, "11=C1|55=IBM|7001=ALPHA|58=hi"),
    "map of another value": ({"map": {"7001": {"b": "BETA"}}}, "11=C1|55=IBM|7001=a|58=hi"),
    "default where absent": ({"default": {"9001": "x"}}, "11=C1|55=IBM|7001=a|58=hi|9001=x"),
    "default where present": ({"default": {"7001": "x"}}, "11=C1|55=IBM|7001=a|58=hi"),
    "set where absent": ({"set": {"9001": "x"}}, "11=C1|55=IBM|7001=a|58=hi|9001=x"),
    "set where present": ({"set": {"7001": "x"}}, "11=C1|55=IBM|7001=x|58=hi"),
    "set of a field that the dictionary lacks": ({"set": {"4999": "x"}}, "11=C1|55=IBM|7001=a|58=hi"),
    "require": ({"require": ["7001"]}, "11=C1|55=IBM|7001=a|58=hi"),
    "for other messages": ({"messages": ["G"], "drop": ["58"]}, "11=C1|55=IBM|7001=a|58=hi"),
    "several in one, in their order": (
        {
            "rename": {"7001": "9001"},
            "drop": ["58"],
            "map": {"9001": {"a": "A"}},
            "default": {"9001": "x", "9002": "y"},
        },
        "11=C1|55=IBM|9001=A|9002=y",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_rule_does_to_a_message_that_leaves(kind: str) -> None:
    rule, wanted = KINDS[kind]
    assert to(rule, "55=IBM|7001=a|58=hi") == wanted


def test_rules_act_in_the_order_of_the_file() -> None:
    spec = spec_of(to_counterparty=[{"rename": {"7001": "9001"}}, {"map": {"9001": {"a": "b"}}}, {"drop": ["9001"]}])
    out = Outgoing(1, "THEM", "D", "O1", {"11": "C1"}, pairs("55=IBM|7001=a"))
    assert Encoder(spec).encode(out) == (f"35=D{SOH}11=C1{SOH}55=IBM{SOH}", ("9001",))


@pytest.mark.parametrize("version", VERSIONS)
def test_ids_and_terms_are_out_of_reach_and_the_rest_is_as_without_rules(version: str) -> None:
    body = "55=IBM|54=1|38=100|40=2|44=10|59=0|60=20260302-13:00:00"
    before = to({}, body, version)
    assert to({"set": {"9001": "x"}}, body, version).replace("|9001=x", "") == before


def test_a_field_of_the_header_is_set() -> None:
    assert to({"set": {"57": "DESK"}}, "55=IBM") == "57=DESK|11=C1|55=IBM"


@pytest.mark.parametrize("version", VERSIONS)
def test_defaults_that_a_version_requires_pass_the_rules_too(version: str) -> None:
    text = to({}, "54=1", version, "F", defaults=(("55", "AAPL"),), sections={"translate": [SYMBOLS]})
    assert ("55=AAPL.O" in text) == (version == "4.2")
    assert "55=AAPL|" not in text + "|"


def test_a_field_that_a_rule_takes_is_none_that_the_broker_refuses() -> None:
    spec = spec_of(to_counterparty=[{"messages": ["D"], "rename": {"4999": "9001"}, "drop": ["4998"]}])
    assert {"4999", "4998"} <= (allowed_tags(spec, "D") or set())
    assert not {"4999", "4998"} & (allowed_tags(spec, "G") or set())


# -- repeating groups and data --------------------------------------------------------------------------------------

PARTIES = "453=2|448=P1|447=D|452=1|802=1|523=s|803=4|448=P2|447=D|452=3"


@pytest.mark.parametrize("version", ["4.4", "5.0SP2"])
def test_a_count_field_takes_its_whole_group_with_what_is_nested_in_it(version: str) -> None:
    assert to({"drop": ["453"]}, f"55=IBM|{PARTIES}|58=hi", version) == "11=C1|55=IBM|58=hi"


def test_the_group_of_4_2_goes_whole_as_well() -> None:
    assert to({"drop": ["78"]}, "55=IBM|78=2|79=A|80=1|79=B|80=2|58=hi", "4.2") == "11=C1|55=IBM|58=hi|21=1"


def test_a_member_is_dropped_in_every_entry_and_the_group_stays_in_its_order() -> None:
    wanted = "11=C1|55=IBM|453=2|448=P1|452=1|802=1|523=s|803=4|448=P2|452=3|58=hi"
    assert to({"drop": ["447"]}, f"55=IBM|{PARTIES}|58=hi") == wanted


def test_members_are_renamed_and_mapped_where_they_stand() -> None:
    rule = {"rename": {"452": "447", "447": "452"}, "map": {"448": {"P1": "ONE"}}}
    wanted = "11=C1|55=IBM|453=2|448=ONE|452=D|447=1|802=1|523=s|803=4|448=P2|452=D|447=3"
    assert to(rule, f"55=IBM|{PARTIES}") == wanted


def test_a_data_field_goes_with_its_length_and_the_other_way_round() -> None:
    data = f"a{SOH}11=EVIL{SOH}b"
    for tag in ("354", "355"):
        spec = spec_of(to_counterparty=[{"drop": [tag]}])
        out = Outgoing(1, "THEM", "D", "O1", {"11": "C1"}, (("55", "IBM"), ("354", "11"), ("355", data)))
        assert Encoder(spec).encode(out) == (f"35=D{SOH}11=C1{SOH}55=IBM{SOH}", ("354", "355"))


def test_data_that_no_rule_means_passes_incoming_rules_untouched() -> None:
    data = f"a{SOH}7001=EVIL{SOH}b"
    text = f"35=D{SOH}11=A{SOH}7001=x{SOH}354={len(data)}{SOH}355={data}{SOH}"
    rules = incoming_rules(spec_of(from_counterparty=[{"rename": {"7001": "9001"}}]))
    assert rules is not None
    assert rules.read(text)[0] == text.replace("7001=x", "9001=x")


# -- translation, and what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_values_are_translated_to_the_counterparty_and_back(version: str) -> None:
    there = to({}, "1=FUND1|55=AAPL|54=1", version, sections={"translate": [SYMBOLS, ACCOUNTS]})
    assert "1=77|55=AAPL.O|54=1" in there
    assert read("35=8|1=77|55=AAPL.O", translate=[SYMBOLS, ACCOUNTS]) == ("35=8|1=FUND1|55=AAPL", None)
    assert read("35=8|1=99|55=AAPL", translate=[SYMBOLS, ACCOUNTS]) == ("35=8|1=99|55=AAPL", None)


def test_rules_see_our_values_on_the_way_there_and_back() -> None:
    rule = {"map": {"1": {"FUND2": "FUND1"}}}
    assert to(rule, "1=FUND2", sections={"translate": [ACCOUNTS]}) == "11=C1|1=77"
    assert read("35=8|1=78", rule, translate=[ACCOUNTS]) == ("35=8|1=FUND1", None)


REFUSED = [
    ("D", {"require": ["9001"]}, {}, ("field (9001)", "is missing, and required by [[X]] #1", "99")),
    ("G", {"require": ["9001"]}, {}, ("field (9001)", "is missing, and required by [[X]] #1", "99")),
    ("F", {"require": ["9001"]}, {}, None),
    ("8", {"require": ["9001"]}, {}, None),
    (
        "D",
        {"map": {"100": {"XNAS": "Q"}}, "unmapped": "refuse"},
        {},
        ("ExDestination(100)", "XPAR has no other value in [[X]] #1 map", "99"),
    ),
    ("D", {}, SYMBOLS | {"unmapped": "refuse"}, ("Symbol(55)", "IBM has no other value in [[translate]] #1", "1")),
    (
        "D",
        {},
        ACCOUNTS | {"unmapped": "refuse"},
        ("Account(1)", "FUND9 has no other value in [[translate]] #1", "15"),
    ),
    ("9", {}, SYMBOLS | {"unmapped": "refuse"}, None),
    ("D", {}, SYMBOLS, None),
]


@pytest.mark.parametrize(("kind", "rule", "table", "wanted"), REFUSED)
def test_orders_and_replaces_are_refused_and_nothing_else_is(
    kind: str, rule: dict[str, Any], table: dict[str, Any], wanted: tuple[str, str, str] | None
) -> None:
    sections: dict[str, Any] = {"translate": [table]} if table else {}
    text = f"35={kind}|1=FUND9|55=IBM|100=XPAR"
    problem = read(text, *([rule] if rule else []), **sections)[1]
    assert problem == (wanted and m.Problem(wanted[0], wanted[1].replace("X]", "from_counterparty]"), wanted[2]))

    refuses = refusals(spec_of(to_counterparty=[rule] if rule else [], **sections))
    said = refuses(kind, pairs(text)) if refuses is not None else ""
    assert said == (f"{wanted[0]} {wanted[1]}".replace("X]", "to_counterparty]") if wanted else "")


def test_a_broker_whose_rules_refuse_nothing_is_not_asked() -> None:
    assert refusals(spec_of(to_counterparty=[{"drop": ["58"]}], translate=[SYMBOLS])) is None


# -- from the counterparty, and what the journal keeps --------------------------------------------------------------

ORDER = "8=FIX.4.4|35=D|34=2|11=A1|55=AAPL.O|54=1|38=100|40=2|44=10|7001=a|10=000"


def test_a_session_without_rules_has_none() -> None:
    assert incoming_rules(session_spec("4.4")) is None
    assert incoming_rules(spec_of(to_counterparty=[{"drop": ["58"]}])) is None


def test_the_order_is_read_as_the_rules_made_it() -> None:
    text, refusal = read(
        ORDER, {"messages": ["D"], "rename": {"7001": "9001"}, "default": {"1": "FUND1"}}, translate=[SYMBOLS]
    )
    assert (text, refusal) == (
        "8=FIX.4.4|35=D|34=2|11=A1|55=AAPL|54=1|38=100|40=2|44=10|9001=a|10=000|1=FUND1",
        None,
    )
    body, _ = decode_guarded(text.replace("|", SOH), DAY, from_broker=False, fix42=False)
    assert isinstance(body, m.NewOrder)
    assert (body.symbol, body.account, body.problem) == ("AAPL", "FUND1", None)


def test_a_message_that_no_rule_changes_is_the_same_text() -> None:
    rules = incoming_rules(spec_of(from_counterparty=[{"drop": ["9001"]}]))
    assert rules is not None
    raw = ORDER.replace("|", SOH)
    assert rules.read(raw)[0] is raw


def test_a_text_that_is_no_fix_is_left_for_decoding_to_say_so() -> None:
    rules = incoming_rules(spec_of(from_counterparty=[{"drop": ["9001"]}]))
    assert rules is not None
    assert rules.read(f"35=D{SOH}x=1{SOH}") == (f"35=D{SOH}x=1{SOH}", None)


@pytest.mark.parametrize("name", ["plain", "M\xfcller", "\udcff", "\u65e5\u672c", "a\x00b"])
def test_replay_reads_the_same_whatever_the_rules_say_by_then(name: str) -> None:
    rules = incoming_rules(spec_of(from_counterparty=[{"rename": {"7001": "9001"}, "require": ["9009"]}]))
    assert rules is not None
    raw = f"{ORDER}|58={name}".replace("|", SOH)
    text, refusal = rules.read(raw)
    detail: dict[str, Any] = {}
    live = noted(decode_guarded(text, DAY, from_broker=False, fix42=False)[0], refusal, raw, text, detail)
    again = as_read(raw.encode("utf-8", "surrogateescape"), detail)
    replayed = as_refused(decode_guarded(again, DAY, from_broker=False, fix42=False)[0], detail)
    assert replayed == live
    assert isinstance(live, m.NewOrder)
    assert live.problem == m.Problem("field (9009)", "is missing, and required by [[from_counterparty]] #1", "99")
    storable(text).encode()  # what JSON can hold


def test_a_counterparty_that_invents_message_types_does_not_fill_the_memory() -> None:
    rules = incoming_rules(spec_of(from_counterparty=[{"drop": ["9001"]}]))
    assert isinstance(rules, Rules)
    for number in range(1000):
        rules.read(f"35=U{number}{SOH}9001=x{SOH}")
    assert len(rules._by_type) <= 100


def test_a_group_that_comes_goes_whole_as_well_and_members_stay_where_they_stand() -> None:
    text = f"35=D|55=IBM|{PARTIES}|58=hi"
    assert read(text, {"drop": ["453"]})[0] == "35=D|55=IBM|58=hi"
    assert read(text, {"drop": ["802"]})[0] == text.replace("|802=1|523=s|803=4", "")
    assert read(text, {"map": {"448": {"P2": "TWO"}}})[0] == text.replace("448=P2", "448=TWO")

"""The core's messages in each counterparty's words: version, dictionary, dialect; nothing dropped in silence."""

from __future__ import annotations

from typing import Any

import pytest

from oms.core.messages import Outgoing, Pairs
from oms.fix.encode import allowed_tags
from tests.fix.conftest import encoder, session_spec

SOH = "\x01"
REPORT = {
    "37": "O1", "11": "A1", "17": "E1", "150": "0", "39": "0", "55": "IBM", "54": "1", "38": "100", "40": "2",
    "151": "100", "14": "0", "6": "0",
}  # fmt: skip


def pairs(text: str) -> Pairs:
    return tuple((tag, value) for tag, _, value in (part.partition("=") for part in text.split("|") if part))


def report(**fields: str) -> Outgoing:
    """An ExecutionReport(8) with these fields otherwise, written t39="1"."""
    return Outgoing(1, "THEM", "8", "O1", REPORT | {tag[1:]: value for tag, value in fields.items()})


def encoded(version: str, out: Outgoing, **tags: Any) -> tuple[str, tuple[str, ...]]:
    """The text with | for SOH, and what was dropped."""
    text, dropped = encoder(version, **tags).encode(out)
    assert text.endswith(SOH)
    return text[:-1].replace(SOH, "|"), dropped


def fields(version: str, out: Outgoing, **tags: Any) -> dict[str, str]:
    return dict(pairs(encoded(version, out, **tags)[0]))


# -- the gateway's own fields -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["4.4", "5.0SP2"])
def test_a_report_goes_out_as_the_core_made_it(version: str) -> None:
    text = "35=8|37=O1|11=A1|17=E1|150=0|39=0|55=IBM|54=1|38=100|40=2|151=100|14=0|6=0"
    assert encoded(version, report()) == (text, ())


def test_a_report_for_4_2_says_its_exec_trans_type() -> None:
    text = "35=8|37=O1|11=A1|17=E1|150=0|39=0|55=IBM|54=1|38=100|40=2|151=100|14=0|6=0|20=0"
    assert encoded("4.2", report()) == (text, ())


def test_fields_that_the_versions_message_does_not_have_are_not_sent() -> None:
    assert "20" not in fields("4.4", report(t20="0"))
    assert "527" not in fields("4.2", report(t527="B7"))


def test_what_the_core_says_wins_over_what_passes_through() -> None:
    out = report()._replace(body=pairs("58=hello|14=77|39=2"))
    assert encoded("4.4", out)[0].count("14=") == 1
    assert fields("4.4", out) == fields("4.4", report()) | {"58": "hello"}


def test_an_empty_value_is_not_sent() -> None:
    assert "1" not in fields("4.4", report(t1=""))


# -- FIX 4.2 ----------------------------------------------------------------------------------------------------


# ExecType(150), OrdStatus(39), CumQty(14), LeavesQty(151); in 4.2 ExecTransType(20), ExecType, OrdStatus.
IN_4_2 = """
0     0     0     100   0     0     0
4     4     40    0     0     4     4
8     8     0     0     0     8     8
F     1     40    60    0     1     1
F     2     100   0     0     2     2
F     6     40    60    0     1     6
F     6     100   0     0     2     6
F     4     40    0     0     1     4
F     7     100   0     0     2     7
F     2     120   0     0     2     2
H     1     90    10    1     1     1
H     0     0     100   1     1     0
H     4     0     0     1     1     4
G     2     100   0     2     2     2
G     1     95    5     2     1     1
I     0     0     100   3     0     0
I     1     40    60    3     1     1
I     8     0     0     3     8     8
5     0     0     120   0     5     5
5     1     40    80    0     5     1
5     2     80    0     0     5     2
5     6     0     100   0     5     6
6     6     0     100   0     6     6
E     E     0     100   0     E     E
D     0     0     90    0     D     0
A     A     0     100   0     A     A
C     C     0     0     0     C     C
3     3     0     0     0     3     3
7     7     0     100   0     7     7
9     9     0     100   0     9     9
B     B     40    0     0     B     B
"""


@pytest.mark.parametrize(
    ("exec_type", "status", "cum", "leaves", "trans_42", "exec_type_42", "status_42"),
    [tuple(line.split()) for line in IN_4_2.strip().splitlines()],
)
def test_exec_type_and_status_for_4_2(
    exec_type: str, status: str, cum: str, leaves: str, trans_42: str, exec_type_42: str, status_42: str
) -> None:
    found = fields("4.2", report(t150=exec_type, t39=status, t14=cum, t151=leaves))
    assert (found["20"], found["150"], found["39"]) == (trans_42, exec_type_42, status_42)
    assert (found["14"], found["151"]) == (cum, leaves)


@pytest.mark.parametrize(
    ("reason", "in_42"),
    [(str(one), str(one)) for one in range(9)] + [("11", "0"), ("13", "0"), ("15", "0"), ("99", "0")],
)
def test_order_reject_reasons_that_4_2_does_not_have_become_broker_option(reason: str, in_42: str) -> None:
    out = report(t150="8", t39="8", t103=reason)
    assert fields("4.2", out)["103"] == in_42
    assert fields("4.4", out)["103"] == reason


@pytest.mark.parametrize(
    ("reason", "in_42"), [("0", "0"), ("1", "1"), ("2", "2"), ("3", "3"), ("6", "2"), ("99", "2")]
)
def test_cancel_reject_reasons_that_4_2_does_not_have_become_broker_option(reason: str, in_42: str) -> None:
    out = Outgoing(1, "THEM", "9", "O1", {"37": "O1", "11": "C1", "41": "A1", "39": "0", "434": "1", "102": reason})
    assert fields("4.2", out)["102"] == in_42
    assert fields("4.4", out)["102"] == reason


def test_encoding_leaves_the_cores_message_alone() -> None:
    out = report(t150="F", t39="1", t103="99")
    before = dict(out.fields)
    encoder("4.2").encode(out)
    assert out.fields == before


# -- what passes through ----------------------------------------------------------------------------------------


def request(body: str, kind: str = "D", **more: Any) -> Outgoing:
    return Outgoing(1, "THEM", kind, "O1", {"11": "C1"}, pairs(body), **more)


def test_a_request_passes_in_its_order_with_its_groups() -> None:
    body = "55=IBM|54=1|38=100|40=2|44=10|453=2|448=P1|447=D|452=1|448=P2|447=D|452=3|58=hi|60=20260302-13:00:00"
    assert encoded("4.4", request(body)) == (f"35=D|11=C1|{body}", ())


def test_a_field_that_the_dictionary_does_not_know_is_dropped_by_name() -> None:
    assert encoded("4.2", request("55=IBM|847=1|58=hi|1138=50"), unknown="drop") == (
        "35=D|11=C1|55=IBM|58=hi|21=1",
        ("847", "1138"),
    )


def test_a_field_that_the_dictionary_does_not_know_is_passed_where_the_dialect_says_so() -> None:
    assert encoded("4.2", request("55=IBM|847=1"), unknown="pass") == ("35=D|11=C1|55=IBM|847=1|21=1", ())
    out = report()._replace(body=pairs("847=1"))
    assert fields("4.2", out, unknown_reports="pass")["847"] == "1"
    assert "847" not in fields("4.2", out, unknown="pass")


def test_a_user_defined_field_passes_whatever_the_dictionary_says() -> None:
    body = "55=IBM|5000=a|9999=b|20001=c"
    assert encoded("4.4", request(body)) == (f"35=D|11=C1|{body}", ())
    assert encoded("4.4", request("55=IBM|4999=a"))[1] == ("4999",)


def test_a_code_that_the_clients_version_does_not_list_is_left_out_of_a_report_by_name() -> None:
    out = report()._replace(body=pairs("378=6|18=1 2|58=halted"))
    text, dropped = encoded("4.2", out)
    assert text.endswith("|20=0|18=1 2|58=halted")
    assert dropped == ("378",)
    assert fields("4.4", out)["378"] == "6"
    assert fields("4.2", out, unknown_reports="pass")["378"] == "6"


def test_a_field_that_a_rule_drops_is_dropped_by_name() -> None:
    assert encoded("4.4", request("55=IBM|9001=x|58=hi"), drop=["9001", "58"]) == (
        "35=D|11=C1|55=IBM",
        ("9001", "58"),
    )


def test_a_group_that_the_dictionary_does_not_know_goes_whole() -> None:
    body = "55=IBM|453=2|448=P1|447=D|452=1|448=P2|447=D|452=3|802=1|523=S|803=4|58=hi"
    text, dropped = encoded("4.2", request(body))
    assert text == "35=D|11=C1|55=IBM|58=hi|21=1"
    assert dropped == ("453", "448", "447", "452", "448", "447", "452", "802", "523", "803")


def test_members_of_an_unknown_group_do_not_stay_behind_because_another_group_has_them() -> None:
    """NoAllocs(78) of a 5.0 SP2 report has parties that 4.4 knows only within legs."""
    body = "58=hi|78=1|79=ACC|539=1|524=P|525=D|538=1|804=1|545=S|805=2|80=100"
    out = report()._replace(body=pairs(body))
    assert encoded("5.0SP2", out) == (encoded("5.0SP2", report())[0] + "|" + body, ())
    text, dropped = encoded("4.4", out)
    assert text == encoded("4.4", report())[0] + "|58=hi"
    assert dropped == ("78", "79", "539", "524", "525", "538", "804", "545", "805", "80")


def test_nested_groups_pass_within_their_groups() -> None:
    body = "555=1|600=LEG|539=1|524=P|525=D|538=1|804=1|545=S|805=2|637=10|58=hi"
    out = report()._replace(body=pairs(body))
    assert encoded("4.4", out) == (encoded("4.4", report())[0] + "|" + body, ())


def test_data_passes_with_its_length_whatever_it_holds() -> None:
    data = f"a{SOH}11=EVIL{SOH}b"
    out = request("55=IBM")._replace(body=(("55", "IBM"), ("354", str(len(data))), ("355", data)))
    text, dropped = encoder("4.4").encode(out)
    assert (text, dropped) == (f"35=D{SOH}11=C1{SOH}55=IBM{SOH}354={len(data)}{SOH}355={data}{SOH}", ())


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        ((("354", "11"), ("355", f"a{SOH}11=EVIL")), {"drop": ["354"]}),
        ((("355", f"a{SOH}11=EVIL"),), {}),
        ((("354", "11"), ("355", f"a{SOH}11=EVIL")), {"drop": ["355"]}),
    ],
)
def test_data_with_separators_does_not_pass_without_its_length(body: Pairs, rules: dict[str, Any]) -> None:
    text, dropped = encoder("4.4", **rules).encode(request("55=IBM")._replace(body=body))
    assert "EVIL" not in text
    assert "355" in dropped


# -- defaults, offers and rules ---------------------------------------------------------------------------------

DEFAULTS = (("55", "IBM"), ("54", "1"), ("38", "100"), ("40", "2"), ("60", "20260302-13:00:00"), ("44", "10"))


def test_defaults_fill_only_what_the_message_must_have_and_does_not_have() -> None:
    cancel = request("54=2|58=hi", "F", defaults=DEFAULTS)
    assert encoded("4.4", cancel)[0] == "35=F|11=C1|54=2|58=hi|60=20260302-13:00:00"
    assert encoded("4.2", cancel)[0] == "35=F|11=C1|54=2|58=hi|55=IBM|60=20260302-13:00:00"
    replace = request("", "G", defaults=DEFAULTS)
    assert encoded("4.2", replace)[0] == "35=G|11=C1|55=IBM|54=1|40=2|60=20260302-13:00:00|21=1"


def test_handl_inst_is_set_for_orders_and_replaces_of_4_2_where_the_client_gave_none() -> None:
    assert fields("4.2", request("55=IBM"))["21"] == "1"
    assert fields("4.2", request("55=IBM|21=3"))["21"] == "3"
    assert "21" not in fields("4.2", request("55=IBM", "F"))
    assert "21" not in fields("4.2", report())


def test_a_rules_field_is_set_only_where_the_dictionary_has_it() -> None:
    assert fields("4.4", request("55=IBM"), set={"47": "A", "528": "A"}) == {
        "35": "D", "11": "C1", "55": "IBM", "528": "A",
    }  # fmt: skip


def test_offers_are_taken_where_the_dictionary_has_them_and_the_broker_said_nothing() -> None:
    out = report()._replace(offers=(("198", "B7"), ("527", "X1"), ("9001", "")))
    assert fields("4.4", out) == fields("4.4", report()) | {"198": "B7", "527": "X1"}
    assert fields("4.2", out) == fields("4.2", report()) | {"198": "B7"}
    said = out._replace(body=pairs("198=EXCHANGE"))
    assert fields("4.4", said) == fields("4.4", report()) | {"198": "EXCHANGE", "527": "X1"}


def test_what_a_broker_may_be_sent_is_its_dictionary_and_what_a_rule_drops() -> None:
    tags = allowed_tags(session_spec("4.2", drop=["9001"]), "D")
    assert tags is not None
    assert {"55", "38", "78", "79", "9001"} <= tags
    assert not {"453", "448", "150"} & tags


@pytest.mark.parametrize("rule", ["drop", "pass"])
def test_a_broker_whose_dialect_refuses_no_field_may_be_sent_everything(rule: str) -> None:
    assert allowed_tags(session_spec("4.4", unknown=rule), "D") is None

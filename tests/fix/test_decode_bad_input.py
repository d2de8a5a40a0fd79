"""Bad input to the decoder: it ends as a problem or as unreadable, says why, and never raises (I10)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.core import messages as m
from oms.fix.decode import decode, decode_guarded
from oms.fix.fields import LENGTH_OF, clean, parse_date, parse_time, split
from tests.fix.test_decode import BASE, DAY, ORDER, from_broker, from_client, pairs, raw

SOH = "\x01"


def order(fields: str) -> m.NewOrder:
    body = from_client("D", fields)
    assert isinstance(body, m.NewOrder)
    return body


def guarded(kind: str, fields: str, *, from_broker: bool = False) -> m.Body:
    return decode_guarded(raw(kind, fields), DAY, from_broker=from_broker, fix42=False)[0]


def unreadable(kind: str, why: str, ref_id: str = "A1") -> m.Unreadable:
    return m.Unreadable(kind, ref_id, f"the gateway could not read this message: ValueError: {why}")


# -- numbers ----------------------------------------------------------------------------------------------------

NOT_A_NUMBER = [
    "1e5", "1E5", "NaN", "nan", "Infinity", "-Infinity", "inf", "sNaN", "0x10", "1_000", "1,000", "1 000", " 100",
    "100 ", "+100", "--1", ".", "-", "1.2.3", "100-", "١٠٠", "１００", "9" * 16, "10" * 15, "1.12345678901", "abc",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_A_NUMBER)
@pytest.mark.parametrize(
    ("tag", "name", "reason"), [("38", "OrderQty", "13"), ("44", "Price", "99"), ("99", "StopPx", "99")]
)
def test_what_is_no_number_is_refused_with_the_field(text: str, tag: str, name: str, reason: str) -> None:
    fields = f"11=A1|{ORDER}|99=9".replace(f"{tag}={dict(pairs(ORDER + '|99=9'))[tag]}", f"{tag}={text}")
    words = f"{text[:40]} is not a number of at most 15 digits and 10 decimals"
    assert order(fields).problem == m.Problem(f"{name}({tag})", words, reason)


@pytest.mark.parametrize("text", ["0", "-1", "0.0", "-0", "-999999999999999", "000"])
@pytest.mark.parametrize("tag", ["38", "44", "99"])
def test_what_is_not_above_zero_is_refused(text: str, tag: str) -> None:
    fields = f"11=A1|{ORDER}|99=9".replace(f"{tag}={dict(pairs(ORDER + '|99=9'))[tag]}", f"{tag}={text}")
    problem = order(fields).problem
    assert problem is not None
    assert problem.text == f"{text} is not above zero"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100", "100"), ("00100", "100"), ("100.", "100"), (".5", "0.5"), ("100.50", "100.5"),
        ("0.0000000001", "1E-10"),
        ("999999999999999.9999999999", "999999999999999.9999999999"), ("10.12000000000000000000", "10.12"),
        ("0" * 20 + "7", "7"),
    ],
)  # fmt: skip
def test_a_number_may_be_written_in_every_way_that_fix_allows(text: str, value: str) -> None:
    found = order(f"11=A1|{ORDER}".replace("38=100", f"38={text}"))
    assert (found.problem, found.order_qty) == (None, D(value))
    assert ("38", text) in found.body


def test_a_very_long_number_is_refused_at_once() -> None:
    for text in ("9" * 1_000_000, "0" * 1_000_000 + "x", "1." + "0" * 1_000_000 + "x"):
        problem = order(f"11=A1|{ORDER}".replace("38=100", f"38={text}")).problem
        assert problem is not None
        assert len(problem.text) < 120


def test_an_order_without_a_quantity_is_refused() -> None:
    fields = f"11=A1|{ORDER}".replace("38=100|", "")
    assert order(fields).problem == m.Problem("OrderQty(38)", "is missing", "13")
    words = "an order by cash amount is not taken here, state the quantity"
    assert order(fields + "|152=5000").problem == m.Problem("OrderQty(38)", words, "11")
    assert order(fields + "|38=").problem == m.Problem("OrderQty(38)", "is missing", "13")


@pytest.mark.parametrize("tag", ["38", "44", "99", "32", "31", "14", "151"])
def test_a_number_of_a_broker_that_is_none_is_a_problem_of_that_field(tag: str) -> None:
    body = from_broker("8", f"37=B1|11=C1|17=E1|150=F|39=0|55=IBM|54=1|{tag}=NaN")
    assert isinstance(body, m.ExecutionReport)
    assert body.problem is not None
    assert body.problem.tag.endswith(f"({tag})")


def test_a_brokers_negative_numbers_are_read_as_they_are() -> None:
    body = from_broker("8", "37=B1|11=C1|17=E1|150=F|39=0|55=IBM|54=1|32=-5|31=-0.5|14=-5|151=-1|38=-3")
    assert isinstance(body, m.ExecutionReport)
    assert (body.last_qty, body.last_px, body.cum_qty, body.leaves_qty, body.order_qty) == (-5, D("-0.5"), -5, -1, -3)
    assert body.problem is None


# -- identifiers and text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cl_ord_id", ["x" * 65, "a\nb", "a\tb", "a\x7fb", "a\u200bb", "\u0085"])
def test_an_id_that_is_too_long_or_not_printable_is_refused(cl_ord_id: str) -> None:
    problem = m.Problem("ClOrdID(11)", "is longer than 64 characters or not printable", "99")
    assert order(f"11={cl_ord_id}|{ORDER}").problem == problem
    for kind in "FG":
        body = from_client(kind, f"11={cl_ord_id}|41=A1|55=IBM|54=1|40=2|38=1|44=1")
        assert body.problem == problem  # type: ignore[union-attr]


@pytest.mark.parametrize("cl_ord_id", ["caf\udce9", "a\x00b", "a\x1fb"])
def test_an_id_that_the_ledger_could_not_keep_as_it_is_is_refused(cl_ord_id: str) -> None:
    problem = m.Problem("ClOrdID(11)", "has bytes that are not UTF-8", "99")
    assert order(f"11={cl_ord_id}|{ORDER}").problem == problem
    body = from_client("F", f"11={cl_ord_id}|41=A1")
    assert body.problem == problem  # type: ignore[union-attr]


def test_an_order_without_an_id_is_refused() -> None:
    assert order(ORDER).problem == m.Problem("ClOrdID(11)", "is missing", "99")


@pytest.mark.parametrize("cl_ord_id", ["x" * 64, "größer", "買い-1", "A 1"])
def test_an_id_in_any_language_is_taken(cl_ord_id: str) -> None:
    found = order(f"11={cl_ord_id}|{ORDER}")
    assert (found.cl_ord_id, found.problem) == (cl_ord_id, None)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ordre refus\udce9", "ordre refus\\xe9"), ("a\x00b", "a\\x00b"), ("größer", "größer"), ("", ""),
        ("\udcff\udcfe", "\\xff\\xfe"), ("a\x1eb", "a\\x1eb"), ("买", "买"),
    ],
)  # fmt: skip
def test_text_that_the_ledger_could_not_keep_is_written_out(text: str, kept: str) -> None:
    assert clean(text) == kept
    assert clean(clean(text)) == kept


def test_whatever_a_broker_writes_can_be_kept_by_the_ledger() -> None:
    body = from_broker("8", f"{BASE}|150=8|58=refus\udce9\x00|1=a\udce9".replace("17=E1", "17=E\udce9"))
    assert isinstance(body, m.ExecutionReport)
    assert (body.text, body.account, body.exec_id) == ("refus\\xe9\\x00", "a\\xe9", "E\\xe9")
    assert storable(body)


def test_huge_text_passes_whole() -> None:
    text = "x" * 2_000_000
    assert from_client("F", f"11=C1|41=A1|58={text}") == m.CancelRequest("C1", "A1", (("58", text),))


def test_an_exec_id_that_is_too_long_for_a_key_is_a_problem_and_no_id() -> None:
    body = from_broker("8", f"{BASE}|150=0".replace("17=E1", f"17={'E' * 3000}"))
    assert isinstance(body, m.ExecutionReport)
    assert body.exec_id == ""
    assert body.problem is not None
    assert body.problem.tag == "ExecID(17)"


# -- times ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("20260302-13:00:01", datetime(2026, 3, 2, 13, 0, 1, tzinfo=UTC)),
        ("20260302-13:00:01.2", datetime(2026, 3, 2, 13, 0, 1, 200000, tzinfo=UTC)),
        ("20260302-13:00:01.250", datetime(2026, 3, 2, 13, 0, 1, 250000, tzinfo=UTC)),
        ("20260302-13:00:01.123456", datetime(2026, 3, 2, 13, 0, 1, 123456, tzinfo=UTC)),
        ("20260302-13:00:01.123456789", datetime(2026, 3, 2, 13, 0, 1, 123456, tzinfo=UTC)),
        ("20261231-23:59:60", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("20240229-00:00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_to_the_microsecond(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


BROKEN_TIMES = [
    "", "now", "20260302", "20260302-", "20260302-13:00", "20261302-13:00:01", "20260332-13:00:01",
    "20260229-00:00:00",
    "20260302-25:00:01", "20260302-13:61:01", "20260302-13:00:61", "20260302-13:00:99", "20260302 13:00:01",
    "2026-03-02T13:00:01", "00000302-13:00:01", "99999999-99:99:99", "20260302-13:00:01.abc", "-0260302-13:00:01",
    "20260302-13-00-01", "x" * 100_000, "\udce9" * 20, "２０２６０３０２-13:00:01",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN_TIMES)
def test_a_broken_time_is_none(text: str) -> None:
    assert parse_time(text) is None
    body = decode(raw("8", f"{BASE}|150=F|60={text}"), DAY, from_broker=True, fix42=False)[0]
    assert isinstance(body, m.ExecutionReport)
    assert body.transact_time is None


@pytest.mark.parametrize("text", ["", "2026", "20261302", "20260230", "2026030", "202603021", "tomorrow", "-0260302"])
def test_a_broken_date_is_none(text: str) -> None:
    assert parse_date(text) is None


def test_a_date_is_read() -> None:
    assert parse_date("20260302") == date(2026, 3, 2)


# -- tags -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["x", "5x", "-5", "+5", "5.0", " 58", "٥٨", "²", "5\n8"])
def test_a_tag_that_is_no_number_makes_the_message_unreadable(tag: str) -> None:
    assert guarded("D", f"11=A1|{ORDER}|{tag}=x") == unreadable("D", "a tag is not a number")


@pytest.mark.parametrize("tag", ["038", "0011", "09001"])
def test_a_tag_with_a_leading_zero_makes_the_message_unreadable(tag: str) -> None:
    assert guarded("D", f"11=A1|{ORDER}|{tag}=1") == unreadable("D", "a tag begins with a zero")


@pytest.mark.parametrize("again", ["38=1000", "11=A1", "54=2", "44=11", "1=FUND2", "40=1", "55=XYZ", "59=3", "35=G"])
def test_a_field_that_is_acted_on_may_not_come_twice(again: str) -> None:
    tag = again.partition("=")[0]
    assert guarded("D", f"11=A1|{ORDER}|{again}") == unreadable("D", f"tag {tag} appears more than once") or (
        tag == "35" and isinstance(guarded("D", f"11=A1|{ORDER}|{again}"), m.Unreadable)
    )


def test_parts_without_an_equals_sign_are_passed_over() -> None:
    assert from_client("F", "11=C1||junk|41=A1||55=IBM") == m.CancelRequest("C1", "A1", (("55", "IBM"),))


# -- data fields ------------------------------------------------------------------------------------------------


def test_data_may_hold_separators_and_passes_as_it_is() -> None:
    data = f"a{SOH}38=999{SOH}b"
    fields = f"11=A1|354={len(data)}|355={data}|{ORDER}"
    body = (("354", str(len(data))), ("355", data), *pairs(ORDER))
    assert order(fields) == order(f"11=A1|{ORDER}")._replace(body=body)


def test_the_length_of_data_counts_bytes() -> None:
    data = f"買い{SOH}38=999"
    assert order(f"11=A1|354={len(data.encode())}|355={data}|{ORDER}").order_qty == 100


@pytest.mark.parametrize("between", ["58=x|", "58=x|9001=y|", ORDER.partition("|")[0] + "|"])
def test_the_length_of_data_counts_wherever_it_stands_before_the_data(between: str) -> None:
    data = f"a{SOH}38=999{SOH}b"
    rest = ORDER.replace(between.rstrip("|") + "|", "")
    found = order(f"11=A1|354={len(data)}|{between}355={data}|{rest}")
    assert (found.order_qty, dict(found.body)["355"]) == (100, data)


def test_two_lengths_may_come_before_their_data() -> None:
    data = f"a{SOH}38=999{SOH}b"
    found = order(f"11=A1|354={len(data)}|348={len(data) + 1}|355={data}|349={data}c|{ORDER}")
    assert (found.order_qty, dict(found.body)["355"], dict(found.body)["349"]) == (100, data, data + "c")


def test_the_last_length_before_the_data_counts() -> None:
    data = f"a{SOH}38=999"
    found = order(f"11=A1|354=1|354={len(data)}|355={data}|{ORDER}")
    assert (found.order_qty, dict(found.body)["355"]) == (100, data)


@pytest.mark.parametrize(
    "smuggled",
    [f"354=3|355=abc{SOH}38=999", f"354=0|355={SOH}38=999", f"355=abc{SOH}38=999", f"354=x|355=abc{SOH}38=999"],
)
def test_a_field_after_the_end_of_the_data_is_a_field_and_counts_as_a_second_one(smuggled: str) -> None:
    assert guarded("D", f"11=A1|{ORDER}|{smuggled}") == unreadable("D", "tag 38 appears more than once")


@pytest.mark.parametrize("length", ["999999999", "5000", "999999999999999999999"])
def test_data_that_is_said_to_be_longer_than_the_message_takes_no_field_away(length: str) -> None:
    found = guarded("D", f"11=A1|354={length}|355=abc|{ORDER}")
    if len(length) < 10:
        assert found == unreadable("D", "data field 355 is shorter than its length field says")
    else:  # no length at all
        assert found == order(f"11=A1|{ORDER}")._replace(body=(("354", length), ("355", "abc"), *pairs(ORDER)))


def test_data_that_ends_within_the_next_field_makes_the_message_unreadable() -> None:
    found = guarded("D", f"11=A1|354=2|355=abcdef|{ORDER}")
    assert found == unreadable("D", "a tag is not a number")


def test_xml_in_the_header_smuggles_nothing_and_does_not_pass() -> None:
    xml = f"<x>{SOH}38=999{SOH}11=EVIL</x>"
    head = "8=FIX.4.4|9=100|35={}|34=7|49=THEM|56=US|52=20260302-13:00:01.250|" + f"212={len(xml)}|213={xml}|"
    assert from_client("D", f"11=A1|{ORDER}", head=head) == order(f"11=A1|{ORDER}")


def test_a_signature_at_the_end_smuggles_nothing() -> None:
    signature = f"x{SOH}38=999"
    assert order(f"11=A1|{ORDER}|93={len(signature)}|89={signature}") == order(f"11=A1|{ORDER}")


def test_the_length_of_data_follows_data_that_had_to_be_written_out() -> None:
    found = order(f"11=A1|354=4|58=x|355=caf\udce9|{ORDER}")
    assert found.body[:3] == (("354", "7"), ("58", "x"), ("355", "caf\\xe9"))


# -- whatever comes ---------------------------------------------------------------------------------------------


def storable(body: m.Body) -> bool:
    """Whether everything that may reach the database can: no NUL, nothing that UTF-8 cannot say."""
    values = [value for name, value in body._asdict().items() if name not in ("body", "problem")]
    text = "".join(value for value in values if isinstance(value, str))
    return "\x00" not in text and text.encode() is not None


ALPHABET = st.characters(exclude_categories=()) | st.sampled_from("\x01\x01=|0123456789\x00.-")
TAGS = st.sampled_from([
    "1", "6", "8", "11", "14", "17", "19", "20", "31", "32", "34", "35", "37", "38", "39", "40", "41", "43",
    "44", "45", "50", "52", "54", "55", "58", "59", "60", "75", "89", "90", "91", "93", "95", "96", "97",
    "99", "100", "103", "115", "122", "150", "151", "152", "207", "212", "213", "354", "355", "372", "379",
    "380", "434", "453", "448", "9001", "010", "x",
])  # fmt: skip
VALUES = (
    st.text(ALPHABET, max_size=12)
    | st.sampled_from(
        ["D", "F", "G", "H", "8", "9", "j", "3", "Q", "0", "1", "2", "100", "-1", "1e5", "NaN", "²", "5"]
    )
    | st.sampled_from(["20260302-13:00:00", "99999999-99:99:99", "\udce9", "\x00", "999999999", ""])
)
MESSAGES = st.lists(st.tuples(TAGS, VALUES), max_size=25).map(
    lambda fields: SOH.join(["8=FIX.4.4", *(f"{tag}={value}" for tag, value in fields)])
)
BODIES: tuple[Any, ...] = m.Body.__args__


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(ALPHABET, max_size=200) | MESSAGES | MESSAGES, st.booleans(), st.booleans(), st.booleans())
def test_no_text_makes_the_decoder_raise_or_give_what_the_ledger_cannot_keep(
    text: str, broker: bool, fix42: bool, poisoned: bool
) -> None:
    body, sent = decode_guarded(text, DAY, from_broker=broker, fix42=fix42, poisoned=poisoned)
    assert isinstance(body, BODIES)
    assert storable(body)
    assert json.dumps(body, default=str).isascii()
    assert sent is None or sent.tzinfo is not None
    if poisoned:
        assert isinstance(body, m.Unreadable)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 99999).map(str), st.text(st.characters(exclude_characters="\x01"), min_size=1)))
)
def test_splitting_gives_every_field_in_its_order(fields: list[tuple[str, str]]) -> None:
    fields = [(tag, value) for tag, value in fields if tag not in LENGTH_OF.values()]
    assert split("".join(f"{tag}={value}{SOH}" for tag, value in fields)) == fields


def test_a_poisoned_message_is_unreadable_whatever_it_says() -> None:
    body, sent = decode_guarded(raw("D", f"11=A1|{ORDER}"), DAY, from_broker=False, fix42=False, poisoned=True)
    assert body == unreadable("D", "this message stopped an earlier run")
    assert sent is not None

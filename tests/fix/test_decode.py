"""Raw FIX to the core's messages: each MsgType(35) in each version, what passes through, 4.2 in 4.4's words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from oms.core import messages as m
from oms.fix.decode import decode

DAY = date(2026, 3, 2)
SENT = datetime(2026, 3, 2, 13, 0, 1, 250000, UTC)
HEAD = "8=FIX.4.4|9=100|35={}|34=7|49=THEM|56=US|52=20260302-13:00:01.250|"


def raw(kind: str, fields: str, head: str = HEAD) -> str:
    return (head.format(kind) + fields + "|10=000|").replace("|", "\x01")


def from_client(kind: str, fields: str, **more: str) -> m.Body:
    body, sent = decode(raw(kind, fields, **more), DAY, from_broker=False, fix42=False)
    assert sent == SENT
    return body


def from_broker(kind: str, fields: str, *, fix42: bool = False) -> m.Body:
    body, sent = decode(raw(kind, fields), DAY, from_broker=True, fix42=fix42)
    assert sent == SENT
    return body


def pairs(text: str) -> m.Pairs:
    return tuple((tag, value) for tag, _, value in (part.partition("=") for part in text.split("|")))


# -- clients ----------------------------------------------------------------------------------------------------

ORDER = "55=IBM|54=1|38=100|40=2|44=10.50|59=0|1=FUND1|60=20260302-13:00:00"
TERMS: dict[str, Any] = {
    "cl_ord_id": "A1", "account": "FUND1", "symbol": "IBM", "side": "1", "ord_type": "2", "time_in_force": "0",
    "order_qty": D(100), "price": D("10.5"), "stop_px": None, "security_exchange": "", "ex_destination": "",
    "trader": "", "poss_resend": False, "body": pairs(ORDER), "problem": None,
}  # fmt: skip


def test_a_new_order() -> None:
    assert from_client("D", f"11=A1|{ORDER}") == m.NewOrder(**TERMS)


def test_a_new_order_with_every_field_that_is_acted_on() -> None:
    more = "99=9.5|207=XNYS|100=DARK|9001=x"
    assert from_client("D", f"{ORDER}|11=A1|{more}") == m.NewOrder(
        **TERMS | {"stop_px": D("9.5"), "security_exchange": "XNYS", "ex_destination": "DARK",
                   "body": pairs(f"{ORDER}|{more}")}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "trader"), [("50=JANE|", "JANE"), ("115=DESK|", "DESK"), ("50=JANE|115=DESK|", "DESK"), ("", "")]
)
def test_who_asked_is_on_behalf_of_else_the_sender_sub_id_and_not_passed_on(header: str, trader: str) -> None:
    order = from_client("D", f"11=A1|{ORDER}", head=HEAD + header)
    assert order == m.NewOrder(**TERMS | {"trader": trader})


@pytest.mark.parametrize(("flag", "resent"), [("97=Y|", True), ("97=N|", False)])
def test_a_possible_resend_says_so(flag: str, resent: bool) -> None:
    assert from_client("D", f"11=A1|{ORDER}", head=HEAD + flag) == m.NewOrder(**TERMS | {"poss_resend": resent})


def test_a_cancel() -> None:
    body = "55=IBM|54=1|60=20260302-13:00:00|9001=x"
    assert from_client("F", f"11=C1|41=A1|37=O1|{body}") == m.CancelRequest("C1", "A1", pairs(body))


def test_a_replace() -> None:
    body = "55=IBM|54=1|38=120|40=4|44=10.5|99=9|60=20260302-13:00:00"
    assert from_client("G", f"11=R1|41=A1|37=O1|{body}") == m.ReplaceRequest(
        "R1", "A1", "IBM", "1", "4", D(120), D("10.5"), D(9), pairs(body), None
    )


def test_a_replace_of_the_price_alone() -> None:
    body = "55=IBM|54=1|40=2|44=11"
    assert from_client("G", f"11=R1|41=A1|{body}") == m.ReplaceRequest(
        "R1", "A1", "IBM", "1", "2", None, D(11), None, pairs(body), None
    )


def test_a_status_request() -> None:
    assert from_client("H", "11=A1|37=O1|55=IBM|54=1") == m.StatusRequest("A1", pairs("55=IBM|54=1"))


@pytest.mark.parametrize("kind", ["E", "V", "8", "9", "AE", "UX"])
def test_another_message_of_a_client_is_unsupported(kind: str) -> None:
    assert from_client(kind, "11=A1") == m.Unsupported(kind, "A1")


def test_a_clients_dispute_of_a_trade_names_the_trade() -> None:
    assert from_client("Q", "37=O1|17=E000000007|127=D|55=IBM|54=1") == m.Unsupported("Q", "E000000007")


# -- brokers ----------------------------------------------------------------------------------------------------


def report(exec_type: str = "0", **more: Any) -> m.ExecutionReport:
    fields: dict[str, Any] = dict.fromkeys(m.ExecutionReport._fields, "") | {
        "order_id": "B1", "cl_ord_id": "C1", "exec_id": "E1", "exec_type": exec_type, "ord_status": "0",
        "symbol": "IBM", "side": "1", "order_qty": D(100), "price": None, "stop_px": None, "last_qty": None,
        "last_px": None, "cum_qty": D(0), "leaves_qty": D(100), "transact_time": None, "trade_date": DAY, "body": (),
        "problem": None, "avg_px": "0",
    }  # fmt: skip
    return m.ExecutionReport(**fields | more)


BASE = "37=B1|11=C1|17=E1|39=0|55=IBM|54=1|38=100|14=0|151=100|6=0"


def test_a_report_of_a_new_order() -> None:
    assert from_broker("8", f"{BASE}|150=0") == report()


def test_a_fill() -> None:
    text = "37=B1|11=C1|41=C0|17=E1|150=F|39=1|1=FUND1|55=IBM|54=1|38=100|40=2|44=10.5|99=9|59=0|32=40|31=10.25|151=60|14=40|6=10.25|60=20260302-12:59:59.5|58=hi|30=XNYS"  # noqa: E501
    assert from_broker("8", text) == report(
        "F", orig_cl_ord_id="C0", ord_status="1", account="FUND1", price=D("10.5"), stop_px=D(9), last_qty=D(40),
        last_px=D("10.25"), cum_qty=D(40), leaves_qty=D(60), text="hi", avg_px="10.25",
        transact_time=datetime(2026, 3, 2, 12, 59, 59, 500000, UTC),
        body=pairs("60=20260302-12:59:59.5|58=hi|30=XNYS"), ord_type="2", time_in_force="0",
    )  # fmt: skip


@pytest.mark.parametrize("exec_type", ["G", "H"])
def test_a_correction_or_bust_names_the_execution(exec_type: str) -> None:
    text = f"{BASE}|150={exec_type}|19=E0|32=10|31=11"
    assert from_broker("8", text) == report(exec_type, exec_ref_id="E0", last_qty=D(10), last_px=D(11))


def test_what_was_guaranteed_passes_as_the_broker_gave_it() -> None:
    text = f"{BASE}|150=7|32=10|31=11"
    assert from_broker("8", text) == report("7", last_qty=D(10), last_px=D(11), body=pairs("32=10|31=11"))


def test_a_reject_with_its_reason() -> None:
    text = f"{BASE}|150=8|103=3|58=too big".replace("39=0", "39=8")
    assert from_broker("8", text) == report("8", ord_status="8", ord_rej_reason="3", text="too big",
                                            body=pairs("58=too big"))  # fmt: skip


def test_a_price_of_zero_is_no_price() -> None:
    assert from_broker("8", f"{BASE}|150=0|44=0|99=0.00") == report()


def test_a_cancel_reject() -> None:
    text = "37=B1|11=C2|41=C1|39=0|434=1|102=0|58=late|60=20260302-13:00:00|1=FUND1"
    assert from_broker("9", text) == m.CancelReject("B1", "C2", "C1", "0", "late", pairs("1=FUND1"))


@pytest.mark.parametrize("kind", ["3", "j"])
def test_a_reject_of_a_message(kind: str) -> None:
    assert from_broker(kind, "45=12|372=D|379=C1|380=3|58=no") == m.MessageReject(12, "D", "C1", "no")
    assert from_broker(kind, "45=12") == m.MessageReject(12, "", "", "no reason given")


@pytest.mark.parametrize("number", ["", "x", "-1", "²", "9" * 16])
def test_a_reject_of_a_message_with_a_number_that_is_none(number: str) -> None:
    assert from_broker("j", f"45={number}|58=no") == m.MessageReject(0, "", "", "no")


@pytest.mark.parametrize("kind", ["D", "F", "G", "H", "Q", "B"])
def test_another_message_of_a_broker_is_unsupported(kind: str) -> None:
    body = from_broker(kind, "11=A1")
    assert isinstance(body, m.Unsupported)
    assert body.msg_type == kind


# -- the trade date of a fill -----------------------------------------------------------------------------------

FILL = f"{BASE}|150=F|32=1|31=10"


@pytest.mark.parametrize(
    ("fields", "day"),
    [
        (f"{FILL}|75=20260227|60=20260301-23:00:00", date(2026, 2, 27)),
        (f"{FILL}|60=20260301-23:00:00", date(2026, 3, 1)),
        (f"{FILL}|122=20260228-23:59:59", date(2026, 2, 28)),
        (FILL, date(2026, 3, 2)),
        (f"{FILL}|75=yesterday|60=later", date(2026, 3, 2)),
    ],
)
def test_the_trade_date_is_the_brokers_else_that_of_the_execution_else_of_the_first_sending(
    fields: str, day: date
) -> None:
    body = from_broker("8", fields)
    assert isinstance(body, m.ExecutionReport)
    assert body.trade_date == day


def test_a_fill_without_any_time_is_of_the_gateways_day() -> None:
    text = raw("8", FILL).replace("52=20260302-13:00:01.250", "52=")
    body, sent = decode(text, date(2026, 3, 9), from_broker=True, fix42=False)
    assert isinstance(body, m.ExecutionReport)
    assert (sent, body.trade_date) == (None, date(2026, 3, 9))


# -- FIX 4.2 in the words of 4.4 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trans", "exec_type_42", "exec_type"),
    [
        ("0", "0", "0"), ("0", "1", "F"), ("0", "2", "F"), ("0", "3", "3"), ("0", "4", "4"), ("0", "5", "5"),
        ("0", "6", "6"), ("0", "7", "7"), ("0", "8", "8"), ("0", "9", "9"), ("0", "A", "A"), ("0", "B", "B"),
        ("0", "C", "C"), ("0", "D", "D"), ("0", "E", "E"),
        ("1", "1", "H"), ("1", "2", "H"), ("1", "0", "H"), ("2", "1", "G"), ("2", "2", "G"),
        ("3", "0", "I"), ("3", "1", "I"), ("3", "2", "I"), ("3", "8", "I"),
    ],
)  # fmt: skip
def test_exec_trans_type_and_exec_type_of_4_2(trans: str, exec_type_42: str, exec_type: str) -> None:
    body = from_broker("8", f"{BASE}|20={trans}|150={exec_type_42}", fix42=True)
    assert body == report(exec_type)


def test_a_4_2_guarantee_told_as_a_partial_fill_is_no_trade() -> None:
    stopped = "37=B1|11=C1|17=E1|55=IBM|54=1|20=0|150=1|39=7|38=10000|32=1000|31=50.1|151=10000|6=0"
    assert exec_type_of(f"{stopped}|14=0") == "7"
    assert exec_type_of(f"{stopped}|14=1000") == "F"
    assert exec_type_of(f"{stopped}|14=0", fix42=False) == "1"
    assert exec_type_of(f"{stopped}|14=0".replace("39=7", "39=1")) == "F"


def exec_type_of(fields: str, *, fix42: bool = True) -> str:
    body = from_broker("8", fields, fix42=fix42)
    assert isinstance(body, m.ExecutionReport)
    return body.exec_type


def test_a_4_2_report_without_exec_trans_type_is_a_new_one() -> None:
    assert from_broker("8", f"{BASE}|150=2", fix42=True) == report("F")


def test_exec_types_of_other_versions_are_left_as_they_are() -> None:
    assert from_broker("8", f"{BASE}|150=1") == report("1")
    assert from_broker("8", f"{BASE}|20=1|150=0") == report("0")


# -- what passes through ----------------------------------------------------------------------------------------


def test_unknown_tags_and_repeating_groups_pass_in_their_order() -> None:
    body = (
        f"{ORDER}|453=2|448=P1|447=D|452=1|802=2|523=S1|803=4|523=S2|803=5|448=P2|447=D|452=3|"
        "78=2|79=ACC1|80=60|79=ACC2|80=40|58=careful|9001=x|20001=y|9001=z"
    )
    assert from_client("D", f"11=A1|{body}") == m.NewOrder(**TERMS | {"body": pairs(body)})


def test_header_and_trailer_fields_do_not_pass() -> None:
    head = HEAD + "43=Y|122=20260302-12:00:00|128=X|129=Y|142=Z|57=SUB|144=L|212=3|213=xml|347=UTF-8|627=1|628=H|"
    assert from_client("D", f"11=A1|{ORDER}|93=3|89=sig", head=head) == m.NewOrder(**TERMS)


def test_fields_without_a_value_are_as_good_as_absent() -> None:
    assert from_broker("8", f"{BASE}|150=0|58=|44=|32=|31=|41=|75=|60=|9001=") == report()
    assert from_client("F", "11=C1|41=A1|58=|55=IBM") == m.CancelRequest("C1", "A1", pairs("55=IBM"))


def test_a_value_may_have_the_equals_sign() -> None:
    assert from_client("F", "11=C1|41=A1|58=a=b=c") == m.CancelRequest("C1", "A1", (("58", "a=b=c"),))


def test_text_in_any_language_passes() -> None:
    body = from_client("F", "11=C1|41=A1|58=größer → 買い")
    assert body == m.CancelRequest("C1", "A1", (("58", "größer → 買い"),))

"""Raw FIX about many orders at once: q and AF of clients, r of brokers, and types that are not read (I10)."""

from __future__ import annotations

import pytest

from oms.core import messages as m
from oms.fix.decode import decode_guarded
from tests.fix.test_decode import DAY, from_broker, from_client, raw

TIME = "60=20260302-13:00:00"
NARROWS = "leave it out; Symbol(55), Side(54) and Account(1) narrow it"


def problem(tag: str, text: str, reason: str) -> m.Problem:
    return m.Problem(tag, text, reason)


# -- OrderMassCancelRequest(q) -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ("530=7", ("7", "", "", "")),
        ("530=7|55=[N/A]", ("7", "", "", "")),
        ("530=1|55=IBM", ("1", "IBM", "", "")),
        ("530=1|55=IBM|54=2|1=FUND1|58=why|526=X|9001=own", ("1", "IBM", "2", "FUND1")),
        ("530=7|453=1|448=FUND1|447=D|452=24", ("7", "", "", "FUND1")),
        ("530=7|1=FUND1|453=1|448=FUND1|452=24", ("7", "", "", "FUND1")),
    ],
)
def test_a_mass_cancel_with_what_narrows_it(fields: str, read: tuple[str, str, str, str]) -> None:
    assert from_client("q", f"11=M1|{fields}|{TIME}") == m.MassCancelRequest("M1", *read, None)


@pytest.mark.parametrize(
    ("fields", "what", "text", "reason"),
    [
        ("530=6", "MassCancelRequestType(530)", "6 is not taken here: send 1 (with Symbol(55)) or 7 (all orders)",
         "0"),
        ("58=x", "MassCancelRequestType(530)", "absent is not taken here: send 1 (with Symbol(55)) or 7 (all orders)",
         "0"),
        ("530=1", "Symbol(55)", "is missing", "1"),
        ("530=1|55=[N/A]", "Symbol(55)", "is missing", "1"),
        ("530=7|55=IBM", "Symbol(55)", "is for requests of type 1: leave it out, or send 1", "99"),
        ("530=7|336=1", "tag 336", f"is not interpreted in this request: {NARROWS}", "0"),
        ("530=1|55=IBM|200=202612", "tag 200", f"is not interpreted in this request: {NARROWS}", "0"),
        ("530=7|453=1|448=T|452=12", "PartyRole(452)", "12 is not taken here: name an account with PartyRole(452) 24",
         "99"),
        ("530=7|453=1|448=T", "PartyRole(452)", "is missing: an account has 24", "99"),
        ("530=7|453=2|448=F1|452=24|448=F2|452=24", "Account(1)", "F1 and F2: send one request for each", "99"),
    ],
)  # fmt: skip
def test_a_mass_cancel_that_cannot_be_taken_says_why_and_is_never_widened(
    fields: str, what: str, text: str, reason: str
) -> None:
    body = from_client("q", f"11=M1|{fields}|{TIME}")
    assert isinstance(body, m.MassCancelRequest)
    assert body.problem == problem(what, text, reason)


def test_a_mass_cancel_needs_an_id() -> None:
    body = from_client("q", f"530=7|{TIME}")
    assert isinstance(body, m.MassCancelRequest)
    assert body.problem == problem("ClOrdID(11)", "is missing", "99")


def test_two_symbols_in_a_mass_cancel_are_unreadable() -> None:
    body, _ = decode_guarded(raw("q", f"11=M1|530=1|55=IBM|55=SAP|{TIME}"), DAY, from_broker=False, fix42=False)
    text = "the gateway could not read this message: ValueError: tag 55 appears more than once"
    assert body == m.Unreadable("q", "M1", text)


# -- OrderMassStatusRequest(AF) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ("585=7", ("7", "", "", "")),
        ("585=1|55=IBM|54=1", ("1", "IBM", "1", "")),
        ("585=8|1=FUND1|660=99", ("8", "", "", "FUND1")),
        ("585=8|453=1|448=FUND1|447=D|452=24", ("8", "", "", "FUND1")),
    ],
)
def test_a_mass_status_request(fields: str, read: tuple[str, str, str, str]) -> None:
    assert from_client("AF", f"584=S1|{fields}") == m.MassStatusRequest("S1", *read, None)


@pytest.mark.parametrize(
    ("fields", "what", "text", "reason"),
    [
        ("584=S1|585=3", "MassStatusReqType(585)",
         "3 is not taken here: send 1 (with Symbol(55)), 7 (all orders) or 8 (one account)", "0"),
        ("584=S1|585=1", "Symbol(55)", "is missing", "5"),
        ("584=S1|585=8", "MassStatusReqType(585)", "8 needs Account(1), or a party of PartyRole(452) 24", "5"),
        ("584=S1|585=7|336=1", "tag 336", f"is not interpreted in this request: {NARROWS}", "0"),
        ("585=7", "MassStatusReqID(584)", "is missing", "99"),
    ],
)  # fmt: skip
def test_a_mass_status_request_that_cannot_be_taken_says_why(fields: str, what: str, text: str, reason: str) -> None:
    body = from_client("AF", fields)
    assert isinstance(body, m.MassStatusRequest)
    assert body.problem == problem(what, text, reason)


# -- OrderMassCancelReport(r) -------------------------------------------------------------------------------------


def test_a_brokers_report_with_the_orders_it_lists() -> None:
    fields = "11=C1|37=X|530=7|531=7|533=2|534=2|41=C000000001|535=B1|41=C000000002|535=B2|58=ok"
    assert from_broker("r", fields) == m.MassCancelReport(
        "C1", "7", "", 2, ("C000000001", "B1", "C000000002", "B2"), "ok"
    )


def test_a_brokers_report_with_the_ids_of_5_0_sp2() -> None:
    fields = "11=C1|37=X|1369=X|530=7|531=7|533=2|534=2|1824=C000000001|1824=C000000002"
    assert from_broker("r", fields) == m.MassCancelReport("C1", "7", "", 2, ("C000000001", "C000000002"), "")


@pytest.mark.parametrize("total", ["-1", "1.5", "many", "9" * 30])
def test_a_brokers_refusal_and_a_total_that_is_no_number(total: str) -> None:
    fields = f"37=X|530=7|531=0|532=0|533={total}|58=not today"
    assert from_broker("r", fields) == m.MassCancelReport("", "0", "0", None, (), "not today")


# -- what is not read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "ref_id"),
    [
        ("E", "66=L1|394=3|68=2|73=2|11=A1|67=1|55=IBM|54=1|38=100|11=A2|67=2|55=SAP|54=2|38=50", "L1"),
        ("J", "70=AL1|71=0|626=1|54=1|55=IBM|53=100|6=10|75=20260302|73=2|11=A1|11=A2|78=2|79=F1|80=60|79=F2|80=40",
         "AL1"),
        ("AS", "755=AR1|70=AL1|73=2|11=A1|11=A2", "AR1"),
        ("i", "117=Q1|296=1|302=S|295=2|299=1|55=IBM|299=2|55=SAP", "Q1"),
        ("R", "131=R1|146=2|55=IBM|55=SAP", "R1"),
        ("s", "548=X1|549=1|552=2|54=1|11=A1|38=1|54=2|11=A2|38=1", "X1"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_named_by_its_own_id_whatever_its_groups_repeat(
    kind: str, fields: str, ref_id: str
) -> None:
    assert from_client(kind, fields) == m.Unsupported(kind, ref_id)
    assert from_broker(kind, fields) == m.Unsupported(kind, ref_id)


def test_requests_come_from_clients_and_their_answers_from_brokers() -> None:
    assert from_broker("q", f"11=M1|530=7|{TIME}") == m.Unsupported("q", "M1")
    assert from_broker("AF", "584=S1|585=7") == m.Unsupported("AF", "")
    assert from_client("r", "11=M1|37=X|530=7|531=7") == m.Unsupported("r", "M1")

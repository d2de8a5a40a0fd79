"""Requests about many orders at once: OrderMassCancelRequest(q), its report (r), OrderMassStatusRequest(AF).

A field that would narrow such a request and is not interpreted here makes it a `Problem`: to leave it out would
cancel more than was asked for. What narrows is Symbol(55), Side(54) and the account: Account(1), or a party of
PartyRole(452) 24. Nothing raises for bad input.
"""

from __future__ import annotations

from oms.core import messages as m
from oms.core import tags as t
from oms.fix.fields import ENVELOPE, Reader

_PARTY_ID, _PARTY_ID_SOURCE, _PARTY_ROLE, _PARTIES = "448", "447", "452", "453"
_CUSTOMER_ACCOUNT = "24"
_NO_SYMBOL = ("", "[N/A]")
_USER_DEFINED = 5000
# Fields that say who and what, and narrow nothing.
_HARMLESS = ENVELOPE | {"526", t.TRANSACT_TIME, t.TEXT, "354", "355", "660"}
_UNDERSTOOD = _HARMLESS | {t.SYMBOL, t.SIDE, t.ACCOUNT, _PARTIES, _PARTY_ID, _PARTY_ID_SOURCE, _PARTY_ROLE}

# MassCancelRejectReason(532)
_NOT_SUPPORTED, _UNKNOWN_SECURITY, _OTHER = "0", "1", "99"
# BusinessRejectReason(380)
_BUSINESS_OTHER, _FIELD_MISSING = "0", "5"


def cancel_request(reader: Reader, pairs: list[tuple[str, str]]) -> m.MassCancelRequest:
    """OrderMassCancelRequest(q) of a client: by symbol (530=1) or all (530=7), narrowed by side and account."""
    get = reader.fields.get
    cl_ord_id = reader.identifier(t.CL_ORD_ID, "ClOrdID")
    kind = get(t.MASS_CANCEL_REQUEST_TYPE, "")
    if kind not in ("1", "7"):
        text = f"{kind or 'absent'} is not taken here: send 1 (with Symbol(55)) or 7 (all orders)"
        reader.wrong(t.MASS_CANCEL_REQUEST_TYPE, "MassCancelRequestType", text, _NOT_SUPPORTED)
    symbol = _symbol(reader, by_symbol=kind == "1", missing=_UNKNOWN_SECURITY, wrong=_OTHER)
    account = _account(reader, pairs, _OTHER)
    _nothing_else(reader, pairs, _UNDERSTOOD | {t.CL_ORD_ID, t.MASS_CANCEL_REQUEST_TYPE}, _NOT_SUPPORTED)
    return m.MassCancelRequest(cl_ord_id, kind, symbol, get(t.SIDE, ""), account, reader.problem)


def status_request(reader: Reader, pairs: list[tuple[str, str]]) -> m.MassStatusRequest:
    """OrderMassStatusRequest(AF) of a client: by symbol (585=1), all (585=7), by account (585=8)."""
    get = reader.fields.get
    req_id = reader.identifier(t.MASS_STATUS_REQ_ID, "MassStatusReqID")
    kind = get(t.MASS_STATUS_REQ_TYPE, "")
    if kind not in ("1", "7", "8"):
        text = f"{kind or 'absent'} is not taken here: send 1 (with Symbol(55)), 7 (all orders) or 8 (one account)"
        reader.wrong(t.MASS_STATUS_REQ_TYPE, "MassStatusReqType", text, _BUSINESS_OTHER)
    symbol = _symbol(reader, by_symbol=kind == "1", missing=_FIELD_MISSING, wrong=_BUSINESS_OTHER)
    account = _account(reader, pairs, _BUSINESS_OTHER)
    if kind == "8" and not account:
        text = "8 needs Account(1), or a party of PartyRole(452) 24"
        reader.wrong(t.MASS_STATUS_REQ_TYPE, "MassStatusReqType", text, _FIELD_MISSING)
    _nothing_else(reader, pairs, _UNDERSTOOD | {t.MASS_STATUS_REQ_ID, t.MASS_STATUS_REQ_TYPE}, _BUSINESS_OTHER)
    return m.MassStatusRequest(req_id, kind, symbol, get(t.SIDE, ""), account, reader.problem)


def _symbol(reader: Reader, *, by_symbol: bool, missing: str, wrong: str) -> str:
    symbol = reader.fields.get(t.SYMBOL, "")
    if symbol in _NO_SYMBOL:
        symbol = ""
        if by_symbol:
            reader.wrong(t.SYMBOL, "Symbol", "is missing", missing)
    elif not by_symbol:
        reader.wrong(t.SYMBOL, "Symbol", "is for requests of type 1: leave it out, or send 1", wrong)
    return symbol


def _account(reader: Reader, pairs: list[tuple[str, str]], reason: str) -> str:
    """The account that narrows the request, '' for all; from Account(1) or the parties."""
    named = [account] if (account := reader.fields.get(t.ACCOUNT, "")) else []
    party = ""
    for tag, value in pairs:
        if tag == _PARTY_ID:
            party = value
        elif tag == _PARTY_ROLE and value == _CUSTOMER_ACCOUNT:
            named.append(party)
        elif tag == _PARTY_ROLE:
            text = f"{value} is not taken here: name an account with PartyRole(452) {_CUSTOMER_ACCOUNT}"
            reader.wrong(_PARTY_ROLE, "PartyRole", text, reason)
    if len(set(named)) > 1:
        reader.wrong(t.ACCOUNT, "Account", f"{' and '.join(sorted(set(named)))}: send one request for each", reason)
    elif _PARTIES in reader.fields and not named:
        reader.wrong(_PARTY_ROLE, "PartyRole", f"is missing: an account has {_CUSTOMER_ACCOUNT}", reason)
    return named[0] if named else ""


def _nothing_else(reader: Reader, pairs: list[tuple[str, str]], understood: frozenset[str], reason: str) -> None:
    for tag, _ in pairs:
        if tag not in understood and (len(tag) < 4 or int(tag) < _USER_DEFINED):
            text = "is not interpreted in this request: leave it out; Symbol(55), Side(54) and Account(1) narrow it"
            if reader.problem is None:
                reader.problem = m.Problem(f"tag {tag}", text, reason)
            return


def cancel_report(fields: dict[str, str], pairs: list[tuple[str, str]]) -> m.MassCancelReport:
    """OrderMassCancelReport(r) of a broker. `affected` has the ids of the orders it lists, ours and its own."""
    listed = (t.ORIG_CL_ORD_ID, t.AFFECTED_ORIG_CL_ORD_ID, t.AFFECTED_ORDER_ID)
    total = fields.get(t.TOTAL_AFFECTED_ORDERS, "")
    return m.MassCancelReport(
        fields.get(t.CL_ORD_ID, ""),
        fields.get(t.MASS_CANCEL_RESPONSE, ""),
        fields.get(t.MASS_CANCEL_REJECT_REASON, ""),
        int(total) if total.isascii() and total.isdecimal() and len(total) < 10 else None,
        tuple([value for tag, value in pairs if tag in listed]),
        fields.get(t.TEXT, ""),
    )


def affected_orders(body: m.Pairs, allowed: frozenset[str]) -> m.Pairs:
    """The orders of an OrderMassCancelReport(r) as a version has them: 5.0 SP2 has a tag of its own for their ids."""
    if t.AFFECTED_ORIG_CL_ORD_ID not in allowed:
        return body
    return tuple((t.AFFECTED_ORIG_CL_ORD_ID if tag == t.ORIG_CL_ORD_ID else tag, value) for tag, value in body)

"""Raw FIX text to the core's messages, for any counterparty and version; what cannot be read says why.

One split of the text; no call into the engine. What the gateway interprets becomes typed values, all other
body fields stay as ordered pairs and pass through, repeating groups included. FIX 4.2's ExecTransType(20) and
ExecType(150) become 4.4's here. Nothing raises for bad input: it ends as a `Problem` or as `Unreadable`.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from oms.core import messages as m
from oms.core import tags as t
from oms.fix import decode_mass as mass
from oms.fix.fields import (
    ENVELOPE,
    ID_LIMIT,
    ONCE,
    UNSTORABLE,
    Reader,
    clean,
    clean_pairs,
    first_values,
    parse_date,
    parse_time,
    plain_split,
    split,
)

_EXEC_ID_LIMIT = 400

# What the gateway reads, by whether a broker says it; in all else any field may stand in a group and repeat.
_READ = {False: frozenset(["3", "j", "D", "F", "G", "H", "q", "AF"]), True: frozenset(["3", "j", "8", "9", "r"])}
_MSG_TYPE_ONCE = frozenset(["35"])
# The id of a message that is not read, for BusinessRejectRefID(379); ClOrdID(11) where nothing is said.
_REF_ID = {
    "E": "66", "K": "66", "L": "66", "M": "66", "N": "66", "J": "70", "P": "70", "AS": "755", "AT": "755",
    "AK": "664", "AU": "664", "BH": "859", "R": "131", "S": "117", "Z": "117", "i": "117", "a": "131", "AJ": "693",
    "s": "548", "t": "548", "u": "548", "V": "262", "Q": t.EXEC_ID,
}  # fmt: skip
_NOT_PASSED = {
    "D": ENVELOPE | {t.CL_ORD_ID},
    "F": ENVELOPE | {t.CL_ORD_ID, t.ORIG_CL_ORD_ID, t.ORDER_ID},
    "G": ENVELOPE | {t.CL_ORD_ID, t.ORIG_CL_ORD_ID, t.ORDER_ID},
    "H": ENVELOPE | {t.CL_ORD_ID, t.ORDER_ID},
    "8": ENVELOPE
    | {
        t.ORDER_ID, t.CL_ORD_ID, t.ORIG_CL_ORD_ID, t.EXEC_ID, t.EXEC_REF_ID, t.EXEC_TRANS_TYPE, t.EXEC_TYPE,
        t.ORD_STATUS, t.ACCOUNT, t.SYMBOL, t.SIDE, t.ORDER_QTY, t.ORD_TYPE, t.PRICE, t.STOP_PX, t.TIME_IN_FORCE,
        t.LEAVES_QTY, t.CUM_QTY, t.AVG_PX, t.ORD_REJ_REASON,
    },
    "9": ENVELOPE
    | {
        t.ORDER_ID, t.CL_ORD_ID, t.ORIG_CL_ORD_ID, t.ORD_STATUS, t.CXL_REJ_REASON, t.CXL_REJ_RESPONSE_TO, t.TEXT,
        t.TRANSACT_TIME,
    },
}  # fmt: skip


def decode(raw: str, received: date, *, from_broker: bool, fix42: bool) -> tuple[m.Body, datetime | None]:
    """The message in `raw` and its SendingTime(52).

    `received` is the gateway's trading day, used for fills that tell neither TradeDate(75) nor a time.
    """
    pairs = split(raw)
    altered: frozenset[str] = frozenset()
    if not raw.isascii() or UNSTORABLE.search(raw):
        cleaned = clean_pairs(pairs)
        altered = frozenset(after[0] for before, after in zip(pairs, cleaned, strict=True) if before != after)
        pairs = cleaned
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields = first_values(pairs, _once(fields.get("35", ""), from_broker))
    kind = fields.get("35", "")
    sent = parse_time(fields.get(t.SENDING_TIME, ""))
    not_passed = _NOT_PASSED.get(kind)
    body = tuple([pair for pair in pairs if pair[0] not in not_passed]) if not_passed else ()
    reader = Reader(fields, altered)
    if kind in ("3", "j"):
        return _message_reject(fields), sent
    if from_broker:
        if kind == "8":
            return _execution_report(reader, body, received, sent, fix42), sent
        if kind == "9":
            return _cancel_reject(fields, body), sent
        if kind == "r":
            return mass.cancel_report(fields, pairs), sent
    elif kind == "D":
        return _new_order(reader, body), sent
    elif kind == "F":
        return _cancel(reader, body), sent
    elif kind == "G":
        return _replace(reader, body), sent
    elif kind == "H":
        return m.StatusRequest(fields.get(t.CL_ORD_ID, ""), body), sent
    elif kind == "q" and not fix42:  # 4.2 has neither: no answer could be made
        return mass.cancel_request(reader, pairs), sent
    elif kind == "AF" and not fix42:
        return mass.status_request(reader, pairs), sent
    ref_id = fields.get(_REF_ID.get(kind, t.CL_ORD_ID), "") or ("" if kind == "Q" else fields.get(t.CL_ORD_ID, ""))
    return m.Unsupported(kind, ref_id[:ID_LIMIT]), sent


def _once(kind: str, from_broker: bool) -> frozenset[str]:
    """The tags that may be in a message of this type once only."""
    if kind == "r":
        return ONCE - {t.ORIG_CL_ORD_ID}
    return ONCE if kind in _READ[from_broker] else _MSG_TYPE_ONCE


def decode_guarded(
    raw: str, received: date, *, from_broker: bool, fix42: bool, poisoned: bool = False
) -> tuple[m.Body, datetime | None]:
    """`decode`, but a message that breaks our code, now or in an earlier run, comes back as `Unreadable`.

    The edge is the one place where every exception is caught: bad input must not stop the process (I10).
    """
    try:
        if poisoned:
            raise ValueError("this message stopped an earlier run")
        return decode(raw, received, from_broker=from_broker, fix42=fix42)
    except Exception as error:
        fields = dict(plain_split(clean(raw)))  # not what may have failed
        text = clean(f"the gateway could not read this message: {type(error).__name__}: {error}")
        ref_id = fields.get(t.CL_ORD_ID, "")[:ID_LIMIT]
        return m.Unreadable(fields.get("35", ""), ref_id, text), parse_time(fields.get(t.SENDING_TIME, ""))


def _new_order(reader: Reader, body: m.Pairs) -> m.NewOrder:
    get = reader.fields.get
    cl_ord_id = reader.identifier(t.CL_ORD_ID, "ClOrdID")
    qty = reader.number(t.ORDER_QTY, "OrderQty", "13")
    if qty is None:
        by_cash = t.CASH_ORDER_QTY in reader.fields
        what = "an order by cash amount is not taken here, state the quantity" if by_cash else "is missing"
        reader.wrong(t.ORDER_QTY, "OrderQty", what, "11" if by_cash else "13")
    trader = get(t.ON_BEHALF_OF_COMP_ID, "") or get(t.SENDER_SUB_ID, "")
    return m.NewOrder(
        cl_ord_id,
        get(t.ACCOUNT, ""),
        get(t.SYMBOL, ""),
        get(t.SIDE, ""),
        get(t.ORD_TYPE, ""),
        get(t.TIME_IN_FORCE, ""),
        qty or Decimal(0),
        reader.number(t.PRICE, "Price"),
        reader.number(t.STOP_PX, "StopPx"),
        get(t.SECURITY_EXCHANGE, ""),
        get(t.EX_DESTINATION, ""),
        trader,
        get(t.POSS_RESEND) == "Y",
        body,
        reader.problem,
    )


def _cancel(reader: Reader, body: m.Pairs) -> m.CancelRequest:
    cl_ord_id = reader.identifier(t.CL_ORD_ID, "ClOrdID")
    return m.CancelRequest(cl_ord_id, reader.fields.get(t.ORIG_CL_ORD_ID, ""), body, reader.problem)


def _replace(reader: Reader, body: m.Pairs) -> m.ReplaceRequest:
    get = reader.fields.get
    cl_ord_id = reader.identifier(t.CL_ORD_ID, "ClOrdID")
    return m.ReplaceRequest(
        cl_ord_id,
        get(t.ORIG_CL_ORD_ID, ""),
        get(t.SYMBOL, ""),
        get(t.SIDE, ""),
        get(t.ORD_TYPE, ""),
        reader.number(t.ORDER_QTY, "OrderQty", "13"),
        reader.number(t.PRICE, "Price"),
        reader.number(t.STOP_PX, "StopPx"),
        body,
        reader.problem,
    )


def _exec_type(fields: dict[str, str], fix42: bool) -> str:
    """ExecType(150) in 4.4 terms: in 4.2 a bust, a correction and a status are ExecTransType(20) 1, 2, 3."""
    exec_type = fields.get(t.EXEC_TYPE, "")
    if not fix42:
        return exec_type
    trans = fields.get(t.EXEC_TRANS_TYPE, "0")
    if trans in ("1", "2", "3"):
        return {"1": "H", "2": "G", "3": "I"}[trans]
    return "F" if exec_type in ("1", "2") else exec_type


def _is_guarantee(reader: Reader) -> bool:
    """Whether a 4.2 broker tells by a partial fill what it guarantees (D37 of 4.2): nothing has traded by it.

    OrdStatus(39) is stopped, and CumQty(14) is less than what the report would have traded.
    """
    if reader.fields.get(t.ORD_STATUS) != "7":
        return False
    cum_qty = reader.number(t.CUM_QTY, "CumQty", positive=False)
    last_qty = reader.number(t.LAST_QTY, "LastQty", positive=False)
    return cum_qty is not None and last_qty is not None and cum_qty < last_qty


def _execution_report(
    reader: Reader, body: m.Pairs, received: date, sent: datetime | None, fix42: bool
) -> m.ExecutionReport:
    get = reader.fields.get
    exec_type = _exec_type(reader.fields, fix42)
    if fix42 and exec_type == "F" and _is_guarantee(reader):
        exec_type = "7"
    is_trade = exec_type in ("F", "G", "H")
    transact_time = parse_time(get(t.TRANSACT_TIME, "")) if is_trade else None
    trade_date = parse_date(get(t.TRADE_DATE, ""))
    if trade_date is None:
        # Of a message sent again, SendingTime(52) is that of the repeat: OrigSendingTime(122) has the first.
        moment = transact_time or parse_time(get("122", "")) or sent
        trade_date = moment.date() if moment is not None else received
    if is_trade:
        # These two are the ledger's to state; on other reports they pass as the broker gave them.
        body = tuple([pair for pair in body if pair[0] not in (t.LAST_QTY, t.LAST_PX)])
    return m.ExecutionReport(
        get(t.ORDER_ID, ""),
        get(t.CL_ORD_ID, ""),
        get(t.ORIG_CL_ORD_ID, ""),
        _exec_id(reader),
        get(t.EXEC_REF_ID, ""),
        exec_type,
        get(t.ORD_STATUS, ""),
        get(t.SYMBOL, ""),
        get(t.SIDE, ""),
        get(t.ACCOUNT, ""),
        reader.number(t.ORDER_QTY, "OrderQty", positive=False),
        _price(reader, t.PRICE, "Price"),
        _price(reader, t.STOP_PX, "StopPx"),
        reader.number(t.LAST_QTY, "LastQty", positive=False),
        reader.number(t.LAST_PX, "LastPx", positive=False),
        reader.number(t.CUM_QTY, "CumQty", positive=False),
        reader.number(t.LEAVES_QTY, "LeavesQty", positive=False),
        get(t.ORD_REJ_REASON, ""),
        transact_time,
        trade_date,
        get(t.TEXT, ""),
        body,
        reader.problem,
        get(t.ORD_TYPE, ""),
        get(t.TIME_IN_FORCE, ""),
        get(t.AVG_PX, ""),
    )


def _exec_id(reader: Reader) -> str:
    """ExecID(17), '' where it is too long to be a key of the ledger."""
    text = reader.fields.get(t.EXEC_ID, "")
    if len(text) <= _EXEC_ID_LIMIT:
        return text
    reader.wrong(t.EXEC_ID, "ExecID", f"is longer than {_EXEC_ID_LIMIT} characters", "99")
    return ""


def _price(reader: Reader, tag: str, name: str) -> Decimal | None:
    value = reader.number(tag, name, positive=False)
    return value or None  # brokers send 0 where an order has no such price


def _cancel_reject(fields: dict[str, str], body: m.Pairs) -> m.CancelReject:
    get = fields.get
    return m.CancelReject(
        get(t.ORDER_ID, ""),
        get(t.CL_ORD_ID, ""),
        get(t.ORIG_CL_ORD_ID, ""),
        get(t.CXL_REJ_REASON, ""),
        get(t.TEXT, ""),
        body,
    )


def _message_reject(fields: dict[str, str]) -> m.MessageReject:
    ref = fields.get(t.REF_SEQ_NUM, "")
    return m.MessageReject(
        int(ref) if ref.isascii() and ref.isdecimal() and len(ref) < 16 else 0,
        fields.get(t.REF_MSG_TYPE, ""),
        fields.get(t.BUSINESS_REJECT_REF_ID, "")[:ID_LIMIT],
        fields.get(t.TEXT, "no reason given"),
    )

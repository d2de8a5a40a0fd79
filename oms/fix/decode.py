"""Raw FIX text to the core's messages, for any counterparty and version; what cannot be read says why.

One split of the text; no call into the engine. What the gateway interprets becomes typed values, all other
body fields stay as ordered pairs and pass through, repeating groups included. FIX 4.2's ExecTransType(20) and
ExecType(150) become 4.4's here. Nothing raises for bad input: it ends as a `Problem` or as `Unreadable`.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from oms.core import messages as m
from oms.core import tags as t

SOH = "\x01"
# As FIX has a float: leading zeros, a trailing point or trailing zeros say nothing.
_NUMBER = re.compile(r"-?0{0,20}(?:\d{1,15}(?:\.\d{0,10}0{0,20})?|\.\d{1,10}0{0,20})", re.ASCII)
_NUMBER_LIMIT = 70  # characters, above what the pattern lets through, so that what is kept of numbers stays small
_ID_LIMIT = 64
_EXEC_ID_LIMIT = 400
_UNSTORABLE = re.compile("[\x00\x1d-\x1f]")  # NUL, and what sets fields apart on the way to the database

_HEADER = frozenset(
    [
        "8", "9", "35", "34", "43", "49", "50", "52", "56", "57", "90", "91", "97", "115", "116", "122", "128",
        "129", "142", "143", "144", "145", "212", "213", "347", "369", "370", "627", "628", "629", "630",
        "1128", "1129", "1137", "1156", "1400", "1401",
    ]
)  # fmt: skip
_TRAILER = frozenset(["10", "89", "93"])
_ENVELOPE = _HEADER | _TRAILER
# Length fields of data fields: their data may contain the separator, so they are split with care.
_LENGTHS = {
    "90": "91", "93": "89", "95": "96", "212": "213", "348": "349", "350": "351", "352": "353", "354": "355",
    "356": "357", "358": "359", "360": "361", "362": "363", "364": "365", "445": "446", "618": "619", "621": "622",
    "1578": "1579", "1664": "1665", "2072": "2073", "2074": "2075", "2179": "2180", "2287": "2288",
    "2351": "2352", "2637": "2638", "2651": "2652", "2715": "2716", "2718": "2719", "2721": "2722",
}  # fmt: skip
_LENGTH_TAGS = frozenset(_LENGTHS)
LENGTH_OF = {data: length for length, data in _LENGTHS.items()}

# What the gateway acts on may be there once: two would be one thing to us and another to the next reader.
_ONCE = frozenset(
    [
        "35", t.SENDER_SUB_ID, t.ON_BEHALF_OF_COMP_ID, t.POSS_RESEND, t.ACCOUNT, t.CL_ORD_ID, t.CUM_QTY, t.EXEC_ID,
        t.EXEC_REF_ID, t.EXEC_TRANS_TYPE, t.LAST_PX, t.LAST_QTY, t.ORDER_ID, t.ORDER_QTY, t.ORD_STATUS, t.ORD_TYPE,
        t.ORIG_CL_ORD_ID, t.PRICE, t.REF_SEQ_NUM, t.SIDE, t.SYMBOL, t.TIME_IN_FORCE, t.TRADE_DATE, t.STOP_PX,
        t.EX_DESTINATION, t.EXEC_TYPE, t.LEAVES_QTY, t.SECURITY_EXCHANGE, t.BUSINESS_REJECT_REF_ID,
    ]
)  # fmt: skip

_NOT_PASSED = {
    "D": _ENVELOPE | {t.CL_ORD_ID},
    "F": _ENVELOPE | {t.CL_ORD_ID, t.ORIG_CL_ORD_ID, t.ORDER_ID},
    "G": _ENVELOPE | {t.CL_ORD_ID, t.ORIG_CL_ORD_ID, t.ORDER_ID},
    "H": _ENVELOPE | {t.CL_ORD_ID, t.ORDER_ID},
    "8": _ENVELOPE
    | {
        t.ORDER_ID, t.CL_ORD_ID, t.ORIG_CL_ORD_ID, t.EXEC_ID, t.EXEC_REF_ID, t.EXEC_TRANS_TYPE, t.EXEC_TYPE,
        t.ORD_STATUS, t.ACCOUNT, t.SYMBOL, t.SIDE, t.ORDER_QTY, t.ORD_TYPE, t.PRICE, t.STOP_PX, t.TIME_IN_FORCE,
        t.LEAVES_QTY, t.CUM_QTY, t.AVG_PX, t.ORD_REJ_REASON,
    },
    "9": _ENVELOPE
    | {
        t.ORDER_ID, t.CL_ORD_ID, t.ORIG_CL_ORD_ID, t.ORD_STATUS, t.CXL_REJ_REASON, t.CXL_REJ_RESPONSE_TO, t.TEXT,
        t.TRANSACT_TIME,
    },
}  # fmt: skip


def split(raw: str) -> list[tuple[str, str]]:
    """The fields of a message in order, those without a value left out.

    Data fields are taken by their length, whatever they contain, in the same way as the engine takes them.
    ValueError where a tag is not a number: the engine lets none through.
    """
    pairs = _plain_split(raw)
    tags = [tag for tag, _ in pairs]
    if not _LENGTH_TAGS.isdisjoint(tags):
        pairs = _split_with_data(raw)
        tags = [tag for tag, _ in pairs]
    joined = "".join(tags)
    if not (joined.isascii() and joined.isdecimal()) and joined:
        raise ValueError("a tag is not a number")
    if "\x010" in raw and any(tag.startswith("0") for tag in tags):
        raise ValueError("a tag begins with a zero")
    return pairs


def _plain_split(raw: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for part in raw.split(SOH):
        tag, equals, value = part.partition("=")
        if equals and value:
            pairs.append((tag, value))
    return pairs


def _split_with_data(raw: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    data = raw.encode("utf-8", "surrogateescape")  # lengths count bytes
    at = 0
    due: dict[str, int] = {}
    while at < len(data):
        equals = data.find(b"=", at)
        if equals < 0:
            break
        tag = data[at:equals].decode("ascii", "replace")
        end = equals + 1 + due[tag] if tag in due else data.find(b"\x01", equals)
        if tag in due and end > len(data):
            raise ValueError(f"data field {tag} is shorter than its length field says")
        if end < 0:
            end = len(data)
        value = data[equals + 1 : end].decode("utf-8", "surrogateescape")
        if value:
            pairs.append((tag, value))
        if tag in _LENGTHS and value.isascii() and value.isdecimal() and len(value) < 10:
            due[_LENGTHS[tag]] = int(value)  # the last length before the data counts, wherever it stands
        at = end + 1
    return pairs


def parse_time(text: str) -> datetime | None:
    """A UTCTimestamp (to the second or finer, at most microseconds are kept), None if it is not one."""
    if len(text) < 17 or text[8] != "-":
        return None
    if text[15:17] == "60":  # a leap second is the second before
        text = f"{text[:15]}59{text[17:]}"
    try:
        return datetime.fromisoformat(f"{text[:8]}T{text[9:24]}+00:00")
    except ValueError:
        return None


def parse_date(text: str) -> date | None:
    """A LocalMktDate (YYYYMMDD), None if it is not one."""
    try:
        return date(int(text[0:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 else None
    except ValueError:
        return None


def clean(text: str) -> str:
    """Text that can be stored and sent on: what is not UTF-8, NUL and the separators are written out as \\x..,
    and the journal keeps the message as it came.
    """
    if text.isascii() and not _UNSTORABLE.search(text):
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # text that never was bytes
        data = text.encode("utf-8", "backslashreplace")
    text = data.decode("utf-8", "backslashreplace")
    return _UNSTORABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _clean_pairs(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Every field clean; the length field before a data field follows what became of its data."""
    cleaned: list[tuple[str, str]] = []
    lengths: dict[str, int] = {}
    for tag, value in pairs:
        text = clean(value)
        if text != value and LENGTH_OF.get(tag) in lengths:
            cleaned[lengths[LENGTH_OF[tag]]] = (LENGTH_OF[tag], str(len(text.encode())))
        if tag in _LENGTHS:
            lengths[tag] = len(cleaned)
        cleaned.append((clean(tag), text))
    return cleaned


@lru_cache(maxsize=4096)  # quantities and prices repeat
def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


class _Reader:
    """Typed reads from one message; the first problem found is kept."""

    __slots__ = ("altered", "fields", "problem")

    def __init__(self, fields: dict[str, str], altered: frozenset[str]) -> None:
        self.fields = fields
        self.altered = altered  # tags whose values are not as they came, because they were not clean
        self.problem: m.Problem | None = None

    def number(self, tag: str, name: str, reason: str = "99", *, positive: bool = True) -> Decimal | None:
        text = self.fields.get(tag)
        if text is None:
            return None
        value = _decimal(text) if len(text) < _NUMBER_LIMIT else None
        if value is None:
            self.wrong(tag, name, f"{text[:40]} is not a number of at most 15 digits and 10 decimals", reason)
            return None
        if positive and value <= 0:
            self.wrong(tag, name, f"{text} is not above zero", reason)
            return None
        return value

    def identifier(self, tag: str, name: str) -> str:
        text = self.fields.get(tag, "")
        if not text:
            self.wrong(tag, name, "is missing", "99")
        elif tag in self.altered:
            self.wrong(tag, name, "has bytes that are not UTF-8", "99")
        elif len(text) > _ID_LIMIT or not text.isprintable():
            self.wrong(tag, name, f"is longer than {_ID_LIMIT} characters or not printable", "99")
        return text

    def wrong(self, tag: str, name: str, text: str, reason: str) -> None:
        if self.problem is None:
            self.problem = m.Problem(f"{name}({tag})", text, reason)


def decode(raw: str, received: date, *, from_broker: bool, fix42: bool) -> tuple[m.Body, datetime | None]:
    """The message in `raw` and its SendingTime(52).

    `received` is the gateway's trading day, used for fills that tell neither TradeDate(75) nor a time.
    """
    pairs = split(raw)
    altered: frozenset[str] = frozenset()
    if not raw.isascii() or _UNSTORABLE.search(raw):
        cleaned = _clean_pairs(pairs)
        altered = frozenset(after[0] for before, after in zip(pairs, cleaned, strict=True) if before != after)
        pairs = cleaned
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields = _first_values(pairs)
    kind = fields.get("35", "")
    sent = parse_time(fields.get(t.SENDING_TIME, ""))
    not_passed = _NOT_PASSED.get(kind)
    body = tuple([pair for pair in pairs if pair[0] not in not_passed]) if not_passed else ()
    reader = _Reader(fields, altered)
    if kind in ("3", "j"):
        return _message_reject(fields), sent
    if from_broker:
        if kind == "8":
            return _execution_report(reader, body, received, sent, fix42), sent
        if kind == "9":
            return _cancel_reject(fields, body), sent
    elif kind == "D":
        return _new_order(reader, body), sent
    elif kind == "F":
        return _cancel(reader, body), sent
    elif kind == "G":
        return _replace(reader, body), sent
    elif kind == "H":
        return m.StatusRequest(fields.get(t.CL_ORD_ID, ""), body), sent
    ref_id = fields.get(t.EXEC_ID if kind == "Q" else t.CL_ORD_ID, "")
    return m.Unsupported(kind, ref_id[:_ID_LIMIT]), sent


def _first_values(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The first value of every tag, for messages with repeating groups. ValueError for a repeat that is none."""
    fields: dict[str, str] = {}
    for tag, value in pairs:
        if tag not in fields:
            fields[tag] = value
        elif tag in _ONCE:
            raise ValueError(f"tag {tag} appears more than once")
    return fields


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
        fields = dict(_plain_split(clean(raw)))  # not what may have failed
        text = clean(f"the gateway could not read this message: {type(error).__name__}: {error}")
        ref_id = fields.get(t.CL_ORD_ID, "")[:_ID_LIMIT]
        return m.Unreadable(fields.get("35", ""), ref_id, text), parse_time(fields.get(t.SENDING_TIME, ""))


def _new_order(reader: _Reader, body: m.Pairs) -> m.NewOrder:
    get = reader.fields.get
    cl_ord_id = reader.identifier(t.CL_ORD_ID, "ClOrdID")
    qty = reader.number(t.ORDER_QTY, "OrderQty", "13")
    if qty is None:
        what = "an order by cash amount is not taken here" if t.CASH_ORDER_QTY in reader.fields else "is missing"
        reader.wrong(t.ORDER_QTY, "OrderQty", what, "13")
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


def _cancel(reader: _Reader, body: m.Pairs) -> m.CancelRequest:
    cl_ord_id = reader.identifier(t.CL_ORD_ID, "ClOrdID")
    return m.CancelRequest(cl_ord_id, reader.fields.get(t.ORIG_CL_ORD_ID, ""), body, reader.problem)


def _replace(reader: _Reader, body: m.Pairs) -> m.ReplaceRequest:
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


def _execution_report(
    reader: _Reader, body: m.Pairs, received: date, sent: datetime | None, fix42: bool
) -> m.ExecutionReport:
    get = reader.fields.get
    exec_type = _exec_type(reader.fields, fix42)
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
    )


def _exec_id(reader: _Reader) -> str:
    """ExecID(17), '' where it is too long to be a key of the ledger."""
    text = reader.fields.get(t.EXEC_ID, "")
    if len(text) <= _EXEC_ID_LIMIT:
        return text
    reader.wrong(t.EXEC_ID, "ExecID", f"is longer than {_EXEC_ID_LIMIT} characters", "99")
    return ""


def _price(reader: _Reader, tag: str, name: str) -> Decimal | None:
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
        fields.get(t.BUSINESS_REJECT_REF_ID, "")[:_ID_LIMIT],
        fields.get(t.TEXT, "no reason given"),
    )

"""The fields of raw FIX text: split, cleaned, and read as typed values; the same for every message type.

Data fields are taken by their length. What cannot be stored or sent on is written out in a readable form. Nothing
raises for a bad value: `Reader` keeps the first problem. Text that is no FIX at all raises ValueError.
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
ID_LIMIT = 64
UNSTORABLE = re.compile("[\x00\x1d-\x1f]")  # NUL, and what sets fields apart on the way to the database

_HEADER = frozenset(
    [
        "8", "9", "35", "34", "43", "49", "50", "52", "56", "57", "90", "91", "97", "115", "116", "122", "128",
        "129", "142", "143", "144", "145", "212", "213", "347", "369", "370", "627", "628", "629", "630",
        "1128", "1129", "1137", "1156", "1400", "1401",
    ]
)  # fmt: skip
_TRAILER = frozenset(["10", "89", "93"])
ENVELOPE = _HEADER | _TRAILER
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
ONCE = frozenset(
    [
        "35", t.SENDER_SUB_ID, t.ON_BEHALF_OF_COMP_ID, t.POSS_RESEND, t.ACCOUNT, t.CL_ORD_ID, t.CUM_QTY, t.EXEC_ID,
        t.EXEC_REF_ID, t.EXEC_TRANS_TYPE, t.LAST_PX, t.LAST_QTY, t.ORDER_ID, t.ORDER_QTY, t.ORD_STATUS, t.ORD_TYPE,
        t.ORIG_CL_ORD_ID, t.PRICE, t.REF_SEQ_NUM, t.SIDE, t.SYMBOL, t.TIME_IN_FORCE, t.TRADE_DATE, t.STOP_PX,
        t.EX_DESTINATION, t.EXEC_TYPE, t.LEAVES_QTY, t.SECURITY_EXCHANGE, t.BUSINESS_REJECT_REF_ID,
    ]
)  # fmt: skip


def split(raw: str) -> list[tuple[str, str]]:
    """The fields of a message in order, those without a value left out.

    Data fields are taken by their length, whatever they contain, in the same way as the engine takes them.
    ValueError where a tag is not a number: the engine lets none through.
    """
    pairs = plain_split(raw)
    tags = [tag for tag, _ in pairs]
    if not _LENGTH_TAGS.isdisjoint(tags):
        pairs = _split_with_data(raw)
        tags = [tag for tag, _ in pairs]
    joined = "".join(tags)
    if (not (joined.isascii() and joined.isdecimal()) and joined) or "" in tags:
        raise ValueError("a tag is not a number")
    if "\x010" in raw and any(tag.startswith("0") for tag in tags):
        raise ValueError("a tag begins with a zero")
    return pairs


def plain_split(raw: str) -> list[tuple[str, str]]:
    """The fields of a message that has no data fields, in order, those without a value left out."""
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
    if text.isascii() and not UNSTORABLE.search(text):
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # text that never was bytes
        data = text.encode("utf-8", "backslashreplace")
    text = data.decode("utf-8", "backslashreplace")
    return UNSTORABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def clean_pairs(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
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


class Reader:
    """Typed reads from one message; the first problem found is kept."""

    __slots__ = ("altered", "fields", "problem")

    def __init__(self, fields: dict[str, str], altered: frozenset[str]) -> None:
        self.fields = fields
        self.altered = altered  # tags whose values are not as they came, because they were not clean
        self.problem: m.Problem | None = None

    def number(self, tag: str, name: str, reason: str = "99", *, positive: bool = True) -> Decimal | None:
        """The number of a field, None where it is absent or wrong."""
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
        """An id of a counterparty; a problem where it is absent, too long or not printable."""
        text = self.fields.get(tag, "")
        if not text:
            self.wrong(tag, name, "is missing", "99")
        elif tag in self.altered:
            self.wrong(tag, name, "has bytes that are not UTF-8", "99")
        elif len(text) > ID_LIMIT or not text.isprintable():
            self.wrong(tag, name, f"is longer than {ID_LIMIT} characters or not printable", "99")
        return text

    def wrong(self, tag: str, name: str, text: str, reason: str) -> None:
        """Note what is wrong with a field; the first that was noted stays."""
        if self.problem is None:
            self.problem = m.Problem(f"{name}({tag})", text, reason)


def first_values(pairs: list[tuple[str, str]], once: frozenset[str] = ONCE) -> dict[str, str]:
    """The first value of every tag, for messages with repeating groups. ValueError for a repeat that is none."""
    fields: dict[str, str] = {}
    for tag, value in pairs:
        if tag not in fields:
            fields[tag] = value
        elif tag in once:
            raise ValueError(f"tag {tag} appears more than once")
    return fields

"""FIX text as the simulators see it: a raw message as a dictionary, and back.

Limits: a tag that repeats (a repeating group) keeps its first value in the dictionary; `Message.all` has
every value, `Message.raw` the text itself. Prices and quantities are decimals, times UTC with milliseconds.
The simulators build their messages here and not with oms.fix.encode, so that they do not repeat the gateway's
mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

SOH = "\x01"

Pairs = Iterable[tuple[int, str]]


class Message(dict[int, str]):
    """One message: `message[39]` is OrdStatus(39), the first one if it repeats; `raw` is the text with SOH."""

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.pairs: list[tuple[int, str]] = []
        for item in raw.split(SOH):
            tag, equals, value = item.partition("=")
            if equals and tag.isdigit():
                self.pairs.append((int(tag), value))
        super().__init__(reversed(self.pairs))

    @property
    def type(self) -> str:
        """MsgType(35), empty where there is none."""
        return self.get(35, "")

    def all(self, tag: int) -> list[str]:
        """Every value of a tag, in order: the entries of a repeating group."""
        return [value for number, value in self.pairs if number == tag]

    def __str__(self) -> str:
        return shown(self.raw)

    __repr__ = __str__


def shown(raw: str) -> str:
    """A raw message for people: `|` for SOH."""
    return raw.replace(SOH, "|")


def wired(text: str) -> str:
    """Text written with `|` as raw FIX with SOH and a trailing SOH; raw FIX stays as it is."""
    raw = text if SOH in text else text.replace("|", SOH)
    return raw if raw.endswith(SOH) else raw + SOH


def joined(pairs: Pairs) -> str:
    """Tags and values as raw FIX; empty values are left out, and SOH inside one becomes a space."""
    return "".join(f"{tag}={value.replace(SOH, ' ')}{SOH}" for tag, value in pairs if value != "")


def plain(value: Decimal | None) -> str:
    """A decimal as FIX text: no exponent, no trailing zeros; empty for None."""
    if value is None:
        return ""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def decimal_of(text: str | None) -> Decimal | None:
    """A decimal from FIX text; None where it is absent or no finite number."""
    try:
        value = Decimal(text) if text else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None


def utc_now() -> datetime:
    """The time of day, aware, in UTC."""
    return datetime.now(UTC)


def utc_timestamp(moment: datetime) -> str:
    """A time as UTCTimestamp with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]

"""FIX's coded values in words, always with the value: `Partially filled (1)`.

For tables and summaries. The fields of raw messages are named by the session's own data dictionary instead
(`fix_names.py`).
"""

from __future__ import annotations

ORD_STATUS = {
    "0": "New",
    "1": "Partially filled",
    "2": "Filled",
    "3": "Done for day",
    "4": "Canceled",
    "5": "Replaced",
    "6": "Pending cancel",
    "7": "Stopped",
    "8": "Rejected",
    "9": "Suspended",
    "A": "Pending new",
    "B": "Calculated",
    "C": "Expired",
    "D": "Accepted for bidding",
    "E": "Pending replace",
}
SIDE = {
    "1": "Buy",
    "2": "Sell",
    "3": "Buy minus",
    "4": "Sell plus",
    "5": "Sell short",
    "6": "Sell short exempt",
    "7": "Undisclosed",
    "8": "Cross",
    "9": "Cross short",
    "A": "Cross short exempt",
    "B": "As defined",
    "C": "Opposite",
    "D": "Subscribe",
    "E": "Redeem",
    "F": "Lend",
    "G": "Borrow",
}
ORD_TYPE = {
    "1": "Market",
    "2": "Limit",
    "3": "Stop",
    "4": "Stop limit",
    "5": "Market on close",
    "6": "With or without",
    "7": "Limit or better",
    "8": "Limit with or without",
    "9": "On basis",
    "A": "On close",
    "B": "Limit on close",
    "D": "Previously quoted",
    "E": "Previously indicated",
    "G": "Forex swap",
    "I": "Funari",
    "J": "Market if touched",
    "K": "Market with leftover as limit",
    "P": "Pegged",
}
TIME_IN_FORCE = {
    "": "Day",
    "0": "Day",
    "1": "Good till cancel",
    "2": "At the opening",
    "3": "Immediate or cancel",
    "4": "Fill or kill",
    "5": "Good till crossing",
    "6": "Good till date",
    "7": "At the close",
}
REQUEST = {"F": "cancel", "G": "replace"}


def worded(words: dict[str, str], value: str) -> str:
    """A value in words with the value itself; one without words as it is."""
    if value not in words:
        return f"({value})" if value else ""
    return f"{words[value]} ({value})" if value else words[value]


def ord_status(value: str) -> str:
    """OrdStatus(39): ``Partially filled (1)``."""
    return worded(ORD_STATUS, value)


def side(value: str) -> str:
    """Side(54): ``Buy (1)``."""
    return worded(SIDE, value)


def ord_type(value: str) -> str:
    """OrdType(40): ``Stop limit (4)``."""
    return worded(ORD_TYPE, value)


def time_in_force(value: str) -> str:
    """TimeInForce(59): ``Good till cancel (1)``; absent is Day."""
    return worded(TIME_IN_FORCE, value)


def status_value(text: str) -> str | None:
    """The value of OrdStatus(39) that a word or a value means: ``filled``, ``partially-filled``, ``2``."""
    if text.upper() in ORD_STATUS:
        return text.upper()
    wanted = text.lower().replace("-", " ").replace("_", " ")
    named = {name.lower(): value for value, name in ORD_STATUS.items()} | {
        "partial": "1",
        "cancelled": "4",
    }
    return named.get(wanted)

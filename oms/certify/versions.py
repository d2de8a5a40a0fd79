"""What a row of a scenario looks like in FIX 4.2, 4.4 and 5.0 SP2, said from the standard alone.

Rows are in 4.4's words. 5.0 SP2 says the same. 4.2 says a bust, a correction and a status by ExecTransType(20) 1, 2
and 3 beside an ordinary ExecType(150), a trade as partial fill (1) or fill (2), and an accepted replace of an order
without fills as OrdStatus(39) 5, Replaced. A reason code that a version does not have becomes that version's nearest
word, or is left out where it has none; so is a field, or an instruction of an order, that it does not have.

Nothing here knows how the gateway translates (oms.fix.encode, oms.fix.decode): the two must come to the same by
themselves. Only the standard's data dictionaries are read by both.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from oms.errors import OperatorError
from oms.fix.dictionary import message_specs
from oms.sim.session import VERSIONS, dictionary_paths, field_tags

Fields = dict[str, str]  # values by tag number

EXEC_TYPE, EXEC_TRANS_TYPE, ORD_STATUS, ORDER_QTY, CUM_QTY = "150", "20", "39", "38", "14"
_TRANS_TYPES = {"H": "1", "G": "2", "I": "3"}
_NEAREST = {"103": "0", "102": "2"}  # broker's option, in both lists
_HEADER = frozenset({"97", "43"})


class Pair(NamedTuple):
    """The version a client speaks and the version its broker speaks."""

    client: str
    broker: str

    def __str__(self) -> str:
        return f"{self.client}/{self.broker}"


PAIRS = tuple(
    Pair(*one.split("/"))
    for one in ("4.2/4.2", "4.4/4.4", "5.0SP2/5.0SP2", "4.2/4.4", "4.4/4.2", "4.2/5.0SP2", "5.0SP2/4.2")
)


def pair_of(text: str) -> Pair:
    """The pair that a text such as 4.2/4.4 means. Raises OperatorError."""
    client, _, broker = text.replace(" ", "").upper().partition("/")
    if client not in VERSIONS or broker not in VERSIONS:
        raise OperatorError(
            f"{text!r} is no pair of FIX versions; write CLIENT/BROKER with {', '.join(VERSIONS)}, such as 4.2/4.4"
        )
    return Pair(client, broker)


@cache
def _values(version: str) -> Mapping[str, frozenset[str]]:
    """The values that a version has for the tags whose values are listed."""
    root = ElementTree.parse(dictionary_paths(version)[-1]).getroot()
    return {
        field.attrib["number"]: frozenset(value.attrib["enum"] for value in field)
        for field in root.iterfind("fields/field")
        if len(field)
    }


def has(version: str, msg_type: str, tag: str, value: str) -> bool:
    """Whether a version has this field in this message, with this value."""
    if tag in _HEADER:
        return True
    spec = message_specs(Path(dictionary_paths(version)[-1])).get(msg_type)
    if spec is None or tag not in spec.allowed:
        return False
    listed = _values(version).get(tag)
    # Fields of several values, such as ExecInst(18), set them apart by spaces.
    return not listed or all(one in listed for one in value.split(" "))


def degraded(version: str, msg_type: str, fields: Fields) -> Fields:
    """What is left of a message, in 4.4's words, when it has to be said in a version: codes and fields it has."""
    left = {}
    for tag, value in fields.items():
        if tag in (EXEC_TYPE, ORD_STATUS) or has(version, msg_type, tag, value):
            left[tag] = value
        elif tag in _NEAREST:
            left[tag] = _NEAREST[tag]
    return left


def said(version: str, msg_type: str, fields: Fields) -> Fields:
    """A message of 4.4's words in the words of a version."""
    left = degraded(version, msg_type, fields)
    if version != "4.2" or msg_type != "8":
        return left
    exec_type, ord_status = fields[EXEC_TYPE], fields[ORD_STATUS]
    left[EXEC_TRANS_TYPE] = _TRANS_TYPES.get(exec_type, "0")
    if exec_type == "5" and ord_status == "0":
        left[ORD_STATUS] = "5"
    if exec_type == "I":
        left[EXEC_TYPE] = ord_status
    elif exec_type in ("F", "G", "H"):
        whole = Decimal(fields[CUM_QTY]) >= Decimal(fields[ORDER_QTY])
        left[EXEC_TYPE] = "2" if whole else "1"
    return left


@cache
def _names() -> Mapping[int, str]:
    """Field names by tag, the newest version's first."""
    found: dict[int, str] = {}
    for version in VERSIONS:
        found |= {tag: name for name, tag in field_tags(version).items()}
    return found


def field_name(tag: str) -> str:
    """A field for people: OrdStatus(39)."""
    name = _names().get(int(tag), "") if tag.isdecimal() else ""
    return f"{name}({tag})"

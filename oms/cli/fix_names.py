"""Names of the fields, values and messages of a session, from the data dictionaries it is configured with.

A session that the configuration does not have (any more) is read with the standard dictionaries. Names only: what
is allowed where is the engine's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from oms.config.dictionaries import STANDARD_DIRECTORY
from oms.config.load import Config

SOH = "\x01"
STANDARD = ("FIXT11.xml", "FIX50SP2.xml")


class Field(NamedTuple):
    """One field of a message: its tag as it came, its name ('' if unknown), value, and what a coded value means."""

    tag: str
    name: str
    value: str
    meaning: str

    @property
    def label(self) -> str:
        """``OrderQty(38)``, or ``(5001)`` where no dictionary knows the tag."""
        return f"{self.name}({self.tag})"


class Names:
    """The names one session uses."""

    def __init__(self, fields: dict[str, str], values: dict[tuple[str, str], str], messages: dict[str, str]) -> None:
        self._fields, self._values, self._messages = fields, values, messages

    def message(self, msg_type: str) -> str:
        """``NewOrderSingle(D)``, or ``(U1)`` where no dictionary knows the type."""
        return f"{self._messages.get(msg_type, '')}({msg_type})"

    def label(self, tag: str) -> str:
        """``OrderQty(38)``, or ``(5001)`` where no dictionary knows the tag."""
        return f"{self._fields.get(tag, '')}({tag})"

    def fields(self, text: str) -> list[Field]:
        """The fields of a message in order; what is no field (no `=`) becomes one without a name."""
        found = []
        for part in text.split(SOH):
            if not part:
                continue
            tag, equals, value = part.partition("=")
            if not equals:
                tag, value = "", part
            found.append(Field(tag, self._fields.get(tag, ""), value, self._values.get((tag, value), "")))
        return found


class SessionNames:
    """Names by session, each dictionary read once."""

    def __init__(self, config: Config) -> None:
        self._paths = {name: spec.dictionaries for name, spec in config.sessions.items()}

    def of(self, session: str) -> Names:
        """The names of a session."""
        standard = tuple(str(STANDARD_DIRECTORY / name) for name in STANDARD)
        return _names(self._paths.get(session, standard))


def names_in(paths: tuple[str, ...]) -> Names:
    """The names of these dictionaries; those of the first win."""
    return _names(paths)


@cache
def _names(paths: Iterable[str]) -> Names:
    fields: dict[str, str] = {}
    values: dict[tuple[str, str], str] = {}
    messages: dict[str, str] = {}
    for path in paths:
        try:
            root = ElementTree.parse(Path(path)).getroot()
        except (OSError, ElementTree.ParseError):
            continue  # names only: numbers are shown instead
        for field in root.iterfind("fields/field"):
            number = field.get("number", "")
            fields.setdefault(number, field.get("name", ""))
            for value in field.iterfind("value"):
                meaning = value.get("description", "").replace("_", " ").capitalize()
                values.setdefault((number, value.get("enum", "")), meaning)
        for message in root.iterfind("messages/message"):
            messages.setdefault(message.get("msgtype", ""), message.get("name", ""))
    return Names(fields, values, messages)

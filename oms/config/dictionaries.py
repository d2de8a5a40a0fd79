"""Finds and looks into QuickFIX data dictionaries (XML): version, messages, and the values of coded fields.

Bare names are looked for in the configured fix_specs directory first, then among the standard dictionaries
that the quickfix package installs. Limit: groups and components are QuickFIX's to read; here only what
start-up must know.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

STANDARD_DIRECTORY = Path(sys.prefix) / "share" / "quickfix"
STANDARD_NAMES = {
    "FIX.4.2": "FIX42.xml",
    "FIX.4.4": "FIX44.xml",
    "FIXT.1.1": "FIXT11.xml",
    "FIX.5.0SP2": "FIX50SP2.xml",
}
APPLICATION_MESSAGES = ("D", "F", "G", "8", "9", "j")
SESSION_MESSAGES = ("0", "1", "2", "3", "4", "5", "A")


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What a dictionary says: its version, its MsgType(35) values, the values of each coded field by tag."""

    path: Path
    version: str
    messages: frozenset[str]
    values: dict[int, frozenset[str]]


class DictionaryUnreadable(Exception):
    """Why a file is no data dictionary, in words that follow the file's name."""


def locate(name: str, fix_specs: Path, directory: Path) -> tuple[Path, ...]:
    """Where a dictionary of this name may be, first place first. ``directory`` is that of sessions.cfg."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return (path,)
    if "/" in name:
        return ((directory / path).absolute(),)
    return (fix_specs / path, STANDARD_DIRECTORY / path)


def read_dictionary(path: Path) -> Dictionary:
    """The dictionary in a file. Raises DictionaryUnreadable."""
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise DictionaryUnreadable(f"cannot be read: {error.strerror}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DictionaryUnreadable(f"is not XML: {error}") from error
    if root.tag != "fix" or not root.get("major") or not root.get("minor"):
        raise DictionaryUnreadable("has no <fix major=.. minor=..> at its root")
    values = {}
    for field in root.iterfind("fields/field"):
        codes = frozenset(code for value in field.iterfind("value") if (code := value.get("enum")))
        number = field.get("number", "")
        if codes and number.isdecimal():
            values[int(number)] = codes
    messages = frozenset(code for message in root.iterfind("messages/message") if (code := message.get("msgtype")))
    return Dictionary(path, _version(root), messages, values)


def _version(root: ElementTree.Element) -> str:
    service_pack = root.get("servicepack", "0")
    suffix = "" if service_pack in ("", "0") else f"SP{service_pack}"
    return f"{root.get('type', 'FIX')}.{root.get('major')}.{root.get('minor')}{suffix}"

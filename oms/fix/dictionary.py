"""Data dictionaries as the gateway needs them: which fields each message may and must have.

Read from the same XML files that the engine validates with, so both agree. Fields of repeating groups count
as allowed in the message that has the group; required ones are those of the message's top level.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

MESSAGES = ("D", "F", "G", "H", "AF", "Q", "q", "r", "8", "9", "j")


class MessageSpec(NamedTuple):
    """The tags that one MsgType(35) may have anywhere in its body, and those it must have at its top level.

    `member_of` has, for the members of repeating groups, the count fields of the groups they may stand in;
    `delimiters` are the fields that the entries of its groups begin with; `listed` has the values of the fields
    whose values are listed.
    """

    allowed: frozenset[str]
    required: tuple[str, ...]
    member_of: Mapping[str, frozenset[str]] = {}
    delimiters: frozenset[str] = frozenset()
    listed: Mapping[str, frozenset[str]] = {}

    def takes(self, tag: str, value: str) -> bool:
        """Whether a value is one of those listed for its field; of several, set apart by spaces, all must be."""
        listed = self.listed.get(tag)
        return listed is None or value in listed or listed.issuperset(value.split(" "))


@cache
def message_specs(path: Path) -> dict[str, MessageSpec]:
    """The specs of the message types that the gateway handles, from one application dictionary."""
    root = ElementTree.parse(path).getroot()
    numbers = {field.get("name", ""): field.get("number", "") for field in root.iterfind("fields/field")}
    components = {one.get("name", ""): one for one in root.iterfind("components/component")}

    def tags(node: ElementTree.Element) -> set[str]:
        found: set[str] = set()
        for part in node:
            name = part.get("name", "")
            if part.tag == "component":
                found |= tags(components[name])
            else:
                found.add(numbers[name])
                found |= tags(part)  # a group has parts, a field has none
        return found

    def members(node: ElementTree.Element, count: str, found: dict[str, set[str]]) -> dict[str, set[str]]:
        for part in node:
            name = part.get("name", "")
            if part.tag == "component":
                members(components[name], count, found)
                continue
            found.setdefault(numbers[name], set()).add(count)
            if part.tag == "group":
                members(part, numbers[name], found)
        return found

    def required(node: ElementTree.Element) -> list[str]:
        found: list[str] = []
        for part in node:
            if part.get("required") != "Y":
                continue
            if part.tag == "component":
                found += required(components[part.get("name", "")])
            else:
                found.append(numbers[part.get("name", "")])
        return found

    listed = {
        field.get("number", ""): frozenset(value.get("enum", "") for value in field.iterfind("value"))
        for field in root.iterfind("fields/field")
        if field.find("value") is not None
    }
    return {
        msg_type: MessageSpec(
            frozenset(tags(message)),
            tuple(required(message)),
            {tag: frozenset(counts) for tag, counts in members(message, "", {}).items() if "" not in counts},
            frozenset(_delimiters(message, numbers, components)),
            listed,
        )
        for message in root.iterfind("messages/message")
        if (msg_type := message.get("msgtype", "")) in MESSAGES
    }


def _delimiters(
    node: ElementTree.Element, numbers: Mapping[str, str], components: Mapping[str, ElementTree.Element]
) -> set[str]:
    """The first field of every group within a node."""
    found: set[str] = set()
    for part in node:
        inner = components[part.get("name", "")] if part.tag == "component" else part
        if part.tag == "group" and len(part):
            first = part[0]
            while first.tag == "component":
                first = components[first.get("name", "")][0]
            found.add(numbers[first.get("name", "")])
        found |= _delimiters(inner, numbers, components)
    return found

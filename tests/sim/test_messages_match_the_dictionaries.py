"""Everything that the simulators send has what the version's dictionary requires, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from xml.etree import ElementTree

import pytest

from oms.sim.checks import ClientOrder
from oms.sim.flow import FollowUp, Terms
from oms.sim.requests import follow_up, new_order
from oms.sim.session import dictionary_paths
from oms.sim.wire import Message
from tests.sim.talk import NOON, VERSIONS, Talk, cancel, order, replace, rule

HEADER = {35, 97}


class Dictionary:
    """The application messages of a data dictionary: fields allowed and required, and enumerations."""

    def __init__(self, version: str) -> None:
        root = ElementTree.parse(dictionary_paths(version)[-1]).getroot()
        self._numbers = {field.attrib["name"]: int(field.attrib["number"]) for field in root.iterfind("fields/field")}
        self._components = {part.attrib["name"]: part for part in root.iterfind("components/component")}
        self._messages = {part.attrib["msgtype"]: part for part in root.iterfind("messages/message")}
        self.enums = {
            int(field.attrib["number"]): {value.attrib["enum"] for value in field.iterfind("value")}
            for field in root.iterfind("fields/field")
        }

    def fields(self, msg_type: str, *, required: bool) -> set[int]:
        """All fields of a message, or only those that it must have."""
        return set(self._walk(self._messages[msg_type], required))

    def _walk(self, part: ElementTree.Element, required: bool) -> Iterator[int]:
        for child in part:
            if required and child.attrib.get("required") != "Y":
                continue
            if child.tag == "component":
                yield from self._walk(self._components[child.attrib["name"]], required)
            else:
                yield self._numbers[child.attrib["name"]]
                if child.tag == "group" and not required:
                    yield from self._walk(child, required)


@cache
def dictionary(version: str) -> Dictionary:
    return Dictionary(version)


def findings(message: Message, version: str) -> list[str]:
    """What is wrong with a message by the version's dictionary; AvgPx(6) is wanted in 5.0 SP2 too."""
    known = dictionary(version)
    tags = set(message) - HEADER
    required = known.fields(message.type, required=True) | ({6} if message.type == "8" else set())
    found = [f"{tag} is missing" for tag in sorted(required - tags)]
    allowed = known.fields(message.type, required=False)
    found += [f"{tag} does not belong" for tag in sorted(tags - allowed) if tag < 5000]
    found += [
        f"{tag}={value} is not in the enumeration"
        for tag, value in message.pairs
        if known.enums.get(tag) and value not in known.enums[tag]
    ]
    return [f"{message}: {finding}" for finding in found]


SCRIPTS = [
    ("accept", "{do='part_fill', qty=10}", "fill", "bust", "{do='correct', nth=1, qty=5}", "duplicate"),
    ("pending_new", "{do='reject', reason=99}"),
    ("{do='reject', reason=13}",),
    ("accept", "pending_cancel", "cancel", "fill_after_cancel"),
    ("accept", "pending_cancel", "{do='cancel_reject', reason=99}"),
    ("accept", "pending_replace", "replace", "replace_reject"),
    ("accept", "unknown_order_report", "wrong_quantities", "done_for_day"),
    ("accept", "restate", "{do='restate', qty=50}", "expire"),
    ("accept", "unsolicited_cancel"),
    ("business_reject",),
    ("accept", "business_reject"),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "steps", SCRIPTS, ids=lambda steps: "-".join(step.split("'")[-2 if "'" in step else 0] for step in steps)
)
def test_what_a_script_makes_the_broker_say_is_valid(version: str, steps: tuple[str, ...]) -> None:
    talk = Talk(rule(*steps), version)
    said = talk.say(order(t1="FUND1", t15="USD", t207="XNAS"))
    for text in (cancel("Y", "X"), replace("Z", "X", 120), replace("V", "Z", 130), "35=H|11=X|55=IBM|54=1"):
        said += talk.say(text)
    assert len(said) >= 4
    assert [finding for message in talk.out for finding in findings(message, version)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_broker_says_without_a_script_is_valid(version: str) -> None:
    talk = Talk("", version)
    said = talk.say(order("A", t40="1", t44="")) + talk.say(order("A")) + talk.say(order("B", t59="4", t44="1"))
    said += talk.say(order("C", t38="0")) + talk.say(order("D", t40="P")) + talk.say(order("E", t44=""))
    said += talk.say(cancel("F", "NONE")) + talk.say("35=H|11=Q|55=IBM|54=1") + talk.say("35=B|148=x|33=0")
    assert len(said) == 11
    assert [finding for message in talk.out for finding in findings(message, version)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_client_sends_is_valid(version: str) -> None:
    terms = Terms("IBM", "1", Decimal(100), "4", Decimal("10.5"), Decimal("10.4"), "1", "FUND1", "note")
    known = ClientOrder(["A1"], "IBM", "1", Decimal(100), Decimal("10.5"))
    texts = [new_order(terms, "A1", "C/A1", version, NOON)] + [
        follow_up(FollowUp(action, "acked", 0, Decimal(50)), known, terms, ("A2", "A1"), "C/A1", version, NOON)
        for action in ("cancel", "replace", "status")
    ]
    messages = [Message(text) for text in texts]
    assert [message.type for message in messages] == ["D", "F", "G", "H"]
    assert [finding for message in messages for finding in findings(message, version)] == []


def test_a_message_that_breaks_the_dictionary_is_found() -> None:
    message = Message(
        "35=8\x0137=O\x0111=X\x0117=E\x01150=1\x0139=0\x0155=IBM\x0154=1\x01151=1\x0114=0\x01448=x\x0120=0\x01"
    )
    assert [text.rpartition(": ")[2] for text in findings(message, "4.4")] == [
        "6 is missing",
        "20 does not belong",
        "150=1 is not in the enumeration",
    ]

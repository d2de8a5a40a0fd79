"""Situations of a FIX session as files that a person can read: what a counterparty sends, what the gateway answers.

    title: A number that is too high is answered with a ResendRequest(2) for what is missing.
    published: 2b_MsgSeqNumTooHigh

    connect
    > A
    < A
    > 0 34=10
    < 2 7=2|16=0

Head: `title` (one sentence), `published` (names in the acceptance tests of QuickFIX that it covers), `versions` (all
where absent), `adapted` (what is asked differently there, and why), `settings` (keys of the session in sessions.cfg).

Steps, one a line; `[4.2]` before a step keeps it to these versions, `second` makes it one of a second connection:
- `connect`, `cut` (close our side), `closed` (the gateway closes and has said nothing more);
- `> TYPE tag=value|...` sends a message whose header, BodyLength(9) and CheckSum(10) are right unless given;
  `tag=-` leaves one of them out. `>> tag=value|...` sends exactly this text, {length} and {check} put in;
- `< TYPE tag=value|...` is the next message and has these fields and no others, `*` in a value for any text, and
  `...` at the end for further fields. Not named are 8, 9, 10, 49, 52 and 56, which are always checked, and
  MsgSeqNum(34) where it is the next;
- `taken TYPE count`: so many messages of a type came through to the gateway's ledger;
- `orders count`: so many orders became of them that a broker has.

Placeholders: {me}, {us}, {begin}, {now}, {now-121s}; {order}, the fields, less ClOrdID(11), of an order that the
gateway refuses, and {good}, of one that goes to a broker, who is silent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

DIRECTORY = Path(__file__).parent / "situations"
VERSIONS = ("4.2", "4.4", "5.0SP2")
HEAD = frozenset({"title", "published", "versions", "adapted", "settings"})
_STEP = re.compile(
    r"(?:\[(?P<versions>[^\]]+)\] )?(?P<second>second )?"
    r"(?P<action>connect|cut|closed|taken|orders|>>|>|<)(?: (?P<text>.+))?"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line: where it stands, which connection it is for, what is done and with which text."""

    line: int
    connection: int
    action: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {'second ' if self.connection else ''}{self.action} {self.text}".rstrip()


@dataclass(frozen=True, slots=True)
class Situation:
    """One file."""

    name: str
    title: str
    published: tuple[str, ...] = ()
    versions: tuple[str, ...] = VERSIONS
    adapted: str = ""
    settings: str = ""
    steps: tuple[tuple[tuple[str, ...], Step], ...] = field(default=(), repr=False)

    def of(self, version: str) -> list[Step]:
        """The steps of a version."""
        return [step for versions, step in self.steps if version in versions]


def _versions(text: str, where: str) -> tuple[str, ...]:
    found = tuple(text.split())
    if not found or not set(found) <= set(VERSIONS):
        raise ValueError(f"{where}: versions are some of {', '.join(VERSIONS)}")
    return found


def parse(name: str, text: str) -> Situation:
    """A situation from its text. Raises ValueError, with the line, for what is none."""
    head: dict[str, str] = {}
    steps: list[tuple[tuple[str, ...], Step]] = []
    first, _, rest = text.partition("\n\n")
    for number, line in enumerate(first.splitlines(), 1):
        key, colon, value = line.partition(": ")
        if not colon or key not in HEAD or key in head:
            raise ValueError(f"{name} line {number}: a head line is one each of {', '.join(sorted(HEAD))}: {line}")
        head[key] = value.strip()
    if "title" not in head:
        raise ValueError(f"{name}: has no title")
    versions = _versions(head.get("versions", " ".join(VERSIONS)), name)
    for number, line in enumerate(rest.splitlines(), len(first.splitlines()) + 2):
        if not line.strip() or line.startswith("#"):
            continue
        found = _STEP.fullmatch(line.strip())
        if found is None:
            raise ValueError(f"{name} line {number}: not a step: {line}")
        only = _versions(found["versions"], f"{name} line {number}") if found["versions"] else versions
        step = Step(number, 1 if found["second"] else 0, found["action"], found["text"] or "")
        steps.append((only, step))
    if not steps:
        raise ValueError(f"{name}: has no steps")
    settings = head.get("settings", "").replace(" ", "\n")
    published = tuple(head.get("published", "").split())
    return Situation(name, head["title"], published, versions, head.get("adapted", ""), settings, tuple(steps))


def read_all() -> list[Situation]:
    """Every situation there is, in order of their names."""
    return [parse(file.stem, file.read_text(encoding="utf-8")) for file in sorted(DIRECTORY.glob("*.fix"))]

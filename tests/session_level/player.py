"""Plays one situation against the gateway's acceptor, and says where it answered otherwise.

The counterparty's side is a plain socket: no FIX engine takes part that might put right what the gateway does
wrong. A player belongs to one thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple

from oms.sim.session import BEGIN_STRINGS
from oms.sim.wire import SOH, Message, shown, utc_now, utc_timestamp
from tests.session_level.line import Line, checksum
from tests.session_level.situation import Step

ORDER = "54=1|38=100|40=1|55=INTC|60={now}"
GOOD = "1=FUND1|54=1|38=100|40=2|44=150|55=AAPL|60={now}"
ALWAYS_CHECKED = frozenset({8, 9, 10, 35, 49, 52, 56})
Pairs = list[tuple[str, str]]


class Sides(NamedTuple):
    """Where the gateway listens, and the two CompIDs of the session."""

    port: int
    version: str
    us: str
    me: str


def _pairs(text: str) -> Pairs:
    pairs = [(tag, value) for tag, _, value in (item.partition("=") for item in text.split("|") if item)]
    wrong = [tag for tag, _ in pairs if not re.fullmatch(r"-?[0-9]+", tag)]
    if wrong:
        raise ValueError(f"these are not tags: {wrong}")
    return pairs


def _text(pairs: Pairs) -> str:
    return "".join(f"{tag}={value}{SOH}" for tag, value in pairs)


def enclosed(begin: str, body: str, length: str | None = None, check: str | None = None) -> bytes:
    """A message from BeginString(8), what comes after BodyLength(9), and the trailer, which is right unless given."""
    counted = length if length is not None else str(len(body.encode("latin-1")))
    raw = f"8={begin}{SOH}9={counted}{SOH}{body}".encode("latin-1")
    return raw + f"10={check if check is not None else checksum(raw)}{SOH}".encode()


class Player:
    """See the module head. `taken` counts messages of a type, or `orders`, that came through to the ledger."""

    def __init__(self, sides: Sides, taken: Callable[[str], int]) -> None:
        self._sides, self._taken = sides, taken
        self._begin = BEGIN_STRINGS[sides.version]
        self._lines: dict[int, Line] = {}
        self._next_out, self._next_in = 1, 1
        self.talk: list[str] = []

    def play(self, steps: list[Step]) -> None:
        """All steps in order; AssertionError names the one that failed, and what was said until then."""
        actions = {
            "connect": self._connect,
            "cut": self._cut,
            "closed": self._closed,
            "taken": self._count,
            "orders": self._count_orders,
            ">": self._send,
            ">>": self._send_as_written,
            "<": self._expect,
        }
        try:
            for step in steps:
                try:
                    actions[step.action](step)
                except AssertionError as error:
                    said = "\n  ".join(self.talk)
                    raise AssertionError(f"{step}\n{error}\nsaid until then:\n  {said}") from None
        finally:
            for line in self._lines.values():
                line.close()

    def _filled(self, text: str) -> str:
        handling = "|21=1" if self._sides.version == "4.2" else ""
        names = {"{me}": self._sides.me, "{us}": self._sides.us, "{begin}": self._begin}
        names |= {"{order}": ORDER + handling, "{good}": GOOD + handling}
        for name, value in names.items():
            text = text.replace(name, value)

        def moment(found: re.Match[str]) -> str:
            return utc_timestamp(utc_now() + timedelta(seconds=int(found[1] or 0)))

        return re.sub(r"\{now(?:([+-][0-9]+)s)?\}", moment, text)

    # -- steps ---------------------------------------------------------------------------------------------

    def _connect(self, step: Step) -> None:
        self._lines[step.connection] = Line(self._sides.port)

    def _cut(self, step: Step) -> None:
        self._lines.pop(step.connection).close()

    def _closed(self, step: Step) -> None:
        line = self._lines.pop(step.connection)
        said = line.next()
        line.close()
        assert said is None, f"said before it closed: {said}"

    def _count(self, step: Step) -> None:
        kind, count = step.text.split()
        assert self._taken(kind) == int(count)

    def _count_orders(self, step: Step) -> None:
        assert self._taken("orders") == int(step.text)

    def _send(self, step: Step) -> None:
        kind, _, rest = step.text.partition(" ")
        pairs = _pairs(self._filled(rest))
        given = dict(pairs)
        header = {"34": str(self._next_out), "49": self._sides.me, "52": self._filled("{now}"), "56": self._sides.us}
        if kind == "A":
            logon = {"98": "0", "108": "30"} | ({"1137": "9"} if self._sides.version == "5.0SP2" else {})
            pairs += [(tag, value) for tag, value in logon.items() if tag not in given]
        head = [("35", kind), *((tag, given.get(tag, value)) for tag, value in header.items())]
        rest_of_it = [(tag, value) for tag, value in pairs if tag not in header and tag not in ("8", "9", "10")]
        body = [(tag, value) for tag, value in head + rest_of_it if value != "-"]
        self._leave(step, enclosed(given.get("8", self._begin), _text(body), given.get("9"), given.get("10")))
        number = given.get("34", header["34"])
        if number.isdigit():
            self._next_out = int(number) + 1

    def _send_as_written(self, step: Step) -> None:
        text = self._filled(step.text).replace("|", SOH) + SOH
        _, _, counted = text.partition("{length}" + SOH)
        text = text.replace("{length}", str(len(counted.removesuffix("10={check}" + SOH).encode("latin-1"))))
        head, _, tail = text.partition("{check}")
        check = checksum(head.removesuffix("10=").encode("latin-1"))
        self._leave(step, f"{head}{check if tail else ''}{tail}".encode("latin-1"))

    def _leave(self, step: Step, raw: bytes) -> None:
        self.talk.append(f"> {shown(raw.decode('latin-1'))}")
        self._lines[step.connection].send(raw)

    def _expect(self, step: Step) -> None:
        kind, _, rest = step.text.partition(" ")
        said = self._lines[step.connection].next()
        self.talk.append(f"< {'closed' if said is None else said}")
        assert said is not None, "the gateway closed the connection"
        self._check_header(said)
        assert said.type == kind, f"MsgType(35) is {said.type}"
        got = sorted((tag, value) for tag, value in said.pairs if tag not in ALWAYS_CHECKED)
        more = rest.endswith("...")
        expected = self._expected(kind, rest.removesuffix("...").rstrip("|"))
        if more:
            wanted = {tag for tag, _ in expected}
            got = [(tag, value) for tag, value in got if tag in wanted]
        fits = len(got) == len(expected) and all(
            there[0] == asked[0] and fnmatchcase(there[1], asked[1])
            for there, asked in zip(got, expected, strict=False)
        )
        assert fits, f"expected {expected}\n     got {got}"
        self._next_in = max(self._next_in, int(said[34]) + 1) if 141 not in said else 2

    def _expected(self, kind: str, text: str) -> list[tuple[int, str]]:
        fields = {int(tag): value for tag, value in _pairs(self._filled(text))}
        fields.setdefault(34, str(self._next_in))
        if kind == "A":
            logon = {98: "0", 108: "30"} | ({1137: "9"} if self._sides.version == "5.0SP2" else {})
            fields = logon | fields
        return sorted(fields.items())

    def _check_header(self, said: Message) -> None:
        assert (said[8], said[49], said[56]) == (self._begin, self._sides.us, self._sides.me)
        sent = datetime.strptime(said[52] + "+0000", "%Y%m%d-%H:%M:%S.%f%z")
        assert abs(utc_now() - sent) < timedelta(seconds=60), f"SendingTime(52) {said[52]} is not now"

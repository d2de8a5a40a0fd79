"""A gateway in memory between two recording lines, so that a player meets every mistake a gateway may make."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, cast

import pytest

from oms.certify.line import Line
from oms.certify.player import Market, Player
from oms.certify.scenario import parse, runs
from oms.certify.versions import Pair
from oms.sim.wire import Message, wired

HEAD = "| Step | From | Message | ClOrdID(11) | OrigClOrdID(41) | ExecType(150) | OrdStatus(39) |"
HEAD += " OrderQty(38) | CumQty(14) | LeavesQty(151) | LastQty(32) | More |\n"
MARKET = Market("FUND1", "AAPL", date(2026, 3, 2))
Spoil = Callable[[str, dict[int, str]], dict[int, str] | None]


class FakeLine:
    """One side's session: what is said goes to the gateway, what that answers waits to be taken."""

    def __init__(self, role: str, gateway: FakeGateway) -> None:
        self.role, self.gateway = role, gateway
        self.waiting: deque[Message] = deque()
        self.refused: list[str] = []

    def note(self, identifier: str, run: str) -> None:
        pass

    def say(self, run: str, text: str) -> Message:
        message = Message(wired(text))
        self.gateway.take(self.role, message)
        return message

    def take(self, run: str, seconds: float) -> Message | None:
        return self.waiting.popleft() if self.waiting else None

    def refused_of(self, run: str) -> Iterator[str]:
        yield from self.refused


class FakeGateway:
    """Passes on what either side says in the other's ids, FIX 4.4 only; `spoil` changes or swallows (None) it."""

    def __init__(self, spoil: Spoil | None = None) -> None:
        self.spoil = spoil or (lambda to, fields: fields)
        self.client, self.broker = FakeLine("client", self), FakeLine("broker", self)
        self.ids: dict[str, str] = {}  # client's -> broker's, and back
        self.number = 0

    def take(self, role: str, message: Message) -> None:
        self.number += 1
        fields = dict(message.pairs)
        if role == "client":
            self.ids[message[11]] = f"C{self.number}"
            self.ids[f"C{self.number}"] = message[11]
        else:
            self.ids[message[17]] = f"E{self.number}"
            fields |= {37: "O1", 17: f"E{self.number}", 1: MARKET.account}
        fields |= {tag: self.ids[fields[tag]] for tag in (11, 41, 19) if tag in fields}
        line = self.broker if role == "client" else self.client
        spoiled = self.spoil(line.role, fields)
        if spoiled is not None:
            text = "".join(f"{tag}={value}\x01" for tag, value in spoiled.items())
            line.waiting.append(Message(text))


@pytest.fixture
def player_of() -> Callable[..., Player]:
    """A player of a scenario's main path, written as its rows, on a gateway in memory."""

    def made(rows: str, gateway: FakeGateway, **more: Any) -> Player:
        run = next(iter(runs(parse(f"# A.1.a A test\n\n{HEAD}{rows}", "test"))))
        lines = cast(Line, gateway.client), cast(Line, gateway.broker)
        return Player(run, Pair("4.4", "4.4"), *lines, MARKET, seconds=0, **more)

    return made

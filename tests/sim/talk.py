"""A desk under a test's hand: messages in as text with `|`, reports out as short lines that a test compares whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from oms.sim.desk import Desk
from oms.sim.matching import Market
from oms.sim.player import Disconnect, Effect
from oms.sim.reports import encode
from oms.sim.script import Behaviour, MarketModel, parse_behaviour
from oms.sim.wire import Message, wired

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CALM = MarketModel(part_probability=0, pending_probability=0, walk_ticks=0, fill_probability=1, touch_probability=0)
VERSIONS = ("4.2", "4.4", "5.0SP2")


class Talk:
    """A desk, the messages it put out, and a clock that the test moves."""

    def __init__(self, rules: str = "", version: str = "4.4", model: MarketModel = CALM) -> None:
        behaviour = parse_behaviour(rules) if rules else Behaviour()
        self.version = version
        self.desk = Desk(version, behaviour, Market(1, model), "S")
        self.now = NOON
        self.out: list[Message] = []

    def say(self, text: str) -> list[str]:
        """Hand a message over; returns its answers as short lines."""
        return self._short(self.desk.handle(Message(wired(text)), self.now).effects)

    def wait(self, milliseconds: int, *, walk: bool = False) -> list[str]:
        """Let time pass, with a step of the market if `walk`; returns what it brought."""
        self.now += timedelta(milliseconds=milliseconds)
        return self._short(self.desk.tick(self.now, walk=walk).effects)

    def _short(self, effects: list[Effect]) -> list[str]:
        lines = []
        for effect in effects:
            if isinstance(effect, Disconnect):
                lines.append("disconnect")
            else:
                message = Message(encode(effect, self.version))
                self.out.append(message)
                lines.append(short(message))
        return lines


def short(message: Message) -> str:
    """An ExecutionReport(8) as "ExecType OrdStatus ClOrdID<OrigClOrdID OrderQty=CumQty+LeavesQty @LastQty*LastPx"."""
    ids = message.get(11, message.get(379, "")) + (f"<{message[41]}" if 41 in message else "")
    if message.type == "9":
        return f"9 {message[39]} {ids} {message.get(102, '-')}/{message[434]}"
    if message.type == "j":
        return f"j {ids} {message[372]} {message[380]}"
    trans = f"{message[20]}:" if 20 in message else ""
    last = f" @{message[32]}*{message[31]}" if message.get(32, "0") != "0" else ""
    again = " again" if 97 in message else ""
    refers = f" of {message[19]}" if 19 in message else ""
    sums = f"{message[38]}={message[14]}+{message[151]}"
    return f"{trans}{message[150]} {message[39]} {ids} {sums}{last}{refers}{again}"


def order(cl_ord_id: str = "X", **changes: str) -> str:
    """A NewOrderSingle(D) to buy 100 IBM at 10, with changes by t-number: t40="1"; "" leaves a tag out."""
    tags = {"11": cl_ord_id, "55": "IBM", "54": "1", "38": "100", "40": "2", "44": "10", "60": "20260302-12:00:00"}
    tags |= {name[1:]: value for name, value in changes.items()}
    return "35=D|" + "|".join(f"{tag}={value}" for tag, value in tags.items() if value)


def cancel(cl_ord_id: str, orig: str) -> str:
    """An OrderCancelRequest(F)."""
    return f"35=F|11={cl_ord_id}|41={orig}|55=IBM|54=1|60=20260302-12:00:00|38=100"


def replace(cl_ord_id: str, orig: str, qty: int, price: str = "10") -> str:
    """An OrderCancelReplaceRequest(G) to a limit order of another quantity or price."""
    return f"35=G|11={cl_ord_id}|41={orig}|55=IBM|54=1|60=20260302-12:00:00|38={qty}|40=2|44={price}"


def rule(*steps: str, **keys: str) -> str:
    """The TOML of one rule; steps are names or inline tables."""
    listed = ", ".join(step if step.startswith("{") else f'"{step}"' for step in steps)
    return "[[rule]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) + f"steps = [{listed}]\n"

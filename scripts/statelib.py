"""docs/order_states.md, made from the transition table: what `scripts/draw_states` writes and compares.

Everything that the code knows is read from it: states, transitions, contradictions, and by asking
`oms.core.status` what a client sees in each state. Only the words for people are here. A state or event without
words, or a rank that the code does not follow, stops the drawing with a `ValueError` that says which.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

from oms.core import transitions as life
from oms.core.order import ACCEPTED, HELD, PENDING, SENT, Order, Request
from oms.core.status import ord_status

MEANING = {
    life.RECEIVED: "Taken by the gateway, not yet with a broker. Lasts no longer than one decision.",
    life.ROUTED: "Sent to a broker that has not answered. The client has heard nothing yet.",
    life.PENDING_NEW: "The broker has it and has not accepted it.",
    life.WORKING: "Accepted by the broker; filled or not.",
    life.STOPPED: "The broker guarantees price and size; the trades are still to come.",
    life.SUSPENDED: "The broker holds it and does not trade it now.",
    life.DONE_FOR_DAY: "Nothing more today. A GTC or GTD order comes back to working next morning.",
    life.CALCULATED: "Finished by the broker, which still works out its figures.",
    life.CANCELED: "Ended by a cancel, asked for or not, or as the rest of an IOC or FOK order.",
    life.EXPIRED: "Ended because its time in force ran out.",
    life.REJECTED: "Refused by a rule of the gateway or by the broker. `orders explain` shows by which.",
    life.UNKNOWN: "The gateway does not know whether the broker has it, asks, and has an exception item open. "
    "Nothing is rejected by time-out: wait for the answer, or call the broker.",
}
EVENTS = {
    life.ROUTE: "goes to a broker, or to a fallback because it did not leave",
    life.LOSE: "the outcome of sending is not known",
    life.ACKNOWLEDGE: "the broker has it, pending",
    life.ACCEPT: "the broker accepts it",
    life.REJECT: "refused by the broker, or by a rule of the gateway",
    life.TRADE: "a fill",
    life.AMEND: "a fill corrected or busted",
    life.CANCEL: "canceled, on request or not",
    life.REPLACE: "replaced, on request or not",
    life.EXPIRE: "expired",
    life.FINISH_DAY: "done for the day",
    life.STOP: "price and size guaranteed",
    life.SUSPEND: "suspended",
    life.CALCULATE: "calculated",
    life.RESTATE: "the broker states its terms anew",
}
STATUS = {
    "0": "New", "1": "Partially filled", "2": "Filled", "3": "Done for day", "4": "Canceled", "6": "Pending cancel",
    "7": "Stopped", "8": "Rejected", "9": "Suspended", "A": "Pending new", "B": "Calculated", "C": "Expired",
    "E": "Pending replace",
}  # fmt: skip
RANKS = (
    (11, "6", "a cancel is pending at the broker, or held for one that is logged out"),
    (10, "E", "a replace is pending at the broker"),
    (9, "3", "done for the day"),
    (8, "B", "calculated"),
    (7, "2", "everything is filled"),
    (6, "7", "stopped"),
    (5, "9", "suspended"),
    (4, "4", "canceled"),
    (4, "C", "expired"),
    (3, "1", "something is filled"),
    (2, "0", "accepted"),
    (2, "8", "rejected"),
    (2, "A", "not accepted yet, or not known"),
)

HEAD = """# Order states

<!-- Drawn by scripts/draw_states from oms/core/transitions.py and oms/core/status.py. Do not edit: draw it again. -->

An order's **life** is one of the {count} states below. Cancels and replaces under way are a list beside it, and what
is filled follows from the fills; so "pending" and "filled" are not states of life. OrdStatus(39), which the client
sees, is worked out from all three. `oms orders show ID` shows life and OrdStatus(39), `oms orders explain ID` every
step between.
"""


def page() -> str:
    """The whole page as Markdown. ValueError where words are missing or the code ranks otherwise."""
    missing = set(life.TABLE) ^ set(MEANING) | set(life.EVENTS) ^ set(EVENTS)
    if missing:
        raise ValueError(f"scripts/statelib.py has no words for {', '.join(sorted(missing))}, or too many")
    check_ranks()
    parts = [HEAD.format(count=len(life.TABLE)), states(), picture(), table(), contradictions(), precedence()]
    return "\n".join(parts)


# -- what a client sees -----------------------------------------------------------------------------------------


def order(state: str, cum: int, requests: tuple[tuple[str, str], ...] = (), tif: str = "0") -> Order:
    """An order for 100 in a state, with so much filled."""
    made = Order(
        "O", "C", "A", "", "", "", "", "1", "2", tif, "", Decimal(100), None, None, date(2000, 1, 1),
        datetime(2000, 1, 1, tzinfo=UTC), 1, 1, order_qty=Decimal(100), cum_qty=Decimal(cum), life=state,
    )  # fmt: skip
    for number, (kind, request_state) in enumerate(requests):
        made.requests.append(Request(number, "C", made.trade_date, kind, "", "", "O", "", request_state))
    return made


def status(state: str, cum: int) -> str:
    """OrdStatus(39) in words and as it is on the wire."""
    code = ord_status(order(state, cum))
    return f"{STATUS[code]} ({code})"


def may_have_fills() -> set[str]:
    """The states that an order may come to after a fill."""
    reached = {row[life.TRADE] for row in life.TABLE.values() if life.TRADE in row}
    while more := {after for state in reached for after in life.TABLE[state].values()} - reached:
        reached |= more
    return reached


def leaves(state: str) -> str:
    """What LeavesQty(151) is in a state."""
    day, gtc = order(state, 40).leaves_qty, order(state, 40, tif="1").leaves_qty
    if day != gtc:
        return "0; the rest for GTC and GTD"
    return "the rest" if day else "0"


def states() -> str:
    """Each state with its meaning and what the client sees."""
    lines = [
        "## The states, and what the client sees",
        "",
        "| State | Meaning | OrdStatus(39) without fills | partly filled | filled | LeavesQty(151) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with_fills = may_have_fills()
    for state, meaning in MEANING.items():
        seen = " | ".join(status(state, cum) if not cum or state in with_fills else "–" for cum in (0, 40, 100))
        lines.append(f"| `{state}` | {meaning} | {seen} | {leaves(state)} |")
    ended = ", ".join(f"`{state}`" for state in life.TABLE if state in life.TERMINAL)
    lines += [
        "",
        "A cancel or replace that is pending shows as Pending cancel (6) or Pending replace (E) instead, whatever",
        "the state. A FIX 4.2 client is told a replace of an order without fills as Replaced (5). An order is",
        f"finished when it is {ended}, done for the day with nothing left, calculated",
        "or filled, and no request of it is open.",
        "",
    ]
    return "\n".join(lines)


# -- the table --------------------------------------------------------------------------------------------------


def arrows() -> Iterator[tuple[str, str, list[str]]]:
    """The transitions worth drawing: those of `working`, and of every other state what is not the same there."""
    usual = {(event, after) for event, after in life.TABLE[life.WORKING].items() if after != life.WORKING}
    for state, row in life.TABLE.items():
        found: dict[str, list[str]] = {}
        for event, after in row.items():
            if after != state and (state == life.WORKING or (event, after) not in usual):
                found.setdefault(after, []).append(event)
        for after, events in found.items():
            yield state, after, events


def picture() -> str:
    """The state diagram."""
    lines = [
        "## The picture",
        "",
        "What a broker reports of an order in `routed`, `pending_new`, `stopped`, `suspended`, `done_for_day`,",
        "`calculated` or `unknown` leads to the same place as from `working`; those arrows are drawn once. Arrows",
        "that stay in a state are left out.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> received",
        *(f"    {state} --> {after} : {', '.join(events)}" for state, after, events in arrows()),
        *(f"    {state} --> [*]" for state in life.TABLE if state in life.TERMINAL),
        "```",
        "",
    ]
    return "\n".join(lines)


def cell(state: str, event: str) -> str:
    """One cell of the table."""
    after = life.next_state(state, event)
    if after is None:
        return "·"
    return ("=" if after == state else after) + ("&nbsp;**!**" if (state, event) in life.CONTRADICTIONS else "")


def table() -> str:
    """Every event in every state."""
    exec_types: dict[str, list[str]] = {}
    for code, event in life.EVENT_OF_EXEC_TYPE.items():
        exec_types.setdefault(event, []).append(code)
    names = list(life.TABLE)
    lines = [
        "## The whole table",
        "",
        "`=` stays, `·` is not allowed: it changes nothing and opens an exception item `not_allowed`. **!** is",
        "applied and opens an exception item as well.",
        "",
        "| Event | ExecType(150) | " + " | ".join(f"`{name}`" for name in names) + " |",
        "| --- | --- |" + " --- |" * len(names),
    ]
    for event in life.EVENTS:
        code = ", ".join(exec_types.get(event, ["–"]))
        cells = " | ".join(cell(name, event) for name in names)
        lines.append(f"| `{event}`: {EVENTS[event]} | {code} | {cells} |")
    return "\n".join([*lines, ""])


def contradictions() -> str:
    """What is applied although it should not have happened."""
    pairs = [
        f"- `{event}` while `{state}`: the client is told the fill, the order is then `{life.TABLE[state][event]}`."
        for state, event in sorted(life.CONTRADICTIONS)
    ]
    lines = [
        "## Contradictions",
        "",
        "What a broker reports is a fact. These should not happen, are applied all the same, and open the exception",
        "item `fill_after_end`, for a person to settle with the broker:",
        "",
        *pairs,
        "",
    ]
    return "\n".join(lines)


# -- precedence -------------------------------------------------------------------------------------------------


def check_ranks() -> None:
    """That the code gives every order the status of the highest rank among the states it is in."""
    rank = {code: number for number, code, _ in RANKS}
    requests: list[tuple[tuple[str, str], ...]] = [
        (), (("F", PENDING),), (("G", PENDING),), (("F", HELD), ("G", PENDING)), (("F", SENT), ("G", ACCEPTED)),
    ]  # fmt: skip
    for state, cum, asked in itertools.product(life.TABLE, (0, 40, 100), requests):
        bare = ord_status(order(state, 0))
        applying = [bare, *(["2"] if cum == 100 else ["1"] if cum else [])]
        applying += ["6" if kind == "F" else "E" for kind, how in asked if how in (PENDING, HELD)]
        best = max(applying, key=lambda code: rank[code])
        if ord_status(order(state, cum, asked)) != best:
            raise ValueError(f"oms/core/status.py ranks {state} with CumQty(14) {cum} of 100 and {asked} otherwise")


def precedence() -> str:
    """The ranks of OrdStatus(39)."""
    lines = [
        "## Which OrdStatus(39) wins",
        "",
        "The highest rank among everything that is true of the order, as FIX 4.4 ranks them.",
        "",
        "| Rank | OrdStatus(39) | When |",
        "| --- | --- | --- |",
        *(f"| {number} | {STATUS[code]} ({code}) | {when} |" for number, code, when in RANKS),
    ]
    return "\n".join([*lines, ""])

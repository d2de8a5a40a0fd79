"""What follows from going on with other sequence numbers: what is sent again, gap-filled, asked for again, or lost.

Told before it is done, in messages, orders and shares: of what went out from the session's own store, which is all
that can be resent, and of what came in from the ledger's journal (`came_in`). Pure but for reading the store.
Limits: what a counterparty has read is not known, so what can no longer be resent counts as lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from oms.fix.decode import split
from oms.fix.handle import ADMIN_TYPES
from oms.fix.store import stored_messages

_NUMBERS = re.compile(r"\s*(\d+) : (\d+)")
_REQUESTS = {"D": "new orders", "G": "replaces", "F": "cancels"}


def stored_numbers(prefix: Path) -> tuple[int, int] | None:
    """The next numbers to send and to expect as the store has them, None where there is no store."""
    try:
        found = _NUMBERS.match(Path(f"{prefix}.seqnums").read_text(encoding="ascii", errors="replace"))
    except FileNotFoundError:
        return None
    return (int(found[1]), int(found[2])) if found else None


class Tally(NamedTuple):
    """Messages by what they mean: how many, reports of fills among them with their shares, and requests."""

    messages: int
    fills: int
    shares: Decimal
    orders: int
    requests: int
    kinds: str = ""

    @property
    def text(self) -> str:
        """`3 messages, among them 2 fills of 150 shares, about 2 orders`."""
        if not self.messages:
            return "no message"
        parts = [f"{self.messages} message{'s' if self.messages != 1 else ''}"]
        if self.fills:
            shares = format(self.shares.normalize(), "f")
            parts.append(f"among them {self.fills} fill{'s' if self.fills != 1 else ''} of {shares} shares")
        if self.kinds:
            parts.append(f"{'and' if self.fills else 'among them'} {self.kinds}")
        if self.orders:
            parts.append(f"about {self.orders} order{'s' if self.orders != 1 else ''}")
        return ", ".join(parts)


class Effect(NamedTuple):
    """What would happen. `risks` are the reasons for a second person; `at_risk` must not grow until it is done."""

    session: str
    role: str
    next_out_now: int
    next_in_now: int
    next_out: int | None
    next_in: int | None
    lines: tuple[str, ...]
    risks: tuple[str, ...]
    at_risk: tuple[int, ...]


class CameIn(NamedTuple):
    """What the journal has of messages that came in under the numbers from `next_in` on."""

    tally: Tally
    old_orders: int  # NewOrderSingle(D) of earlier trade dates


class Open(NamedTuple):
    """What is alive at a broker, or of a client."""

    orders: int
    leaves_qty: Decimal


def tally(raws: Iterable[str]) -> Tally:
    """Counts of application messages, from their raw text."""
    messages = fills = requests = 0
    shares = Decimal(0)
    orders: set[str] = set()
    kinds: dict[str, int] = {}
    for raw in raws:
        fields = dict(split(raw))
        kind = fields.get("35", "")
        if kind in ADMIN_TYPES:
            continue
        messages += 1
        about = fields.get("37") if kind in "89" else fields.get("41") or fields.get("11")
        if about and about != "NONE":
            orders.add(about)
        if kind == "8" and (qty := _last_qty(fields)):
            fills += 1
            shares += qty
        if kind in _REQUESTS:
            requests += 1
            kinds[_REQUESTS[kind]] = kinds.get(_REQUESTS[kind], 0) + 1
    words = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return Tally(messages, fills, shares, len(orders), requests, words)


def _last_qty(fields: dict[str, str]) -> Decimal | None:
    """LastQty(32) of a report of an execution, None of another report."""
    if fields.get("150") not in ("F", "G", "H", "1", "2") or fields.get("20", "0") == "3":
        return None
    try:
        return abs(Decimal(fields.get("32", "0")))
    except InvalidOperation:
        return None


def effect(
    session: str,
    role: str,
    prefix: Path,
    now: tuple[int, int],
    next_out: int | None,
    next_in: int | None,
    came_in: CameIn,
    alive: Open,
    waiting: int,
) -> Effect:
    """What would follow. `now` are the next numbers to send and to expect, `prefix` names the session's store."""
    lines: list[str] = []
    risks: list[str] = []
    at_risk: list[int] = []
    if next_out is not None:
        _out(session, role, prefix, now[0], next_out, lines, risks, at_risk)
    if next_in is not None:
        _in(session, role, now[1], next_in, came_in, alive, lines, risks, at_risk)
    if waiting:
        lines.append(f"{waiting} messages to {session} wait and leave under the new numbers at the logon")
    lines.append(f"{session} is logged out for it and may log on again at once")
    return Effect(session, role, *now, next_out, next_in, tuple(lines), tuple(risks), tuple(at_risk))


def _out(
    session: str,
    role: str,
    prefix: Path,
    now: int,
    wanted: int,
    lines: list[str],
    risks: list[str],
    at_risk: list[int],
) -> None:
    if wanted == now:
        lines.append(f"next out: {now} already, nothing changes")
    elif wanted > now:
        old = tally(one.raw for one in stored_messages(prefix, now - 1, below=wanted))
        lines.append(
            f"next out {now} to {wanted}: {session} asks for {now} to {wanted - 1} and gets a gap fill;"
            " nothing that was sent is lost"
        )
        if old.messages:
            text = f"resent under the numbers from {now} on, from before they were set back: {old.text}"
            lines.append(text)
            risks.append(text)
            at_risk.append(old.messages)
    else:
        gone = tally(one.raw for one in stored_messages(prefix, wanted - 1))
        lines.append(f"next out {now} to {wanted}: the numbers {wanted} to {now - 1} are used again")
        lines.append(f"lost, where {session} has not read it: {gone.text}")
        if gone.fills or (role == "broker" and gone.requests):
            risks.append(f"can no longer be resent to {session}: {gone.text}")
        at_risk += [gone.fills, gone.requests if role == "broker" else 0]


def _in(
    session: str,
    role: str,
    now: int,
    wanted: int,
    came_in: CameIn,
    alive: Open,
    lines: list[str],
    risks: list[str],
    at_risk: list[int],
) -> None:
    if wanted == now:
        lines.append(f"next in: {now} already, nothing changes")
    elif wanted > now:
        lines.append(
            f"next in {now} to {wanted}: the messages {now} to {wanted - 1} of {session} are never asked for"
        )
        if role == "client":
            lines.append(
                "lost, if there were any among them: orders, cancels and replaces; the client sees no answer"
            )
        else:
            text = (
                f"lost, if there were any among them: fills; {alive.orders} orders with LeavesQty(151)"
                f" {format(alive.leaves_qty.normalize(), 'f')} are alive at {session}"
            )
            lines.append(text)
            risks.append(text)
            at_risk.append(wanted - now)
    else:
        lines.append(
            f"next in {now} to {wanted}: what {session} sends under {wanted} to {now - 1} counts as new;"
            f" under these numbers came already: {came_in.tally.text}"
        )
        if role == "client":
            again = f"{came_in.old_orders} new orders of earlier trade dates"
            lines.append(f"sent again, {again} would be taken as new; those of today are refused as duplicates")
            if came_in.old_orders:
                risks.append(f"would be taken a second time if {session} sends them again: {again}")
            at_risk.append(came_in.old_orders)
        else:
            text = f"fills among what {session} sends again are booked once, by ExecID(17)"
            lines.append(text)
            risks.append(f"next in is set back past messages that hold fills: {came_in.tally.text}")
            at_risk.append(0)

"""The story of one order, told from the ledger: five lines of summary, the steps in order, the time spent.

Pure: records in, texts out; `explain.py` prints them. Decisions are told from `journal.detail`, whose keys may be
any; what is not known here is told as it stands. Nothing is computed that the ledger does not say, except
differences of times and the check that the fills add up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from oms.cli import words
from oms.cli.fix_names import Field, SessionNames
from oms.cli.output import clean, day_and_time, moment, number, plural, span, wire_text
from oms.ledger.records import ChildOrder, ClientOrder, Fill, JournalEntry, OrderStory, Request

SLOW_SECONDS = 1.0  # a message that took longer within the gateway is worth a line
# Told in the head of a step, or of no interest to a person.
_HEAD_TAGS = frozenset({"8", "9", "10", "34", "35", "49", "52", "56"})
_FEW = 4


@dataclass(frozen=True, slots=True)
class Step:
    """One journal row: what came, went or happened, what was decided, and how long it took."""

    entry: JournalEntry
    what: str
    fields: tuple[Field, ...]
    decisions: tuple[str, ...]
    timing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hop:
    """Time spent on one kind of way, in seconds."""

    name: str
    count: int
    total: float
    longest: float


def step(entry: JournalEntry, names: SessionNames, cause: JournalEntry | None) -> Step:
    """One journal row as a step; ``cause`` is the row that made it happen, where there is one."""
    known = names.of(entry.session)
    is_message = entry.kind in ("in", "out", "refused")
    what = known.message(entry.msg_type) if is_message else f"{entry.kind} {entry.msg_type}"
    fields = known.fields(wire_text(entry.raw)) if entry.raw else []
    return Step(
        entry,
        what,
        tuple(field for field in fields if field.tag not in _HEAD_TAGS),
        tuple(decisions(entry.detail or {})),
        tuple(_timing(entry, cause)),
    )


def steps(story: OrderStory, names: SessionNames) -> list[Step]:
    """Every journal row of the order, in order."""
    rows = {entry.seq: entry for entry in story.entries}
    return [step(entry, names, rows.get(entry.cause or 0)) for entry in story.entries]


def _timing(entry: JournalEntry, cause: JournalEntry | None) -> Iterator[str]:
    if entry.kind == "in" and entry.sending_time is not None:
        way = span((entry.received_at - entry.sending_time).total_seconds())
        yield f"received {way} after SendingTime(52) {moment(entry.sending_time)} (two clocks)"
    if entry.committed_at is None:
        yield "its batch has no commit record: the ledger is damaged, run oms verify"
    elif entry.kind != "out":
        yield f"committed {span((entry.committed_at - entry.received_at).total_seconds())} later"
    if entry.kind != "out":
        return
    sent = entry.send
    if sent is None:
        yield "has not left yet"
    elif sent.outcome == "refused":
        yield f"did not leave: {sent.reason or 'no reason given'}"
    elif sent.outcome == "in_doubt":
        yield f"in doubt since {moment(sent.sent_at)}: {sent.reason or 'no reason given'}"
    else:
        number_text = "" if sent.msg_seq_num is None else f" as MsgSeqNum(34) {sent.msg_seq_num}"
        how = "sent" if sent.outcome == "sent" else "found in the session's store after a restart, noted"
        waited = f"; {sent.reason}" if sent.outcome == "sent" and sent.reason else ""  # before a broker with a limit
        yield f"{how} {moment(sent.sent_at)}{number_text}{_since(entry, cause)}{waited}"


def _since(entry: JournalEntry, cause: JournalEntry | None) -> str:
    """How long an outgoing message took, in words that follow the time it was sent."""
    if entry.send is None:
        return ""
    parts = []
    if entry.committed_at is not None:
        parts.append(f"{span((entry.send.sent_at - entry.committed_at).total_seconds())} after its commit")
    if cause is not None:
        taken = (entry.send.sent_at - cause.received_at).total_seconds()
        parts.append(f"{span(taken)} after row {cause.seq} was received")
    return ", " + ", ".join(parts) if parts else ""


def decisions(detail: dict[str, Any]) -> Iterator[str]:
    """What was decided about a row, one line each, from its ``detail``."""
    left = dict(detail)
    verdict, rule = left.pop("verdict", None), left.pop("rule", "")
    if isinstance(verdict, dict):
        rule = verdict.get("rule", rule)
        verdict = "accepted" if verdict.get("ok") else "rejected"
    for check in left.pop("checks", ()):
        yield _check(check)
    if verdict:
        yield f"verdict: {verdict}" + (f" by rule {rule}" if rule else "")
    if route := left.pop("route", None):
        yield from _route(route)
    if refused := left.pop("refused", None):
        yield f"refused: {refused}"
    if repeat := left.pop("repeat", None):
        yield f"repeated request of OrderID(37) {repeat}: answered with its state"
    if left.pop("duplicate", False):
        yield "duplicate: was seen before, changes nothing"
    if moved := left.pop("transition", None):
        yield f"state: {moved[0]} to {moved[2]} ({moved[1]})" if len(moved) == 3 else f"state: {_plain(moved)}"
    if status := left.pop("ord_status", None):
        yield "OrdStatus(39): " + " to ".join(words.ord_status(one) for one in status)
    if left.pop("broker_up", None) is False:
        yield "the broker's session was logged out"
    yield from _by_hand(left)
    for step in left.pop("breakers", ()):
        yield f"circuit breaker {step['step'].replace('_', '-')}: {step['text']} (item {step['item_id']})"
    for item in left.pop("items", ()):
        yield "exception item " + (": ".join(item) if isinstance(item, list) else _plain(item))
    for name, value in left.items():
        yield f"{name}: {_plain(value)}"


def _by_hand(left: dict[str, Any]) -> Iterator[str]:
    """What operators entered or proposed, and a report of what was entered."""
    if isinstance(made := left.pop("manual", None), dict):
        left.pop("answer", None)
        left.pop("proposal", None)
        who = made.get("operator") or f"{made.get('proposer')}, approved by {made.get('approver')}"
        about = f"ExecID(17) {made.get('exec_id')}" + (f", ExecRefID(19) {made['ref']}" if made.get("ref") else "")
        quiet = "; the client is not told" if made.get("silent") else ""
        yield f"entered by hand ({made.get('verb')}): {about}, by {who}: {made.get('reason')}{quiet}"
    if isinstance(made := left.pop("settled", None), dict):
        left.pop("answer", None)
        left.pop("proposal", None)
        who = made.get("operator") or f"{made.get('proposer')}, approved by {made.get('approver')}"
        yield f"settled as {made.get('as')} by {who}: {made.get('reason')}"
    if isinstance(told := left.pop("proposal", None), dict):
        left.pop("answer", None)
        by = f" by {told['by']}" if told.get("by") else ""
        name = f"{told.get('proposal_id')} of {told.get('proposer')} ({told.get('verb')})"
        yield f"proposal {name}: {told.get('state')}{by}"
    if entered := left.pop("manual_fill", None):
        yield f"was entered by hand before, as ExecID(17) {entered}: not booked again"


def _check(check: Any) -> str:
    """One rule with its numbers, written as [rule, ok, text] or {"rule", "ok", "numbers"}."""
    if isinstance(check, dict):
        numbers = check.get("numbers") or check.get("text") or ""
        name, ok = check.get("rule", "?"), check.get("ok")
        if isinstance(numbers, dict):
            numbers = ", ".join(f"{key} {_plain(value)}" for key, value in numbers.items())
    elif isinstance(check, list) and len(check) == 3:
        name, ok, numbers = check
    else:
        return f"rule: {_plain(check)}"
    return f"rule {name}: {'ok' if ok else 'REFUSED'}" + (f", {numbers}" if numbers else "")


def _route(route: Any) -> Iterator[str]:
    if not isinstance(route, dict):
        yield f"route: {_plain(route)}"
        return
    for tried in route.get("tried", ()):
        broker, why = tried if isinstance(tried, list) and len(tried) == 2 else (_plain(tried), "")
        yield f"route: {broker} passed over" + (f", {why}" if why else "")
    name, broker = route.get("rule") or "no rule matches", route.get("broker")
    yield f"route: {name}" + (f" to {broker}" if broker else ", no broker takes it")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# -- summary -----------------------------------------------------------------------------------------------------


def summary(story: OrderStory) -> list[tuple[str, str]]:
    """What was asked, where it went, what happened, where it stands, and what to look at: five lines."""
    return [
        ("asked", asked(story.order)),
        ("went", _went(story)),
        ("happened", _happened(story)),
        ("stands", _stands(story.order)),
        ("look at", "; ".join(to_look_at(story)) or "nothing"),
    ]


def terms(order: ClientOrder) -> str:
    """``Buy (1) 100 AAPL, Limit (2) 150.25, Day (0)``: what the client first asked for."""
    prices = [number(order.original_price)] if order.original_price is not None else []
    if order.original_stop_px is not None:
        prices.append(f"StopPx(99) {number(order.original_stop_px)}")
    kind = " ".join([words.ord_type(order.ord_type), *prices])
    what = f"{words.side(order.side)} {number(order.original_order_qty)} {order.symbol}"
    return f"{what}, {kind}, {words.time_in_force(order.time_in_force)}"


def asked(order: ClientOrder) -> str:
    """Who asked for what, under which id, when."""
    who = order.client + (f" (trader {order.trader})" if order.trader else "")
    where = f", ExDestination(100) {order.ex_destination}" if order.ex_destination else ""
    account = f" for Account(1) {order.account}" if order.account else ""
    when = day_and_time(order.received_at)
    if not order.client:
        return f"{terms(order)}{account}, by nobody here: a broker reported it at {when} UTC, and it was adopted"
    return f"{terms(order)}{where}{account}, by {who} as ClOrdID(11) {order.original_cl_ord_id} at {when} UTC"


def _went(story: OrderStory) -> str:
    if not story.children:
        return f"nowhere: {story.order.reason}" if story.order.reason else "nowhere"
    sent = {entry.seq: entry.send for entry in story.entries}
    return "; ".join(_child(one, sent.get(one.sent_seq), one.sent_seq in sent) for one in story.children)


def _child(child: ChildOrder, sent: Any, is_here: bool) -> str:
    if child.route_rule == "adopted":
        own = f"ClOrdID(11) {child.cl_ord_id}, OrderID(37) of the broker {child.broker_order_id}"
        return f"{child.broker} has it as {own}"
    text = f"{child.broker} by route {child.route_rule or 'unknown'} as ClOrdID(11) {child.child_id}"
    if not is_here:
        text += ", the message itself is archived"
    elif sent is None:
        text += ", has not left"
    elif sent.outcome == "refused":
        text += f", did not leave ({sent.reason or 'no reason given'})"
    elif sent.outcome == "in_doubt":
        text += f", in doubt ({sent.reason or 'no reason given'})"
    else:
        text += f", sent {moment(sent.sent_at)}"
    return text + (f", OrderID(37) of the broker {child.broker_order_id}" if child.broker_order_id else "")


def _happened(story: OrderStory) -> str:
    parts = [*_fills(story.fills), *(_request(request) for request in story.requests)]
    repeats = sum(1 for entry in story.entries if (entry.detail or {}).get("duplicate"))
    if repeats:
        parts.append(f"{plural(repeats, 'report')} came again and changed nothing")
    return "; ".join(parts) or "no fills, no requests"


def _fills(fills: tuple[Fill, ...]) -> Iterator[str]:
    trades = [fill for fill in fills if fill.kind == "trade"]
    if trades and len(trades) <= _FEW:
        listed = ", ".join(f"{number(fill.last_qty)} at {number(fill.last_px)}" for fill in trades)
        yield f"{plural(len(trades), 'fill')}: {listed}"
    elif trades:
        prices = [fill.last_px for fill in trades]
        shares = sum((fill.last_qty for fill in trades), Decimal(0))
        yield f"{len(trades)} fills: {number(shares)} from {number(min(prices))} to {number(max(prices))}"
    for kind, noun in (("correct", "correction"), ("bust", "bust")):
        if count := sum(1 for fill in fills if fill.kind == kind):
            yield plural(count, noun)
    if other := sum(1 for fill in fills if fill.kind not in ("trade", "correct", "bust")):
        yield plural(other, "other fill")


def _request(request: Request) -> str:
    kind = words.REQUEST.get(request.kind, request.kind)
    to = "" if request.order_qty is None else f" to OrderQty(38) {number(request.order_qty)}"
    if request.price is not None:
        to += f" at {number(request.price)}"
    return f"{kind} {request.cl_ord_id}{to} {request.state}"


def _stands(order: ClientOrder) -> str:
    text = f"{words.ord_status(order.ord_status)}: CumQty(14) {number(order.cum_qty)} of {number(order.order_qty)}"
    text += f", LeavesQty(151) {number(order.leaves_qty)}"
    if order.cum_qty:
        text += f", AvgPx(6) {number(order.avg_px)}"
    if order.reason:
        text += f"; {order.reason}"
    return text + ("; finished" if order.finished else "; alive")


def to_look_at(story: OrderStory) -> list[str]:
    """Everything about an order that a person should look at."""
    found = [
        f"{item.severity} {item.kind} since {moment(item.opened_at)}: {item.text} ({item.item_id})"
        for item in story.items
        if item.state == "open"
    ]
    for entry in story.entries:
        if entry.kind == "out" and entry.send is None:
            found.append(f"row {entry.seq}, {entry.msg_type} to {entry.session}, has not left")
        elif entry.send is not None and entry.send.outcome == "refused":
            why = entry.send.reason or "no reason given"
            found.append(f"row {entry.seq}, {entry.msg_type} to {entry.session}, did not leave: {why}")
    if story.order.life == "unknown":
        found.append("what the broker holds of it is not known")
    elif story.order.life == "routed" and not story.order.finished:
        found.append("the broker has not answered the order")
    found += [f"{_request(one)}: no answer yet" for one in story.requests if one.state in ("held", "sent", "pending")]
    filled = net_filled(story.fills)
    if filled is not None and filled != story.order.cum_qty:
        found.append(f"the fills add up to {number(filled)}, CumQty(14) is {number(story.order.cum_qty)}")
    found += [f"{name} took {span(longest)}" for name, _, _, longest in _rows(hops(story)) if _slow(name, longest)]
    return found


def _rows(found: list[Hop]) -> list[tuple[str, int, float, float]]:
    return [(hop.name, hop.count, hop.total, hop.longest) for hop in found]


def _slow(name: str, longest: float) -> bool:
    return name.startswith("gateway") and longest > SLOW_SECONDS


def net_filled(fills: tuple[Fill, ...]) -> Decimal | None:
    """Shares filled, net of busts and corrections; None where one of them names a fill that is not here."""
    shares: dict[tuple[str, str], Decimal] = {}
    for fill in fills:
        if fill.kind != "trade" and shares.pop((fill.broker, fill.exec_ref_id), None) is None:
            return None
        if fill.kind != "bust":
            shares[fill.broker, fill.exec_id] = fill.last_qty
    return sum(shares.values(), Decimal(0))


# -- time --------------------------------------------------------------------------------------------------------


def hops(story: OrderStory) -> list[Hop]:
    """Time spent: within the gateway by direction and part, and at each broker until its first answer."""
    spent: dict[str, list[float]] = {}
    rows = {entry.seq: entry for entry in story.entries}
    for entry in story.entries:
        cause = rows.get(entry.cause or 0)
        if entry.kind != "out" or entry.send is None or entry.send.outcome != "sent" or cause is None:
            continue
        if cause.kind != "in" or cause.committed_at is None or entry.committed_at is None:
            continue
        way = f"gateway, {cause.session} to {entry.session}"
        if cause.session == entry.session:
            way = f"gateway, its own answer to {entry.session}"
        sent = entry.send.sent_at
        spent.setdefault(f"{way}: received to committed", []).append(_seconds(cause.received_at, entry.committed_at))
        spent.setdefault(f"{way}: committed to sent", []).append(_seconds(entry.committed_at, sent))
        spent.setdefault(f"{way}: in all", []).append(_seconds(cause.received_at, sent))
        answer = _answer(story, entry)
        if answer is not None:
            name = f"{entry.session}: until its first answer"
            spent.setdefault(name, []).append(_seconds(sent, answer.received_at))
    return [Hop(name, len(times), sum(times), max(times)) for name, times in spent.items()]


def _seconds(start: Any, end: Any) -> float:
    return float((end - start).total_seconds())


def _answer(story: OrderStory, sent: JournalEntry) -> JournalEntry | None:
    """The first message that came back under the ClOrdID(11) of a request of ours."""
    if sent.msg_type not in ("D", "F", "G"):
        return None
    ours = _cl_ord_id(sent)
    for entry in story.entries:
        if (
            entry.kind == "in"
            and entry.seq > sent.seq
            and entry.session == sent.session
            and _cl_ord_id(entry) == ours
        ):
            return entry
    return None


def _cl_ord_id(entry: JournalEntry) -> str:
    return ("\x01" + wire_text(entry.raw)).partition("\x0111=")[2].partition("\x01")[0]


def total(story: OrderStory) -> str:
    """From the first row of the order to the last thing that happened to it."""
    first = min(entry.received_at for entry in story.entries)
    last = max(max(entry.received_at, entry.send.sent_at if entry.send else first) for entry in story.entries)
    return clean(span(_seconds(first, last)))

"""Commands that need two people: one operator proposes, another approves, and only then it is done.

`approvals.propose`, `approvals.approve`, `approvals.reject`, `approvals.expire` are journaled like any command, what
is refused as well, with the reason. A proposal is bound to its exact contents: the approver sends the hash of what
was shown. Whose approval counts depends on the configuration, so the edge says it with the command (`barred`).
Commands about fills and orders are applied with the approval, in one event; others by the edge, once the approval
is committed.
Limits: at most OPEN_LIMIT proposals wait, and of those that are over the last CLOSED_KEPT are remembered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from oms.core import manual, settle
from oms.core.book import Book, number_id
from oms.core.messages import Command, Event, Pairs
from oms.core.replies import Context

PROPOSE, APPROVE = "approvals.propose", "approvals.approve"
REJECT, EXPIRE = "approvals.reject", "approvals.expire"
VERBS: Final = (PROPOSE, APPROVE, REJECT, EXPIRE)
OPEN, APPROVED, REJECTED, EXPIRED, FAILED = "open", "approved", "rejected", "expired", "failed"
OPEN_LIMIT: Final = 100
CLOSED_KEPT: Final = 200
_OWN_ARGS: Final = ("proposed", "valid_seconds", "barred")


@dataclass(slots=True)
class Proposal:
    """One command that waits for a second person, or what became of it."""

    proposal_id: str
    verb: str
    args: Pairs
    proposer: str
    proposed_at: datetime
    expires_at: datetime
    seq: int
    state: str = OPEN
    by: str = ""  # who approved or rejected it
    closed_seq: int = 0
    why: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 over everything that would be done and who asked for it; 16 hexadecimal digits."""
        contents = [self.proposal_id, self.verb, sorted(self.args), self.proposer, self.expires_at.isoformat()]
        text = json.dumps(contents, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def command(ctx: Context, seq: int, event: Event, msg: Command) -> None:
    """Apply one of VERBS. A refusal is the answer and stands in the journal row."""
    args = dict(msg.args)
    if msg.verb == PROPOSE:
        problem = _propose(ctx, seq, event, msg)
    elif msg.verb == APPROVE:
        problem = _approve(ctx, seq, event, msg.operator, args)
    elif msg.verb == EXPIRE:
        problem = _expire(ctx, seq, event, args)
    else:
        problem = _reject(ctx, seq, msg.operator, args)
    if problem:
        ctx.fx.detail["refused"] = problem
        ctx.fx.detail["answer"] = {"refused": problem}


def order_id_of(book: Book, args: Mapping[str, str]) -> str:
    """OrderID(37) that a command is about, directly or by its proposal; '' where it is about none."""
    found = book.proposals.get(args.get("proposal_id", ""))
    return args.get("order_id", "") or (dict(found.args).get("order_id", "") if found is not None else "")


def overdue(book: Book, now: datetime) -> list[str]:
    """The open proposals whose time is over."""
    return [one.proposal_id for one in book.proposals.values() if one.state == OPEN and now > one.expires_at]


# -- the four commands -------------------------------------------------------------------------------------


def _propose(ctx: Context, seq: int, event: Event, msg: Command) -> str:
    if barred := dict(msg.args).get("barred"):
        return barred
    at = event.received_at
    waiting = sum(one.state == OPEN and at <= one.expires_at for one in ctx.book.proposals.values())
    if waiting >= OPEN_LIMIT:
        return f"{waiting} proposals wait already; approve or reject some of them (`oms approvals list`)"
    made = proposal(seq, event.received_at, msg.operator, msg.args)
    if problem := _problem(ctx, made.verb, dict(made.args)):
        return problem
    _take(ctx.book, made)
    order_id = order_id_of(ctx.book, dict(made.args))
    ctx.fx.order_id = order_id if order_id in ctx.book.orders else None
    _tell(ctx, made)
    return ""


def proposal(seq: int, at: datetime, proposer: str, pairs: Pairs) -> Proposal:
    """The proposal that a command makes under its journal number."""
    args = dict(pairs)
    contents = tuple((name, value) for name, value in pairs if name not in _OWN_ARGS)
    expires_at = at + timedelta(seconds=int(args["valid_seconds"]))
    return Proposal(number_id("P", seq), args["proposed"], contents, proposer, at, expires_at, seq)


def _approve(ctx: Context, seq: int, event: Event, operator: str, args: dict[str, str]) -> str:
    found, problem = _open(ctx, args)
    if found is None:
        return problem
    if event.received_at > found.expires_at:
        _close(ctx, found, EXPIRED, "", seq, "")
        return f"{found.proposal_id} expired at {found.expires_at:%Y-%m-%d %H:%M:%S} UTC; propose it again"
    if operator == found.proposer:
        return f"{operator} proposed {found.proposal_id} and cannot approve it; another operator has to"
    if args.get("barred"):
        return args["barred"]
    if args.get("hash") != found.hash:
        return (
            f"the hash {args.get('hash') or '(none)'} is not that of {found.proposal_id}: something else was read"
            f" than would be done; `oms approvals show {found.proposal_id}` shows it"
        )
    contents = dict(found.args)
    if problem := _problem(ctx, found.verb, contents):
        _close(ctx, found, FAILED, operator, seq, problem)
        return f"{found.proposal_id} cannot be done any more: {problem}"
    people = {"proposer": found.proposer, "approver": operator, "proposal": found.proposal_id}
    if found.verb in manual.VERBS:
        manual.apply(ctx, seq, event, found.verb, contents, people)
    elif found.verb == settle.VERB:
        settle.apply(ctx, seq, event, contents, people)
    _close(ctx, found, APPROVED, operator, seq, args.get("text", ""))
    return ""


def _reject(ctx: Context, seq: int, operator: str, args: dict[str, str]) -> str:
    found, problem = _open(ctx, args)
    if found is not None:
        _close(ctx, found, REJECTED, operator, seq, args.get("text", ""))
    return problem


def _expire(ctx: Context, seq: int, event: Event, args: dict[str, str]) -> str:
    found, problem = _open(ctx, args)
    if found is not None and event.received_at > found.expires_at:
        _close(ctx, found, EXPIRED, "", seq, "")
    return problem


def _problem(ctx: Context, verb: str, args: Mapping[str, str]) -> str:
    """Why a command that is applied with its approval cannot be done as things stand; '' if it can."""
    if verb in manual.VERBS:
        return manual.problem(ctx, verb, args)
    return settle.problem(ctx, args) if verb == settle.VERB else ""


# -- what they share ---------------------------------------------------------------------------------------


def _open(ctx: Context, args: Mapping[str, str]) -> tuple[Proposal | None, str]:
    """The open proposal that is meant, or why there is none."""
    proposal_id = args.get("proposal_id", "")
    found = ctx.book.proposals.get(proposal_id)
    if found is None:
        return None, f"there is no proposal {proposal_id or '(none)'}; `oms approvals list --all` shows those of late"
    if found.state == OPEN:
        return found, ""
    by = f" by {found.by}" if found.by else ""
    return None, f"{proposal_id} is {found.state}{by} already (journal row {found.closed_seq}): nothing was done"


def _close(ctx: Context, found: Proposal, state: str, by: str, seq: int, why: str) -> None:
    found.state, found.by, found.closed_seq, found.why = state, by, seq, why
    _trim(ctx.book)
    _tell(ctx, found)


def _tell(ctx: Context, found: Proposal) -> None:
    """Into the journal row, and to the operator."""
    told = {
        "proposal_id": found.proposal_id,
        "verb": found.verb,
        "proposer": found.proposer,
        "state": found.state,
        "by": found.by,
        "why": found.why,
        "hash": found.hash,
    }
    ctx.fx.detail["proposal"] = told
    expires = {"expires_at": found.expires_at.isoformat()} if found.state == OPEN else {}
    ctx.fx.detail["answer"] = ctx.fx.detail.get("answer", {}) | told | expires


def _take(book: Book, made: Proposal) -> None:
    book.proposals[made.proposal_id] = made
    _trim(book)


def _trim(book: Book) -> None:
    closed = [name for name, one in book.proposals.items() if one.state != OPEN]
    for name in closed[: max(len(closed) - CLOSED_KEPT, 0)]:
        del book.proposals[name]


def restore(
    book: Book, seq: int, at: datetime, operator: str, verb: str, pairs: Pairs, detail: Mapping[str, Any]
) -> None:
    """Take up a proposal, or what became of it, from its journal row; to be called in the order of the journal."""
    told = detail.get("proposal")
    if told is None:  # refused, and nothing changed
        return
    if verb == PROPOSE:
        _take(book, proposal(seq, at, operator, pairs))
    elif (found := book.proposals.get(told["proposal_id"])) is not None:
        found.state, found.by, found.closed_seq, found.why = told["state"], told["by"], seq, told["why"]
        _trim(book)

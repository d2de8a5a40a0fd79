"""What waits for one broker that takes so many messages a second: cancels first, then replaces, new orders, the rest.

Law of the chain: messages about one order leave in the order in which they were decided. So none overtakes within an
order; an order's whole chain has the rank of its most urgent message. Where a cancel finds messages of its order that
have not left, those it does not need never leave:
- the NewOrderSingle(D) itself: it, what waits behind it, and the cancel are given up. The order was never there;
- an OrderCancelReplaceRequest(G) that the cancel does not name by OrigClOrdID(41), directly or through another one.
Only status requests let a cancel pass.
Each message is given up or leaves once: `take_up`, `done`, `refused` and `expired` tell who is out. What is decided
about an order after its NewOrderSingle(D) was given up, before the core heard of that, is given up as well. Pure: no
clock, no threads; owned by the sender's thread, but for `counts`, which others may read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from oms.core.order import is_for_replace
from oms.outbox import Message, field_of

KINDS = ("cancel", "replace", "new", "other")
CANCEL, REPLACE, NEW, OTHER = range(len(KINDS))
_RANK = {"q": CANCEL, "F": CANCEL, "G": REPLACE, "D": NEW}
_AGEING = (REPLACE, NEW)  # what nobody wants any more after a while
_GONE_KEPT = 10_000  # orders whose new order was given up: far more than the core can have under way
_SLACK = 1_000  # entries out of date that the heaps may have beside as many as there are messages


class GivenUp(NamedTuple):
    """A message that never leaves, and why."""

    message: Message
    why: str


FOR_CANCEL = "a cancel came before it could leave"
NOTHING_THERE = "the order itself did not leave"
TOO_OLD = "it waited for too long"
BUILT_ON = "what it changes did not leave"


@dataclass(slots=True, eq=False)
class Waiting:
    """One message in the queue."""

    message: Message
    kind: int
    chain: str
    cl_ord_id: str
    orig_cl_ord_id: str
    until: datetime
    here: bool = True


def kind_of(message: Message) -> int:
    """How urgent a message is: an index of KINDS. A cancel that makes room for a new order is a replace."""
    kind = _RANK.get(message.msg_type, OTHER)
    if kind == CANCEL and message.msg_type == "F" and is_for_replace(field_of(message.text, "11")):
        return REPLACE
    return kind


class OutQueue:
    """See the module head."""

    def __init__(self) -> None:
        self._chains: dict[str, list[Waiting]] = {}
        self._ready: list[tuple[int, int, str]] = []  # rank, row of the first, chain; those out of date are passed by
        self._ages: list[tuple[datetime, int, Waiting]] = []
        self._rows: list[tuple[int, Waiting]] = []
        self._gone: dict[str, None] = {}  # chains whose new order was given up
        self.counts = [0] * len(KINDS)

    def __len__(self) -> int:
        return sum(self.counts)

    @property
    def oldest(self) -> Message | None:
        """The message of the lowest journal row."""
        while self._rows and not self._rows[0][1].here:
            heappop(self._rows)
        return self._rows[0][1].message if self._rows else None

    def take_up(self, message: Message, until: datetime) -> list[GivenUp]:
        """Queue a message, `until` a moment if it is one that ages; returns those given up for it, in order."""
        kind = kind_of(message)
        chain = message.order_id or f"row {message.seq}"
        if chain in self._gone:
            return [GivenUp(message, NOTHING_THERE)]
        one = Waiting(message, kind, chain, field_of(message.text, "11"), field_of(message.text, "41"), until)
        line = self._chains.setdefault(chain, [])
        given_up = _not_needed(line, one) if kind == CANCEL else []
        line.append(one)
        self.counts[kind] += 1
        heappush(self._rows, (message.seq, one))
        if kind in _AGEING:
            heappush(self._ages, (until, message.seq, one))
        if kind == CANCEL:  # a stable sort: what asks for its state comes after it
            line.sort(key=lambda other: other.kind == OTHER)
        self._remove(given_up)
        if one.here:
            self._offer(chain)
        return [GivenUp(other.message, FOR_CANCEL) for other in given_up]

    def first(self) -> Waiting | None:
        """Who may leave next; it stays until it is `done` or `refused`."""
        while self._ready:
            rank, seq, chain = self._ready[0]
            line = self._chains.get(chain)
            if line and line[0].message.seq == seq and _rank(line) == rank:
                return line[0]
            heappop(self._ready)
        return None

    def done(self, one: Waiting) -> None:
        """A message left."""
        self._remove([one], left=True)

    def refused(self, one: Waiting) -> list[GivenUp]:
        """A message never leaves, as its sender found; returns what makes no sense without it, in order."""
        behind = _built_on(self._chains[one.chain], one)
        self._remove([one, *behind])
        return [GivenUp(other.message, BUILT_ON) for other in behind]

    def expired(self, now: datetime) -> list[GivenUp]:
        """Give up what is too old, and what makes no sense without it, in order.

        A replace that a cancel behind it names is not too old: without it the cancel would name nothing.
        """
        found: list[GivenUp] = []
        while self._ages and (self._ages[0][0] < now or not self._ages[0][2].here):
            _, _, one = heappop(self._ages)
            if one.here and _rank(self._chains[one.chain]) != CANCEL:
                found += [GivenUp(one.message, TOO_OLD), *self.refused(one)]
        return found

    def next_expiry(self) -> datetime | None:
        """When the next message may be too old."""
        return self._ages[0][0] if self._ages else None

    def clear(self, why: str) -> list[GivenUp]:
        """Give up everything, in the order of the journal."""
        everything = [one for line in self._chains.values() for one in line]
        self._remove(everything)
        return [GivenUp(one.message, why) for one in sorted(everything, key=lambda one: one.message.seq)]

    def _offer(self, chain: str) -> None:
        line = self._chains[chain]
        heappush(self._ready, (_rank(line), line[0].message.seq, chain))

    def _remove(self, gone: list[Waiting], *, left: bool = False) -> None:
        for one in gone:
            line = self._chains[one.chain]
            line.remove(one)
            one.here = False
            self.counts[one.kind] -= 1
            if one.kind == NEW and not left:
                self._gone[one.chain] = None
                if len(self._gone) > _GONE_KEPT:
                    del self._gone[next(iter(self._gone))]
            if line:
                self._offer(one.chain)
            else:
                del self._chains[one.chain]
        if max(len(self._rows), len(self._ready)) > 4 * len(self) + _SLACK:
            self._tidy()

    def _tidy(self) -> None:
        """What is out of date in the heaps goes: a message that waits for long would else keep all after it."""
        self._rows = [entry for entry in self._rows if entry[1].here]
        self._ages = [entry for entry in self._ages if entry[2].here]
        self._ready = []
        heapify(self._rows)
        heapify(self._ages)
        for chain in self._chains:
            self._offer(chain)


def _rank(line: list[Waiting]) -> int:
    """How urgent a chain is."""
    return min(one.kind for one in line)


def _not_needed(line: list[Waiting], cancel: Waiting) -> list[Waiting]:
    """What of an order need not leave now that it is to be canceled; if it is not there, the cancel neither."""
    if any(one.kind == NEW for one in line):
        return [*line, cancel]
    wanted, given_up = cancel.orig_cl_ord_id, []
    for one in reversed(line):
        if one.kind == REPLACE and one.cl_ord_id == wanted:
            wanted = one.orig_cl_ord_id
        elif one.kind == REPLACE:
            given_up.append(one)
    return given_up[::-1]


def _built_on(line: list[Waiting], gone: Waiting) -> list[Waiting]:
    """What of an order makes no sense if this message does not leave."""
    behind = line[line.index(gone) + 1 :]
    if gone.kind == NEW:
        return behind
    names, found = {gone.cl_ord_id}, []
    for one in behind:
        if one.orig_cl_ord_id in names:
            names.add(one.cl_ord_id)
            found.append(one)
    return found

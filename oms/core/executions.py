"""What a child order has traded, whatever the order in which its broker tells it.

An execution and its corrections are a chain, the last version stands; a bust ends it. A correction or bust of an
execution not heard of yet is kept until that one arrives. ExecRefID(19) may name any version: some brokers name
the latest, some the first. Of corrections that name the same version the one with the later TransactTime(60)
stands, and the later to arrive where the times do not tell; a bust is always last.

`Told` follows the broker's own CumQty(14): each execution is a step from one total to another, and when nothing
is missing the steps lead from zero to the ledger's total, in whichever order they were told.
Limits: nothing here speaks to clients. The same entries in the same order give the same state, which is how it
comes back from the ledger's rows after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from oms.core.order import Child

ZERO: Final = Decimal(0)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)

APPLIED: Final = "applied"
KEPT: Final = "kept"  # until the execution it refers to arrives
REPEATED: Final = "repeated"  # a second bust of the same execution
OVERTAKEN: Final = "overtaken"  # by a later correction, or by the bust, of the same execution
TOO_LATE: Final = "too_late"  # a correction of what was busted before


@dataclass(slots=True)
class Execution:
    """One version of an execution: quantity in shares, price, the ExecID(17) the client knows it by."""

    client_exec_id: str
    last_qty: Decimal
    last_px: Decimal
    live: bool = True
    at: datetime | None = None
    cum_qty: Decimal | None = None  # CumQty(14) that the broker told with it
    chain: list[Execution] | None = field(default=None, compare=False, repr=False)  # all versions, once amended


class Entry(NamedTuple):
    """A trade, correction or bust as a broker reports it; what it does not state is None."""

    kind: str
    exec_id: str
    ref_id: str
    client_exec_id: str
    last_qty: Decimal | None
    last_px: Decimal | None
    at: datetime | None = None
    cum_qty: Decimal | None = None


class Change(NamedTuple):
    """What an entry did: shares and money that CumQty(14) and AvgPx(6) move by, and the version it put an end to."""

    verdict: str
    qty: Decimal = ZERO
    money: Decimal = ZERO
    ended: Execution | None = None


@dataclass(slots=True)
class _Pieces:
    """Steps that do not follow one another. Counters say whether they make one path, however long it is."""

    totals: dict[Decimal, int] = field(default_factory=lambda: {ZERO: 1})  # reached so often more than left
    loose: int = 1  # totals that are not reached as often as left
    joined: dict[Decimal, Decimal] = field(default_factory=lambda: {ZERO: ZERO})  # towards one total of each piece
    pieces: int = 1  # of the path, without a step from one to the other

    def step(self, before: Decimal, after: Decimal) -> None:
        self._count(before, -1)
        self._count(after, 1)
        self._join(before, after)

    def leads_to(self, cum_qty: Decimal) -> bool:
        return self.loose == 1 and self.pieces == 1 and self.totals.get(cum_qty) == 1

    def _count(self, total: Decimal, by: int) -> None:
        before = self.totals.get(total, 0)
        self.totals[total] = before + by
        self.loose += (before + by != 0) - (before != 0)

    def _join(self, before: Decimal, after: Decimal) -> None:
        one, other = self._piece(before), self._piece(after)
        if one != other:
            self.joined[other] = one
            self.pieces -= 1

    def _piece(self, total: Decimal) -> Decimal:
        joined = self.joined
        if total not in joined:
            joined[total] = total
            self.pieces += 1
        while joined[total] != total:
            joined[total] = total = joined[joined[total]]
        return total


@dataclass(slots=True)
class Told:
    """The broker's own CumQty(14), as a path of steps.

    Mostly each step begins where the one before ended: then the totals in order say all. The first that does not
    makes pieces of them.
    """

    reached: list[Decimal] = field(default_factory=list)  # by steps that follow one another from zero
    pieces: _Pieces | None = None
    unreached: frozenset[Decimal] = frozenset()  # told, and no step leads there
    highest: Decimal = ZERO
    last: Decimal = ZERO
    rising: bool = True  # the last one told is no step back

    def step(self, before: Decimal, after: Decimal) -> None:
        """An execution took CumQty(14) from one total to another."""
        reached = self.reached
        if self.pieces is None and before == (reached[-1] if reached else ZERO):
            reached.append(after)
        else:
            self._in_pieces().step(before, after)
        self._note(after)
        if self.unreached:
            self.unreached -= {before, after}

    def total(self, cum_qty: Decimal) -> bool:
        """A report that is no execution told a total. Returns whether it is one that some step leads to."""
        self._note(cum_qty)
        if not cum_qty or cum_qty in (self.reached if self.pieces is None else self.pieces.totals):
            return True
        self.unreached |= {cum_qty}
        return False

    def agrees(self, cum_qty: Decimal) -> bool:
        """Whether the ledger's total is the broker's.

        It is where the steps lead to; or, of a broker whose totals do not add up, the highest it told, or the last
        if that was no step back.
        """
        return self.leads_to(cum_qty) or cum_qty == self.highest or (self.rising and cum_qty == self.last)

    def leads_to(self, cum_qty: Decimal) -> bool:
        """Whether all steps are there, from zero to this total, and no other total was told."""
        if self.unreached:
            return False
        if self.pieces is not None:
            return self.pieces.leads_to(cum_qty)
        return cum_qty == (self.reached[-1] if self.reached else ZERO)

    def _in_pieces(self) -> _Pieces:
        if self.pieces is None:
            self.pieces = _Pieces()
            before = ZERO
            for after in self.reached:
                self.pieces.step(before, after)
                before = after
            self.reached = []
        return self.pieces

    def _note(self, cum_qty: Decimal) -> None:
        self.highest = max(self.highest, cum_qty)
        self.rising = cum_qty >= self.last
        self.last = cum_qty


def kept_for(child: Child, exec_id: str) -> Iterator[tuple[Entry, Change]]:
    """Enter what was kept for an execution, and what was kept for that: each entry, entered, with what it did."""
    reached = [exec_id]
    while reached and child.kept:
        arrived = reached.pop()
        waiting = child.kept.pop(arrived, []) if arrived in child.executions else []
        for entry in sorted(waiting, key=_in_order):
            yield entry, enter(child, entry)
            reached.append(entry.exec_id)


def _in_order(entry: Entry) -> tuple[bool, datetime]:
    return entry.kind == "bust", entry.at or _EARLIEST


def enter(child: Child, entry: Entry) -> Change:
    """Enter one report into a child's executions; the quantities of its order are the caller's to move."""
    if entry.kind == "trade":
        return _trade(child, entry)
    ref = child.executions.get(child.same_as.get(entry.ref_id, entry.ref_id))
    if ref is None:
        child.kept.setdefault(entry.ref_id, []).append(entry)
        return Change(KEPT)
    chain = _chain(ref)
    last = chain[-1]
    if entry.kind == "bust":
        if _is_bust(chain):
            return Change(REPEATED)
        bust = Execution(entry.client_exec_id, ZERO, ZERO, False, entry.at, entry.cum_qty)
        return _append(child, chain, entry.exec_id, bust)
    if _is_bust(chain):
        if entry.at is None or last.at is None or entry.at > last.at:
            return Change(TOO_LATE)
        return _insert(child, chain, ref, entry)
    if ref is not last and entry.at is not None and last.at is not None and entry.at < last.at:
        return _insert(child, chain, ref, entry)
    return _append(child, chain, entry.exec_id, _version(entry, last))


def _is_bust(chain: list[Execution]) -> bool:
    return not chain[-1].live


def _version(entry: Entry, before: Execution) -> Execution:
    qty = before.last_qty if entry.last_qty is None else entry.last_qty
    px = before.last_px if entry.last_px is None else entry.last_px
    return Execution(entry.client_exec_id, qty, px, True, entry.at, entry.cum_qty)


def _trade(child: Child, entry: Entry) -> Change:
    qty, px = entry.last_qty or ZERO, entry.last_px or ZERO
    child.executions[entry.exec_id] = Execution(entry.client_exec_id, qty, px, True, entry.at, entry.cum_qty)
    _move(child, qty, entry.cum_qty)
    return Change(APPLIED, qty, qty * px)


def correct(child: Child, ref: Execution, exec_id: str, new: Execution) -> Change:
    """Correct a live execution by what follows from other news than a correction."""
    return _append(child, _chain(ref), exec_id, new)


def _chain(ref: Execution) -> list[Execution]:
    if ref.chain is None:
        ref.chain = [ref]
    return ref.chain


def _append(child: Child, chain: list[Execution], exec_id: str, new: Execution) -> Change:
    """A new last version, or a bust: the one before is over."""
    last = chain[-1]
    last.live = False
    new.chain = chain
    chain.append(new)
    if new.live:
        child.executions[exec_id] = new
    qty = new.last_qty - last.last_qty
    _move(child, qty, new.cum_qty)
    return Change(APPLIED, qty, new.last_qty * new.last_px - last.last_qty * last.last_px, last)


def _insert(child: Child, chain: list[Execution], ref: Execution, entry: Entry) -> Change:
    """A correction that was overtaken takes its place in the chain; only the steps of CumQty(14) change."""
    place = len(chain) - 1
    assert entry.at is not None
    while place > 1 and chain[place - 1] is not ref and (chain[place - 1].at or _EARLIEST) > entry.at:
        place -= 1
    before, after = chain[place - 1], chain[place]
    new = _version(entry, before)
    new.live, new.chain = False, chain
    chain.insert(place, new)
    child.executions[entry.exec_id] = new
    if new.cum_qty is not None and after.cum_qty is not None:
        start = after.cum_qty - after.last_qty
        child.told.step(new.cum_qty - new.last_qty + before.last_qty, new.cum_qty)
        child.told.step(start + new.last_qty, start + before.last_qty)
    return Change(OVERTAKEN, ended=chain[-1])


def _move(child: Child, qty: Decimal, cum_qty: Decimal | None) -> None:
    before = child.cum_qty
    child.cum_qty = before + qty
    if cum_qty is None:  # not told: taken to be as the ledger has it
        child.told.step(before, child.cum_qty)
    else:
        child.told.step(cum_qty - qty, cum_qty)

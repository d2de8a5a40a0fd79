"""What the two witnesses of one broker have told of executions, as far as the other has not: in order, and bounded.

Fills of the order session wait for their copy, the drop copy's executions for their fill; what both have told leaves
memory. The rules are in `oms.core.drop_copy`.
Invariant (I11): at most KEEP of each wait in memory. The oldest are forgotten and then asked for (`Judge.recall`);
without a ledger to ask (replay, tests) none is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

KEEP = 10_000
OPEN: Final = "open"  # its exception item is
CLOSED: Final = "closed"  # by an operator

Key = tuple[date, str]  # trade date and ExecID(17); one broker's


class Word(NamedTuple):
    """An execution, correction or bust as one witness tells it. A figure that it does not state is None."""

    kind: str  # trade, correct, bust
    quantity: Decimal | None
    price: Decimal | None
    seq: int  # journal row of the message
    item_id: str  # of the exception item if the other witness does not tell it
    at: datetime | None = None  # when the gateway took it
    item: str = ""  # OPEN, CLOSED, or '' where none was raised
    order_id: str = ""  # OrderID(37), ours, of a fill
    cl_ord_id: str = ""  # ClOrdID(11) as told
    symbol: str = ""
    side: str = ""

    def recorded(self) -> list[Any]:
        """What a decision about it needs, for the journal's detail."""
        amounts = [None if one is None else str(one) for one in (self.quantity, self.price)]
        return [self.kind, *amounts, self.seq, self.item_id, self.item, self.order_id]

    @classmethod
    def of_record(cls, values: list[Any]) -> Word:
        """What `recorded` made."""
        kind, quantity, price, seq, item_id, item, order_id = values
        amounts = [None if one is None else Decimal(one) for one in (quantity, price)]
        return cls(kind, amounts[0], amounts[1], seq, item_id, item=item, order_id=order_id)


class Recalled(NamedTuple):
    """What the ledger has of an execution: the fill, and the drop copy's word; None where there is none."""

    fill: Word | None
    copy: Word | None


class Waiting:
    """What one witness has told and the other has not, oldest first."""

    __slots__ = ("_keep", "forgot", "fresh", "raised")

    def __init__(self, keep: int | None) -> None:
        self._keep = keep  # None: all
        self.fresh: dict[Key, Word] = {}
        self.raised: dict[Key, Word] = {}
        self.forgot = False  # some were

    def __contains__(self, key: Key) -> bool:
        return key in self.fresh or key in self.raised

    def __len__(self) -> int:
        return len(self.fresh) + len(self.raised)

    def add(self, key: Key, word: Word) -> None:
        """It waits from now on."""
        (self.raised if word.item else self.fresh)[key] = word
        while self._keep is not None and len(self) > self._keep:  # first what has an item: that stays in the ledger
            oldest = self.raised or self.fresh
            del oldest[next(iter(oldest))]
            self.forgot = True

    def take(self, key: Key) -> Word | None:
        """The other witness has told it: it waits no more. None where it did not."""
        return self.fresh.pop(key, None) or self.raised.pop(key, None)

    def raise_item(self, key: Key) -> Word | None:
        """Its item is opened now; None where it does not wait any more, or has had its item."""
        word = self.fresh.pop(key, None)
        if word is None:
            return None
        word = self.raised[key] = word._replace(item=OPEN)
        return word

    def item_closed(self, item_id: str) -> bool:
        """An operator closed an item. Returns whether it was of one of these."""
        for key, word in self.raised.items():
            if word.item_id == item_id:
                self.raised[key] = word._replace(item=CLOSED)
                return True
        return False

    def clear(self) -> None:
        """Nothing waits any more."""
        self.fresh.clear()
        self.raised.clear()


class Told:
    """Executions that the drop copy has told. The newest are kept, `ask` is whether the ledger has an older one."""

    __slots__ = ("_ask", "_keep", "_new", "_older")

    def __init__(self, ask: Callable[[Key], bool] | None, keep: int) -> None:
        self._ask = ask
        self._keep = keep  # more than all batches under way can bring, so that what is forgotten is committed
        self._new: set[Key] = set()
        self._older: set[Key] = set()

    def add(self, key: Key) -> None:
        """It has been told."""
        if self._ask is not None and len(self._new) >= self._keep:
            self._older, self._new = self._new, set()
        self._new.add(key)

    def __contains__(self, key: Key) -> bool:
        return key in self._new or key in self._older or (self._ask is not None and self._ask(key))


@dataclass(slots=True)
class Copies:
    """The drop copy of one broker. `session` is '' while none is configured; `seconds` 0: nothing is raised."""

    broker: str
    told: Told
    fills: Waiting  # of the order session, not confirmed
    words: Waiting  # of the drop copy, not known here
    session: str = ""
    seconds: int = 0


@dataclass(slots=True)
class DropCopies:
    """All drop copies, by broker and by their session."""

    of_broker: dict[str, Copies] = field(default_factory=dict)
    of_session: dict[str, Copies] = field(default_factory=dict)

    def configure(
        self,
        sessions: Mapping[str, str],
        seconds: Mapping[str, int],
        told: Callable[[str, Key], bool] | None = None,
        keep: int = KEEP,
    ) -> None:
        """The drop copy sessions of a run, with their brokers. `told` asks the ledger; without it all is kept."""
        self.of_session.clear()
        for copies in self.of_broker.values():
            if copies.broker not in sessions.values():  # no copies come, so none are missed
                copies.session = ""
                copies.fills.clear()
        for session, broker in sessions.items():
            found = self.of_broker.get(broker)
            if found is None:
                bound = None if told is None else keep
                ask = None if told is None else _asker(told, broker)
                found = self.of_broker[broker] = Copies(broker, Told(ask, keep), Waiting(bound), Waiting(bound))
            found.session, found.seconds = session, seconds.get(session, 0)
            self.of_session[session] = found

    def item_closed(self, item_id: str) -> None:
        """An operator closed an item: it is not closed again by rule."""
        for copies in self.of_broker.values():
            if copies.fills.item_closed(item_id) or copies.words.item_closed(item_id):
                return

    def __iter__(self) -> Iterator[Copies]:
        """Those that are configured."""
        yield from self.of_session.values()


def _asker(told: Callable[[str, Key], bool], broker: str) -> Callable[[Key], bool]:
    return lambda key: told(broker, key)

"""Ids that were used: exact in what it answers, bounded in what it keeps.

The newest ids are kept as they are. Of older ones only a few bits each stay (a Bloom filter; of those loaded at a
start thirty bits in order, which a million of are made ten times as fast). They tell for sure that an id was never
used, and in one of a thousand cases or fewer wrongly that it may have been: then the ledger, which has them all, is
asked. So an id costs three or four bytes of memory instead of a hundred, and a new one hardly ever a query.
Without a ledger to ask (replay, tests) all ids are kept.
Invariant: ids that fall out of the newest must be committed by then, so more are kept than batches under way hold.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

KEEP = 5_000
_FIRST_BITS = 1 << 19
_BITS_PER_ID = 24
_PROBES = 8
_LOADED_BITS = (1 << 30) - 1  # numbers that Python sorts several times as fast as larger ones


class _Filter:
    """A Bloom filter of one size."""

    __slots__ = ("_bits", "_mask", "left")

    def __init__(self, bits: int) -> None:
        self._bits = bytearray(bits // 8)
        self._mask = bits - 1
        self.left = bits // _BITS_PER_ID  # ids until it is full

    def _places(self, key: str) -> Iterator[int]:
        found = hash(key)
        first, step = found & 0xFFFFFFFF, (found >> 32) | 1
        return ((first + number * step) & self._mask for number in range(_PROBES))

    def add(self, key: str) -> None:
        self.left -= 1
        for place in self._places(key):
            self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, key: str) -> bool:
        return all(self._bits[place >> 3] >> (place & 7) & 1 for place in self._places(key))


class Seen:
    """A set of ids. `ask` is whether the ledger has one; without it nothing is forgotten.

    Not `complete`: the ledger may have ids that were never added here, so it is asked about every one.
    """

    __slots__ = ("_ask", "_complete", "_filters", "_keep", "_loaded", "_new", "_older", "_size")

    def __init__(self, ask: Callable[[str], bool] | None = None, keep: int = KEEP, *, complete: bool = True) -> None:
        self._ask = ask
        self._complete = complete
        self._keep = keep
        self._new: set[str] = set()
        self._older: set[str] = set()
        self._filters: list[_Filter] = []
        self._loaded = array("I")
        self._size = 0

    def add(self, key: str) -> None:
        """An id is used up."""
        if self._ask is not None and len(self._new) >= self._keep:
            self._forget(self._older)
            self._older, self._new = self._new, set()
        if key not in self._new:
            self._new.add(key)
            self._size += 1

    def load(self, keys: Iterable[str]) -> None:
        """Ids that were used before, all of them committed; once."""
        if self._ask is None:
            for key in keys:
                self.add(key)
            return
        self._loaded = array("I", sorted([hash(key) & _LOADED_BITS for key in keys]))
        self._size += len(self._loaded)

    def _was_loaded(self, key: str) -> bool:
        found = hash(key) & _LOADED_BITS
        place = bisect_left(self._loaded, found)
        return place < len(self._loaded) and self._loaded[place] == found

    def _forget(self, keys: set[str]) -> None:
        for key in keys:
            if not self._filters or not self._filters[-1].left:
                self._filters.append(_Filter(_FIRST_BITS << len(self._filters)))
            self._filters[-1].add(key)

    def __contains__(self, key: str) -> bool:
        if key in self._new or key in self._older:
            return True
        if self._ask is None:
            return False
        maybe = not self._complete or self._was_loaded(key) or any(key in one for one in self._filters)
        return maybe and self._ask(key)

    def __len__(self) -> int:
        """How many ids were added."""
        return self._size

    def __iter__(self) -> Iterator[str]:
        """Those that are still kept as they are."""
        yield from self._older
        yield from self._new

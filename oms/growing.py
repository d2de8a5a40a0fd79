"""A dictionary of sessions that may grow while other threads go through it.

A session that is added while others trade appears in every table by session. Its keys, values and items, and going
through it, are copies of the moment, each made in one step of the interpreter; a look-up costs what it always does.
Entries are put in by one thread (the core's) and never taken out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

Value = TypeVar("Value")


class Growing(dict[str, Value]):
    """See the module head."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().keys()))

    def keys(self) -> Any:
        """The keys as they are now."""
        return dict(super().items()).keys()

    def values(self) -> Any:
        """The values as they are now."""
        return dict(super().items()).values()

    def items(self) -> Any:
        """The entries as they are now."""
        return dict(super().items()).items()

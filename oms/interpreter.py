"""The Python interpreter as the gateway needs it: a collector that keeps out of the way, and quick turns.

Whole-process settings, made by the core thread only, at the start and once more when all is there.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable


def quiet_collector(at_exit: Callable[[Callable[[], None]], object]) -> None:
    """A start only adds to memory: the collector would look at all of it again and again, and find nothing."""
    gc.collect()
    gc.disable()
    at_exit(gc.enable)


def tune() -> None:
    """What lives now lives for long: the collector need not look at it again, nor at every few messages.

    The gateway's objects go by reference counting. A thread that waits for the interpreter, such as the
    committer back from the database, gets it within a third of a millisecond rather than five.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    gc.enable()
    sys.setswitchinterval(0.0003)

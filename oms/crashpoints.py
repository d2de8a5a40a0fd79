"""Named steps of the flow at which a test may end the process as `kill -9` would.

Off unless the environment says `OMS_CRASH_AT=step:n` (die when `step` is reached for the n-th time). The names
are the numbered steps of `oms.flow` and `oms.outbox`; they are part of the reliability tests' contract.
"""

from __future__ import annotations

import os
import signal

STEPS = ("received", "decoded", "decided", "written", "committed", "before_send", "after_send", "noted")

_step, _, _count = os.environ.get("OMS_CRASH_AT", "").partition(":")
_left = int(_count or "1") if _step else 0


def reached(step: str) -> None:
    """Tell that a step was reached; does not return if this is where the process should die."""
    global _left
    if _step == step:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

"""Named steps at which a test may end the process as `kill -9` would.

Off unless the environment says `OMS_CRASH_AT=step:n` (die when `step` is reached for the n-th time), or
`OMS_CRASH_AT=@FILE` with a FIFO that is told `step:n` while the process runs and counts from then on. The names are
part of the reliability tests' contract:

- STEPS are the numbered steps of `oms.flow` and `oms.outbox`, which every message passes;
- COMMITTER_STEPS are around a commit: `taken` before the statement leaves for Postgres, `delivered` when the
  outbox has the messages, `settled` when a commit whose outcome was not known has been looked up;
- OUTBOX_STEPS are the rarer ways of the outbox: `caught_up` when what the ledger has for a session was read,
  `refused` when it is decided that messages never leave and nobody was told yet;
- START_STEPS are those of a start, in order: `connected` when this gateway has the ledger, `recovered` when
  memory is back, `aligned` when each session expects what follows the last commit, `begun` when the first batch is
  on its way, `opened` when brokers and clients may log on.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

STEPS = ("received", "decoded", "decided", "written", "committed", "before_send", "after_send", "noted")
COMMITTER_STEPS = ("taken", "delivered", "settled")
OUTBOX_STEPS = ("caught_up", "refused")
START_STEPS = ("connected", "recovered", "aligned", "begun", "opened")
ALL_STEPS = STEPS + COMMITTER_STEPS + OUTBOX_STEPS + START_STEPS

_step, _left = "", 0


def arm(told: str) -> None:
    """Die at `step:n` from now on, `n` being 1 where it is left out. ValueError where there is no such step."""
    global _step, _left
    step, _, count = told.strip().partition(":")
    if step not in ALL_STEPS:
        raise ValueError(f"{step} is no step: {', '.join(ALL_STEPS)}")
    _step, _left = step, int(count or "1")


def reached(step: str) -> None:
    """Tell that a step was reached; does not return if this is where the process should die."""
    global _left
    if _step == step:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _arm_from(fifo: Path) -> None:
    while True:
        arm(fifo.read_text())


def _begin(told: str) -> None:
    if told.startswith("@"):
        threading.Thread(target=_arm_from, args=(Path(told[1:]),), name="crashpoints", daemon=True).start()
    elif told:
        arm(told)


_begin(os.environ.get("OMS_CRASH_AT", ""))

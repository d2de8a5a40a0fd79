"""The cells of the matrix: what breaks, where, and at which step. Pure.

A cell's name is `place/step`, by which `--only` chooses it. Places: `flow` (the gateway dies at a step while it
trades), `throttled` (the same, and its brokers take few messages a second), `start` (it is killed, and dies at a step
of the start after that), `store` (it dies right after one write of a message store, or the disk is full), `postgres`
and `line`. A cell with `orders` needs more of them than others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch

from oms.crashpoints import START_STEPS, STEPS

PER_BATCH = frozenset(["received", "decided", "written", "taken", "committed", "delivered"])
IN_START = (
    *START_STEPS,
    "taken",
    "committed",
    "delivered",
    "caught_up",
    "received",
    "decoded",
    "before_send",
    "noted",
)
STORE_WRITES = ("body", "header", "seqnums")
BURST, BURST_RATE = 1000, 250.0  # orders that fill the buffers of a line, and how many a second


@dataclass(frozen=True, slots=True)
class Cell:
    """One breakage; `act` names the method of the stage that does it, `argument` what it is told."""

    place: str
    step: str
    act: str
    argument: str = ""
    orders: int = 0
    rate: float = 0.0

    @property
    def name(self) -> str:
        """By which people call it."""
        return f"{self.place}/{self.step}"


def cells() -> list[Cell]:
    """All of them, in the order in which they are played."""
    flow = [
        Cell("flow", step, "die_at", f"{step}:{3 if step in PER_BATCH else 8}")
        for step in (*STEPS[:4], "taken", "committed", "delivered", *STEPS[5:])
    ]
    flow.append(Cell("flow", "settled", "die_while_settling", "settled:1"))
    flow.append(Cell("flow", "caught_up", "die_while_catching_up", "caught_up:1"))
    start = [Cell("start", step, "die_in_start", f"{step}:1") for step in IN_START]
    throttled = [
        Cell("throttled", step, "die_throttled", f"{step}:8") for step in ("before_send", "after_send", "noted")
    ]
    store = [Cell("store", f"after_{name}", "die_in_store", name) for name in STORE_WRITES]
    store.append(Cell("store", "disk_full", "fill_stores"))
    return [*flow, *start, *throttled, *store, *_postgres(), *_lines()]


def _postgres() -> list[Cell]:
    acts = (
        ("killed", "kill_server"),
        ("killed_idle", "kill_server_idle"),
        ("backends_killed", "kill_backends"),
        ("restarted", "restart_server"),
        ("connections_ended", "end_connections"),
        ("answer_lost", "lose_answer"),
        ("commit_lost", "lose_commit"),
        ("disk_full", "fill_disk"),
        ("disk_full_error", "raise_disk_full"),
        ("read_only", "make_read_only"),
        ("slow", "make_slow"),
        ("locked", "lock_out"),
    )
    return [Cell("postgres", step, act) for step, act in acts]


def _lines() -> list[Cell]:
    return [
        Cell("line", "all_cut", "cut_all"),
        Cell("line", "cut_within", "cut_within"),
        Cell("line", "client_half_open", "lose_packets", "clients"),
        Cell("line", "broker_half_open", "lose_packets", "BROKER1"),
        Cell("line", "client_stalled", "stop_reading", "clients", BURST, BURST_RATE),
        Cell("line", "broker_stalled", "stop_reading", "BROKER1", BURST, BURST_RATE),
    ]


def chosen(patterns: Iterable[str]) -> list[Cell]:
    """The cells that match any pattern by their name or by their step; all where there is none."""
    wanted = list(patterns)
    return [
        cell
        for cell in cells()
        if not wanted or any(fnmatch(cell.name, one) or fnmatch(cell.step, one) for one in wanted)
    ]

"""`--chaos`: the gateway and its Postgres are killed in the middle of trading, and trading must not notice.

Each kill comes when a seeded share of the orders has been sent; the simulators keep running and log on again by
themselves. A recovery counts from the kill until every session is logged on again, by the ledger.
SIGKILL only, and only to processes of this demo, by their number.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from oms.ledger.embedded import EmbeddedPostgres

GATEWAY_KILLS = 3
Victim = Literal["gateway", "Postgres"]


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill to come: when this share of all orders has been sent."""

    victim: Victim
    share: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """One kill that was: how many orders had been sent, and how long until all sessions were logged on again."""

    victim: Victim
    at: datetime
    orders_sent: int
    open_seconds: float
    logged_on_seconds: float


def kills(seed: int) -> list[Kill]:
    """The kills of one run, in their order: the gateway three times, its Postgres once."""
    chance = random.Random(f"{seed}/chaos")
    victims: list[Victim] = ["gateway"] * GATEWAY_KILLS
    victims.insert(chance.randint(1, GATEWAY_KILLS), "Postgres")
    step = 0.8 / len(victims)
    return [Kill(victim, 0.1 + step * (number + chance.uniform(0.1, 0.9))) for number, victim in enumerate(victims)]


@dataclass(frozen=True, slots=True)
class Moment:
    """When a kill happened, on both clocks."""

    at: datetime
    monotonic: float

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        return cls(datetime.now(UTC), time.monotonic())

    @property
    def seconds(self) -> float:
        """Since then."""
        return time.monotonic() - self.monotonic


def kill_postgres(server: EmbeddedPostgres) -> int:
    """SIGKILL to the embedded server that runs on the demo's data; returns its number, 0 where none runs."""
    running = server.postmaster()
    if running is None:
        return 0
    os.kill(running.pid, signal.SIGKILL)
    return running.pid

"""What a storm does and when: a seeded list of rounds, each at a share of the orders sent. Pure.

- kill: SIGKILL to the gateway wherever it is.
- step: the gateway was started so that it dies at a named step of its flow (oms/crashpoints.py), at the n-th time.
- start: SIGKILL to the gateway, and once more while it starts and recovers.
- backends: SIGKILL to the gateway's Postgres connections; the server then ends all of them and recovers.
- postmaster: SIGKILL to the whole Postgres server, which the gateway must start again.
- cut: every FIX connection is reset, with what was on its way.
- stall: a line stands still for some seconds, without being closed.
Cuts and stalls kill no process and come on top of the kills asked for.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

from oms.crashpoints import STEPS

Kind = Literal["kill", "step", "start", "backends", "postmaster", "cut", "stall"]
WEIGHTS: Final[dict[Kind, int]] = {"kill": 8, "step": 8, "start": 2, "backends": 1, "postmaster": 1}
CASTS: Final[tuple[Kind, ...]] = ("kill", "step", "start", "postmaster", "backends")  # a short storm has one of each
GATEWAY_DIES: Final = ("kill", "step", "start")
LINE_EVERY: Final = 4  # one cut or stall for so many kills
PER_BATCH: Final = frozenset(["received", "decided", "written", "committed"])
FIRST_SHARE, LAST_SHARE = 0.03, 0.97
STALL_SECONDS = (1.0, 4.0)
INTO_START_SECONDS = (0.2, 4.0)


@dataclass(frozen=True, slots=True)
class Round:
    """One blow: `share` of the orders at which it falls, `crash_at` for a step, `seconds` for a stall or a start."""

    kind: Kind
    share: float
    crash_at: str = ""
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """How many processes it kills with -9."""
        return {"start": 2, "cut": 0, "stall": 0}.get(self.kind, 1)


def rounds(kills: int, seed: int) -> list[Round]:
    """The rounds of a storm with so many kills."""
    chance = random.Random(f"{seed}/storm")
    kinds = _kinds(chance, kills)
    width = (LAST_SHARE - FIRST_SHARE) / len(kinds)
    made: list[Round] = []
    for number, kind in enumerate(kinds):
        share = FIRST_SHARE + width * (number + chance.uniform(0.0, 0.9))
        made.append(Round(kind, share, _crash_at(chance) if kind == "step" else "", _seconds(chance, kind)))
    return made


def _kinds(chance: random.Random, kills: int) -> list[Kind]:
    """Kinds in their order, whose kills add up."""
    kinds: list[Kind] = []
    left = kills
    for kind in CASTS if kills > len(CASTS) else ():
        kinds.append(kind)
        left -= Round(kind, 0).kills
    while left > 0:
        kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if Round(kind, 0).kills <= left:
            kinds.append(kind)
            left -= Round(kind, 0).kills
    lines: list[Kind] = ["cut", "stall"]
    kinds += [lines[number % 2] for number in range(max(kills // LINE_EVERY, 1))]
    chance.shuffle(kinds)
    return _steps_follow_starts(kinds)


def _steps_follow_starts(kinds: list[Kind]) -> list[Kind]:
    """In an order in which the gateway is started just before each step, because that is when it is told to die."""
    steps = kinds.count("step")
    made: list[Kind] = []
    for kind in kinds:
        if kind == "step":
            continue
        made.append(kind)
        if kind in GATEWAY_DIES and steps:
            made.append("step")
            steps -= 1
    while steps and "step" in made:  # more steps than other starts: one after the other
        made.insert(made.index("step"), "step")
        steps -= 1
    return made + ["kill"] * steps


def _crash_at(chance: random.Random) -> str:
    """A step and a count as OMS_CRASH_AT has them; small counts too, for they fall into the recovery."""
    step = chance.choice(STEPS)
    most = 40 if step in PER_BATCH else 120
    return f"{step}:{chance.choice((chance.randint(1, 8), chance.randint(1, most), chance.randint(1, most)))}"


def _seconds(chance: random.Random, kind: Kind) -> float:
    if kind == "stall":
        return chance.uniform(*STALL_SECONDS)
    return chance.uniform(*INTO_START_SECONDS) if kind == "start" else 0.0

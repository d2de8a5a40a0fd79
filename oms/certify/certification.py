"""A certification: every run of the scenarios in every pair of versions, over shared sessions of one gateway.

Runs are played in stages. Without kills: runs that go over the night up to the end of their first day; all others;
then, when the gateway's next trading day has begun, the second days. With kills: every run up to a place of its own
(one that goes over the night: up to the end of its day), kill -9 of the gateway with reports under way, a restart,
every run up to another place, a kill again, and the rest. The pairs play side by side, each a run at a time.

Threads: one per pair within a stage, and none between stages.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from oms.certify.books import audit, proof, read_books
from oms.certify.line import Line
from oms.certify.player import SECONDS, Market, Player
from oms.certify.scenario import Run, Scenario, runs
from oms.certify.versions import Pair
from oms.errors import OperatorError
from oms.ledger.database import Engine

KILLS = 2
AHEAD_SHARE = 0.5  # of the runs that have a report of the broker under way when the gateway is killed


class Stage(Protocol):
    """The gateway of a certification, and what it can be made to go through."""

    @property
    def ledger(self) -> Engine:
        """The gateway's ledger."""

    def market(self, pair: Pair) -> Market:
        """What is traded in a pair, such that the gateway routes it to the pair's broker."""

    def line(self, role: str, version: str) -> Line:
        """The session of the client or the broker of a version, logged on."""

    def check(self) -> None:
        """Raise where the gateway has ended by itself."""

    def kill(self) -> None:
        """kill -9 the gateway, start it again, and wait until every session is logged on."""

    def next_day(self) -> None:
        """Wait until the gateway's next trading day has begun."""


class Told(NamedTuple):
    """How far a certification is, for a progress bar."""

    stage: str
    steps: int  # rows played since the last one
    failed: bool


@dataclass(slots=True)
class Options:
    """How to certify. `seconds` is how long a message may take; `told` is called by the threads of the pairs."""

    pairs: Sequence[Pair]
    kill: bool = False
    seed: int = 0
    seconds: float = SECONDS
    told: Callable[[Told], None] = field(default=lambda told: None)


class Outcome(NamedTuple):
    """What came of one run in one pair."""

    pair: Pair
    run: Run
    failure: str

    @property
    def ok(self) -> bool:
        """Whether everything was as the scenario has it."""
        return not self.failure


def chosen(scenarios: Iterable[Scenario], names: Sequence[str]) -> list[Run]:
    """The runs that `names` mean, scenarios (B.1.b) or single runs (B.1.b-5a), all without any; OperatorError."""
    every = [run for scenario in scenarios for run in runs(scenario)]
    known = {run.name for run in every} | {run.scenario.reference for run in every}
    if unknown := [name for name in names if name not in known]:
        raise OperatorError(f"there is no scenario {', '.join(unknown)}; write a reference such as B.1.b or B.1.b-5a")
    return [run for run in every if not names or run.name in names or run.scenario.reference in names]


class Certification:
    """See the module head."""

    def __init__(self, stage: Stage, every: Sequence[Run], options: Options) -> None:
        self._stage, self._options = stage, options
        self._chance = random.Random(options.seed)
        self.problems: list[str] = []
        self._ends = False
        self._players = {
            pair: [
                Player(
                    run,
                    pair,
                    stage.line("client", pair.client),
                    stage.line("broker", pair.broker),
                    stage.market(pair),
                    seconds=options.seconds,
                )
                for run in every
            ]
            for pair in options.pairs
        }

    @property
    def players(self) -> list[Player]:
        """Every run in every pair."""
        return [player for players in self._players.values() for player in players]

    def rows(self) -> int:
        """How many rows there are to play, for a progress bar."""
        return sum(len(player.run.rows) + 1 for player in self.players)

    def certify(self) -> list[Outcome]:
        """Play all and look into the ledger; an outcome for every run in every pair."""
        if self._options.kill:
            self._with_kills()
        else:
            self._over_night()
        self._options.told(Told("looking into the ledger", 0, False))
        books = read_books(self._stage.ledger)
        for player in self.players:
            player.failure = player.failure or audit(books, player)
        self._look_for_strays()
        self.problems += proof(self._stage.ledger)
        return [Outcome(player.pair, player.run, player.failure) for player in self.players]

    def _over_night(self) -> None:
        over = {id(player) for player in self.players if player.first_day_ends is not None}
        self._play("first days", lambda player: player.first_day_ends if id(player) in over else 0)
        self._play("one day", lambda player: player.first_day_ends if id(player) in over else None)
        if over:
            self._options.told(Told("waiting for the next trading day", 0, False))
            self._stage.next_day()
            self._play("second days", lambda player: None)

    def _with_kills(self) -> None:
        places: dict[int, list[int]] = {}
        for player in self.players:
            first, last = player.first_day_ends, len(player.run.rows)
            begin = self._chance.randint(1, max(last - 1, 1)) if first is None else first
            places[id(player)] = [begin, self._chance.randint(min(begin + 1, last), last)]
        for number in range(KILLS):
            self._play(f"up to kill {number + 1}", lambda player, at=number: places[id(player)][at])  # type: ignore[misc]
            self._options.told(Told(f"kill {number + 1}: the gateway starts again", 0, False))
            for player in self.players:
                if self._chance.random() < AHEAD_SHARE and player.at:
                    player.play(player.at, ahead=True)
            self._stage.kill()
        self._play("to the end", lambda player: None)

    def _play(self, stage: str, until: Callable[[Player], int | None]) -> None:
        def play(players: Sequence[Player]) -> None:
            for player in players:
                before, stop = player.at, until(player)
                if self._ends:
                    return
                if player.done or stop == 0:
                    continue
                self._stage.check()
                player.play(stop)
                self._options.told(Told(stage, player.at - before, bool(player.failure)))

        with ThreadPoolExecutor(len(self._players)) as pool:
            try:
                for result in [pool.submit(play, players) for players in self._players.values()]:
                    result.result()
            finally:
                self._ends = True  # an interrupt, or a gateway that has ended: nobody begins another run
        self._ends = False

    def _look_for_strays(self) -> None:
        lines = {("client", pair.client) for pair in self._players} | {
            ("broker", pair.broker) for pair in self._players
        }
        for role, version in sorted(lines):
            line = self._stage.line(role, version)
            self.problems += [f"{line.name} got a message of no run: {stray}" for stray in line.strays]
            self.problems += [f"{line.name}: {error!r}" for error in line.failures]

"""All 47 order state scenarios of the standard, every branch, through real FIX sessions and Postgres (I2 to I5).

Seven pairs of versions share one gateway, six sessions and one database. The same is then done with the gateway
killed (-9) twice on the way, with reports of the brokers under way. A test is one run in one pair: what came of it
when all were played (docs/certification.md says what is compared).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from oms.certify.certification import Certification, Options, Outcome, chosen
from oms.certify.line import Line
from oms.certify.place import asks_nothing
from oms.certify.player import Market
from oms.certify.scenario import load_all
from oms.certify.versions import PAIRS, Pair
from oms.ledger.database import Engine
from oms.ledger.database import engine as ledger_engine
from oms.ledger.embedded import EmbeddedPostgres
from oms.sim.session import VERSIONS
from tests.system.house import House, in_parallel, until
from tests.system.nursery import Nursery

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

RUNS = chosen(load_all(), ())
FIRST_DAY_SECONDS = 12


class HouseStage:
    """A gateway as a process of its own, and the counterparties in this one."""

    def __init__(self, house: House, nursery: Nursery, first_day_seconds: int | None) -> None:
        """The first trading day ends after some seconds; with None when the gateway is killed."""
        self.house, self._nursery = house, nursery
        day_after = datetime.now(UTC) + timedelta(seconds=first_day_seconds or 0)
        self.first_day = day_after.date() - timedelta(days=1)
        self._set_rollover("23:59:59" if first_day_seconds is None else f"{day_after:%H:%M:%S}")
        self._ask_nothing()
        self.ledger: Engine = ledger_engine(house.url, read_only=True)
        for name in (*house.clients, *house.brokers):
            client = name in house.clients
            house.peers[name] = Line(
                "initiator" if client else "acceptor",
                (house.clients | house.brokers)[name],
                name,
                house.comp_id,
                house.client_port if client else house.broker_ports[name],
                house.directory / "peers" / name,
            )
        in_parallel([house.peers[name].start for name in house.brokers])
        house.fork(nursery)
        in_parallel([house.peers[name].start for name in house.clients])
        house.up(*house.clients, *house.brokers)

    def _ask_nothing(self) -> None:
        for file in (self.house.directory / "fix_specs").glob("*.toml"):
            file.write_text(asks_nothing(file.read_text()))

    def _set_rollover(self, rollover: str) -> None:
        text = self.house.config_file.read_text()
        kept = [line for line in text.splitlines() if not line.startswith("trading_day_rollover")]
        kept.insert(kept.index("[gateway]") + 1, f"trading_day_rollover = {rollover}")
        self.house.config_file.write_text("\n".join(kept) + "\n")

    def day(self) -> date:
        return self.house.config.gateway.trade_date(datetime.now(UTC))

    def market(self, pair: Pair) -> Market:
        return Market(f"TO-{name_of('BROKER', pair.broker)}", "AAPL", self.first_day)

    def line(self, role: str, version: str) -> Line:
        peer = self.house.peers[name_of(role.upper(), version)]
        assert isinstance(peer, Line)
        return peer

    def check(self) -> None:
        assert self.house.process is not None
        assert self.house.process.alive, "the gateway ended by itself"

    def kill(self) -> None:
        house = self.house
        assert house.process is not None
        house.process.kill()
        for peer in house.peers.values():
            peer.wait_logged_out()
        self._set_rollover("00:00:00")
        house.fork(self._nursery)
        for peer in house.peers.values():
            peer.wait_logged_on(30)
        house.until_logged_on(*house.peers)

    def next_day(self) -> None:
        until(lambda: self.day() > self.first_day, "the next trading day", FIRST_DAY_SECONDS + 5)

    def close(self) -> None:
        self.ledger.dispose()
        self.house.close()


OpenStage = Callable[[int | None], HouseStage]


def name_of(role: str, version: str) -> str:
    return role + version.replace(".", "")


@pytest.fixture(scope="module")
def open_stage(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres, nursery: Nursery
) -> Iterator[OpenStage]:
    stages: list[HouseStage] = []

    def opened(first_day_seconds: int | None) -> HouseStage:
        name = f"scenarios_{len(stages)}"
        with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template_oms STRATEGY FILE_COPY".encode())
        house = House(
            tmp_path_factory.mktemp(name),
            postgres_server.url(name),
            clients={name_of("CLIENT", version): version for version in VERSIONS},
            brokers={name_of("BROKER", version): version for version in VERSIONS},
        )
        stages.append(HouseStage(house, nursery, first_day_seconds))
        return stages[-1]

    yield opened
    in_parallel([stage.close for stage in stages])


Outcomes = dict[tuple[str, Pair], Outcome]


def certified(stage: HouseStage, options: Options) -> Outcomes:
    """What came of every run; a message that belongs to none, or a journal that does not hold, fails them all."""
    certification = Certification(stage, RUNS, options)
    outcomes = certification.certify()
    assert certification.problems == []
    return {(outcome.run.name, outcome.pair): outcome for outcome in outcomes}


@pytest.fixture(scope="module")
def undisturbed(open_stage: OpenStage) -> Outcomes:
    return certified(open_stage(FIRST_DAY_SECONDS), Options(PAIRS))


@pytest.fixture(scope="module")
def killed(open_stage: OpenStage) -> Outcomes:
    return certified(open_stage(None), Options(PAIRS, kill=True, seed=20))


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("name", [run.name for run in RUNS])
def test_the_run_ends_as_the_standard_has_it(undisturbed: Outcomes, name: str, pair: Pair) -> None:
    assert undisturbed[name, pair].failure == ""


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("name", [run.name for run in RUNS])
def test_the_run_ends_the_same_when_the_gateway_is_killed_on_the_way(killed: Outcomes, name: str, pair: Pair) -> None:
    assert killed[name, pair].failure == ""

"""The endpoint and what it shows: by itself, of a whole gateway, and as docs/metrics.md describes it."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from oms.committer import Committer
from oms.config.load import Config
from oms.config.people import Exceptions
from oms.core.effects import Item
from oms.errors import OperatorError
from oms.ledger.batch import Batch
from oms.ledger.lease import Lease
from oms.ledger.load import Reader
from oms.ledger.writer import Writer
from oms.ops.metrics import CATALOGUE, HISTOGRAM, Metrics, last_message_at
from oms.outbox import Outbox
from tests.ops.desk import START, Desk
from tests.ops.test_tally import ORDER
from tests.system.house import House, free_ports, until

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
Samples = dict[tuple[str, ...], float]


def scrape(port: int) -> Samples:
    """Every sample of an endpoint."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return _samples(text_string_to_metric_families(answer.read().decode()))


def shown(metrics: Metrics) -> Samples:
    """Every sample of a registry."""
    return _samples(metrics.registry.collect())


def _samples(families: Iterable[Metric]) -> Samples:
    """Values by name and label values, these in the order of the labels' names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(samples: Samples, *names: str) -> Samples:
    """The samples of some metrics."""
    return {key: value for key, value in samples.items() if key[0] in names}


def with_port(config: Config, port: int, host: str = "127.0.0.1") -> Config:
    object.__setattr__(config, "metrics", config.metrics.model_copy(update={"port": port, "host": host}))
    return config


# -- the endpoint -------------------------------------------------------------------------------------------------


def test_the_endpoint_answers_until_it_is_stopped_and_its_port_is_free_then(desk: Desk) -> None:
    (port,) = free_ports(1)
    metrics = Metrics(with_port(desk.config, port), desk.inbox)
    metrics.start()
    assert scrape(port)["oms_info", "test", "oms", "0.1.0"] == 1
    metrics.stop()
    metrics.stop()
    with pytest.raises(URLError):
        scrape(port)
    metrics.start()
    assert scrape(port)["oms_info", "test", "oms", "0.1.0"] == 1
    metrics.stop()


def test_port_0_opens_nothing(desk: Desk) -> None:
    metrics = Metrics(with_port(desk.config, 0), desk.inbox)
    metrics.start()
    metrics.stop()


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "Address already in use"), ("no.such.host.invalid", "Name or service not known")]
)
def test_an_endpoint_that_cannot_listen_names_host_port_and_remedy(desk: Desk, host: str, said: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OperatorError) as caught:
            Metrics(with_port(desk.config, port, host), desk.inbox).start()
    text = str(caught.value)
    assert text.startswith(f"[metrics] cannot listen on {host}, port {port}: ")
    assert text.endswith(
        f"; free the port, or change host and port under [metrics] in {desk.config.path} (port 0: no metrics)"
    )
    assert said in text or host != "127.0.0.1"  # the resolver's words differ from system to system


# -- what is read at a scrape ---------------------------------------------------------------------------------------


@pytest.fixture
def watched(desk: Desk, postgres_url: str) -> Iterator[tuple[Desk, Committer]]:
    """A desk whose instruments also watch a committer that has not been started."""
    reader = Reader(postgres_url)
    committer = Committer(Writer(postgres_url), reader, Outbox({}), print, desk.metrics.committed)
    lease = Lease(postgres_url, "run", "desk", 5)
    desk.metrics.watch(desk.book, committer, {}, lambda: True, lease, [{"kind": "overfill", "number": 2}])
    yield desk, committer
    reader.close()


def test_a_lost_database_shows_at_once_and_the_lag_grows_until_the_commit(watched: tuple[Desk, Committer]) -> None:
    desk, committer = watched
    names = ("oms_database_up", "oms_batches_waiting", "oms_exception_items_open", "oms_trading")
    calm = {("oms_trading",): 1, ("oms_exception_items_open", "overfill"): 2}
    assert of(shown(desk.metrics), *names) == {("oms_database_up",): 1, ("oms_batches_waiting",): 0, **calm}
    assert of(shown(desk.metrics), "oms_database_lag_seconds") == {("oms_database_lag_seconds",): 0}
    committer.outage = "connection refused"
    desk.log_on("CLIENT1")
    batch, messages = desk.work()
    committer.put(batch, messages)
    assert of(shown(desk.metrics), *names) == {("oms_database_up",): 0, ("oms_batches_waiting",): 1, **calm}
    first = shown(desk.metrics)["oms_database_lag_seconds",]
    assert 0 < first < shown(desk.metrics)["oms_database_lag_seconds",]
    desk.metrics.committed(batch, START, 0.1)
    assert shown(desk.metrics)["oms_database_lag_seconds",] == 0


def test_overdue_items_are_those_open_for_longer_than_their_kind_or_severity_may_be(desk: Desk) -> None:
    """Those of before a start, and those opened since; a resolved one is overdue no more."""
    now = datetime.now(UTC)
    config = desk.metrics._config
    desk.metrics._config = replace(config, exceptions=Exceptions(error_minutes=30, kinds={"not_at_work": 5}))
    tally = desk.metrics.tally
    tally.were_open({"overfill": 1})
    opened_at = now - timedelta(minutes=31)
    tally.ages([{"item_id": "X9", "kind": "overfill", "severity": "error", "opened_at": opened_at}])
    kinds = [("overfill", "error", 10), ("not_at_work", "error", 6), ("unacknowledged", "warning", 239)]
    items = [
        Item(f"X{number}", now - timedelta(minutes=minutes), kind, severity, "operations", "", None, number, "text")
        for number, (kind, severity, minutes) in enumerate(kinds)
    ]
    tally.take(Batch(1, items=items), now, 0.001)
    name = "oms_exception_items_overdue"
    late = {(name, "overfill"): 1, (name, "not_at_work"): 1, (name, "unacknowledged"): 0}
    assert of(shown(desk.metrics), name) == late
    over = Item("X9", now, "overfill", "", "", "", None, 7, "", "resolved", "agrees", now, changes=True)
    tally.take(Batch(2, items=[over]), now, 0.001)
    assert of(shown(desk.metrics), name) == late | {(name, "overfill"): 0}


def test_memory_shows_live_orders_finished_ones_and_duplicate_keys(watched: tuple[Desk, Committer]) -> None:
    desk, _ = watched
    desk.log_on("CLIENT1", "BROKER1")
    desk.hear("CLIENT1", ORDER)
    desk.hear("CLIENT1", ORDER.replace("11=A1|", "11=A2|").replace("|38=100|", "|38=30000|"))
    desk.work()
    assert of(shown(desk.metrics), "oms_live_orders", "oms_orders_in_memory", "oms_duplicate_keys") == {
        ("oms_live_orders",): 1,
        ("oms_orders_in_memory",): 2,
        ("oms_duplicate_keys", "ClOrdID(11)"): 2,
        ("oms_duplicate_keys", "ExecID(17)"): 0,
    }


def test_sessions_show_their_state_and_what_waits_for_the_core(watched: tuple[Desk, Committer]) -> None:
    desk, _ = watched
    desk.log_on("CLIENT1", "BROKER1")
    desk.work()
    desk.hear("CLIENT1", ORDER)
    samples = of(shown(desk.metrics), "oms_session_up", "oms_inbox_waiting", "oms_inbox_limit")
    assert samples == {
        ("oms_session_up", "client", "CLIENT1"): 1,
        ("oms_session_up", "client", "CLIENT2"): 0,
        ("oms_session_up", "broker", "BROKER1"): 1,
        ("oms_session_up", "broker", "BROKER2"): 0,
        ("oms_inbox_limit",): 500,
        ("oms_inbox_waiting", "CLIENT1"): 1,
        ("oms_inbox_waiting", "CLIENT2"): 0,
        ("oms_inbox_waiting", "BROKER1"): 0,
        ("oms_inbox_waiting", "BROKER2"): 0,
        ("oms_inbox_waiting", "own"): 0,
        ("oms_inbox_waiting", "unknown"): 0,
    }


def test_a_batch_of_many_orders_is_shown_in_cumulative_buckets(desk: Desk) -> None:
    for size in (1, 3, 3):
        desk.log_on(*["CLIENT1"] * size)
        batch, _ = desk.work()
        desk.metrics.committed(batch, START, 0.001)
    samples = of(shown(desk.metrics), "oms_batch_events_bucket", "oms_batch_events_count", "oms_batch_events_sum")
    expected = {("oms_batch_events_bucket", le): 3.0 for le in ("5.0", "10.0", "20.0", "50.0", "100.0", "200.0")}
    expected |= {("oms_batch_events_bucket", le): 3.0 for le in ("500.0", "1000.0", "5000.0", "+Inf")}
    expected |= {("oms_batch_events_bucket", "1.0"): 1.0, ("oms_batch_events_bucket", "2.0"): 1.0}
    assert samples == expected | {("oms_batch_events_count",): 3.0, ("oms_batch_events_sum",): 7.0}


# -- a whole gateway ----------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path, postgres_url: str) -> Iterator[House]:
    """A gateway of one client and one broker, with an endpoint."""
    (port,) = free_ports(1)
    toml = f"[metrics]\nport = {port}\n"
    made = House(tmp_path, postgres_url, clients={"CLIENT1": "4.4"}, brokers={"BROKER1": "4.2"}, toml=toml)
    yield made
    made.close()


def trade(house: House) -> None:
    """One order is accepted and filled, another one refused by a limit."""
    client, broker = house.up("CLIENT1", "BROKER1")
    order = "35=D|11={}|1=FUND1|55=AAPL|54=1|38={}|40=2|44=150|59=0"
    client.send(order.format("A1", 100))
    asked = broker.expect("D")
    head = f"35=8|37=B1|11={asked.get(11)}|20=0|55=AAPL|54=1|38=100|"
    broker.send(f"{head}17=E1|150=0|39=0|151=100|14=0|6=0")
    broker.send(f"{head}17=E2|150=2|39=2|32=100|31=150|151=0|14=100|6=150")
    client.expect("8", ExecType="0")
    client.expect("8", ExecType="F")
    client.send(order.format("A2", 2000000))
    client.expect("8", ExecType="8")


@pytest.mark.engine
@pytest.mark.postgres
def test_a_gateway_that_traded_shows_what_happened(house: House) -> None:
    house.start()
    trade(house)
    port, sent = house.config.metrics.port, ("oms_sends_total", "sent", "CLIENT1")
    samples = until(lambda: (found := scrape(port)).get(sent) == 3 and found, "three reports sent")
    counters = [entry.name for entry in CATALOGUE if entry.kind == "counter"]
    assert of(samples, *counters) == {
        ("oms_messages_total", "in", "D", "CLIENT1"): 2,
        ("oms_messages_total", "out", "D", "BROKER1"): 1,
        ("oms_messages_total", "in", "8", "BROKER1"): 2,
        ("oms_messages_total", "out", "8", "CLIENT1"): 3,
        ("oms_orders_total", "CLIENT1"): 2,
        ("oms_child_orders_total", "default", "BROKER1"): 1,
        ("oms_fills_total", "trade", "BROKER1"): 1,
        ("oms_rejects_total", "8", "max_order_qty", "CLIENT1", "gateway"): 1,
        ("oms_sends_total", "sent", "BROKER1"): 1,
        ("oms_sends_total", "sent", "CLIENT1"): 3,
    }
    hops = [f"{entry.name}_count" for entry in CATALOGUE if entry.kind == HISTOGRAM and "_to_" in entry.name]
    assert of(samples, *hops) == {
        ("oms_received_to_committed_seconds_count", "CLIENT1"): 2,
        ("oms_received_to_committed_seconds_count", "BROKER1"): 2,
        ("oms_committed_to_sent_seconds_count", "CLIENT1"): 3,
        ("oms_committed_to_sent_seconds_count", "BROKER1"): 1,
        ("oms_client_to_broker_seconds_count", "D", "BROKER1"): 1,
        ("oms_broker_to_client_seconds_count", "8", "CLIENT1"): 2,
    }
    assert 0 < samples["oms_client_to_broker_seconds_sum", "D", "BROKER1"] < 5
    at = last_message_at(house.config.sessions["BROKER1"])
    assert samples["oms_session_last_message_timestamp_seconds", "BROKER1"] == at


# -- the page -----------------------------------------------------------------------------------------------------


def described() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Kind and labels of every metric that the page describes."""
    found = {}
    for row in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in row.strip("|").split(" |")]
        if len(cells) != 6 or not cells[0].startswith("`"):
            continue
        name, kind, labels, unit, meaning, alarm = cells
        assert all((unit, meaning, alarm)), f"{name}: unit, meaning and alarm must be there"
        assert name not in found, f"{name} is described twice"
        found[name.strip("`")] = (kind, tuple(re.findall(r"`(\w+)`", labels)))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the process metrics are of Linux")
def test_the_page_describes_every_metric_with_its_kind_and_labels(desk: Desk) -> None:
    ours = {entry.name: (entry.kind, entry.labels) for entry in CATALOGUE}
    families = {family.name: family for family in desk.metrics.registry.collect()}
    process = {
        name + ("_total" if family.type == "counter" else ""): (family.type, ())
        for name, family in families.items()
        if name.startswith("process_")
    }
    assert described() == ours | process
    assert {entry.name.removesuffix("_total") for entry in CATALOGUE} == set(families) - {
        name.removesuffix("_total") for name in process
    }


def test_every_metric_of_the_first_alarms_exists() -> None:
    names = {entry.name + ("_bucket" if entry.kind == HISTOGRAM else "") for entry in CATALOGUE}
    used = set(re.findall(r"\boms_\w+", PAGE.read_text().partition("## The gateway")[0]))
    assert used - names == set()
    assert len(used) >= 7


def test_ids_of_orders_are_no_labels() -> None:
    assert not [entry for entry in CATALOGUE if {"order_id", "cl_ord_id", "symbol", "account"} & set(entry.labels)]

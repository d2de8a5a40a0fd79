"""Reads the three views: the clients' records, the brokers' records, the ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from oms.demo.comparison import Views
from oms.demo.place import Place
from oms.demo.plan import BROKERS, CLIENTS
from oms.ledger.database import Engine
from oms.ledger.snapshot import read_snapshot
from oms.sim.record import broker_view, client_view, read_lines

RECORD = "record.jsonl"


def read_views(place: Place, engine: Engine) -> Views:
    """All three, one after the other: of one moment only where all is quiet."""
    return Views(
        clients={client.name: client_view(place.record(client.name) / RECORD) for client in CLIENTS},
        brokers={broker.name: broker_view(place.record(broker.name) / RECORD) for broker in BROKERS},
        ledger=read_snapshot(engine),
        arrivals={broker.name: new_orders(place.record(broker.name) / RECORD) for broker in BROKERS},
    )


def new_orders(record: Path) -> dict[str, int]:
    """How often each ClOrdID(11) came to a broker in a NewOrderSingle(D), possible duplicates left out."""
    arrived = Counter(
        line["cl_ord_id"]
        for line in read_lines(record)
        if line["kind"] == "request" and line["msg_type"] == "D" and not line.get("poss_dup")
    )
    return dict(arrived)

"""Finished orders of a replay: out of memory, on disk as they were, and back when late news names them.

A replay of any length then needs the memory of a running gateway. Ids that memory no longer has are looked up in the
ledger, but only among what it had before the journal row in hand: replay must not see the future. The ledger tells
only which order an id names; the order itself comes back as the replay left it.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable
from datetime import date
from typing import Any

import psycopg

from oms.core.core import Wanted
from oms.core.order import Order

_PLACE = 8  # bytes of an entry of the index: where the order begins in the data, plus one


def number_of(made_id: str) -> int | None:
    """The journal number that an id of ours is made of, None for other ids."""
    try:
        return int(made_id[1:10], 36) if len(made_id) >= 10 else None
    except ValueError:
        return None


class Spool:
    """Orders on disk under their journal number; the newest version of each counts. Files go when it does."""

    def __init__(self) -> None:
        self._data = tempfile.TemporaryFile(prefix="oms-replay-")  # noqa: SIM115
        self._index = tempfile.TemporaryFile(prefix="oms-replay-")  # noqa: SIM115
        self._end = 0

    def put(self, order: Order) -> None:
        """Keep an order as it is now."""
        text = pickle.dumps(order, pickle.HIGHEST_PROTOCOL)
        self._data.seek(self._end)
        self._data.write(len(text).to_bytes(_PLACE, "little") + text)
        self._index.seek(order.new_seq * _PLACE)
        self._index.write((self._end + 1).to_bytes(_PLACE, "little"))
        self._end += _PLACE + len(text)

    def get(self, number: int) -> Order | None:
        """The order that a journal row made, None where none was put."""
        self._index.seek(number * _PLACE)
        place = int.from_bytes(self._index.read(_PLACE), "little")
        if not place:
            return None
        self._data.seek(place - 1)
        size = int.from_bytes(self._data.read(_PLACE), "little")
        found = pickle.loads(self._data.read(size))
        assert isinstance(found, Order)
        return found

    def close(self) -> None:
        """Remove it."""
        self._data.close()
        self._index.close()


class Evicted:
    """What a replay's memory no longer has. `now` is the journal row in hand."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.spool = Spool()
        self.now = 0

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode(), values).fetchall()

    def find(self, wanted: Wanted) -> list[Order]:
        """The orders that an id of ours names, as the replay had them."""
        found = (number_of(order_id) for order_id in self._named(wanted))
        orders = (self.spool.get(number) for number in found if number is not None)
        return [order for order in orders if order is not None]

    def _named(self, wanted: Wanted) -> Iterable[str]:
        ids = list(wanted.ids)
        if wanted.kind == "order":
            return ids
        if wanted.kind == "client":
            found = self._rows(
                "SELECT order_id, new_seq AS used FROM client_orders WHERE client = %s"
                " AND original_cl_ord_id = ANY(%s) AND new_seq < %s UNION ALL"
                " SELECT order_id, seq FROM requests WHERE client = %s AND cl_ord_id = ANY(%s) AND seq < %s"
                " AND orig_cl_ord_id <> ''"  # as oms.ledger.load has it
                " ORDER BY used DESC LIMIT 1",
                *(wanted.session, ids, self.now) * 2,
            )
            return [row[0] for row in found]
        found = self._rows(
            "SELECT order_id FROM child_orders WHERE broker = %s AND child_id = ANY(%s) AND sent_seq < %s UNION"
            " SELECT order_id FROM requests WHERE broker_cl_ord_id = ANY(%s) AND seq < %s",
            wanted.session,
            ids,
            self.now,
            ids,
            self.now,
        )
        return [row[0] for row in found]

    # -- ids that were used (oms.core.book.UsedIds) --------------------------------------------------------

    def client_key_used(self, client: str, day: date, cl_ord_id: str) -> bool:
        """Whether a client had used this ClOrdID(11) on this trading day."""
        return bool(
            self._rows(
                "SELECT 1 FROM client_orders WHERE client = %s AND trade_date = %s AND original_cl_ord_id = %s"
                " AND new_seq < %s UNION ALL SELECT 1 FROM requests"
                " WHERE client = %s AND trade_date = %s AND cl_ord_id = %s AND seq < %s LIMIT 1",
                *(client, day, cl_ord_id, self.now) * 2,
            )
        )

    def fill_key_used(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether a fill with this ExecID(17) and trade date was booked."""
        query = "SELECT 1 FROM fills WHERE broker = %s AND trade_date = %s AND exec_id = %s AND seq < %s"
        return bool(self._rows(query, broker, day, exec_id, self.now))

    def copy_told(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether the drop copy had told this execution."""
        query = "SELECT 1 FROM witnesses WHERE broker = %s AND trade_date = %s AND exec_id = %s AND seq < %s"
        return bool(self._rows(query + " AND witness = 'drop copy'", broker, day, exec_id, self.now))

"""Reference prices as the ledger has them: the row in use of each symbol, and what is held or cannot be used.

A start reads these few rows, not the history: what is held and which source fails is told by exception items that are
open, whose evidence in the journal stays as long as they are.
"""

from __future__ import annotations

from sqlalchemy import Engine

from oms.core.effects import Price
from oms.core.prices import HELD, SOURCE, PriceBook
from oms.ledger.load import Reader

_OPEN = (
    "SELECT i.item_id, i.kind, j.detail FROM exception_items i JOIN journal j USING (seq)"
    " WHERE i.state = 'open' AND i.kind = ANY(%s) ORDER BY i.seq"
)


def prices_of(engine: Engine, book: PriceBook) -> None:
    """The prices in use, for a question that somebody asks beside the gateway."""
    reader = Reader(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        restore(reader, book)
    finally:
        reader.close()


def restore(reader: Reader, book: PriceBook) -> None:
    """At a start: the prices in use, what is held, and the sources that failed."""
    rows = reader.rows("SELECT symbol, price, at, source, seq FROM reference_prices ORDER BY symbol")
    book.restore([Price(**row) for row in rows])
    for row in reader.rows(_OPEN, [HELD, SOURCE]):
        detail = row["detail"] or {}
        if row["kind"] == SOURCE:
            book.unusable[str(detail["matter"][0])] = row["item_id"]
            continue
        for symbol, *_ in detail.get("prices", {}).get("held", ()):
            book.held[symbol] = row["item_id"]

"""A batch as text: what travels to the database, made by the core thread before the committer takes the batch.

The committer's thread waits for its turn at the interpreter each time it has something to do, so all that can be
done before the commit is done here: of a commit there remain one hash and one call.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from oms.core.effects import Item
from oms.ledger import rows
from oms.ledger.batch import Batch
from oms.ledger.chain import FIELD, LINE, NULL, canonical

# One parameter of the commit per table, in this order.
TABLES = (
    "journal", "sends", "fills", "witnesses", "new_orders", "changed_orders", "new_children", "changed_children",
    "requests", "positions", "opened", "changed", "prices",
)  # fmt: skip
ITEM_CHANGES = ("item_id", "state", "owner", "resolution", "resolved_at")

_SEPARATORS = str.maketrans({FIELD: "?", LINE: "?", NULL: "?"})


def _lines(values: list[rows.Row]) -> str:
    """Rows of texts as one text.

    Texts hardly ever have the separators (the decoder writes control characters out), so they are looked for
    once in the whole, not in every value.
    """
    joined = LINE.join([FIELD.join([NULL if one is None else one for one in row]) for row in values])
    if values and joined.count(FIELD) + joined.count(LINE) != sum(map(len, values)) - 1:
        safe = [tuple([one and one.translate(_SEPARATORS) for one in row]) for row in values]
        joined = LINE.join([FIELD.join([NULL if one is None else one for one in row]) for row in safe])
    return joined


def _texts(values: Iterable[object]) -> rows.Row:
    return tuple([rows.text(value) for value in values])


def _items(items: list[Item]) -> tuple[dict[str, Item], dict[str, Item]]:
    """Items to insert and items to change: once each, because one statement changes no row twice."""
    opened = {item.item_id: item for item in items if not item.changes}
    changed: dict[str, Item] = {}
    for item in items:
        if not item.changes:
            continue
        rows_of = opened if item.item_id in opened else changed
        known = rows_of.get(item.item_id, item)
        rows_of[item.item_id] = replace(
            known,
            state=item.state or known.state,
            owner=item.owner or known.owner,
            resolution=item.resolution or known.resolution,
            resolved_at=item.resolved_at or known.resolved_at,
        )
    return opened, changed


def batch_texts(batch: Batch) -> tuple[bytes, ...]:
    """The rows of a batch as the commit's parameters, in the order of TABLES; the journal's are hashed as well."""
    opened, changed = _items(batch.items)
    texts = {
        "journal": LINE.join([canonical(row) for row in batch.journal]),
        "sends": _lines([rows.send_row(send) for send in batch.sends]),
        "fills": _lines([rows.fill_row(fill, sent) for fill, sent in batch.fills]),
        "witnesses": _lines([rows.witness_row(witness) for witness in batch.witnesses]),
        "new_orders": _lines(batch.new_orders),
        "changed_orders": _lines(batch.changed_orders),
        "new_children": _lines(batch.new_children),
        "changed_children": _lines(batch.changed_children),
        "requests": _lines(batch.requests),
        "positions": _lines([_texts(position) for position in batch.positions]),
        "opened": _lines([_texts(getattr(item, name) for name in Item.FIELDS) for item in opened.values()]),
        "changed": _lines([_texts(getattr(item, name) for name in ITEM_CHANGES) for item in changed.values()]),
        "prices": _lines([_texts(price) for price in batch.prices]),
    }
    return tuple([texts[name].encode("utf-8", "backslashreplace") for name in TABLES])

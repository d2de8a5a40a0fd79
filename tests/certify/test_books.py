"""What the audit finds between a player's books and the ledger's rows: each kind of difference, told whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from oms.certify.books import Books, audit
from oms.certify.player import Player
from oms.ledger.records import ClientOrder, ExceptionItem, Fill
from tests.certify.conftest import FakeGateway

ROWS = """\
| 1 | client | NewOrderSingle | X | | | | 100 | | | | |
| 2 | broker | ExecutionReport | X | | New | New | 100 | 0 | 100 | 0 | |
| 3 | broker | ExecutionReport | X | | Trade | PartiallyFilled | 100 | 40 | 60 | 40 | LastPx(31)=10 |
| 4 | broker | ExecutionReport | X | | TradeCorrect | PartiallyFilled | 100 | 30 | 70 | 30 | ExecRefID(19)=step3 |
"""
LABEL = "A.1.a:4.4/4.4"


def record(of: Any, /, **values: object) -> Any:
    """A record with these values and nothing in its other fields."""
    return of(**dict.fromkeys(field.name for field in dataclasses.fields(of)) | values)


def order(**change: object) -> ClientOrder:
    values = {
        "order_id": "O1", "cl_ord_id": f"{LABEL}:X", "ord_status": "1", "order_qty": Decimal(100),
        "cum_qty": Decimal(30), "leaves_qty": Decimal(70), "avg_px": Decimal(10),
    }  # fmt: skip
    made: ClientOrder = record(ClientOrder, **values | change)
    return made


def fill(kind: str, step: str, qty: int, ref: str = "") -> Fill:
    ids = {"exec_id": f"{LABEL}:{step}", "exec_ref_id": f"{LABEL}:{ref}" if ref else ""}
    made: Fill = record(Fill, kind=kind, last_qty=Decimal(qty), last_px=Decimal("10.00"), **ids)
    return made


def item(kind: str) -> ExceptionItem:
    made: ExceptionItem = record(ExceptionItem, kind=kind)
    return made


def books(*orders: ClientOrder, **more: Any) -> Books:
    fills = [fill("trade", "step3", 40), fill("correct", "step4", 30, "step3")]
    by_id = {f"{LABEL}:X": list(orders), f"{LABEL}:fence": [order()]} | more.pop("besides", {})
    return Books({LABEL: by_id}, {"O1": more.pop("fills", fills)}, {"O1": more.pop("items", [])})


@pytest.fixture
def player(player_of: Callable[..., Player]) -> Player:
    made = player_of(ROWS, FakeGateway())
    made.play()
    assert made.failure == ""
    return made


def test_a_ledger_that_has_the_same_passes(player: Player) -> None:
    assert audit(books(order()), player) == ""


HEADLINE = "A.1.a, 4.4/4.4, at the end: the ledger has something else"


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (books(), f"expected one order of ClOrdID(11) {LABEL}:X, the ledger has 0"),
        (books(order(), order()), f"expected one order of ClOrdID(11) {LABEL}:X, the ledger has 2"),
        (
            books(order(), besides={f"{LABEL}:Y": [order()]}),
            f"an order of ClOrdID(11) {LABEL}:Y that must not be there",
        ),
        (books(order(ord_status="2")), "OrdStatus(39)    expected 1, the ledger has 2"),
        (books(order(leaves_qty=Decimal(60))), "LeavesQty(151)   expected 70, the ledger has 60"),
        (
            books(order(), fills=[fill("trade", "step3", 40)]),
            f"fill 2: expected correct {LABEL}:step4 of {LABEL}:step3: 30 at 10, the ledger has none",
        ),
        (
            books(order(), items=[item("overfill")]),
            "open exception items: expected none, the ledger has ['overfill']",
        ),
    ],
)
def test_whatever_differs_is_told(player: Player, kept: Books, told: str) -> None:
    assert audit(kept, player) == f"{HEADLINE}\n  {told}"

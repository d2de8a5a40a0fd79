"""Which limit counts for an order, from the configuration file to the core: the most specific one, whoever asks."""

from __future__ import annotations

import itertools
from decimal import Decimal as D
from pathlib import Path

import pytest

from oms.config.load import load
from oms.config.templates import write_demo
from oms.core.risk import RiskBook
from oms.terms import core_terms_of

OVERRIDES = [  # in an order that specificity has to mend
    {"client": "C*", "max_order_qty": 1},
    {"symbol": "A*", "client": "CLIENT1", "max_order_qty": 2},
    {"symbol": "AAPL", "max_order_qty": 3},
    {"symbol": "AAPL", "account": "FUND1", "max_order_qty": 4},
    {"symbol": "M*", "max_order_qty": 5},
    {"symbol": "M*", "client": "*1", "max_order_qty": 6},
]  # and those of the demo: 2000 for CLIENT2, 20000 for CLIENT1 with FUND1 in AAPL


@pytest.fixture
def risk_book(tmp_path: Path) -> RiskBook:
    main = write_demo(tmp_path, client_port=5201, broker_ports=(5301, 5302), trading="on")
    lines = ["", "[[limits.override]]"]
    for rule in OVERRIDES:
        lines += [f'{name} = "{value}"' for name, value in rule.items()]
        lines += ['max_order_notional = "1000000"', "", "[[limits.override]]"]
    main.write_text(main.read_text() + "\n".join(lines[:-1]))
    return RiskBook(core_terms_of(load(main)))


@pytest.mark.parametrize(
    ("client", "account", "symbol", "expected"),
    [
        ("CLIENT1", "FUND1", "AAPL", 20000),
        ("CLIENT2", "FUND1", "AAPL", 4),
        ("CLIENT2", "FUND2", "AAPL", 2000),
        ("CLIENT1", "FUND2", "AAPL", 2),
        ("CLIENT1", "FUND1", "MSFT", 6),
        ("CLIENT2", "FUND1", "MSFT", 2000),
        ("CLIENT1", "FUND2", "NVDA", 1),
    ],
)
def test_the_most_specific_limit_of_the_file_counts(
    risk_book: RiskBook, client: str, account: str, symbol: str, expected: int
) -> None:
    limit = risk_book.limit_for(client, account, symbol)
    assert limit is not None
    assert limit.max_order_qty == D(expected)


def test_core_and_configuration_agree_for_every_order(risk_book: RiskBook, tmp_path: Path) -> None:
    config = load(tmp_path / "oms.toml")
    names = (("CLIENT1", "CLIENT2", "OTHER"), tuple(config.accounts), tuple(config.instruments))
    for asked in itertools.product(*names):
        mine, theirs = risk_book.limit_for(*asked), config.limit_for(*asked)
        assert mine is not None
        assert theirs is not None
        assert (mine.max_order_qty, mine.max_order_notional) == (theirs.max_order_qty, theirs.max_order_notional)

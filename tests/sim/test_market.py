"""The simulated market keeps to the order: type, price, time in force and quantity; and it is the seed's alone."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.errors import OperatorError
from oms.sim.matching import Instrument, Market, read_instruments
from oms.sim.script import MarketModel
from oms.sim.wire import Message, plain
from tests.sim.talk import Talk, cancel, order

PRICE = Decimal("101.83")  # of IBM, made up from its name
LIVELY = MarketModel(walk_ticks=100, fill_probability=0.5, touch_probability=0.5)
ORDERS = st.tuples(
    st.sampled_from("12"),  # Side(54)
    st.sampled_from("1234"),  # OrdType(40)
    st.sampled_from("0134"),  # TimeInForce(59)
    st.integers(1, 500),
    st.decimals("98", "106", places=2),
    st.decimals("98", "106", places=2),
)


def run(shape: tuple[str, str, str, int, Decimal, Decimal], ticks: int, seed: int = 1) -> list[Message]:
    """Everything that is said of one order while the market walks."""
    side, ord_type, tif, qty, price, stop = shape
    talk = Talk(model=LIVELY)
    talk.desk.market.random.seed(seed)
    talk.say(
        order(
            t54=side,
            t40=ord_type,
            t59=tif,
            t38=str(qty),
            t44=str(price) if ord_type in "24" else "",
            t99=str(stop) if ord_type in "34" else "",
        )
    )
    for _ in range(ticks):
        talk.wait(100, walk=True)
    return talk.out


@settings(deadline=None, max_examples=150)
@given(ORDERS, st.integers(0, 1000))
def test_no_order_gets_more_or_worse_than_it_asked_for(
    shape: tuple[str, str, str, int, Decimal, Decimal], seed: int
) -> None:
    side, ord_type, tif, qty, price, _ = shape
    said = run(shape, 40, seed)
    fills = [message for message in said if message[150] == "F"]
    assert sum(Decimal(fill[32]) for fill in fills) <= qty
    for message in said:
        if message[39] in "012":
            assert Decimal(message[14]) + Decimal(message[151]) == qty
    for fill in fills:
        if ord_type in "24":
            assert Decimal(fill[31]) <= price if side == "1" else Decimal(fill[31]) >= price
    if tif == "4":
        assert said[-1][14] in ("0", str(qty))
    if tif in "34" and fills:
        assert said[-1][151] == "0"


def test_a_market_order_fills_at_once_at_the_price() -> None:
    assert Talk().say(order(t40="1", t44="")) == ["0 0 X 100=0+100", f"F 2 X 100=100+0 @100*{PRICE}"]


@pytest.mark.parametrize(("side", "price"), [("1", "150"), ("2", "50")])
def test_a_marketable_limit_order_fills_at_the_better_price_of_the_market(side: str, price: str) -> None:
    assert Talk().say(order(t54=side, t44=price))[1] == f"F 2 X 100=100+0 @100*{PRICE}"


def test_a_limit_order_away_from_the_price_rests_until_it_is_cancelled() -> None:
    talk = Talk()
    assert talk.say(order(t44="90")) == ["0 0 X 100=0+100"]
    assert talk.wait(100, walk=True) == []
    assert talk.say(cancel("Y", "X")) == ["4 4 Y<X 100=0+0"]


def test_a_stop_order_rests_until_the_price_reaches_it_and_then_fills_at_the_market() -> None:
    talk = Talk(model=MarketModel(part_probability=0, walk_ticks=50))
    assert talk.say(order(t40="3", t44="", t99="102.20")) == ["0 0 X 100=0+100"]
    prices, said = [PRICE], []
    while not said and len(prices) < 1000:
        said = talk.wait(100, walk=True)
        prices.append(talk.desk.market.price("IBM"))
    assert max(prices[:-1]) < Decimal("102.20") <= prices[-1]
    assert said == [f"F 2 X 100=100+0 @100*{plain(prices[-1])}"]


def test_an_immediate_or_cancel_order_takes_what_is_there_and_the_rest_is_cancelled() -> None:
    said = Talk(model=MarketModel(part_probability=1)).say(order(t59="3", t44="150"))
    assert [line[:4] for line in said] == ["0 0 ", "F 1 ", "4 4 "]


def test_a_replace_that_makes_the_order_marketable_trades_at_once() -> None:
    talk = Talk(model=MarketModel(part_probability=0, pending_probability=0))
    talk.say(order(t44="90"))
    assert talk.say("35=G|11=Y|41=X|55=IBM|54=1|38=100|40=2|44=150") == [
        "5 0 Y<X 100=0+100",
        f"F 2 Y 100=100+0 @100*{PRICE}",
    ]


def test_a_pending_request_is_answered_when_its_time_has_come() -> None:
    talk = Talk(model=MarketModel(pending_probability=1, answer_ms=50))
    talk.say(order(t44="90"))
    assert talk.say(cancel("Y", "X")) == ["6 6 Y<X 100=0+100"]
    assert talk.wait(50) == ["4 4 Y<X 100=0+0"]


@pytest.mark.parametrize(
    ("changes", "reason", "text"),
    [
        ({"t38": "0"}, "13", "OrderQty(38) is not above zero"),
        ({"t38": "NaN"}, "13", "OrderQty(38) is not above zero"),
        ({"t40": "P"}, "11", "OrdType(40) P is not traded here"),
        ({"t44": ""}, "99", "Price(44) is missing"),
        ({"t40": "3"}, "99", "StopPx(99) is missing"),
    ],
)
def test_an_order_that_cannot_be_traded_is_rejected(changes: dict[str, str], reason: str, text: str) -> None:
    talk = Talk()
    assert [line[:4] for line in talk.say(order(**changes))] == ["8 8 "]
    assert (talk.out[-1][103], talk.out[-1][58]) == (reason, text)


def test_with_a_list_of_instruments_other_symbols_are_rejected() -> None:
    talk = Talk()
    talk.desk.market = Market(1, MarketModel(), {"SAP": Instrument("SAP", Decimal(180))})
    assert [line[:4] for line in talk.say(order())] == ["8 8 "]
    assert talk.out[-1][103] == "1"


def test_the_same_seed_gives_the_same_market() -> None:
    shape = ("1", "2", "0", 300, Decimal("101.50"), Decimal(0))
    assert run(shape, 60, seed=7) == run(shape, 60, seed=7)
    assert run(shape, 60, seed=7) != run(shape, 60, seed=8)


def test_prices_stay_on_the_tick_grid_and_near_the_reference() -> None:
    market = Market(3, MarketModel(walk_ticks=5), {"BAS": Instrument("BAS", Decimal("46.25"), Decimal("0.005"))})
    prices = []
    for _ in range(20_000):
        market.walk("BAS")
        prices.append(market.price("BAS"))
    assert {price % Decimal("0.005") for price in prices} == {Decimal(0)}
    assert Decimal("45.75") < min(prices) < Decimal("46.25") < max(prices) < Decimal("46.75")


def test_instruments_come_from_the_gateways_own_file() -> None:
    path = Path(__file__).parents[2] / "oms" / "config" / "demo" / "instruments.csv"
    assert read_instruments(path)["BAS"] == Instrument("BAS", Decimal("46.250"), Decimal("0.005"), Decimal(1))


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.write_text("price\n1\n"), "no column symbol"),
        (lambda path: path.write_text("symbol,reference_price\nA,\n"), "no instrument with a reference_price"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    ],
)
def test_a_bad_instruments_file_is_told_so(tmp_path: Path, write: Callable[[Path], object], problem: str) -> None:
    write(tmp_path / "instruments.csv")
    with pytest.raises(OperatorError, match=problem):
        read_instruments(tmp_path / "instruments.csv")

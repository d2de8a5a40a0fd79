"""The markets file: what it says, and that anything wrong in it stops the start with place and remedy."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.config.conftest import Desk

NAMED = 'accounts = "accounts.csv"\nmarkets = "markets.toml"'
GOOD = """[[markets]]
name = "XNYS"
time_zone = "America/New_York"
sessions = ["09:30-16:00"]
holidays = [2026-11-26]
half_days = [{ day = 2026-11-27, sessions = "09:30-13:00" }]
any_time = ["gtc", "opg"]
"""
SYMBOLS = "symbol,security_exchange,currency,tick_size,lot_size,market\nAAPL,XNAS,USD,0.01,1,{}\n"


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.change("oms.toml", 'accounts = "accounts.csv"', NAMED).write("instruments.csv", SYMBOLS.format("XNYS"))
    return desk.write("markets.toml", GOOD)


def problems(desk: Desk) -> list[str]:
    """Those of the markets; other files may name symbols that are gone."""
    return [one for one in desk.problems() if "market" in one]


def test_a_market_is_read_as_it_stands(desk: Desk) -> None:
    market = desk.load().markets["XNYS"].core()
    found = [market.is_open(datetime(2026, 11, day, 19, tzinfo=UTC)) for day in (25, 26, 27, 28, 30)]
    assert found == [True, False, False, False, True]
    assert market.any_time == frozenset("12")


def test_the_example_that_init_writes_is_right(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    example = Desk(tmp_path_factory.mktemp("plain"))
    example.change("oms.toml", 'accounts = "accounts.csv"', NAMED)
    assert list(example.load().markets) == ["XNAS", "XETR"]
    assert example.warnings() == [
        f"markets.toml: market {name}: no instrument names it; name it, or leave it" for name in ("XNAS", "XETR")
    ]


WRONG = [
    ('"America/New_York"', '"Mars/Olympus"', 'no time zone "Mars/Olympus"; write a name such as America/New_York'),
    ('"America/New_York"', '"../../etc/passwd"', 'no time zone "../../etc/passwd"; write a name'),
    ('["09:30-16:00"]', '["9-16"]', '"9-16" is no session; write "HH:MM-HH:MM" in the market\'s own time'),
    ('["09:30-16:00"]', '["29:30-16:00"]', "sessions"),
    ('["09:30-16:00"]', '["13:00-16:00", "09:30-12:00"]', "sessions are not in the order of the day"),
    ('["09:30-16:00"]', "[]", "no session, so that every order would be refused; give at least one"),
    ("[2026-11-26]", "[2026-11-26, 2026-11-26]", "a day is there twice; write each once"),
    ("[2026-11-26]", "[2026-11-27]", "2026-11-27 is there twice among holidays and half_days; keep one of the two"),
    ("[2026-11-26]", '["soon"]', "holidays"),
    ('["gtc", "opg"]', '["whenever"]', '"whenever" is no TimeInForce(59)'),
    ("any_time", "anytime", "did you mean any_time"),
]


@pytest.mark.parametrize(("old", "new", "told"), WRONG, ids=range(len(WRONG)))
def test_anything_wrong_stops_the_start_with_place_and_remedy(desk: Desk, old: str, new: str, told: str) -> None:
    (problem,) = problems(desk.change("markets.toml", old, new))
    assert problem.startswith("markets.toml: ")
    assert told in problem


def test_a_market_that_is_not_there_stops_the_start(desk: Desk) -> None:
    desk.write("instruments.csv", SYMBOLS.format("XNYX"))
    assert problems(desk) == ['instruments.csv: symbol AAPL market: no market "XNYX"; did you mean XNYS?']
    desk.change("oms.toml", NAMED, 'accounts = "accounts.csv"')
    remedy = 'name a markets file: markets = "markets.toml" in [files], or leave the column empty'
    assert problems(desk) == [f'instruments.csv: symbol AAPL market: no market "XNYX"; {remedy}']


def test_two_markets_of_one_name_stop_the_start(desk: Desk) -> None:
    assert problems(desk.append("markets.toml", GOOD)) == [
        'markets.toml: [[markets]] #2 name: "XNYS" is there twice; give each market its own name'
    ]

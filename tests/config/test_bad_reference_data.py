"""What instruments.csv and accounts.csv may not say.

Every case spoils the demo configuration in one place and compares the whole list of messages (I12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.config.conftest import Desk

INSTRUMENTS = "instruments.csv"
ACCOUNTS = "accounts.csv"

CASES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "an empty file": (
        ("write", INSTRUMENTS, "# nothing\n"),
        [
            (
                "instruments.csv: empty; begin with the header line "
                "symbol,security_exchange,currency,tick_size,lot_size,reference_price,min_price,max_price,t"
                "radable,asset_class,average_volume,market,reference_at"
            ),
        ],
    ),
    "a header alone": (
        ("write", ACCOUNTS, "account,clients\n"),
        [
            "accounts.csv: no line below the header; add at least one account",
        ],
    ),
    "a misspelt column": (
        ("change", INSTRUMENTS, "currency,tick_size,", "currency,ticksize,"),
        [
            'instruments.csv: line 4 (header): unknown column "ticksize"; did you mean tick_size?',
            (
                "instruments.csv: line 4 (header): no column tick_size; add it; known here: symbol, "
                "security_exchange, currency, tick_size, lot_size, reference_price, min_price, max_price, "
                "tradable, asset_class, average_volume, market, reference_at"
            ),
        ],
    ),
    "a column twice": (
        ("change", INSTRUMENTS, "lot_size,", "tick_size,"),
        [
            "instruments.csv: line 4 (header): column tick_size is there twice; remove one of them",
            (
                "instruments.csv: line 4 (header): no column lot_size; add it; known here: symbol, "
                "security_exchange, currency, tick_size, lot_size, reference_price, min_price, max_price, "
                "tradable, asset_class, average_volume, market, reference_at"
            ),
        ],
    ),
    "a value too few": (
        ("change", INSTRUMENTS, "AAPL,XNAS,USD,0.01", "AAPL,XNAS,0.01"),
        [
            (
                "instruments.csv: line 5: 8 values for 9 columns; write one value per column; leave "
                "optional ones empty, and quote values that contain a comma"
            ),
        ],
    ),
    "a symbol twice": (
        ("change", INSTRUMENTS, "AMZN,", "AAPL,"),
        [
            'instruments.csv: line 6 symbol: "AAPL" is on line 5 too; keep one',
        ],
    ),
    "a currency of two letters": (
        ("change", INSTRUMENTS, "AAPL,XNAS,USD", "AAPL,XNAS,US"),
        [
            'instruments.csv: line 5 currency: "US" is not three capital letters; write for example USD',
        ],
    ),
    "a tick of zero": (
        ("change", INSTRUMENTS, "AAPL,XNAS,USD,0.01", "AAPL,XNAS,USD,0"),
        [
            (
                "instruments.csv: line 5 tick_size: 0 is not a number above zero with at most 12 decimals; "
                "write for example 0.01"
            ),
        ],
    ),
    "a negative tick": (
        ("change", INSTRUMENTS, "AAPL,XNAS,USD,0.01", "AAPL,XNAS,USD,-0.01"),
        [
            (
                'instruments.csv: line 5 tick_size: "-0.01" is not a number above zero with at most 12 '
                "decimals; write for example 0.01"
            ),
        ],
    ),
    "a lot that is a word": (
        ("change", INSTRUMENTS, "AAPL,XNAS,USD,0.01,1,", "AAPL,XNAS,USD,0.01,one,"),
        [
            (
                'instruments.csv: line 5 lot_size: "one" is not a number above zero with at most 12 '
                "decimals; write for example 1"
            ),
        ],
    ),
    "a price with an exponent": (
        ("change", INSTRUMENTS, "190.50", "1e5"),
        [
            (
                'instruments.csv: line 5 reference_price: "1e5" is not a number above zero with at most 12 '
                "decimals; write for example 190.50"
            ),
        ],
    ),
    "no currency": (
        ("change", INSTRUMENTS, "AAPL,XNAS,USD,0.01,1,", "AAPL,XNAS,,0.01,1,"),
        [
            "instruments.csv: line 5 currency: missing; write for example USD",
        ],
    ),
    "a price band upside down": (
        ("change", INSTRUMENTS, "190.50,95.25,285.75", "190.50,285.75,95.25"),
        [
            "instruments.csv: line 5: min_price 285.75 is above max_price 95.25; exchange or correct them",
        ],
    ),
    "a reference price outside its band": (
        ("change", INSTRUMENTS, "190.50,95.25,285.75", "19.05,95.25,285.75"),
        [
            (
                "instruments.csv: line 5: reference_price 19.05 is outside min_price and max_price; "
                "correct the price or the band around it"
            ),
        ],
    ),
    "tradable that is neither Y nor N": (
        ("change", INSTRUMENTS, "285.75,Y", "285.75,yes"),
        [
            'instruments.csv: line 5 tradable: "yes" is not Y or N; write for example Y',
        ],
    ),
    "a symbol that is a pattern": (
        ("change", INSTRUMENTS, "AAPL", "AA*L"),
        [
            (
                'instruments.csv: line 5 symbol: "AA*L" is not 1 to 64 printable characters without * ? [ '
                "]; write for example AAPL"
            ),
        ],
    ),
    "an open quote": (
        ("change", INSTRUMENTS, "AAPL", '"AAPL'),
        [
            "instruments.csv: line 16: not CSV: unexpected end of data; mend the quotes on that line",
        ],
    ),
    "an account of an unknown client": (
        ("change", ACCOUNTS, "FUND1,CLIENT1,", "FUND1,CLIENT7,"),
        [
            'accounts.csv: account FUND1 clients: no client session "CLIENT7"; did you mean CLIENT2?',
        ],
    ),
    "an account of a broker": (
        ("change", ACCOUNTS, "FUND1,CLIENT1,", "FUND1,BROKER1,"),
        [
            (
                'accounts.csv: account FUND1 clients: no client session "BROKER1"; correct it; known here: '
                "CLIENT1, CLIENT2"
            ),
        ],
    ),
    "an account without clients": (
        ("change", ACCOUNTS, "FUND1,CLIENT1,", "FUND1,,"),
        [
            "accounts.csv: line 4 clients: missing; write for example CLIENT1;CLIENT2",
        ],
    ),
    "an account twice": (
        ("change", ACCOUNTS, "FUND2,", "FUND1,"),
        [
            'accounts.csv: line 5 account: "FUND1" is on line 4 too; keep one',
        ],
    ),
    "active that is neither Y nor N": (
        ("change", ACCOUNTS, "FUND1,CLIENT1,Y", "FUND1,CLIENT1,1"),
        [
            'accounts.csv: line 4 active: "1" is not Y or N; write for example Y',
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_reference_data_is_refused_with_file_key_and_remedy(desk: Desk, case: str) -> None:
    (action, *arguments), expected = CASES[case]
    getattr(desk, action)(*arguments)
    assert desk.problems() == expected

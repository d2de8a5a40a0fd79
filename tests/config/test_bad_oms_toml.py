"""What oms.toml may not say.

Every case spoils the demo configuration in one place and compares the whole list of messages (I12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.config.conftest import Desk

TOML = "oms.toml"

CASES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "an unknown section": (
        ("append", TOML, "[gatway]\nname='x'\n"),
        [
            "oms.toml: [gatway]: unknown section; did you mean gateway?",
        ],
    ),
    "a misspelt key": (
        ("change", TOML, 'trading = "on"', 'tradng = "on"'),
        [
            "oms.toml: [gateway] tradng: unknown key; did you mean trading?",
        ],
    ),
    "a key that exists nowhere": (
        ("change", TOML, "[inbox]", "[inbox]\nzzz = 1"),
        [
            "oms.toml: [inbox] zzz: unknown key; remove it; known here: per_session, max_batch, shared_batch",
        ],
    ),
    "trading that is neither on nor off": (
        ("change", TOML, 'trading = "on"', "trading = true"),
        [
            'oms.toml: [gateway] trading: true is not "on" or "off"; write for example trading = "off"',
        ],
    ),
    "an unknown environment": (
        ("change", TOML, 'environment = "test"', 'environment = "prod"'),
        [
            (
                'oms.toml: [gateway] environment: "prod" is not "test" or "live"; write for example '
                'environment = "test"'
            ),
        ],
    ),
    "a gateway name with spaces": (
        ("change", TOML, 'name = "oms"', 'name = "o m s"'),
        [
            (
                'oms.toml: [gateway] name: "o m s" is not 1 to 32 letters, digits, _ or -; write for '
                'example name = "desk1"'
            ),
        ],
    ),
    "a rollover that is no time": (
        ("change", TOML, "trading_day_rollover = 00:00:00", 'trading_day_rollover = "25:00"'),
        [
            (
                'oms.toml: [gateway] trading_day_rollover: "25:00" is not a time of day in UTC; write for '
                "example trading_day_rollover = 22:00:00"
            ),
        ],
    ),
    "a rollover that is a date": (
        ("change", TOML, "trading_day_rollover = 00:00:00", "trading_day_rollover = 2024-01-01"),
        [
            (
                "oms.toml: [gateway] trading_day_rollover: 2024-01-01 is not a time of day in UTC; write "
                "for example trading_day_rollover = 22:00:00"
            ),
        ],
    ),
    "an inbox of nothing": (
        ("change", TOML, "per_session = 500", "per_session = 0"),
        [
            (
                "oms.toml: [inbox] per_session: 0 is not a whole number from 1 to 1000000; write for "
                "example per_session = 500"
            ),
        ],
    ),
    "true where a number belongs": (
        ("change", TOML, "max_batch = 500", "max_batch = true"),
        [
            (
                "oms.toml: [inbox] max_batch: true is not a whole number from 1 to 100000; write for "
                "example max_batch = 500"
            ),
        ],
    ),
    "text where a number belongs": (
        ("change", TOML, "max_batch = 500", 'max_batch = "500"'),
        [
            (
                'oms.toml: [inbox] max_batch: "500" is not a whole number from 1 to 100000; write for '
                "example max_batch = 500"
            ),
        ],
    ),
    "a database that is not Postgres": (
        ("change", TOML, '# url = "postgresql://oms@localhost:5432/oms"', 'url = "sqlite:///secret.db"'),
        [
            (
                "oms.toml: [database] url: not the URL of a Postgres database; write "
                '"postgresql://USER@HOST:PORT/DATABASE", or remove the key for the embedded Postgres'
            ),
        ],
    ),
    "an owner URL alone": (
        ("change", TOML, "# owner_url", "owner_url"),
        [
            ("oms.toml: [database]: owner_url without url; add url, or remove owner_url for the embedded Postgres"),
        ],
    ),
    "a negative limit": (
        ("change", TOML, "max_order_qty = 10000", "max_order_qty = -1"),
        [
            (
                "oms.toml: [limits] max_order_qty: -1 is not a number above zero with at most 12 decimals "
                "and below 10^16; write for example max_order_qty = 10000"
            ),
        ],
    ),
    "a limit that is not a number": (
        ("change", TOML, "max_order_qty = 10000", "max_order_qty = nan"),
        [
            (
                "oms.toml: [limits] max_order_qty: NaN is not a number above zero with at most 12 decimals "
                "and below 10^16; write for example max_order_qty = 10000"
            ),
        ],
    ),
    "a limit of absurd size": (
        ("change", TOML, "max_order_qty = 10000", "max_order_qty = 1e999999999"),
        [
            (
                "oms.toml: [limits] max_order_qty: 1E+999999999 is not a number above zero with at most 12 "
                "decimals and below 10^16; write for example max_order_qty = 10000"
            ),
        ],
    ),
    "a limit with twenty decimals": (
        ("change", TOML, "max_order_qty = 10000", "max_order_qty = 0.12345678901234567890"),
        [
            (
                "oms.toml: [limits] max_order_qty: 0.12345678901234567890 is not a number above zero with "
                "at most 12 decimals and below 10^16; write for example max_order_qty = 10000"
            ),
        ],
    ),
    "one default limit without the other": (
        ("change", TOML, "max_order_qty = 10000\n", ""),
        [
            "oms.toml: [limits]: only one of max_order_qty and max_order_notional; add max_order_qty",
        ],
    ),
    "an override without quantity": (
        ("change", TOML, "max_order_qty = 2000\n", ""),
        [
            ("oms.toml: [[limits.override]] #1 max_order_qty: missing; write for example max_order_qty = 10000"),
        ],
    ),
    "a limit for an unknown client": (
        ("change", TOML, 'client = "CLIENT2"', 'client = "CLIENT3"'),
        [
            'oms.toml: [[limits.override]] #1 client: no client session "CLIENT3"; did you mean CLIENT2?',
        ],
    ),
    "a limit for an unknown symbol": (
        ("change", TOML, 'symbol = "AAPL"', 'symbol = "APPL"'),
        [
            'oms.toml: [[limits.override]] #2 symbol: no symbol "APPL"; did you mean AAPL?',
        ],
    ),
    "a limit for an unknown account": (
        ("change", TOML, 'account = "FUND1"', 'account = "FUND9"'),
        [
            'oms.toml: [[limits.override]] #2 account: no account "FUND9"; did you mean FUND2?',
        ],
    ),
    "two overrides for the same orders": (
        ("append", TOML, '[[limits.override]]\nclient="CLIENT2"\nmax_order_qty=1\nmax_order_notional=1\n'),
        [
            "oms.toml: [[limits.override]] #3: for the same orders as #1; keep one of them",
        ],
    ),
    "an override that repeats the default": (
        ("append", TOML, "[[limits.override]]\nmax_order_qty=1\nmax_order_notional=1\n"),
        [
            ("oms.toml: [[limits.override]] #3: for the same orders as [limits]; name a client, account or symbol"),
        ],
    ),
    "a route to an unknown broker": (
        ("change", TOML, 'broker = "BROKER1"', 'broker = "BROKER9"'),
        [
            ('oms.toml: [[routes]] #3 (everything-else) broker: no broker session "BROKER9"; did you mean BROKER2?'),
        ],
    ),
    "a route to a client session": (
        ("change", TOML, 'broker = "BROKER1"', 'broker = "CLIENT1"'),
        [
            (
                'oms.toml: [[routes]] #3 (everything-else) broker: "CLIENT1" is a client session; name a '
                "broker: BROKER1, BROKER2"
            ),
        ],
    ),
    "a fallback to an unknown broker": (
        ("change", TOML, 'fallbacks = ["BROKER1"]', 'fallbacks = ["NOBODY"]'),
        [
            (
                'oms.toml: [[routes]] #2 (germany) fallbacks: no broker session "NOBODY"; name a broker; '
                "known here: BROKER1, BROKER2"
            ),
        ],
    ),
    "a fallback to the same broker": (
        ("change", TOML, 'fallbacks = ["BROKER1"]', 'fallbacks = ["BROKER2"]'),
        [
            'oms.toml: [[routes]] #2 (germany) fallbacks: "BROKER2" is there twice; name each broker once',
        ],
    ),
    "a route without broker": (
        ("change", TOML, 'broker = "BROKER2"\n\n', "\n"),
        [
            'oms.toml: [[routes]] #1 broker: missing; write for example broker = "BROKER1"',
        ],
    ),
    "two routes of one name": (
        ("change", TOML, 'name = "germany"', 'name = "everything-else"'),
        [
            "oms.toml: [[routes]] #3 (everything-else) name: the same as #2; give each rule its own name",
        ],
    ),
    "a route for an unknown order type": (
        ("change", TOML, 'security_exchange = "XETR" ', 'ord_type = ["limt"] '),
        [
            (
                'oms.toml: [[routes]] #2 ord_type: "limt" is no OrdType(40); write one of market, limit, '
                "stop, stop_limit, or the one-character FIX value"
            ),
        ],
    ),
    "a route for an empty list": (
        ("change", TOML, 'security_exchange = "XETR" ', "symbol = [] "),
        [
            (
                "oms.toml: [[routes]] #2 symbol: [] is not a name or pattern with *, ? or [..], or a list "
                'of them; write for example symbol = "AAPL"'
            ),
        ],
    ),
    "a route for an empty name": (
        ("change", TOML, 'security_exchange = "XETR" ', 'symbol = "" '),
        [
            (
                'oms.toml: [[routes]] #2 symbol: "" is not a name or pattern with *, ? or [..], or a list '
                'of them; write for example symbol = "AAPL"'
            ),
        ],
    ),
    "a route for an unknown symbol": (
        ("change", TOML, 'security_exchange = "XETR" ', 'symbol = "TLSA" '),
        [
            'oms.toml: [[routes]] #2 (germany) symbol: no symbol "TLSA"; did you mean TSLA?',
        ],
    ),
    "an unknown key in a route": (
        ("change", TOML, 'security_exchange = "XETR" ', 'exchange = "XETR" '),
        [
            (
                "oms.toml: [[routes]] #2 exchange: unknown key; remove it; known here: name, client, "
                "account, symbol, security_exchange, ord_type, ex_destination, broker, fallbacks"
            ),
        ],
    ),
    "a metrics port out of range": (
        ("change", TOML, "port = 0", "port = 70000"),
        [
            ("oms.toml: [metrics] port: 70000 is not a whole number from 0 to 65535; write for example port = 9464"),
        ],
    ),
    "metrics on a client's port": (
        ("change", TOML, "port = 0", "port = 5201"),
        [
            (
                "oms.toml: [metrics] port: 5201 is where this gateway listens for CLIENT2; choose another "
                "port, or 0 for none"
            ),
        ],
    ),
    "an unknown log level": (
        ("change", TOML, 'level = "info"', 'level = "loud"'),
        [
            (
                'oms.toml: [log] level: "loud" is not "debug", "info", "warning" or "error"; write for '
                'example level = "info"'
            ),
        ],
    ),
    "a log file that is a number": (
        ("change", TOML, 'format = "console"', 'format = "console"\nfile = 3'),
        [
            'oms.toml: [log] file: 3 is not a file name; write for example file = "oms.log"',
        ],
    ),
    "a state directory that is a file": (
        ("change", TOML, 'state_dir = "state"', 'state_dir = "accounts.csv"'),
        [
            "oms.toml: [gateway] state_dir: accounts.csv is not a directory; name a directory",
        ],
    ),
    "a sessions file that is not there": (
        ("change", TOML, 'sessions = "sessions.cfg"', 'sessions = "session.cfg"'),
        [
            (
                "session.cfg: no such file; create it or correct [files] sessions in oms.toml; `oms init "
                "DIR` writes an example"
            ),
        ],
    ),
    "a file that is not TOML": (
        ("write", TOML, "gateway = {\n"),
        [
            (
                "oms.toml: not TOML: Invalid initial character for a key part (at line 1, column 12); mend "
                "that place; texts need quotes, sections need [ ]"
            ),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_oms_toml_is_refused_with_file_key_and_remedy(desk: Desk, case: str) -> None:
    (action, *arguments), expected = CASES[case]
    getattr(desk, action)(*arguments)
    assert desk.problems() == expected

"""What a right configuration becomes: typed values, absolute paths, exact decimals, settings text for QuickFIX."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oms.config.broker_file import BrokerFile
from oms.config.dictionaries import STANDARD_DIRECTORY
from oms.config.load import load
from oms.config.outbound import Outbound
from oms.config.reconcile import Reconcile
from oms.config.rules import LimitRule, RouteRule
from oms.config.settings import Database, Gateway, Inbox, Log, Metrics
from oms.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Desk

STANDARD_44 = STANDARD_DIRECTORY / "FIX44.xml"


def test_every_section_of_the_demo_becomes_values(desk: Desk) -> None:
    config = desk.load()
    assert config.path == desk.main
    assert config.directory == desk.directory
    assert config.gateway == Gateway(
        name="oms",
        environment="test",
        state_dir=desk.directory / "state",
        trading="on",
        trading_day_rollover=time(0, 0, tzinfo=UTC),
    )
    assert config.database == Database(url=None, owner_url=None)
    assert config.inbox == Inbox(per_session=500, max_batch=500)
    assert config.metrics == Metrics(host="127.0.0.1", port=0)
    assert config.log == Log(level="info", format="console", file=None)
    assert config.limits == (
        LimitRule(max_order_qty=Decimal(10000), max_order_notional=Decimal(1000000)),
        LimitRule(client="CLIENT2", max_order_qty=Decimal(2000), max_order_notional=Decimal(200000)),
        LimitRule(
            client="CLIENT1",
            account="FUND1",
            symbol="AAPL",
            max_order_qty=Decimal(20000),
            max_order_notional=Decimal(4000000),
        ),
    )
    assert config.routes == (
        RouteRule(name="named-destination", ex_destination=("BROKER2",), broker="BROKER2"),
        RouteRule(name="germany", security_exchange=("XETR",), broker="BROKER2", fallbacks=("BROKER1",)),
        RouteRule(name="everything-else", broker="BROKER1", fallbacks=("BROKER2",)),
    )
    assert config.warnings == ()


def test_an_empty_oms_toml_means_trading_off_and_every_default(desk: Desk) -> None:
    desk.write("oms.toml", '[[routes]]\nname = "all"\nbroker = "BROKER1"\n')
    config = desk.load()
    assert config.gateway.model_dump() == {
        "name": "oms",
        "environment": "test",
        "state_dir": desk.directory / "state",
        "trading": "off",
        "after_unclean_stop": "wait",
        "trading_day_rollover": time(0, 0, tzinfo=UTC),
        "keep_positions": False,
        "lease_seconds": 5,
        "stalled_line_seconds": 30,
    }
    assert config.limits == ()
    assert config.limit_for("CLIENT1", "FUND1", "AAPL") is None
    assert config.routes == (RouteRule(name="all", broker="BROKER1"),)


def test_sessions_of_all_three_versions_become_specs(desk: Desk) -> None:
    sessions = desk.load().sessions
    shown = {
        name: (
            s.role,
            s.begin_string,
            s.appl_ver_id,
            s.session_id,
            s.dialect.name,
            s.host,
            s.port,
            s.tls,
            s.store_prefix,
        )
        for name, s in sessions.items()
    }
    four_two, four_four, five = "standard-fix42", "standard-fix44", "standard-fix50sp2"
    assert shown == {
        "CLIENT1": (
            *("client", "FIX.4.4", "FIX.4.4", "FIX.4.4:OMS->CLIENT1"),
            *(four_four, "", 5201, False, "FIX.4.4-OMS-CLIENT1"),
        ),
        "CLIENT2": (
            *("client", "FIX.4.2", "FIX.4.2", "FIX.4.2:OMS->CLIENT2"),
            *(four_two, "", 5201, False, "FIX.4.2-OMS-CLIENT2"),
        ),
        "BROKER1": (
            *("broker", "FIX.4.2", "FIX.4.2", "FIX.4.2:OMS->BROKER1"),
            *(four_two, "127.0.0.1", 5301, False, "FIX.4.2-OMS-BROKER1"),
        ),
        "BROKER2": (
            *("broker", "FIXT.1.1", "FIX.5.0SP2", "FIXT.1.1:OMS->BROKER2"),
            *(five, "127.0.0.1", 5302, False, "FIXT.1.1-OMS-BROKER2"),
        ),
    }
    assert sessions["CLIENT1"].store_path == desk.directory / "state" / "fix_store"
    assert sessions["CLIENT1"].dictionaries == (str(STANDARD_44),)
    assert sessions["BROKER2"].transport_dictionary == STANDARD_DIRECTORY / "FIXT11.xml"
    assert sessions["BROKER2"].application_dictionary == STANDARD_DIRECTORY / "FIX50SP2.xml"


def test_a_broker_with_a_qualifier_has_it_in_its_id_and_store(desk: Desk) -> None:
    desk.change("sessions.cfg", "TargetCompID=BROKER1", "TargetCompID=BROKER1\nSessionQualifier=B")
    broker = desk.load().sessions["BROKER1"]
    assert (broker.qualifier, broker.session_id) == ("B", "FIX.4.2:OMS->BROKER1:B")
    assert broker.store_prefix == "FIX.4.2-OMS-BROKER1-B"


def test_a_session_without_a_name_has_its_target_comp_id(desk: Desk) -> None:
    desk.change("sessions.cfg", "OmsName=CLIENT1\n", "")
    assert list(desk.load().sessions) == ["CLIENT1", "CLIENT2", "BROKER1", "BROKER2"]


def test_a_dictionary_in_fix_specs_comes_before_the_standard_one(desk: Desk) -> None:
    desk.write("fix_specs/FIX44.xml", STANDARD_44.read_text())
    assert desk.load().sessions["CLIENT1"].application_dictionary == desk.directory / "fix_specs" / "FIX44.xml"


def test_a_dictionary_with_a_directory_is_relative_to_sessions_cfg(desk: Desk) -> None:
    desk.write("acme.xml", STANDARD_44.read_text())
    desk.change("sessions.cfg", "DataDictionary=FIX44.xml", "DataDictionary=./acme.xml")
    assert desk.load().sessions["CLIENT1"].application_dictionary == desk.directory / "acme.xml"


def test_without_its_own_fix_specs_a_desk_has_the_standard_dialects(desk: Desk) -> None:
    for path in (desk.directory / "fix_specs").iterdir():
        path.unlink()
    desk.change("sessions.cfg", "OmsDialect=standard-fix44\n", "")
    dialect = desk.load().sessions["CLIENT1"].dialect
    assert dialect.model_dump() == {
        "name": "standard-fix44",
        "description": "Plain FIX.4.4",
        "ord_types": frozenset("1234"),
        "times_in_force": frozenset("0134"),
        "status_requests": True,
        "max_cl_ord_id_length": 20,
        "resend_window_seconds": 10,
        "mass_cancel": False,
        "drop_copy_seconds": 30,
        "acknowledge_seconds": 10,
        "answer_seconds": 10,
        "quiet_seconds": 0,
        "unknown_asks": 5,
        "mass_status": False,
        "status_requests_per_second": 50,
        "status_answer_seconds": 30,
        "unknown_orders": "alert",
        "replace": "request",
        "tags": {"set": {}, "drop": frozenset(), "unknown": "reject", "unknown_reports": "drop"},
        "reconcile": Reconcile().model_dump(),
        "file": BrokerFile().model_dump(),
        "outbound": Outbound().model_dump(),
        "translate": (),
        "to_counterparty": (),
        "from_counterparty": (),
    }


def test_a_dialect_of_its_own_has_tags_as_numbers(desk: Desk) -> None:
    text = (desk.directory / "fix_specs" / "standard-fix42.toml").read_text()
    text = text.replace("standard-fix42", "acme").replace("drop = []", 'drop = ["9001", 9002]')
    desk.write("fix_specs/acme.toml", text.replace('unknown = "reject"', 'unknown = "pass"'))
    desk.change("sessions.cfg", "OmsDialect=standard-fix42\nAllowed", "OmsDialect=acme\nAllowed")
    tags = desk.load().sessions["CLIENT2"].dialect.tags
    assert tags.model_dump() == {
        "set": {21: "1"},
        "drop": frozenset({9001, 9002}),
        "unknown": "pass",
        "unknown_reports": "drop",
    }


def test_reference_data_is_exact_and_absent_values_are_none(desk: Desk) -> None:
    desk.write(
        "instruments.csv",
        "# comment\nsymbol,currency,security_exchange,lot_size,tick_size,reference_price,tradable\n"
        'AAPL,USD,XNAS,1,0.0001,,N\n\n"BRK B",USD,XNYS,10,0.01, 412.10 ,\n',
    )
    instruments = desk.load().instruments
    assert {symbol: instrument.model_dump() for symbol, instrument in instruments.items()} == {
        "AAPL": {
            "symbol": "AAPL",
            "security_exchange": "XNAS",
            "currency": "USD",
            "tick_size": Decimal("0.0001"),
            "lot_size": Decimal(1),
            "reference_price": None,
            "min_price": None,
            "max_price": None,
            "tradable": False,
            "asset_class": "",
            "average_volume": None,
            "market": "",
            "reference_at": None,
        },
        "BRK B": {
            "symbol": "BRK B",
            "security_exchange": "XNYS",
            "currency": "USD",
            "tick_size": Decimal("0.01"),
            "lot_size": Decimal(10),
            "reference_price": Decimal("412.10"),
            "min_price": None,
            "max_price": None,
            "tradable": True,
            "asset_class": "",
            "average_volume": None,
            "market": "",
            "reference_at": None,
        },
    }


def test_accounts_have_their_clients_and_switch(desk: Desk) -> None:
    accounts = desk.load().accounts
    assert {name: (account.clients, account.active) for name, account in accounts.items()} == {
        "FUND1": (("CLIENT1",), True),
        "FUND2": (("CLIENT1", "CLIENT2"), True),
        "DESK1": (("CLIENT2",), True),
        "HOUSE": (("*",), True),
        "CLOSED1": (("CLIENT1",), False),
    }


def test_a_decimal_in_toml_is_never_a_float(desk: Desk) -> None:
    desk.change("oms.toml", "max_order_notional = 1000000 ", "max_order_notional = 1000000.10 ")
    assert str(desk.load().limits[0].max_order_notional) == "1000000.10"


def test_a_route_takes_words_values_and_lists(desk: Desk) -> None:
    desk.change("oms.toml", 'security_exchange = "XETR"', 'ord_type = ["stop", "4"]\nsymbol = ["A*", "SAP"]')
    rule = desk.load().routes[1]
    assert (rule.ord_type, rule.symbol, rule.client) == (("3", "4"), ("A*", "SAP"), ("*",))


@pytest.mark.parametrize(
    ("client", "account", "symbol", "winner"),
    [
        ("C9", "A9", "X9", "limits"),
        ("C1", "A9", "S9", "limits for client=C1"),
        ("C1", "A1", "S9", "limits for client=C1, account=A1"),
        ("C1", "A1", "S1", "limits for client=C1, account=A1"),  # two names beat one name and a pattern
        ("C9", "A9", "S1", "limits for symbol=S*"),
        ("C9", "A2", "S9", "limits for account=A2"),  # an exact name beats a pattern
        ("C1", "A2", "S9", "limits for account=A2"),  # equals: the earlier one
    ],
)
def test_the_most_specific_limit_wins(desk: Desk, client: str, account: str, symbol: str, winner: str) -> None:
    amounts = "max_order_qty = 1\nmax_order_notional = 1\n"
    aims = ('symbol = "S*"', 'account = "A2"', 'client = "C1"', 'client = "C1"\naccount = "A1"')
    overrides = "".join(f"[[limits.override]]\n{aim}\n{amounts}" for aim in aims)
    desk.write("oms.toml", f'[limits]\n{amounts}{overrides}[[routes]]\nname = "all"\nbroker = "BROKER1"\n')
    text = (desk.directory / "sessions.cfg").read_text()
    desk.write("sessions.cfg", text.replace("OmsName=CLIENT1", "OmsName=C1").replace("OmsName=CLIENT2", "OmsName=C2"))
    desk.write("accounts.csv", "account,clients\nA1,C1\nA2,*\n")
    desk.write("instruments.csv", "symbol,security_exchange,currency,tick_size,lot_size\nS1,XNAS,USD,1,1\n")
    assert str(desk.load().limit_for(client, account, symbol)) == winner


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 3, 2, 21, 59, 59, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 3, 2, 22, 0, 0, tzinfo=UTC), date(2026, 3, 2)),
        (datetime(2026, 3, 3, 5, 0, 0, tzinfo=UTC), date(2026, 3, 2)),
    ],
)
def test_the_trade_date_changes_at_the_rollover(moment: datetime, expected: date) -> None:
    assert Gateway(trading_day_rollover=time(22, 0, tzinfo=UTC)).trade_date(moment) == expected


def test_the_directory_of_oms_toml_will_do(desk: Desk) -> None:
    assert load(desk.directory).path == desk.main


def test_a_relative_path_gives_absolute_ones(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.directory)
    config = load(Path("oms.toml"))
    assert (config.path, config.gateway.state_dir) == (desk.main, desk.directory / "state")


def test_loading_writes_nothing(desk: Desk) -> None:
    before = sorted(desk.directory.rglob("*"))
    desk.load()
    assert sorted(desk.directory.rglob("*")) == before


def test_the_password_of_the_database_is_not_in_a_printed_configuration(desk: Desk) -> None:
    desk.change("oms.toml", "[inbox]", 'url = "postgresql://oms:secret@localhost/oms"\n\n[inbox]')
    assert "secret" not in repr(desk.load())


def test_one_error_has_every_problem_and_says_so_in_one_line(desk: Desk) -> None:
    desk.change("oms.toml", 'trading = "on"', 'tradng = "on"')
    desk.change("sessions.cfg", "SocketAcceptPort=5201", "SocketAcceptPort=99999")
    desk.change("instruments.csv", "XNAS,USD,0.01", "XNAS,usd,0.01")
    with pytest.raises(ConfigError) as caught:
        desk.load()
    error = caught.value
    assert (error.file, error.key) == (desk.main, "[gateway] tradng")
    assert (error.problem, error.remedy) == ("unknown key", "did you mean trading?")
    assert desk.plain(str(error)) == (
        "oms.toml: [gateway] tradng: unknown key; did you mean trading? (and 2 more problems: oms check shows all)"
    )
    assert desk.plain(error.report()).splitlines() == desk.problems()

"""`oms route explain`: which rule, which broker, and why, as a person or a script sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert

from oms.cli.main import oms
from oms.ledger import schema
from oms.ledger.database import engine
from oms.ledger.writer import Writer
from tests.cli.conftest import write_config

ORDER = ("--client", "CLIENT1", "--account", "FUND1", "--symbol")
RULES = ("named-destination", "germany", "everything-else")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The demo's configuration, on no database that runs."""
    return write_config(tmp_path, None)


def explain(config: Path, *options: str) -> Result:
    command = ["route", "explain", "--config", str(config), *options]
    return CliRunner().invoke(oms, command, prog_name="oms")


def as_json(config: Path, *options: str, exit_code: int = 0) -> dict[str, Any]:
    result = explain(config, *options, "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def outcomes(found: dict[str, Any]) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Outcome and reason of every rule, and of every broker of the matching one."""
    rules = [(one["rule"], one["outcome"], one["why"]) for one in found["rules"]]
    return rules, [(one["broker"], one["outcome"], one["why"]) for one in found["brokers"]]


# -- routing ------------------------------------------------------------------------------------------------------


def test_the_whole_explanation_of_an_order_that_goes_to_a_fallback(config: Path) -> None:
    result = explain(config, *ORDER, "SAP", "--down", "BROKER2", "--qty", "100", "--price", "184.36")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert [line for line in lines if line.strip(" ─")] == [
        "Order: client CLIENT1, Account(1) FUND1, Symbol(55) SAP, SecurityExchange(207) XETR, OrdType(40) Limit (2), "
        "TimeInForce(59) Day (0), ExDestination(100) absent",
        "Rules, first match wins",
        "# rule outcome why",
        "1 named-destination no ex_destination absent is not BROKER2",
        "2 germany matches",
        "3 everything-else not reached",
        "Brokers of germany, in turn",
        "broker session outcome why",
        "BROKER2 logged out (--down) passed over session logged out",
        "BROKER1 logged on (assumed: no gateway is running) takes it",
        "Risk",
        "check outcome finding",
        "trading_on ok trading is on",
        "known_instrument ok SAP",
        "known_account ok FUND1",
        "complete_terms ok OrdType(40) 2",
        "lot_size ok OrderQty(38) 100 in lots of 1",
        "tick_size ok tick 0.02",
        "price_bounds ok 92.18 to 276.54",
        "max_order_qty ok OrderQty(38) 100 within 10000 (limits)",
        "max_order_notional ok notional 18436.00 EUR within 1000000 (limits)",
        "It would go to BROKER1 by rule germany.",
    ]
    assert (result.exit_code, result.stderr) == (0, "")


def test_json_has_all_that_a_script_needs(config: Path) -> None:
    found = as_json(config, *ORDER, "AAPL")
    session = {"up": True, "says": "assumed: no gateway is running"}
    assert found == {
        "ok": True,
        "verdict": "It would go to BROKER1 by rule everything-else.",
        "order": {
            "client": "CLIENT1",
            "account": "FUND1",
            "symbol": "AAPL",
            "security_exchange": "XNAS",
            "ord_type": "2",
            "time_in_force": "0",
            "ex_destination": "",
        },
        "rule": "everything-else",
        "broker": "BROKER1",
        "rules": [
            {"rule": "named-destination", "outcome": "no", "why": "ex_destination absent is not BROKER2"},
            {"rule": "germany", "outcome": "no", "why": "security_exchange XNAS is not XETR"},
            {"rule": "everything-else", "outcome": "matches", "why": ""},
        ],
        "brokers": [
            {"broker": "BROKER1", "session": session, "outcome": "takes it", "why": ""},
            {"broker": "BROKER2", "session": session, "outcome": "not tried", "why": ""},
        ],
        "risk": [
            {"rule": "trading_on", "ok": True, "text": "trading is on"},
            {"rule": "known_instrument", "ok": True, "text": "AAPL"},
            {"rule": "known_account", "ok": True, "text": "FUND1"},
        ],
    }


def test_a_broker_that_does_not_take_the_order_is_named_with_the_reason_and_the_exit_code_is_1(config: Path) -> None:
    found = as_json(config, *ORDER, "AAPL", "--ex-destination", "BROKER2", "--tif", "gtd", exit_code=1)
    assert found["verdict"] == "It would be refused: no broker of rule named-destination can take it now."
    assert outcomes(found) == (
        [
            ("named-destination", "matches", ""),
            ("germany", "not reached", ""),
            ("everything-else", "not reached", ""),
        ],
        [("BROKER2", "passed over", "does not take TimeInForce(59) 6")],
    )
    assert (found["ok"], found["rule"], found["broker"]) == (False, "named-destination", "")


def test_all_brokers_down_is_not_routable(config: Path) -> None:
    found = as_json(config, *ORDER, "AAPL", "--down", "BROKER1", "--down", "BROKER2", exit_code=1)
    down = "session logged out"
    assert outcomes(found)[1] == [("BROKER1", "passed over", down), ("BROKER2", "passed over", down)]


def test_no_rule_that_matches_says_what_to_add(config: Path) -> None:
    text = config.read_text()
    config.write_text(text.replace('name = "everything-else"', 'name = "everything-else"\nclient = "CLIENT2"'))
    found = as_json(config, *ORDER, "AAPL", exit_code=1)
    assert found["verdict"] == "It would be refused: no rule matches; add one under [[routes]] in oms.toml."
    assert outcomes(found)[0][-1] == ("everything-else", "no", "client CLIENT1 is not CLIENT2")
    assert (found["rule"], found["brokers"]) == ("", [])


@pytest.mark.parametrize(("given", "value"), [("stop_limit", "4"), ("STOP", "3"), ("4", "4"), ("P", "P")])
def test_order_types_are_words_or_fix_values(config: Path, given: str, value: str) -> None:
    result = explain(config, *ORDER, "AAPL", "--ord-type", given, "--json")
    assert json.loads(result.stdout)["order"]["ord_type"] == value


def test_the_exchange_of_the_order_wins_over_the_instruments(config: Path) -> None:
    assert as_json(config, *ORDER, "AAPL", "--exchange", "XETR")["rule"] == "germany"


# -- risk ---------------------------------------------------------------------------------------------------------


def test_a_quantity_beyond_the_limit_is_refused_before_routing(config: Path) -> None:
    found = as_json(config, *ORDER, "MSFT", "--qty", "10001", "--price", "415.30", exit_code=1)
    text = "max_order_qty: OrderQty(38) 10001 exceeds 10000 (limits)"
    assert found["verdict"] == f"It would be refused before it is routed: {text}."
    assert found["risk"][-1] == {
        "rule": "max_order_qty",
        "ok": False,
        "text": "OrderQty(38) 10001 exceeds 10000 (limits)",
    }
    assert (found["rule"], found["broker"]) == ("everything-else", "BROKER1")


def test_a_limit_order_without_a_price_says_that_it_needs_one(config: Path) -> None:
    found = as_json(config, *ORDER, "MSFT", "--qty", "100", exit_code=1)
    assert found["risk"][-1]["text"] == "OrdType(40) 2 needs Price(44)"


def test_without_a_quantity_a_risk_refusal_is_told_and_the_route_decides_the_exit_code(config: Path) -> None:
    config.write_text(config.read_text().replace('trading = "on"', 'trading = "off"'))
    found = as_json(config, *ORDER, "IBM")
    assert found["verdict"] == (
        "It would go to BROKER1 by rule everything-else. But risk would refuse it first: trading_on: trading is off."
    )
    assert [(one["rule"], one["ok"]) for one in found["risk"]] == [
        ("trading_on", False),
        ("known_instrument", False),
        ("known_account", True),
    ]


# -- session states -------------------------------------------------------------------------------------------------


@pytest.fixture
def with_ledger(tmp_path: Path, postgres_url: str) -> Path:
    """A configuration on a ledger that has BROKER1 logged out."""
    made = engine(postgres_url)
    with made.begin() as connection:
        row = {"session": "BROKER1", "role": "broker", "epoch": 0, "in_msg_seq_num": 0, "out_seq": 0}
        row |= {"out_msg_seq_num": 0, "logged_on": False, "changed_at": datetime.now(UTC)}
        connection.execute(insert(schema.session_positions).values(**row))
    made.dispose()
    return write_config(tmp_path, postgres_url)


@pytest.fixture
def running(postgres_url: str) -> Iterator[Writer]:
    """The writer of a gateway that runs on that ledger."""
    writer = Writer(postgres_url)
    writer.connect()
    yield writer
    writer.close()


def sessions(found: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    return {one["broker"]: (one["session"]["up"], one["session"]["says"]) for one in found["brokers"]}


@pytest.mark.postgres
def test_session_states_are_those_of_the_running_gateway(with_ledger: Path, running: Writer) -> None:
    found = as_json(with_ledger, *ORDER, "AAPL")
    assert sessions(found) == {
        "BROKER1": (False, "ledger"),
        "BROKER2": (True, "assumed: never logged on so far"),
    }
    assert found["broker"] == "BROKER2"


@pytest.mark.postgres
def test_a_broker_given_as_down_is_down_whatever_the_ledger_says(with_ledger: Path, running: Writer) -> None:
    found = as_json(with_ledger, *ORDER, "AAPL", "--down", "BROKER2", exit_code=1)
    assert sessions(found) == {"BROKER1": (False, "ledger"), "BROKER2": (False, "--down")}


@pytest.mark.postgres
def test_what_a_stopped_gateway_left_in_the_ledger_does_not_count(with_ledger: Path) -> None:
    assert sessions(as_json(with_ledger, *ORDER, "AAPL"))["BROKER1"] == (True, "assumed: no gateway is running")


def test_a_ledger_out_of_reach_is_no_obstacle_and_is_told(tmp_path: Path) -> None:
    config = write_config(tmp_path, "postgresql://nobody@127.0.0.1:1/oms")
    (up, says), _ = sessions(as_json(config, *ORDER, "AAPL")).values()
    assert up
    assert says.startswith("assumed: database oms on 127.0.0.1:1: ")


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--client", "CLIENT9", "--symbol", "A"),
            "oms: --client CLIENT9: no such session; there are CLIENT1, CLIENT2",
        ),
        ((*ORDER, "A", "--down", "CLIENT1"), "oms: --down CLIENT1: no such session; there are BROKER1, BROKER2"),
        ((*ORDER, "A", "--qty", "-5"), "'-5': write a number such as 100 or 12.50"),
        ((*ORDER, "A", "--qty", "NaN"), "'NaN': write a number such as 100 or 12.50"),
        ((*ORDER, "A", "--price", "1e999"), "'1e999': write a number such as 100 or 12.50"),
        (
            (*ORDER, "A", "--tif", "forever"),
            "'forever': write one of day, gtc, opg, ioc, fok, gtx, gtd, at_the_close",
        ),
        (("--client", "CLIENT1"), "Missing option '--symbol'"),
    ],
)
def test_bad_input_is_refused_with_exit_code_2_and_a_remedy(
    config: Path, options: tuple[str, ...], said: str
) -> None:
    result = explain(config, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


def test_control_characters_in_names_are_shown_as_text(config: Path) -> None:
    result = explain(config, "--client", "CLIENT1", "--symbol", "A\x1b[2J")
    assert "\x1b" not in result.stdout
    assert "Symbol(55) A\\x1b[2J is not known" in result.stdout


def test_help_has_an_example(config: Path) -> None:
    assert "Example: oms route explain" in explain(config, "--help").output

"""``oms route explain``: which rule an order would take, and why, before anybody sends it.

Asks the same pure code as the gateway does (core.routing, core.risk). Session states are the running gateway's, read
from its ledger; where none runs, sessions count as logged on. Sends nothing, starts nothing, writes nothing.
Limit: which fields of the order a broker's dictionary takes is not asked, because the order has only the fields given
here. Exit code 0: a broker would get it; 1: none would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from oms.cli import output, words
from oms.config.load import Config, load
from oms.config.rules import ORD_TYPES, TIMES_IN_FORCE
from oms.core import risk, routing
from oms.core.routing import Routable
from oms.core.terms import RouteRule, Terms
from oms.errors import OperatorError
from oms.ledger.database import is_gateway_running, open_ledger
from oms.ledger.embedded import EmbeddedPostgres
from oms.ledger.queries import list_sessions
from oms.terms import core_terms_of

NOT_ROUTABLE = 1
SIDES = {"buy": "1", "sell": "2", "sell_short": "5"}
NUMBER = re.compile(r"\d{1,15}(\.\d{1,10})?")
# Checks that need neither quantity nor price.
CHECKS_OF_NAMES: tuple[risk.Check, ...] = (risk.trading_on, risk.known_instrument, risk.known_account)


class FixValue(click.ParamType):
    """A word such as ``stop_limit``, or the FIX value itself."""

    name = "word|value"

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The FIX value."""
        text = str(value)
        if text.lower() in self._known:
            return self._known[text.lower()]
        if len(text) == 1 and text.isascii() and text.isalnum():
            return text
        self.fail(f"{text!r}: write one of {', '.join(self._known)}, or the one-character FIX value", param, ctx)


class Amount(click.ParamType):
    """A quantity or a price, exact."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """The decimal."""
        if isinstance(value, Decimal):
            return value
        if NUMBER.fullmatch(str(value)) is None:
            self.fail(f"{value!r}: write a number such as 100 or 12.50", param, ctx)
        return Decimal(str(value))


@dataclass(frozen=True, slots=True)
class Session:
    """Whether a broker counts as logged on, and who says so."""

    up: bool
    says: str


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule of the configuration, for the order in question."""

    rule: str
    outcome: str  # no, matches, not reached
    why: str


@dataclass(frozen=True, slots=True)
class BrokerLine:
    """One broker of the matching rule."""

    broker: str
    session: Session
    outcome: str  # takes it, passed over, not tried
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of an order. `findings` of risk are complete only where a quantity was given."""

    ok: bool
    verdict: str
    order: Routable
    rule: str
    broker: str
    rules: tuple[RuleLine, ...]
    brokers: tuple[BrokerLine, ...]
    findings: tuple[risk.Finding, ...]


@click.group()
def route() -> None:
    """Explain where orders go."""


@route.command(epilog="Example: oms route explain --client CLIENT1 --account FUND1 --symbol SAP --down BROKER2")
@click.option("--client", required=True, help="Client session (OmsName) that sends it.")
@click.option("--account", default="", help="Account(1).")
@click.option("--symbol", required=True, help="Symbol(55).")
@click.option("--exchange", default="", help="SecurityExchange(207).  [default: the instrument's]")
@click.option("--ord-type", type=FixValue(ORD_TYPES), default="limit", show_default=True, help="OrdType(40).")
@click.option("--tif", type=FixValue(TIMES_IN_FORCE), default="day", show_default=True, help="TimeInForce(59).")
@click.option("--ex-destination", default="", help="ExDestination(100).")
@click.option("--down", multiple=True, help="A broker to count as logged out; may be repeated.")
@click.option("--qty", type=Amount(), help="OrderQty(38); with it risk is judged too.")
@click.option("--price", type=Amount(), help="Price(44).")
@click.option("--stop-px", type=Amount(), help="StopPx(99).")
@click.option("--side", type=FixValue(SIDES), default="buy", show_default=True, help="Side(54).")
@output.config_option
@output.json_option
@click.pass_context
def explain(context: click.Context, path: Path, as_json: bool, down: tuple[str, ...], **asked: Any) -> None:
    """Say which route rule an order would take, which broker would get it, and why.

    With --qty (and --price) also whether risk would let it pass. Exit code 0 if a broker would get it, else 1.
    """
    config = load(path)
    _require(asked["client"], "--client", [spec.name for spec in config.role("client")])
    brokers = [spec.name for spec in config.role("broker")]
    for name in down:
        _require(name, "--down", brokers)
    found = explained(core_terms_of(config), asked, sessions_of(config, brokers, down))
    if as_json:
        output.emit_json(_as_json(found))
    else:
        _show(found, asked)
    context.exit(0 if found.ok else NOT_ROUTABLE)


def _require(name: str, option: str, known: list[str]) -> None:
    if name not in known:
        raise OperatorError(f"{option} {name}: no such session; there are {', '.join(known) or 'none'}")


def sessions_of(config: Config, brokers: list[str], down: tuple[str, ...]) -> dict[str, Session]:
    """The state of every broker's session: --down, else what the running gateway says, else logged on."""
    known: dict[str, bool] = {}
    says = "assumed: no gateway is running"
    postgres = EmbeddedPostgres(config.gateway.state_dir / "postgres")
    # An embedded server that does not run has no gateway either; it is not started for a question.
    if config.database.url is not None or postgres.postmaster() is not None:
        try:
            with open_ledger(config) as engine:
                if is_gateway_running(engine):
                    today = config.gateway.trade_date(datetime.now(UTC))
                    positions = [one.position for one in list_sessions(engine, today)]
                    known = {one.session: one.logged_on for one in positions}
                    says = "assumed: never logged on so far"
        except OperatorError as error:
            says = f"assumed: {error}"
    states = {name: Session(known[name], "ledger") if name in known else Session(True, says) for name in brokers}
    return states | {name: Session(False, "--down") for name in down}


def explained(terms: Terms, asked: Mapping[str, Any], sessions: Mapping[str, Session]) -> Explanation:
    """What the gateway would do with the order."""
    instrument = terms.instruments.get(asked["symbol"])
    exchange = asked["exchange"] or (instrument.security_exchange if instrument else "")
    order = Routable(
        asked["client"],
        asked["account"],
        asked["symbol"],
        exchange,
        asked["ord_type"],
        asked["tif"],
        asked["ex_destination"],
    )

    def is_up(broker: str) -> bool:
        return sessions[broker].up

    outcome = routing.route(terms, order, is_up)
    findings = _judged(terms, asked)
    refusal = next((one for one in findings if not one.ok), None)
    if refusal is not None and asked["qty"] is not None:
        verdict = f"It would be refused before it is routed: {refusal.rule}: {refusal.text}."
    elif outcome.broker:
        verdict = f"It would go to {outcome.broker} by rule {outcome.rule}."
        if refusal is not None:
            verdict += f" But risk would refuse it first: {refusal.rule}: {refusal.text}."
    elif outcome.rule:
        verdict = f"It would be refused: no broker of rule {outcome.rule} can take it now."
    else:
        verdict = "It would be refused: no rule matches; add one under [[routes]] in oms.toml."
    ok = bool(outcome.broker) and (refusal is None or asked["qty"] is None)
    rules = _rules(terms, order, is_up)
    taken = next((rule for rule in terms.routes if rule.name == outcome.rule), None)
    brokers = _brokers(taken, outcome, sessions) if taken else ()
    return Explanation(ok, verdict, order, outcome.rule, outcome.broker, rules, brokers, findings)


def _judged(terms: Terms, asked: Mapping[str, Any]) -> tuple[risk.Finding, ...]:
    """Risk as the gateway asks it; without a quantity only the checks that need none."""
    whole = risk.Asked(
        asked["client"],
        asked["account"],
        asked["symbol"],
        asked["side"],
        asked["ord_type"],
        asked["tif"],
        asked["qty"] if asked["qty"] is not None else Decimal(0),
        asked["price"],
        asked["stop_px"],
    )
    if asked["qty"] is not None:
        return tuple(risk.RiskBook(terms).judge(whole))
    instrument, account = terms.instruments.get(whole.symbol), terms.accounts.get(whole.account)
    facts = risk.Facts(terms.trading, instrument, account, None)
    return tuple(check(whole, facts) for check in CHECKS_OF_NAMES)


def _rules(terms: Terms, order: Routable, is_up: Any) -> tuple[RuleLine, ...]:
    lines = [
        RuleLine(name, "matches", "") if why == "matches" else RuleLine(name, "no", why)
        for name, why in routing.explain(terms, order, is_up)
    ]
    rest = terms.routes[len(lines) :]
    return tuple(lines) + tuple(RuleLine(rule.name, "not reached", "") for rule in rest)


def _brokers(rule: RouteRule, outcome: routing.Route, sessions: Mapping[str, Session]) -> tuple[BrokerLine, ...]:
    passed = dict(outcome.tried)
    lines = []
    for name in (rule.broker, *rule.fallbacks):
        state = "passed over" if name in passed else "takes it" if name == outcome.broker else "not tried"
        lines.append(BrokerLine(name, sessions[name], state, passed.get(name, "")))
    return tuple(lines)


def _as_json(found: Explanation) -> dict[str, Any]:
    order = found.order._asdict()
    del order["tags"], order["fields"]
    return {
        "ok": found.ok,
        "verdict": found.verdict,
        "order": order,
        "rule": found.rule,
        "broker": found.broker,
        "rules": found.rules,
        "brokers": found.brokers,
        "risk": [{"rule": one.rule, "ok": one.ok, "text": one.text} for one in found.findings],
    }


def _show(found: Explanation, asked: Mapping[str, Any]) -> None:
    order = found.order
    fields = (
        f"client {order.client}",
        f"Account(1) {order.account or 'absent'}",
        f"Symbol(55) {order.symbol}",
        f"SecurityExchange(207) {order.security_exchange or 'absent'}",
        f"OrdType(40) {words.ord_type(order.ord_type)}",
        f"TimeInForce(59) {words.time_in_force(order.time_in_force)}",
        f"ExDestination(100) {order.ex_destination or 'absent'}",
    )
    out = output.console()
    click.echo(f"Order: {output.clean(', '.join(fields))}")
    rules = [(number, one.rule, one.outcome, one.why) for number, one in enumerate(found.rules, 1)]
    brokers = [(one.broker, _session_text(one.session), one.outcome, one.why) for one in found.brokers]
    findings = [(one.rule, "ok" if one.ok else "refuses", one.text) for one in found.findings]
    scope = "" if asked["qty"] is not None else ", as far as it needs no --qty"
    tables = [
        output.table("Rules, first match wins", ("#>", "rule", "outcome", "why~"), rules),
        output.table(f"Brokers of {found.rule}, in turn", ("broker", "session~", "outcome", "why~"), brokers),
        output.table(f"Risk{scope}", ("check", "outcome", "finding~"), findings),
    ]
    output.print_tables(out, [made if made.row_count else None for made in tables])
    click.echo(f"\n{output.clean(found.verdict)}")


def _session_text(session: Session) -> str:
    return f"logged {'on' if session.up else 'out'} ({session.says})"

"""`oms risk`: ask the limits about an order that is not there, and about the orders of days past."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from oms import breaker_watch
from oms.cli.output import clean, config_option, console, emit_json, json_option, plural, reading, table
from oms.cli.progress import progress_bar
from oms.cli.route import SIDES, Amount, FixValue
from oms.config.load import load
from oms.config.rules import ORD_TYPES, TIMES_IN_FORCE
from oms.core.judge import LiveJudge, Verdict
from oms.core.prices import PriceBook
from oms.core.risk import Asked
from oms.core.routing import Routable
from oms.errors import OperatorError
from oms.ledger.breakers import open_breakers_of
from oms.ledger.prices import prices_of
from oms.ledger.rehearse import Rehearsal
from oms.ledger.rehearse import rehearse as rehearse_ledger
from oms.ledger.traded import exposure_of, reader_on
from oms.ops.limits_in_force import with_applied
from oms.terms import core_terms_of

DIFFERS = 1
NOBODY: frozenset[str] = frozenset()
SHOWN = 40


@dataclass(frozen=True, slots=True)
class Explanation:
    """What every check says of an order, and the whole verdict."""

    ok: bool
    verdict: str
    checks: list[list[Any]]


@click.group()
def risk() -> None:
    """Ask the limits: of one order, or of all orders of days past."""


@risk.command(epilog="Example: oms risk explain --client CLIENT1 --account FUND1 --symbol AAPL --qty 500 --price 190")
@config_option
@click.option("--client", required=True, help="Client session (OmsName) that sends it.")
@click.option("--account", default="", help="Account(1).")
@click.option("--trader", default="", help="OnBehalfOfCompID(115), else SenderSubID(50).")
@click.option("--symbol", required=True, help="Symbol(55).")
@click.option("--side", type=FixValue(SIDES), default="buy", show_default=True, help="Side(54).")
@click.option("--qty", type=Amount(), required=True, help="OrderQty(38).")
@click.option("--price", type=Amount(), help="Price(44).")
@click.option("--stop-px", type=Amount(), help="StopPx(99).")
@click.option("--ord-type", type=FixValue(ORD_TYPES), default="limit", show_default=True, help="OrdType(40).")
@click.option("--tif", type=FixValue(TIMES_IN_FORCE), default="day", show_default=True, help="TimeInForce(59).")
@json_option
@click.pass_context
def explain(context: click.Context, path: Path, as_json: bool, **asked: Any) -> None:
    """What each check would say of an order now, with what is open and has traded by the ledger.

    Limits are those that `oms limits apply` put in force, else those of the files. Brokers count as logged on. Exit
    code 0 if the order would be taken, 1 if not.
    """
    with reading(path) as (config, engine):
        if asked["client"] not in config.sessions:
            known = ", ".join(spec.name for spec in config.role("client"))
            raise OperatorError(f"--client {asked['client']}: no such session; there are {known}")
        with closing(reader_on(engine)) as reader:
            config = with_applied(config, reader)
        terms = core_terms_of(config)._replace(trading=True)
        assert isinstance(terms.instruments, dict)
        prices_of(engine, PriceBook(terms.instruments))
        judge = LiveJudge(terms, lambda broker: True)
        judge.breakers = breaker_watch.made(config, {}, open_breakers_of(engine), datetime.now(UTC))
        now = datetime.now(UTC)
        day = config.gateway.trade_date(now)
        if judge.exposure is not None:
            exposure_of(engine, judge.exposure, day, terms.instruments, config.gateway.rollover)
    found = explained(judge, asked, now, day)
    if as_json:
        emit_json(found)
    else:
        rows = [("refused" if not ok else "warns" if text.startswith("soft: ") else "ok", rule, text)
                for rule, ok, text in found.checks]  # fmt: skip
        console().print(table("Checks, in their order", ("", "check", "what it compared~"), rows))
        click.echo(clean(found.verdict))
    context.exit(0 if found.ok else DIFFERS)


def explained(judge: LiveJudge, asked: dict[str, Any], now: datetime, day: date) -> Explanation:
    """The verdict of the judge on an order of these terms."""
    whole = Asked(
        asked["client"], asked["account"], asked["symbol"], asked["side"], asked["ord_type"], asked["tif"],
        asked["qty"], asked["price"], asked["stop_px"], asked["trader"], Decimal(0), now, day,
    )  # fmt: skip
    order = Routable(asked["client"], asked["account"], asked["symbol"], "", asked["ord_type"], asked["tif"], "")
    verdict = judge.new_order(whole, order, NOBODY)
    return Explanation(verdict.ok, _words(verdict), verdict.detail.get("checks", []))


def _words(verdict: Verdict) -> str:
    if verdict.ok:
        return f"It would be taken and go to {verdict.broker} by rule {verdict.route_rule}."
    return f"It would be refused: {verdict.text}."


@risk.command(epilog="Example: oms risk rehearse --rules new/oms.toml --from 2026-11-16 --to 2026-11-20")
@config_option
@click.option("--rules", type=click.Path(path_type=Path), required=True, help="oms.toml with the limits to try.")
@click.option(
    "--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First trade date.  [default: all there are]"
)
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last trade date.  [default: all there are]")
@json_option
@click.pass_context
def rehearse(
    context: click.Context, path: Path, rules: Path, first: datetime | None, last: datetime | None, as_json: bool
) -> None:
    """Ask other limits and routes about the orders and replaces that came, before they go live.

    History is replayed as it went: exposure and sessions are those of the moment. Exit code 0 if the rules would have
    said the same of every order, 1 if not.
    """
    candidate = core_terms_of(load(rules))
    days = (first.date() if first else date.min, last.date() if last else date.max)
    if days[0] > days[1]:
        raise OperatorError(f"--from {days[0]} is after --to {days[1]}; exchange them")
    with reading(path) as (_, engine), progress_bar("rehearsal", as_json) as progress:
        found = rehearse_ledger(engine, candidate, *days, progress)
    if as_json:
        emit_json(found._asdict() | {"differing": [one._asdict() for one in found.differing]})
    else:
        show_rehearsal(found)
    context.exit(DIFFERS if found.differing else 0)


def show_rehearsal(found: Rehearsal) -> None:
    """A rehearsal for people."""
    if found.differing:
        rows = [
            (one.at[:19].replace("T", " "), one.client, one.cl_ord_id, one.account, one.symbol, one.order_qty,
             one.price, one.was, one.would_be, one.text)
            for one in found.differing[:SHOWN]
        ]  # fmt: skip
        columns = (
            "received (UTC)", "client", "ClOrdID(11)", "Account(1)", "Symbol(55)", "OrderQty(38)>", "Price(44)>",
            "was", "would be", "why~",
        )  # fmt: skip
        console().print(table("Orders of which the rules say otherwise", columns, rows))
        if len(found.differing) > SHOWN:
            click.echo(f"and {len(found.differing) - SHOWN} more (--json shows all)")
    click.echo(
        f"{plural(found.judged, 'decision')} asked again: {found.was_refused} were refused,"
        f" {found.would_be_refused} would be; {plural(len(found.differing), 'difference')}."
    )
    for rule, count in found.newly_refused.most_common():
        click.echo(f"newly refused by {rule}: {count}")

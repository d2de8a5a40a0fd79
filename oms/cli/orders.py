"""`oms orders`: list orders, show one, explain one from the first message to the last, cancel or settle it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from oms.cli import explain as printing
from oms.cli import words
from oms.cli.fix_names import SessionNames
from oms.cli.orders_view import (
    children_table,
    fills_json,
    fills_table,
    items_table,
    order_details,
    orders_table,
    requests_table,
)
from oms.cli.output import (
    NotFound,
    Since,
    config_option,
    console,
    emit_json,
    json_option,
    limit_option,
    print_tables,
    reading,
    reason_option,
    state_dir_of,
)
from oms.cli.settle import settle_command
from oms.errors import OperatorError
from oms.ledger import queries
from oms.ledger.database import Engine
from oms.ledger.moment import days_away
from oms.ledger.records import ClientOrder, Match, OrderStory
from oms.ops.control import call

MESSAGES = 50
IDENTIFIER_HELP = """ID is an OrderID(37), a ClOrdID(11) or an ExecID(17), the client's or the broker's, of the
    order or of a cancel or replace of it."""


@click.group(short_help="List, show, explain, cancel and settle orders.")
def orders() -> None:
    """Orders in the ledger: list, show, cancel and settle them, explain one from its first message to its last."""


orders.add_command(settle_command)


def _statuses(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for text in given:
        value = words.status_value(text)
        if value is None:
            known = ", ".join(
                f"{name.lower().replace(' ', '-')} ({value})" for value, name in words.ORD_STATUS.items()
            )
            raise click.BadParameter(f"{text!r} is no OrdStatus(39); choose from: {known}")
        found.append(value)
    return tuple(found)


@orders.command("list", epilog="Example: oms orders list --client CLIENT1 --live --since 2h")
@config_option
@click.option("--client", help="Client session.")
@click.option("--broker", help="Broker session that has or had the order.")
@click.option("--account", help="Account(1).")
@click.option("--symbol", help="Symbol(55).")
@click.option("--status", "statuses", multiple=True, callback=_statuses, help="OrdStatus(39): a word or its value.")
@click.option("--live", is_flag=True, help="Only orders that are alive.")
@click.option("--since", type=Since(), help="Received since: 2026-03-02, 13:00, 30m, 2h, 1d (UTC).")
@limit_option
@json_option
def list_(
    path: Path,
    client: str | None,
    broker: str | None,
    account: str | None,
    symbol: str | None,
    statuses: tuple[str, ...],
    live: bool,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List orders, newest first."""
    wanted = queries.OrderFilter(client, broker, account, symbol, statuses, live, since=since)
    with reading(path) as (_, engine):
        found = queries.list_orders(engine, wanted, limit)
        if as_json:
            emit_json(found)
        elif found:
            show_orders(engine, found)
            if len(found) == limit:
                click.echo(f"The newest {limit}; --limit shows more.")
        else:
            click.echo("No orders match.")


def show_orders(engine: Engine, found: list[ClientOrder]) -> None:
    """Print orders as a table."""
    ids = [order.order_id for order in found]
    console().print(orders_table(found, queries.brokers_of(engine, ids), queries.open_items_of(engine, ids)))


@orders.command(
    "show", help=f"Show one order and what belongs to it.\n\n{IDENTIFIER_HELP}", epilog="Example: oms orders show O1"
)
@click.argument("identifier", metavar="ID")
@config_option
@json_option
def show(identifier: str, path: Path, as_json: bool) -> None:
    """Show one order."""
    with reading(path) as (_, engine):
        story = _story_of(engine, identifier)
        if story is None:
            raise _not_found(identifier)
        if as_json:
            emit_json(
                {
                    "order": story.order,
                    "children": story.children,
                    "requests": story.requests,
                    "fills": fills_json(story.fills, story.witnesses),
                    "exceptions": story.items,
                }
            )
            return
        out = console()
        out.print(order_details(story.order))
        belonging = (
            children_table(story.children),
            requests_table(story.requests),
            fills_table(story.fills, story.witnesses),
            items_table(story.items),
        )
        print_tables(out, belonging)


@orders.command(
    "explain",
    help=f"Tell the whole story of one order: raw FIX, rules, states, ledger rows, times.\n\n{IDENTIFIER_HELP}",
    epilog="Example: oms orders explain O1, or with the raw messages: oms orders explain O1 --raw",
)
@click.argument("identifier", metavar="ID")
@click.option("--raw", is_flag=True, help="Only the messages, one per line, | for SOH.")
@config_option
@json_option
def explain(identifier: str, raw: bool, path: Path, as_json: bool) -> None:
    """Explain one order."""
    with reading(path) as (config, engine):
        names = SessionNames(config)
        story = _story_of(engine, identifier)
        if story is not None:
            away = days_away(engine, story)
            if raw:
                printing.explain_raw(story.entries)
            elif as_json:
                printing.explain_json(story, names, away)
            else:
                printing.explain_text(story, names)
            printing.explain_away(away, quiet=as_json)
            return
        entries = queries.find_messages(engine, identifier, MESSAGES)
        if not entries:
            raise _not_found(identifier)
        if raw:
            printing.explain_raw(entries)
        elif as_json:
            printing.messages_json(entries, identifier, names)
        else:
            printing.explain_messages(entries, identifier, names)


@orders.command("cancel", epilog='Example: oms orders cancel O00000002F --reason "the broker knows it, we do not"')
@click.argument("order_id", metavar="ORDERID")
@reason_option
@config_option
@json_option
def cancel(order_id: str, text: str, path: Path, as_json: bool) -> None:
    """Ask the broker to cancel an order, a client's or an adopted one. Its answer shows in `oms orders show`.

    ORDERID is the OrderID(37) of ours. A broker that is logged out gets the cancel at its next logon.
    """
    answer = call(state_dir_of(path), "orders.cancel", {"order_id": order_id, "text": text})
    if as_json:
        emit_json(answer)
        return
    how = "waits for the logon of" if answer["state"] == "held" else "goes to"
    click.echo(
        f"The cancel of {order_id} {how} {answer['broker']} as ClOrdID(11) {answer['cl_ord_id']}"
        f" (journal row {answer['journal_seq']})."
    )


def _story_of(engine: Engine, identifier: str) -> OrderStory | None:
    """The story of the one order that an identifier names, None where it names none."""
    found = queries.find_order(engine, identifier)
    exact = [match for match in found if match.order.order_id == identifier]
    found = exact or found
    if len(found) > 1:
        raise _several(identifier, found)
    return queries.order_story(engine, found[0].order.order_id) if found else None


def _several(identifier: str, found: list[Match]) -> OperatorError:
    listed = "\n".join(
        f"  {match.order.order_id}  {match.order.trade_date}  {match.order.client}  {match.order.symbol}"
        f"  {words.ord_status(match.order.ord_status)}  ({', '.join(match.matched)})"
        for match in found
    )
    return OperatorError(f"{identifier} names {len(found)} orders; name one by its OrderID(37):\n{listed}")


def _not_found(identifier: str) -> NotFound:
    return NotFound(
        f"no order and no message in the ledger has the identifier {identifier!r}; oms orders list shows orders"
    )

"""``oms check``: read the whole configuration, and show what is configured or everything that is wrong.

Starts nothing, writes nothing, connects to nothing. Exit code 0: the gateway would start with it; 2: it would
not.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from oms.config.load import Config, load
from oms.config.sessions import SessionSpec
from oms.errors import ConfigError, Problem
from oms.fix.store import missing_stores

PLAIN_WIDTH = 120


@click.command(epilog="Example: oms check --config desk/oms.toml")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("oms.toml"),
    envvar="OMS_CONFIG",
    show_default=True,
    help="The configuration; also from OMS_CONFIG.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def check(context: click.Context, path: Path, as_json: bool) -> None:
    """Check a configuration and show what it says: sessions, routes, limits, instruments, accounts."""
    try:
        config = load(path)
    except ConfigError as error:
        _refuse(error, as_json)
        context.exit(2)
    if as_json:
        click.echo(json.dumps(_as_json(config), indent=2))
    else:
        _show(config)


def _refuse(error: ConfigError, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"ok": False, "problems": [_problem(problem) for problem in error.problems]}, indent=2))
        return
    count = len(error.problems)
    click.echo(f"{count} {'problem' if count == 1 else 'problems'}: the gateway will not start.", err=True)
    click.echo(error.report(), err=True)


def _problem(problem: Problem) -> dict[str, str]:
    return {
        "file": str(problem.file),
        "key": problem.key,
        "problem": problem.problem,
        "remedy": problem.remedy,
    }


def _session(spec: SessionSpec) -> dict[str, Any]:
    host = spec.host or "*"
    version = spec.begin_string if spec.transport_dictionary is None else f"{spec.begin_string} {spec.appl_ver_id}"
    return ({"drop_copy_of": spec.drop_copy_of} if spec.drop_copy_of else {}) | {
        "name": spec.name,
        "role": spec.role,
        "version": version,
        "session_id": spec.session_id,
        "address": f"{host}:{spec.port}",
        "tls": spec.tls,
        "dialect": spec.dialect.name,
        "dictionaries": list(spec.dictionaries),
    }


def _as_json(config: Config) -> dict[str, Any]:
    return {
        "ok": True,
        "config": str(config.path),
        "gateway": config.gateway.model_dump(mode="json"),
        "database": "embedded" if config.database.url is None else "configured",
        "sessions": [_session(spec) for spec in config.sessions.values()],
        "missing_stores": missing_stores(config.sessions.values()),
        "routes": [rule.model_dump(mode="json") for rule in config.routes],
        "limits": [rule.model_dump(mode="json") for rule in config.limits],
        "breakers": [rule.model_dump(mode="json") for rule in config.breakers],
        "prices": [{"name": one.name, "kind": one.kind} for one in config.prices.source],
        "limit_rows": len(config.limit_rows),
        "instruments": len(config.instruments),
        "accounts": len(config.accounts),
        "warnings": [_problem(problem) for problem in config.warnings],
    }


def _show(config: Config) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH  # a file or a pipe has no width of its own
    gateway = config.gateway
    heads = (
        ("configuration", str(config.path)),
        ("gateway", f"{gateway.name}, environment {gateway.environment}, trading {gateway.trading}"),
        ("trade date", f"begins at {gateway.trading_day_rollover:%H:%M:%S} UTC"),
        ("state", str(gateway.state_dir)),
        ("stores", _stores(config)),
        (
            "database",
            "embedded Postgres" if config.database.url is None else "the Postgres of [database] url",
        ),
        ("instruments", _instruments(config)),
        *([("limit rows", _limit_rows(config))] if config.files.limits else []),
        *([("breakers", _breakers(config))] if config.breakers else []),
        *(
            [("prices", ", ".join(f"{one.name} ({one.kind})" for one in config.prices.source))]
            if config.prices.source
            else []
        ),
        ("accounts", f"{len(config.accounts)}, {sum(a.active for a in config.accounts.values())} active"),
    )
    for name, value in heads:
        console.print(f"{name:<14}{value}", markup=False, soft_wrap=True)
    for table in (_sessions_table(config), _routes_table(config), _limits_table(config)):
        console.print()
        console.print(table)
    for warning in config.warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    console.print("ok", markup=False)


def _breakers(config: Config) -> str:
    return ", ".join(f"{rule.name} ({rule.measure})" for rule in config.breakers)


def _limit_rows(config: Config) -> str:
    kinds = Counter(row.control for row in config.limit_rows)
    return f"{len(config.limit_rows)}: " + ", ".join(f"{count} {name}" for name, count in sorted(kinds.items()))


def _stores(config: Config) -> str:
    """How many sessions have a message store; one that is missing is new, or lost, which only the ledger knows."""
    missing = missing_stores(config.sessions.values())
    text = f"{len(config.sessions) - len(missing)} of {len(config.sessions)} sessions have a message store"
    if missing:
        text += f"; not {', '.join(missing)}: new, or lost (oms run --new-machine makes lost ones again)"
    return text


def _instruments(config: Config) -> str:
    instruments = config.instruments.values()
    currencies = sorted({instrument.currency for instrument in instruments})
    exchanges = sorted({instrument.security_exchange for instrument in instruments})
    return f"{len(instruments)} in {', '.join(currencies)} on {', '.join(exchanges)}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column.startswith("max ") else "left")
    return table


def _sessions_table(config: Config) -> Table:
    table = _table("Sessions", "name", "role", "version", "session", "address", "dialect")
    for spec in config.sessions.values():
        row = _session(spec)
        address = row["address"] + (" TLS" if spec.tls else "")
        role = f"drop copy of {spec.drop_copy_of}" if spec.drop_copy_of else spec.role
        table.add_row(spec.name, role, row["version"], spec.session_id, address, spec.dialect.name)
    return table


def _routes_table(config: Config) -> Table:
    table = _table("Routes, first match wins", "#", "name", "for orders with", "broker", "fallbacks")
    keys = ("client", "account", "symbol", "security_exchange", "ord_type", "ex_destination")
    for number, rule in enumerate(config.routes, 1):
        aims = [f"{key} {' or '.join(getattr(rule, key))}" for key in keys if "*" not in getattr(rule, key)]
        aimed = ", ".join(aims) or "anything"
        table.add_row(str(number), rule.name, aimed, rule.broker, ", ".join(rule.fallbacks) or "none")
    return table


def _limits_table(config: Config) -> Table:
    table = _table(
        "Limits per order, most specific wins",
        "client",
        "account",
        "symbol",
        "max OrderQty(38)",
        "max notional",
    )
    for rule in config.limits:
        amounts = (f"{rule.max_order_qty:,}", f"{rule.max_order_notional:,}")
        table.add_row(rule.client, rule.account, rule.symbol, *amounts)
    return table

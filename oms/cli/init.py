"""``oms init``: write a commented, working configuration into a directory.

Refuses to overwrite any file unless told so; writes nothing before it knows that it may.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from oms.config.templates import BROKER_PORT, CLIENT_PORT, demo_files, write_demo
from oms.errors import OperatorError

PORT = click.IntRange(1, 65534)


@click.command(epilog="Example: oms init desk && oms check --config desk/oms.toml")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=True))
@click.option("--trading", type=click.Choice(["on", "off"]), default="off", help="What [gateway] trading says.")
@click.option(
    "--client-port", type=PORT, default=CLIENT_PORT, show_default=True, help="Port that clients connect to."
)
@click.option(
    "--broker-port",
    type=PORT,
    default=BROKER_PORT,
    show_default=True,
    help="Port of BROKER1; BROKER2 has the next one.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def init(
    context: click.Context,
    directory: Path,
    trading: str,
    client_port: int,
    broker_port: int,
    force: bool,
    as_json: bool,
) -> None:
    """Write a working configuration into DIRECTORY: two clients and two brokers on this machine.

    The files explain themselves; trading is off until oms.toml says on.
    """
    names = list(demo_files())
    try:
        config = _write(directory, names, trading, client_port, broker_port, force)
    except OperatorError as error:
        text = json.dumps({"ok": False, "problem": str(error)}) if as_json else f"oms init: {error}"
        click.echo(text, err=not as_json)
        context.exit(2)
    if as_json:
        click.echo(json.dumps({"ok": True, "config": str(config), "files": names}))
    else:
        _tell(config, names, trading)


def _write(directory: Path, names: list[str], trading: str, client_port: int, broker_port: int, force: bool) -> Path:
    """Write the files if nothing speaks against it. Raises OperatorError before anything is written."""
    brokers = (broker_port, broker_port + 1)
    there = [name for name in names if (directory / name).exists()]
    if client_port in brokers:
        taken = f"{brokers[0]} and {brokers[1]} are the brokers' ports"
        raise OperatorError(f"--client-port {client_port}: {taken}; choose another")
    if directory.exists() and not directory.is_dir():
        raise OperatorError(f"{directory} is not a directory; name another")
    if there and not force:
        remedy = f"name another directory, or add --force to overwrite {', '.join(there)}"
        raise OperatorError(f"{directory / there[0]} exists; {remedy}")
    try:
        return write_demo(directory, client_port=client_port, broker_ports=brokers, trading=trading)
    except OSError as error:
        remedy = "name a directory this user can write to"
        raise OperatorError(f"cannot write {error.filename}: {error.strerror}; {remedy}") from error


def _tell(config: Path, names: list[str], trading: str) -> None:
    what = {
        "oms.toml": "gateway, database, limits, routes",
        "sessions.cfg": "FIX sessions: CLIENT1, CLIENT2, BROKER1, BROKER2",
        "instruments.csv": "instruments that may be traded",
        "accounts.csv": "accounts, and who may use them",
        "limits.csv": "limits on projections: not in force until oms.toml names it",
        "markets.toml": "trading hours and holidays: not in force until oms.toml names it",
    }
    click.echo(f"Written to {config.parent}:")
    for name in names:
        click.echo(f"  {name:<34}{what.get(name, 'dialect of a counterparty')}")
    if trading == "off":
        click.echo(f'Trading is off: write trading = "on" in {config} when it is time.')
    click.echo(f"Next: oms check --config {config}, then oms run --config {config}")

"""``oms sim broker`` and ``oms sim client``: the simulators in a process of their own.

Both run in the foreground, show live figures on a terminal or JSON status lines with --json, and stop cleanly on
SIGINT and SIGTERM: logged out, record closed, summary.json written. Exit code 0; 1 where the client found violations
or something failed inside; 2 for what the operator must mend.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from oms.errors import OperatorError
from oms.sim.broker import BrokerSim
from oms.sim.client import ClientSim
from oms.sim.flow import Plan, generate, read_plans
from oms.sim.matching import Instrument, read_instruments
from oms.sim.record import to_json
from oms.sim.script import read_behaviour
from oms.sim.session import VERSIONS, SessionSpec, tls_settings
from oms.sim.station import Station

STATUS_SECONDS = 1.0
LOOK_SECONDS = 0.25
PORT = click.IntRange(1, 65535)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def sim() -> None:
    """Simulated brokers and clients over real FIX sessions, for demos, paper trading and certification."""


def _session_options(command: Any) -> Any:
    """The options that both simulators have."""
    options = (
        click.option("--name", required=True, help="Name in the record, the summary and tag 7001."),
        click.option("--version", type=click.Choice(VERSIONS), default="4.4", show_default=True, help="FIX version."),
        click.option("--port", type=PORT, required=True, help="Port to listen on, or of the gateway."),
        click.option("--sender", help="SenderCompID(49).  [default: the name]"),
        click.option("--target", default="OMS", show_default=True, help="TargetCompID(56)."),
        click.option(
            "--dir",
            "directory",
            type=click.Path(path_type=Path, file_okay=False),
            required=True,
            help="Directory of the FIX store, record.jsonl and summary.json; run again with it to go on.",
        ),
        click.option(
            "--tls",
            type=FILE,
            nargs=3,
            metavar="CERTIFICATE KEY AUTHORITY",
            help="TLS: PEM files of its certificate, its key, and the authority of the other side's certificate.",
        ),
        click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything random."),
        click.option("--symbols", type=FILE, help="instruments.csv of the gateway: symbols, prices, ticks, lots."),
        click.option("--json", "as_json", is_flag=True, help="A JSON status line each second, the summary last."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@sim.command(
    epilog="Example: oms sim broker --name BROKER1 --version 4.2 --port 9881 --dir run/broker1 --behaviour rules.toml"
)
@_session_options
@click.option("--behaviour", type=FILE, help="TOML file of rules and steps; docs/simulators.md explains it.")
@click.option(
    "--drop-copy-port", type=PORT, help="Listen there for a drop copy session too, as NAME-COPY (SenderCompID(49))."
)
@click.pass_context
def broker(
    context: click.Context,
    name: str,
    version: str,
    port: int,
    sender: str | None,
    target: str,
    directory: Path,
    tls: tuple[Path, Path, Path] | None,
    seed: int,
    symbols: Path | None,
    as_json: bool,
    behaviour: Path | None,
    drop_copy_port: int | None,
) -> None:
    """Run a simulated broker: a FIX acceptor that fills against a price walk or a script.

    It keeps its orders through a restart with the same --dir. With --symbols it knows only these symbols. It runs
    until it is stopped.
    """
    with _operator_errors(context, "oms sim broker"):
        spec = _secured(SessionSpec(name, "acceptor", version, sender or name, target, port, directory), tls)
        rules = read_behaviour(behaviour) if behaviour else None
        instruments = _instruments(symbols)
        station = BrokerSim(spec, rules, seed=seed, instruments=instruments, drop_copy_port=drop_copy_port or 0)
        context.exit(_run(station, as_json))


@sim.command(
    epilog="Example: oms sim client --name CLIENT1 --port 9880 --dir run/client1 --generate 200 --rate 50 "
    "--symbols instruments.csv --account FUND1"
)
@_session_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the gateway.")
@click.option("--orders", type=FILE, help="CSV file of orders, cancels and replaces; docs/simulators.md explains it.")
@click.option("--generate", "number", type=click.IntRange(1, 10_000_000), help="Number of orders to make up instead.")
@click.option(
    "--account", "accounts", multiple=True, default=("HOUSE",), show_default=True, help="Account(1) to trade with."
)
@click.option(
    "--rate", type=click.FloatRange(0), default=20.0, show_default=True, help="Orders a second; 0: no limit."
)
@click.option(
    "--max-in-flight", type=click.IntRange(0), default=0, help="Most unfinished orders at once; 0: no limit."
)
@click.option(
    "--idle-timeout",
    type=click.FloatRange(0.1),
    default=30.0,
    show_default=True,
    help="Seconds without any message after which it cancels what works, waits as long again, and ends.",
)
@click.option(
    "--reconnect-timeout",
    type=click.FloatRange(0.1),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the gateway while it is away, before it ends.",
)
@click.option("--until-stopped", is_flag=True, help="Stay logged on after the last order, until stopped.")
@click.pass_context
def client(
    context: click.Context,
    name: str,
    version: str,
    port: int,
    sender: str | None,
    target: str,
    directory: Path,
    tls: tuple[Path, Path, Path] | None,
    seed: int,
    symbols: Path | None,
    as_json: bool,
    host: str,
    orders: Path | None,
    number: int | None,
    accounts: tuple[str, ...],
    rate: float,
    max_in_flight: int,
    idle_timeout: float,
    reconnect_timeout: float,
    until_stopped: bool,
) -> None:
    """Run a simulated client: a FIX initiator that replays a file of orders or makes up a seeded flow.

    It checks every report, measures the time from order to first report, and ends when all orders are finished. Run
    again with the same --dir and orders, it goes on where it was and sends no order twice.
    """
    with _operator_errors(context, "oms sim client"):
        if (orders is None) == (number is None):
            raise OperatorError("say what to send: either --orders FILE or --generate N")
        instruments = _instruments(symbols)
        plans: Iterator[Plan] = (
            iter(read_plans(orders)) if orders else generate(number or 0, seed, instruments, accounts)
        )
        spec = _secured(SessionSpec(name, "initiator", version, sender or name, target, port, directory, host), tls)
        station = ClientSim(
            spec,
            plans,
            rate=rate,
            max_in_flight=max_in_flight,
            idle_seconds=idle_timeout,
            reconnect_seconds=reconnect_timeout,
            seed=seed,
        )
        context.exit(_run(station, as_json, until_stopped))


@contextmanager
def _operator_errors(context: click.Context, command: str) -> Iterator[None]:
    try:
        yield
    except OperatorError as error:
        click.echo(f"{command}: {error}", err=True)
        context.exit(2)


def _secured(spec: SessionSpec, tls: tuple[Path, Path, Path] | None) -> SessionSpec:
    """The session, over TLS where files for it are given. Raises OperatorError."""
    return replace(spec, tls=True, settings=tls_settings(spec.direction, *tls)) if tls else spec


def _instruments(path: Path | None) -> Mapping[str, Instrument] | None:
    return read_instruments(path) if path else None


# --- running one ------------------------------------------------------------------------------------------


def _run(station: Station, as_json: bool, until_stopped: bool = False) -> int:
    """Run until it has finished, unless told to stay, or a signal comes; returns the exit code."""
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        station.start()
        _watch(station, stopping, as_json, until_stopped)
        summary = station.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if as_json:
        _say({"state": "stopped", **summary})
    else:
        Console(highlight=False).print(_table(station.spec.name, "stopped", summary))
    return 1 if summary.get("violations") or summary["failures"] else 0


def _watch(station: Station, stopping: list[int], as_json: bool, until_stopped: bool) -> None:
    """Show how it goes until it ends: a table on a terminal, JSON lines if asked for, else nothing."""
    console = Console(highlight=False)
    live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal and not as_json else None
    next_status = datetime.now(UTC).timestamp()
    if live is not None:
        live.start()
    try:
        while not stopping and not _over(station, until_stopped):
            moment = datetime.now(UTC).timestamp()
            if live is not None:
                live.update(_table(station.spec.name, _state(station), station.summary()), refresh=True)
            elif as_json and moment >= next_status:
                _say({"state": _state(station), **station.summary()})
                next_status = moment + STATUS_SECONDS
    finally:
        if live is not None:
            live.stop()


def _over(station: Station, until_stopped: bool) -> bool:
    """Wait a moment; whether it has finished and may end."""
    if not until_stopped:
        return station.wait(LOOK_SECONDS)
    return station.wait_for(lambda: False, LOOK_SECONDS)


def _state(station: Station) -> str:
    if not station.logged_on:
        return "waiting for the other side"
    return "finished" if station.finished else "logged on"


def _say(values: Mapping[str, Any]) -> None:
    line = {"at": datetime.now(UTC), **values}
    click.echo(json.dumps(line, default=to_json, separators=(",", ":")))


def _table(name: str, state: str, summary: Mapping[str, Any]) -> Table:
    table = Table(title=f"{name}: {state}", title_justify="left", show_header=False, box=None)
    for key, value in summary.items():
        if key in ("name", "role") or value in ([], {}, ""):
            continue
        if isinstance(value, dict):
            value = "  ".join(f"{inner} {figure}" for inner, figure in value.items())
        elif isinstance(value, list):
            value = "\n".join(str(item) for item in value)
        table.add_row(key.replace("_", " "), str(value))
    return table

"""The root of `oms`: which commands there are, and how their errors end.

A command's module is imported only when the command is asked for, so that `oms --help` answers at once.
Exit codes of every command: 0 done, 1 not verified or views differ, 2 bad input or configuration, 3 not found.
An OperatorError ends as its message on standard error, never as a traceback.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import click

from oms import __version__
from oms.config.secrets import redact
from oms.errors import ConfigError, OperatorError
from oms.ops.way import use

BAD_INPUT = 2
FILE = click.Path(path_type=Path)


class Entry(NamedTuple):
    """A command: its module, which holds it under the command's own name, and its line in the help."""

    module: str
    help: str


COMMANDS = {
    "init": Entry("oms.cli.init", "Write a working configuration into a directory."),
    "check": Entry("oms.cli.check", "Check a configuration and show what it says."),
    "run": Entry("oms.cli.run", "Run the gateway in the foreground."),
    "start-report": Entry("oms.cli.start_report", "What a start found and did, step by step."),
    "demo": Entry("oms.cli.demo", "Gateway, brokers and clients on this machine; prove that their views agree."),
    "sim": Entry("oms.cli.sim", "Simulated brokers and clients."),
    "certify": Entry("oms.cli.certify", "The standard's order state scenarios against a gateway; a dated report."),
    "orders": Entry("oms.cli.orders", "List, show and explain orders."),
    "fills": Entry("oms.cli.fills", "List fills, corrections and busts; enter those that were told otherwise."),
    "positions": Entry("oms.cli.positions", "Positions per account, symbol and broker, from fills alone."),
    "sessions": Entry("oms.cli.sessions", "List and show FIX sessions; log them on and out; set their numbers."),
    "health": Entry("oms.cli.health", "Whether the gateway is well; exit code 1 if not."),
    "people": Entry("oms.cli.people", "Operators: roles, scopes, tokens."),
    "access": Entry("oms.cli.access", "Who may do what, and who did it last."),
    "approvals": Entry("oms.cli.approvals", "Approve or reject what another operator proposed."),
    "trading": Entry("oms.cli.trading", "Switch trading on or off; see since when and why it is off."),
    "kill": Entry("oms.cli.kill", "Stop trading for a scope, prove it, release it."),
    "limits": Entry("oms.cli.limits", "Limits in force: show, compare, apply others while trading, their history."),
    "breakers": Entry("oms.cli.breakers", "Circuit breakers: what opens by itself; list, show, trip, reset."),
    "prices": Entry("oms.cli.prices", "Reference prices and their age; load new ones."),
    "reconcile": Entry("oms.cli.reconcile", "What comparing our orders with brokers found."),
    "exceptions": Entry("oms.cli.exceptions", "List what contradicts what we know, and close it."),
    "dialect": Entry("oms.cli.dialect", "Try the tag rules of a counterparty on a message; list and show dialects."),
    "route": Entry("oms.cli.route", "Explain which route an order would take."),
    "risk": Entry("oms.cli.risk", "Ask the limits about an order, or about the orders of days past."),
    "verify": Entry("oms.cli.verify", "Prove the journal: hash chain, and replay equals tables."),
    "archive": Entry("oms.cli.archive", "Days of the journal into files, and back for questions."),
    "db": Entry("oms.cli.db", "Migrate the ledger's database and show its state."),
}


class Oms(click.Group):
    """The group of all commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a person needs them; only what is installed."""
        return [name for name, entry in COMMANDS.items() if find_spec(entry.module) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or None."""
        entry = COMMANDS.get(cmd_name)
        if entry is None or find_spec(entry.module) is None:
            return None
        command: click.Command = getattr(import_module(entry.module), cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what an operator must mend ends as one message."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            told = f"the configuration is wrong; oms check shows it all\n{error.report()}"
        except OperatorError as error:
            told = str(error)
        click.echo(f"oms: {redact(told)}", err=True)
        ctx.exit(BAD_INPUT)


@click.group(
    cls=Oms,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Begin with: oms init desk && oms check --config desk/oms.toml && oms run --config desk/oms.toml",
)
@click.version_option(__version__, prog_name="oms")
@click.option(
    "--control",
    metavar="tls://HOST:PORT",
    default="",
    envvar="OMS_CONTROL",
    help="Command the gateway that listens there, rather than that of this machine; also from OMS_CONTROL.",
)
@click.option("--ca", type=FILE, envvar="OMS_CONTROL_CA", help="PEM file of the authority of its certificate.")
@click.option("--cert", type=FILE, envvar="OMS_CONTROL_CERT", help="PEM file of your certificate and its key.")
@click.option("--token-file", type=FILE, envvar="OMS_TOKEN_FILE", help="File with your token; else from OMS_TOKEN.")
@click.option("--token-command", envvar="OMS_TOKEN_COMMAND", help="Program that prints your token.")
def oms(control: str, ca: Path | None, cert: Path | None, token_file: Path | None, token_command: str | None) -> None:
    """An open FIX order gateway: client FIX in, broker FIX out, every fill in Postgres."""
    use(control, ca, cert, token_file, token_command)


def main() -> None:
    """Entry point of the command `oms`."""
    oms(prog_name="oms")

"""`oms sessions set-seq`: what setting a session's sequence numbers would do; confirmed, it is done or proposed.

The running gateway shows and does it. Without one it is shown from the ledger and the session's store, and nothing
is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oms.cli.approvals import say_done
from oms.cli.output import config_option, emit_json, json_option, reading
from oms.config.load import Config, load
from oms.errors import OperatorError
from oms.ops.control import NoGateway, call

number = click.IntRange(1, 999_999_999)


@click.command("set-seq", epilog='Example: oms sessions set-seq BROKER1 --next-in 118 --reason "agreed with them"')
@click.argument("session")
@click.option("--next-out", type=number, help="MsgSeqNum(34) that we send next.")
@click.option("--next-in", type=number, help="MsgSeqNum(34) that we expect next.")
@click.option("--reason", "text", default="", help="Why; kept in the journal with your name.")
@click.option("--show", "only_show", is_flag=True, help="Show what it would do, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask: you have read what --show says.")
@config_option
@json_option
def set_seq(
    session: str,
    next_out: int | None,
    next_in: int | None,
    text: str,
    only_show: bool,
    yes: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Set a session's sequence numbers, after showing what is resent, gap-filled or lost.

    The session is logged out for it. Where fills or orders are at risk it is proposed, and another operator approves
    it (oms approvals).
    """
    if next_out is None and next_in is None:
        raise click.UsageError("say which number is to be set: --next-out N, --next-in N, or both")
    if as_json and not (only_show or yes):
        raise click.UsageError("--json goes with --show, or with --yes")
    if not only_show and not text.strip():
        raise click.UsageError("say why: --reason TEXT (or --show to do nothing)")
    args = {"session": session}
    args |= {"next_out": str(next_out)} if next_out is not None else {}
    args |= {"next_in": str(next_in)} if next_in is not None else {}
    config = load(path)
    try:
        effect = call(config.gateway.state_dir, "sessions.preview_seq", args)
    except NoGateway as error:
        _without_gateway(path, config, args, as_json, error)
        return
    if not as_json:
        _show(effect)
    if only_show:
        if as_json:
            emit_json(effect)
        return
    if not yes:
        click.confirm("\nPropose this?" if effect["needs_two"] else "\nDo this?", abort=True, err=True)
    args |= {"text": text, "at_risk": ",".join(map(str, effect["at_risk"]))}
    say_done(call(config.gateway.state_dir, "sessions.set_seq", args, seconds=60.0), as_json)


def _show(effect: dict[str, Any]) -> None:
    now = f"next out {effect['next_out_now']}, next in {effect['next_in_now']}"
    click.echo(f"{effect['session']} ({effect['role']}) has now: {now}")
    lines, risks = effect["lines"], effect["risks"]
    for line in [*lines, *(risk for risk in risks if risk not in lines)]:
        click.echo(f"  {'AT RISK: ' if line in risks else ''}{line}")
    if effect.get("needs_two"):
        click.echo("  another operator has to approve it")


def _without_gateway(path: Path, config: Config, args: dict[str, str], as_json: bool, error: NoGateway) -> None:
    """Show what the ledger and the store tell; nothing is changed while the gateway is down."""
    from oms.fix.renumber import stored_numbers  # with QuickFIX, which listing sessions does without
    from oms.ops.numbers import look

    spec = config.sessions.get(args["session"])
    if spec is None:
        raise OperatorError(f"there is no session {args['session']}; there are {', '.join(config.sessions)}")
    now = stored_numbers(spec.store_path / spec.store_prefix)
    if now is not None:
        with reading(path, recorded=False) as (_, engine):
            _, effect = look(config, engine, spec, now, args)
        emit_json(effect) if as_json else _show(effect)
    raise OperatorError(
        f"{error}; nothing was changed, because only the running gateway sets the numbers of a session: start it"
        ' (with trading = "off", if no order is to leave before), then repeat this'
    )

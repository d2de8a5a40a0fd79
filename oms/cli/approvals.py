"""`oms approvals`: what one operator has proposed and another has to approve before it is done.

All of it goes to the running gateway, so that an operator needs no right to read the ledger. Who approves is the
system's user at the terminal; what is approved is what was shown, by its hash.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from oms.cli.output import (
    config_option,
    console,
    day_and_time,
    emit_json,
    json_option,
    print_tables,
    reason_option,
    span,
    state_dir_of,
    table,
)
from oms.ops.control import call

COLUMNS = ("proposal", "what", "about~", "proposed by", "age>", "expires (UTC)", "state", "by", "hash")
# How the parts of a proposal are called; what is not here is shown under its own name.
NAMES = {
    "order_id": "OrderID(37)",
    "child_id": "ClOrdID(11) to the broker",
    "exec_id": "ExecID(17) of the broker",
    "ref": "ExecRefID(19)",
    "qty": "LastQty(32)",
    "px": "LastPx(31)",
    "trade_date": "TradeDate(75)",
    "at": "TransactTime(60)",
    "as": "settled as",
    "silent": "client is not told",
    "next_out": "next MsgSeqNum(34) out",
    "next_in": "next MsgSeqNum(34) in",
    "text": "reason",
}


@click.group(short_help="Approve or reject what another operator proposed.")
def approvals() -> None:
    """What needs two people: proposed by one operator, approved by another."""


@approvals.command("list", epilog="Example: oms approvals list --all")
@config_option
@click.option("--all", "everything", is_flag=True, help="Also those of late that are over.")
@json_option
def list_(path: Path, everything: bool, as_json: bool) -> None:
    """The proposals that wait for a second person."""
    args = {"all": "Y"} if everything else {}
    found = call(state_dir_of(path), "approvals.list", args)["proposals"]
    if as_json:
        emit_json(found)
    elif not found:
        click.echo("No proposals." if everything else "No proposal waits.")
    else:
        console().print(table("Proposals", COLUMNS, [_row(one) for one in found]))
        click.echo("oms approvals show PROPOSAL has the contents.")


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    contents = one["contents"]
    about = contents.get("order_id") or contents.get("session") or contents.get("kill_id") or ""
    if contents.get("text"):
        about += f": {contents['text']}"
    proposed = datetime.fromisoformat(one["proposed_at"])
    expires = day_and_time(datetime.fromisoformat(one["expires_at"]))[:19]
    age = span((datetime.now(UTC) - proposed).total_seconds())
    return one["proposal_id"], one["verb"], about, one["proposer"], age, expires, one["state"], one["by"], one["hash"]


@approvals.command(epilog="Example: oms approvals show P00000002F")
@click.argument("proposal_id")
@config_option
@json_option
def show(proposal_id: str, path: Path, as_json: bool) -> None:
    """One proposal: exactly what would be done, and to which order."""
    found = call(state_dir_of(path), "approvals.show", {"proposal_id": proposal_id})
    if as_json:
        emit_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    rows: list[tuple[str, object]] = [("command", found["verb"].replace(".", " ").replace("_", "-"))]
    rows += [(NAMES.get(name, name), value) for name, value in found["contents"].items() if name != "at_risk"]
    rows += [("proposed by", f"{found['proposer']}, journal row {found['seq']}")]
    rows += [("expires (UTC)", day_and_time(datetime.fromisoformat(found["expires_at"]))[:19])]
    state = found["state"] + (f" by {found['by']}, journal row {found['closed_seq']}" if found["by"] else "")
    rows += [("state", state + (f": {found['why']}" if found["why"] else "")), ("hash", found["hash"])]
    made = table(f"Proposal {found['proposal_id']}", ("part", "value~"), rows)
    made.show_header = False
    order = found.get("order") or {}
    print_tables(console(), [made, _order(order) if order else None])


def _order(order: dict[str, Any]) -> Any:
    columns = (
        "OrderID(37)", "client", "ClOrdID(11)", "Account(1)", "Side(54)", "Symbol(55)", "OrderQty(38)>",
        "CumQty(14)>", "LeavesQty(151)>", "state",
    )  # fmt: skip
    return table("The order now", columns, [tuple(order.values())])


@approvals.command(epilog="Example: oms approvals approve P00000002F --hash 3f9a0c1d2e4b5a67")
@click.argument("proposal_id")
@click.option("--hash", "shown", help="The hash that `oms approvals show` printed: then nothing is asked.")
@click.option("--reason", "text", default="", help="A remark; kept in the journal with your name.")
@config_option
@json_option
def approve(proposal_id: str, shown: str | None, text: str, path: Path, as_json: bool) -> None:
    """Approve what another operator proposed; it is done then. Shows it and asks, unless its hash is given."""
    state_dir = state_dir_of(path)
    if shown is None:
        found = call(state_dir, "approvals.show", {"proposal_id": proposal_id})
        _show(found)
        click.confirm(f"\nDo this, as proposed by {found['proposer']}?", abort=True, err=True)
        shown = str(found["hash"])
    args = {"proposal_id": proposal_id, "hash": shown, "text": text}
    answer = call(state_dir, "approvals.approve", args, seconds=60.0)
    if as_json:
        emit_json(answer)
        return
    click.echo(f"{proposal_id} is approved and done (journal row {answer['journal_seq']}).")
    if told := outcome(answer) or outcome(answer.get("done") or {}):
        click.echo(told)


@approvals.command(epilog='Example: oms approvals reject P00000002F --reason "the broker sent it meanwhile"')
@click.argument("proposal_id")
@reason_option
@config_option
@json_option
def reject(proposal_id: str, text: str, path: Path, as_json: bool) -> None:
    """Reject a proposal, or take back one of your own; nothing is done."""
    args = {"proposal_id": proposal_id, "text": text}
    answer = call(state_dir_of(path), "approvals.reject", args)
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{proposal_id} is rejected (journal row {answer['journal_seq']}); nothing was done.")


def outcome(answer: dict[str, Any]) -> str:
    """What was done, for people; '' where there is nothing to add."""
    if "as" in answer:
        stands = f"OrderQty(38) {answer['order_qty']}, CumQty(14) {answer['cum_qty']}"
        whom = f"{answer['told']} is told" if answer["told"] else "nobody is told"
        rest = f"{stands}, LeavesQty(151) {answer['leaves_qty']}"
        return f"{answer['order_id']} is settled as {answer['as']}: {answer['life']}, {rest}; {whom}."
    if "cum_qty" in answer:
        told = (
            f"{answer['told']} is told as ExecID(17) {answer['client_exec_id']}"
            if answer["told"]
            else "nobody is told"
        )
        stands = f"CumQty(14) {answer['cum_qty']}, LeavesQty(151) {answer['leaves_qty']}, AvgPx(6) {answer['avg_px']}"
        return f"{answer['order_id']}: ExecID(17) {answer['exec_id']} is entered, {stands}; {told}."
    if "before" in answer:
        (out, in_), (now_out, now_in) = answer["before"], answer["now"]
        return f"{answer['session']}: next out {out} to {now_out}, next in {in_} to {now_in}; it may log on again."
    return ""


def say_done(answer: dict[str, Any], as_json: bool) -> None:
    """A command that may need a second person was done, or proposed."""
    if as_json:
        emit_json(answer)
    elif "proposal_id" in answer:
        name, expires = answer["proposal_id"], day_and_time(datetime.fromisoformat(answer["expires_at"]))[:19]
        click.echo(
            f"Proposed as {name}, nothing is done yet: another operator has to approve it before {expires} UTC\n"
            f"  oms approvals approve {name}        hash {answer['hash']}"
        )
    else:
        click.echo(outcome(answer) or f"Done (journal row {answer['journal_seq']}).")

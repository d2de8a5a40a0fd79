"""`oms limits`: which limits are in force, what others would change, and others applied while trading.

A file that is applied is checked as at a start; what it raises or removes needs a second person where `[operators]
two_people` names limits.apply. What is compared and rehearsed is worked out here, beside the gateway.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from oms.cli.approvals import say_done
from oms.cli.output import (
    clean,
    config_option,
    console,
    day_and_time,
    emit_json,
    json_option,
    plural,
    reading,
    reason_option,
    state_dir_of,
    table,
)
from oms.cli.progress import progress_bar
from oms.cli.risk import show_rehearsal
from oms.core.limit_diff import PER_ORDER, compare, counted, scope_text, value_text
from oms.errors import OperatorError
from oms.ledger.rehearse import Rehearsal, last_day
from oms.ledger.rehearse import rehearse as rehearse_ledger
from oms.ops.control import call
from oms.ops.limit_set import LimitSet, as_parts, facts_text, over, read_new, unpacked
from oms.terms import core_terms_of

DIFFERS = 1
NEW = click.Path(path_type=Path)
COLUMNS = ("", "control", "for", "before", "after", "lets more through", "row")


@click.group(short_help="Limits in force: show, compare, apply others, their history.")
def limits() -> None:
    """The limits by which orders are judged now, and how to change them while trading."""


@limits.command(epilog="Example: oms limits show --client CLIENT1")
@click.option("--client", help="Only what may count for this client session (OmsName).")
@config_option
@json_option
def show(client: str | None, path: Path, as_json: bool) -> None:
    """The limits in force: of [limits] and of the limits file, where they come from, who applied them."""
    told = call(state_dir_of(path), "limits.show", {"whole": "Y"})
    found = unpacked(told.pop("packed"), as_new=False)
    rows = _shown(found, client)
    if as_json:
        names = ("control", "scope", "value", "row")
        emit_json(told | {"limits": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    console().print(table("Limits in force", ("control", "for", "value>", "row"), rows))
    click.echo(clean(facts_text(told)))


def _shown(found: LimitSet, client: str | None) -> list[tuple[str, str, str, str]]:
    """Control, scope, value and place of each limit that may count for a client, None being any."""
    rows = []
    for rule in found.terms.rules:
        aims = (("client", rule.client), ("account", rule.account), ("symbol", rule.symbol))
        if client is None or fnmatchcase(client, rule.client):
            scope = scope_text(tuple([one for one in aims if one[1] != "*"]))
            rows += [(name, scope, str(getattr(rule, name)), rule.name) for name in PER_ORDER]
    for row in found.rows:
        pattern = dict(row.scope).get("client", "*")
        if client is None or fnmatchcase(client, pattern):
            rows.append((row.control, scope_text(row.scope), value_text(row), row.name))
    return rows


@limits.command(epilog="Example: oms limits diff new/limits.csv --rehearse")
@click.argument("new", type=NEW)
@click.option("--rehearse", is_flag=True, help="Also ask the new limits about the orders of the last trade date.")
@config_option
@json_option
@click.pass_context
def diff(context: click.Context, new: Path, rehearse: bool, path: Path, as_json: bool) -> None:
    """What NEW would change of the limits in force. NEW is a limits file, an oms.toml or its directory.

    With a file alone [limits] of oms.toml stays as it is. Exit code 0 if nothing changes, 1 if something does.
    """
    before = _in_force(path)
    after = read_new(new, before)
    changes = compare(before.terms, after.terms)
    found = _rehearsed(path, after, as_json) if rehearse else None
    if as_json:
        answer: dict[str, Any] = {"summary": counted(changes), "changes": [one._asdict() for one in changes]}
        if found is not None:
            answer["rehearsal"] = found._asdict() | {"differing": [one._asdict() for one in found.differing]}
        emit_json(answer)
    else:
        _print([one._asdict() for one in changes])
        click.echo(f"{counted(changes)}.")
        if found is not None:
            show_rehearsal(found)
    context.exit(DIFFERS if changes else 0)


def _in_force(path: Path) -> LimitSet:
    told = call(state_dir_of(path), "limits.show", {"whole": "Y"})
    return unpacked(str(told["packed"]), as_new=False)


def _rehearsed(path: Path, after: LimitSet, as_json: bool) -> Rehearsal:
    """What the limits would have said of the orders and replaces of the last trade date in the ledger."""
    with reading(path) as (config, engine), progress_bar("rehearsal", as_json) as progress:
        day = last_day(engine)
        if day is None:
            raise OperatorError("no order came yet: there is nothing to rehearse; leave --rehearse away")
        return rehearse_ledger(engine, core_terms_of(over(config, after)), day, day, progress)


def _print(changes: Sequence[dict[str, Any]]) -> None:
    names = ("kind", "control", "scope", "before", "after", "raises", "row")
    rows = [[("yes" if one[name] else "no") if name == "raises" else one[name] for name in names] for one in changes]
    if rows:
        console().print(table("What changes", COLUMNS, rows))


@limits.command(epilog='Example: oms limits apply new/limits.csv --reason "FUND1 sends a large order at 14:00"')
@click.argument("new", type=NEW)
@reason_option
@config_option
@json_option
def apply(new: Path, text: str, path: Path, as_json: bool) -> None:
    """Judge orders by the limits of NEW from now on. NEW is a limits file, an oms.toml or its directory.

    They hold over restarts. Write them into the files as well: what a start does where these differ is in
    docs/decisions/limit_changes.md.
    """
    state_dir = state_dir_of(path)
    found = read_new(new, _in_force(path))
    sha256, parts = as_parts(found.packed())
    for number, part in enumerate(parts):
        call(state_dir, "limits.part", {"sha256": sha256, "number": str(number), "text": part})
    answer = call(state_dir, "limits.apply", {"sha256": sha256, "text": text}, seconds=60.0)
    if as_json or "proposal_id" in answer:
        if not as_json:
            _print(answer["changes"])
        say_done(answer, as_json)
        return
    _print(answer["changes"])
    click.echo(f"In force (journal row {answer['journal_seq']}): {answer['summary']}.")


@limits.command(epilog="Example: oms limits history --json")
@config_option
@json_option
def history(path: Path, as_json: bool) -> None:
    """When limits changed, by whom and why, the newest first; also by starts with other files."""
    found = call(state_dir_of(path), "limits.history", {})["changes"]
    if as_json:
        emit_json(found)
        return
    rows = [
        (day_and_time(datetime.fromisoformat(one["at"]))[:19], one["row"], one["by"], one.get("proposer", ""),
         one["summary"], one["text"], one.get("changes", ""), one["sha256"][:16])
        for one in found
    ]  # fmt: skip
    columns = ("at (UTC)", "row>", "by", "proposed by", "what", "why~", "changes~", "SHA-256")
    console().print(table("Changes of the limits", columns, rows))
    click.echo(f"{plural(len(rows), 'change')}.")

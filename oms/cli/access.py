"""`oms access review`: who can do what, from the configuration, and when each did it last, from the ledger.

The ledger tells of every change, of refusals, and of reads that are recorded; what only looks and is not recorded
does not count as use.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from oms.cli.output import config_option, console, day_and_time, emit_json, json_option, print_tables, reading, table
from oms.cli.people import state_of
from oms.config.load import Config
from oms.ledger.operators import Act, last_acts
from oms.ops.people import People
from oms.ops.recorder import GATEWAY, REFUSED
from oms.ops.roles import NONE, scope_text, verbs_of

COLUMNS = (
    "operator", "role", "scope~", "by", "token's age>", "expires in>", "last did (UTC)", "which", "refused>",
    "remarks~",
)  # fmt: skip


@click.group(short_help="Who may do what, and who did it last.")
def access() -> None:
    """Who may command the gateway, and how that right is used."""


@access.command(epilog="Example: oms access review --unused 30 --json")
@click.option("--unused", "days", type=click.IntRange(1, 3660), default=90, show_default=True,
              help="Remark on who did nothing for so many days.")  # fmt: skip
@config_option
@json_option
def review(days: int, path: Path, as_json: bool) -> None:
    """Every operator: role, scope, commands, token, and the last act."""
    with reading(path) as (config, engine):
        acts = last_acts(engine)
    at = datetime.now(UTC)
    found = [_entry(one, acts, at, days) for one in People(config.operators).everybody()] + _others(config, acts)
    if as_json:
        emit_json(found)
        return
    made = table("Operators", COLUMNS, [_row(one) for one in found]) if found else None
    roles = sorted({one["role"] for one in found if one["role"] != NONE})
    commands = [(role, ", ".join(verbs_of(role))) for role in roles]
    print_tables(
        console(), [made, table("What a role may do", ("role", "commands~"), commands) if commands else None]
    )
    owner = config.operators.owner_role
    click.echo(f"The user that runs the gateway, and root: {owner}, unless named above.")


def _entry(one: tuple[str, Any, str], acts: list[Act], at: datetime, days: int) -> dict[str, Any]:
    name, person, role = one
    token = person.token if person is not None else None
    own = [act for act in acts if act.operator == name and act.verb != REFUSED]
    last = max(own, key=lambda act: act.last, default=None)
    state = state_of(person, at) if person is not None else "active"
    remarks = [] if state == "active" else [state]
    if state == "active" and (last is None or at - last.last > timedelta(days=days)):
        since = person.created if person is not None else None
        if since is None or at - since > timedelta(days=days):
            remarks.append(f"unused for {days} days")
    if person is None:
        remarks.append("not in the file of people, and so without a role" if role == NONE else "every command")
    if token is not None and token.expires is None:
        remarks.append("a token without an end")
    return {
        "operator": name,
        "role": role,
        "scope": person.scope if person is not None else {},
        "verbs": verbs_of(role) if state != "revoked" else [],
        "by": [*(["user"] if person is None or person.user is not None else []), *(["token"] if token else [])],
        "token_age_days": None if token is None else (at - token.created).days,
        "token_expires_in_days": None if token is None or token.expires is None else (token.expires - at).days,
        "last": None if last is None else last.last,
        "last_verb": "" if last is None else last.verb,
        "acts": [{"verb": act.verb, "times": act.times, "last": act.last} for act in own],
        "refused": sum(act.times for act in acts if act.operator == name and act.verb == REFUSED),
        "remarks": remarks,
    }


def _others(config: Config, acts: list[Act]) -> list[dict[str, Any]]:
    """Who is in the ledger and not among the operators: the gateway's user, root, people of before, strangers."""
    known = {name for name, _, _ in People(config.operators).everybody()} | {GATEWAY, ""}
    found: list[dict[str, Any]] = []
    for name in sorted({act.operator for act in acts} - known):
        entry = _entry((name, None, NONE), acts, datetime.now(UTC), 1)
        found.append(entry | {"by": [], "remarks": ["not an operator now, but in the ledger"]})
    return found


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    age, left = one["token_age_days"], one["token_expires_in_days"]
    return (
        one["operator"], one["role"], scope_text(one["scope"]), " or ".join(one["by"]),
        "" if age is None else f"{age} d", "" if left is None else f"{left} d", day_and_time(one["last"])[:19],
        one["last_verb"], one["refused"] or "", "; ".join(one["remarks"]),
    )  # fmt: skip

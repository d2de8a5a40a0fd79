"""`oms people`: operators with role, scope and token, in the file that `[operators] file` of oms.toml names.

It writes the file, which only the user that runs the gateway can; the gateway reads it again at the next command and
journals who may do what from then on. A token is shown once, here, and kept as a hash.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from oms.cli.output import config_option, console, day_and_time, emit_json, json_option, table
from oms.config.load import load
from oms.config.people_file import Person, changing, new_person, now, read_people
from oms.errors import OperatorError
from oms.ops.people import system_name
from oms.ops.roles import DIMENSIONS, ROLES, scope_text
from oms.ops.tokens import new_token

COLUMNS = ("operator", "role", "scope~", "system user", "token made (UTC)", "token expires (UTC)", "state")


def _scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for part in reversed(DIMENSIONS):
        text = f"Only for this {part}; * matches any text. May be repeated."
        command = click.option(f"--{part}", multiple=True, metavar="PATTERN", help=text)(command)
    return command


_role = click.option(
    "--role", required=True, type=click.Choice(ROLES), help="What the role may do: docs/decisions/operators.md."
)
_days = click.option(
    "--days", type=click.IntRange(1, 3660), default=90, show_default=True, help="For how long a new token is valid."
)
_token_to = click.option(
    "--token-to",
    type=click.Path(path_type=Path),
    help="Write the token into this new file, which nobody else may read, rather than on the screen.",
)


@click.group(short_help="Operators: roles, scopes, tokens.")
def people() -> None:
    """Operators: who may do what, for which part of the desk, and with which token.

    A token is given with each command from another machine, and by whoever is not known by the system user: in
    OMS_TOKEN, with `oms --token-file FILE ...`, or with `oms --token-command PROGRAM ...`.
    """


def _file(path: Path) -> Path:
    file = load(path).operators.file
    if file is None:
        raise OperatorError(
            'oms.toml names no file of people: write file = "people.json" under [operators], and start the gateway'
            " again once this command has made it"
        )
    return file


@people.command(epilog="Example: oms people add ann --role trader --client BUYA --days 90")
@click.argument("name")
@_role
@_scope_options
@click.option("--user", help="System user (name or number) of this operator on the gateway's machine.")
@click.option("--no-token", is_flag=True, help="Known by the system user alone.")
@_days
@_token_to
@config_option
@json_option
def add(
    name: str,
    role: str,
    user: str | None,
    no_token: bool,
    days: int,
    token_to: Path | None,
    path: Path,
    as_json: bool,
    **scope: tuple[str, ...],
) -> None:
    """Add an operator, and show the token once."""
    if no_token and user is None:
        raise click.UsageError("--no-token needs --user: nobody would know who it is otherwise")
    number = int(user) if user is not None and user.isdecimal() else user
    with changing(_file(path)) as everybody:
        if name in everybody:
            raise OperatorError(f"there is {name} already; `oms people role` or `oms people rotate` changes that")
        made = new_person(
            {
                "role": role,
                "scope": {part: list(patterns) for part, patterns in scope.items() if patterns},
                "user": number,
                "created": now(),
                "created_by": system_name(os.getuid()),
            }
        )
        token = ""
        if not no_token:
            token, made = _with_token(made, days)
            _keep(token, token_to)
        everybody[name] = made
    _tell(name, made, token, token_to, as_json)


@people.command("list", epilog="Example: oms people list --json")
@config_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """Everybody, also who was revoked."""
    found = read_people(_file(path)).people
    if as_json:
        emit_json([_as_json(name, person) for name, person in found.items()])
    elif not found:
        click.echo("Nobody; `oms people add NAME --role ROLE` adds somebody.")
    else:
        console().print(table("Operators", COLUMNS, [_row(name, person) for name, person in found.items()]))


@people.command(epilog="Example: oms people rotate ann --token-to ann.token")
@click.argument("name")
@_days
@_token_to
@config_option
@json_option
def rotate(name: str, days: int, token_to: Path | None, path: Path, as_json: bool) -> None:
    """A new token for an operator; the old one is nobody's at once."""
    with changing(_file(path)) as everybody:
        token, made = _with_token(_working(everybody, name), days)
        _keep(token, token_to)
        everybody[name] = made
    _tell(name, made, token, token_to, as_json)


@people.command(epilog="Example: oms people revoke ann")
@click.argument("name")
@config_option
@json_option
def revoke(name: str, path: Path, as_json: bool) -> None:
    """Take everything from an operator, token and system user; the name stays in the list."""
    with changing(_file(path)) as everybody:
        gone = {"revoked": now(), "revoked_by": system_name(os.getuid()), "token": None}
        everybody[name] = made = _working(everybody, name).model_copy(update=gone)
    _tell(name, made, "", None, as_json)


@people.command(epilog="Example: oms people role ann --role risk")
@click.argument("name")
@_role
@_scope_options
@config_option
@json_option
def role(name: str, role: str, path: Path, as_json: bool, **scope: tuple[str, ...]) -> None:
    """Give an operator another role, and the scope that is named with it: none named is everything."""
    parts = {part: patterns for part, patterns in scope.items() if patterns}
    with changing(_file(path)) as everybody:
        everybody[name] = made = _working(everybody, name).model_copy(update={"role": role, "scope": parts})
    _tell(name, made, "", None, as_json)


def _working(everybody: dict[str, Person], name: str) -> Person:
    person = everybody.get(name)
    if person is None:
        raise OperatorError(f"there is no operator {name}; `oms people list` shows them")
    if person.revoked is not None:
        raise OperatorError(f"{name} was revoked; add somebody under another name, so that records stay apart")
    return person


def _with_token(person: Person, days: int) -> tuple[str, Person]:
    made_at = now()
    token, kept = new_token(made_at, made_at + timedelta(days=days))
    return token, person.model_copy(update={"token": kept})


def _keep(token: str, file: Path | None) -> None:
    """Into a file of its own, before anything is changed: a token that cannot be kept is not made."""
    if file is None:
        return
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(token + "\n")
    except OSError as error:
        raise OperatorError(f"--token-to {file}: {error.strerror}; name a file that is not there yet") from error


def _tell(name: str, person: Person, token: str, token_to: Path | None, as_json: bool) -> None:
    shown = {"token": token} if token and token_to is None else {}
    if as_json:
        emit_json(_as_json(name, person) | shown)
        return
    state = "revoked" if person.revoked else f"{person.role} for {scope_text(dict(person.scope.items()))}"
    click.echo(f"{name} is {state}.")
    if token and token_to is None:
        click.echo(f"The token, which is not shown again:\n{token}")
    elif token:
        click.echo(f"The token is in {token_to}.")


def _row(name: str, person: Person) -> tuple[object, ...]:
    token = person.token
    made, expires = (None, None) if token is None else (token.created, token.expires)
    return (
        name, person.role, scope_text(dict(person.scope.items())), "" if person.user is None else person.user,
        day_and_time(made)[:19], day_and_time(expires)[:19], state_of(person, now()),
    )  # fmt: skip


def state_of(person: Person, at: datetime) -> str:
    """How somebody stands: active, revoked, or with a token that is over."""
    if person.revoked is not None:
        return "revoked"
    expires = person.token.expires if person.token is not None else None
    return "token expired" if expires is not None and at >= expires else "active"


def _as_json(name: str, person: Person) -> dict[str, Any]:
    """Without the hash."""
    token = person.token
    return {
        "operator": name,
        "role": person.role,
        "scope": person.scope,
        "user": person.user,
        "state": state_of(person, now()),
        "created": person.created,
        "created_by": person.created_by,
        "token_created": None if token is None else token.created,
        "token_expires": None if token is None else token.expires,
        "revoked": person.revoked,
        "revoked_by": person.revoked_by,
    }

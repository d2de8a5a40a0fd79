"""What must agree across sections and files: names that others refer to, ports, limits, routes.

Each check is a plain function that adds what it finds; ``CHECKS`` is the list. A name that refers to nothing
is a problem, because it is most likely a slip; a pattern that matches nothing is a warning, because it may be
meant for later.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from oms.config.problems import Problems, suggestion
from oms.config.reference import Account, Instrument
from oms.config.rules import is_pattern, matches
from oms.config.sessions import Sessions
from oms.config.settings import Files, OmsToml


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that has been read, with paths made absolute."""

    file: Path
    toml: OmsToml
    files: Files
    sessions: Sessions
    instruments: dict[str, Instrument]
    accounts: dict[str, Account]
    state_dir: Path


STATE_DIR_BYTES = 900  # QuickFIX reads its settings by lines of 1022 bytes, and this is part of one


def check_all(parts: Parts, problems: Problems) -> None:
    """Run every check."""
    for check in CHECKS:
        check(parts, problems)


@dataclass(frozen=True, slots=True)
class Names:
    """What may be referred to; None where its file is wrong, so that one slip is not told twice."""

    clients: Collection[str] | None
    brokers: Collection[str] | None
    accounts: Collection[str] | None
    symbols: Collection[str] | None
    drop_copies: Collection[str] | None = None


def names_of(parts: Parts, problems: Problems) -> Names:
    """All names. Sessions with problems of their own count, so that one slip is told once."""

    def sessions(role: str) -> list[str] | None:
        declared = parts.sessions.declared.items()
        named = [name for name, its_role in declared if its_role in (role, None)]
        return named if parts.sessions.names_known else None

    wrong = {problem.file for problem in problems.found}
    accounts = None if parts.files.accounts in wrong else parts.accounts
    symbols = None if parts.files.instruments in wrong else parts.instruments
    return Names(sessions("client"), sessions("broker"), accounts, symbols, sessions("drop_copy"))


def _refers(file: Path, where: str, text: str, what: str, known: Collection[str] | None, problems: Problems) -> None:
    """A name must be known; a pattern should match something."""
    if known is None:
        return
    if is_pattern(text):
        if text != "*" and not any(matches((text,), name) for name in known):
            problems.warn(
                file, where, f'"{text}" matches no {what} there is now', "correct it, or leave it for later"
            )
    elif text not in known:
        problems.add(file, where, f'no {what} "{text}"', suggestion(text, known, "correct it"))


def _routes(parts: Parts, problems: Problems) -> None:
    """Names in routes exist; each rule can be reached; each broker is in one."""
    names = names_of(parts, problems)
    routes = parts.toml.routes
    if not routes:
        problems.add(
            parts.file,
            "[[routes]]",
            "no route, so that every order would be refused",
            "add a [[routes]] section",
        )
    seen: dict[str, int] = {}
    end: str | None = None
    for number, rule in enumerate(routes, 1):
        where = f"[[routes]] #{number} ({rule.name})"
        if rule.name in seen:
            problems.add(
                parts.file, f"{where} name", f"the same as #{seen[rule.name]}", "give each rule its own name"
            )
        seen.setdefault(rule.name, number)
        targets = (("broker", rule.broker), *(("fallbacks", name) for name in rule.fallbacks))
        for key, name in targets:
            _broker(parts.file, f"{where} {key}", name, names, problems)
        named = [name for _, name in targets]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice:
            problems.add(parts.file, f"{where} fallbacks", f'"{twice}" is there twice', "name each broker once")
        for key, patterns, what, known in (
            ("client", rule.client, "client session", names.clients),
            ("account", rule.account, "account", names.accounts),
            ("symbol", rule.symbol, "symbol", names.symbols),
        ):
            for text in patterns:
                _refers(parts.file, f"{where} {key}", text, what, known, problems)
        if end is not None:
            problems.warn(
                parts.file,
                where,
                f"never reached: {end} takes every order",
                f"move it above {end}, or remove it",
            )
        elif rule.takes_all:
            end = rule.name
    used = {name for rule in routes for name in (rule.broker, *rule.fallbacks)}
    for name in names.brokers or ():
        if routes and name not in used:
            problems.warn(parts.file, "[[routes]]", f"no route leads to {name}", "add one, or remove the session")


def _broker(file: Path, where: str, name: str, names: Names, problems: Problems) -> None:
    brokers, clients = names.brokers, names.clients
    if brokers is None or clients is None:
        return
    if name in brokers:
        return
    if name in clients:
        problems.add(file, where, f'"{name}" is a client session', f"name a broker: {', '.join(brokers)}")
    elif names.drop_copies and name in names.drop_copies:
        problems.add(file, where, f'"{name}" is a drop copy session', f"name a broker: {', '.join(brokers)}")
    else:
        problems.add(file, where, f'no broker session "{name}"', suggestion(name, brokers, "name a broker"))


def _limits(parts: Parts, problems: Problems) -> None:
    """Names in limits exist, no two overrides are for the same orders, and some order can pass."""
    names = names_of(parts, problems)
    limits = parts.toml.limits
    seen: dict[tuple[str, str, str], int] = {}
    for number, rule in enumerate(limits.override, 1):
        where = f"[[limits.override]] #{number}"
        aim = (rule.client, rule.account, rule.symbol)
        if aim in seen:
            problems.add(parts.file, where, f"for the same orders as #{seen[aim]}", "keep one of them")
        elif aim == ("*", "*", "*") and limits.max_order_qty is not None:
            problems.add(parts.file, where, "for the same orders as [limits]", "name a client, account or symbol")
        seen.setdefault(aim, number)
        _refers(parts.file, f"{where} client", rule.client, "client session", names.clients, problems)
        _refers(parts.file, f"{where} account", rule.account, "account", names.accounts, problems)
        _refers(parts.file, f"{where} symbol", rule.symbol, "symbol", names.symbols, problems)
    if not limits.rules():
        problems.warn(
            parts.file,
            "[limits]",
            "no limit at all, so that every order will be refused",
            "add max_order_qty and max_order_notional",
        )


def _accounts(parts: Parts, problems: Problems) -> None:
    """Clients named by accounts exist."""
    clients = names_of(parts, problems).clients
    for account in parts.accounts.values():
        for text in account.clients:
            _refers(
                parts.files.accounts,
                f"account {account.account} clients",
                text,
                "client session",
                clients,
                problems,
            )


def _ports(parts: Parts, problems: Problems) -> None:
    """The gateway does not connect to itself, and no two of its own listeners want one port."""
    listening = {spec.port: name for name, spec in parts.sessions.specs.items() if spec.side == "client"}
    for name, spec in parts.sessions.specs.items():
        if spec.side == "broker" and spec.port in listening and _is_local(spec.host):
            problems.add(
                parts.files.sessions,
                f"[SESSION] {name} SocketConnectPort",
                f"{spec.port} is where this gateway listens for {listening[spec.port]}",
                "give the broker's own host and port",
            )
    if parts.toml.metrics.port in listening:
        taken_by = listening[parts.toml.metrics.port]
        problems.add(
            parts.file,
            "[metrics] port",
            f"{parts.toml.metrics.port} is where this gateway listens for {taken_by}",
            "choose another port, or 0 for none",
        )


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() in ("localhost", "localhost.localdomain")
    return address.is_loopback or address.is_unspecified


def _drop_copies(parts: Parts, problems: Problems) -> None:
    """Each drop copy is of a broker session, and each broker has one at most."""
    names = names_of(parts, problems)
    file = parts.files.sessions
    seen: dict[str, str] = {}
    for name, spec in parts.sessions.specs.items():
        where, broker = f"[SESSION] {name} OmsDropCopyOf", spec.drop_copy_of
        if spec.role != "drop_copy":
            if broker:
                problems.add(file, where, "without OmsRole=drop_copy", "add OmsRole=drop_copy, or remove it")
        elif not broker:
            problems.add(file, where, "missing for OmsRole=drop_copy", "add OmsDropCopyOf=NAME of a broker session")
        elif broker in seen:
            problems.add(file, where, f"{broker} has a drop copy already, {seen[broker]}", "keep one of the two")
        else:
            seen[broker] = name
            _broker(file, where, broker, names, problems)


def _state_dir(parts: Parts, problems: Problems) -> None:
    """The state directory is one, or can be made."""
    where = "[gateway] state_dir"
    place = parts.state_dir
    if len(os.fsencode(place)) > STATE_DIR_BYTES:
        problem = f"longer than {STATE_DIR_BYTES} bytes with its directory"
        problems.add(parts.file, where, problem, "name a shorter one")
    # os.path says False for what cannot be looked at (a name too long, say), where pathlib raises
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        problems.add(parts.file, where, f"{place} is not a directory", "name a directory")
    elif not os.access(place, os.W_OK | os.X_OK):
        problems.add(parts.file, where, f"{place} cannot be written to", "name a directory this user can write to")


def _live(parts: Parts, problems: Problems) -> None:
    """What a live desk should know."""
    if parts.toml.gateway.environment != "live":
        return
    if parts.toml.database.url is None:
        problems.warn(
            parts.file,
            "[database] url",
            "absent: a live gateway on the embedded Postgres",
            "name a server with backups",
        )
    operators = parts.toml.operators
    if operators.two_people and len(operators.users) < 2:
        problems.warn(
            parts.file,
            "[operators] users",
            f"fewer than two, so that nobody can do what needs two people ({', '.join(operators.two_people)})",
            "name two operators with their system users",
        )
    for name, spec in parts.sessions.specs.items():
        if spec.side == "client" and not spec.tls and "AllowedRemoteAddresses" not in spec.settings:
            problems.warn(
                parts.files.sessions,
                f"[SESSION] {name} AllowedRemoteAddresses",
                "absent: any address that knows the CompIDs may log on",
                f"add the {'client' if spec.role == 'client' else 'broker'}'s addresses,"
                " or OmsTls=Y with CertificateVerifyLevel=2",
            )


CHECKS: tuple[Callable[[Parts, Problems], None], ...] = (
    _routes,
    _limits,
    _accounts,
    _ports,
    _drop_copies,
    _state_dir,
    _live,
)

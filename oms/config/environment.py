"""`test` and `live` never mix: what the environment of the gateway asks of its sessions.

A session may carry its environment (OmsEnvironment in sessions.cfg): who sets up CompIDs marks them there, so that a
file copied from one desk to the other does not start. On live every session must be marked, and no broker may be this
machine itself, unless a tunnel or a proxy here is meant (OmsAllowLoopback=Y). The ledger carries its own mark
(`oms.ledger.environment`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from oms.config.problems import Problems
from oms.config.sessions import SessionSpec

_HOST = "SocketConnectHost"


def check_sessions(environment: str, file: Path, specs: dict[str, SessionSpec], problems: Problems) -> None:
    """Every session of `file` is of the environment, and on live leads away from this machine."""
    for name, spec in specs.items():
        where = f"[SESSION] {name}"
        marked = spec.environment
        if marked and marked != environment:
            problems.add(
                file,
                f"{where} OmsEnvironment",
                f'the session is marked {marked}, and [gateway] environment is "{environment}"',
                f"take the session that is for {environment}; test and live never mix",
            )
        elif environment == "live" and not marked:
            problems.add(
                file,
                f"{where} OmsEnvironment",
                "missing, on live every session is marked",
                "add OmsEnvironment=live once you have made sure that its CompIDs and host are the live ones",
            )
        if environment == "live" and spec.side == "broker" and not spec.allow_loopback:
            for key, host in _hosts(spec):
                if is_local(host):
                    problems.add(
                        file,
                        f"{where} {key}",
                        f"{host} is this machine, on live",
                        "give the broker's host, or add OmsAllowLoopback=Y if a tunnel or proxy here leads to it",
                    )


def _hosts(spec: SessionSpec) -> Iterator[tuple[str, str]]:
    return ((key, value) for key, value in spec.settings.items() if key.startswith(_HOST))


def is_local(host: str) -> bool:
    """Whether a host is this machine, as far as its name or address alone tells."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() in ("localhost", "localhost.localdomain")
    return address.is_loopback or address.is_unspecified

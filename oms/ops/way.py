"""How the commands of this process reach the gateway, and as whom: set once, before the first is given.

By default the local socket, and the system's user. Looked at by `oms.ops.control.call`; nothing is opened here, so
that every command may set it without loading what speaks to the gateway.
Invariant: only a command that asks for the gateway ELSEWHERE reaches it: one that has started a gateway of its own,
such as a drill, never commands another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Way:
    """`address` is tls://HOST:PORT, '' for the local socket; the token is in a file, printed by a command, or in
    OMS_TOKEN; `ca` and `certificate` are PEM files."""

    address: str = ""
    ca: Path | None = None
    certificate: Path | None = None
    token_file: Path | None = None
    token_command: str | None = None


way = Way()
ELSEWHERE = Path("/where/--control/says")


def use(address: str, ca: Path | None, certificate: Path | None, file: Path | None, command: str | None) -> None:
    """Give commands this way from now on."""
    way.address, way.ca, way.certificate, way.token_file, way.token_command = address, ca, certificate, file, command

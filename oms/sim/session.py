"""One FIX session of a simulator: QuickFIX settings for the version, and an engine that is gone after `close`.

Versions are "4.2", "4.4" and "5.0SP2" (over FIXT.1.1). Sequence numbers are persistent: a file store in the
directory given. What arrives is checked against the standard's dictionary, user-defined tags excepted. Limit:
the engine knows sessions by CompIDs per process, so the same session cannot be open twice in one process.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from oms.errors import OperatorError
from oms.fix.engine import Engine
from oms.fix.handle import EngineListener, SessionHandle
from oms.fix.logon import Credentials

BEGIN_STRINGS = {"4.2": "FIX.4.2", "4.4": "FIX.4.4", "5.0SP2": "FIXT.1.1"}
DICTIONARIES = {"4.2": ("FIX42.xml",), "4.4": ("FIX44.xml",), "5.0SP2": ("FIXT11.xml", "FIX50SP2.xml")}
VERSIONS = tuple(BEGIN_STRINGS)


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """One session: `direction` is "acceptor" or "initiator", `settings` are further QuickFIX keys."""

    name: str
    direction: str
    version: str
    sender: str
    target: str
    port: int
    directory: Path
    host: str = "127.0.0.1"
    heartbeat_seconds: int = 30
    settings: Mapping[str, str] | None = None
    credentials: Credentials | None = None  # of our Logon(A)
    tls: bool = False  # the certificates are among the settings, see `tls_settings`

    def __post_init__(self) -> None:
        if self.version not in BEGIN_STRINGS:
            raise OperatorError(f"version {self.version}: not a known one; use one of {', '.join(VERSIONS)}")

    @property
    def session_id(self) -> str:
        """The engine's name of the session."""
        return f"{BEGIN_STRINGS[self.version]}:{self.sender}->{self.target}"


def dictionary_paths(version: str) -> tuple[str, ...]:
    """The standard's data dictionaries of a version, from QuickFIX: transport first where there are two."""
    folder = Path(sys.prefix) / "share" / "quickfix"
    paths = tuple(folder / name for name in DICTIONARIES[version])
    for path in paths:
        if not path.is_file():
            raise OperatorError(
                f"{path}: no such data dictionary; run make setup, which installs QuickFIX with its own"
            )
    return tuple(str(path) for path in paths)


@cache
def field_tags(version: str) -> Mapping[str, int]:
    """Tag numbers by field name, from the dictionaries of a version."""
    tags: dict[str, int] = {}
    for path in dictionary_paths(version):
        for field in ElementTree.parse(path).getroot().iterfind("fields/field"):
            tags[field.attrib["name"]] = int(field.attrib["number"])
    return tags


def tls_settings(direction: str, certificate: Path, key: Path, authorities: Path) -> dict[str, str]:
    """The settings of a TLS session that shows this certificate, and asks the other side for one of `authorities`.

    Raises OperatorError where a file is not there: the engine would only say that it could not connect.
    """
    for path in (certificate, key, authorities):
        if not path.is_file():
            raise OperatorError(
                f"{path}: no such file; TLS needs a certificate, its key and the authority's certificate"
            )
    side = "Server" if direction == "acceptor" else "Client"
    keys = {
        f"{side}CertificateFile": str(certificate),
        f"{side}CertificateKeyFile": str(key),
        "CertificationAuthoritiesFile": str(authorities),
    }
    return {**keys, "CertificateVerifyLevel": "1"} if side == "Server" else keys


def settings_text(spec: SessionSpec) -> str:
    """The session as QuickFIX settings."""
    paths = dictionary_paths(spec.version)
    keys = {
        "ConnectionType": spec.direction,
        "BeginString": BEGIN_STRINGS[spec.version],
        "SenderCompID": spec.sender,
        "TargetCompID": spec.target,
        "NonStopSession": "Y",
        "StartTime": "00:00:00",
        "EndTime": "00:00:00",
        "HeartBtInt": str(spec.heartbeat_seconds),
        "FileStorePath": str(spec.directory / "store"),
        "UseDataDictionary": "Y",
        "ValidateUserDefinedFields": "N",
        "ReconnectInterval": "1",
        "LogonTimeout": "10",
        "LogoutTimeout": "2",
        "SocketNodelay": "Y",
        "SocketReuseAddress": "Y",
    }
    if len(paths) == 1:
        keys["DataDictionary"] = paths[0]
    else:
        keys["TransportDataDictionary"], keys["AppDataDictionary"] = paths
        keys["DefaultApplVerID"] = "FIX." + spec.version
    if spec.direction == "acceptor":
        keys["SocketAcceptPort"] = str(spec.port)
    else:
        keys["SocketConnectHost"], keys["SocketConnectPort"] = spec.host, str(spec.port)
    keys.update(spec.settings or {})
    lines = [f"{key}={value}\n" for key, value in keys.items()]
    # what TLS needs is read from [DEFAULT] alone
    return "".join(["[DEFAULT]\n", *(lines if spec.tls else ()), "[SESSION]\n", *lines])


class _Edge(Engine):
    """The engine, with a look at the session messages that arrive."""

    on_admin: Callable[[str], None] | None = None

    def on_from_admin(self, handle: SessionHandle, message: Any) -> None:
        """Show the session message to the owner before it is forgotten."""
        if self.on_admin is not None:
            self.on_admin(message.toString())
        super().on_from_admin(handle, message)


class FixSession:
    """An open FIX session. `send` returns the raw text as it left, or '' while logged out: nothing was kept.

    `on_admin`, where given, sees every session message that arrives (Logon(A), Logout(5), ...), on the
    engine's thread.
    """

    def __init__(
        self,
        spec: SessionSpec,
        listener: EngineListener,
        on_admin: Callable[[str], None] | None = None,
    ) -> None:
        self.spec = spec
        spec.directory.mkdir(parents=True, exist_ok=True)
        self._engine: _Edge | None = _Edge(
            spec.direction,
            settings_text(spec),
            {spec.session_id: spec.name},
            listener,
            tls=spec.tls,
            credentials={} if spec.credentials is None else {spec.name: spec.credentials},
        )
        self._engine.on_admin = on_admin

    @property
    def engine(self) -> Engine:
        """The engine while the session is open."""
        if self._engine is None:
            raise OperatorError(f"session {self.spec.name} is closed; open a new one")
        return self._engine

    def start(self) -> None:
        """Listen or begin to connect; OperatorError where the port is taken."""
        try:
            self.engine.start()
        except OSError as error:
            raise OperatorError(
                f"port {self.spec.port}: cannot listen ({error}); choose another port or stop what uses it"
            ) from error

    @property
    def logged_on(self) -> bool:
        """Whether messages can leave now."""
        return self._engine is not None and self._engine.sessions[self.spec.name].logged_on

    def send(self, text: str) -> str:
        """Send one application message: raw FIX from MsgType(35) on, repeating groups in their order.

        Returns the text as it left, '' if the session is logged out. Raises Unsendable if it is no message.
        """
        return "".join(self.engine.send(self.spec.name, [text]))

    def disconnect(self) -> None:
        """Cut the connection without a Logout(5); an initiator connects again by itself."""
        self.engine.disconnect(self.spec.name)

    def close(self, seconds: float = 5.0) -> bool:
        """Log out, stop and let go of the engine, so that the session may be opened again in this process."""
        if self._engine is None:
            return True
        stopped = self._engine.stop(seconds)
        if stopped:  # the engine's own objects refer to each other in a ring
            self._engine = None
            gc.collect()
        return stopped

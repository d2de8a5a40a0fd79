"""The FIX sessions of ``sessions.cfg`` as the rest of the gateway sees them, and as QuickFIX gets them.

Acceptor sessions are clients, initiator sessions are brokers; the drop copies of brokers may be either. How the
file is read and checked is in ``session_reader.py``; which keys there are, and our defaults, in
``session_keys.py``.
Invariants: what QuickFIX gets names every dictionary by its absolute path, has every engine-wide key in
[DEFAULT], where alone QuickFIX reads it, and has none of our ``Oms`` keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from oms.config.dialects import Dialect
from oms.config.session_keys import Role, Side, find
from oms.config.throttles import Rate

BeginString = Literal["FIX.4.2", "FIX.4.4", "FIXT.1.1"]
ApplVerID = Literal["FIX.4.2", "FIX.4.4", "FIX.5.0SP2"]


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """One configured FIX session.

    ``session_id`` is QuickFIX's text form; ``appl_ver_id`` is what the application messages speak; ``host``
    and ``port`` are where a broker is, or '' and where the gateway listens for a client; ``store_path`` is
    the directory of the message store; ``settings`` is everything QuickFIX gets; ``drop_copy_of`` is the broker
    whose reports are copied there, '' for any other session. ``cancel_after`` is how many seconds a client may be
    logged out before its live orders are canceled, None for ever; ``cancel_exempt`` has the TimeInForce(59) values of
    orders that are left alone. ``rate`` is what a client may send a second. ``news``: a client is told with News(B).
    ``password`` is the place of a secret, or of a client its hash; '' where a session has none. ``environment`` is
    "test", "live" or '' where it is not marked.
    """

    name: str
    role: Role
    begin_string: BeginString
    appl_ver_id: ApplVerID
    sender_comp_id: str
    target_comp_id: str
    qualifier: str
    session_id: str
    transport_dictionary: Path | None
    application_dictionary: Path
    dialect: Dialect
    store_path: Path
    host: str
    port: int
    tls: bool
    settings: dict[str, str] = field(hash=False)
    drop_copy_of: str = ""
    cancel_after: int | None = None
    cancel_exempt: str = ""
    rate: Rate | None = None
    news: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    password_in_raw_data: bool = False
    environment: str = ""
    allow_loopback: bool = False  # on live too it may lead to this machine

    @property
    def side(self) -> Side:
        """Which engine it belongs to: "client" is that of the acceptors, "broker" that of the initiators."""
        return "client" if self.settings["ConnectionType"] == "acceptor" else "broker"

    @property
    def paced(self) -> bool:
        """Whether it takes so many messages a second only, so that the most urgent leaves first."""
        return self.role == "broker" and self.dialect.outbound.max_messages_per_second > 0

    @property
    def store_prefix(self) -> str:
        """How the files of its message store begin: ``.body``, ``.header``, ``.seqnums`` follow."""
        return store_prefix(self.session_id)

    @property
    def dictionaries(self) -> tuple[str, ...]:
        """Paths of its dictionaries: (application,) or (transport, application)."""
        paths = (self.transport_dictionary, self.application_dictionary)
        return tuple(str(path) for path in paths if path is not None)


def store_prefix(session_id: str) -> str:
    """The file names QuickFIX's store gives a session: the parts of its id joined by ``-``."""
    return session_id.replace("->", "-").replace(":", "-")


@dataclass(slots=True)
class Sessions:
    """The sessions that are right, and the names of all that the file has (right or not) with their role.

    ``names_known`` is False where the file is so wrong that a name may be missing from ``declared``.
    """

    specs: dict[str, SessionSpec] = field(default_factory=dict)
    declared: dict[str, Role | None] = field(default_factory=dict)
    names_known: bool = False


def settings_text(specs: Iterable[SessionSpec]) -> str:
    """QuickFIX settings text for these sessions, all of one ConnectionType; '' for none."""
    sections = []
    shared: dict[str, str] = {}
    for spec in specs:
        wide = {name for name in spec.settings if (known := find(name)) and known.engine_wide}
        shared = {"ConnectionType": spec.settings["ConnectionType"]}
        shared |= {name: spec.settings[name] for name in sorted(wide)}
        own = {name: value for name, value in spec.settings.items() if name not in shared}
        sections.append(_section("SESSION", own | {"FileStorePath": str(spec.store_path)}))
    return "\n".join([_section("DEFAULT", shared), *sections]) if sections else ""


def _section(kind: str, values: dict[str, str]) -> str:
    return "".join([f"[{kind}]\n", *(f"{name}={value}\n" for name, value in values.items())])

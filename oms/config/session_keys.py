"""Every key that sessions.cfg may have: QuickFIX's own that this gateway supports, and ours (prefix ``Oms``).

Facts behind the table, read in and measured against QuickFIX 1.16:
- Keys of the scope "engine" are read from [DEFAULT] only, or (ReconnectInterval) the last session's value
  wins for all; in a [SESSION] they would be ignored, so they are refused there.
- A message that fails the engine's checks is answered with Reject(3) and never reaches the gateway. From a
  client that is the right answer. From a broker it could be a fill, so the checks that need not be made are
  off on broker sessions.
- HttpAcceptPort opens a web page without a password that can reset sequence numbers.

Limit: what a value means to QuickFIX is QuickFIX's; here only its form is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from oms.config.throttles import DISCONNECT_AFTER, LOGON_AFTER_SECONDS, POLICIES

Role = Literal["client", "broker", "drop_copy"]
Side = Literal["client", "broker"]  # who connects to us (acceptor), and to whom we connect (initiator)


@dataclass(frozen=True, slots=True)
class Kind:
    """The form of a value: what it is in words, an example, and the test."""

    expects: str
    example: str
    fits: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class SessionKey:
    """One key: where it may stand, which sessions it is for, and what the gateway adds where it is absent."""

    name: str
    kind: Kind
    meaning: str
    role: Side | None = None
    engine_wide: bool = False
    fixt: bool | None = None
    client_default: str | None = None
    broker_default: str | None = None
    required: bool = False

    def applies(self, side: Side, fixt: bool) -> bool:
        """Whether a session of this side and transport has the key."""
        return self.role in (None, side) and self.fixt in (None, fixt)

    def default(self, side: Side, role: Role) -> str | None:
        """What the gateway adds where the key is absent: what a drop copy says is checked as a broker's word is."""
        of_client = side == "client" if self.role is not None else role == "client"
        return self.client_default if of_client else self.broker_default


def _count(low: int, high: int, example: str) -> Kind:
    def fits(text: str) -> bool:
        return bool(re.fullmatch(r"[0-9]{1,9}", text)) and low <= int(text) <= high

    return Kind(f"a whole number from {low} to {high}", example, fits)


def _choice(*values: str) -> Kind:
    return Kind(" or ".join(values), values[0], lambda text: text in values)


def _pattern(expects: str, example: str, pattern: str) -> Kind:
    return Kind(expects, example, lambda text: re.fullmatch(pattern, text) is not None)


DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
FLAG = _choice("Y", "N")
PORT = _count(1, 65535, "5201")
SECONDS = _count(1, 86400, "10")
BYTES = _count(1, 1 << 28, "65536")
TIME = _pattern("a time HH:MM:SS", "00:00:00", r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")
DAY = Kind(
    "a day of the week",
    "Sunday",
    lambda text: text.lower() in {f for d in DAYS for f in (d.lower(), d[:3].lower())},
)
HOST = _pattern("a host name or address", "127.0.0.1", r"[A-Za-z0-9._:-]{1,253}")
ADDRESSES = _pattern("addresses separated by commas", "127.0.0.1", r"[0-9A-Fa-f.:]+( *, *[0-9A-Fa-f.:]+)*")
COMP_ID = _pattern(
    "1 to 64 printable characters without space, /, \\, : or >", "CLIENT1", r"[!-.0-9;<=?-\[\]-~]{1,64}"
)
FILE = _pattern("a file name", "FIX44.xml", r"[^\x00-\x1f\x7f]{1,800}")
TEXT = _pattern("one line of text", "text", r"[^\x00-\x1f\x7f]{1,800}")
NAME = _pattern("1 to 32 letters, digits, _ or -", "CLIENT1", r"[A-Za-z0-9_-]{1,32}")
DIALECT = _pattern("the name of a dialect file without .toml", "standard-fix44", r"[A-Za-z0-9_-]{1,64}")
YES = Kind("Y, which this gateway relies on", "Y", lambda text: text == "Y")
VERSION = _choice("FIX.4.2", "FIX.4.4", "FIXT.1.1")
SECRET = _pattern("one line, the place of a secret", "file:/run/secrets/oms_client1", r".{1,800}")
GRACE_SECONDS = 10
TIMES_IN_FORCE = {"GTC": "1", "GTD": "6"}
APPL_VERSION = _choice("FIX.5.0SP2", "9")


def _key(name: str, kind: Kind, meaning: str, both: str | None = None, **more: object) -> SessionKey:
    if both is not None:
        more |= {"client_default": both, "broker_default": both}
    return SessionKey(name, kind, meaning, **more)  # type: ignore[arg-type]


KEYS: tuple[SessionKey, ...] = (
    # who and what
    _key(
        "ConnectionType",
        _choice("acceptor", "initiator"),
        "acceptor: a client; initiator: a broker; either: a drop copy.",
        required=True,
    ),
    _key("OmsRole", _choice("drop_copy"), "A broker's copies of all its reports. Absent: by ConnectionType."),
    _key("OmsDropCopyOf", NAME, "With OmsRole: OmsName of the broker session whose reports are copied."),
    _key("OmsName", NAME, "Name of the session in oms.toml, logs and the ledger. Absent: TargetCompID."),
    _key("OmsDialect", DIALECT, "Dialect of the counterparty. Absent: the standard one of its FIX version."),
    _key("OmsTls", FLAG, "Whether the connection is TLS. The same for all sessions of a ConnectionType.", "N"),
    _key(
        "OmsEnvironment",
        _choice("live", "test"),
        "Environment that the CompIDs and the host are of; must be that of [gateway]. Required on live.",
    ),
    _key(
        "OmsAllowLoopback",
        FLAG,
        "Y: on live too SocketConnectHost may be this machine, where a tunnel or proxy leads to the broker.",
        role="broker",
    ),
    _key("BeginString", VERSION, "FIX version of the session.", required=True),
    _key("DefaultApplVerID", APPL_VERSION, "FIX version of the application messages.", fixt=True, required=True),
    _key("SenderCompID", COMP_ID, "This gateway's CompID.", required=True),
    _key("TargetCompID", COMP_ID, "The counterparty's CompID.", required=True),
    _key("SessionQualifier", NAME, "Tells two sessions with the same CompIDs apart.", role="broker"),
    # what becomes of a client's orders when it is gone
    _key(
        "OmsCancelOnDisconnect",
        FLAG,
        "Y cancels a client's live orders when it is logged out and does not come back in time.",
        role="client",
    ),
    _key(
        "OmsCancelOnDisconnectSeconds",
        _count(0, 86400, "10"),
        f"With OmsCancelOnDisconnect=Y: seconds in which it may come back. Absent: {GRACE_SECONDS}.",
        role="client",
    ),
    _key(
        "OmsCancelOnDisconnectExempt",
        _choice("GTC", "GTD", "GTC,GTD"),
        "With OmsCancelOnDisconnect=Y: orders of this TimeInForce(59) stay. Absent: none do.",
        role="client",
    ),
    _key("OmsNews", FLAG, "Y tells a client with News(B) of kill switches and of trading off and on.", role="client"),
    # who may log on
    _key("OmsUsername", TEXT, "Username(553) of the Logon(A): a client's, or ours at a broker. With OmsPassword."),
    _key(
        "OmsPassword",
        SECRET,
        "Password(554) of the Logon(A): file:NAME, env:NAME or command:PROGRAM; of a client also its hash scrypt:... "
        "(`oms sessions password-hash`). Absent: a client's is not asked for, a broker is told none.",
    ),
    _key(
        "OmsPasswordIn",
        _choice("Password", "RawData"),
        "Where a broker takes it: Password(554), or RawData(96) as before FIX 4.3.",
        role="broker",
    ),
    # how much a client may send
    _key(
        "OmsMaxRate",
        _count(1, 100_000, "50"),
        "Messages a second that a client may send; OrderCancelRequest(F) and OrderMassCancelRequest(q) never count. "
        "Absent: any number.",
        role="client",
    ),
    _key(
        "OmsOverRate",
        _choice(*POLICIES),
        "With OmsMaxRate: whether more is refused, waits for its turn, or is refused and logs the client out. "
        f"Absent: {POLICIES[0]}.",
        role="client",
    ),
    _key(
        "OmsMaxDelayed",
        _count(1, 1_000_000, "200"),
        "With OmsOverRate=delay: messages that may wait before the oldest is refused. Absent: as many as OmsMaxRate. "
        "From [inbox] per_session on nothing is refused; the connection waits, and so do the cancels in it.",
        role="client",
    ),
    _key(
        "OmsDisconnectAfter",
        _count(1, 1_000_000, "100"),
        "With OmsOverRate=disconnect: refusals within a second after which the client is logged out. "
        f"Absent: {DISCONNECT_AFTER}.",
        role="client",
    ),
    _key(
        "OmsLogonAfterSeconds",
        SECONDS,
        f"With OmsOverRate=disconnect: seconds until it may log on again. Absent: {LOGON_AFTER_SECONDS}.",
        role="client",
    ),
    # dictionaries
    _key("UseDataDictionary", YES, "Messages are checked, and groups read, by the dictionary.", "Y"),
    _key("DataDictionary", FILE, "Dictionary. Absent: the standard one of the version.", fixt=False),
    _key("TransportDataDictionary", FILE, "Dictionary of the session layer. Absent: FIXT11.xml.", fixt=True),
    _key("AppDataDictionary", FILE, "Dictionary of the application messages. Absent: FIX50SP2.xml.", fixt=True),
    # connection
    _key("SocketAcceptPort", PORT, "Port it listens on; clients may share one.", role="client", required=True),
    _key(
        "SocketReuseAddress",
        FLAG,
        "Take the port again right after a restart.",
        role="client",
        client_default="Y",
    ),
    _key("AllowedRemoteAddresses", ADDRESSES, "Addresses it may connect from. Absent: any.", role="client"),
    _key("SocketConnectHost", HOST, "Where to connect to.", role="broker", required=True),
    _key("SocketConnectPort", PORT, "Port to connect to.", role="broker", required=True),
    _key("SocketConnectSourceHost", HOST, "Local address to connect from.", role="broker"),
    _key("SocketConnectSourcePort", PORT, "Local port to connect from.", role="broker"),
    _key(
        "HostSelectionPolicy",
        _choice("ROUND_ROBIN", "PRIORITY"),
        "Order of the numbered hosts.",
        role="broker",
    ),
    _key(
        "HostSelectionPolicyPriorityStartOverInterval",
        SECONDS,
        "Seconds until PRIORITY starts over.",
        role="broker",
    ),
    _key(
        "ReconnectInterval",
        SECONDS,
        "Seconds between attempts.",
        role="broker",
        engine_wide=True,
        broker_default="2",
    ),
    _key("SocketNodelay", FLAG, "Send at once (TCP_NODELAY).", "Y", engine_wide=True),
    _key("SocketSendBufferSize", BYTES, "Bytes of the socket's send buffer.", engine_wide=True),
    _key(
        "SocketReceiveBufferSize",
        BYTES,
        "Bytes of the socket's receive buffer. A client's cancels wait behind what it holds.",
        engine_wide=True,
        client_default="32768",
    ),
    # schedule; without one the session never ends and its numbers are never reset
    _key("NonStopSession", FLAG, "No schedule: sequence numbers run on. Set where no StartTime is."),
    _key("StartTime", TIME, "UTC time at which the session begins and its numbers start at 1."),
    _key("EndTime", TIME, "UTC time at which the session ends."),
    _key("StartDay", DAY, "With EndDay: a session per week."),
    _key("EndDay", DAY, "With StartDay: a session per week."),
    _key("UseLocalTime", FLAG, "The schedule is in this machine's local time.", "N"),
    # session behaviour
    _key("HeartBtInt", _count(1, 3600, "30"), "HeartBtInt(108) in seconds.", role="broker", broker_default="30"),
    _key("LogonTimeout", SECONDS, "Seconds to wait for a Logon(A).", "10"),
    _key("LogoutTimeout", SECONDS, "Seconds to wait for a Logout(5).", "2"),
    _key("ResetOnLogon", FLAG, "Start at 1 with every logon. Y loses what was sent meanwhile.", "N"),
    _key("ResetOnLogout", FLAG, "Start at 1 after every logout. Y loses what was sent meanwhile.", "N"),
    _key("ResetOnDisconnect", FLAG, "Start at 1 after every disconnect. Y loses what was sent meanwhile.", "N"),
    _key("RefreshOnLogon", FLAG, "Read the message store again at logon.", "N"),
    _key("SendRedundantResendRequests", FLAG, "Ask again for a gap already asked for.", "N"),
    _key("SendNextExpectedMsgSeqNum", FLAG, "Send NextExpectedMsgSeqNum(789) in Logon(A).", "N"),
    _key("PersistMessages", YES, "What was sent can be sent again.", "Y"),
    _key("TimestampPrecision", _count(0, 9, "3"), "Decimals of the second in SendingTime(52).", "3"),
    # checks on what arrives
    _key("CheckCompID", YES, "CompIDs must be the configured ones.", "Y"),
    _key("CheckLatency", FLAG, "Y refuses messages whose SendingTime(52) is more than MaxLatency off.", "N"),
    _key("MaxLatency", SECONDS, "Seconds, for CheckLatency.", "120"),
    _key("ValidateLengthAndChecksum", YES, "BodyLength(9) and CheckSum(10) must be right.", "Y"),
    _key(
        "ValidateFieldsOutOfOrder",
        FLAG,
        "Header fields must come before the body.",
        client_default="Y",
        broker_default="N",
    ),
    _key("ValidateFieldsHaveValues", FLAG, "A tag must have a value.", client_default="Y", broker_default="N"),
    _key("ValidateUserDefinedFields", FLAG, "Tags from 5000 on must be in the dictionary.", "N"),
    _key(
        "AllowUnknownMsgFields",
        FLAG,
        "Tags below 5000 that the dictionary does not have for the message are let in.",
        client_default="N",
        broker_default="Y",
    ),
    # TLS, for all sessions of a ConnectionType
    _key("ServerCertificateFile", FILE, "TLS certificate of this gateway.", role="client", engine_wide=True),
    _key("ServerCertificateKeyFile", FILE, "Its key.", role="client", engine_wide=True),
    _key("ClientCertificateFile", FILE, "TLS certificate shown to brokers.", role="broker", engine_wide=True),
    _key("ClientCertificateKeyFile", FILE, "Its key.", role="broker", engine_wide=True),
    _key("CertificationAuthoritiesFile", FILE, "Authorities whose certificates are taken.", engine_wide=True),
    _key("CertificateRevocationListFile", FILE, "Certificates no longer taken.", engine_wide=True),
    _key(
        "CertificateVerifyLevel",
        _count(0, 2, "2"),
        "Client certificates: 0 not asked for, 1 required, 2 checked if shown.",
        role="client",
        engine_wide=True,
    ),
    _key("SSLProtocol", TEXT, "TLS versions, as QuickFIX writes them.", engine_wide=True),
    _key("SSLCipherSuite", TEXT, "Ciphers up to TLS 1.2.", engine_wide=True),
    _key("TLSCipherSuites", TEXT, "Ciphers of TLS 1.3.", engine_wide=True),
)
BY_LOWER_NAME = {session_key.name.lower(): session_key for session_key in KEYS}
TLS_KEYS = tuple(k.name for k in KEYS if k.name.startswith(("Server", "Client", "Certific", "SSL", "TLS")))
TLS_FILES = tuple(name for name in TLS_KEYS if name.endswith("File"))

NUMBERED = re.compile(r"(SocketConnect(?:Source)?(?:Host|Port))([1-9][0-9]?)", re.IGNORECASE)

# What QuickFIX knows and this gateway refuses: (pattern, problem, remedy).
REFUSED: tuple[tuple[str, str, str], ...] = (
    (
        "FileStorePath",
        "set by the gateway",
        "remove it; the stores are in state_dir/fix_store ([gateway] state_dir)",
    ),
    (
        "HttpAcceptPort",
        "opens a web page without a password that can reset sequence numbers",
        "remove it; use `oms sessions`",
    ),
    (
        "(MySQL|PostgreSQL|Odbc)(Store|Log).*",
        "not used by this gateway",
        "remove it; the ledger is [database] in oms.toml",
    ),
    ("(FileLog|ScreenLog).*", "not used by this gateway", "remove it; the log is [log] in oms.toml"),
    (
        "MillisecondsInTimeStamp",
        "replaced by TimestampPrecision",
        "write TimestampPrecision=3 (or 0 for whole seconds)",
    ),
    ("Log(on|out)(Time|Day)", "not supported by this gateway", "remove it; use StartTime and EndTime"),
    (
        "PreserveMessageFieldsOrder",
        "not supported by this gateway",
        "remove it; fields leave in the order of the dictionary",
    ),
    ("CertificateAuthoritiesFile", "not what QuickFIX calls it", "write CertificationAuthoritiesFile"),
    (
        "Certification?AuthoritiesDirectory|CertificateRevocationListDirectory",
        "not supported by this gateway",
        "put the certificates into one file: CertificationAuthoritiesFile, CertificateRevocationListFile",
    ),
)


def find(name: str) -> SessionKey | None:
    """The key of this name, in any case; SocketConnectHost1 and the like are the unnumbered key."""
    numbered = NUMBERED.fullmatch(name)
    return BY_LOWER_NAME.get((numbered[1] if numbered else name).lower())


def canonical(name: str, known: SessionKey) -> str:
    """The name as QuickFIX's documentation spells it, with the number of a numbered host or port."""
    numbered = NUMBERED.fullmatch(name)
    return known.name + (numbered[2] if numbered else "")


def cancel_on_disconnect(values: dict[str, str]) -> dict[str, Any]:
    """``cancel_after`` and ``cancel_exempt`` of a session's spec, nothing where it is off."""
    if values.get("OmsCancelOnDisconnect") != "Y":
        return {}
    exempt = values.get("OmsCancelOnDisconnectExempt", "").split(",")
    return {
        "cancel_after": int(values.get("OmsCancelOnDisconnectSeconds", GRACE_SECONDS)),
        "cancel_exempt": "".join(TIMES_IN_FORCE[one] for one in exempt if one),
    }


def credentials(values: dict[str, str]) -> dict[str, Any]:
    """What a session's spec has of its Logon(A), nothing where no password is configured."""
    if "OmsPassword" not in values:
        return {}
    found: dict[str, Any] = {"username": values.get("OmsUsername", ""), "password": values["OmsPassword"]}
    return found | {"password_in_raw_data": values.get("OmsPasswordIn") == "RawData"}


def refusal(name: str) -> tuple[str, str] | None:
    """Problem and remedy of a key that QuickFIX knows and this gateway refuses."""
    for pattern, problem, remedy in REFUSED:
        if re.fullmatch(pattern, name, re.IGNORECASE):
            return problem, remedy
    return None

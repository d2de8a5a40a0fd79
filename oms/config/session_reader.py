"""Reads and checks ``sessions.cfg``: the sessions in it, their dictionaries and dialects.

[DEFAULT] values hold for every session that has such a key; a key in a [SESSION] that it cannot have is a
problem, and so is every key that QuickFIX would ignore where it stands.
Invariants: session names and ids are unique, and so are the names of their message stores; a session with any
problem gives no SessionSpec.
"""

from __future__ import annotations

import os
from pathlib import Path

from oms.config.cfg_reader import LINE_BYTES, CfgSection, read_cfg
from oms.config.dialects import STANDARD_DIALECTS, Dialect, read_dialect
from oms.config.dictionaries import (
    APPLICATION_MESSAGES,
    SESSION_MESSAGES,
    STANDARD_NAMES,
    Dictionary,
    DictionaryUnreadable,
    locate,
    read_dictionary,
)
from oms.config.problems import Problems
from oms.config.rule_checks import misfits
from oms.config.secrets import is_hashed, is_reference
from oms.config.session_keys import (
    BY_LOWER_NAME,
    KEYS,
    NAME,
    NUMBERED,
    TLS_FILES,
    TLS_KEYS,
    Role,
    Side,
    cancel_on_disconnect,
    credentials,
    find,
)
from oms.config.sessions import Sessions, SessionSpec
from oms.config.throttles import contradictions, rate_of

SIDES: dict[str, Side] = {"acceptor": "client", "initiator": "broker"}
RESETS = ("ResetOnLogon", "ResetOnLogout", "ResetOnDisconnect")


class SessionReader:
    """Reads one sessions.cfg; keeps the dictionaries and dialects it reads, because sessions share them."""

    def __init__(self, file: Path, fix_specs: Path, state_dir: Path, problems: Problems) -> None:
        self.file, self.fix_specs, self.problems = file, fix_specs, problems
        self.store_path = state_dir / "fix_store"
        self._dictionaries: dict[Path, Dictionary | None] = {}
        self._dialects: dict[str, Dialect | None] = {}

    def read(self, named_by: str) -> Sessions:
        """Every session of the file; what is wrong goes to the problems."""
        sessions = Sessions()
        text = self.problems.read(self.file, named_by)
        if text is None:
            return sessions
        default, *sections = read_cfg(text, self.file, self.problems)
        sessions.names_known = True
        taken: dict[str, str] = {}
        for section in sections:
            self._take(section, default, sessions, taken)
        for role in ("client", "broker"):
            if role not in sessions.declared.values() and None not in sessions.declared.values():
                kind = "acceptor" if role == "client" else "initiator"
                self._add("[SESSION]", f"no {role} session", f"add a [SESSION] with ConnectionType={kind}")
                sessions.names_known = False
        self._check_tls(default, sessions)
        return sessions

    def _add(self, where: str, problem: str, remedy: str) -> None:
        self.problems.add(self.file, where, problem, remedy)

    def _take(self, section: CfgSection, default: CfgSection, sessions: Sessions, taken: dict[str, str]) -> None:
        """One [SESSION]: its spec into ``sessions`` if all is well; ``taken`` has what must be unique."""
        before = len(self.problems.found)
        merged = default.values | section.values
        name = merged.get("OmsName", merged.get("TargetCompID", ""))
        role = _role(merged)
        if name in sessions.declared:
            sessions.names_known = False
            remedy = "give each session an OmsName of its own"
            self._add(section.title, f'a second session named "{name}"', remedy)
            return
        sessions.names_known &= NAME.fits(name)
        sessions.declared[name] = role
        spec = self._spec(section, merged, name)
        if spec is None:
            return
        for what, text in (("session id", spec.session_id), ("message store", spec.store_prefix)):
            if text in taken:
                self._add(
                    section.title,
                    f"the same {what} {text} as {taken[text]}",
                    "change SenderCompID or TargetCompID, or remove one of the two sessions",
                )
                return
        for key, value in spec.settings.items():
            if len(f"{key}={value}".encode()) > LINE_BYTES:
                self._add(
                    f"{section.title} {key}",
                    "its full path is too long for QuickFIX",
                    "use shorter directories",
                )
        taken |= {spec.session_id: spec.name, spec.store_prefix: spec.name}
        if len(self.problems.found) == before:
            sessions.specs[spec.name] = spec

    def _spec(self, section: CfgSection, merged: dict[str, str], name: str) -> SessionSpec | None:
        """The session, or None where it is too wrong to go on with."""
        role, side = _role(merged), SIDES.get(merged.get("ConnectionType", ""))
        begin_string = merged.get("BeginString", "")
        if role is None or side is None or begin_string not in STANDARD_NAMES or begin_string == "FIX.5.0SP2":
            for missing in ("ConnectionType", "BeginString"):
                if missing not in merged:
                    self._missing(section, missing)
            return None  # the value, if there is one, has been complained about by the reader
        fixt = begin_string == "FIXT.1.1"
        settings = self._settings(section, merged, side, role, fixt)
        if settings is None:
            return None
        if "OmsName" not in merged and not NAME.fits(name):
            self._add(f"{section.title} OmsName", f"missing, and {name} cannot be a name", "add OmsName=NAME")
        appl_ver_id = "FIX.5.0SP2" if fixt else begin_string
        found = self._find_dictionaries(section, settings, begin_string, appl_ver_id)
        dialect = self._find_dialect(section, merged.get("OmsDialect", STANDARD_DIALECTS[appl_ver_id]))
        if found is None or dialect is None:
            return None
        transport, application = found
        self._check_refined(section, merged)
        self._check_password(section, merged)
        self._check_dialect(section, dialect, application)
        if merged.get("OmsNews") == "Y" and "B" not in application.messages:
            self._add(
                f"{section.title} OmsNews",
                f"{application.path.name} lacks MsgType(35)=B",
                "add it, or remove OmsNews",
            )
        qualifier = settings.get("SessionQualifier", "")
        session_id = f"{begin_string}:{settings['SenderCompID']}->{settings['TargetCompID']}"
        return SessionSpec(
            name=name,
            role=role,
            begin_string=begin_string,  # type: ignore[arg-type]  # one of the three, checked above
            appl_ver_id=appl_ver_id,  # type: ignore[arg-type]
            sender_comp_id=settings["SenderCompID"],
            target_comp_id=settings["TargetCompID"],
            qualifier=qualifier,
            session_id=session_id + (f":{qualifier}" if qualifier else ""),
            transport_dictionary=transport.path if transport else None,
            application_dictionary=application.path,
            dialect=dialect,
            store_path=self.store_path,
            host=settings.get("SocketConnectHost", ""),
            port=int(settings["SocketAcceptPort" if side == "client" else "SocketConnectPort"]),
            tls=merged.get("OmsTls", "N") == "Y",
            settings=settings,
            drop_copy_of=merged.get("OmsDropCopyOf", ""),
            news=merged.get("OmsNews") == "Y" and role == "client",
            environment=merged.get("OmsEnvironment", ""),
            allow_loopback=merged.get("OmsAllowLoopback") == "Y",
            **credentials(merged),
            **cancel_on_disconnect(merged if role == "client" else {}),
            **rate_of(merged if role == "client" else {}),
        )

    def _check_refined(self, section: CfgSection, merged: dict[str, str]) -> None:
        """What refines cancel on disconnect, or a rate, needs it."""
        for name in ("OmsCancelOnDisconnectSeconds", "OmsCancelOnDisconnectExempt"):
            if name in section.values and merged.get("OmsCancelOnDisconnect") != "Y":
                remedy = "add OmsCancelOnDisconnect=Y, or remove it"
                self._add(f"{section.title} {name}", "without OmsCancelOnDisconnect=Y", remedy)
        for name, problem, remedy in contradictions(section.values, merged):
            self._add(f"{section.title} {name}", problem, remedy)

    def _check_password(self, section: CfgSection, merged: dict[str, str]) -> None:
        """A password is named, not written; what is wrong with one is told without it."""
        kept = merged.get("OmsPassword", "")
        if kept and not is_reference(kept) and not (is_hashed(kept) and merged["ConnectionType"] == "acceptor"):
            where = _where(section, "OmsPassword")
            if kept.startswith("scrypt:") and merged["ConnectionType"] == "initiator":
                remedy = "name its place, such as OmsPassword=file:NAME"
                self._add(where, "a hash, and the broker has to be told the password itself", remedy)
            elif kept.startswith("scrypt:"):
                self._add(where, "no hash that can be read", "make it with `oms sessions password-hash`")
            else:
                remedy = "name its place: OmsPassword=file:NAME; or a client's hash (`oms sessions password-hash`)"
                self._add(where, "the password itself", remedy)
        for name in ("OmsUsername", "OmsPasswordIn"):
            if name in section.values and not kept:
                self._add(f"{section.title} {name}", "without OmsPassword", "add OmsPassword, or remove it")

    def _missing(self, section: CfgSection, name: str) -> None:
        example = BY_LOWER_NAME[name.lower()].kind.example
        self._add(f"{section.title} {name}", "missing", f"add for example {name}={example}, here or in [DEFAULT]")

    def _settings(
        self, section: CfgSection, merged: dict[str, str], side: Side, role: Role, fixt: bool
    ) -> dict[str, str] | None:
        """What QuickFIX gets, dictionaries still as written; None where something needed is missing."""
        self._check_place(section, side, fixt)
        settings = {name: value for name, value in merged.items() if (k := find(name)) and k.applies(side, fixt)}
        applying = [known for known in KEYS if known.applies(side, fixt)]
        lacking = [known.name for known in applying if known.required and known.name not in settings]
        for name in lacking:
            self._missing(section, name)
        self._check_numbered(section, settings)
        self._check_schedule(section, settings)
        for known in applying:
            default = known.default(side, role)
            if default is not None:
                settings.setdefault(known.name, default)
        if "AllowedRemoteAddresses" in settings:  # QuickFIX does not trim the parts
            settings["AllowedRemoteAddresses"] = settings["AllowedRemoteAddresses"].replace(" ", "")
        settings |= {name: str(self._beside(settings[name])) for name in TLS_FILES if name in settings}
        wrong_values = [name for name, value in settings.items() if (k := find(name)) and not k.kind.fits(value)]
        settings = {name: value for name, value in settings.items() if not name.startswith("Oms")}
        return None if lacking or wrong_values else settings

    def _check_place(self, section: CfgSection, side: Side, fixt: bool) -> None:
        """Each key of the section is one that QuickFIX reads there, for such a session."""
        kind = "acceptor" if side == "client" else "initiator"
        for name in section.values:
            known = find(name)
            assert known is not None  # the reader lets no other through
            where = f"{section.title} {name}"
            if known.engine_wide:
                self._add(where, "QuickFIX has one value of it for all sessions", "move it to [DEFAULT]")
            elif known.role not in (None, side):
                self._add(where, f"not a key of an {kind} session", "remove it, or correct ConnectionType")
            elif known.fixt not in (None, fixt):
                transport = "FIXT.1.1" if fixt else "FIX.4.x"
                self._add(where, f"not a key of a {transport} session", "remove it, or correct BeginString")

    def _check_numbered(self, section: CfgSection, settings: dict[str, str]) -> None:
        """QuickFIX ignores a numbered host without its port, and the other way round."""
        for name in settings:
            numbered = NUMBERED.fullmatch(name)
            if numbered and "Source" not in name:
                partner = f"SocketConnect{'Port' if 'Host' in name else 'Host'}{numbered[2]}"
                if partner not in settings:
                    self._add(_where(section, name), f"without {partner}", f"add {partner}, or remove {name}")

    def _check_schedule(self, section: CfgSection, settings: dict[str, str]) -> None:
        """A whole schedule or none; without one the session never ends."""
        for one, other in (("StartTime", "EndTime"), ("StartDay", "EndDay")):
            for name, partner in ((one, other), (other, one)):
                if name in settings and partner not in settings:
                    self._add(_where(section, name), f"without {partner}", f"add {partner}, or remove {name}")
        scheduled = [name for name in ("StartTime", "EndTime", "StartDay", "EndDay") if name in settings]
        if scheduled and settings.get("NonStopSession") == "Y":
            self._add(
                _where(section, "NonStopSession"),
                f"Y together with {scheduled[0]}",
                "remove NonStopSession or the schedule",
            )
        if "StartDay" in settings and "StartTime" not in settings:
            self._add(_where(section, "StartDay"), "without StartTime", "add StartTime and EndTime")
        if not scheduled:
            settings["NonStopSession"] = "Y"
        for name in RESETS:
            if settings.get(name) == "Y":
                self.problems.warn(
                    self.file,
                    _where(section, name),
                    "Y: messages sent while the other side was away are lost",
                    f"write {name}=N; numbers are reset by schedule (StartTime, EndTime) or by an operator",
                )

    def _find_dictionaries(
        self, section: CfgSection, settings: dict[str, str], begin_string: str, appl_ver_id: str
    ) -> tuple[Dictionary | None, Dictionary] | None:
        """Transport (FIXT only) and application dictionary; their absolute paths go into ``settings``."""
        if begin_string != "FIXT.1.1":
            wanted = APPLICATION_MESSAGES + SESSION_MESSAGES
            only = self._dictionary(section, settings, "DataDictionary", begin_string, wanted)
            return (None, only) if only else None
        transport = self._dictionary(section, settings, "TransportDataDictionary", begin_string, SESSION_MESSAGES)
        application = self._dictionary(section, settings, "AppDataDictionary", appl_ver_id, APPLICATION_MESSAGES)
        return (transport, application) if transport and application else None

    def _dictionary(
        self, section: CfgSection, settings: dict[str, str], key: str, version: str, wanted: tuple[str, ...]
    ) -> Dictionary | None:
        where = f"{section.title} {key}"
        name = settings.get(key, STANDARD_NAMES[version])
        places = locate(name, self.fix_specs, self.file.parent)
        path = next((place for place in places if os.path.isfile(place)), None)
        if path is None:
            looked = " and ".join(str(place.parent) for place in places)
            self._add(
                where,
                f"no file {name} in {looked}",
                f"put it there, or write {key}={STANDARD_NAMES[version]}",
            )
            return None
        if path not in self._dictionaries:
            try:
                self._dictionaries[path] = read_dictionary(path)
            except DictionaryUnreadable as unreadable:
                self._dictionaries[path] = None
                self._add(where, f"{path} {unreadable}", f"mend the file, or write {key}={STANDARD_NAMES[version]}")
        dictionary = self._dictionaries[path]
        if dictionary is None:
            return None
        settings[key] = str(path)
        missing = [code for code in wanted if code not in dictionary.messages]
        if dictionary.version != version:
            self._add(
                where,
                f"{path} is for {dictionary.version}, not {version}",
                f"write {key}={STANDARD_NAMES[version]}",
            )
        elif missing:
            self._add(where, f"{path} lacks MsgType(35)={missing[0]}", "add the message to the dictionary")
        return dictionary

    def _find_dialect(self, section: CfgSection, name: str) -> Dialect | None:
        if name not in self._dialects:
            named_by = f"OmsDialect of {section.title} in {self.file.name}"
            self._dialects[name] = read_dialect(name, self.fix_specs, named_by, self.problems)
        return self._dialects[name]

    def _check_dialect(self, section: CfgSection, dialect: Dialect, application: Dictionary) -> None:
        """What a dialect takes must exist in the counterparty's dictionary."""
        pairs = (
            ("ord_types", 40, "OrdType(40)", dialect.ord_types),
            ("times_in_force", 59, "TimeInForce(59)", dialect.times_in_force),
        )
        for key, tag, field_name, values in pairs:
            strange = sorted(values - application.values.get(tag, values))
            if strange:
                self._add(
                    f"{section.title} OmsDialect",
                    f"{dialect.name} has {key} {strange[0]}, no {field_name} of {application.path.name}",
                    "correct the dialect or the dictionary",
                )
        if dialect.status_requests and "H" not in application.messages:
            self._add(
                f"{section.title} OmsDialect",
                f"{dialect.name} has status_requests, {application.path.name} lacks MsgType(35)=H",
                "write status_requests = false in the dialect, or add the message to the dictionary",
            )
        if dialect.mass_status and "AF" not in application.messages:
            self._add(
                f"{section.title} OmsDialect",
                f"{dialect.name} has mass_status, {application.path.name} lacks MsgType(35)=AF",
                "write mass_status = false in the dialect, or add the message to the dictionary",
            )
        if dialect.mass_cancel and not {"q", "r"} <= application.messages:
            self._add(
                f"{section.title} OmsDialect",
                f"{dialect.name} has mass_cancel, {application.path.name} lacks MsgType(35)=q or r",
                "write mass_cancel = false in the dialect, or add the messages to the dictionary",
            )
        for rule, problem, remedy in misfits(dialect, application.path):
            self._add(f"{section.title} OmsDialect", ": ".join(filter(None, (dialect.name, rule, problem))), remedy)

    def _check_tls(self, default: CfgSection, sessions: Sessions) -> None:
        """TLS is per ConnectionType in QuickFIX; nothing about it may be half configured."""
        for role, needed in (("client", "ServerCertificateFile"), ("broker", "CertificationAuthoritiesFile")):
            specs = [spec for spec in sessions.specs.values() if spec.side == role]
            secured = [spec for spec in specs if spec.tls]
            if secured and len(secured) < len(specs):
                plain = next(spec.name for spec in specs if not spec.tls)
                self._add(
                    f"[SESSION] {plain} OmsTls",
                    f"N, but Y for {secured[0].name}",
                    f"write the same for all {role} sessions; QuickFIX has one socket kind for them",
                )
            if secured and needed not in default.values:
                self._add(f"[DEFAULT] {needed}", "missing for OmsTls=Y", f"add {needed}=FILE")
        written = [name for name in TLS_KEYS if name in default.values]
        if written and not any(spec.tls for spec in sessions.specs.values()) and sessions.specs:
            self._add(f"[DEFAULT] {written[0]}", "no session has OmsTls=Y", "add OmsTls=Y, or remove the TLS keys")
        for name in TLS_FILES:
            if name in default.values and not os.path.isfile(self._beside(default.values[name])):
                self._add(f"[DEFAULT] {name}", f"no file {default.values[name]}", "correct the name")

    def _beside(self, name: str) -> Path:
        return (self.file.parent / Path(name).expanduser()).absolute()


def _role(merged: dict[str, str]) -> Role | None:
    """What a session is for, None where its ConnectionType is missing or wrong."""
    side = SIDES.get(merged.get("ConnectionType", ""))
    return "drop_copy" if side is not None and merged.get("OmsRole") == "drop_copy" else side


def _where(section: CfgSection, name: str) -> str:
    """Where a key that a session has was written: in its own section or in [DEFAULT]."""
    return f"{section.title if name in section.values else '[DEFAULT]'} {name}"

"""Reads the text of a QuickFIX settings file: sections, in order, each with its keys and line numbers.

The format repeats [SESSION], which the standard library's configparser cannot take, and QuickFIX's own reader
skips in silence what it does not understand (stray lines, a second [DEFAULT], everything after a line of 1023
bytes or more). Here each of those is a problem. Comments are whole lines that begin with ``#``, as in
QuickFIX.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from oms.config.problems import Problems, show, suggestion
from oms.config.session_keys import KEYS, canonical, find, refusal

LINE_BYTES = 1022  # QuickFIX reads lines into 1024 bytes and stops reading the file at a longer one


@dataclass(slots=True)
class CfgSection:
    """One [DEFAULT] or [SESSION]: its line, and its values and their lines by canonical key."""

    kind: str
    line: int
    number: int = 0
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How messages name it: ``[SESSION] CLIENT1``, or by number and line while it has no name."""
        if self.kind == "DEFAULT":
            return "[DEFAULT]"
        name = self.values.get("OmsName") or self.values.get("TargetCompID")
        return f"[SESSION] {name}" if name else f"[SESSION] #{self.number} (line {self.line})"


def read_cfg(text: str, file: Path, problems: Problems) -> list[CfgSection]:
    """All sections, [DEFAULT] first (empty where there is none); what is wrong goes to the problems."""
    default = CfgSection("DEFAULT", 0)
    sessions: list[CfgSection] = []
    current: CfgSection | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if len(raw.encode()) > LINE_BYTES:
            problems.add(
                file,
                f"line {number}",
                f"longer than {LINE_BYTES} bytes",
                "shorten it; QuickFIX reads no further",
            )
        elif not line or line.startswith("#"):
            continue
        elif line.startswith("[") and line.endswith("]"):
            current = _open(line, number, default, sessions, file, problems)
        elif "=" not in line:
            problems.add(
                file,
                f"line {number}",
                f"{show(line)} is not Key=Value",
                "put a # before it if it is a comment",
            )
        elif current is None:
            problems.add(file, f"line {number}", "a key before any section", "put [DEFAULT] or [SESSION] above it")
        else:
            _enter(line, number, current, file, problems)
    return [default, *sessions]


def _open(
    line: str, number: int, default: CfgSection, sessions: list[CfgSection], file: Path, problems: Problems
) -> CfgSection:
    name = line[1:-1].strip()
    if name == "SESSION":
        sessions.append(CfgSection(name, number, len(sessions) + 1))
        return sessions[-1]
    if name == "DEFAULT" and not default.line:
        default.line = number
        return default
    if name == "DEFAULT":
        problems.add(
            file,
            f"line {number}",
            f"a second [DEFAULT] (the first is on line {default.line})",
            "move its keys to the first; QuickFIX ignores the second",
        )
    else:
        problems.add(file, f"line {number}", f"unknown section [{name}]", "write [DEFAULT] or [SESSION]")
    return CfgSection(name, number)  # its keys are read, so that what is wrong with them shows as well


def _enter(line: str, number: int, section: CfgSection, file: Path, problems: Problems) -> None:
    written, value = (part.strip() for part in line.split("=", 1))
    where = f"line {number} {written}"
    known = find(written)
    if known is None:
        refused = refusal(written)
        problem, remedy = refused or ("unknown key", suggestion(written, (k.name for k in KEYS), "remove it"))
        problems.add(file, where, problem, remedy)
        return
    name = canonical(written, known)
    if name in section.values:
        problems.add(file, where, f"written twice (also on line {section.lines[name]})", "keep one of them")
        return
    section.values[name], section.lines[name] = value, number
    if known.kind.fits(value):
        return
    remedy = f"write for example {name}={known.kind.example}"
    if " #" in value:
        remedy += "; a comment needs a line of its own"
    problems.add(file, where, f"{show(value)} is not {known.kind.expects}", remedy)

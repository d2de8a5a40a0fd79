"""A set of limits by itself: what [limits] of oms.toml and the limits file say, as one text that can be kept.

It goes from an operator's file through the control socket into the journal, and back from there at a start; the rows
are read by the reader of a start (`limit_rows`), whatever way they came. Two sets are the same if their SHA-256 is.
Limits: a file is at most FILE_BYTES and ROWS lines, a name in it TEXT characters; a file that is no plain file (a
device, a pipe, a directory) is not opened for reading. After PROBLEMS problems reading ends.
Invariant: `unpacked` and `read_new` give a whole set that a start would take, or raise.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import stat
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from oms.config.limit_rows import read_limit_rows
from oms.config.load import Config, load
from oms.config.problems import Problems
from oms.config.rules import LimitRule, is_pattern
from oms.core.limit_diff import LimitTerms
from oms.core.terms import Limit
from oms.errors import ConfigError, OperatorError
from oms.terms import rules_of

FILE_BYTES: Final = 4_000_000
PACKED_BYTES: Final = 2_000_000
ROWS: Final = 50_000
PART_BYTES: Final = 40_000
TEXT: Final = 200
PROBLEMS: Final = 20
_FORMULA: Final = ("=", "+", "-", "@")


class LimitSet(NamedTuple):
    """`file` and `text` are the limits file, '' where there is none; `rows` is what it says."""

    rules: tuple[LimitRule, ...]
    require_row: bool
    file: str
    text: str
    rows: tuple[Limit, ...]

    @property
    def content(self) -> str:
        """The one text."""
        rules = [rule.model_dump(mode="json") for rule in self.rules]
        whole = {"rules": rules, "require_row": self.require_row, "file": self.file, "text": self.text}
        return json.dumps(whole, separators=(",", ":"), sort_keys=True)

    @property
    def sha256(self) -> str:
        """Of its content."""
        return hashlib.sha256(self.content.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def terms(self) -> LimitTerms:
        """In the core's words."""
        return LimitTerms(rules_of(self.rules), self.require_row, self.rows)

    def packed(self) -> str:
        """For a line of the socket or a row of the journal."""
        return base64.b64encode(zlib.compress(self.content.encode(), 6)).decode()


class _Text(Problems):
    """Reads one text whatever the file, and gives up after PROBLEMS problems."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def read(self, file: Path, named_by: str) -> str | None:
        """The text."""
        return self._text

    def add(self, file: Path, where: str, problem: str, remedy: str) -> None:
        """Note a problem; enough of them are told at once."""
        super().add(file, where, problem, remedy)
        if len(self.found) >= PROBLEMS:
            raise ConfigError(self.found)


def set_of(config: Config) -> LimitSet:
    """What the configuration's files say. Raises OperatorError where the file is another by now."""
    if config.files.limits is None:
        return LimitSet(config.limits, config.require_row, "", "", config.limit_rows)
    text = plain_text(config.files.limits)
    return LimitSet(config.limits, config.require_row, config.files.limits.name, text, config.limit_rows)


def over(config: Config, found: LimitSet) -> Config:
    """The configuration with these limits in place of its own."""
    return replace(config, limits=found.rules, limit_rows=found.rows, require_row=found.require_row)


def unpacked(text: str, *, as_new: bool = True) -> LimitSet:
    """A set from `packed`; `as_new`: with all that is asked of a new one.

    Raises OperatorError where it is none, ConfigError with what is wrong with its rows.
    """
    try:
        squeezed = zlib.decompressobj()
        raw = squeezed.decompress(base64.b64decode(text, validate=True), 2 * FILE_BYTES)
        if squeezed.unconsumed_tail or not squeezed.eof:
            raise ValueError("too large, or cut off")
        whole = json.loads(raw)
        rules, file, rows = whole["rules"], whole["file"], whole["text"]
        if not isinstance(file, str) or not isinstance(rows, str) or not isinstance(whole["require_row"], bool):
            raise ValueError("other types")
        if not file.isprintable() or len(file) > TEXT:
            raise ValueError("no name of a file")  # it stands in Text(58) of what is refused
        json.dumps(whole, ensure_ascii=False).encode()  # half a character has no place in the journal
        made = tuple(LimitRule.model_validate(rule) for rule in rules)
    except (ValueError, KeyError, TypeError, zlib.error, RecursionError) as error:
        raise OperatorError(f"not a set of limits as `oms limits apply` sends it: {str(error)[:500]}") from None
    read = rows_of(Path(file).name, rows, as_new=as_new) if file else ()
    return LimitSet(made, whole["require_row"], file, rows, read)


def rows_of(name: str, text: str, *, as_new: bool = True) -> tuple[Limit, ...]:
    """The rows of a limits file. Raises ConfigError with line and remedy of what is wrong."""
    problems = _Text(text)
    file = Path(name or "limits.csv")
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        problems.add(file, f"line {line}", "a NUL byte", "save it as plain text")
    if text.count("\n") > ROWS:
        problems.add(file, "", f"more than {ROWS} lines", "use patterns for rows that are alike")
    if as_new:
        problems.stop_if_any()
        _strange(text, file, problems)
    rows = read_limit_rows(file, "the file", problems)
    problems.stop_if_any()
    return rows


def _strange(text: str, file: Path, problems: Problems) -> None:
    """Cells that no limit has: what a spreadsheet would work out, and names that are far too long."""
    reader = csv.reader(io.StringIO(text))
    try:
        for cells in reader:
            if cells and cells[0].lstrip().startswith("#"):
                continue
            for cell in cells:
                where = f"line {reader.line_num}"
                if cell.strip().startswith(_FORMULA):
                    problems.add(file, where, f"{cell.strip()[:40]!r} begins as a formula does", "write the value")
                elif len(cell) > TEXT:
                    problems.add(file, where, f"a value of {len(cell)} characters", f"shorten it to {TEXT}")
    except csv.Error as error:
        problems.add(file, f"line {reader.line_num}", f"not CSV: {error}", "mend the quotes on that line")


def plain_text(file: Path) -> str:
    """The text of a plain file that is not too large. Raises OperatorError, and never waits for a pipe."""
    try:
        number = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as opened:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise OperatorError(f"{file} is no plain file; name a limits file or a configuration directory")
            raw = opened.read(FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise OperatorError(f"{file} cannot be read: {said}; make it a file this user can read") from None
    if len(raw) > FILE_BYTES:
        raise OperatorError(f"{file} is larger than {FILE_BYTES:,} bytes; use patterns for rows that are alike")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OperatorError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8 text") from None


def read_new(path: Path, in_force: LimitSet) -> LimitSet:
    """A set from a limits file (then [limits] stays as it is), or from a configuration (its oms.toml or directory).

    Raises OperatorError and ConfigError.
    """
    if path.is_dir() or path.suffix == ".toml":
        found = load(path)
        if found.files.limits is not None:
            rows_of(found.files.limits.name, plain_text(found.files.limits))
        return set_of(found)
    text = plain_text(path)
    return LimitSet(in_force.rules, in_force.require_row, path.name, text, rows_of(path.name, text))


def problems_of(found: LimitSet, config: Config) -> list[str]:
    """What a start with this configuration would refuse in a set whose parts are right by themselves."""
    told = []
    clients = [spec.name for spec in config.role("client")]
    seen: set[tuple[str, str, str]] = set()
    for rule in found.rules:
        aim = (rule.client, rule.account, rule.symbol)
        if aim in seen:
            told.append(f"{rule}: there twice; keep one")
        seen.add(aim)
        told += _unknown(rule, clients, config)
    if found.require_row and not found.file:
        told.append("[limits] require_row: true, and there is no limits file; add one, or require_row = false")
    return told


def _unknown(rule: LimitRule, clients: Iterable[str], config: Config) -> list[str]:
    known = (
        ("client", rule.client, set(clients)),
        ("account", rule.account, set(config.accounts)),
        ("symbol", rule.symbol, set(config.instruments)),
    )
    return [
        f'{rule}: no {what} "{text}"; correct it'
        for what, text, names in known
        if not is_pattern(text) and text not in names
    ]


def facts_text(fact: Mapping[str, Any]) -> str:
    """A start's limits, for its report."""
    source = f"journal row {fact['row']} by {fact['by']}: {fact['why']}" if fact["row"] else "the files"
    note = f"; {fact['note']}" if fact["note"] else ""
    return f"{fact['rows']:,} rows of {source}; SHA-256 {fact['sha256'][:16]}{note}"


def as_parts(packed: str) -> tuple[str, list[str]]:
    """A set in parts for the socket, and the SHA-256 of what is sent."""
    text = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
    return hashlib.sha256(packed.encode()).hexdigest(), text

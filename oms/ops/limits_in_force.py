"""Which limits are in force: those of the files, or those that were applied last, as the journal has them.

`applied_by` reads them back, `over_files` decides at a start (docs/decisions/limit_changes.md has the table), and
`with_applied` is for questions that somebody asks beside the gateway. Limits: what was edited in the files after the
last start is not in force, and `with_applied` cannot tell where nothing was ever applied.
Invariant: a start never raises what was applied by command.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from oms.config.load import Config
from oms.core.limit_diff import APPLY, STAGE, Change, compare, counted
from oms.errors import OperatorError
from oms.ledger.load import Reader
from oms.ops.limit_set import LimitSet, over, unpacked

BY_COMMAND = (
    "SELECT seq, received_at, detail -> 'matter' AS matter FROM journal WHERE kind = 'operator' AND msg_type = %s"
    " ORDER BY seq DESC LIMIT %s"
)
BY_START = (
    "SELECT seq, received_at, detail -> 'start' -> 'limits' AS limits FROM journal WHERE kind = 'config'"
    " AND detail -> 'start' -> 'limits' IS NOT NULL ORDER BY seq DESC LIMIT %s"
)


class InForce(NamedTuple):
    """The limits by which orders are judged. `row`: of the command that applied them, 0 for the files of a start."""

    found: LimitSet
    since: datetime
    by: str
    why: str
    row: int
    files: str  # SHA-256 of what the files said then
    note: str = ""  # where the files say something else: what, and what to do

    def as_fact(self) -> dict[str, Any]:
        """For a start's row and for people."""
        told = {
            "row": self.row,
            "since": self.since.isoformat() if self.row else "",
            "by": self.by,
            "why": self.why,
            "note": self.note,
        }
        return told | {"sha256": self.found.sha256, "files_sha256": self.files, "rows": len(self.found.rows)}


def with_applied(config: Config, reader: Reader) -> Config:
    """The configuration with the limits that were applied last, if they still count."""
    found = applied_by(reader)
    return config if found is None else over(config, found.found)


def raises(changes: list[Change]) -> bool:
    """Whether some of the changes may let an order through that was refused before."""
    return any(one.raises for one in changes)


def applied_by(reader: Reader) -> InForce | None:
    """What was applied last and is in force still by the journal; None where the files counted after it."""
    rows, starts = reader.rows(BY_COMMAND, APPLY, 1), reader.rows(BY_START, 1)
    if not rows:
        return None
    row, start = rows[0], starts[0] if starts else None
    if start is not None and start["seq"] > row["seq"] and not start["limits"]["row"]:
        return None
    operator, _, pairs = row["matter"]
    args = dict(pairs)
    found = staged(reader, int(args["staged"]), args["sha256"])
    return InForce(found, row["received_at"], operator, args["text"], row["seq"], args["files"])


def staged(reader: Reader, seq: int, sha256: str) -> LimitSet:
    """A set from the journal row that has it."""
    asked = "SELECT detail -> 'matter' AS matter FROM journal WHERE seq = %s AND msg_type = %s"
    rows = reader.rows(asked, seq, STAGE)
    try:
        found = unpacked(dict(rows[0]["matter"][2])["content"]) if rows else None
    except OperatorError as error:
        raise OperatorError(
            f"the limits that were applied are in journal row {seq} and this version does not read them: {error};"
            " start with the version that applied them, apply others there, and start this one again"
        ) from error
    if found is None or found.sha256 != sha256:
        raise OperatorError(f"journal row {seq} does not have the limits that were applied; run `oms verify`")
    return found


def over_files(applied: InForce, files: InForce) -> InForce:
    """What counts at a start: a start never raises what was applied, and never undoes it because files stayed old."""
    changes = compare(applied.found.terms, files.found.terms)
    if not changes:
        return files
    edited = files.found.sha256 != applied.files
    if edited and not raises(changes):
        return files
    said = f"limits of {applied.by} (journal row {applied.row}) are in force; the files say otherwise"
    remedy = "write them into the files" if not edited else "the files were edited since and would let more through"
    note = f"{said} ({counted(changes)}): {remedy}, or `oms limits apply` them; `oms limits diff` shows it"
    return applied._replace(note=note)

"""Looks at the ledger by commands that ask no gateway for anything: recorded all the same.

`oms orders`, `oms fills` and their like read Postgres themselves. Before they do, they tell the running gateway,
which writes an `access.read` row into its journal, as for any read of what not everybody should see. While none runs,
a line goes into a file of the state directory, and the next start moves the lines into the journal.
Invariant: what can be recorded in neither way is not shown. Limit: who has a password of Postgres needs no command of
ours; what he reads there is for Postgres to record.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from oms.errors import OperatorError
from oms.ops.control import NoAnswer, NoGateway, call
from oms.ops.people import system_name
from oms.ops.recorder import GATEWAY, LEFT_OUT, READ, short
from oms.ops.way import ELSEWHERE, way

log = structlog.get_logger("oms.looks")

LOOK = "ledger.read"  # the verb
SECONDS = 3.0  # for the gateway to answer: it only takes note
FILE = "looks.jsonl"
AT_MOST = 1000  # lines that a start moves; more are counted


def record(state_dir: Path, command: str, about: str) -> None:
    """Have it on record that somebody is about to look. Raises OperatorError where he may not, or it cannot be."""
    args = {"command": command, "about": about}
    try:
        call(
            ELSEWHERE if way.address else state_dir,
            LOOK,
            {name: text for name, text in args.items() if text},
            SECONDS,
        )
    except (NoGateway, NoAnswer) as missing:
        line = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "name": system_name(os.getuid())} | args
        try:
            _append(state_dir / FILE, json.dumps(line) + "\n")
        except OSError as error:
            raise OperatorError(
                f"this look at the ledger cannot be recorded: {missing}; and {error}. Give the command where the"
                " gateway runs, or as its user"
            ) from error


def _append(file: Path, line: str) -> None:
    if not file.parent.exists():  # a machine on which no gateway ran yet
        file.parent.mkdir(mode=0o700)
        _give(file.parent, file.parent.parent)
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        _give(file, file.parent)
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _give(path: Path, like: Path) -> None:
    """What root makes here is for the gateway to read."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def move(state_dir: Path, tell: Callable[[str, str, dict[str, str]], Future[Any]]) -> int:
    """Hand what was looked at while no gateway ran to `tell`: operator, verb, arguments. Returns how many looks.

    The lines are kept until what was told last is done, so that a start that is cut off loses none; and while they
    cannot be read.
    """
    file = state_dir / FILE
    try:
        if file.exists():
            file.replace(state_dir / f"looks.{time.time_ns()}.taken")
        taken = sorted(state_dir.glob("looks.*.taken"))
        lines = [line for one in taken for line in one.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError as error:
        log.warning("looks at the ledger while no gateway ran are not in the journal yet", error=str(error))
        return 0
    last: Future[Any] | None = None
    for line in lines[:AT_MOST]:
        name, about = _parts(line)
        last = tell(name, READ, {part: short(text) for part, text in about.items() if text})
    if len(lines) > AT_MOST:
        last = tell(GATEWAY, LEFT_OUT, {"count": str(len(lines) - AT_MOST), "most": "looks while no gateway ran"})
    if last is not None:
        last.add_done_callback(lambda told: _forget(told, taken))
    return len(lines)


def _forget(told: Future[Any], taken: list[Path]) -> None:
    """The journal has them."""
    if told.exception() is None:
        for one in taken:
            one.unlink(missing_ok=True)


def _parts(line: str) -> tuple[str, Mapping[str, str]]:
    """Who looked, and at what. A line that is none, by whatever hand, is told as it is."""
    try:
        found = json.loads(line)
        name, parts = str(found["name"]), {part: str(found[part]) for part in ("at", "command", "about")}
    except (ValueError, TypeError, KeyError):
        return "", {"what": LOOK, "about": line, "from": "file"}
    about = "; ".join(text for text in (f"command {parts['command']}", parts["about"]) if text)
    return name, {"what": LOOK, "about": about, "at": parts["at"], "from": "file"}

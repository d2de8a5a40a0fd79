"""Looks at the ledger while no gateway runs are in a file until the journal has them, and are refused without it."""

from __future__ import annotations

import json
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from oms.errors import OperatorError
from oms.ops import looks
from oms.ops.people import system_name
from oms.ops.recorder import GATEWAY, LEFT_OUT, READ

ME = system_name(os.getuid())


class Journal:
    """Takes what is told; nothing is committed before `commit`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, str]]] = []
        self._askers: list[Future[Any]] = []

    def __call__(self, operator: str, verb: str, args: dict[str, str]) -> Future[Any]:
        self.told.append((operator, verb, args))
        self._askers.append(Future())
        return self._askers[-1]

    def commit(self, error: Exception | None = None) -> None:
        for one in self._askers:
            if error is None:
                one.set_result({})
            else:
                one.set_exception(error)


def test_without_a_gateway_a_look_is_a_line_that_the_next_start_moves_and_keeps_until_it_is_committed(
    tmp_path: Path,
) -> None:
    looks.record(tmp_path, "orders explain", "order A1")
    looks.record(tmp_path, "positions", "")
    lines = [json.loads(line) for line in (tmp_path / looks.FILE).read_text().splitlines()]
    assert [(line["name"], line["command"], line["about"]) for line in lines] == [
        (ME, "orders explain", "order A1"),
        (ME, "positions", ""),
    ]
    assert (tmp_path / looks.FILE).stat().st_mode & 0o777 == 0o600
    about = ("command orders explain; order A1", "command positions")
    told = [
        (ME, READ, {"what": "ledger.read", "about": text, "at": line["at"], "from": "file"})
        for text, line in zip(about, lines, strict=True)
    ]
    cut_off, refused, journal = Journal(), Journal(), Journal()
    assert (looks.move(tmp_path, cut_off), cut_off.told) == (2, told)
    assert (looks.move(tmp_path, refused), refused.told) == (2, told)
    refused.commit(OperatorError("no"))
    looks.record(tmp_path, "fills list", "limit 5")  # while the start is under way
    assert looks.move(tmp_path, journal) == 3
    assert journal.told[:2] == told
    journal.commit()
    assert list(tmp_path.iterdir()) == []
    assert looks.move(tmp_path, Journal()) == 0


def test_a_line_that_nobody_of_ours_wrote_is_journaled_as_it_is_and_a_flood_is_counted(tmp_path: Path) -> None:
    (tmp_path / looks.FILE).write_text("not\x00 JSON\n[1]\n" + "{}\n" * looks.AT_MOST)
    journal = Journal()
    assert looks.move(tmp_path, journal) == looks.AT_MOST + 2
    assert len(journal.told) == looks.AT_MOST + 1
    assert [(name, args["about"]) for name, _, args in journal.told[:3]] == [
        ("", "not\\x00 JSON"),
        ("", "[1]"),
        ("", "{}"),
    ]
    assert journal.told[-1] == (GATEWAY, LEFT_OUT, {"count": "2", "most": "looks while no gateway ran"})


def test_a_look_that_can_be_recorded_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError) as refused:
        looks.record(tmp_path / "file" / "state", "orders list", "")
    assert str(refused.value).startswith("this look at the ledger cannot be recorded: ")
    assert str(refused.value).endswith("Give the command where the gateway runs, or as its user")


def test_a_file_that_cannot_be_read_keeps_no_gateway_from_starting(tmp_path: Path) -> None:
    (tmp_path / looks.FILE).mkdir()
    assert looks.move(tmp_path, Journal()) == 0

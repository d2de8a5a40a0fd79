"""docs/order_states.md is what the transition table says, and a table that changed is noticed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import statelib

from oms.core import status
from oms.core import transitions as life

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "order_states.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == statelib.page(), "run scripts/draw_states, and read the page"


def test_every_state_event_and_status_is_on_the_page() -> None:
    page = statelib.page()
    assert [name for name in (*life.TABLE, *life.EVENTS) if f"`{name}`" not in page] == []
    assert [code for code in status._OF_LIFE.values() if f"({code})" not in page] == []


def test_the_picture_has_only_transitions_of_the_table_and_all_states() -> None:
    lines = statelib.picture().split("```")[1].splitlines()[2:]
    drawn = [re.fullmatch(r"    (\S+) --> (\S+)(?: : (.+))?", line) for line in lines if line]
    assert all(drawn)
    seen = set()
    for state, after, events in [one.groups() for one in drawn if one]:
        seen |= {state, after}
        for event in events.split(", ") if events else []:
            assert life.TABLE[state][event] == after
    assert seen == {"[*]", *life.TABLE}


def test_the_table_has_a_cell_for_every_state_and_event() -> None:
    rows = [line for line in statelib.table().splitlines() if line.startswith("| `")]
    assert len(rows) == len(life.EVENTS)
    assert {row.count(" | ") for row in rows} == {len(life.TABLE) + 1}
    assert sum(row.count("**!**") for row in rows) == len(life.CONTRADICTIONS)


@pytest.mark.parametrize("event", [life.EXPIRE, life.LOSE])
def test_a_transition_that_changed_changes_the_page(monkeypatch: pytest.MonkeyPatch, event: str) -> None:
    before = statelib.page()
    monkeypatch.setitem(life.TABLE[life.ROUTED], event, life.SUSPENDED)
    assert statelib.page() != before


def test_a_state_without_words_stops_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(life.TABLE, "parked", {})
    with pytest.raises(ValueError, match="no words for parked"):
        statelib.page()


def test_another_precedence_stops_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(status._OF_LIFE, life.STOPPED, "9")
    ranks = [row for row in statelib.RANKS if row[1] != "9"] + [(12, "9", "suspended")]
    monkeypatch.setattr(statelib, "RANKS", ranks)
    with pytest.raises(ValueError, match="ranks stopped"):
        statelib.page()


def test_check_says_what_differs_and_what_to_do(tmp_path: Path) -> None:
    for folder in ("scripts", "oms/core"):
        (tmp_path / folder).mkdir(parents=True)
        for file in (ROOT / folder).iterdir():
            if file.is_file():
                (tmp_path / folder / file.name).write_bytes(file.read_bytes())
    (tmp_path / "docs").mkdir()
    script = [sys.executable, str(tmp_path / "scripts" / "draw_states")]

    missing = subprocess.run([*script, "--check"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    subprocess.run(script, check=True)
    assert (tmp_path / "docs" / "order_states.md").read_text() == PAGE.read_text()
    assert subprocess.run([*script, "--check"], check=False).returncode == 0

    table = tmp_path / "oms" / "core" / "transitions.py"
    table.write_text(table.read_text().replace("STOP: STOPPED,", "STOP: SUSPENDED,"))
    changed = subprocess.run([*script, "--check"], capture_output=True, text=True, check=False)
    assert changed.returncode == 1
    assert "+| `stop`: price and size guaranteed" in changed.stdout
    assert (
        "docs/order_states.md:1: is not what the transition table says. Remedy: scripts/draw_states" in changed.stdout
    )

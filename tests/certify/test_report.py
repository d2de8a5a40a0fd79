"""The report of a certification as a page and as JSON: a line per run, and every failure in full."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from oms import __version__
from oms.certify.certification import Outcome, chosen
from oms.certify.report import Report, as_json, as_markdown, write
from oms.certify.scenario import load_all
from oms.certify.versions import Pair
from oms.errors import OperatorError

SAME, MIXED = Pair("4.4", "4.4"), Pair("4.2", "4.4")
AT = datetime(2026, 3, 2, 13, 5, 9, tzinfo=UTC)
RUNS = chosen(load_all(), ["B.1.a-2a", "B.1.a-4a", "E.1.e-2a"])


def report(*failed: tuple[str, Pair], problems: tuple[str, ...] = (), kills: int = 0) -> Report:
    outcomes = [
        Outcome(pair, run, f"{run.name} went wrong" if (run.name, pair) in failed else "")
        for pair in (SAME, MIXED)
        for run in RUNS
    ]
    return Report(AT, 12.345, 7, kills, outcomes, problems)


def test_the_page_has_a_line_per_pair_a_line_per_run_and_the_failures() -> None:
    assert (
        as_markdown(report(("B.1.a-4a", MIXED), kills=2))
        == f"""\
# Certification: order state changes

2026-03-02 13:05:09 UTC. oms {__version__}, gateway killed (-9) 2 times on the way, seed 7, 12 s.

**NOT everything passed: see the failures below.**

| FIX version of client/broker | scenarios passed | runs passed |
| --- | ---: | ---: |
| 4.4/4.4 | 2 of 2 | 3 of 3 |
| 4.2/4.4 | 1 of 2 | 2 of 3 |

## Runs

A run is the main path of a scenario, or one of its alternatives (`B.1.b-5a` ends with step 5a).

| run | scenario | FIX 4.2 | 4.4/4.4 | 4.2/4.4 |
| --- | --- | --- | --- | --- |
| B.1.a-2a | {RUNS[0].scenario.title} | D3 | passed | passed |
| B.1.a-4a | {RUNS[0].scenario.title} | D3 | passed | **FAILED** |
| E.1.e-2a | {RUNS[2].scenario.title} |  | passed | passed |

## Failures

### B.1.a-4a, 4.2/4.4

```text
B.1.a-4a went wrong
```
"""
    )


def test_the_page_of_a_certification_that_passed_says_so_and_has_no_failures() -> None:
    page = as_markdown(report())
    assert "gateway not disturbed, seed 7" in page
    assert "**Everything passed.**" in page
    assert "Failures" not in page


def test_a_problem_of_no_single_run_fails_the_certification_and_is_told() -> None:
    made = report(problems=("CLIENT44 got a message of no run: 35=8|",))
    assert not made.ok
    assert "### Of no single run\n\n```text\nCLIENT44 got a message of no run: 35=8|\n```" in as_markdown(made)


def test_a_certification_without_a_run_did_not_pass() -> None:
    assert not Report(AT, 0, 0, 0, [], []).ok


def test_the_json_document_has_the_same() -> None:
    document = as_json(report(("E.1.e-2a", SAME)))
    assert {name: document[name] for name in ("ok", "at", "version", "seed", "kills", "seconds", "problems")} == {
        "ok": False, "at": AT, "version": __version__, "seed": 7, "kills": 0, "seconds": 12.345, "problems": [],
    }  # fmt: skip
    assert document["pairs"][0] == {
        "pair": "4.4/4.4",
        "scenarios": {"passed": 1, "of": 2},
        "runs": {"passed": 2, "of": 3},
    }
    assert [(one["run"], one["pair"], one["ok"]) for one in document["runs"]][2:4] == [
        ("E.1.e-2a", "4.4/4.4", False),
        ("B.1.a-2a", "4.2/4.4", True),
    ]
    assert document["runs"][2]["failure"] == "E.1.e-2a went wrong"


def test_the_file_has_its_date_in_its_name(tmp_path: Path) -> None:
    path = write(report(), tmp_path / "reports")
    assert path == tmp_path / "reports" / "certification-20260302T130509Z.md"
    assert path.read_text() == as_markdown(report())


def test_a_directory_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match=r"file.*; name a directory with --dir in which this user may write"):
        write(report(), tmp_path / "file")


def test_scenarios_are_chosen_whole_or_run_by_run() -> None:
    assert [run.name for run in chosen(load_all(), ["B.1.a"])] == ["B.1.a", "B.1.a-2a", "B.1.a-4a", "B.1.a-5a"]
    assert [run.name for run in chosen(load_all(), ["C.2.a-2a", "A.1.a-3a"])] == ["A.1.a-3a", "C.2.a-2a"]
    assert len({run.scenario.reference for run in chosen(load_all(), [])}) == 47
    with pytest.raises(OperatorError, match=r"there is no scenario B\.9\.z; write a reference such as B\.1\.b"):
        chosen(load_all(), ["A.1.a", "B.9.z"])

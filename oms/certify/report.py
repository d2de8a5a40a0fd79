"""What a certification has to say: a dated Markdown file, the document of `--json`, and a summary for the terminal.

A scenario counts as passed in a pair when its main path and every alternative of it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from oms import __version__
from oms.certify.certification import Outcome
from oms.certify.versions import Pair
from oms.errors import OperatorError


class Count(NamedTuple):
    """How many passed of how many."""

    passed: int
    of: int

    def __str__(self) -> str:
        return f"{self.passed} of {self.of}"


@dataclass(frozen=True, slots=True)
class Report:
    """A certification that has ended. `problems` are of no single run."""

    at: datetime
    seconds: float
    seed: int
    kills: int
    outcomes: Sequence[Outcome]
    problems: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether every run passed, and nothing else went wrong."""
        return bool(self.outcomes) and all(one.ok for one in self.outcomes) and not self.problems

    @property
    def pairs(self) -> list[Pair]:
        """The pairs, in the order in which they were asked for."""
        return list(dict.fromkeys(one.pair for one in self.outcomes))

    def runs(self, pair: Pair) -> Count:
        """Runs passed in a pair."""
        mine = [one.ok for one in self.outcomes if one.pair == pair]
        return Count(sum(mine), len(mine))

    def scenarios(self, pair: Pair) -> Count:
        """Scenarios passed in a pair."""
        found: dict[str, bool] = {}
        for one in self.outcomes:
            if one.pair == pair:
                reference = one.run.scenario.reference
                found[reference] = found.get(reference, True) and one.ok
        return Count(sum(found.values()), len(found))

    @property
    def how(self) -> str:
        """In one sentence, what was done."""
        killed = f"killed (-9) {self.kills} times on the way" if self.kills else "not disturbed"
        return f"oms {__version__}, gateway {killed}, seed {self.seed}, {self.seconds:.0f} s"


def as_json(report: Report) -> dict[str, Any]:
    """The document of `--json`."""
    return {
        "ok": report.ok,
        "at": report.at,
        "version": __version__,
        "seed": report.seed,
        "kills": report.kills,
        "seconds": round(report.seconds, 3),
        "pairs": [
            {
                "pair": str(pair),
                "scenarios": report.scenarios(pair)._asdict(),
                "runs": report.runs(pair)._asdict(),
            }
            for pair in report.pairs
        ],
        "runs": [
            {
                "run": one.run.name,
                "scenario": one.run.scenario.reference,
                "title": one.run.scenario.title,
                "fix42": one.run.scenario.fix42,
                "pair": str(one.pair),
                "ok": one.ok,
                "failure": one.failure,
            }
            for one in report.outcomes
        ],
        "problems": list(report.problems),
    }


def as_markdown(report: Report) -> str:
    """The report as a page: a line per pair, a line per run, and every failure in full."""
    verdict = "Everything passed." if report.ok else "NOT everything passed: see the failures below."
    lines = [
        "# Certification: order state changes",
        "",
        f"{report.at:%Y-%m-%d %H:%M:%S} UTC. {report.how}.",
        "",
        f"**{verdict}**",
        "",
        "| FIX version of client/broker | scenarios passed | runs passed |",
        "| --- | ---: | ---: |",
        *(f"| {pair} | {report.scenarios(pair)} | {report.runs(pair)} |" for pair in report.pairs),
        "",
        "## Runs",
        "",
        "A run is the main path of a scenario, or one of its alternatives (`B.1.b-5a` ends with step 5a).",
        "",
        "| run | scenario | FIX 4.2 | " + " | ".join(str(pair) for pair in report.pairs) + " |",
        "| --- | --- | --- |" + " --- |" * len(report.pairs),
        *_run_lines(report),
    ]
    failed = [one for one in report.outcomes if not one.ok]
    if failed or report.problems:
        lines += ["", "## Failures"]
    for one in failed:
        lines += ["", f"### {one.run.name}, {one.pair}", "", "```text", one.failure, "```"]
    if report.problems:
        lines += ["", "### Of no single run", "", "```text", *report.problems, "```"]
    return "\n".join(lines) + "\n"


def _run_lines(report: Report) -> list[str]:
    found: dict[str, dict[Pair, Outcome]] = {}
    for one in report.outcomes:
        found.setdefault(one.run.name, {})[one.pair] = one
    lines = []
    for name, by_pair in found.items():
        scenario = next(iter(by_pair.values())).run.scenario
        cells = ["passed" if by_pair[pair].ok else "**FAILED**" for pair in report.pairs]
        lines.append(f"| {name} | {scenario.title} | {scenario.fix42} | " + " | ".join(cells) + " |")
    return lines


def write(report: Report, directory: Path) -> Path:
    """Write the page under its date; returns its path. Raises OperatorError."""
    path = directory / f"certification-{report.at:%Y%m%dT%H%M%SZ}.md"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(as_markdown(report), encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"{error.filename or path}: {error.strerror}; name a directory with --dir in which this user may write"
        ) from error
    return path

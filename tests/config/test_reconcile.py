"""[reconcile] of a dialect: spans, times of day, policies; and what is wrong is said with the remedy."""

from __future__ import annotations

from datetime import UTC, time, timedelta
from pathlib import Path

import pytest

from oms.config.dialects import Dialect, read_dialect
from oms.config.problems import Problems

HEAD = 'name = "one"\nord_types = ["limit"]\ntimes_in_force = ["day"]\n[reconcile]\n'


def read(tmp_path: Path, text: str) -> tuple[Dialect | None, list[tuple[str, str, str]]]:
    (tmp_path / "one.toml").write_text(HEAD + text)
    problems = Problems()
    found = read_dialect("one", tmp_path, "OmsDialect", problems)
    return found, [(one.key, one.problem, one.remedy) for one in problems.found]


def test_a_schedule_and_a_policy_are_read_and_absent_means_alert_and_logons_only(tmp_path: Path) -> None:
    text = 'every = "15m"\nat = ["21:30", 06:00:00, "06:00"]\non_break = "block"\nblock = "account"\n'
    found, problems = read(tmp_path, text)
    assert problems == []
    assert found is not None
    assert (found.reconcile.every, found.reconcile.at) == (
        timedelta(minutes=15),
        (time(6, 0, tzinfo=UTC), time(21, 30, tzinfo=UTC)),
    )
    assert (found.reconcile.on_break, found.reconcile.block) == ("block", "account")
    plain, _ = read(tmp_path, "")
    assert plain is not None
    assert (plain.reconcile.every, plain.reconcile.at, plain.reconcile.on_break) == (None, (), "alert")


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ('every = "30s"', "[reconcile] every", 'a number with s, m or h, from "1m" to "24h"'),
        ('every = "25h"', "[reconcile] every", 'every = "15m"'),
        ("every = 15", "[reconcile] every", "a number with s, m or h"),
        ('at = ["25:00"]', "[reconcile] at", "a list of times of day, UTC"),
        ('at = "06:00"', "[reconcile] at", 'at = ["06:00", "21:30"]'),
        ('at = ["06:00+02:00"]', "[reconcile] at", "a list of times of day, UTC"),
        ('on_break = "adopt"', "[reconcile] on_break", '"alert", "query", "block" or "cancel"'),
        ("avg_px_decimals = 13", "[reconcile] avg_px_decimals", "a whole number from 0 to 12"),
        ('[file]\non_break = "block"', "[file] on_break", "remove it"),
    ],
)
def test_what_is_wrong_names_key_and_remedy(tmp_path: Path, text: str, where: str, said: str) -> None:
    found, problems = read(tmp_path, text)
    assert found is None
    ((at, problem, remedy),) = problems
    assert at == where
    assert said in problem + remedy

"""The alert rules and the dashboard are whole: expressions parse, name only metrics and labels there are, and every
alert has its entry for people. Expressions are read by the parser that Prometheus' own grammar was ported to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from oms.ops.metrics import CATALOGUE

MONITORING = files("oms.ops") / "monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
DOCS = Path(__file__).parents[2] / "docs"
OF_PROMETHEUS = {"job", "instance"}
FOREIGN = {
    "up": OF_PROMETHEUS,
    "process_resident_memory_bytes": OF_PROMETHEUS,
    "process_cpu_seconds_total": OF_PROMETHEUS,
}


def known() -> dict[str, set[str]]:
    """Every name that may be scraped, with its labels."""
    found = dict(FOREIGN)
    for entry in CATALOGUE:
        labels = {*entry.labels, *OF_PROMETHEUS}
        if entry.kind == "histogram":
            found |= {
                f"{entry.name}_bucket": labels | {"le"},
                f"{entry.name}_sum": labels,
                f"{entry.name}_count": labels,
            }
        else:
            found[entry.name] = labels
    return found


def selectors(node: Any) -> Iterator[promql.VectorSelector]:
    """Every place in an expression where series are taken."""
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "vector_selector"):
        if (inner := getattr(node, name, None)) is not None:
            yield from selectors(inner)
    for argument in getattr(node, "args", None) or ():
        yield from selectors(argument)


def check(expression: str) -> list[str]:
    """What is wrong with an expression."""
    names = known()
    wrong = []
    found = list(selectors(promql.parse(expression)))
    assert found, f"no series in {expression}"
    for selector in found:
        if selector.name not in names:
            wrong.append(f"no metric {selector.name}")
            continue
        labels = {one.name for one in selector.matchers.matchers}
        wrong += [f"{selector.name} has no label {label}" for label in sorted(labels - names[selector.name])]
    return wrong


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_an_expression_of_our_metrics_with_a_severity_and_a_summary(rule: dict[str, Any]) -> None:
    assert check(rule["expr"]) == []
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert rule["annotations"]["summary"]
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_every_alert_has_its_entry_and_every_entry_its_alert_of_the_same_severity() -> None:
    text = (DOCS / "alerts.md").read_text()
    entries = dict(re.findall(r"^## (\w+)\n\n\*(\w+)\.\*", text, re.MULTILINE))
    assert entries == {rule["alert"]: rule["labels"]["severity"].capitalize() for rule in RULES}
    anchors = {rule["alert"]: rule["annotations"]["runbook"] for rule in RULES}
    assert anchors == {name: f"docs/alerts.md#{name.lower()}" for name in anchors}


def test_every_panel_of_the_dashboard_shows_metrics_that_there_are() -> None:
    assert [panel["id"] for panel in DASHBOARD["panels"]] == list(range(1, len(DASHBOARD["panels"]) + 1))
    wrong = {
        panel["title"]: problems
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
        if (problems := check(target["expr"]))
    }
    assert wrong == {}


def test_a_metric_that_is_gone_or_a_label_that_never_was_is_found() -> None:
    assert check("rate(oms_order_total[5m]) > 0") == ["no metric oms_order_total"]
    assert check('oms_session_up{sesion="X"} == 0') == ["oms_session_up has no label sesion"]
    with pytest.raises(ValueError, match="unexpected character"):
        promql.parse("rate(oms_orders_total[5m)")

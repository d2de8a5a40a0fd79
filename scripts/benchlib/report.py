"""Turns figures into a table for people and a document for machines; measures nothing.

A ratio is gateway divided by relay: above 1 is better for orders per second, worse for CPU time and latency.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich.table import Table

from benchlib.measure import Plan, medians

ROWS = (
    ("Orders per second", "orders_per_second", 0),
    ("CPU per order, own process (µs)", "cpu_us_per_order", 0),
    ("CPU per order, Postgres (µs)", "database_cpu_us_per_order", 0),
    ("CPU per order, load generator (µs)", "generator_cpu_us_per_order", 0),
    ("One in flight: order to broker p50 (ms)", "one_in_flight_order_to_broker_p50_ms", 3),
    ("One in flight: order to broker p99 (ms)", "one_in_flight_order_to_broker_p99_ms", 3),
    ("One in flight: fill to client p50 (ms)", "one_in_flight_report_to_client_p50_ms", 3),
    ("One in flight: fill to client p99 (ms)", "one_in_flight_report_to_client_p99_ms", 3),
    ("Half load: orders per second", "half_load_orders_per_second", 0),
    ("Half load: order to broker p50 (ms)", "half_load_order_to_broker_p50_ms", 3),
    ("Half load: order to broker p99 (ms)", "half_load_order_to_broker_p99_ms", 3),
    ("Half load: fill to client p50 (ms)", "half_load_report_to_client_p50_ms", 3),
    ("Half load: fill to client p99 (ms)", "half_load_report_to_client_p99_ms", 3),
)
NO_RATIO = {"database_cpu_us_per_order", "generator_cpu_us_per_order", "half_load_orders_per_second"}


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    try:
        engine = version("quickfix")
    except PackageNotFoundError:
        engine = "not installed"
    return {
        "cpus": os.cpu_count(),
        "load_average_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "quickfix": engine,
        "system": f"{platform.system()} {platform.machine()}",
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def document(runs: dict[str, list[dict[str, float]]], plan: Plan, conditions: dict[str, Any]) -> dict[str, Any]:
    """All of a benchmark: conditions, plan, every run, medians, and ratios where both systems ran."""
    middle = {name: medians(figures) for name, figures in runs.items()}
    content: dict[str, Any] = {"machine": conditions, "plan": asdict(plan), "runs": runs, "median": middle}
    if "relay" in middle and "gateway" in middle:
        content["ratio_gateway_to_relay"] = {
            key: round(middle["gateway"][key] / middle["relay"][key], 3)
            for _, key, _ in ROWS
            if key not in NO_RATIO and middle["relay"][key]
        }
    return content


def table(content: dict[str, Any]) -> Table:
    """Medians side by side, with the range over the runs where there were several."""
    names = list(content["median"])
    repeat = len(content["runs"][names[0]])
    runs = f"median of {repeat} runs (lowest to highest)" if repeat > 1 else "one run"
    shown = Table(title=f"{content['plan']['orders']:,} orders, {runs}")
    shown.add_column("Figure")
    for name in names:
        shown.add_column(name, justify="right")
    ratios = content.get("ratio_gateway_to_relay", {})
    if ratios:
        shown.add_column("gateway / relay", justify="right")
    for title, key, decimals in ROWS:
        cells = [
            _cell([run[key] for run in content["runs"][name]], content["median"][name][key], decimals)
            for name in names
        ]
        if ratios:
            cells.append(f"{ratios[key]:.2f}" if key in ratios else "")
        shown.add_row(title, *cells)
    return shown


def _cell(values: list[float], middle: float, decimals: int) -> str:
    text = f"{middle:,.{decimals}f}"
    if len(values) > 1:
        text += f"  ({min(values):,.{decimals}f} to {max(values):,.{decimals}f})"
    return text


def memory_table(readings: list[dict[str, float]], name: str) -> Table:
    """Resident memory by orders finished, with the growth per order since the first reading."""
    shown = Table(title=f"Resident memory of the {name}")
    for heading in ("Orders finished", "Own process (MB)", "Postgres (MB)", "Growth (bytes per order)"):
        shown.add_column(heading, justify="right")
    first = readings[0]
    for reading in readings:
        more = reading["orders"] - first["orders"]
        growth = f"{(reading['resident_mb'] - first['resident_mb']) * 2**20 / more:,.0f}" if more else ""
        cells = (
            f"{reading['orders']:,.0f}",
            f"{reading['resident_mb']:,.1f}",
            f"{reading['database_resident_mb']:,.1f}",
        )
        shown.add_row(*cells, growth)
    return shown

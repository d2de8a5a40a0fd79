"""Runs the load generator against a system and collects figures; a run is a fresh system and a fixed list of phases.

Phases: warm-up, throughput (a window of orders in flight), one in flight, half load (half of the throughput that
this run just reached, on a timetable). CPU time is of the throughput phase alone. Runs of the systems alternate, so
that what else the machine does hits both. Latencies are floats in milliseconds; there is no money here.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from benchlib.systems import SCRIPTS, SYSTEMS, BenchError, System

PHASE_SECONDS = 900.0  # the generator gives up long before; this is for a generator that hangs
MICROSECONDS = 1e6


@dataclass(frozen=True)
class Plan:
    """How much load, in orders."""

    orders: int = 20_000
    window: int = 200
    one_in_flight: int = 2_000
    half_load: int = 5_000
    warm_up: int = 1_000

    @property
    def total(self) -> int:
        """Orders of one run, all phases together."""
        return self.orders + self.one_in_flight + self.half_load + self.warm_up


class Generator:
    """The load generator's process; a context manager."""

    def __init__(self, system: System, orders: int) -> None:
        self._system = system
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchlib.loadgen",
                "--broker-port",
                str(system.broker_port),
                "--orders",
                str(orders),
            ],
            env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self._answer(30.0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()  # its signal to end
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def connect(self) -> None:
        """Log both sessions on, in the time that the system may take to start."""
        self.do("connect", client_port=self._system.client_port, seconds=self._system.start_seconds)

    def do(self, what: str, **arguments: float) -> dict[str, float]:
        """One command; returns its figures. Raises BenchError where the system spoiled it or ended."""
        if self._process.stdin is None:
            raise BenchError("the load generator has no standard input")
        self._process.stdin.write(json.dumps({"do": what} | arguments) + "\n")
        self._process.stdin.flush()
        return self._answer(PHASE_SECONDS)

    def _answer(self, seconds: float) -> dict[str, float]:
        output = self._process.stdout
        deadline = time.monotonic() + seconds
        while output is not None and time.monotonic() < deadline:
            if select.select([output], [], [], 0.25)[0]:
                line = output.readline()
                answer = json.loads(line) if line else {"error": "the load generator ended"}
                if "error" in answer:
                    self._system.check_alive()
                    raise BenchError(
                        f"{self._system.name}: {answer['error']}; its output:\n{self._system.last_output()}"
                    )
                return {name: float(value) for name, value in answer.items()}
            self._system.check_alive()
        raise BenchError(f"{self._system.name}: the load generator gave no answer in {seconds:.0f} s")


def measure_once(system_class: type[System], plan: Plan, say: Callable[[str], None]) -> dict[str, float]:
    """One run against a fresh system: the figures by name, units in the names."""
    say("starting")
    with system_class() as system, Generator(system, plan.total) as generator:
        generator.connect()
        say("warming up")
        generator.do("window", orders=plan.warm_up, window=plan.window)
        say(f"{plan.orders} orders, {plan.window} in flight")
        own, database = system.usage(), system.database_usage()
        throughput = generator.do("window", orders=plan.orders, window=plan.window)
        own_after, database_after = system.usage(), system.database_usage()
        say(f"{plan.one_in_flight} orders, one in flight")
        single = generator.do("window", orders=plan.one_in_flight, window=1)
        rate = throughput["orders_per_second"] / 2
        say(f"{plan.half_load} orders at {rate:.0f} a second")
        half = generator.do("rate", orders=plan.half_load, per_second=rate)
        generator.do("stop")
    per_order = MICROSECONDS / plan.orders
    figures = {
        "orders_per_second": throughput["orders_per_second"],
        "cpu_us_per_order": (own_after.cpu_seconds - own.cpu_seconds) * per_order,
        "database_cpu_us_per_order": (database_after.cpu_seconds - database.cpu_seconds) * per_order,
        "generator_cpu_us_per_order": throughput["generator_cpu_seconds"] * per_order,
        "half_load_orders_per_second": rate,
        "half_load_latest_send_ms": half["latest_send_ms"],
    }
    for phase, answers in (("window", throughput), ("one_in_flight", single), ("half_load", half)):
        for name in ("order_to_broker", "report_to_client"):
            for percent in ("p50", "p99"):
                figures[f"{phase}_{name}_{percent}_ms"] = answers[f"{name}_{percent}_ms"]
    return {name: round(value, 4) for name, value in figures.items()}


def measure(
    names: Iterable[str], plan: Plan, repeat: int, say: Callable[[str], None]
) -> dict[str, list[dict[str, float]]]:
    """``repeat`` runs of each named system, in turn, the first one changing; returns the runs by system."""
    order = list(names)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in order}
    for number in range(repeat):
        for name in order if number % 2 == 0 else reversed(order):
            heading = f"run {number + 1} of {repeat}, {name}: "
            runs[name].append(measure_once(SYSTEMS[name], plan, partial(_say_step, say, heading)))
    return runs


def _say_step(say: Callable[[str], None], heading: str, step: str) -> None:
    say(heading + step)


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over runs."""
    return {name: round(statistics.median(run[name] for run in runs), 4) for name in runs[0]}


def measure_memory(name: str, marks: list[int], window: int, say: Callable[[str], None]) -> list[dict[str, float]]:
    """Resident memory of one system after it has finished each number of orders in ``marks`` (rising)."""
    readings: list[dict[str, float]] = []
    with SYSTEMS[name]() as system, Generator(system, marks[-1]) as generator:
        say(f"{name}: starting")
        generator.connect()
        done = 0
        for mark in marks:
            say(f"{name}: up to {mark} orders")
            generator.do("window", orders=mark - done, window=window)
            done = mark
            readings.append(
                {
                    "orders": mark,
                    "resident_mb": round(system.usage().resident_bytes / 2**20, 1),
                    "database_resident_mb": round(system.database_usage().resident_bytes / 2**20, 1),
                }
            )
        generator.do("stop")
    return readings

"""What the demo has to say at its end: figures per client and broker, the proof, and what a person may try next.

`Outcome` is everything, `as_json` the document of `--json`, `tell` the text for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from oms.cli import words
from oms.cli.output import clean, number, plural, print_tables, span, table
from oms.demo.chaos import Recovery
from oms.demo.comparison import Compared
from oms.demo.figures import Asked, Figures
from oms.ledger.records import ExceptionItem
from oms.ledger.replay import TablesReport
from oms.ledger.statistics import Latency, Refusals
from oms.ledger.verify import ChainReport

SHOWN = 40
ORDERS, FILLS = "order by order", "each in the ledger once and told to its client once"
MEASURED = "order to first report"
HOP_COLUMNS = ("from, to", "session", "messages>", "p50>", "p90>", "p99>", "worst>")
REFUSED_COLUMNS = ("session", "refused by", "reason~", "count>")
KILL_COLUMNS = ("killed", "after orders>", "open again after>", "all sessions on after>")
DIFFERENCE_COLUMNS = ("about~", "what", "client says~", "ledger says~", "broker says~")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a run found out. `problems` are things that went wrong besides what the views say."""

    directory: Path
    config: Path
    seed: int
    seconds: float
    clients: Sequence[Figures]
    brokers: Sequence[Figures]
    refusals: Sequence[Refusals]
    latencies: Sequence[Latency]
    items: Sequence[ExceptionItem]
    recoveries: Sequence[Recovery]
    compared: Compared
    chain: ChainReport
    replay: TablesReport | None
    problems: Sequence[str]
    metrics: str = ""

    @property
    def ok(self) -> bool:
        """Whether the views agree, the journal proves itself, and nothing went wrong."""
        replayed = self.replay is not None and self.replay.ok
        return self.compared.ok and self.chain.ok and replayed and not self.problems


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The document of `--json`."""
    replay = outcome.replay
    compared = outcome.compared
    return {
        "ok": outcome.ok,
        "seed": outcome.seed,
        "seconds": round(outcome.seconds, 3),
        "directory": str(outcome.directory),
        "config": str(outcome.config),
        "metrics": outcome.metrics,
        "clients": [asdict(one) for one in outcome.clients],
        "brokers": [asdict(one) for one in outcome.brokers],
        "refusals": list(outcome.refusals),
        "latencies": list(outcome.latencies),
        "exception_items": dict(Counter(one.kind for one in outcome.items)),
        "recoveries": list(outcome.recoveries),
        "comparison": {
            "ok": compared.ok,
            "orders": compared.orders,
            "at_brokers": compared.at_brokers,
            "fills": compared.fills,
            "amended": compared.amended,
            "differences": [one._asdict() for one in compared.differences],
        },
        "chain": outcome.chain,
        "replay": None if replay is None else _replay_json(replay),
        "problems": list(outcome.problems),
    }


def _replay_json(replay: TablesReport) -> dict[str, Any]:
    return {"ok": replay.ok} | replay._asdict() | {"differences": [one._asdict() for one in replay.differences]}


def tell(out: Console, outcome: Outcome) -> None:
    """Print the report for people."""
    print_tables(
        out,
        [
            _sides([*outcome.clients, *outcome.brokers]),
            _maybe("Refused", REFUSED_COLUMNS, [(o.session, o.by, o.reason, o.count) for o in outcome.refusals]),
            table("Time, as the clients measured it and within the gateway", HOP_COLUMNS, _hop_rows(outcome)),
            _maybe("Chaos: SIGKILL while trading", KILL_COLUMNS, [_kill_row(one) for one in outcome.recoveries]),
        ],
    )
    out.print()
    _tell_proof(outcome)
    _tell_differences(out, outcome)
    verdict = "All three views agree." if outcome.ok else "Not all is well: see above."
    click.echo(f"\n{verdict} Seed {outcome.seed}, {outcome.seconds:.0f} s.")


def _tell_proof(outcome: Outcome) -> None:
    compared, chain, items = outcome.compared, outcome.chain, outcome.items
    refused = compared.orders - compared.at_brokers
    at_brokers = f"{compared.at_brokers:,} of them at a broker, {refused:,} refused before they left"
    repeats = sum(one.duplicates or 0 for one in outcome.brokers)
    amended = f"{compared.amended:,} busted or corrected later, {plural(repeats, 'report')} sent twice"
    facts = [
        (
            "orders",
            f"{plural(compared.orders, 'order')} of the clients, {at_brokers}: {_agreement(compared, ORDERS)}",
        ),
        ("fills", f"{plural(compared.fills, 'fill')} of the brokers, {amended}: {_agreement(compared, FILLS)}"),
    ]
    if chain.problem is None:
        held = f"holds, {plural(chain.rows, 'journal row')} in {plural(chain.batches, 'batch')}"
        facts.append(("hash chain", held))
    else:
        facts.append(("hash chain", f"BROKEN in batch {chain.problem.batch}: {chain.problem.text}"))
    facts.append(("replay", _replay_text(outcome.replay)))
    if items:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(one.kind for one in items).items())
        still_open = sum(one.state == "open" for one in items)
        facts.append(("exceptions", f"{plural(len(items), 'item')} raised ({kinds}), {still_open} open for a person"))
    facts += [("problem", problem) for problem in outcome.problems]
    for name, text in facts:
        click.echo(f"{name + ':':<12} {clean(text)}")


def _agreement(compared: Compared, how: str) -> str:
    return f"the three views agree, {how}" if compared.ok else "THE VIEWS DIFFER, see below"


def _replay_text(replay: TablesReport | None) -> str:
    if replay is None:
        return "not done, the journal itself does not hold"
    if not replay.ok:
        return f"{plural(replay.differing, 'difference')} between the tables and the journal replayed"
    rows = ", ".join(f"{count:,} {name}" for name, count in replay.compared.items())
    return f"the journal replayed gives the same tables: {rows}"


def _tell_differences(out: Console, outcome: Outcome) -> None:
    rows = [tuple(one) for one in outcome.compared.differences]
    if outcome.replay is not None:
        rows += [
            (f"{one.table} {one.key}", one.column or "row", "", f"by replay {one.replayed}; stored {one.stored}", "")
            for one in outcome.replay.differences
        ]
    if rows:
        print_tables(out, [table(plural(len(rows), "difference"), DIFFERENCE_COLUMNS, rows[:SHOWN])])
        if len(rows) > SHOWN:
            click.echo(f"and {len(rows) - SHOWN:,} more; --json has them all")


def suggestions(outcome: Outcome, oms: str, stays: bool) -> list[tuple[str, str]]:
    """Commands to try next, each with what it shows; `oms` is how the command is called here."""
    config = f"--config {outcome.config}"
    example = next((one.order_id for one in outcome.items if one.order_id), "ID")
    found = [
        (f"{oms} orders list {config}", "the orders, newest first"),
        (f"{oms} orders explain {example} {config}", "the whole story of one order, raw FIX included"),
        (f"{oms} fills list {config}", "fills, corrections and busts"),
        (f"{oms} sessions list --stats {config}", "sessions, latencies, refusals"),
        (f"{oms} exceptions list {config}", "what contradicted what the gateway knew"),
        (f"{oms} verify {config}", "the journal proves itself again"),
    ]
    if stays and outcome.metrics:
        found.append((f"curl {outcome.metrics}", "the metrics, for Prometheus"))
    return found


def tell_suggestions(outcome: Outcome, oms: str, stays: bool) -> None:
    """Print what to try next."""
    found = suggestions(outcome, oms, stays)
    width = max(len(command) for command, _ in found)
    where = "in another terminal" if stays else f"everything is kept in {outcome.directory}"
    click.echo(f"\nTo look around, {where}:")
    for command, shows in found:
        click.echo(f"  {command:<{width}}  # {shows}")


# --- rows of the tables -----------------------------------------------------------------------------------


def _sides(sides: Sequence[Figures]) -> Table:
    """A column for each client and broker."""
    statuses = sorted({status for one in sides for status in one.ord_status})
    rows: list[tuple[object, ...]] = [
        ("FIX", *[one.version for one in sides]),
        ("orders", *[one.orders for one in sides]),
        *[
            (f"  {words.ord_status(status)}", *[one.ord_status.get(status, 0) for one in sides])
            for status in statuses
        ],
        ("fills", *[one.fills for one in sides]),
        ("  busted later", *[one.busted for one in sides]),
        ("  corrected later", *[_or_nothing(one.corrected) for one in sides]),
        ("shares, net", *[number(one.shares) for one in sides]),
        ("cancels granted", *[_asked(one.cancels) for one in sides]),
        ("replaces granted", *[_asked(one.replaces) for one in sides]),
        ("reports sent twice", *[_or_nothing(one.duplicates) for one in sides]),
    ]
    return table("Clients and brokers", ("", *[f"{one.name}>" for one in sides]), rows)


def _or_nothing(count: int | None) -> str:
    return "" if count is None else str(count)


def _asked(one: Asked) -> str:
    return f"{one.granted} of {one.asked}"


def _hop_rows(outcome: Outcome) -> list[tuple[object, ...]]:
    """First what the clients measured, then what the gateway did."""
    rows: list[tuple[object, ...]] = []
    for one in outcome.clients:
        took = [span(milliseconds / 1000) for milliseconds in one.first_report_ms.values()]
        rows.append((MEASURED, one.name, one.measured, *took))
    for hop in outcome.latencies:
        times = (hop.p50, hop.p90, hop.p99, hop.worst)
        rows.append((hop.hop, hop.session, hop.count, *[span(seconds) for seconds in times]))
    return rows


def _kill_row(one: Recovery) -> tuple[object, ...]:
    return (one.victim, one.orders_sent, span(one.open_seconds), span(one.logged_on_seconds))


def _maybe(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table | None:
    return table(title, columns, rows) if rows else None

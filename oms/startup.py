"""Start-up is recovery: there is no other way to begin.

    1 the end of the journal is verified (hashes of the last batches)
    2 live orders, today's duplicate keys and session positions come back into memory
    3 messages whose sending is uncertain are looked for in the sessions' own stores: found, the protocol will
      deliver them; not found, they never left: the outbox decides, or the core is told with the first batch.
      Stores that are lost are made again, if an operator said so (`oms.new_machine`)
    4 every session expects what follows the last message committed, so that what was read and lost comes again

Deterministic; each step can be repeated, and is reported (`oms.startup_report`). Nothing is sent here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from oms import inbox as box
from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.core import copies
from oms.core.book import Book, SessionState
from oms.fix.decode import split
from oms.fix.engine import Engine
from oms.fix.handle import ADMIN_TYPES
from oms.fix.store import Stored, carry_over, mend_torn, require_room, stored_messages
from oms.inbox import Heard, now_us
from oms.ledger import witnesses
from oms.ledger.batch import Send
from oms.ledger.chain import JournalRow
from oms.ledger.load import Reader, Rows
from oms.ledger.rebuild_tables import require_version
from oms.ledger.starts import before
from oms.ledger.tail import verify_tail
from oms.new_machine import Rebuilt, in_doubt, lost_stores, note_run, rebuild, require_said
from oms.outbox import cl_ord_id_of
from oms.startup_report import StartReport

_UNSETTLED_LIMIT = 100_000
_BEFORE_MIDNIGHT = timedelta(seconds=30)  # longer than the engines take to open their stores
_SESSION_FIELDS = frozenset({"8", "9", "34", "43", "49", "52", "56", "97", "122", "10", "1128"})


class Recovered(NamedTuple):
    """What start-up found: for the log, and for the flow to go on from."""

    live_orders: int
    last_batch: int
    last_seq: int
    settled: list[Send]
    never_left: list[Heard]
    out_positions: dict[str, tuple[int, int]]
    poison: frozenset[tuple[str, int, int]]
    rebuilt: dict[str, Rebuilt]


def recover(
    config: Config,
    reader: Reader,
    book: Book,
    today: date,
    empty_stores: frozenset[str] = frozenset(),
    new_machine: bool = False,
    run: str = "",
    report: StartReport | None = None,
) -> Recovered:
    """Steps 1 to 3. Raises JournalFailure where the end of the journal has been tampered with.

    A session whose message store is gone is an OperatorError unless it is named in `empty_stores`, or all that are
    gone are to be made again (`new_machine`): its counterparty would be asked to send everything again, and old
    orders would come as if they were new. So they would with a store of another run than the last. `run` is this one.
    """
    report = report or StartReport(config.gateway.state_dir)
    report.step("tail")
    report.before(before(reader))
    tail = verify_tail(reader)
    require_version(reader.rows)
    report.found("tail", tail._asdict())
    last_batch, last_seq = tail.batch, tail.seq
    book.next_seq = last_seq + 1
    report.step("stores")
    positions = reader.sessions(book)
    lost = lost_stores(config, reader, book.sessions)
    require_said(lost, book.sessions, empty_stores, new_machine)
    require_room({spec.store_path for spec in config.sessions.values()})
    if run:
        note_run(config, reader, lost, run)
    rebuilt = rebuild(config, reader, book.sessions, lost, empty_stores, last_seq, datetime.now(UTC))
    for spec in config.sessions.values():
        mend_torn(spec.store_path / spec.store_prefix)
        place_in_book(spec, book)
    report.step("ids")
    report.found("ids", reader.keys(book, today))
    report.step("orders")
    orders = reader.live_orders()
    for order in orders:
        book.add(order)
    reader.mass_cancels(book)
    reader.unanswered(book)
    report.orders(orders)
    _drop_copies(config, reader, book)
    report.step("messages")
    settled, never_left, out_positions = settle(config, reader, positions, lost, rebuilt, report)
    poison = read_poison(config.gateway.state_dir)
    report.found("poison", len(poison))
    return Recovered(len(orders), last_batch, last_seq, settled, never_left, out_positions, poison, rebuilt)


def place_in_book(spec: SessionSpec, book: Book) -> None:
    """A session as the core knows it: with the numbers that the ledger has of it, if any."""
    state = book.sessions.setdefault(spec.name, SessionState(spec.name, spec.role))
    state.role, state.news, state.changed_at = spec.role, spec.news, datetime.now(UTC)


def settle(
    config: Config,
    reader: Reader,
    positions: Mapping[str, Mapping[str, Any]],
    lost: Mapping[str, str],
    rebuilt: Mapping[str, Rebuilt],
    report: StartReport,
) -> tuple[list[Send], list[Heard], dict[str, tuple[int, int]]]:
    """Step 3 for all sessions: what became of their messages, what the core has to hear, and where each stands."""
    settled: list[Send] = []
    never_left: list[Heard] = []
    out_positions: dict[str, tuple[int, int]] = {}
    for name, spec in config.sessions.items():
        row = positions.get(name)
        cursor, number = (row["out_seq"], row["out_msg_seq_num"]) if row else (0, 0)
        if name in lost:
            found, passed_over = in_doubt(reader, spec, cursor)
            number = rebuilt[name].last_known if name in rebuilt else 0
        elif spec.paced:
            found, passed_over, cursor, number = settle_paced(reader, spec, cursor, number)
        else:
            found, passed_over = settle_session(reader, spec, cursor, number)
        settled += found
        never_left += passed_over
        if found and (name in lost or not spec.paced):
            cursor, number = found[-1].seq, found[-1].msg_seq_num or number
        out_positions[name] = (cursor, number)
        report.messages(name, found, reader.count_outgoing(name, cursor))
        report.session(name, role=spec.role, ledger=_in_ledger(row), lost=lost.get(name, ""))
        if name in rebuilt:
            report.session(name, rebuilt=rebuilt[name]._asdict())
    return settled, never_left, out_positions


def _in_ledger(row: Mapping[str, Any] | None) -> dict[str, int]:
    """A session's numbers as committed: the last one in, the last one out that is settled, resets."""
    if row is None:
        return {"in": 0, "out": 0, "resets": 0}
    return {"in": row["in_msg_seq_num"], "out": row["out_msg_seq_num"], "resets": row["epoch"]}


def _drop_copies(config: Config, reader: Reader, book: Book) -> None:
    """What only one of a broker's two witnesses had told."""
    specs = config.role("drop_copy")

    def told(broker: str, key: copies.Key) -> bool:
        return book.ledger is not None and book.ledger.copy_told(broker, *key)

    of = {spec.name: spec.drop_copy_of for spec in specs}
    seconds = {spec.name: spec.dialect.drop_copy_seconds for spec in specs}
    book.drop_copies.configure(of, seconds, told, max(copies.KEEP, book.keep_ids))
    for one in book.drop_copies:
        witnesses.restore(reader.rows, one)


def settle_session(reader: Reader, spec: SessionSpec, cursor: int, number: int) -> tuple[list[Send], list[Heard]]:
    """What became of the messages after `cursor`, as far as the session's store tells, in order.

    A session sends in the order of the journal. Messages after the last one found are left to the outbox. One
    before it that is not there was refused because its broker was logged out, and the core was not yet told:
    it comes back as what the core has to hear. Compared are the messages' own fields, whatever order the engine
    wrote them in.
    """
    rows = reader.outgoing(spec.name, cursor, _UNSETTLED_LIMIT)
    if not rows:
        return [], []
    texts, numbers = _in_store(spec, number, rows)
    last = max((place for place, found in enumerate(numbers) if found is not None), default=-1)
    now = datetime.now(UTC)
    settled: list[Send] = []
    never_left: list[Heard] = []
    for row, text, found in zip(rows[: last + 1], texts, numbers, strict=False):
        if found is not None:
            settled.append(Send(row["seq"], spec.name, "stored", found, now, "found in the store"))
            continue
        if spec.role == "client":
            break  # a client's reports are never refused: what is not there has yet to be sent
        reason = f"{spec.name} was logged out before a restart"
        settled.append(Send(row["seq"], spec.name, "refused", None, now, reason))
        matter = (row["seq"], row["msg_type"], cl_ord_id_of(text), reason)
        never_left.append(Heard(box.NOT_SENT, spec.name, "", matter, now_us()))
    return settled, never_left


def settle_paced(
    reader: Reader, spec: SessionSpec, cursor: int, number: int
) -> tuple[list[Send], list[Heard], int, int]:
    """As `settle_session`, of a session whose messages leave by urgency; also its position after that.

    Each message is looked for by itself. One that is not there waited still, and is left to the outbox. But not where
    a later one of its order is there: messages of an order keep their order, so it was given up for that one, and the
    core was not yet told.
    """
    rows = reader.outgoing(spec.name, cursor, _UNSETTLED_LIMIT)
    texts, numbers = _in_store(spec, number, rows)
    now, left = datetime.now(UTC), set[str]()
    cursor = rows[-1]["seq"] if rows else cursor
    settled: list[Send] = []
    never_left: list[Heard] = []
    for row, text, found in reversed(list(zip(rows, texts, numbers, strict=True))):
        if found is not None:
            left.add(row["order_id"] or "")
            settled.append(Send(row["seq"], spec.name, "stored", found, now, "found in the store"))
        elif row["order_id"] in left:
            reason = "a later request for its order had left before a restart"
            settled.append(Send(row["seq"], spec.name, "refused", None, now, reason))
            matter = (row["seq"], row["msg_type"], cl_ord_id_of(text), reason)
            never_left.append(Heard(box.NOT_SENT, spec.name, "", matter, now_us()))
        else:
            cursor = row["seq"] - 1  # in the end that of the lowest one
    number = max([number, *(found for found in numbers if found is not None)])
    return settled[::-1], never_left[::-1], cursor, number


def _in_store(spec: SessionSpec, number: int, rows: Rows) -> tuple[list[str], list[int | None]]:
    """The texts of journal rows, and the MsgSeqNum(34) above `number` that each has in the session's store."""
    at: dict[tuple[tuple[str, str], ...], int] = {}
    for one in stored_messages(spec.store_path / spec.store_prefix, number):
        if _application(one):
            at.setdefault(_own_fields(one.raw), one.msg_seq_num)
    texts = [bytes(row["raw"]).decode("utf-8", "surrogateescape") for row in rows]
    return texts, [at.get(_own_fields(text)) for text in texts]


def _application(one: Stored) -> bool:
    return dict(split(one.raw)).get("35", "") not in ADMIN_TYPES


def _own_fields(raw: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pair for pair in split(raw) if pair[0] not in _SESSION_FIELDS))


def carry_stores_over(config: Config, wait: Callable[[float], object]) -> None:
    """Right before the engines open the stores: those of sessions without a schedule go on from day to day.

    Not over midnight (UTC), because the engine would still take them for another day's: then it waits.
    """
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), time.min, UTC)
    if midnight - now < _BEFORE_MIDNIGHT:
        wait((midnight - now).total_seconds() + 1)
    for spec in config.sessions.values():
        if spec.settings.get("NonStopSession") == "Y":
            carry_over(spec.store_path / spec.store_prefix, datetime.now(UTC))


def align_sessions(engine: Engine, book: Book, report: StartReport | None = None) -> dict[str, int]:
    """Step 4: expect what follows the last message committed. Returns the sessions set back, with the number."""
    changed = {}
    for name in engine.sessions:
        wanted = book.sessions[name].in_msg_seq_num + 1
        next_sender, expected = engine.numbers(name)
        if report is not None:
            store = {"next_out": next_sender, "next_in": expected}
            report.session(name, store=store, set_back_to=wanted if wanted < expected else None)
        # Where the engine expects less than we have committed its store was reset: its own logon decides.
        if wanted < expected:
            engine.set_next_target(name, wanted)
            changed[name] = wanted
    return changed


def config_row(
    book: Book, config: Config, at: datetime, today: date, report: StartReport | None = None, run: str = ""
) -> JournalRow:
    """The journal row that says with what configuration the gateway starts, and what it found.

    From now on the message stores here are those of `run` (`oms.new_machine`).
    """
    detail: dict[str, Any] = {
        "run": run,
        "name": config.gateway.name,
        "environment": config.gateway.environment,
        "trading": config.gateway.trading,
        "sessions": {name: session_facts(spec) for name, spec in config.sessions.items()},
        "limits": [rule.model_dump(mode="json") for rule in config.limits],
        "routes": [rule.model_dump(mode="json") for rule in config.routes],
    }
    if report is not None:
        detail["start"] = report.so_far()
    text = json.dumps(detail, separators=(",", ":"), default=str)
    return JournalRow(book.take_seq(), "config", "", "Start", None, None, None, None, at, today, b"", text)


def session_facts(spec: SessionSpec) -> dict[str, Any]:
    """What a replay has to know of a session; in the row of a start, or of the command that added it."""
    return {
        "role": spec.role,
        "drop_copy_of": spec.drop_copy_of,
        "news": spec.news,
        "fix42": spec.appl_ver_id == "FIX.4.2",
        "dialect": spec.dialect.name,
        "status_requests": spec.dialect.status_requests,
        "mass_cancel": spec.dialect.mass_cancel,
        "mass_status": spec.dialect.mass_status,
        "unknown_orders": spec.dialect.unknown_orders,
        "avg_px_decimals": spec.dialect.reconcile.avg_px_decimals,
        "replace": spec.dialect.replace,
    }


def read_poison(state_dir: Path) -> frozenset[tuple[str, int, int]]:
    """Messages that stopped an earlier run; they are recorded and answered, not worked on.

    Named by session, epoch and MsgSeqNum(34): after a reset the same number is another message.
    """
    path = state_dir / "poison.jsonl"
    if not path.exists():
        return frozenset()
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset((str(name), int(epoch), int(number)) for name, epoch, number in map(json.loads, lines))


def note_poison(state_dir: Path, in_hand: tuple[str, int, int] | None) -> None:
    """The process ends over a failure of our own code: remember the message it was working on."""
    if in_hand is not None:
        with (state_dir / "poison.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(in_hand) + "\n")

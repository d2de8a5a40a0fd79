"""Start-up is recovery: there is no other way to begin.

    1 the end of the journal is verified (hash of the last batch)
    2 live orders, today's duplicate keys and session positions come back into memory
    3 messages whose sending is uncertain are looked for in the sessions' own stores: found, the protocol will
      deliver them; not found, they never left: the outbox decides, or the core is told with the first batch
    4 every session expects what follows the last message committed, so that what was read and lost comes again

Deterministic; each step can be repeated. Nothing is sent here.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from oms import inbox as box
from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.core.book import Book, SessionState
from oms.errors import JournalFailure, OperatorError
from oms.fix.decode import split
from oms.fix.engine import ADMIN_TYPES, Engine
from oms.fix.store import Stored, stored_messages
from oms.inbox import Heard, now_us
from oms.ledger.batch import Send
from oms.ledger.chain import GENESIS, JournalRow, batch_hash
from oms.ledger.load import Reader
from oms.outbox import cl_ord_id_of

_UNSETTLED_LIMIT = 100_000
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


def recover(
    config: Config, reader: Reader, book: Book, today: date, empty_stores: frozenset[str] = frozenset()
) -> Recovered:
    """Steps 1 to 3. Raises JournalFailure where the end of the journal has been tampered with.

    A session whose message store is gone is an OperatorError unless it is named in `empty_stores`: its
    counterparty would be asked to send everything again, and old orders would come as if they were new.
    """
    last_batch, last_seq = verify_tail(reader)
    book.next_seq = last_seq + 1
    positions = reader.sessions(book)
    require_stores(config, book, empty_stores)
    for name, spec in config.sessions.items():
        if name not in book.sessions:
            book.sessions[name] = SessionState(name, spec.role)
        book.sessions[name].changed_at = datetime.now(UTC)
    reader.keys(book, today)
    orders = reader.live_orders()
    for order in orders:
        book.add(order)
    reader.mass_cancels(book)
    settled: list[Send] = []
    never_left: list[Heard] = []
    out_positions: dict[str, tuple[int, int]] = {}
    for name, spec in config.sessions.items():
        row = positions.get(name)
        cursor, number = (row["out_seq"], row["out_msg_seq_num"]) if row else (0, 0)
        found, passed_over = settle_session(reader, spec, cursor, number)
        settled += found
        never_left += passed_over
        if found:
            cursor, number = found[-1].seq, found[-1].msg_seq_num or number
        out_positions[name] = (cursor, number)
    poison = read_poison(config.gateway.state_dir)
    return Recovered(len(orders), last_batch, last_seq, settled, never_left, out_positions, poison)


def require_stores(config: Config, book: Book, empty_stores: frozenset[str]) -> None:
    """Refuse to start on a session whose numbers the ledger knows and whose store is not there."""
    for name, spec in config.sessions.items():
        state = book.sessions.get(name)
        if state is None or not state.in_msg_seq_num or name in empty_stores:
            continue
        if not (spec.store_path / f"{spec.store_prefix}.seqnums").exists():
            raise OperatorError(
                f"session {name}: its message store is missing in {spec.store_path}, and the ledger has messages up"
                f" to MsgSeqNum(34) {state.in_msg_seq_num}; restore the store, or agree a reset of the sequence"
                f" numbers with the counterparty and start with: oms run --empty-store {name}"
            )


def verify_tail(reader: Reader) -> tuple[int, int]:
    """Number of the last batch and of the last journal row, its hash made again and compared."""
    heads = reader.rows("SELECT * FROM batches ORDER BY batch DESC LIMIT 1")
    if not heads:
        return 0, 0
    head = heads[0]
    rows = reader.rows(
        "SELECT seq, kind, session, msg_type, msg_seq_num, order_id, cause, sending_time, received_at, trade_date,"
        " raw, detail::text AS detail FROM journal WHERE batch = %s ORDER BY seq",
        head["batch"],
    )
    journal = [JournalRow(**{**row, "raw": bytes(row["raw"])}) for row in rows]
    made = batch_hash(bytes(head["prev_hash"]), head["batch"], head["committed_at"], journal)
    if made != bytes(head["hash"]) or (head["batch"] == 1 and bytes(head["prev_hash"]) != GENESIS):
        raise JournalFailure(
            f"the last batch of the journal ({head['batch']}) does not match its hash: the ledger was changed by"
            " other hands; run `oms verify` and restore it before you start"
        )
    return head["batch"], head["last_seq"]


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
    at: dict[tuple[tuple[str, str], ...], int] = {}
    for one in stored_messages(spec.store_path / spec.store_prefix, number):
        if _application(one):
            at.setdefault(_own_fields(one.raw), one.msg_seq_num)
    texts = [bytes(row["raw"]).decode("utf-8", "surrogateescape") for row in rows]
    numbers = [at.get(_own_fields(text)) for text in texts]
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


def _application(one: Stored) -> bool:
    return dict(split(one.raw)).get("35", "") not in ADMIN_TYPES


def _own_fields(raw: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pair for pair in split(raw) if pair[0] not in _SESSION_FIELDS))


def align_sessions(engine: Engine, book: Book) -> dict[str, int]:
    """Step 4: expect what follows the last message committed. Returns the sessions set back, with the number."""
    changed = {}
    for name in engine.sessions:
        wanted = book.sessions[name].in_msg_seq_num + 1
        _, expected = engine.numbers(name)
        # Where the engine expects less than we have committed its store was reset: its own logon decides.
        if wanted < expected:
            engine.set_next_target(name, wanted)
            changed[name] = wanted
    return changed


def config_row(book: Book, config: Config, at: datetime, today: date) -> JournalRow:
    """The journal row that says with what configuration the gateway starts."""
    detail: dict[str, Any] = {
        "name": config.gateway.name,
        "environment": config.gateway.environment,
        "trading": config.gateway.trading,
        "sessions": {
            name: {
                "role": spec.role,
                "fix42": spec.appl_ver_id == "FIX.4.2",
                "dialect": spec.dialect.name,
                "status_requests": spec.dialect.status_requests,
                "mass_cancel": spec.dialect.mass_cancel,
                "replace": spec.dialect.replace,
            }
            for name, spec in config.sessions.items()
        },
        "limits": [rule.model_dump(mode="json") for rule in config.limits],
        "routes": [rule.model_dump(mode="json") for rule in config.routes],
    }
    text = json.dumps(detail, separators=(",", ":"), default=str)
    return JournalRow(book.take_seq(), "config", "", "Start", None, None, None, None, at, today, b"", text)


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

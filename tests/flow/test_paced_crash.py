"""kill -9 of a paced sender at any step, with any messages: each leaves once or is refused once (I1, I2).

The world keeps what outlives the process: the ledger as far as it was committed, and the engine's message store. The
sender's work is called step by step, so that a crash comes exactly where it is wanted.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oms import inbox as box
from oms import outbox, paced, startup
from oms.config.sessions import SessionSpec
from oms.fix.store import Stored
from oms.inbox import Heard, Inbox
from oms.ledger.batch import Send
from oms.ledger.load import Reader
from oms.outbox import Message
from oms.pace import Pace
from oms.paced import PacedSender

STEPS = ("before_send", "after_send", "refused", "noted", "caught_up")
SPEC = cast(SessionSpec, SimpleNamespace(name="S", role="broker", paced=True, store_path=Path("s"), store_prefix="S"))


class Killed(BaseException):
    """The process is gone."""


class World:
    """Ledger, message store, and the process that lives between them."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.sends: list[Send] = []
        self.not_sent: list[int] = []
        self.position = (0, 0)
        self.store: list[Stored] = []
        self.told: deque[tuple[Heard, ...]] = deque()
        self.kill_at: tuple[str, int] = ("", 0)
        self.closed: set[str] = set()
        self.start()

    # what the gateway's parts are to the sender

    def tell(self, *heard: Heard) -> None:
        self.told.append(heard)

    def outgoing(self, session: str, after: int, limit: int) -> list[dict[str, Any]]:
        settled = {one.seq for one in self.sends}
        left = [one for one in self.messages if one.seq > after and one.seq not in settled][:limit]
        return [
            {
                "seq": one.seq,
                "msg_type": one.msg_type,
                "order_id": one.order_id,
                "received_at": one.decided_at,
                "raw": one.text.encode(),
            }
            for one in left
        ]

    def close(self) -> None:
        """As `Reader`."""

    def send(self, session: str, texts: list[str]) -> list[str]:
        if not self.up:
            return []
        (text,) = texts
        number = len(self.store) + 2
        raw = f"8=FIX.4.4\x019=1\x01{text[:5]}34={number}\x01{text[5:]}"
        self.store.append(Stored(number, raw))
        return [raw]

    def reached(self, step: str) -> None:
        at, left = self.kill_at
        if step == at:
            self.kill_at = (at, left - 1)
            if left == 1:
                raise Killed

    # what happens

    def start(self) -> None:
        """Recovery, and the first batch, which is committed before anything else of this run."""
        self.up = True
        self.kill_at = ("", 0)
        self.told.clear()
        settled, never_left, cursor, number = startup.settle_paced(cast(Reader, self), SPEC, *self.position)
        self.sends += settled
        self.not_sent += [int(one.matter[0]) for one in never_left]  # type: ignore[call-overload]
        self.position = (cursor, number)
        self.sender = PacedSender(
            "S", "broker", self.send, cast(Inbox, self), "", cursor, timedelta(hours=1), lambda _: "", lambda: True,
            pace=Pace(1, 1, 10), max_wait=timedelta(hours=1), settled=frozenset(one.seq for one in settled),
        )  # fmt: skip
        self.sender._up = True

    def put(self, kind: str, order: str, back: int, age: int) -> None:
        known = [one.seq for one in self.messages if one.order_id == order and one.msg_type in "DG"]
        if order in self.closed or (kind == "D") == bool(known):
            return
        seq = len(self.messages) + 1
        orig = f"41={known[-1 - back % len(known)]}\x01" if known and kind in "FG" else ""
        at = datetime.now(UTC) - timedelta(hours=age)
        one = Message(seq, "S", kind, f"35={kind}\x01{orig}11={seq}\x01", at, order)
        self.messages.append(one)
        self.sender.add([one])

    def commit(self, groups: int) -> None:
        """The next batches of what was told."""
        for _ in range(min(groups, len(self.told))):
            for heard in self.told.popleft():
                if heard.kind == box.NOT_SENT:
                    seq, kind, *_ = heard.matter
                    self.not_sent.append(int(seq))  # type: ignore[call-overload]
                    if kind == "D":
                        self.closed.add(self.messages[int(seq) - 1].order_id)  # type: ignore[call-overload]
                    continue
                cursor, *sends = heard.matter
                self.sends += cast(list[Send], sends)
                numbers = [one.msg_seq_num for one in cast(list[Send], sends) if one.msg_seq_num]
                self.position = (int(cursor), [self.position[1], *numbers][-1])  # type: ignore[call-overload]

    def work(self, tokens: int, step: str, count: int) -> None:
        self.sender.pace._burst = max(tokens, 1)
        self.sender.pace._tokens = float(tokens)
        self.sender.pace.full = 0.0001  # type: ignore[assignment]
        self.kill_at = (step, count)
        try:
            self.sender._work()
        except Killed:
            self.start()
        self.kill_at = ("", 0)


def happen(world: World, what: tuple[Any, ...]) -> None:
    """One thing of a story."""
    name, *how = what
    if name == "put":
        world.put(*how)
    elif name == "commit":
        world.commit(*how)
    elif name == "work":
        world.work(*how)
    elif name == "kill":
        world.start()
    else:
        world.up = world.sender._up = not world.up


def require_law(world: World) -> None:
    """Everything is settled once, as it was; no order's messages left out of their order."""
    left = [int(outbox.cl_ord_id_of(one.raw)) for one in world.store]
    assert len(set(left)) == len(left), "a message left twice"
    outcomes = {one.seq: one for one in world.sends}
    assert len(outcomes) == len(world.sends) == len(world.messages), "a message without a word, or with two"
    numbers = {int(outbox.cl_ord_id_of(one.raw)): one.msg_seq_num for one in world.store}
    assert {seq: one.msg_seq_num for seq, one in outcomes.items() if one.outcome != "refused"} == numbers
    assert sorted(world.not_sent) == sorted(set(outcomes) - set(left)), "the core is told of each refusal once"
    assert world.position[0] <= len(world.messages)
    for order in {one.order_id for one in world.messages}:
        chain = [seq for seq in left if (one := world.messages[seq - 1]).order_id == order and one.msg_type != "H"]
        assert chain == sorted(chain), "an order's messages out of their order"


STORY = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("DDGFH"), st.sampled_from(["A", "B", "C"]), st.integers(0, 2),
                  st.sampled_from([0, 0, 0, 2])),
        st.tuples(st.just("work"), st.integers(0, 4), st.sampled_from(["", *STEPS]), st.integers(1, 3)),
        st.tuples(st.just("commit"), st.integers(1, 3)),
        st.sampled_from([("kill",), ("line",)]),
    ),
    max_size=40,
)  # fmt: skip


# An order that waits is overtaken by a replace of another one, and the process dies with that written down.
OVERTAKEN = [
    ("put", "D", "A", 0, 0), ("put", "D", "B", 0, 0), ("work", 1, "", 0), ("put", "G", "A", 0, 0), ("work", 1, "", 0),
    ("commit", 3), ("kill",),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(STORY)
@example(OVERTAKEN)
def test_whatever_happens_each_message_leaves_once_or_is_refused_once(story: list[tuple[Any, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world_of: list[World] = []
        patch.setattr(outbox, "Reader", lambda url: world_of[0])
        patch.setattr(startup, "stored_messages", lambda prefix, after: _above(world_of, after))
        for module in (outbox, paced):
            patch.setattr(module, "reached", lambda step: world_of[0].reached(step))
        world = World.__new__(World)
        world_of.append(world)
        world.__init__()  # type: ignore[misc]
        for what in story:
            happen(world, what)
        world.start()
        world.work(1000, "", 0)
        world.commit(1000)
        require_law(world)


def _above(world_of: list[World], after: int) -> list[Stored]:
    return [one for one in world_of[0].store if one.msg_seq_num > after]

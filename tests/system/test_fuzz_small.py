"""A small fuzz run, core and sessions, and that its checks see what they are there for (I4, I7, I10)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuzzlib.core import Findings as CoreFindings
from fuzzlib.core import World
from fuzzlib.mutate import Maker, body_of, framed, garbled
from fuzzlib.reasons import unmeant
from oms.config.load import Config, load
from oms.config.templates import write_demo
from oms.core import broker_side
from oms.core import messages as m
from oms.fix.decode import decode_guarded
from oms.fix.handle import msg_seq_num
from tests.ops.desk import START, Desk

ROOT = Path(__file__).parents[2]
SECONDS = 150.0  # some 20 on a quiet machine


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that Postgres may enter as a user of its own."""
    with tempfile.TemporaryDirectory(prefix="oms-fuzz-") as name:
        yield Path(name)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(write_demo(tmp_path, client_port=5201, broker_ports=(5301, 5302), trading="on"))


@pytest.mark.system
@pytest.mark.engine
@pytest.mark.postgres
@pytest.mark.timeout(int(SECONDS) + 30)
def test_spoiled_messages_neither_stop_the_gateway_nor_stay_unrecorded(directory: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "fuzz"),
        "--messages",
        "2000",
        "--sessions",
        "1200",
        "--seed",
        "3",
    ]
    command += ["--seconds", "60", "--dir", str(directory / "fuzz"), "--json", str(directory / "fuzz.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads((directory / "fuzz.json").read_text())
    core, sessions = told["core"], told["sessions"]
    assert core["messages"] >= 2000
    assert (core["count"], core["findings"]) == (0, {})
    assert sessions["messages"] == 1200
    assert sessions["due"] == sessions["recorded"] > 300
    assert (sessions["problems"], sessions["errors_logged"]) == ([], 0)
    assert sessions["canary"]["orders"] > 0


def played(config: Config, messages: int) -> CoreFindings:
    """What a world of so many messages finds."""
    found = CoreFindings()
    world = World(config, "1/0", found)
    while found.messages < messages:
        found.messages += world.step()
    world.end()
    return found


def test_a_change_that_no_row_tells_of_is_found(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(ctx: Any, seq: int, order: Any, child: Any, msg: Any) -> None:
        child.broker_order_id = child.broker_order_id or msg.order_id

    monkeypatch.setattr(broker_side, "_note_order_id", forgetful)
    assert {text.partition(":")[0] for text in played(config, 4000).findings.values()} == {"a change was not written"}


def test_a_message_that_breaks_the_decoder_is_found(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> m.Body:
        raise KeyError("a defect")

    monkeypatch.setattr("oms.fix.decode._new_order", broken)
    found = played(config, 300)
    assert found.count > 10
    assert {"KeyError: 'a defect'" in text for text in found.findings.values()} == {True}


def test_only_refusals_that_are_meant_pass() -> None:
    prefix = "the gateway could not read this message: "
    for reason in ("ValueError: tag 11 appears more than once", "ValueError: a tag is not a number"):
        assert unmeant(prefix + reason) == ""
    for reason in (
        "KeyError: '11'",
        "ValueError: invalid literal for int() with base 10: ''",
        "RecursionError: deep",
    ):
        assert unmeant(prefix + reason) == reason


def test_the_same_seed_makes_the_same_messages() -> None:
    def some(seed: str) -> list[bytes]:
        maker = Maker(seed, from_broker=False, fix42=False)
        made = [framed(b"FIX.4.4", b"35=%s\x01" % fields[0][1] + body_of(fields)) for fields in
                (maker.spoiled() for _ in range(50))]  # fmt: skip
        return made + [garbled(maker.chance, raw) for raw in made]

    assert some("1") == some("1")
    assert some("1") != some("2")


# --- what fuzzing has found ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("34=17", 17),
        ("34=999999999999999999", 999999999999999999),
        ("34=9223372036854775808", 0),  # more than the ledger's column holds
        ("34=" + "1" * 5000, 0),  # more digits than Python reads
        ("34=\xb2", 0),  # a digit, and no number
        ("34=", 0),
        ("35=D", 0),
    ],
)
def test_a_msg_seq_num_that_the_ledger_cannot_hold_is_none(text: str, number: int) -> None:
    assert msg_seq_num(f"8=FIX.4.4\x0135=D\x01{text}\x0149=CLIENT1\x01") == number


@pytest.mark.parametrize("text", ["=X", "11=A\x01=", "95=1\x0196=ab=c"])
def test_a_field_without_a_tag_makes_a_message_unreadable_and_breaks_nothing(text: str) -> None:
    raw = f"8=FIX.4.4\x0135=D\x0134=1\x01{text}\x01=X\x01"
    body, _ = decode_guarded(raw, START.date(), from_broker=False, fix42=False)
    assert isinstance(body, m.Unreadable)
    assert unmeant(body[2]) == ""


def test_an_order_id_that_came_with_a_report_that_changes_nothing_else_is_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.log_on("CLIENT1", "BROKER1")
    desk.work()
    desk.hear("CLIENT1", "35=D|11=A1|1=HOUSE|55=AAPL|54=1|38=100|40=2|44=150.00|59=0|60=20260302-13:00:00|21=1")
    _, messages = desk.work()
    child = messages[0].text.partition("\x0111=")[2].partition("\x01")[0]
    desk.hear("BROKER1", f"35=j|45=1|372=D|379={child}|380=3|58=no")
    desk.work()
    desk.hear("BROKER1", f"35=8|37=B1|17=X1|20=0|11={child}|150=B|39=B|55=AAPL|54=1|38=100|151=0|14=0|6=0")
    batch, _ = desk.work()
    assert [item.kind for item in batch.items] == ["not_allowed"]
    assert [row for row in batch.changed_children if "B1" in row]

"""The log as an operator reads it: every line whole, whatever counterparties write, however much they send."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import structlog

from oms import inbox as box
from oms.config.settings import Log
from oms.core.effects import Item
from oms.core.families import not_supported
from oms.errors import OperatorError
from oms.inbox import Heard
from oms.ops import log as module
from oms.ops.log import EventLog, Throttle, configure
from oms.outbox import Message
from tests.ops.desk import START, Desk
from tests.ops.test_tally import ORDER, cl_ord_id, report


class Lines:
    """A log file, read as it grows."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path = path
        configure(Log(file=path, format="json", **settings))

    def new(self) -> list[dict[str, Any]]:
        """The lines since the last look, without their times."""
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        self.path.write_text("")
        for line in lines:
            assert line.pop("timestamp").endswith("Z")
        return lines


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    return Lines(tmp_path / "oms.log")


def commit(desk: Desk) -> list[Message]:
    """Work through what was heard, commit it, and let the instruments see it."""
    batch, messages = desk.work()
    desk.metrics.committed(batch, START, 0.001)
    return messages


def line(level: str, event: str, **more: Any) -> dict[str, Any]:
    return {"event": event, "level": level, "logger": "oms.events", **more}


# -- what is logged -----------------------------------------------------------------------------------------------


def test_an_order_that_trades_leaves_no_line_of_its_own(desk: Desk, lines: Lines) -> None:
    desk.log_on("CLIENT1", "BROKER1")
    commit(desk)
    assert lines.new() == [
        line("info", "session logged on", session="CLIENT1", seq=1),
        line("info", "session logged on", session="BROKER1", seq=2),
    ]
    desk.hear("CLIENT1", ORDER)
    (child,) = commit(desk)
    desk.hear("BROKER1", report(child, "2", "32=100|31=190|151=0|14=100|6=190|"))
    commit(desk)
    assert lines.new() == []


def test_at_level_debug_every_row_has_a_line(desk: Desk, tmp_path: Path) -> None:
    lines = Lines(tmp_path / "oms.log", level="debug")
    desk.log_on("BROKER1")
    commit(desk)
    lines.new()
    desk.hear("CLIENT1", ORDER)
    commit(desk)
    common = {"msg_type": "D", "order_id": "O000000002"}
    sent = {"kind": "out", "msg_seq_num": None, "session": "BROKER1", "cl_ord_id": "C000000003", "seq": 3}
    assert lines.new() == [
        line("debug", "journaled", kind="in", msg_seq_num=1, session="CLIENT1", cl_ord_id="A1", seq=2, **common),
        line("debug", "journaled", **sent, **common),
    ]


def test_a_reject_says_who_refused_by_which_rule_and_names_session_cl_ord_id_and_seq(
    desk: Desk, lines: Lines
) -> None:
    desk.log_on("CLIENT1", "BROKER1")
    desk.hear("CLIENT1", ORDER.replace("|38=100|", "|38=30000|"))
    desk.hear("CLIENT1", ORDER.replace("11=A1|", "11=A2|"))
    messages = commit(desk)
    desk.hear("BROKER1", report(messages[-1], "8", "103=0|58=closed|151=0|14=0|6=0|"))
    desk.hear("CLIENT1", "35=AE|571=T1|")
    commit(desk)
    text = "max_order_qty: OrderQty(38) 30000 exceeds 20000 (limits for client=CLIENT1, account=FUND1, symbol=AAPL)"
    report_8 = {"message": "ExecutionReport(8)", "session": "CLIENT1"}
    unsupported = {"message": "BusinessMessageReject(j)", "text": not_supported("AE")}
    assert lines.new()[2:] == [
        line(
            "info", "rejected", **report_8, by="gateway", reason="max_order_qty", text=text,
            cl_ord_id="A1", order_id="O000000003", cause=3, seq=4,
        ),
        line(
            "info", "rejected", **report_8, by="BROKER1", reason="OrdRejReason(103)=0", text="closed",
            cl_ord_id="A2", order_id="O000000005", cause=7, seq=8,
        ),
        line(
            "info", "rejected", **unsupported, by="gateway", reason="BusinessRejectReason(380)=3",
            session="CLIENT1", cause=9, seq=10,
        ),
    ]  # fmt: skip


def test_what_did_not_leave_what_was_refused_and_exception_items_are_warned_of(desk: Desk, lines: Lines) -> None:
    desk.log_on("CLIENT1", "BROKER1")
    desk.hear("CLIENT1", ORDER)
    (child,) = commit(desk)
    lines.new()
    desk.tell_not_sent(child, "BROKER1 is logged out")
    commit(desk)
    desk.refuse("CLIENT1", "8=FIX.4.4|35=D|34=9|11=A7|", "Required tag missing (RefTagID(371)=55)")
    commit(desk)
    desk.refuse("", "8=FIX.4.4|35=A|49=WHO|", "no such session")
    commit(desk)
    stranger = report(child, "1", "32=1|31=1|151=0|14=1|6=1|").replace(cl_ord_id(child), "WHO").replace("B1", "B9")
    desk.hear("BROKER1", stranger)
    commit(desk)
    text = "fill for no order of ours: ClOrdID(11) WHO, OrderID(37) B9"
    logged = [one for one in lines.new() if one["event"] != "rejected"]
    assert logged == [
        line(
            "warning", "request did not leave", reason="BROKER1 is logged out", msg_type="D", session="BROKER1",
            cl_ord_id="C000000004", order_id="O000000003", seq=5,
        ),
        line(
            "warning", "message refused", reason="Required tag missing (RefTagID(371)=55)", session="CLIENT1",
            cl_ord_id="A7", seq=7,
        ),
        line("warning", "message refused", reason="no such session", session="unknown", seq=8),
        line(
            "error", "exception item", kind="unknown_order", item="X000000009", text=text, session="BROKER1",
            cl_ord_id="WHO", seq=9,
        ),
    ]  # fmt: skip


def test_a_round_of_reconciliation_and_what_a_broker_does_not_answer_are_told(desk: Desk, lines: Lines) -> None:
    desk.log_on("CLIENT1", "BROKER1")
    desk.hear("CLIENT1", ORDER)
    (child,) = commit(desk)
    lines.new()
    desk.inbox.tell(Heard(box.RECONCILE, "BROKER1", "", ("begin", 0), 0))
    desk.inbox.tell(Heard(box.RECONCILE, "BROKER1", "", ("ask", 50), 0))
    desk.inbox.tell(Heard(box.OVERDUE, "", "", ("unacknowledged", "O000000003", cl_ord_id(child), 10, 1), 0))
    commit(desk)
    told = [one for one in lines.new() if one["event"] != "exception item"]
    assert told == [
        line("info", "reconciliation begin", session="BROKER1", order_id="R000000005", seq=5),
        line(
            "warning", "no answer", what="unacknowledged", seconds=10, session="unknown", cl_ord_id="C000000004",
            order_id="O000000003", seq=told[-1]["seq"],
        ),
    ]  # fmt: skip


def test_an_item_of_little_weight_is_a_warning_and_a_resolved_one_is_told(desk: Desk, lines: Lines) -> None:
    desk.log_on("BROKER1")
    batch, _ = desk.work()
    keys = ("operations", "BROKER1", "O1", 1)
    batch.items = [
        Item("X1", START, "quantity_mismatch", "warning", *keys, "CumQty(14) differs"),
        Item("X1", START, "quantity_mismatch", "", *keys, "", "resolved", "CumQty(14) agrees", START),
    ]
    EventLog().tell(batch, [])
    common = {"item": "X1", "kind": "quantity_mismatch", "session": "BROKER1", "order_id": "O1", "seq": 1}
    assert lines.new() == [
        line("warning", "exception item", text="CumQty(14) differs", **common),
        line("info", "exception item resolved", text="CumQty(14) agrees", **common),
    ]


def test_a_flood_is_cut_to_so_many_lines_a_second_and_the_rest_is_counted(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINES_PER_SECOND", 3)
    throttle = Throttle()
    assert [throttle.passes("rejects", 100 + number / 10) for number in range(8)] == [True] * 3 + [False] * 5
    assert throttle.passes("sessions", 100.9), "one subject does not silence another"
    assert lines.new() == []
    assert [throttle.passes("rejects", 101 + number / 10) for number in range(4)] == [True] * 3 + [False]
    remedy = "the journal and the metrics have all"
    assert lines.new() == [line("warning", "rejects: lines left out", lines=5, remedy=remedy)]


def test_a_flood_of_rejects_is_cut(desk: Desk, lines: Lines) -> None:
    desk.log_on("CLIENT1")
    commit(desk)
    lines.new()
    for number in range(200):
        desk.hear("CLIENT1", f"35=AE|571=T{number}|")
    commit(desk)
    assert [one["event"] for one in lines.new()] == ["rejected"] * module.LINES_PER_SECOND


# -- where and how ------------------------------------------------------------------------------------------------


def test_on_the_console_a_counterparty_cannot_start_a_line_or_move_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(Log())
    structlog.get_logger("oms").info("rejected", text="ok\nfake line\x1b[2J\udcff", session="CLIENT1")
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "'ok\\\\nfake line\\\\x1b[2J\\\\udcff'" in shown
    assert shown.partition("Z ")[2].startswith("[info     ] rejected")


def test_a_time_is_utc_in_iso_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="json"))
    structlog.get_logger("oms").info("open")
    line = json.loads(capsys.readouterr().err)
    assert line.keys() == {"event", "level", "logger", "timestamp"}
    date, _, time = line["timestamp"].partition("T")
    assert (len(date), len(time), time[-1]) == (10, 16, "Z")


def test_levels_below_the_configured_one_are_not_written(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "oms.log", level="warning")
    log = structlog.get_logger("oms")
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("x")
    assert [one["level"] for one in lines.new()] == ["warning", "error"]


def test_what_libraries_warn_of_is_in_the_same_form_and_their_chatter_is_not(lines: Lines) -> None:
    logging.getLogger("alembic.runtime").info("Context impl PostgresqlImpl.")
    logging.getLogger("alembic.runtime").warning("odd")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    first, second = lines.new()
    assert first == {"event": "odd", "level": "warning", "logger": "alembic.runtime"}
    assert (second["logger"], "UserWarning: old" in second["event"]) == ("py.warnings", True)


def test_an_exception_is_written_with_its_traceback(lines: Lines) -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        structlog.get_logger("oms").critical("halted", exc_info=error)
    (line,) = lines.new()
    assert line["exception"].splitlines()[0] == "Traceback (most recent call last):"
    assert line["exception"].endswith("ValueError: broken")


def test_configuring_again_replaces_what_was_configured(tmp_path: Path) -> None:
    first, second = Lines(tmp_path / "first.log"), Lines(tmp_path / "second.log")
    structlog.get_logger("oms").info("x")
    assert (first.new(), [one["event"] for one in second.new()]) == ([], ["x"])


def test_a_log_file_that_was_moved_away_is_opened_anew(lines: Lines) -> None:
    structlog.get_logger("oms").info("before")
    lines.path.rename(lines.path.with_suffix(".1"))
    structlog.get_logger("oms").info("after")
    assert [one["event"] for one in lines.new()] == ["after"]


def test_a_log_file_that_cannot_be_written_stops_the_start_with_a_remedy(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "oms.log"
    with pytest.raises(OperatorError) as caught:
        configure(Log(file=file))
    assert str(caught.value) == (
        f"[log] file {file}: cannot be written: No such file or directory;"
        " name a file in a directory that exists and that this user may write to"
    )

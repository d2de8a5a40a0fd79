"""The record survives a torn line, keeps a second simulator out, and gives the views that are compared."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from oms.errors import OperatorError
from oms.sim.record import Record, broker_view, client_view, read_lines


def test_a_torn_last_line_is_cut_off_and_the_record_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    record = Record(path)
    record.write({"kind": "a", "qty": Decimal("1.50")}, {"kind": "b"})
    record.close()
    with path.open("a") as file:
        file.write('{"kind":"c","half')
    assert [line["kind"] for line in read_lines(path)] == ["a", "b"]
    record = Record(path)
    record.write({"kind": "d"})
    record.close()
    assert list(read_lines(path)) == [{"kind": "a", "qty": "1.50"}, {"kind": "b"}, {"kind": "d"}]


def test_a_record_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text('{"kind')
    Record(path).close()
    assert path.read_text() == ""


def test_a_second_simulator_is_kept_out_of_the_directory(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    with pytest.raises(OperatorError, match="another simulator runs in this directory"):
        Record(tmp_path / "record.jsonl")
    record.close()
    Record(tmp_path / "record.jsonl").close()


@pytest.mark.parametrize("line", ["no json", "[1]", "{}"])
def test_a_file_that_is_no_record_is_told_where(tmp_path: Path, line: str) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text('{"kind":"start"}\n' + line + "\n")
    with pytest.raises(OperatorError, match="line 2 is not a record line"):
        list(read_lines(path))


def test_the_brokers_view_nets_busts_and_corrections_and_counts_duplicates_once(tmp_path: Path) -> None:
    order = {"order_id": "O1", "ids": ["X", "Y"], "symbol": "IBM", "side": "1", "ord_type": "2", "tif": "0"}
    order |= {"qty": "100", "trace": "C1/A", "life": "working", "fills": [{"exec_id": "E4", "qty": "30", "px": "9"}]}
    base = {"kind": "report", "msg_type": "8", "order_id": "O1", "cl_ord_id": "X"}
    nothing = {"last_qty": "0", "last_px": "0"}
    amended = {"last_qty": "30", "last_px": "9"}
    lines = [
        {"kind": "start", "name": "B", "version": "4.4"},
        {"kind": "request", "msg_type": "D"},
        base | {"report": 1, "exec_id": "E1", "exec_type": "F", "last_qty": "20", "last_px": "10"},
        base | {"report": 2, "exec_id": "E2", "exec_type": "F", "last_qty": "40", "last_px": "10"},
        base | {"report": 3, "exec_id": "E2", "exec_type": "F", "last_qty": "40", "last_px": "10", "duplicate": True},
        base | {"report": 4, "exec_id": "E3", "exec_type": "H", "exec_ref_id": "E1", **nothing},
        base | {"report": 5, "exec_id": "E4", "exec_type": "G", "exec_ref_id": "E2", **amended},
        base | {"report": 6, "order_id": "O2", "exec_id": "E5", "exec_type": "F", "stray": True},
        base | {"report": 7, "exec_id": "E1", "exec_type": "F", "last_qty": "20", "last_px": "10", "duplicate": True},
        {"kind": "order", "order": order},
        *({"kind": "sent", "report": number, "seq": number} for number in (1, 2, 4, 5)),
    ]
    path = tmp_path / "record.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    view = broker_view(path)
    found = [(f.exec_id, f.qty, f.px, f.latest_exec_id, f.sent) for f in view.orders["X"].fills.values()]
    assert found == [("E1", Decimal(0), Decimal(10), "E3", True), ("E2", Decimal(30), Decimal(9), "E4", True)]
    assert view.by_cl_ord_id["Y"] is view.orders["X"] is view.by_trace["C1/A"]
    assert (view.orders["X"].ord_status, view.orders["X"].order.cum_qty) == ("1", Decimal(30))
    assert (view.requests, view.reports, view.duplicates, view.unsent, len(view.strays)) == (1, 7, 2, 3, 1)


def test_a_view_of_a_directory_without_a_record_is_empty(tmp_path: Path) -> None:
    assert (broker_view(tmp_path / "none").orders, client_view(tmp_path / "none").orders) == ({}, {})

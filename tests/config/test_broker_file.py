"""Reading a broker's end-of-day file: what it says, and for a bad one the line and the remedy."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from oms.config import broker_file
from oms.config.broker_file import BadFile, BrokerFile, FileReader, Holding, Told

DAY = date(2026, 3, 2)
HEAD = "ExecID,Symbol,Side,LastQty,LastPx,TradeDate\n"
GOOD = "e1,AAPL,1,100,150.25,20260302\n"


def read(text: str | bytes, known: dict[str, dict[str, str]] | None = None, **form: Any) -> list[Told]:
    data = text.encode() if isinstance(text, str) else text
    return FileReader(BrokerFile(**form), data, "day.csv", known or {}).executions(DAY)


def test_a_file_in_fix_names_needs_no_mapping() -> None:
    text = (
        "TransactTime,ExecID,OrderID,ClOrdID,Symbol,Side,LastQty,LastPx,Account,More\n"
        '\n20260302-13:00:01.5,e1,B1,C1,"AAPL",1,100,150.250,FUND1,x\n'
    )
    at = datetime(2026, 3, 2, 13, 0, 1, 500_000, UTC)
    assert read("\ufeff" + text) == [
        Told(3, "e1", "B1", "C1", "AAPL", "1", Decimal(100), Decimal("150.25"), "FUND1", at)
    ]


def test_a_broker_writes_its_own_names_values_numbers_and_dates() -> None:
    text = "Id;Wertpapier;Seite;Stück;Kurs;Tag;Konto\ne1;AAPL.O;KAUF;1.000;150,25;02.03.2026;77\n"
    form: dict[str, Any] = {
        "exec_id": "Id", "symbol": "Wertpapier", "side": "Seite", "quantity": "Stück", "price": "Kurs",
        "trade_date": "Tag", "account": "Konto", "delimiter": ";", "decimal_point": ",", "thousands": ".",
        "date_format": "%d.%m.%Y", "values": {"side": {"KAUF": "1"}, "account": {"77": "FUND1"}},
    }  # fmt: skip
    known = {"symbol": {"AAPL.O": "AAPL"}, "account": {"77": "by values instead"}}
    assert read(text, known, **form) == [
        Told(2, "e1", "", "", "AAPL", "1", Decimal(1000), Decimal("150.25"), "FUND1", None)
    ]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", "line 1: the file is empty; ask the broker for it again"),
        (" \n\n", "line 1: the file is empty; ask the broker for it again"),
        (HEAD, "line 1: there is no execution after the column names; ask the broker for the whole file"),
        (HEAD.encode() + b"e1,\xe4,1\n", "line 2: byte 0xe4 is not UTF-8; convert the file: iconv -t UTF-8"),
        (HEAD + "e1,A\x00,1,1,1,20260302\n", "line 2: a NUL character; this is no CSV file"),
        (HEAD.replace("LastPx", "Price"), 'line 1: there is no column "LastPx"; name the column as price in [file]'),
        (HEAD.replace("LastPx", "LastPX"), 'line 1: there is no column "LastPx"; did you mean LastPX?'),
        (HEAD.replace("TradeDate", "Side") + GOOD, 'line 1: there are 2 columns "Side"; keep one of them'),
        (HEAD + GOOD + "e2,AAPL,1\n", "line 3: 3 columns where the first line has 6; the file may be cut off"),
        (HEAD + GOOD + 'e2,"AAPL,1', "line 3: this is no CSV (unexpected end of data); ask the broker for it again"),
        (HEAD + GOOD.replace("100", "1e2"), 'line 2: column LastQty: "1e2" is no number; see decimal_point'),
        (HEAD + GOOD.replace("100", "-100"), 'line 2: column LastQty: "-100" is no number; see decimal_point'),
        (HEAD + GOOD.replace("100", "NaN"), 'line 2: column LastQty: "NaN" is no number; see decimal_point'),
        (HEAD + GOOD.replace("150.25", ""), 'line 2: column LastPx: "" is no number; see decimal_point'),
        (HEAD + GOOD.replace("100", "0"), "line 2: an execution of 0 shares; leave busted executions out"),
        (HEAD + GOOD.replace(",1,", ",BUY,"), 'line 2: "BUY" is no Side(54); add it to values of side in [file]'),
        (HEAD + GOOD.replace("e1", ""), 'line 2: "" is no ExecID(17); every execution needs the id'),
        (HEAD + GOOD.replace("AAPL", ""), "line 2: column Symbol is empty; ask the broker for the whole file"),
        (HEAD + GOOD.replace("20260302", "20260303"), "line 2: the trade date is 2026-03-03, not 2026-03-02; to"),
        (HEAD + GOOD.replace("20260302", "2.3.26"), 'line 2: "2.3.26" is not written as %Y%m%d; write date_format'),
    ],
)
def test_a_bad_file_is_answered_with_line_and_remedy(text: str | bytes, answer: str) -> None:
    with pytest.raises(BadFile) as raised:
        read(text)
    said = str(raised.value)
    assert said.startswith(f"day.csv, {answer}")
    assert said.endswith(". Nothing was compared.")


def test_a_file_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_file, "FILE_LIMIT", 20)
    with pytest.raises(
        BadFile, match=r"line 1: the file has \d+ bytes, more than 20; ask the broker for smaller ones"
    ):
        read(HEAD + GOOD)


def test_a_column_that_the_dialect_names_must_be_there() -> None:
    with pytest.raises(BadFile, match='line 1: there is no column "Konto"; name the column as account'):
        read(HEAD + GOOD, account="Konto")


def test_positions_are_net_and_each_stands_once() -> None:
    text = "Account,Symbol,LongQty,ShortQty\nFUND1,AAPL,100,30\nFUND1,SAP,-5,\n"
    reader = FileReader(BrokerFile(), text.encode(), "pos.csv", {})
    assert reader.positions(DAY) == [
        Holding(2, "FUND1", "AAPL", Decimal(70)),
        Holding(3, "FUND1", "SAP", Decimal(-5)),
    ]
    with pytest.raises(BadFile, match=r"pos.csv, line 4: FUND1 AAPL stands in line 2 as well; keep one of them"):
        FileReader(BrokerFile(), (text + "FUND1,AAPL,1,0\n").encode(), "pos.csv", {}).positions(DAY)

"""Files and addresses as sources: what they give, and every way in which they fail ends as words, not as a price."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal as D
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from oms.config.prices import Source
from oms.errors import OperatorError
from oms.prices import polled
from oms.prices.feed import Quote
from oms.prices.polled import AnswerOf, FileOf
from oms.prices.read import Names, from_csv, from_json

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT = datetime(2026, 3, 2, 11, 59, tzinfo=UTC)


def test_csv_and_json_give_the_same_prices_by_the_names_that_are_configured() -> None:
    names = Names("ticker", "last", "time")
    expected = [Quote("IBM", D("190.10"), AT), Quote("SAP", D("1"), NOW)]
    text = "# closing\nlast, ticker, time, volume\n190.10,IBM,2026-03-02T12:59:00+01:00,5\n1,SAP,,\n,HALTED,,\n"
    assert from_csv(text, names, NOW) == expected
    json = '[{"ticker":"IBM","last":190.10,"time":"2026-03-02T11:59:00Z"},{"ticker":"SAP","last":"1"},{"ticker":"X"}]'
    assert from_json(f'{{"data":{{"quotes":{json}}}}}', "data.quotes", names, NOW) == expected


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("IBM,1e5,", 'line 2: price "1e5" of "IBM" is not a number above zero with at most 12 decimals'),
        ("IBM,0,", "is not a number above zero"),
        ("IBM,-1,", "is not a number above zero"),
        ("IBM,NaN,", "is not a number above zero"),
        (",1,", "line 2: no symbol"),
        ("IBM,1,2026-03-02T11:59:00", "is not a date and time with Z or an offset"),
        ("IBM,1,noon", "is not a date and time with Z or an offset"),
    ],
)
def test_one_wrong_row_and_the_text_gives_no_prices(row: str, said: str) -> None:
    with pytest.raises(OperatorError) as caught:
        from_csv(f"symbol,price,at\n{row}\nSAP,1,\n", Names(), NOW)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "null", "{", "[1]", '{"a": []}', "[" * 100_000])
def test_json_that_is_no_list_of_objects_gives_no_prices(text: str) -> None:
    with pytest.raises(OperatorError):
        from_json(text, "rows", Names(), NOW)


def test_a_file_is_read_when_it_changed_and_its_rows_without_a_time_are_as_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    read = FileOf(file, Names())
    with pytest.raises(OperatorError, match="cannot be read"):
        read()
    file.write_text("symbol,price\nIBM,190\n")
    os.utime(file, (NOW.timestamp(), NOW.timestamp()))
    assert read() == [Quote("IBM", D(190), NOW)]
    assert read() is None
    file.write_text("symbol,price\nIBM,x\n")
    for _ in range(2):  # told at every look
        with pytest.raises(OperatorError, match=r"prices\.csv: line 2"):
            read()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/x")
            self.end_headers()
            return
        answers = {
            "/good": b'[{"symbol":"IBM","price":190.5,"at":"2026-03-02T11:59:00Z"}]',
            "/bad": b"\xff",
            "/no": b"<",
        }
        body = answers.get(self.path, b"")
        self.send_response(200 if self.path != "/500" else 500)
        self.end_headers()
        self.wfile.write(b"[" * 3000 if self.path == "/huge" else body)
        if self.path == "/slow":
            self.wfile.flush()
            self.server.release.wait(5)  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.release = threading.Event()  # type: ignore[attr-defined]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.release.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def asked(url: str) -> AnswerOf:
    return AnswerOf(Source(name="web", kind="http", url=url, format="json", timeout=1))


def test_an_address_gives_the_prices_of_its_answer(address: str) -> None:
    assert asked(f"{address}/good")() == [Quote("IBM", D("190.5"), AT)]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/500", "the answer was 500"),
        ("/moved", "ftp"),
        ("/bad", "no answer that can be read"),
        ("/no", "not JSON"),
        ("/huge", "more than 2000 bytes"),
        ("/slow", "timed out"),
    ],
)
def test_an_answer_that_is_an_error_garbage_too_long_or_too_slow_is_refused(
    address: str, path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polled, "MAX_BYTES", 2000)
    with pytest.raises(OperatorError, match=said):
        asked(address + path)()


def test_an_address_where_nobody_listens_is_a_failure() -> None:
    with pytest.raises(OperatorError, match="no answer that can be read"):
        asked("http://127.0.0.1:1/")()

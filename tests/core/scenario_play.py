"""Plays one run of a scenario file through the pure core, and compares row by row.

Rows become FIX 4.4 text and pass the gateway's own decoder, so that the core gets them as it does in service. A
broker's row is expected at the client, and a client's at the broker, as the file has it; rows from `gateway` are
what the core answers by itself. What the table does not say is the play's: one limit order for IBM, fills at 50.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import count

from oms.certify.scenario import Row, Run, answers
from oms.core.order import ZERO, decimal_text
from oms.core.replies import utc_text
from oms.core.status import ord_status
from oms.fix.decode import decode
from tests.core.driver import BROKER, CLIENT, TAGS, Driver, Sent, plain

PX = "50"
TRADES = {"F": "trade", "G": "correct", "H": "bust"}
# What a message must agree in, to the last field: one that the file does not have must not be there.
COMPARED = (
    "11", "41", "150", "39", "38", "14", "151", "32", "31", "6", "17", "19", "102", "103", "434", "378", "127",
    "424", "425", "426", "58", "18", "59", "44", "37",
)  # fmt: skip
OF_REPORT = frozenset(COMPARED) - {"18", "59", "44"}
OF_REQUEST = ("11", "41", "38", "18", "59")
NOTHING = {"32", "31"}  # zero there says as much as leaving it out


class Play:
    """One run of a scenario; `twice` lets the broker repeat every report and reject, as after a resend."""

    def __init__(self, run: Run, *, twice: bool = False) -> None:
        self.run, self.twice = run, twice
        self.driver = Driver()
        self.numbers = count(1)
        self.working: dict[str, str] = {}  # ClOrdID of an order's first request -> of the last one accepted
        self.first: dict[str, str] = {}  # ClOrdID of any request -> of its order's first
        self.told: dict[str, Row] = {}  # the last report or reject about an order
        self.live: dict[str, dict[str, tuple[Decimal, Decimal]]] = {}
        self.raws: list[tuple[str, str, str, str | None]] = []  # session, MsgType(35), text, order, of every event
        self.items: list[str] = []  # kinds of the exception items of the last message
        self.fills: list[tuple[str, str, str, str, str | None]] = []

    def play(self) -> None:
        """Every row in turn, and the state at the end."""
        for at, row in enumerate(self.run.rows):
            if row.side == "day":
                self.driver.tick(1)
            elif row.side == "client":
                self.from_client(row, answers(self.run.rows, at))
            elif row.side == "broker":
                self.from_broker(row, answers(self.run.rows, at))
        self.ended()

    # -- what is sent ------------------------------------------------------------------------------------------

    def name(self, letter: str) -> str:
        return f"{letter}-{self.run.name}"

    def from_client(self, row: Row, own: tuple[Row, ...]) -> None:
        fields = {
            "55": "IBM",
            "54": "1",
            "60": "20260302-12:59:59.000",
            **row.fields,
            "11": self.name(row.fields["11"]),
        }
        if "41" in fields:
            fields["41"] = self.name(fields["41"])
        if row.msg_type in "DG":
            fields = {"1": "FUND1", "40": "2", "44": "60", "59": "0", **fields}
        if row.msg_type == "G":
            order = self.driver.book.by_client_id.find(CLIENT, fields["41"], self.driver.day)
            fields["59"] = order.time_in_force if order else "0"
        sent = self.send(CLIENT, row.msg_type, fields)
        if own:
            self.own(row, own, sent)
            return
        letter, orig = row.fields["11"], row.fields.get("41", "")
        if row.msg_type == "D":
            self.first[letter] = self.working[letter] = letter
        elif row.msg_type != "H":
            self.first[letter] = self.first[orig]
        about = self.working[self.first[letter]] if row.msg_type == "H" else letter
        expected = {tag: fields[tag] for tag in OF_REQUEST if tag in fields} | {"11": f"to-broker:{self.name(about)}"}
        if orig:
            expected["41"] = f"to-broker:{self.name(orig)}"
        (out,) = sent
        seen = {tag: value for tag, value in by_tag(out).items() if tag in (*OF_REQUEST, "97")}
        assert (out.session, out.msg_type, seen) == (BROKER, row.msg_type, expected), row

    def from_broker(self, row: Row, own: tuple[Row, ...]) -> None:
        letter, orig = row.fields.get("11", ""), row.fields.get("41", "")
        fields = {"37": f"B-{self.first.get(letter, '')}", "60": utc_text(self.driver.now), **row.fields}
        if letter:
            fields["11"] = self.driver.to_broker(self.name(letter))
        if orig:
            fields["41"] = self.driver.to_broker(self.name(orig))
        exec_type = row.fields.get("150", "")
        if row.msg_type == "8":
            fields = {"55": "IBM", "54": "1", "1": "FUND1", "40": "2", "17": f"e{next(self.numbers)}", **fields}
            fields["17"] = "0" if exec_type == "I" else fields["17"]
            if exec_type in TRADES:
                fields.setdefault("31", PX)
        if not own:
            self.book(letter, fields)
        sent = self.send(BROKER, row.msg_type, fields)
        if own:
            if exec_type in TRADES:
                self.fills.append((TRADES[exec_type], fields["17"], fields["32"], fields["31"], None))
            self.own(row, own, sent)
            return
        if exec_type == "5":
            self.working[self.first[letter]] = letter
        self.told[self.first[letter]] = row
        (out,) = sent
        assert (out.session, out.msg_type) == (CLIENT, row.msg_type), row
        assert report_fields(out) == self.expected(row, fields), row

    def send(self, session: str, msg_type: str, fields: dict[str, str]) -> list[Sent]:
        raw = "\x01".join(f"{tag}={value}" for tag, value in {"35": msg_type, **fields}.items()) + "\x01"
        body, _ = decode(raw, self.driver.day, from_broker=session == BROKER, fix42=False)
        sent = self.driver.event(session, body)
        self.raws.append((session, msg_type, raw, self.driver.fx.order_id))
        self.items = [one.kind for one in self.driver.fx.items.values()]
        if self.twice and "11" in fields and session == BROKER:
            assert self.driver.event(session, body) == [], raw
            assert self.driver.outcome == ([], []), raw
        return sent

    # -- what is expected --------------------------------------------------------------------------------------

    def expected(self, row: Row, sent: dict[str, str]) -> dict[str, str]:
        """A row as the client must see it; `sent` has what the play added to it."""
        fields = {tag: value for tag, value in row.fields.items() if tag in OF_REPORT}
        for tag in {"11", "41"} & fields.keys():
            fields[tag] = self.name(fields[tag])
        known = row.fields["11"] in self.first
        fields["37"] = f"order:{self.name(self.first[row.fields['11']])}" if known else "NONE"
        if row.msg_type == "8":
            fields["17"] = "0" if row.fields["150"] == "I" else "new"
            fields.setdefault("6", PX if Decimal(row.fields["14"]) else "0")
            if "31" in sent and row.fields["150"] in TRADES:
                fields["31"] = sent["31"]
        return {tag: value for tag, value in fields.items() if tag not in NOTHING or value != "0"}

    def own(self, row: Row, own: tuple[Row, ...], sent: list[Sent]) -> None:
        """What the gateway does by itself: answers and exception items, exactly those."""
        assert self.items == [one.text for one in own if not one.msg_type], row
        answered = [one for one in own if one.msg_type]
        assert [one.msg_type for one in sent] == [one.msg_type for one in answered], row
        for out, one in zip(sent, answered, strict=True):
            assert out.session == (CLIENT if row.side == "client" else BROKER), row
            if one.msg_type == "Q":
                seen = {tag: value for tag, value in by_tag(out).items() if tag in ("38", "32", "127")}
                assert seen == one.fields, row
            else:
                seen = report_fields(out)
                refused = one.msg_type == "9" or "8" in (one.fields["150"], one.fields["39"])
                assert bool(seen.pop("58", "")) == refused, row  # a refusal of the gateway's says why
                assert seen == self.expected(one, {}), row

    def book(self, letter: str, fields: dict[str, str]) -> None:
        """Keep count of the executions that a broker's row makes, corrects, busts or restates."""
        live = self.live.setdefault(self.first.get(letter, ""), {})
        kind, ref = TRADES.get(fields.get("150", "")), fields.get("19", "")
        order = f"order:{self.name(self.first[letter])}" if letter in self.first else None
        if kind is not None:
            live.pop(ref, None)
            if kind != "bust":
                live[fields["17"]] = Decimal(fields["32"]), Decimal(fields["31"])
            self.fills.append((kind, fields["17"], fields["32"], fields["31"], order))
        elif fields.get("378") == "0":
            before = sum((qty for qty, _ in live.values()), ZERO)
            for exec_id, (qty, px) in list(live.items()):
                del live[exec_id]
                qty, px = qty * Decimal(fields["14"]) / before, px * before / Decimal(fields["14"])
                live[f"{fields['17']}:{exec_id}"] = qty, px
                self.fills.append(("correct", f"{fields['17']}:{exec_id}", plain(qty), plain(px), order))

    def ended(self) -> None:
        """Orders and fills as the last rows told them, nothing pending, and the same again in a replay."""
        driver = self.driver
        booked = [
            (one.kind, one.exec_id, plain(one.last_qty), plain(one.last_px), driver._order_name(one.order_id))
            for one in driver.fills
        ]
        assert booked == self.fills
        assert sorted(order.original_cl_ord_id for order in driver.book.orders.values()) == sorted(
            map(self.name, self.working)
        )
        for letter, row in self.told.items():
            order = driver.order(self.name(letter))
            assert not order.pending_requests
            assert order.cl_ord_id == self.name(self.working[letter])
            assert ord_status(order) == row.fields["39"]
            live = self.live.get(letter, {}).values()
            assert order.cum_qty == sum((qty for qty, _ in live), ZERO)
            assert order.notional == sum((qty * px for qty, px in live), ZERO)
            if row.msg_type == "8":
                state = (order.order_qty, order.cum_qty, order.leaves_qty)
                assert tuple(map(decimal_text, state)) == tuple(row.fields[tag] for tag in ("38", "14", "151"))
        driver.replayed()


def by_tag(out: Sent) -> dict[str, str]:
    """A message that left, by tag number again."""
    return {TAGS.get(name, name): value for name, value in out.fields.items()}


def report_fields(out: Sent) -> dict[str, str]:
    """The fields of a report or reject that are compared."""
    fields = {tag: value for tag, value in by_tag(out).items() if tag in OF_REPORT}
    return {tag: value for tag, value in fields.items() if tag not in NOTHING or value != "0"}

"""Plays one run of a scenario over real FIX sessions, as the client and as the broker of the gateway.

A client's row is sent, and must reach the broker; a broker's row is sent, and must reach the client; in the other
side's ids and version, as the very next message of the run there, and nothing else. What the gateway answers by
itself must come before anything reaches the other side. After the last row a fence order, which the broker refuses,
shows that nothing more was sent to either side.

A player stops before any step (`play(until)`) and goes on later: in between the gateway may have been killed, or
the trading day may have ended. With `ahead` the report of the step it stops at is sent already, and awaited later.
Limit: on a day after the first, reports say so by TradeDate(75); whether the gateway's own day has changed
as well is up to the caller.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple, NoReturn

from oms.certify.account import STATUS, Account
from oms.certify.compare import differences
from oms.certify.line import Line
from oms.certify.scenario import Row, Run, answers
from oms.certify.versions import Fields, Pair, degraded, has, said
from oms.errors import OmsError
from oms.sim.wire import Message, plain, utc_now, utc_timestamp

SECONDS = 10.0
_MESSAGE = {"client": "the client's", "broker": "the broker's", "gateway": "the gateway's"}
# What a broker must have got of a request: these as they were asked, and nothing of the others.
_ASKED = ("38", "40", "44", "54", "55", "59", "1", "18", "152", "97")
_REPORTED = ("41", "19", "20", "31", "32", "378", "424", "425", "426", "75")  # absent where the row has none


class Failure(OmsError):
    """A step did not go as the scenario has it; the text says which, what was expected and what came."""


class Market(NamedTuple):
    """What is traded in a run. `first_day` is the TradeDate(75) of runs that go over more than one day."""

    account: str
    symbol: str
    first_day: date


class Player:
    """See the module head. One thread at a time."""

    def __init__(
        self, run: Run, pair: Pair, client: Line, broker: Line, market: Market, *, seconds: float = SECONDS
    ) -> None:
        self.run, self.pair = run, pair
        self.label = f"{run.name}:{pair}"
        self.accounts: list[Account] = []
        self.by_voice: Account | None = None  # an order that the gateway has no request for
        self.failure = ""
        self.at = 0  # the next row
        self._client, self._broker, self._market, self._seconds = client, broker, market, seconds
        self._days = [number for number, row in enumerate(run.rows) if row.side == "day"]
        self._orders: dict[str, Account] = {}  # by the letter of any request of theirs
        self._broker_ids: dict[str, str] = {}  # letter -> ClOrdID(11) at the broker
        self._asked_as: dict[str, str] = {}  # letter -> ClOrdID(11) of the last status request at the broker
        self._exec_ids: dict[str, str] = {}  # letter of an ExecID(17) -> the client's
        self._ahead: Message | None = None

    @property
    def name(self) -> str:
        """The run's name: B.1.b, or B.1.b-5a."""
        return self.run.name

    @property
    def fence_id(self) -> str:
        """ClOrdID(11) of the fence order."""
        return self._client_id("fence")

    @property
    def first_day_ends(self) -> int | None:
        """The number of the first row of the second trading day, None where there is one day only."""
        return self._days[0] if self._days else None

    @property
    def done(self) -> bool:
        """Whether nothing is left to play."""
        return bool(self.failure) or self.at > len(self.run.rows)

    def play(self, until: int | None = None, *, ahead: bool = False) -> None:
        """Play on, up to the row number `until` or to the end with its fence; a failure ends the run."""
        rows = self.run.rows
        stop = len(rows) if until is None else min(until, len(rows))
        try:
            while self.at < stop and not self.failure:
                self.at += self._step(self.at)
            if until is None and not self.done:
                self._fence()
                self.at = len(rows) + 1
            elif ahead and self.at < len(rows) and not self.failure:
                self._send_ahead(rows[self.at])
        except Failure as failure:
            self.failure = str(failure)
        except AssertionError as error:  # a session that should be up is down
            row = rows[min(self.at, len(rows) - 1)]
            self.failure = f"{self._where(row)}: {error}"

    # -- steps -------------------------------------------------------------------------------------------------

    def _step(self, at: int) -> int:
        """Play the row with all that answers it; returns the number of rows that were."""
        row = self.run.rows[at]
        if row.side in ("offline", "day"):
            return 1
        own = answers(self.run.rows, at)
        if row.side == "client":
            asked = self._ask(row)
            if own:
                for one in own:
                    self._answer(one, row, asked)
            else:
                self._pass_on(row, asked)
        else:
            sent = self._ahead or self._report(row)
            self._ahead = None
            if own:
                for one in own:
                    self._contradict(one, row, sent)
            elif row.msg_type == "9":
                self._expect_cancel_reject(row)
            else:
                self._expect_report(row, sent)
        return 1 + len(own)

    def _ask(self, row: Row) -> Fields:
        """Send a client's row; returns what was asked, in the row's words, with the client's ids."""
        letter, orig = row.fields["11"], row.fields.get("41")
        account = self._orders.get(orig or letter)
        if row.msg_type == "D" and account is None:
            number = len(self.accounts) + 1
            account = Account(self._client_id(letter), f"{self.label}:{number}", {})
            self._orders[letter] = account
            self.accounts.append(account)
        asked = self._terms(row, account)
        asked |= {tag: value for tag, value in row.fields.items() if tag not in ("11", "41")}
        # An instruction that one of the two versions does not have is no part of the run in this pair.
        asked = {tag: value for tag, value in asked.items() if self._both_have(row.msg_type, tag, value)}
        if account is not None and row.msg_type == "D" and not account.terms:
            account.terms = {tag: value for tag, value in asked.items() if tag != "97"}
        sent = {"11": self._client_id(letter)} | ({"41": self._client_id(orig)} if orig else {}) | asked
        self._client.note(sent["11"], self.label)
        self._client.say(self.label, f"35={row.msg_type}|" + _text(said(self.pair.client, row.msg_type, sent)))
        return asked

    def _terms(self, row: Row, account: Account | None) -> Fields:
        base = {"55": self._market.symbol, "54": "1"}
        if row.msg_type in "DG":
            base |= {"1": self._market.account, "40": "2", "44": "130", "59": "0"}
        kept = account.terms if account is not None else {}
        again = {*base, "18"} if row.msg_type == "G" else set(base)
        return base | {tag: value for tag, value in kept.items() if tag in again}

    def _both_have(self, msg_type: str, tag: str, value: str) -> bool:
        return all(has(version, msg_type, tag, value) for version in self.pair)

    def _pass_on(self, row: Row, asked: Fields) -> None:
        """The broker gets the client's request, in its own ids."""
        letter, orig = row.fields["11"], row.fields.get("41")
        got = self._next(self._broker, row, f"{row.msg_type} at the broker")
        account = self._orders.get(orig or letter)
        assert account is not None
        wanted: dict[str, str | None] = {tag: asked.get(tag) for tag in _ASKED}
        wanted |= {"97": None, "35": row.msg_type}
        if row.msg_type == "H":
            # The order's own id, or that of the request asked about: the broker's answer goes by it.
            self._asked_as[letter] = got.get(11, "")
            known = (self._broker_ids[letter], account.cl_ord_id_at_broker)
            wanted["11"] = got.get(11) if got.get(11) in known else known[0]
        else:
            self._new_broker_id(row, got, account)
            wanted["41"] = self._broker_ids[orig] if orig else None
        if row.msg_type in "FGH":
            wanted["37"] = account.broker_order_id if account.at_broker else None
        if self.pair.broker == "4.2" and row.msg_type in "DG":
            wanted["21"] = "1"
        self._compare(row, "the broker", wanted, got)

    def _new_broker_id(self, row: Row, got: Message, account: Account) -> None:
        letter, made = row.fields["11"], got.get(11, "")
        if not made or made in self._broker_ids.values() or made == self._client_id(letter):
            self._fail(row, f"the broker must get a ClOrdID(11) of the gateway's own, not {made or 'none'}\n  {got}")
        self._broker_ids[letter] = made
        self._broker.note(made, self.label)
        if row.msg_type == "D":
            account.cl_ord_id_at_broker = made
        self._orders[letter] = account

    def _answer(self, row: Row, request: Row, asked: Fields) -> None:
        """The gateway's own answer to a client."""
        if row.msg_type == "":
            self._item(row, self._orders.get(request.fields["11"]))
            return
        got = self._next(self._client, row, f"{row.msg_type} at the client")
        letter, orig = row.fields.get("11", ""), row.fields.get("41")
        account = self._orders.get(letter) or self._orders.get(orig or "")
        fields = dict(row.fields)
        if row.msg_type == "8" and fields["150"] == "8" and fields["39"] == "8" and account is not None:
            self._orders.pop(letter)  # refused before it was an order: it is not in the ledger
            self.accounts.remove(account)
            account = None
        if row.msg_type == "8":
            fields["6"] = "0" if account is None else plain(account.avg_px)
        if account is None:
            fields["37"] = "NONE"
        elif row.msg_type == "9":
            account.refused(row)
        instrument = {"55": asked["55"], "54": asked["54"]} if row.msg_type == "8" else {}
        self._client_message(row, account, fields, got, instrument)

    def _contradict(self, row: Row, report: Row, sent: Message) -> None:
        """The gateway's own answer to a broker, or the exception item it opens."""
        if row.msg_type == "":
            self._item(row, self._orders.get(report.fields.get("11", "")))
            return
        got = self._next(self._broker, row, f"{row.msg_type} at the broker")
        wanted: dict[str, str | None] = dict(said(self.pair.broker, row.msg_type, row.fields))
        wanted |= {"35": row.msg_type, "37": sent[37], "17": sent[17], "55": sent[55], "54": sent[54]}
        self._compare(row, "the broker", wanted, got)

    def _item(self, row: Row, account: Account | None) -> None:
        """An exception item must be open in the ledger at the end."""
        if account is None:
            self._fail(row, "the scenario has no order that this exception item is about")
        account.items.append(row.text)

    # -- the broker's reports ------------------------------------------------------------------------------------

    def _report(self, row: Row) -> Message:
        """Send a broker's row, in its ids and version."""
        letter, orig = row.fields.get("11", ""), row.fields.get("41")
        account = self._orders.get(letter)
        if account is None:
            if letter:
                self._fail(row, f"the scenario has no request {letter} before this row")
            account = self._orders[""] = self.by_voice = Account("", f"{self.label}:by-voice", {})
        fields = dict(row.fields)
        fields["37"] = fields.get("37", account.broker_order_id)
        account.at_broker = True
        self._broker.note(fields["37"], self.label)
        for tag, name in (("11", letter), ("41", orig)):
            if name:
                fields[tag] = self._broker_ids[name]
        if row.msg_type == "8":
            fields |= self._report_fields(row, account)
            if fields["150"] == "5" and letter:
                account.replaced(self._client_id(letter), self._broker_ids[letter])
        else:
            account.refused(row)
        words = said(self.pair.broker, row.msg_type, fields)
        return self._broker.say(self.label, f"35={row.msg_type}|" + _text(words))

    def _report_fields(self, row: Row, account: Account) -> Fields:
        letter = row.fields.get("17") or f"step{row.step}"
        status = row.fields["150"] == STATUS
        exec_id = "0" if status else f"{self.label}:{letter}"
        ref = row.fields.get("19", "")
        made = {"17": exec_id, "55": self._market.symbol, "54": account.terms.get("54", "1")}
        if ref:
            made["19"] = account.executions[ref].exec_id if ref in account.executions else f"{self.label}:{ref}"
        if status and row.fields.get("11", "") in self._asked_as:
            made["11"] = self._asked_as[row.fields["11"]]
        made |= account.book(row, letter, exec_id)
        if "6" in row.fields and made["6"] != row.fields["6"]:
            self._fail(row, f"AvgPx(6) of the row is {row.fields['6']}, by its executions it is {made['6']}")
        made["60"] = utc_timestamp(utc_now())
        if self._days:
            passed = sum(1 for number in self._days if number < self.at)
            made["75"] = f"{self._market.first_day + timedelta(days=passed):%Y%m%d}"
        return made

    def _expect_report(self, row: Row, sent: Message) -> None:
        """The client gets the broker's report, in its own ids and version."""
        got = self._next(self._client, row, "the broker's ExecutionReport(8) at the client")
        account = self._orders[row.fields.get("11", "")]
        fields = degraded(self.pair.broker, "8", row.fields)
        fields |= {str(tag): sent[tag] for tag in (6, 31, 60, 75) if tag in sent}
        self._client_message(row, account, fields, got, {"55": sent[55], "54": sent[54], "1": self._market.account})

    def _expect_cancel_reject(self, row: Row) -> None:
        got = self._next(self._client, row, "the broker's OrderCancelReject(9) at the client")
        account = self._orders[row.fields["11"]]
        self._client_message(row, account, degraded(self.pair.broker, "9", row.fields), got, {})

    # -- what the client is told ---------------------------------------------------------------------------------

    def _client_message(
        self, row: Row, account: Account | None, fields: Fields, got: Message, instrument: Fields
    ) -> None:
        """Hold a message to the client against a row; `fields` in 4.4's words, ids as letters."""
        letter, orig, ref = fields.get("11"), fields.get("41"), fields.get("19")
        words: dict[str, str | None] = dict.fromkeys(_REPORTED)
        words |= said(self.pair.client, row.msg_type, fields)
        words |= instrument | {"35": row.msg_type}
        words["11"] = self._client_id(letter) if letter else None
        words["41"] = self._client_id(orig) if orig else None
        if ref:
            words["19"] = self._exec_ids.get(ref, f"the client's ExecID(17) of {ref}")
        if "37" not in fields:
            words["37"] = (account.order_id if account is not None else "") or self._new_order_id(row, account, got)
        if row.msg_type == "8":
            words["17"] = self._exec_id(row, got)
        self._compare(row, "the client", words, got)

    def _new_order_id(self, row: Row, account: Account | None, got: Message) -> str:
        made = got.get(37, "")
        if account is None or not made or made == "NONE" or made == account.broker_order_id:
            self._fail(row, f"the client must get an OrderID(37) of the gateway's own, not {made or 'none'}\n  {got}")
        account.order_id = made
        return made

    def _exec_id(self, row: Row, got: Message) -> str:
        """The ExecID(17) that the client must have got: 0 for a status, else one of its own that was never used."""
        if row.fields["150"] == STATUS:
            return "0"
        made = got.get(17, "")
        if made in ("", "0") or made in self._exec_ids.values() or made.startswith(self.label):
            self._fail(row, f"the client must get an ExecID(17) of its own, not {made or 'none'}\n  {got}")
        self._exec_ids[row.fields.get("17") or f"step{row.step}"] = made
        return made

    # -- ahead, and the end ---------------------------------------------------------------------------------------

    def _send_ahead(self, row: Row) -> None:
        if row.side == "broker" and self._ahead is None and not answers(self.run.rows, self.at):
            self._ahead = self._report(row)

    def _fence(self) -> None:
        """An order that the broker refuses, and nothing before it on either side."""
        row = Row("fence", "client", "D", {"11": "fence", "38": "1"})
        base = self._terms(row, None) | {"11": self._client_id("fence"), "38": "1"}
        self._client.say(self.label, "35=D|" + _text(said(self.pair.client, "D", base)))
        asked = self._next(self._broker, row, "the fence order at the broker")
        self._compare(row, "the broker", {"35": "D", "38": "1", "41": None}, asked)
        fields = {"11": asked[11], "37": f"{self.label}:fence", "17": f"{self.label}:fence", "55": base["55"]}
        fields |= {"54": "1", "150": "8", "39": "8", "38": "1", "14": "0", "151": "0", "6": "0", "103": "0"}
        self._broker.say(self.label, "35=8|" + _text(said(self.pair.broker, "8", fields)))
        refused = self._next(self._client, row, "the refusal of the fence order at the client")
        self._compare(row, "the client", {"35": "8", "11": base["11"], "39": "8"}, refused)

    # -- tools ------------------------------------------------------------------------------------------------------

    def _client_id(self, letter: str | None) -> str:
        return f"{self.label}:{letter}"

    def _next(self, line: Line, row: Row, what: str) -> Message:
        got = line.take(self.label, self._seconds)
        if got is not None:
            return got
        lines = [f"expected {what}, nothing came"]
        for side, other in (("client", self._client), ("broker", self._broker)):
            if (beside := other.take(self.label, 0)) is not None:
                lines.append(f"  but at the {side}: {beside}")
            lines += [f"  refused by the {side}'s FIX engine: {text}" for text in other.refused_of(self.label)]
        self._fail(row, "\n".join(lines))

    def _compare(self, row: Row, who: str, wanted: dict[str, str | None], got: Message) -> None:
        if found := differences(wanted, got):
            lines = [f"{who} got something else", *(f"  {one}" for one in found), f"  the message: {got}"]
            self._fail(row, "\n".join(lines))

    def _where(self, row: Row) -> str:
        what = f"{_MESSAGE[row.side]} {row.msg_type}" if row.side in _MESSAGE else row.side
        return f"{self.name}, {self.pair}, step {row.step} ({what})"

    def _fail(self, row: Row, text: str) -> NoReturn:
        raise Failure(f"{self._where(row)}: {text}")


def _text(fields: Fields) -> str:
    return "|".join(f"{tag}={value}" for tag, value in fields.items() if value != "")

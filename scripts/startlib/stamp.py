"""A recorded order as a stamp: the same rows again with other numbers and ids, as text for COPY and for the hash.

What differs between two orders of a kind on one day: the journal numbers and the ids made of them, the ids of the
counterparties, the MsgSeqNum(34) of every message, the batch. One %-operation per table; nothing is decided anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

from oms.core.book import number_id
from oms.ledger.chain import FIELD, LINE, NULL, canonical
from startlib.recorded import BROKER_NUMBER, CLIENT_NUMBER, FIRST_SEQ, ORDER, Recorded

MOST_NUMBERS = 10  # of one side in one order
BATCH = "60000000001"  # stands for the number of the batch

Fill = Callable[[Sequence[str]], str]


def copy_text(value: str | None) -> str:
    """A value in COPY's text form, fields set apart by FIELD and NULL written as NULL."""
    if value is None:
        return NULL
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def copy_row(values: Iterable[str | None]) -> str:
    """One line for COPY."""
    return FIELD.join([copy_text(value) for value in values]) + "\n"


class Stamp:
    """All of one recorded order. `size` journal rows; the methods take the values of `values`."""

    def __init__(self, recorded: Recorded, client: str) -> None:
        self.size = len(recorded.journal)
        self.client = client
        self.out = [row.seq - FIRST_SEQ for row in recorded.journal if row.kind == "out"]
        self.to_client = [
            row.seq - FIRST_SEQ for row in recorded.journal if row.kind == "out" and row.session == client
        ]
        self.from_client = sum(row.kind == "in" and row.session == client for row in recorded.journal)
        self.from_broker = sum(row.kind == "in" and row.session != client for row in recorded.journal)
        self.texts = {row.seq - FIRST_SEQ: row.raw.decode() for row in recorded.journal if row.kind == "out"}
        self.sent_at = str(recorded.journal[0].received_at)
        plain = [ORDER, BATCH]
        plain += [str(FIRST_SEQ + number) for number in range(self.size)]
        plain += [number_id("", FIRST_SEQ + number) for number in range(self.size)]
        plain += [str(CLIENT_NUMBER + number) for number in range(self.from_client)]
        plain += [str(BROKER_NUMBER + number) for number in range(self.from_broker)]
        self._plain = {token: place for place, token in enumerate(plain)}
        self._hex = {token.encode().hex(): place + len(plain) for token, place in self._plain.items()}
        self.journal: Fill = self._fill(self._journal_lines(recorded, for_copy=False))
        self.journal_copy: Fill = self._fill(self._journal_lines(recorded, for_copy=True))
        self.order: Fill = self._fill([(copy_row(recorded.order), False)])
        self.child: Fill = self._fill([(copy_row(recorded.child), False)])
        self.fills: Fill = self._fill([(copy_row(row), False) for row in recorded.fills])
        self.requests: Fill = self._fill([(copy_row(row), False) for row in recorded.requests])

    def values(self, order: int, batch: int, seq: int, client_number: int, broker_number: int) -> list[str]:
        """What stands for the tokens: `order` is the number in the counterparties' ids."""
        made = [f"{order:09d}", str(batch)]
        made += [str(seq + number) for number in range(self.size)]
        made += [number_id("", seq + number) for number in range(self.size)]
        made += [f"{client_number + number}" for number in range(self.from_client)]
        made += [f"{broker_number + number}" for number in range(self.from_broker)]
        return made + [one.encode().hex() for one in made]

    def message(self, place: int, values: Sequence[str]) -> str:
        """The text of an outgoing message, without the session's header."""
        return self._fill([(self.texts[place], False)])(values)

    @staticmethod
    def _journal_lines(recorded: Recorded, *, for_copy: bool) -> list[tuple[str, bool]]:
        """The rows in pieces, each with whether it is in hexadecimal; for COPY with the batch before."""
        pieces: list[tuple[str, bool]] = []
        for row in recorded.journal:
            before, raw, detail = canonical(row).rsplit(FIELD, 2)
            if for_copy:
                pieces += [(f"{BATCH}{FIELD}{copy_text(before)}{FIELD}\\\\x", False), (raw, True)]
                pieces.append((f"{FIELD}{copy_text(detail)}\n", False))
            else:
                pieces += [(before + FIELD, False), (raw, True), (FIELD + detail + LINE, False)]
        if not for_copy:
            last, is_hex = pieces.pop()
            pieces.append((last.removesuffix(LINE), is_hex))
        return pieces

    def _fill(self, pieces: list[tuple[str, bool]]) -> Fill:
        """A function from values to text, the tokens in the pieces replaced."""
        text, places = "", list[int]()
        for piece, is_hex in pieces:
            tokens = self._hex if is_hex else self._plain
            pattern = "|".join(sorted(map(re.escape, tokens), key=len, reverse=True))
            text += "%s".join(part.replace("%", "%%") for part in re.split(pattern, piece))
            places += [tokens[one] for one in re.findall(pattern, piece)]
        if len(places) < 2:
            return lambda values: text % tuple(values[place] for place in places)
        take = itemgetter(*places)
        return lambda values: text % take(values)

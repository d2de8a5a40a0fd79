"""Seeded messages of clients and brokers, well-formed, and the ways in which they are spoiled.

A message is its fields after the header, as byte pairs, MsgType(35) first; `framed` puts header, BodyLength(9) and
CheckSum(10) round it, right ones, so that what is spoiled within gets as far as it can. Spoiling the envelope itself
is `garbled`. Same seed, same messages.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Final

Field = tuple[bytes, bytes]
Fields = list[Field]

SOH: Final = b"\x01"
TIME: Final = b"20260302-13:00:00"
SYMBOLS: Final = (b"AAPL", b"MSFT", b"INTC", b"SAP", b"SIE", b"NOSUCH")
ACCOUNTS: Final = (b"FUND1", b"FUND2", b"HOUSE", b"DESK1", b"NOBODY")
# Application types, known and not; of the session's own only Reject(3) is among them, which the gateway reads.
MSG_TYPES: Final = tuple(
    b"3 6 7 8 9 B C D E F G H J K L M N P Q R S T V W X Y Z a b c d e f g h i j k l m q r s t u AA AE AF AK AS BE BF"
    b" BH BZ CA ZZ U1 UU \xff 35 *".split()
)
NUMBERS: Final = (
    b"0", b"-0", b"-1", b"1e9", b"NaN", b"Infinity", b"0x10", b"1,000", b"+5", b" 5", b"5 ", b".5", b"5.", b".",
    b"-", b"1.0000000001", b"0.00000000001", b"999999999999999", b"1000000000000000", b"9" * 40, b"0" * 60 + b"1",
    b"\xd9\xa3", b"1_000", b"100.50", b"00100", b"1" * 5000,
)  # fmt: skip
TEXTS: Final = (
    b"", b"\x00", b"\x1d\x1e\x1f", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa9", b"\r\n", b"\t",
    b"'", b'"; DROP TABLE journal; --', b"\\N", b"\\", b"{}", b"%s", b"A" * 65, b"A" * 401, b"=", b"|", b" ",
    b"NULL", b"\x7f", b"10=000", b"8=FIX.4.4", b"\xe2\x80\xae", b"\xc2\x85",
)  # fmt: skip
TAGS: Final = (
    b"0", b"00", b"011", b"-1", b"abc", b"", b"1", b"6", b"11", b"14", b"15", b"17", b"18", b"19", b"20", b"21",
    b"22", b"31", b"32", b"34", b"37", b"38", b"39", b"40", b"41", b"43", b"44", b"48", b"49", b"50", b"52", b"54",
    b"55", b"58", b"59", b"60", b"64", b"75", b"78", b"90", b"91", b"95", b"96", b"97", b"99", b"100", b"103",
    b"115", b"116", b"122", b"126", b"129", b"150", b"151", b"152", b"207", b"354", b"355", b"378", b"434", b"447",
    b"448", b"452", b"453", b"530", b"555", b"584", b"585", b"802", b"847", b"1128", b"5001", b"7001", b"20001",
    b"99999999999", b"4294967307", b"2147483648",
)  # fmt: skip
GROUPS: Final = ((b"453", (b"448", b"447", b"452")), (b"78", (b"79", b"80")), (b"555", (b"600", b"624")),
                 (b"382", (b"375", b"337")), (b"73", (b"11", b"67")), (b"295", (b"11", b"41")))  # fmt: skip
DATA: Final = ((b"95", b"96"), (b"354", b"355"), (b"90", b"91"), (b"348", b"349"))
NOT_IN_42: Final = frozenset(
    b"q r s t u AA AE AF AK AS BE BF BH BZ CA".split()
)  # the engine lets none of them through
PENDING_IDS = 400


class Maker:
    """Makes messages for one side; `ids` are those that are in use there, so that messages meet orders."""

    def __init__(self, seed: str, from_broker: bool, fix42: bool) -> None:
        self.chance = random.Random(seed)
        self.from_broker = from_broker
        self.fix42 = fix42
        self.ids: deque[bytes] = deque(maxlen=PENDING_IDS)
        self.exec_ids: deque[bytes] = deque([b"X0"], maxlen=PENDING_IDS)
        self._number = 0
        self._stamp = f"{self.chance.getrandbits(24):x}".encode()

    # -- well-formed ---------------------------------------------------------------------------------------

    def fresh(self) -> bytes:
        """An id never used before."""
        self._number += 1
        return b"%s-%d" % (self._stamp, self._number)

    def sound(self) -> Fields:
        """A well-formed message of this side, which may or may not make sense."""
        kinds: tuple[Callable[[], Fields], ...]
        if self.from_broker:
            kinds = (self._report, self._report, self._report, self._report, self._cancel_reject, self._rejects)
        else:
            kinds = (self.new_order, self.new_order, self.new_order, self._cancel, self._replace, self._asks)
        return self.chance.choice(kinds)()

    def new_order(self) -> Fields:
        """NewOrderSingle(D)."""
        chance, cl_ord_id = self.chance, self.fresh()
        self.ids.append(cl_ord_id)
        kind = chance.choice((b"1", b"2", b"2", b"2", b"3", b"4"))
        fields = [
            (b"35", b"D"), (b"11", cl_ord_id), (b"1", chance.choice(ACCOUNTS)), (b"21", b"1"),
            (b"55", chance.choice(SYMBOLS)), (b"54", chance.choice((b"1", b"2"))), (b"60", TIME),
            (b"38", b"%d" % chance.randint(1, 500)), (b"40", kind), (b"59", chance.choice((b"0", b"1", b"3", b"4"))),
        ]  # fmt: skip
        if kind in (b"2", b"4"):
            fields.append((b"44", b"%d.%02d" % (chance.randint(20, 200), chance.randint(0, 99))))
        if kind in (b"3", b"4"):
            fields.append((b"99", b"%d" % chance.randint(20, 200)))
        return fields

    def _known(self) -> bytes:
        return self.chance.choice(self.ids) if self.ids and self.chance.random() < 0.9 else self.fresh()

    def _cancel(self) -> Fields:
        chance, orig, cl_ord_id = self.chance, self._known(), self.fresh()
        self.ids.append(cl_ord_id)
        return [
            (b"35", b"F"), (b"11", cl_ord_id), (b"41", orig), (b"55", chance.choice(SYMBOLS)), (b"54", b"1"),
            (b"60", TIME), (b"38", b"100"),
        ]  # fmt: skip

    def _replace(self) -> Fields:
        return [(b"35", b"G"), (b"41", self._known()), *self.new_order()[1:]]

    def _asks(self) -> Fields:
        chance = self.chance
        kind = b"H" if self.fix42 else chance.choice((b"H", b"H", b"q", b"AF"))
        if kind == b"H":
            return [(b"35", b"H"), (b"11", self._known()), (b"55", chance.choice(SYMBOLS)), (b"54", b"1")]
        if kind == b"q":
            return [(b"35", b"q"), (b"11", self.fresh()), (b"530", chance.choice((b"1", b"7", b"3"))), (b"60", TIME),
                    (b"55", chance.choice(SYMBOLS))]  # fmt: skip
        return [(b"35", b"AF"), (b"584", self.fresh()), (b"585", chance.choice((b"1", b"7", b"6")))]

    def _report(self) -> Fields:
        chance, cl_ord_id, exec_id = self.chance, self._known(), self.fresh()
        self.exec_ids.append(exec_id)
        exec_type = chance.choice((b"0", b"F", b"F", b"F", b"4", b"5", b"8", b"A", b"6", b"E", b"C", b"D", b"G", b"H",
                                   b"I", b"3", b"7", b"9", b"B"))  # fmt: skip
        cum, last = chance.choice((0, 10, 50, 100, 500)), chance.randint(1, 100)
        status = {b"F": b"1", b"G": b"1", b"H": b"0", b"I": b"1", b"D": b"0", b"5": b"0"}.get(exec_type, exec_type)
        fields = [
            (b"35", b"8"), (b"37", b"B" + cl_ord_id[:12]), (b"11", cl_ord_id), (b"17", exec_id),
            (b"39", chance.choice((status, status, b"2"))), (b"55", chance.choice(SYMBOLS)), (b"54", b"1"),
            (b"38", b"%d" % chance.randint(1, 500)), (b"151", b"%d" % chance.randint(0, 100)),
            (b"14", b"%d" % cum), (b"6", b"150"), (b"60", TIME),
        ]  # fmt: skip
        if self.fix42:
            trans = {b"G": b"2", b"H": b"1", b"I": b"3"}.get(exec_type, b"0")
            fields += [(b"20", trans), (b"150", b"1" if exec_type in b"FGHI" else exec_type)]
        else:
            fields.append((b"150", exec_type))
        if exec_type in (b"F", b"G", b"H"):
            fields += [(b"32", b"%d" % last), (b"31", b"150.25")]
        if exec_type in (b"G", b"H"):
            fields.append((b"19", chance.choice(self.exec_ids)))
        if exec_type in (b"4", b"5"):
            fields.append((b"41", self._known()))
        return fields

    def _cancel_reject(self) -> Fields:
        return [
            (b"35", b"9"), (b"37", b"B1"), (b"11", self._known()), (b"41", self._known()), (b"39", b"0"),
            (b"434", self.chance.choice((b"1", b"2"))), (b"102", b"1"), (b"58", b"no"),
        ]  # fmt: skip

    def _rejects(self) -> Fields:
        chance = self.chance
        if not self.fix42 and chance.random() < 0.3:
            return [(b"35", b"r"), (b"11", self._known()), (b"37", b"B1"), (b"530", b"7"), (b"531", b"7"),
                    (b"55", b"AAPL")]  # fmt: skip
        if chance.random() < 0.5:
            return [(b"35", b"3"), (b"45", b"%d" % chance.randint(0, 300)), (b"58", b"what was that")]
        return [(b"35", b"j"), (b"45", b"%d" % chance.randint(0, 300)), (b"372", chance.choice((b"D", b"F", b"G"))),
                (b"379", self._known()), (b"380", b"3"), (b"58", b"not here")]  # fmt: skip

    # -- spoiled -------------------------------------------------------------------------------------------

    def spoiled(self) -> Fields:
        """A message of this side, spoiled in one to four ways."""
        fields = self.sound()
        for _ in range(self.chance.choice((1, 1, 1, 2, 2, 4))):
            self.chance.choice(SPOILERS)(self, fields)
        return fields

    def place(self, fields: Fields) -> int:
        """A place behind MsgType(35), which stays first."""
        return self.chance.randrange(1, len(fields)) if len(fields) > 1 else 0


def _drop(maker: Maker, fields: Fields) -> None:
    if at := maker.place(fields):
        del fields[at]


def _repeat(maker: Maker, fields: Fields) -> None:
    fields.insert(
        len(fields) if maker.chance.random() < 0.5 else maker.place(fields) or 1, maker.chance.choice(fields)
    )


def _reorder(maker: Maker, fields: Fields) -> None:
    rest = fields[1:]
    maker.chance.shuffle(rest)
    fields[1:] = rest


def _number(maker: Maker, fields: Fields) -> None:
    if at := maker.place(fields):
        fields[at] = (fields[at][0], maker.chance.choice(NUMBERS))


def _text(maker: Maker, fields: Fields) -> None:
    if at := maker.place(fields):
        tag, value = fields[at]
        text = maker.chance.choice(TEXTS)
        fields[at] = (tag, text if maker.chance.random() < 0.6 else value + text)


def _huge(maker: Maker, fields: Fields) -> None:
    if maker.chance.random() < 0.02 and (at := maker.place(fields)):  # rarely: it is the volume that costs
        fields[at] = (
            fields[at][0],
            maker.chance.choice((b"A", b"9", b"\xff", b"=")) * maker.chance.randint(1000, 50_000),
        )


def _flip(maker: Maker, fields: Fields) -> None:
    if (at := maker.place(fields)) and fields[at][1]:
        tag, value = fields[at]
        changed = bytearray(value)
        changed[maker.chance.randrange(len(changed))] ^= 1 << maker.chance.randrange(8)
        fields[at] = (tag, bytes(changed))


def _flip_tag(maker: Maker, fields: Fields) -> None:
    if at := maker.place(fields):
        fields[at] = (maker.chance.choice(TAGS), fields[at][1])


def _another(maker: Maker, fields: Fields) -> None:
    value = maker.chance.choice((*TEXTS, *NUMBERS, b"Y", b"N", b"1", b"2"))
    fields.insert(maker.place(fields) or 1, (maker.chance.choice(TAGS), value))


def _swap(maker: Maker, fields: Fields) -> None:
    if (one := maker.place(fields)) and (other := maker.place(fields)):
        fields[one], fields[other] = (fields[one][0], fields[other][1]), (fields[other][0], fields[one][1])


def _msg_type(maker: Maker, fields: Fields) -> None:
    msg_type = maker.chance.choice(MSG_TYPES)
    if not (maker.fix42 and msg_type in NOT_IN_42):
        fields[0] = (b"35", msg_type)


def _group(maker: Maker, fields: Fields) -> None:
    chance = maker.chance
    count, members = chance.choice(GROUPS)
    fields.append((count, chance.choice((b"0", b"1", b"2", b"3", b"-1", b"999999999", b"x"))))
    for _ in range(chance.randrange(4)):
        fields.extend(
            (tag, chance.choice((b"1", b"D", b"P", *TEXTS[:6]))) for tag in members if chance.random() < 0.9
        )


def _data(maker: Maker, fields: Fields) -> None:
    chance = maker.chance
    length, data = chance.choice(DATA)
    value = bytes(chance.randrange(256) for _ in range(chance.randrange(12)))
    wrong = chance.choice((0, 0, 0, 1, -1, 50, 10_000))
    pair = [(length, b"%d" % (len(value) + wrong)), (data, value)]
    if chance.random() < 0.2:
        pair.reverse()
    fields[len(fields) :] = pair


def _code(maker: Maker, fields: Fields) -> None:
    if at := maker.place(fields):
        fields[at] = (fields[at][0], bytes([maker.chance.randrange(33, 127)]))


SPOILERS: Final[tuple[Callable[[Maker, Fields], None], ...]] = (
    _drop, _repeat, _reorder, _number, _text, _huge, _flip, _flip_tag, _another, _swap, _msg_type, _group, _data,
    _code,
)  # fmt: skip


# --- the envelope -----------------------------------------------------------------------------------------


def body_of(fields: Fields) -> bytes:
    """The fields behind MsgType(35), as they stand on the line."""
    return b"".join([b"%s=%s\x01" % pair for pair in fields[1:]])


def framed(begin_string: bytes, content: bytes) -> bytes:
    """A whole message round what begins with MsgType(35): BodyLength(9) and CheckSum(10) are right."""
    raw = b"8=%s\x019=%d\x01%s" % (begin_string, len(content), content)
    return b"%s10=%03d\x01" % (raw, sum(raw) & 0xFF)


def garbled(chance: random.Random, raw: bytes) -> bytes:
    """The message with an envelope that is wrong: length, checksum, cut short, or bytes changed anywhere."""
    way = chance.randrange(6)
    if way == 0:
        return raw[:-4] + b"%03d\x01" % chance.randrange(1000)
    if way == 1:
        head, _, rest = raw.partition(b"\x019=")
        _, _, content = rest.partition(SOH)
        return b"%s\x019=%s\x01%s" % (
            head,
            chance.choice((b"0", b"5", b"%d" % (len(raw) + 99), b"-1", b"x", b"")),
            content,
        )
    if way == 2:
        return raw[: chance.randrange(1, len(raw))]
    if way == 3:
        at = chance.randrange(len(raw))
        return raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
    if way == 4:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(1, 60)))
    return raw[chance.randrange(1, len(raw)) :]

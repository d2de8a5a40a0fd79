"""What the demo's clients trade: an endless, seeded flow per client, and the CSV file that a simulated client reads.

Every fourth order has a Text(58) that a rule of behaviour.toml knows, so that each run has rejects, busts,
corrections and the like; of the others most come from the simulators' own flow, and some must be refused by a rule
of the gateway. Orders that rest are cancelled after a while, so that every order ends by itself.
Pure but for `write_plans`. Invariant: the first n plans are the same however many are taken.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from oms.sim.flow import ORD_TYPES, SIDES, TIMES_IN_FORCE, FollowUp, Plan, Terms, generate
from oms.sim.matching import Instrument
from oms.sim.orders import FOK, IOC, LIMIT
from oms.sim.wire import plain

BEHAVIOUR = Path(__file__).parent / "behaviour.toml"
ENDLESS = 1_000_000_000
SCRIPTED_EVERY, REFUSED_EVERY = 4, 30
SCRIPTED_QTY = Decimal(100)
PATIENCE_MS = (2500, 4000)  # after which a resting order is cancelled

# Text(58) of a scripted order -> what its client asks afterwards. behaviour.toml has a rule for each.
SCRIPTED: Mapping[str, tuple[FollowUp, ...]] = {
    "demo reject": (),
    "demo slices": (),
    "demo duplicate": (),
    "demo out of order": (),
    "demo bust": (),
    "demo correct": (),
    "demo unsolicited cancel": (),
    "demo expire": (),
    "demo restate": (),
    "demo cancel granted": (FollowUp("cancel", "filled", 50),),
    "demo cancel refused": (FollowUp("cancel", "acked", 50),),
    "demo cancel crossed": (FollowUp("cancel", "filled", 50),),
    "demo replace granted": (FollowUp("replace", "acked", 50, qty=Decimal(150)),),
    "demo replace refused": (FollowUp("replace", "filled", 0, qty=Decimal(150)),),
}
CORRECTED = ("INTC", "SAP")  # symbols whose prices the rules for "demo correct" name


@dataclass(frozen=True, slots=True)
class Party:
    """One client of the demo: its session, FIX version and the accounts that it trades for."""

    name: str
    version: str
    accounts: tuple[str, ...] = ()


# The sessions and accounts of the configuration that oms.config.templates writes.
CLIENTS = (Party("CLIENT1", "4.4", ("FUND1", "FUND2", "HOUSE")), Party("CLIENT2", "4.2", ("FUND2", "DESK1", "HOUSE")))
BROKERS = (Party("BROKER1", "4.2"), Party("BROKER2", "5.0SP2"))


def plans(client: Party, seed: int, instruments: Mapping[str, Instrument]) -> Iterator[Plan]:
    """The endless flow of one client."""
    chance = random.Random(f"{seed}/{client.name}")
    ordinary = generate(ENDLESS, chance.getrandbits(32), instruments, client.accounts)
    scripts = _shuffled_for_ever(chance, list(SCRIPTED))
    listed = [instruments[symbol] for symbol in sorted(instruments)]
    number = 0
    while True:
        number += 1
        if number % SCRIPTED_EVERY == 0:
            yield _scripted(chance, next(scripts), listed, client.accounts)
        elif number % REFUSED_EVERY == 1:
            yield _refused(chance, listed, client.accounts)
        else:
            yield _patient(chance, next(ordinary))


def _shuffled_for_ever(chance: random.Random, names: list[str]) -> Iterator[str]:
    while True:
        chance.shuffle(names)
        yield from names


def _scripted(chance: random.Random, text: str, listed: Sequence[Instrument], accounts: Sequence[str]) -> Plan:
    if text == "demo correct":
        listed = [instrument for instrument in listed if instrument.symbol in CORRECTED]
    instrument, side = chance.choice(listed), chance.choice(("1", "2"))
    price, account = instrument.reference_price, chance.choice(accounts)
    terms = Terms(instrument.symbol, side, SCRIPTED_QTY, LIMIT, price, account=account, text=text)
    return Plan(terms, SCRIPTED[text])


def _refused(chance: random.Random, listed: Sequence[Instrument], accounts: Sequence[str]) -> Plan:
    """An order that a limit or the tick size must stop."""
    instrument, account = chance.choice(listed), chance.choice(accounts)
    price, qty = instrument.reference_price, instrument.lot_size
    if chance.random() < 0.5:
        price += instrument.tick_size / 2
    else:
        qty *= 1_000_000
    return Plan(Terms(instrument.symbol, "1", qty, LIMIT, price, account=account), (), True)


def _patient(chance: random.Random, plan: Plan) -> Plan:
    """The plan with a cancel for an order that rests, and without a step that such an order would never come to."""
    if plan.expect_reject or plan.terms.tif in (IOC, FOK):
        return plan
    cancel = FollowUp("cancel", "acked", chance.randint(*PATIENCE_MS))
    steps = [replace(step, when="acked") if step.when == "filled" else step for step in plan.follow_ups]
    while_alive = [step for step in steps if step.when != "finished"]
    afterwards = [step for step in steps if step.when == "finished"]
    return replace(plan, follow_ups=(*while_alive, cancel, *afterwards))


# --- the file ---------------------------------------------------------------------------------------------

COLUMNS = (
    "action", "ref", "symbol", "side", "qty", "ord_type", "price", "stop_px", "tif", "account", "text", "when",
    "delay_ms", "expect",
)  # fmt: skip


def write_plans(path: Path, wanted: Iterable[Plan]) -> None:
    """Write plans as the CSV file that `oms sim client --orders` reads. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS, restval="")
        rows.writeheader()
        for number, plan in enumerate(wanted, 1):
            rows.writerow({"ref": str(number), **_new(plan)})
            for step in plan.follow_ups:
                rows.writerow({"ref": str(number), **_follow_up(step)})


def _new(plan: Plan) -> dict[str, str]:
    terms = plan.terms
    return {
        "action": "new",
        "symbol": terms.symbol,
        "side": _word(terms.side, SIDES),
        "qty": plain(terms.qty),
        "ord_type": _word(terms.ord_type, ORD_TYPES),
        "price": plain(terms.price),
        "stop_px": plain(terms.stop_px),
        "tif": _word(terms.tif, TIMES_IN_FORCE),
        "account": terms.account,
        "text": terms.text,
        "expect": "reject" if plan.expect_reject else "",
    }


def _follow_up(step: FollowUp) -> dict[str, str]:
    return {
        "action": step.action,
        "qty": plain(step.qty),
        "price": plain(step.price),
        "when": step.when,
        "delay_ms": str(step.delay_ms),
    }


def _word(value: str, words: Mapping[str, str]) -> str:
    return next((word for word, meant in words.items() if meant == value), value)

"""A part of what a broker's end-of-day file says, checked before it is put in line, and what follows from a break.

`oms reconcile file` has compared; here each word that can be checked is: the fills that are confirmed are there and
nobody confirmed them by a file before, items to open are new, items to close are open. What does not hold any more is
left out and counted. One part at a time; a part that is in line and not answered counts as done.
The dialect's `on_break` is carried out after the part is committed (`oms.ops.break_policy`).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import date
from typing import Any

from oms.config.load import Config
from oms.config.problems import plain_decimal
from oms.core.broker_file import VERB
from oms.errors import OperatorError
from oms.ledger.broker_file import KINDS
from oms.ops.break_policy import FILE, BreakPolicy, Place

Args = dict[str, str]
Rows = Callable[..., list[dict[str, Any]]]
Submit = Callable[[str, str, Args], dict[str, Any]]

_NAMES = ("file", "sha256", "lines", "fills", "matched", "differing", "missing_here")
_ITEM = re.compile(r"F\d{8}-[0-9A-F]{12}(-\d{1,6})?")
_ROUND = re.compile(r"R[0-9A-Z]{1,20}")
_TEXT_LIMIT = 1000
_KNOWN = 100_000  # keys of parts in line that are remembered


class FileCommands:
    """`submit` puts a command in line and waits; `policy` does what follows from breaks."""

    def __init__(self, config: Config, submit: Submit, policy: BreakPolicy) -> None:
        self._config = config
        self._submit = submit
        self._policy = policy
        self._one_at_a_time = threading.Lock()
        self._in_line: set[tuple[str, ...]] = set()

    def part(self, operator: str, args: Args, rows: Rows) -> dict[str, Any]:
        """Check and carry out one part. Raises OperatorError."""
        brokers = [spec.name for spec in self._config.role("broker")]
        if args.get("broker") not in brokers:
            raise OperatorError(f"{args.get('broker')!r} is no broker session; there are {', '.join(brokers)}")
        given, facts = _checked(args)
        with self._one_at_a_time:
            new, keys = self._still_so(given, facts, rows)
            command = given | {"facts": json.dumps(new, separators=(",", ":"))}
            self._in_line |= keys
            answer = self._submit(operator, VERB, command)
            self._in_line -= keys
        answer |= {name: len(some) for name, some in new.items()}
        opened = {fact[0] for fact in new["opened"]}
        places = {Place(fact[5], fact[6]) for fact in facts["opened"] if fact[0] in opened}
        answer["done"], answer["problems"] = [], []
        if places:
            found = self._policy.carry_out(operator, given["broker"], FILE, places, rows)
            answer["done"], answer["problems"] = found
        return answer

    def _still_so(
        self, given: Args, facts: dict[str, list[list[str]]], rows: Rows
    ) -> tuple[dict[str, list[list[str]]], set[tuple[str, ...]]]:
        """What of the facts is new and true."""
        broker = given["broker"]
        names = [fact[0] for fact in (*facts["opened"], *facts["closed"])]
        found = rows("SELECT item_id, state FROM exception_items WHERE item_id = ANY(%s)", names)
        states = {row["item_id"]: row["state"] for row in found}
        days, ids = [fact[0] for fact in facts["witnesses"]], [fact[1] for fact in facts["witnesses"]]
        asked = (
            "SELECT trade_date, exec_id, kind FROM fills AS f"
            " JOIN unnest(%s::date[], %s::text[]) AS k(trade_date, exec_id) USING (trade_date, exec_id)"
            " WHERE f.broker = %s AND NOT EXISTS (SELECT FROM witnesses AS w WHERE w.broker = f.broker AND"
            " w.trade_date = f.trade_date AND w.exec_id = f.exec_id AND w.witness = 'file')"
        )
        there = {
            (row["trade_date"].isoformat(), row["exec_id"], row["kind"]) for row in rows(asked, days, ids, broker)
        }
        new: dict[str, list[list[str]]] = {"witnesses": [], "opened": [], "closed": []}
        keys: set[tuple[str, ...]] = set()
        for fact in facts["witnesses"]:
            key = ("witness", broker, *fact[:2])
            if tuple(fact[:3]) in there and key not in keys | self._in_line:
                new["witnesses"].append(fact)
                keys.add(key)
        for fact in facts["opened"]:
            key = ("opened", fact[0])
            if fact[0] not in states and key not in keys and key not in self._in_line:
                new["opened"].append(fact[:5])
                keys.add(key)
        new["closed"] = [fact for fact in facts["closed"] if states.get(fact[0]) == "open"]
        if len(self._in_line) > _KNOWN:
            raise OperatorError("the ledger is slow or gone; reconcile the file when `oms status` shows it well")
        return new, keys


def _checked(args: Args) -> tuple[Args, dict[str, list[list[str]]]]:
    """The arguments in one form. Raises OperatorError where a program has sent what ours does not."""
    try:
        given = {name: args[name] for name in ("broker", "trade_date", *_NAMES)}
        date.fromisoformat(given["trade_date"])
        for name in _NAMES[2:]:
            int(given[name])
        facts = json.loads(args["facts"])
        shapes = {"witnesses": 9, "opened": 7, "closed": 3}
        if set(facts) != set(shapes):
            raise ValueError("other parts")
        for name, width in shapes.items():
            for fact in facts[name]:
                if len(fact) != width or not all(isinstance(one, str) and len(one) <= _TEXT_LIMIT for one in fact):
                    raise ValueError(f"a fact of {name} is not {width} texts")
        for fact in (*facts["opened"], *facts["closed"]):
            if not _ITEM.fullmatch(fact[0]) or fact[1] not in KINDS:
                raise ValueError(f"{fact[0]!r} is no item of a file")
        if args.get("round") and not _ROUND.fullmatch(args["round"]):
            raise ValueError(f"{args['round']!r} is no round")
        for fact in facts["witnesses"]:
            date.fromisoformat(fact[0])
            plain_decimal(fact[3])
            plain_decimal(fact[4])
    except (KeyError, ValueError, TypeError) as error:
        raise OperatorError(f"not what `oms reconcile file` sends: {error!r}; use that of this version") from None
    given |= {name: args[name] for name in ("round", "last", "text") if args.get(name)}
    given["file"] = given["file"][:_TEXT_LIMIT]
    return given, facts

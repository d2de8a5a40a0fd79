"""A part of what a broker's end-of-day file says, checked before it is put in line, and what follows from a break.

`oms reconcile file` has compared; here each word that can be checked is: the fills that are confirmed are there and
nobody confirmed them by a file before, items to open are new, items to close are open. What does not hold any more is
left out and counted. One part at a time; a part that is in line and not answered counts as done.
The dialect's `on_break` is carried out after the part is committed, once for each new break's scope.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from datetime import date
from glob import escape
from typing import Any

from oms.config.broker_file import BrokerFile
from oms.config.load import Config
from oms.config.problems import plain_decimal
from oms.core.broker_file import VERB
from oms.core.kill import scope_of
from oms.errors import OperatorError
from oms.ledger.broker_file import KINDS

Args = dict[str, str]
Rows = Callable[..., list[dict[str, Any]]]
Submit = Callable[[str, str, Args], dict[str, Any]]
Scopes = Callable[[], set[tuple[tuple[str, str], ...]]]

_NAMES = ("file", "sha256", "lines", "fills", "matched", "differing", "missing_here")
_ITEM = re.compile(r"F\d{8}-[0-9A-F]{12}(-\d{1,6})?")
_ROUND = re.compile(r"R[0-9A-Z]{1,20}")
_TEXT_LIMIT = 1000
_KNOWN = 100_000  # keys of parts in line that are remembered


class FileCommands:
    """`submit` puts a command in line and waits; `engaged` has the scopes of the kill switches in force."""

    def __init__(self, config: Config, submit: Submit, engage: Submit, engaged: Scopes) -> None:
        self._brokers: Mapping[str, BrokerFile] = {spec.name: spec.dialect.file for spec in config.role("broker")}
        self._submit = submit
        self._engage = engage
        self._engaged = engaged
        self._one_at_a_time = threading.Lock()
        self._in_line: set[tuple[str, ...]] = set()

    def part(self, operator: str, args: Args, rows: Rows) -> dict[str, Any]:
        """Check and carry out one part. Raises OperatorError."""
        form = self._brokers.get(args.get("broker", ""))
        if form is None:
            raise OperatorError(f"{args.get('broker')!r} is no broker session; there are {', '.join(self._brokers)}")
        given, facts = _checked(args)
        with self._one_at_a_time:
            new, keys = self._still_so(given, facts, rows)
            command = given | {"facts": json.dumps(new, separators=(",", ":"))}
            self._in_line |= keys
            answer = self._submit(operator, VERB, command)
            self._in_line -= keys
        answer |= {name: len(some) for name, some in new.items()}
        answer["done"], answer["problems"] = self._policy(form, operator, given["broker"], new["opened"], facts, rows)
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

    # -- what the dialect wants done ---------------------------------------------------------------------------

    def _policy(
        self,
        form: BrokerFile,
        operator: str,
        broker: str,
        opened: list[list[str]],
        facts: dict[str, list[list[str]]],
        rows: Rows,
    ) -> tuple[list[str], list[str]]:
        """Carry out `on_break` for the items that were opened; what was done, and what could not be."""
        if form.on_break == "alert" or not opened:
            return [], []
        new = {fact[0] for fact in opened}
        places = sorted({(fact[5], fact[6]) for fact in facts["opened"] if fact[0] in new})
        done: list[str] = []
        problems: list[str] = []
        if form.on_break == "cancel":
            self._cancel(operator, broker, {symbol for symbol, _ in places}, rows, done, problems)
            return done, problems
        for symbol, account in places:
            scope = {"broker": escape(broker)}
            if form.block != "broker" and (value := symbol if form.block == "symbol" else account):
                scope[form.block] = escape(value)
            if scope_of(scope) in self._engaged():
                continue
            text = f"a file of {broker} differs, and its dialect has on_break = block"
            answer = self._tried(
                self._engage, operator, "kill.engage", scope | {"text": text, "cancel": "N"}, problems
            )
            if answer is not None:
                done.append(f"engaged {answer['kill_id']}: {answer['scope']}")
                problems += [answer["problem"]] if answer["problem"] else []
        return done, problems

    def _cancel(
        self, operator: str, broker: str, symbols: set[str], rows: Rows, done: list[str], problems: list[str]
    ) -> None:
        live = rows(
            "SELECT o.order_id FROM client_orders AS o JOIN child_orders AS c USING (order_id) WHERE NOT o.finished"
            " AND NOT c.finished AND c.broker = %s AND o.symbol = ANY(%s) ORDER BY o.order_id",
            broker,
            sorted(symbols),
        )
        text = f"a file of {broker} differs, and its dialect has on_break = cancel"
        for row in live:
            args = {"order_id": row["order_id"], "text": text}
            answer = self._tried(self._submit, operator, "orders.cancel", args, problems)
            if answer is not None and answer.get("problem"):
                problems.append(f"{row['order_id']}: {answer['problem']}")
            elif answer is not None:
                done.append(f"cancel sent for {row['order_id']}")

    @staticmethod
    def _tried(do: Submit, operator: str, verb: str, args: Args, problems: list[str]) -> dict[str, Any] | None:
        try:
            return do(operator, verb, args)
        except OperatorError as error:
            problems.append(f"{verb} {scope_of(args) or args.get('order_id', '')}: {error}")
            return None


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

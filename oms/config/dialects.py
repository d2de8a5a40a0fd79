"""What a counterparty takes and wants beyond its data dictionary: one small TOML file per counterparty.

A dialect is chosen by ``OmsDialect`` in sessions.cfg and looked for in the configured fix_specs directory,
then among the standard ones that come with the gateway. Core code never asks which broker it is; it asks the
dialect.
Invariant: no rule here can change what an order is: the fields that make it are neither set nor dropped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, StrictBool, StrictInt, ValidationInfo, field_validator

from oms.config.broker_file import BrokerFile
from oms.config.outbound import Outbound
from oms.config.problems import REQUIRED, Problems, Section, key, show, wrong
from oms.config.reconcile import Reconcile
from oms.config.rules import ORD_TYPES, TIMES_IN_FORCE, fix_value
from oms.config.tag_rules import TagRule, Translate, fix_text, tag_number, with_table

OWN_ID_LENGTH = 10  # characters of every ClOrdID(11) that the gateway makes
SHIPPED = Path(__file__).parent / "demo" / "fix_specs"
STANDARD_DIALECTS = {
    "FIX.4.2": "standard-fix42",
    "FIX.4.4": "standard-fix44",
    "FIX.5.0SP2": "standard-fix50sp2",
}


def _values(words: dict[str, str], field: str) -> BeforeValidator:
    def convert(value: object) -> object:
        items = list(value) if isinstance(value, list | tuple | set | frozenset) else []
        if not items or not all(isinstance(item, str) for item in items):
            raise ValueError("not a list of texts")
        return frozenset(fix_value(item, words, field) for item in items)

    return BeforeValidator(convert)


class TagRules(Section):
    """[tags]: fields added to or dropped from requests, and what happens to unknown fields."""

    set: dict[int, str] = key(
        dict,
        "Added to NewOrderSingle(D) and OrderCancelReplaceRequest(G) where absent.",
        expects="a table of tag number to value",
        example='{ "21" = "1" }',
    )
    drop: frozenset[int] = key(
        frozenset,
        "Dropped from requests to this counterparty.",
        expects="a list of tag numbers",
        example='["9001"]',
    )
    unknown: Literal["reject", "drop", "pass"] = key(
        "reject",
        "A client's field that this broker's dictionary does not know: refuse the order, drop the field, or send it.",
        expects='"reject", "drop" or "pass"',
        example='"reject"',
    )
    unknown_reports: Literal["drop", "pass"] = key(
        "drop",
        "A broker's field that this client's dictionary does not know: leave it out of the report, or send it.",
        expects='"drop" or "pass"',
        example='"drop"',
    )

    @field_validator("set", mode="before")
    @classmethod
    def _set_tags(cls, value: object) -> object:
        if not isinstance(value, dict):
            raise ValueError("not a table")
        values = [fix_text(text) for text in value.values()]
        return dict(zip(map(tag_number, value), values, strict=True))

    @field_validator("drop", mode="before")
    @classmethod
    def _drop_tags(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, list | tuple | frozenset):
            raise ValueError("not a list")
        dropped = frozenset(tag_number(tag) for tag in value)
        both = sorted(dropped & set(info.data.get("set", {})))
        if both:
            raise wrong(f"tag {both[0]} is in set as well", f"remove {both[0]} from one of them")
        return dropped


class Dialect(Section):
    """A counterparty's dialect."""

    name: str = key(REQUIRED, "The file's name without .toml.", expects="text", example='"standard-fix44"')
    description: str = key("", "For people.", expects="text", example='"Broker X, equities"')
    ord_types: Annotated[frozenset[str], _values(ORD_TYPES, "OrdType(40)")] = key(
        REQUIRED,
        "OrdType(40) values it takes: market, limit, stop, stop_limit, or FIX values.",
        expects="a list of words or FIX values",
        example='["market", "limit"]',
    )
    times_in_force: Annotated[frozenset[str], _values(TIMES_IN_FORCE, "TimeInForce(59)")] = key(
        REQUIRED,
        "TimeInForce(59) values it takes: day, gtc, opg, ioc, fok, gtx, gtd, at_the_close, or FIX values.",
        expects="a list of words or FIX values",
        example='["day", "ioc"]',
    )
    status_requests: StrictBool = key(
        True, "Whether it answers OrderStatusRequest(H).", expects="true or false", example="true"
    )
    mass_cancel: StrictBool = key(
        False,
        "Whether it takes OrderMassCancelRequest(q). Where not, a client's mass cancel goes out order by order.",
        expects="true or false",
        example="true",
    )
    max_cl_ord_id_length: StrictInt = key(
        20,
        "Longest ClOrdID(11) it takes. The gateway's own have 10 characters, so that every broker must take 10.",
        expects="a whole number from 10 to 255",
        example="20",
        ge=OWN_ID_LENGTH,
        le=255,
    )
    resend_window_seconds: StrictInt = key(
        10,
        "How old an order or replace may be, in seconds, when this broker asks for it again; older "
        "ones are gap-filled.",
        expects="a whole number from 0 to 86400",
        example="10",
        ge=0,
        le=86400,
    )
    acknowledge_seconds: StrictInt = key(
        10,
        "How long an order may wait for the broker's first answer, in seconds, before it is raised as an exception"
        " item and asked for; 0: for ever.",
        expects="a whole number from 0 to 86400",
        example="10",
        ge=0,
        le=86400,
    )
    answer_seconds: StrictInt = key(
        10,
        "The same for a cancel or replace.",
        expects="a whole number from 0 to 86400",
        example="10",
        ge=0,
        le=86400,
    )
    drop_copy_seconds: StrictInt = key(
        30,
        "In the dialect of a drop copy session: how long the drop copy and the order session may tell different"
        " executions, in seconds, before the difference is raised as an exception item; 0: for ever.",
        expects="a whole number from 0 to 86400",
        example="30",
        ge=0,
        le=86400,
    )
    quiet_seconds: StrictInt = key(
        0,
        "How long a working order may go without any word of the broker, in seconds, before it is raised and asked"
        " for; 0: for ever.",
        expects="a whole number from 0 to 604800",
        example="14400",
        ge=0,
        le=604800,
    )
    unknown_asks: StrictInt = key(
        5,
        "How often an order in doubt is asked for besides the first time and at each logon: after answer_seconds,"
        " then each time after twice as long.",
        expects="a whole number from 0 to 20",
        example="5",
        ge=0,
        le=20,
    )
    mass_status: StrictBool = key(
        False,
        "Whether it answers OrderMassStatusRequest(AF) for all orders; not in FIX 4.2. Then one is sent after each"
        " logon instead of an OrderStatusRequest(H) for each live order.",
        expects="true or false",
        example="true",
    )
    status_requests_per_second: StrictInt = key(
        50,
        "How many OrderStatusRequests(H) are sent to it in a second after a logon, one for each live order; 0: none.",
        expects="a whole number from 0 to 1000",
        example="50",
        ge=0,
        le=1000,
    )
    status_answer_seconds: StrictInt = key(
        30,
        "How long its answers after a logon may pause, in seconds, before those that are missing are raised.",
        expects="a whole number from 1 to 3600",
        example="30",
        ge=1,
        le=3600,
    )
    unknown_orders: Literal["alert", "adopt"] = key(
        "alert",
        "Its reports for orders that are not ours: raise an exception item, book fills without an order and answer"
        " them with DontKnowTrade(Q); or take the order into our book, where an operator can cancel it.",
        expects='"alert" or "adopt"',
        example='"adopt"',
    )
    replace: Literal["request", "cancel_new"] = key(
        "request",
        "How an order is changed there: by an OrderCancelReplaceRequest(G), or, where a broker has none, by an "
        "OrderCancelRequest(F) and a NewOrderSingle(D) for the rest once that is confirmed.",
        expects='"request" or "cancel_new"',
        example='"cancel_new"',
    )
    tags: TagRules = key(TagRules, "Rules for fields.", expects="a [tags] section")
    outbound: Outbound = key(Outbound, "How fast it takes messages.", expects="an [outbound] section")
    reconcile: Reconcile = key(Reconcile, "When and how it is compared.", expects="a [reconcile] section")
    file: BrokerFile = key(BrokerFile, "How it writes its end-of-day files.", expects="a [file] section")
    translate: tuple[Translate, ...] = key(
        (), "Values that it calls otherwise, in both directions.", expects="[[translate]] sections"
    )
    to_counterparty: tuple[TagRule, ...] = key(
        (), "Rules for messages to it, in turn.", expects="[[to_counterparty]] sections"
    )
    from_counterparty: tuple[TagRule, ...] = key(
        (), "Rules for messages from it, in turn.", expects="[[from_counterparty]] sections"
    )


def dialect_file(name: str, fix_specs: Path) -> Path:
    """The file of a dialect: in the configured directory, else the one that comes with the gateway."""
    own = fix_specs / f"{name}.toml"
    shipped = SHIPPED / f"{name}.toml"
    return shipped if not os.path.exists(own) and shipped.exists() else own


def read_dialect(name: str, fix_specs: Path, named_by: str, problems: Problems) -> Dialect | None:
    """The dialect of this name, or None with what is wrong noted. ``named_by`` says which key names it."""
    file = dialect_file(name, fix_specs)
    text = problems.read(file, named_by)
    data = None if text is None else problems.toml(text, file)
    if data is None:
        return None
    dialect = problems.validated(Dialect, data, file)
    if dialect is not None and dialect.name != name:
        problems.add(file, "name", f"{show(dialect.name)} is not the file's name", f'write name = "{name}"')
        return None
    if dialect is not None and dialect.translate:
        rules = (with_table(rule, number, file, problems) for number, rule in enumerate(dialect.translate, 1))
        dialect = dialect.model_copy(update={"translate": tuple(rules)})
    return dialect

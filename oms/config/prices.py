"""``[prices]`` of oms.toml: where reference prices come from while the gateway runs, and which of them are used.

The sources, ``[[prices.source]]``, are in order of precedence: one further down is used only while those above it
have no price that is young enough. Limits: nothing is opened or fetched here.
Invariant: a key that has no effect with the kind of source is refused, so that nobody relies on it.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, StrictInt, field_validator, model_validator

from oms.config.problems import REQUIRED, FileName, Section, key, plain_decimal, wrong

Amount = Annotated[Decimal, BeforeValidator(plain_decimal)]
A_PERCENTAGE = "a number above zero"
NAME = r"^[A-Za-z0-9_-]{1,32}$"
_OF = {"file": ("path",), "http": ("url", "format"), "fix": ("settings",), "fills": ()}  # keys that a kind needs
_ONLY = {
    "path": ("file",),
    "url": ("http",),
    "settings": ("fix",),
    "every": ("file", "http"),
    "format": ("http",),
    "timeout": ("http",),
    "rows": ("http",),
    "symbol": ("file", "http"),
    "price": ("file", "http"),
    "at": ("file", "http"),
}


class Source(Section):
    """One source of prices."""

    name: str = key(
        REQUIRED,
        "Name of the source: in `oms prices list`, the journal and exception items.",
        expects="1 to 32 letters, digits, _ or -",
        example='"closing-prices"',
        pattern=NAME,
    )
    kind: Literal["file", "http", "fix", "fills"] = key(
        REQUIRED,
        "A CSV file that is read again when it changes; an HTTP or HTTPS address that is asked again and again; a "
        "FIX market data session; or LastPx(31) of our own fills.",
        expects='"file", "http", "fix" or "fills"',
        example='"file"',
    )
    path: FileName | None = key(
        None, "Of a file: its name, relative to oms.toml.", expects="a file name", example='"prices.csv"'
    )
    url: str | None = key(
        None,
        "Of http: the address.",
        expects="a URL http:// or https://",
        example='"https://prices.example/last"',
        repr=False,
    )
    settings: FileName | None = key(
        None,
        "Of fix: QuickFIX settings of the market data session, an initiator, relative to oms.toml; with OmsTls and"
        " OmsPassword as in sessions.cfg.",
        expects="a file name",
        example='"market_data.cfg"',
    )
    every: StrictInt = key(
        5,
        "Seconds from one look at the file, or question to the address, to the next.",
        expects="a whole number from 1 to 86400",
        example="5",
        ge=1,
        le=86_400,
    )
    timeout: StrictInt = key(
        5,
        "Of http: seconds until a question without an answer is given up.",
        expects="a whole number from 1 to 60",
        example="5",
        ge=1,
        le=60,
    )
    format: Literal["csv", "json"] = key(
        "csv", "Of http: what the answer is.", expects='"csv" or "json"', example='"json"'
    )
    rows: str = key(
        "",
        "Of JSON: where the list of prices is, names set apart by dots. Empty: the answer is the list.",
        expects="names set apart by dots",
        example='"data.quotes"',
    )
    symbol: str = key("symbol", "Column, or name in JSON, of Symbol(55).", expects="a name", example='"ticker"')
    price: str = key("price", "Column, or name in JSON, of the price.", expects="a name", example='"last"')
    at: str = key(
        "at",
        "Column, or name in JSON, of the time (with Z or an offset). A row without one is as of when it was read.",
        expects="a name",
        example='"time"',
    )
    good_for: StrictInt = key(
        60,
        "For so many seconds a price of this source stands against one of a source further down.",
        expects="a whole number from 1 to 31536000",
        example="60",
        ge=1,
        le=31_536_000,
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not value.isprintable() or " " in value:  # not shown: it may hold a key
            raise wrong("not an address of HTTP or HTTPS", 'write "https://HOST/PATH"')
        return value

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Source:
        for name in _OF[self.kind]:
            if getattr(self, name) is None:
                raise wrong(f"no {name} with kind = {self.kind}", f"add {name}")
        for name, kinds in _ONLY.items():
            if name in self.model_fields_set and self.kind not in kinds:
                raise wrong(f"{name} has an effect only with kind = {' or '.join(kinds)}", f"remove {name}")
        if "rows" in self.model_fields_set and self.format != "json":
            raise wrong("rows has an effect only with format = json", "remove rows")
        return self


class Prices(Section):
    """Reference prices that come while the gateway runs."""

    interval: StrictInt = key(
        1,
        "Seconds: a symbol gets a new reference price at most that often, the last one that came.",
        expects="a whole number from 1 to 3600",
        example="1",
        ge=1,
        le=3600,
    )
    move: Amount = key(
        Decimal("0.1"),
        "Percent: what moved by less is passed over, until half of the time is over in which the price grows old.",
        expects="a number from 0 to 100",
        example="0.1",
        ge=0,
        le=100,
    )
    max_move: Amount | None = key(
        None,
        "Percent: a price that is further from the one in use is held, not used, and an exception item is opened. "
        "Absent: any move is taken.",
        expects=A_PERCENTAGE,
        example="20",
        gt=0,
    )
    source: tuple[Source, ...] = key((), "The sources.", expects="[[prices.source]] sections")

    @model_validator(mode="after")
    def _names_differ(self) -> Prices:
        names = [one.name for one in self.source]
        for name in names:
            if names.count(name) > 1:
                raise wrong(f'two sources are named "{name}"', "name them apart")
        if sum(one.kind == "fills" for one in self.source) > 1:
            raise wrong("two sources of kind fills", "keep one")
        return self

    def beside(self, directory: Path) -> Prices:
        """With the files of its sources in a directory."""
        made = []
        for one in self.source:
            paths = {name: path for name in ("path", "settings") if (path := getattr(one, name)) is not None}
            update = {name: (directory / path.expanduser()).absolute() for name, path in paths.items()}
            made.append(one.model_copy(update=update))
        return self.model_copy(update={"source": tuple(made)})

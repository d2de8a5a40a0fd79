"""Collecting what is wrong with a configuration, so that one run shows all of it.

A model's field carries two texts for people: what it expects (``expects``) and an example (``example``). From
those and from pydantic's errors come the messages; no reader of ours writes "field required" or "extra inputs
are not permitted".

Invariant (I12): every problem names the file, the key as it is written there, and a remedy.
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from oms.errors import ConfigError, Problem

Model = TypeVar("Model", bound=BaseModel)
REQUIRED: Any = ...
SHOWN_CHARACTERS = 60
LISTED_NAMES = 12


def _path(value: object) -> object:
    if isinstance(value, str) and value.strip() and value.isprintable():
        return Path(value)
    if isinstance(value, Path):
        return value
    raise ValueError("not a file name")


FileName = Annotated[Path, BeforeValidator(_path)]


class Section(BaseModel):
    """A part of a configuration file: read once, never changed, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def key(default: Any, meaning: str, *, expects: str, example: str = "", **constraints: Any) -> Any:
    """A key of a configuration file: default, meaning, and for messages what it expects and an example."""
    extra: dict[str, Any] = {"expects": expects, "example": example}
    if callable(default):
        return Field(default_factory=default, description=meaning, json_schema_extra=extra, **constraints)
    return Field(default, description=meaning, json_schema_extra=extra, **constraints)


def text_of(field: FieldInfo, name: str) -> str:
    """One of a field's two texts, ``expects`` or ``example``; '' where the field has none."""
    extra = field.json_schema_extra
    return str(extra.get(name, "")) if isinstance(extra, dict) else ""


def wrong(problem: str, remedy: str) -> PydanticCustomError:
    """What a validator raises when the standard message would not do."""
    return PydanticCustomError("oms", "{problem}", {"problem": problem, "remedy": remedy})


def show(value: object) -> str:
    """A value as a message shows it: quoted as in TOML, shortened, control characters visible."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = f'"{value}"' if value.isprintable() else repr(value)
    elif isinstance(value, Mapping):
        text = "a section"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(show(item) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def suggestion(unknown: str, known: Iterable[str], otherwise: str = "remove it") -> str:
    """The remedy for a name that nobody knows: the nearest known one, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(unknown.lower(), [name.lower() for name in names], n=1, cutoff=0.7)
    if near:
        return "did you mean " + next(name for name in names if name.lower() == near[0]) + "?"
    if len(names) > LISTED_NAMES:
        return f"{otherwise}; docs/configuration.md has the list"
    return f"{otherwise}; known here: {', '.join(names) or 'nothing yet'}"


class Problems:
    """What has been found so far. Not thread-safe; lives for one ``load``."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, file: Path, where: str, problem: str, remedy: str) -> None:
        """Note a problem that stops start-up, once however often it is met."""
        noted = Problem(file, where, problem, remedy)
        if noted not in self.found:
            self.found.append(noted)

    def warn(self, file: Path, where: str, problem: str, remedy: str) -> None:
        """Note something allowed that an operator should know about."""
        noted = Problem(file, where, problem, remedy)
        if noted not in self.warnings:
            self.warnings.append(noted)

    def stop_if_any(self) -> None:
        """Raise everything found as one ConfigError."""
        if self.found:
            raise ConfigError(self.found)

    def read(self, file: Path, named_by: str) -> str | None:
        """The text of a file, or None with the problem noted. ``named_by`` says where its name comes from."""
        try:
            return file.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            self.add(file, "", "no such file", f"create it or correct {named_by}; `oms init DIR` writes an example")
        except UnicodeDecodeError as error:
            self.add(file, "", f"not UTF-8 text (byte {error.start})", "save it as UTF-8 text")
        except OSError as error:
            self.add(file, "", f"cannot be read: {error.strerror}", "make it a file this user can read")
        except ValueError:  # a null character in the name, which the command line can give
            self.add(file, "", "no file name", f"correct {named_by}")
        return None

    def toml(self, text: str, file: Path) -> dict[str, Any] | None:
        """The tables of a TOML text, numbers with a point as Decimal, or None with the error noted."""
        try:
            return tomllib.loads(text, parse_float=Decimal)
        except (ValueError, ArithmeticError, RecursionError) as error:
            self.add(file, "", f"not TOML: {error}", "mend that place; texts need quotes, sections need [ ]")
            return None

    def validated(self, model: type[Model], data: object, file: Path, line: int = 0) -> Model | None:
        """``data`` as a model, or None with every error noted. ``line`` is that of a row of a table."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                self._note(model, details, file, line)
            return None

    def _note(self, model: type[BaseModel], details: ErrorDetails, file: Path, line: int) -> None:
        loc = details["loc"]
        spot = f"line {line} {_spot(model, loc)}".strip() if line else _spot(model, loc)
        owner, field = _owner_and_field(model, loc)
        name = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
        context = details.get("ctx", {})
        expects = text_of(field, "expects") if field else ""
        example = text_of(field, "example") if field else ""
        assigned = example if line else f"{name} = {example}"
        if details["type"] == "oms":
            self.add(file, spot, str(context["problem"]), str(context["remedy"]))
        elif details["type"] == "extra_forbidden":
            is_section = len(loc) == 1 and isinstance(details["input"], dict)
            what = "unknown section" if is_section else "unknown key"
            self.add(file, f"[{spot}]" if is_section else spot, what, suggestion(name, owner.model_fields))
        elif details["type"] == "missing":
            self.add(file, spot, "missing", f"write for example {assigned}")
        else:
            remedy = f"write for example {assigned}" if example else f"write {expects}"
            self.add(file, spot, f"{show(details['input'])} is not {expects}", remedy)


def _owner_and_field(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost model on the way to ``loc``, and the last field met."""
    owner, field, inner = model, None, model
    for part in loc:
        if not isinstance(part, str):
            continue
        owner = inner
        field = owner.model_fields.get(part)
        inner = next(iter(_models_in(field.annotation)), owner) if field else owner
    return owner, field


def _models_in(annotation: object) -> Iterable[Any]:
    """The models inside an annotation such as ``tuple[RouteRule, ...]`` or ``Limits | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif isinstance(annotation, types.UnionType | types.GenericAlias) or typing.get_origin(annotation):
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


def _spot(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """A key as the file shows it: ``[gateway] trading``, ``[[routes]] #2 broker``; counting starts at 1."""
    sections: list[str] = []
    rest: list[str] = []
    number = ""
    inner: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            if inner is not None and not rest:
                number = f" #{part + 1}"
            continue
        field = inner.model_fields.get(part) if inner else None
        inner = next(iter(_models_in(field.annotation)), None) if field else None
        if inner is not None:
            sections.append(part)
        else:
            rest.append(str(part))
    name = ".".join(sections)
    head = f"[[{name}]]{number}" if number else f"[{name}]" if name else ""
    return " ".join(part for part in (head, *rest) if part)


def plain_decimal(value: object) -> object:
    """A number for money or quantity as an exact Decimal; floats never reach it, absurd sizes do not pass."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("not a decimal")
    text = str(value).strip()
    if isinstance(value, str) and not all(character in "0123456789." for character in text):
        raise ValueError("not a plain decimal")
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise ValueError("not a decimal") from None
    # adjusted() first: writing 1E+999999999 out in full would fill the memory
    if not number.is_finite() or not -12 <= number.adjusted() <= 15:
        raise ValueError("out of range")
    plain = Decimal(format(number, "f"))
    if -int(plain.as_tuple().exponent) > 12:
        raise ValueError("too many decimals")
    return plain

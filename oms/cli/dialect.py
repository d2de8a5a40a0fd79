"""``oms dialect``: what a counterparty's dialect says, and what its tag rules make of a message, without sending it.

``test`` runs the very code that the gateway runs: incoming rules and decoding, or outgoing rules, dictionary and
``[tags]``. Starts nothing, writes nothing. Exit code of ``test``: 0 the message passes, 1 it would be refused.
Limits: header and trailer of the message need not be there; what the core sets by itself (ids, quantities of reports)
is taken from the message as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from oms.cli import output
from oms.cli.fix_names import names_in
from oms.config.dialects import SHIPPED, Dialect, read_dialect
from oms.config.dictionaries import STANDARD_DIRECTORY, STANDARD_NAMES, DictionaryUnreadable, read_dictionary
from oms.config.problems import Problems
from oms.config.rule_checks import misfits
from oms.errors import OperatorError
from oms.fix.dry_run import Line, try_incoming, try_outgoing

REFUSED = 1
SOH = "\x01"
VERSIONS = {"4.2": "FIX.4.2", "4.4": "FIX.4.4", "5.0SP2": "FIX.5.0SP2"}
EXAMPLE = (
    "Example: oms dialect test fix_specs/acme.toml --to-counterparty '35=D|11=A1|1=FUND1|55=AAPL|54=1|38=100|40=1|"
    "60=20260302-13:00:00'"
)


@click.group()
def dialect() -> None:
    """Dialects: what counterparties take, and the tag rules between them and us."""


@dataclass(frozen=True, slots=True)
class Named:
    """A dialect as a list shows it."""

    name: str
    description: str
    rules: str
    file: str


@dialect.command("list", epilog="Example: oms dialect list --directory desk/fix_specs")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fix_specs"),
    show_default=True,
    help="The directory fix_specs of [files]; those that come with the gateway are listed too.",
)
@output.json_option
def list_dialects(directory: Path, as_json: bool) -> None:
    """List the dialects of a directory and those that come with the gateway."""
    files = {path.stem: path for place in (SHIPPED, directory) for path in sorted(place.glob("*.toml"))}
    found = []
    for path in files.values():
        one = _read(path)
        found.append(Named(one.name, one.description, _summary(one), str(path)))
    if as_json:
        output.emit_json(found)
        return
    rows = [(one.name, one.description, one.rules, one.file) for one in found]
    output.console().print(output.table("Dialects", ("name", "description~", "rules~", "file"), rows))


@dialect.command(epilog="Example: oms dialect show fix_specs/acme.toml")
@click.argument("file", type=click.Path(path_type=Path))
@output.json_option
def show(file: Path, as_json: bool) -> None:
    """Show everything that a dialect says, defaults included."""
    one = _read(file)
    said = one.model_dump(mode="json")
    if as_json:
        output.emit_json(said)
        return
    sections = ("tags", "translate", "to_counterparty", "from_counterparty")
    plain = [(name, _value(value)) for name, value in said.items() if name not in sections]
    rules = [("[tags]", key, _value(value)) for key, value in said["tags"].items()]
    for section in sections[1:]:
        for number, rule in enumerate(said[section], 1):
            rules += [(f"[[{section}]] #{number}", key, _value(value)) for key, value in rule.items() if value]
    tables = [
        output.table(one.name, ("key", "value~"), plain),
        output.table("Rules", ("section", "key", "value~"), rules),
    ]
    output.print_tables(output.console(), tables)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_value(one)}" for key, one in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _summary(one: Dialect) -> str:
    counts = {
        "to_counterparty": len(one.to_counterparty),
        "from_counterparty": len(one.from_counterparty),
        "translate": len(one.translate),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


@dialect.command(epilog=EXAMPLE)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("message")
@click.option("--to-counterparty", "to", is_flag=True, help="A message that we send.")
@click.option("--from-counterparty", "came", is_flag=True, help="A message that we receive.")
@click.option(
    "--dictionary",
    type=click.Path(path_type=Path),
    help="The counterparty's data dictionary.  [default: the XML file beside FILE with its name, else the standard]",
)
@click.option(
    "--version",
    type=click.Choice(list(VERSIONS)),
    help="FIX version of the standard dictionary.  [default: from BeginString(8), else 4.4]",
)
@output.json_option
@click.pass_context
def test(
    context: click.Context,
    file: Path,
    message: str,
    to: bool,
    came: bool,
    dictionary: Path | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Show what the tag rules of the dialect FILE do to MESSAGE, tag by tag, without sending it.

    MESSAGE is FIX text with | or SOH between its fields, or - to read it from standard input. Exit code 0 if it
    passes, 1 if it would be refused.
    """
    if to == came:
        raise OperatorError("which way does the message go? write --to-counterparty or --from-counterparty")
    one = _read(file)
    text = _message(message)
    path = _dictionary(file, dictionary, version, text)
    for key, problem, remedy in misfits(one, path):
        raise OperatorError(": ".join(filter(None, (str(file), key, f"{problem}; {remedy}"))))
    lines, refusal = (try_outgoing if to else try_incoming)(one, path, text)
    if as_json:
        output.emit_json(
            {
                "passes": not refusal,
                "refusal": refusal,
                "dictionary": str(path),
                "fields": [line._asdict() for line in lines],
                "message": "".join(f"{line.tag}={line.after}|" for line in lines if line.after),
            }
        )
    else:
        _show(lines, refusal, path, to)
    context.exit(REFUSED if refusal else 0)


def _show(lines: Sequence[Line], refusal: str, path: Path, outgoing: bool) -> None:
    names = names_in((str(STANDARD_DIRECTORY / "FIXT11.xml"), str(path)))

    def shown(tag: str, value: str) -> str:
        return f"{names.label(tag)} {value}" if value else ""

    rows = [
        (shown(line.was_tag, line.before), shown(line.tag, line.after) or ("dropped" if line.before else ""), line.by)
        for line in lines
    ]
    way = "To" if outgoing else "From"
    output.console().print(output.table(f"{way} the counterparty", ("before~", "after~", "by~"), rows))
    changed = sum(bool(line.by) for line in lines)
    verdict = f"Refused: {refusal}." if refusal else f"Passes; {output.plural(changed, 'field')} changed."
    click.echo(f"\n{output.clean(verdict)}")


def _read(file: Path) -> Dialect:
    """The dialect in a file. OperatorError with everything that is wrong with it."""
    problems = Problems()
    found = read_dialect(file.stem, file.parent, "FILE", problems)
    if found is None or problems.found:
        raise OperatorError("\n".join(str(problem) for problem in problems.found))
    return found


def _message(text: str) -> str:
    raw = (sys.stdin.read() if text == "-" else text).strip("\r\n ")
    raw = raw if SOH in raw else raw.replace("|", SOH)
    raw = raw if raw.endswith(SOH) else raw + SOH
    if "35=" not in raw or not all(_is_field(part) for part in raw.split(SOH) if part):
        raise OperatorError("MESSAGE is no FIX text; write for example '35=D|11=A1|55=AAPL|54=1|38=100|40=1'")
    return raw


def _is_field(part: str) -> bool:
    tag, equals, _ = part.partition("=")
    return bool(equals) and tag.isascii() and tag.isdecimal()


def _dictionary(file: Path, named: Path | None, version: str | None, text: str) -> Path:
    """The dictionary of the counterparty, which must be readable."""
    path = next((place for place in _places(file, named, version, text) if place.is_file()), None)
    if path is None:
        raise OperatorError(f"no data dictionary {named}; name one with --dictionary, or leave it to --version")
    try:
        read_dictionary(path)
    except DictionaryUnreadable as unreadable:
        raise OperatorError(f"{path} {unreadable}; name another one with --dictionary") from unreadable
    return path


def _places(file: Path, named: Path | None, version: str | None, text: str) -> Iterator[Path]:
    if named is not None:
        yield from (named, file.parent / named, STANDARD_DIRECTORY / named)
        return
    if version is None:
        yield file.with_suffix(".xml")
    begin = next((part[2:] for part in text.split(SOH) if part.startswith("8=")), "FIX.4.4")
    asked = VERSIONS[version] if version else "FIX.5.0SP2" if begin == "FIXT.1.1" else begin
    yield STANDARD_DIRECTORY / STANDARD_NAMES.get(asked, STANDARD_NAMES["FIX.4.4"])

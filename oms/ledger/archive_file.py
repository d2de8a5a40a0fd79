"""The file that one archived day goes into, and proving such a file without any ledger.

A zip archive, so that any tool opens it: one CSV with a header per table (journal, batches, sends, fills, and the
orders, children and requests of the day as they stood when it was written), NULL as an empty field and an empty text
as "", times in UTC, bytes as \\x and hexadecimal, and `manifest.json` with counts, the first and last row and hash,
and a SHA-256 of each table. Written under another name and renamed when it is whole, so that there is no half file.
Rows are streamed in both directions: memory does not grow with the day.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from oms.errors import OperatorError
from oms.ledger.chain import JournalRow
from oms.ledger.chain_follow import ChainProblem, Link, Place, follow

FORMAT = 1
MANIFEST = "manifest.json"
_PIECE = 1 << 20
_LEVEL = 6

Connection = psycopg.Connection[Any]


class DamagedFile(OperatorError):
    """A file that is no archive any more, or never was one."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file says of itself. Hashes are in hexadecimal; `ledger` is the hash of the ledger's first batch."""

    format: int
    ledger: str
    schema: str
    day: str
    first_batch: int
    last_batch: int
    first_seq: int
    last_seq: int
    prev_hash: str
    first_hash: str
    last_hash: str
    made_at: str
    tables: dict[str, dict[str, Any]]  # rows, sha256, columns

    @property
    def date(self) -> date:
        """The trade date that it holds."""
        return date.fromisoformat(self.day)


class FileReport(NamedTuple):
    """What a file was found to be: its manifest, its size and hash, and what is wrong with it ('' for nothing)."""

    manifest: Manifest
    size: int
    sha256: bytes
    problem: str


def write_file(
    path: Path, connection: Connection, tables: dict[str, str], manifest: Manifest, told: Callable[[int], None]
) -> Manifest:
    """Write the rows of `tables` (name -> SELECT) and the manifest; `told` hears how many bytes of text are done.

    Raises OperatorError where the file cannot be written; nothing is left of it then.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _removed_unless_whole(beside), beside.open("xb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as made:
                facts = {name: _write_table(made, name, connection, query, told) for name, query in tables.items()}
                whole = Manifest(**(asdict(manifest) | {"tables": facts}))
                made.writestr(MANIFEST, json.dumps(asdict(whole), indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
            beside.rename(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise OperatorError(
            f"cannot write {path}: {error.strerror or error}; the day was not archived; give a directory with room"
            " by --to"
        ) from error
    return whole


@contextmanager
def _removed_unless_whole(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_table(
    made: zipfile.ZipFile, name: str, connection: Connection, query: str, told: Callable[[int], None]
) -> dict[str, Any]:
    digest = hashlib.sha256()
    with made.open(f"{name}.csv", "w", force_zip64=True) as member, connection.cursor() as cursor:
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)".encode()) as copy:
            header = b""
            for block in copy:
                piece = bytes(block)
                header = header or piece
                digest.update(piece)
                member.write(piece)
                told(len(piece))
        rows = cursor.rowcount
    columns = header.partition(b"\n")[0].decode().strip().split(",")
    return {"rows": rows, "sha256": digest.hexdigest(), "columns": columns}


# -- reading ---------------------------------------------------------------------------------------------------


def read_manifest(path: Path) -> Manifest:
    """The manifest of a file. Raises OperatorError where there is none that can be read."""
    with _opened(path) as archive:
        return _manifest(archive, path)


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    try:
        values = json.loads(archive.read(MANIFEST))
        if values["format"] != FORMAT:
            raise OperatorError(
                f"{path} is of format {values['format']}, this program reads {FORMAT}; use a newer oms"
            )
        found = Manifest(**values)
        date.fromisoformat(found.day)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path} is no archive of a journal: its {MANIFEST} is missing or damaged") from error
    return found


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError as error:
        raise OperatorError(f"there is no file {path}; oms archive list shows where each day went") from error
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DamagedFile(f"{path} is damaged: {error}; take it from another copy") from error
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror or error}") from error


def check_file(path: Path, told: Callable[[int], None] = lambda done: None) -> FileReport:
    """Read a whole file: every table's count and SHA-256, and every hash of the chain made again.

    `told` hears how many bytes of text are done. Raises OperatorError where it cannot be read at all.
    """
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        problem = _problem(archive, manifest, told)
    size, sha256 = fingerprint(path)
    return FileReport(manifest, size, sha256, problem)


def _problem(archive: zipfile.ZipFile, manifest: Manifest, told: Callable[[int], None]) -> str:
    try:
        for name in manifest.tables:
            if said := _check_table(archive, name, manifest, told):
                return said
        broken = _check_chain(archive, manifest)
    except (zipfile.BadZipFile, EOFError, zlib.error, KeyError, ValueError) as error:
        return f"it is damaged: {error}"
    return "" if broken is None else f"batch {broken.batch}: {broken.text}"


def fingerprint(path: Path) -> tuple[int, bytes]:
    """Size and SHA-256 of a file."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return file.tell(), digest.digest()
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror or error}") from error


def _check_table(archive: zipfile.ZipFile, name: str, manifest: Manifest, told: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    try:
        with archive.open(f"{name}.csv") as member:
            while piece := member.read(_PIECE):
                digest.update(piece)
                told(len(piece))
    except KeyError:
        return f"{name}.csv is missing"
    return "" if digest.hexdigest() == manifest.tables[name]["sha256"] else f"{name}.csv was changed"


def _check_chain(archive: zipfile.ZipFile, manifest: Manifest) -> ChainProblem | None:
    place = Place(manifest.first_batch - 1, manifest.first_seq - 1, 0, bytes.fromhex(manifest.prev_hash))
    problem = follow(place, file_links(archive), file_rows(archive))
    if problem is not None:
        return problem
    if (place.batch, place.seq, place.hash.hex()) != (manifest.last_batch, manifest.last_seq, manifest.last_hash):
        return ChainProblem(place.batch, place.seq, "the manifest names another end of the day")
    return None


def table_rows(archive: zipfile.ZipFile, name: str) -> Iterator[dict[str, str]]:
    """The rows of a table as texts by column; what was NULL is ''."""
    csv.field_size_limit(sys.maxsize)
    with archive.open(f"{name}.csv") as member, io.TextIOWrapper(member, "utf-8", newline="") as text:
        yield from csv.DictReader(text)


def file_links(archive: zipfile.ZipFile) -> Iterator[Link]:
    """The rows of `batches` in a file."""
    for row in table_rows(archive, "batches"):
        yield Link(
            int(row["batch"]),
            int(row["first_seq"]),
            int(row["last_seq"]),
            _bytes(row["prev_hash"]),
            _bytes(row["hash"]),
            datetime.fromisoformat(row["committed_at"]),
        )


def file_rows(archive: zipfile.ZipFile) -> Iterator[tuple[int, JournalRow]]:
    """(batch, row) of the journal in a file."""
    for row in table_rows(archive, "journal"):
        yield (
            int(row["batch"]),
            JournalRow(
                int(row["seq"]),
                row["kind"],
                row["session"],
                row["msg_type"],
                int(row["msg_seq_num"]) if row["msg_seq_num"] else None,
                row["order_id"] or None,
                int(row["cause"]) if row["cause"] else None,
                datetime.fromisoformat(row["sending_time"]) if row["sending_time"] else None,
                datetime.fromisoformat(row["received_at"]),
                date.fromisoformat(row["trade_date"]),
                _bytes(row["raw"]),
                row["detail"] or None,
            ),
        )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


@contextmanager
def opened(path: Path) -> Iterator[tuple[Manifest, zipfile.ZipFile]]:
    """A file for reading its tables. Raises OperatorError."""
    with _opened(path) as archive:
        yield _manifest(archive, path), archive

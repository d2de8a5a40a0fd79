"""The QuickFIX wheel with TLS: built once per machine into a user cache, from the source that is locked.

A cache entry is one directory per source, Python, platform, flags and edits. It holds the wheel and, beside it,
the SHA-256 of that wheel; the wheel appears by one rename after its hash, under the entry's lock, so that
neither two builds at once nor one that is killed leave anything that would be taken for a wheel.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from setuplib.engine_edits import EDITS, apply_edits
from setuplib.machine import CXX_FLAGS, LD_FLAGS, build_variables
from setuplib.running import SetupFailed, alone_in, run, say


def cache_entry(pin: str) -> Path:
    """The cache directory for one entry of the lock file, this Python, this platform, these flags."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    source = ",".join(re.findall(r"sha256:[0-9a-f]{64}", pin))
    made_of = hashlib.sha256(f"{source}\n{CXX_FLAGS}\n{LD_FLAGS}\n{EDITS}".encode()).hexdigest()[:12]
    version = pin.split("==")[1].split()[0]
    python = sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag
    name = f"quickfix-{version}-{python}-{sysconfig.get_platform()}-{made_of}"
    return Path(home) / "oms" / "wheels" / name


def noted_hash(wheel: Path) -> Path:
    """The file beside a wheel that has its SHA-256."""
    return wheel.with_name(f"{wheel.name}.sha256")


def cached_wheel(entry: Path) -> Path | None:
    """The wheel of a cache entry, if it is whole: its SHA-256 is the one noted when it was built."""
    for wheel in sorted(entry.glob("quickfix-*.whl")):
        note = noted_hash(wheel)
        if note.exists() and note.read_text().strip() == hashlib.sha256(wheel.read_bytes()).hexdigest():
            return wheel
    return None


def put_into_cache(wheel: Path, entry: Path) -> Path:
    """Move a wheel of the same file system into its entry, its hash first; returns where it is."""
    target = entry / wheel.name
    note = noted_hash(wheel)
    note.write_text(hashlib.sha256(wheel.read_bytes()).hexdigest() + "\n")
    target.unlink(missing_ok=True)
    note.replace(noted_hash(target))
    wheel.replace(target)
    return target


def build(pin: str, entry: Path, python: Path) -> Path:
    """Build with the pip of `python`; returns the wheel in the cache. The caller holds the entry's lock."""
    say("building QuickFIX with TLS: takes about 5 minutes on two cores, once per machine")
    for left in entry.glob("building-*"):  # by a build that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=entry) as scratch:
        pinned = Path(scratch) / "quickfix.lock"
        pinned.write_text(pin + "\n")
        # --no-cache-dir: pip's own cache may hold a QuickFIX that was built without TLS.
        pip = [str(python), "-m", "pip"]
        options = ["--no-deps", "--no-build-isolation", "--no-cache-dir"]
        locked = ["--no-binary=quickfix", "--require-hashes", "-r", str(pinned)]
        run(
            "fetching the source of QuickFIX",
            [*pip, "download", *options, *locked, "-d", scratch],
            log=entry / "download.log",
            variables=build_variables() | {"TMPDIR": scratch},
            remedy="see the log; check the network; run again",
        )
        with tarfile.open(next(Path(scratch).glob("quickfix-*.tar.gz"))) as archive:
            archive.extractall(scratch, filter="data")
        source = next(path for path in Path(scratch).glob("quickfix-*") if path.is_dir())
        apply_edits(source)
        run(
            "building QuickFIX with TLS",
            [*pip, "wheel", *options, str(source), "-w", scratch],
            log=entry / "build.log",
            variables=build_variables() | {"TMPDIR": scratch},
            remedy="if the compiler was killed: it needs 2.2 GB of memory; else see the log; run again",
        )
        return put_into_cache(next(Path(scratch).glob("quickfix-*.whl")), entry)


def quickfix_wheel(pin: str, python: Path) -> Path:
    """The QuickFIX wheel of a lock entry, from the cache or built into it now. Raises SetupFailed."""
    entry = cache_entry(pin)
    try:
        entry.mkdir(parents=True, exist_ok=True)
        with alone_in(entry, f"another set-up is building QuickFIX in {entry}: waiting for it"):
            return cached_wheel(entry) or build(pin, entry, python)
    except (PermissionError, NotADirectoryError) as error:
        raise SetupFailed(f"cannot use the cache: {error}. Set XDG_CACHE_HOME to a directory of yours.") from error

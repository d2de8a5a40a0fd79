"""What the repository must hold (licence, notice, hashes) and must not (paths of one machine, index hosts).

The set-up's own promises are here too: a damaged wheel in the cache is not used, a changed lock file
makes `.venv` anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import bootstrap
import pytest
from packaging.requirements import Requirement

from setuplib import machine, wheel
from setuplib.running import SetupFailed

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"

# Put together here so that this file does not hold what it looks for.
INDEX_HOST = re.compile(
    r"\bpypi\." + r"(?:org|python\.org)|python" + r"hosted\.org|\banaconda\." + r"org", re.IGNORECASE
)
MACHINE_PATH = re.compile(r"(?<![\w./~$}>-])/(?:ro" + r"ot|wo" + r"rk|ho" + r"me|Us" + r"ers)/[\w.]")


def tracked_files() -> list[Path]:
    """Every file that git tracks or would add; in an unpacked archive, every file outside caches."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
        return [path for name in names if (path := ROOT / name).is_file()]
    return [
        p
        for p in ROOT.rglob("*")
        if p.is_file() and not re.search(r"/(\.venv|\.git|__pycache__|\.\w+_cache)/", str(p))
    ]


def tracked_lines() -> Iterator[tuple[str, str]]:
    """`file:line` and text of every line of every tracked text file."""
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def lines_with(pattern: re.Pattern[str]) -> str:
    """`file:line: text` of every tracked line that the pattern is found in, a line each."""
    return "\n".join(f"{where}: {line.strip()}" for where, line in tracked_lines() if pattern.search(line))


def locked() -> dict[str, str]:
    """Normalised package name -> its entry in the lock file."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + LOCK.read_text())
    return {normal(entry.strip().split("==")[0]): entry for entry in entries if entry.strip()}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def declared() -> list[Requirement]:
    """Every requirement of pyproject.toml: of the product, of development and of the builds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    listed = [project["project"]["dependencies"], project["build-system"]["requires"], *extras, *groups]
    return [Requirement(text) for group in listed for text in group]


@pytest.mark.parametrize("where", ["ro" + "ot/x", "wo" + "rk/main", "ho" + "me/me/x"])
def test_a_path_of_one_machine_is_recognised(where: str) -> None:
    assert MACHINE_PATH.search(f"python = /{where}")
    assert MACHINE_PATH.search(f'"/{where}"')
    assert not MACHINE_PATH.search(f"docs/{where}")
    assert not MACHINE_PATH.search(f"~/{where}")


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    assert lines_with(MACHINE_PATH) == ""


def test_no_tracked_file_names_a_package_index() -> None:
    assert lines_with(INDEX_HOST) == ""


def test_the_licence_is_the_whole_apache_2_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_notice_has_the_acknowledgement_and_the_licence_of_quickfix() -> None:
    text = " ".join((ROOT / "NOTICE").read_text().split())
    assert "This product includes software developed by quickfixengine.org (http://www.quickfixengine.org/)." in text
    assert "The QuickFIX Software License, Version 1.0 Copyright (c) 2001-2020 Oren Miller" in text
    assert text.endswith("EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.")


def test_every_locked_requirement_is_pinned_and_has_hashes() -> None:
    loose = [
        name
        for name, entry in locked().items()
        if not re.search(r"==\S+.*--hash=sha256:[0-9a-f]{64}", entry, re.DOTALL)
    ]
    assert loose == []


def test_the_lock_file_names_no_address_and_nothing_but_requirements() -> None:
    line = re.compile(r"(?:[a-z0-9-]+==[\w.]+(?: ; .+)? \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?)")
    assert [text for text in LOCK.read_text().splitlines() if not line.fullmatch(text)] == []


def test_every_declared_requirement_is_locked_at_a_version_that_it_allows() -> None:
    versions = {name: entry.split("==")[1].split()[0] for name, entry in locked().items()}
    wanted = declared()
    assert len(wanted) >= 15
    assert [str(r) for r in wanted if not r.specifier.contains(versions.get(normal(r.name), "0"))] == []


@pytest.mark.parametrize("script", [".ci/run", "scripts/setup", "scripts/check", "scripts/lock"])
def test_the_scripts_can_be_executed(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    assert re.search(r"^exec make test\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def test_set_up_reads_every_package_of_the_lock_file() -> None:
    assert {normal(name) for name in bootstrap.locked_requirements()} == set(locked())


def test_set_up_takes_a_cached_wheel_only_while_it_has_the_hash_noted_when_it_was_built(
    tmp_path: Path,
) -> None:
    built = tmp_path / "building" / "quickfix-1.16.0-cp311.whl"
    built.parent.mkdir()
    built.write_bytes(b"a wheel")
    entry = tmp_path / "entry"
    entry.mkdir()
    assert wheel.cached_wheel(entry) is None

    cached = wheel.put_into_cache(built, entry)
    assert wheel.cached_wheel(entry) == cached == entry / built.name
    assert wheel.noted_hash(cached).read_text().strip() == hashlib.sha256(b"a wheel").hexdigest()

    cached.write_bytes(b"a damaged wheel")
    assert wheel.cached_wheel(entry) is None


def test_set_up_builds_anew_for_another_source_of_quickfix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one = wheel.cache_entry(f"quickfix==1.16.0 \\\n --hash=sha256:{'a' * 64}")
    assert one.is_relative_to(tmp_path / "oms" / "wheels")
    assert one != wheel.cache_entry(f"quickfix==1.16.0 \\\n --hash=sha256:{'b' * 64}")
    assert one == wheel.cache_entry(f"quickfix==1.16.0 ; sys_platform == 'linux' \\\n --hash=sha256:{'a' * 64}")


def test_set_up_names_everything_that_the_machine_lacks_in_one_line() -> None:
    with pytest.raises(SetupFailed) as failure:
        machine.require(["a C++ compiler", "the OpenSSL headers"])
    text = str(failure.value)
    assert "\n" not in text
    assert "missing: a C++ compiler, the OpenSSL headers" in text
    assert "apt-get install g++ libssl-dev | dnf install gcc-c++ openssl-devel | brew install llvm openssl@3" in text


def test_set_up_runs_again_when_the_lock_file_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("one")
    monkeypatch.setattr(bootstrap, "MADE_FROM", (lock,))
    before = bootstrap.made_from()
    assert bootstrap.made_from() == before
    lock.write_text("two")
    assert bootstrap.made_from() != before

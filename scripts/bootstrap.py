"""The steps of scripts/setup: `.venv` with all of requirements.lock, QuickFIX with TLS, and this project.

Standard library only: it runs before anything is installed. Quick when nothing changed: a stamp in
`.venv` has the hash of what it was made from, and is written last. All that is downloaded is checked
against the hashes in the lock file. Two runs at once wait for each other. Works as root and not, without
Docker; installs nothing outside `.venv` and the user's cache.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

from setuplib.machine import missing, require
from setuplib.running import SetupFailed, alone_in, quiet_environment, run, say
from setuplib.wheel import cache_entry, cached_wheel, noted_hash, quickfix_wheel

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
MADE_FROM = (
    LOCK,
    ROOT / "pyproject.toml",
    *sorted((ROOT / "scripts" / "setuplib").glob("*.py")),
    Path(__file__).resolve(),
)

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "oms-setup.log"
STAMP = VENV / "oms-setup.stamp"  # the hash of all that it was made from: it is whole
BASE = VENV / "oms-setup.base"  # the checkout and the Python that it was made for
QUICKFIX = VENV / "oms-setup.quickfix"  # the hash of the wheel that is installed in it

# Run by the Python of .venv. Without TLS the constructor refuses: "HAVE_SSL not enabled".
TLS_CHECK = """
import sys, tempfile
import quickfix

class Nobody(quickfix.Application):
    def onCreate(self, session): pass
    def onLogon(self, session): pass
    def onLogout(self, session): pass
    def toAdmin(self, message, session): pass
    def fromAdmin(self, message, session): pass
    def toApp(self, message, session): pass
    def fromApp(self, message, session): pass

with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
    file.write('''
[DEFAULT]
ConnectionType=initiator
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=30
ReconnectInterval=30
UseDataDictionary=N
SocketConnectHost=127.0.0.1
SocketConnectPort=1
[SESSION]
BeginString=FIX.4.4
SenderCompID=SETUP
TargetCompID=TLS
''')
    file.flush()
    settings = quickfix.SessionSettings(file.name)
application, store = Nobody(), quickfix.MemoryStoreFactory()
try:
    quickfix.SSLSocketInitiator(application, store, settings)
except quickfix.ConfigError as error:
    sys.exit(f"it was built without TLS ({error})")
"""


def made_from() -> str:
    """The hash of all that `.venv` is made from, and of its place: scripts in it name that."""
    digest = hashlib.sha256(f"{ROOT}\n".encode())
    for path in MADE_FROM:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether `.venv` is whole and made from what the checkout holds now."""
    try:
        return STAMP.read_text() == made_from() and PYTHON.exists() and (VENV / "bin" / "oms").exists()
    except FileNotFoundError:
        return False


def locked_requirements() -> dict[str, str]:
    """Package name -> its whole entry in requirements.lock: the pin with its marker, and the hashes."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + LOCK.read_text())
    return {entry.split("==")[0].strip().lower(): entry.strip() for entry in entries if "==" in entry}


def make_venv() -> None:
    """Create `.venv`, or keep the one that was made for this checkout with this Python."""
    base = f"{ROOT}\n{os.path.realpath(sys.executable)}\n{sys.version}\n"
    if PYTHON.exists() and BASE.exists() and BASE.read_text() == base:
        STAMP.unlink(missing_ok=True)
        return
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        capture_output=True,
        text=True,
        check=False,
        env=quiet_environment(),
    )
    if made.returncode:
        raise SetupFailed(f"cannot create {VENV}: {(made.stdout + made.stderr).strip()}")
    BASE.write_text(base)


def pip_install(what: str, *arguments: str) -> None:
    """Run pip install in `.venv`. Raises SetupFailed."""
    run(
        what,
        [str(PYTHON), "-m", "pip", "install", *arguments],
        log=LOG,
        remedy="if nothing could be fetched, check network and pip's settings (pip config list); run again",
    )


def install_quickfix(wheel: Path) -> None:
    """Install the built wheel, unless it is there already: a gateway may be running from this `.venv`."""
    built = noted_hash(wheel).read_text()
    if QUICKFIX.exists() and QUICKFIX.read_text() == built:
        return
    pip_install("installing QuickFIX", "--no-deps", "--no-index", "--force-reinstall", str(wheel))
    QUICKFIX.write_text(built)


def verify(pin: str) -> None:
    """Prove that QuickFIX loads and has TLS. Raises SetupFailed."""
    check = subprocess.run(
        [str(PYTHON), "-c", TLS_CHECK], capture_output=True, text=True, check=False, env=quiet_environment()
    )
    if check.returncode:
        QUICKFIX.unlink(missing_ok=True)
        last = (check.stderr.strip().splitlines() or [f"exit code {check.returncode}"])[-1]
        raise SetupFailed(
            f"QuickFIX does not work: {last}. The system's OpenSSL may have changed since it was built: "
            f"remove {cache_entry(pin)} and run again to build it anew."
        )


def set_up() -> None:
    """All steps. The caller holds the checkout's lock. Raises SetupFailed."""
    others = locked_requirements()
    quickfix = others.pop("quickfix")
    require(missing(to_build=cached_wheel(cache_entry(quickfix)) is None))
    say(f"making .venv with Python {sys.version.split()[0]}")
    make_venv()
    LOG.write_text("")
    with tempfile.NamedTemporaryFile("w", prefix="oms-", suffix=".lock") as file:
        file.write("\n".join(others.values()) + "\n")
        file.flush()
        pip_install(f"installing {len(others)} packages", "--no-deps", "--require-hashes", "-r", file.name)
    install_quickfix(quickfix_wheel(quickfix, PYTHON))
    pip_install("installing oms", "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(ROOT))
    verify(quickfix)
    unfinished = STAMP.with_suffix(".new")
    unfinished.write_text(made_from())
    unfinished.replace(STAMP)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End on SIGTERM as on Ctrl-C, so that no compiler is left behind."""
    raise KeyboardInterrupt


def main() -> int:
    """Parse the command line and run the steps; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description="make .venv; quick when nothing changed")
    parser.add_argument("--is-current", action="store_true", help="change nothing; exit 0 if .venv is up to date")
    arguments = parser.parse_args()
    if arguments.is_current:
        return 0 if is_current() else 1
    signal.signal(signal.SIGTERM, interrupt)
    try:
        if not sys.platform.startswith(("linux", "darwin")):
            raise SetupFailed(f"{sys.platform} is not supported: use Linux, macOS, or Linux under Windows (WSL).")
        with alone_in(ROOT, "another set-up is at work in this checkout: waiting for it"):
            if not is_current():
                set_up()
                say("ready")
    except SetupFailed as error:
        print(f"oms setup: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("\noms setup: stopped; run it again to go on.", file=sys.stderr, flush=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

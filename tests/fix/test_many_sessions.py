"""Sessions whose settings agree have one dictionary between them: what a hundred more cost, in memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from oms.config.dictionaries import STANDARD_DIRECTORY

MAKES_AN_ENGINE = """
    import os
    import sys
    from oms.fix.engine import Engine

    class Listener: pass

    version, count = sys.argv[2], int(sys.argv[3])
    names = {f"{version}:OMS->CLIENT{number}": f"CLIENT{number}" for number in range(count)}
    settings = open(sys.argv[1]).read()
    for number in range(count):
        settings += f"[SESSION]\\nBeginString={version}\\nSenderCompID=OMS\\nTargetCompID=CLIENT{number}\\n"
    engine = Engine("acceptor", settings, names, Listener())
    pages = int(open("/proc/self/statm").read().split()[1])
    print(pages * os.sysconf("SC_PAGE_SIZE") // 1024, flush=True)
    os._exit(0)
"""
SETTINGS = """[DEFAULT]
ConnectionType=acceptor
FileStorePath={store}
NonStopSession=Y
HeartBtInt=30
UseDataDictionary=Y
SocketAcceptPort=1
"""
DICTIONARIES = {
    "FIX.4.4": "DataDictionary={of}/FIX44.xml\n",
    "FIXT.1.1": "DefaultApplVerID=9\nTransportDataDictionary={of}/FIXT11.xml\nAppDataDictionary={of}/FIX50SP2.xml\n",
}


def resident_kb(directory: Path, begin_string: str, sessions: int) -> int:
    """Resident memory of a process that has made an engine with so many sessions, in KB."""
    directory.mkdir()
    settings = directory / "settings"
    settings.write_text(SETTINGS.format(store=directory) + DICTIONARIES[begin_string].format(of=STANDARD_DIRECTORY))
    command = [sys.executable, "-c", textwrap.dedent(MAKES_AN_ENGINE), str(settings), begin_string, str(sessions)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.parametrize("begin_string", DICTIONARIES)
def test_a_hundred_sessions_more_cost_no_dictionaries(tmp_path: Path, begin_string: str) -> None:
    """A copy of that of FIX 4.4 takes 2.4 MB, one of FIX 5.0 SP2 some 20."""
    few, many = (resident_kb(tmp_path / str(number), begin_string, number) for number in (2, 102))
    assert few < 200_000
    assert (many - few) / 100 < 200

"""What the matrix needs of the machine: a file system of its own, a compiler. Where one is missing its cell says so.

A file system that is really full takes a mount, and that takes root: the command then runs in a mount namespace of
its own (`unshare`), so that nothing of it is left behind, however it ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
INSIDE = "OMS_MATRIX_NAMESPACE"
STATE_SIZE = "700m"


def enter_namespace(script: str) -> None:
    """Start the command again in a mount namespace of its own, where that is possible."""
    if os.environ.get(INSIDE) or os.geteuid() != 0 or not shutil.which("unshare"):
        return
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return
    os.environ[INSIDE] = "1"
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, script, *sys.argv[1:]]
    os.execvp(command[0], command)


def mount_state(state: Path, stores: Path) -> bool:
    """A small file system for the state directory, its message stores elsewhere; False where it cannot be."""
    if not os.environ.get(INSIDE):
        return False
    state.mkdir(parents=True, exist_ok=True)
    options = f"size={STATE_SIZE},mode=0755"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "oms-matrix", str(state)], check=False)
    if done.returncode:
        return False
    stores.mkdir()
    (state / "fix_store").symlink_to(stores)
    return True


def unmount(state: Path) -> None:
    """Let go of it, once nobody uses it any more."""
    if state.is_mount():
        subprocess.run(["umount", str(state)], check=False)


def fill(state: Path) -> Path:
    """Take all room that is left; returns the file that takes it."""
    ballast = state / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1_048_576, 4096, 1):
            block = bytes(size)
            try:
                while file.write(block) == size:
                    pass
            except OSError:
                continue
    return ballast


def killer(directory: Path) -> Path | None:
    """The library that ends a process after a write of a store, compiled; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    made = directory / "killer.so"
    if not made.exists():
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(HERE / "killer.c"), "-ldl"], check=True
        )
    return made

"""What the machine must have before anything is installed, and what to install where it is missing.

Everything that is missing is named in one line, with its packages. Nothing here changes the machine.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuplib.running import SetupFailed

CXX_FLAGS = "-O2 -g0 -DHAVE_SSL=1"
# --no-as-needed: the linker would otherwise drop libssl, which stands before the objects on its command line.
LD_FLAGS = "-lssl -lcrypto" if sys.platform == "darwin" else "-Wl,--no-as-needed -lssl -lcrypto"

PACKAGES = {  # what may be missing -> its package on Debian and Ubuntu, on Fedora and RHEL, with brew
    "a C++ compiler": ("g++", "gcc-c++", "llvm"),
    "the Python headers": ("python{0}-dev", "python{0}-devel", "python@{0}"),
    "the Python venv module": ("python{0}-venv", "python{0}", "python@{0}"),
    "the OpenSSL headers": ("libssl-dev", "openssl-devel", "openssl@3"),
}
OPENSSL_WITHOUT_COMPILER = ("/usr/include", "/usr/local/include", "/opt/homebrew/opt/openssl@3/include")


def compiler() -> str | None:
    """The C++ compiler of the build: CXX, else the one this Python was built with, else a usual name."""
    for command in (os.environ.get("CXX"), sysconfig.get_config_var("CXX"), "c++", "g++", "clang++"):
        if command and shutil.which(str(command).split()[0]):
            return str(command)
    return None


def build_variables() -> dict[str, str]:
    """The environment of the QuickFIX build: compiler and flags, and where brew has OpenSSL."""
    include, library = "", ""
    if sys.platform == "darwin" and shutil.which("brew"):
        found = subprocess.run(["brew", "--prefix", "openssl@3"], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            include, library = f" -I{found.stdout.strip()}/include", f"-L{found.stdout.strip()}/lib "
    return {"CXX": compiler() or "c++", "CXXFLAGS": CXX_FLAGS + include, "LDFLAGS": library + LD_FLAGS}


def compiles(source: str) -> bool:
    """Whether the build's compiler, with the build's flags, takes a piece of C++."""
    variables = build_variables()
    command = [*variables["CXX"].split(), *variables["CXXFLAGS"].split(), "-std=c++17", "-fsyntax-only"]
    trial = subprocess.run([*command, "-x", "c++", "-"], input=source, text=True, capture_output=True, check=False)
    return trial.returncode == 0


def missing(*, to_build: bool) -> list[str]:
    """What this machine lacks, in the words of PACKAGES; less is needed where nothing is built."""
    lacks = []
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        lacks.append("the Python venv module")  # Debian ships Python without it
    if not to_build:
        return lacks
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        lacks.append("the Python headers")
    if compiler() is None or not compiles("#include <string>\n"):
        lacks.append("a C++ compiler")
        openssl = any((Path(root) / "openssl" / "ssl.h").exists() for root in OPENSSL_WITHOUT_COMPILER)
    else:
        openssl = compiles("#include <openssl/ssl.h>\n")
    return lacks if openssl else [*lacks, "the OpenSSL headers"]


def require(lacks: list[str]) -> None:
    """Raise SetupFailed with one line that names all that is missing and how to get it, if anything is."""
    if not lacks:
        return
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    apt, dnf, brew = (" ".join(PACKAGES[name][i].format(version) for name in lacks) for i in range(3))
    raise SetupFailed(
        f"missing: {', '.join(lacks)} (for {sys.executable}). Install and run again: "
        f"apt-get install {apt} | dnf install {dnf} | brew install {brew}"
    )

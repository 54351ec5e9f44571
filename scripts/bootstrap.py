"""Prepares a clean clone: Python environment in .venv, pinned packages, the local Ethereum node.

Promises: needs nothing but Python 3.11+ and Node 20+; does nothing when everything is already as pinned;
          says in one line what is missing and how to get it.
Never:    imports anything that is not in the standard library (it runs before anything is installed).
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
PINS = ("requirements/dev.txt", "pyproject.toml", "package-lock.json")
UV_VERSION = "0.13.8"
MIN_PYTHON = (3, 11)
MIN_NODE = 20


class MissingError(Exception):
    """Something a person has to install first. The message says what and how."""


def main() -> int:
    try:
        node_version = require_tools()
        wanted = fingerprint(node_version)
        if STAMP.exists() and STAMP.read_text() == wanted:
            return 0
        step("Python environment in .venv", make_environment)
        step("Python packages, as pinned in requirements/dev.txt", install_python)
        step("local Ethereum node, as pinned in package-lock.json", install_node_tools)
        STAMP.write_text(fingerprint(node_version))
    except MissingError as problem:
        print(f"\n  {problem}", file=sys.stderr)
        return 2
    return 0


def require_tools() -> str:
    """Node's version. Raises MissingError naming what to install."""
    if sys.version_info < MIN_PYTHON:
        raise MissingError(
            f"Python {platform.python_version()} is too old: 3.11 or newer is needed. "
            "Install it and run `make PYTHON=python3.11 up`."
        )
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise MissingError(
            "Node.js 20 or newer with npm is needed for the local Ethereum node: see https://nodejs.org."
        )
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    found = re.match(r"v(\d+)\.", version)
    if found is None or int(found.group(1)) < MIN_NODE:
        raise MissingError(f"Node.js {version} is too old: 20 or newer is needed, see https://nodejs.org.")
    return version


def fingerprint(node_version: str) -> str:
    """Changes whenever anything that decides what is installed changes.

    Not with the Python that asks: whoever has .venv/bin on the PATH may ask with another one than made it.
    """
    digest = hashlib.sha256()
    for name in PINS:
        digest.update((ROOT / name).read_bytes())
    return f"{digest.hexdigest()} {environment_version()} {node_version} {ROOT}"


def environment_version() -> str:
    """Of the Python in .venv; where there is none yet, of the one that will make it."""
    if (VENV / "bin" / "python").exists():  # a link, whose Python may have gone
        found = re.search(r"^version\s*=\s*(\S+)", (VENV / "pyvenv.cfg").read_text(), re.MULTILINE)
        if found is not None:
            return found.group(1)
    return platform.python_version()


def make_environment() -> None:
    if not (VENV / "bin" / "python").exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
        if made.returncode:
            raise MissingError(
                f"python3 cannot make a virtual environment ({made.stderr.strip() or made.stdout.strip()}). "
                "On Debian and Ubuntu: apt-get install python3-venv."
            )
    run([str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", f"uv=={UV_VERSION}"], "installing uv")


def install_python() -> None:
    uv = str(VENV / "bin" / "uv")
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    # Compiled now: otherwise every first start of a tool pays for it.
    sync = [uv, "pip", "install", "--quiet", "--compile-bytecode", "-r", "requirements/dev.txt"]
    run(sync, "installing the pinned packages", environment)
    run([uv, "pip", "install", "--quiet", "--no-deps", "-e", "."], "installing the cxdex command", environment)


def install_node_tools() -> None:
    # Not `npm ci`: it wants the node's builds for every other platform in the lock file, which a registry mirror
    # need not have. --no-save keeps to the lock file and does not touch it.
    run(["npm", "install", "--no-save", "--loglevel=error"], "installing the node tools")


def run(command: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n    ".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise MissingError(
            f"{what} failed:\n    {tail}\n  Check the network and the package registry settings, then run it again."
        )


def step(title: str, action: object) -> None:
    assert callable(action)
    print(f"  ... {title}", end="", flush=True)
    started = time.monotonic()
    action()
    print(f"\r  ok  {title} ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Which build of the engine this process runs: the Python sources, or the same sources compiled to machine code.

Owns:     where compiled builds are kept, and the choice, made once, before the first module of the engine is imported.
Promises: a compiled build is used only if it was made from exactly these sources for exactly this Python; after any
          change of a source the sources run, until `make compiled` makes a new build. Both give the same events and the
          same state hash for the same commands (`scripts.compare_builds` shows it).
Never:    compiles (see `scripts.compile_engine`), and changes nothing about what the engine does.

CXDEX_ENGINE_BUILDS names another folder of builds; the word `off` makes the sources run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "relayer" / "engine"
BUILDS = ROOT / ".cache" / "engine"
SETTING = "CXDEX_ENGINE_BUILDS"
OFF = "off"
LIBRARY = "relayer_engine"  # the shared library behind the compiled modules
SUFFIX = EXTENSION_SUFFIXES[0]  # names this Python's version and the machine

PYTHON, COMPILED = "python", "compiled"


def sources() -> list[Path]:
    """What is compiled: not the modules that define messages.

    The compiler takes `==` on msgspec's classes for identity if it has compiled their definition; to what it has not
    compiled it leaves the meaning of `==`.
    """
    modules = sorted(path for path in ENGINE.glob("*.py") if path.name != "__init__.py")
    return [path for path in modules if b"msgspec.Struct" not in path.read_bytes()]


def fingerprint() -> str:
    """Changes with every source of the engine, and with those whose constants the compiler takes over."""
    digest = hashlib.sha256(SUFFIX.encode())
    for path in sorted((*ENGINE.glob("*.py"), *(ROOT / "cxdex").glob("*.py"))):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


def builds_folder() -> Path | None:
    """None: compiled builds are not wanted."""
    named = os.environ.get(SETTING)
    return None if named == OFF else Path(named) if named else BUILDS


def find_build() -> Path | None:
    """The compiled build of these sources, if there is one and it is wanted."""
    folder = builds_folder()
    if folder is None or not folder.is_dir():
        return None
    build = folder / fingerprint()
    return build if build.is_dir() else None


def engine_path() -> Iterator[str]:
    """Folders in which the engine's modules are looked for before their sources. Called by `relayer.engine` alone."""
    build = find_build()
    if build is not None:
        _load_library(build)
        yield str(build / "relayer" / "engine")


def running() -> str:
    """`compiled` or `python`: what the engine of this process is."""
    from relayer.engine import core

    return COMPILED if str(core.__file__).endswith(SUFFIX) else PYTHON


def describe() -> str:
    """Which build runs, and why."""
    which = running()
    if which == COMPILED:
        return f"{which} (made from these sources: {find_build()})"
    if builds_folder() is None:
        return f"{which} ({SETTING}={OFF})"
    return f"{which} (no compiled build of these sources in {builds_folder()}; `make compiled` makes one)"


def _load_library(build: Path) -> None:
    name = f"{LIBRARY}__mypyc"
    path = str(build / (name + SUFFIX))
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, path))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


def main(argv: list[str]) -> int:
    """`python -m relayer build`"""
    parser = argparse.ArgumentParser(
        prog="python -m relayer build", description="Says which build of the engine runs here, and why."
    )
    parser.parse_args(argv)
    print(describe())
    return 0

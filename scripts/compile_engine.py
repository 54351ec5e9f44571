"""Compiles the engine's sources, as they are, to machine code: `make compiled`.

Needs a C compiler and Python's headers. The build goes to .cache/engine (or CXDEX_ENGINE_BUILDS) under a name that its
sources determine, so that it is used by every process that has these sources, and by no other.

Promises: the sources are not changed, and remain what runs when the build is removed. A build appears whole or not at
          all.
Exit code 0 when there is a build, 2 when it cannot be made, with the reason.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from relayer.build import BUILDS, LIBRARY, ROOT, builds_folder, fingerprint, sources

COMPILER_SECONDS = 600.0
OPTIMISATION = "3"
BUILDS_KEPT = 4  # a process that still runs an earlier one must not lose it


class CannotCompile(Exception):
    """The message says what is missing or what failed."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="compile_engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    folder = builds_folder() or BUILDS
    began = time.monotonic()
    try:
        build = compile_into(folder)
    except CannotCompile as problem:
        print(f"compile_engine: {problem}\n  The engine runs from its Python sources.", file=sys.stderr)
        return 2
    print(f"compiled {len(sources())} modules in {time.monotonic() - began:.0f} s: {build}")
    return 0


def compile_into(folder: Path) -> Path:
    """The build of the present sources. Raises CannotCompile."""
    build = folder / fingerprint()
    if build.is_dir():
        return build
    require_tools()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder) as work:
        made = run_compiler(Path(work))
        try:
            made.rename(build)
        except OSError:  # another process was faster
            if not build.is_dir():
                raise
    finished = [one for one in folder.iterdir() if not one.name.startswith("unfinished-")]
    for old in sorted(finished, key=lambda one: one.stat().st_mtime)[:-BUILDS_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return build


def require_tools() -> None:
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise CannotCompile(f"there is no C compiler ({compiler}): on Debian and Ubuntu, apt-get install gcc")
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        raise CannotCompile("Python's headers are missing: on Debian and Ubuntu, apt-get install python3-dev")
    try:
        import mypyc.build  # noqa: F401
        import setuptools  # noqa: F401
    except ImportError as error:
        raise CannotCompile(f"{error.name} is not installed: pip install 'cxdex[compiled]'") from None


def run_compiler(work: Path) -> Path:
    """The folder with the modules, all of them."""
    recipe = [sys.executable, "-c", RECIPE, LIBRARY, str(work), OPTIMISATION]
    recipe += [str(path.relative_to(ROOT)) for path in sources()]
    try:
        done = subprocess.run(recipe, cwd=ROOT, capture_output=True, text=True, timeout=COMPILER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CannotCompile(f"the compiler was not done after {COMPILER_SECONDS:.0f} s") from None
    if done.returncode:
        raise CannotCompile("the compiler refused:\n" + (done.stdout + done.stderr)[-4000:])
    made = work / "made"
    if not (made / "relayer" / "engine").is_dir():
        raise CannotCompile(f"the compiler left nothing:\n{(done.stdout + done.stderr)[-4000:]}")
    return made


# In a process of its own, because the tools take over arguments, output and the exit code.
RECIPE = """
import sys
from mypyc.build import mypycify
from setuptools import setup
library, work, optimisation, *sources = sys.argv[1:]
checks = ["--config-file=", "--ignore-missing-imports", f"--cache-dir={work}/types"]
modules = mypycify([*checks, *sources], group_name=library, target_dir=f"{work}/c", opt_level=optimisation)
setup(
    name="engine",
    packages=[],
    ext_modules=modules,
    script_args=["-q", "build_ext", f"--build-lib={work}/made", f"--build-temp={work}/objects"],
)
"""


if __name__ == "__main__":
    sys.exit(main())

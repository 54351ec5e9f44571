"""The compiled engine against the Python sources, on the same random commands: `make fuzz-compiled`.

python -m scripts.compare_builds [--commands 1000000] [--seed S]

Compiles the engine if there is no build of these sources yet. The flows (see `scripts.engine_flows`) are recorded with
the Python sources; then a process of each build plays them, and all events and state hashes must be the same.
Exit code 0 when they are, 1 with the first flow that differs and the seed, 2 when the engine cannot be compiled.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from relayer.build import BUILDS, COMPILED, OFF, PYTHON, ROOT, SETTING, builds_folder
from scripts.compile_engine import CannotCompile, compile_into


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="compare_builds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, help="of the flows; without it, a new one each time")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    folder = builds_folder() or BUILDS
    try:
        print(f"compiled: {compile_into(folder)}")
    except CannotCompile as problem:
        print(f"compare_builds: {problem}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="cxdex-flows-") as work:
        return compare(Path(work) / "flows", options.commands, seed, folder)


def compare(flows: Path, commands: int, seed: int, folder: Path) -> int:
    recorded = run(OFF, "record", str(flows), "--commands", str(commands), "--seed", str(seed))
    print(f"seed {seed}, {int(recorded[0]):,} commands")
    said: dict[str, list[str]] = {}
    for build, setting in ((PYTHON, OFF), (COMPILED, str(folder))):
        began = time.monotonic()
        first, *said[build] = run(setting, "replay", str(flows))
        if first != f"build {build}":
            print(f"the engine that was to be {build} says: {first}", file=sys.stderr)
            return 1
        print(f"{build:9}{time.monotonic() - began:6.1f} s")
    for ours, theirs in zip(said[PYTHON], said[COMPILED], strict=False):
        if ours != theirs:
            print(f"DIFFERENT, seed {seed}\n  {PYTHON}:   {ours}\n  {COMPILED}: {theirs}")
            return 1
    if len(said[PYTHON]) != len(said[COMPILED]):
        print(f"DIFFERENT, seed {seed}: one of them stopped early")
        return 1
    print("the same events, the same states\n" + "\n".join(line for line in said[PYTHON] if line.startswith(" ")))
    return 0


def run(setting: str, *arguments: str) -> list[str]:
    """The lines that `scripts.engine_flows` prints."""
    command = [sys.executable, "-m", "scripts.engine_flows", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, SETTING: setting}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"compare_builds: {' '.join(arguments[:1])} failed, with {SETTING}={setting}")
    return done.stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())

"""The whole exchange under load, with everything that can die dying at random; then every promise is checked.

    python -m scripts.chaos --seconds 600 --seed 1        (or `make chaos SECONDS=600 SEED=1`)
    python -m scripts.chaos --kills 300 --seed 1          (or `make kills KILLS=300 SEED=1`)

Starts what `make up` starts, and traders with keys of their own. With --seconds: kills and frozen processes of every
kind, reorgs of 1 to 64 blocks, a node that hangs or is started again. With --kills: nothing but SIGKILL of API, engine
and settler at random points, so many in all. After each restart some acknowledged orders are asked for, at the end all.

Promises: the choice of faults is a function of the seed. Exit code 0 when every question is answered well; 1 with the
          seed and the folder of the state, which is kept; 2 when it could not start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from cxdex.problem import Problem
from scripts.chain import Chain
from scripts.chaos.load import Load, fund
from scripts.chaos.run import Run
from scripts.stack.layout import Layout, StackError, free_port
from scripts.stack.run import Stack, only_one

MARK = "chaos.json"
ENGINE_OPTIONS = ("--snapshot-every", "400")  # so that starts use snapshots, old ones and none


def main() -> int:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.ERROR)
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(2**32)
    state = arguments.state.resolve()
    console = Console(highlight=False)
    goal = f"{arguments.kills} kills" if arguments.kills else f"{arguments.seconds:g} seconds"
    console.print(f"seed {seed}, {goal}, state in {state}")
    try:
        prepare(state)
        with only_one(state):
            good = play(arguments, state, seed, console)
    except (StackError, Problem) as problem:
        console.print(f"\n[bold red]could not start[/]  {problem}", soft_wrap=True)
        return 2
    if good:
        console.print(f"\nall is well; seed {seed}")
        return 0
    console.print(f"\n[bold red]something is wrong[/]: seed {seed}; the state and the logs are kept in {state}")
    return 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="how long the load lasts (default 600)")
    parser.add_argument("--kills", type=int, default=0, help="nothing but so many SIGKILLs of API, engine and settler")
    parser.add_argument("--seed", type=int, help="of the faults; without it, a new one each time")
    parser.add_argument("--state", type=Path, default=Path(".chaos"), help="folder of the state (default .chaos)")
    parser.add_argument("--traders", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.3, help="mean seconds between two actions of a trader")
    return parser.parse_args()


def prepare(state: Path) -> None:
    """An empty folder. Raises StackError for one that is something else."""
    if state.exists() and any(state.iterdir()) and not (state / MARK).exists():
        raise StackError(
            f"{state} is there and is not the state of an earlier run of this; choose another with --state"
        )
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    (state / MARK).write_text("{}\n")


def play(arguments: argparse.Namespace, state: Path, seed: int, console: Console) -> bool:
    layout = Layout(state, free_port(), free_port(), engine_options=ENGINE_OPTIONS)
    with running(layout, console) as stack:
        return asyncio.run(storm(arguments, stack, seed, console))


@contextlib.contextmanager
def running(layout: Layout, console: Console) -> Iterator[Stack]:
    stack, began = Stack(layout), time.monotonic()
    stack.start()
    console.print(f"started in {time.monotonic() - began:.0f} s")
    try:
        yield stack
    finally:
        stack.stop()


async def storm(arguments: argparse.Namespace, stack: Stack, seed: int, console: Console) -> bool:
    layout = stack.layout
    load = Load(layout, arguments.traders, arguments.pause, seed)
    chain = Chain(layout.rpc_url)
    await asyncio.to_thread(fund, chain, layout.deployment, layout, load.keys)
    run = Run(stack, load, chain, seed, lambda line: console.print(line, soft_wrap=True, markup=False))
    try:
        await run.under_load(arguments.seconds, arguments.kills)
        return await run.judge(layout.state / MARK)
    finally:
        await load.close()


if __name__ == "__main__":
    sys.exit(main())

"""Which fault comes when: a function of the seed alone.

Promises: the same seed is the same sequence of faults and pauses. Processes and the chain have a sequence each, so that
          a process also dies while the node is away or the chain changes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

SERVICES = ("indexer", "engine", "settler", "api")
OTHERS = ("price reporter", "market maker", "taker")
DEEPEST_REORG = 64
DEPTHS = ((1, 3), (4, 12), (13, 30), (31, DEEPEST_REORG))


@dataclass(frozen=True)
class Fault:
    """kind: kill, freeze, reorg, rollback, hang, restart. victims: processes. seconds: how long. depth: blocks.

    keep: which of the dropped transactions are mined again: all, some (of each sender the first ones), none.
    pause: seconds to wait before it.
    """

    kind: str
    pause: float
    victims: tuple[str, ...] = ()
    seconds: float = 0.0
    depth: int = 0
    keep: str = "all"


def process_faults(seed: int) -> Iterator[Fault]:
    """Kills and frozen processes, for ever."""
    dice = random.Random(f"processes {seed}")
    while True:
        kind = dice.choices(("one", "two", "all", "freeze"), (70, 10, 5, 15))[0]
        pause = dice.uniform(0.3, 4.0)
        down = 0.0 if dice.random() < 0.6 else dice.uniform(0.5, 6.0)
        if kind == "freeze":
            yield Fault("freeze", pause, (dice.choice(SERVICES),), dice.uniform(0.2, 5.0))
        elif kind == "one":
            yield Fault("kill", pause, (dice.choices((*SERVICES, *OTHERS), (20, 30, 22, 18, 4, 3, 3))[0],), down)
        elif kind == "two":
            yield Fault("kill", pause, tuple(sorted(dice.sample(SERVICES, 2), key=SERVICES.index)), down)
        else:
            yield Fault("kill", pause, (*SERVICES, *OTHERS), down)


def kills(seed: int, victim: str) -> Iterator[Fault]:
    """SIGKILL of one process, again and again: often before it has done much since its start."""
    dice = random.Random(f"kills of {victim} {seed}")
    while True:
        yield Fault("kill", dice.uniform(0.0, 0.3) if dice.random() < 0.2 else dice.uniform(0.3, 6.0), (victim,))


def chain_faults(seed: int) -> Iterator[Fault]:
    """Reorgs of all depths, a node that has lost its last blocks, that hangs, that is started again, for ever."""
    dice = random.Random(f"chain {seed}")
    while True:
        kind = dice.choices(("reorg", "rollback", "hang", "restart"), (60, 10, 15, 15))[0]
        pause = dice.uniform(3.0, 15.0)
        if kind == "reorg":
            depth = dice.randint(*dice.choice(DEPTHS))
            yield Fault("reorg", pause, depth=depth, keep=dice.choices(("all", "some", "none"), (60, 25, 15))[0])
        elif kind == "rollback":
            yield Fault("rollback", pause, depth=dice.randint(1, 12))
        else:
            yield Fault(kind, pause, seconds=dice.uniform(0.5, 8.0))

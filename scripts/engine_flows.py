"""Writes random flows of engine commands to a file, and plays such a file through the engine: `scripts.compare_builds`.

python -m scripts.engine_flows record FILE --commands N --seed S
python -m scripts.engine_flows replay FILE

A flow begins with an empty engine. Half of the commands are those of the tests' model, which checks the engine's
answers while they are recorded: everything that can happen, in flows of 80 actions. The other half is one flow of busy
trading in deep books. In the file each command is a line, as in the journal, and an empty line ends a flow.

`replay` prints the build that runs, then a line for each flow: the SHA-256 over all its events and, at its end, over
the state, the state being taken through a snapshot half-way; then how often each kind of event was seen.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from cxdex.facts import FillSettled, FillSkipped
from cxdex.order import SelfTrade, Side, TimeInForce
from relayer.build import running
from relayer.engine.commands import AnyCommand
from relayer.engine.core import Engine
from relayer.engine.events import Traded
from relayer.journal.record import decode_command, encode_command
from scripts.tests_folder import open_tests_folder

ACTIONS = 80
CANCELS, SETTLEMENTS = 0.15, 0.12  # parts of the busy flow
SKIPPED = 0.05  # of its fills
TIMES_IN_FORCE = [TimeInForce.GTC] * 5 + [TimeInForce.POST_ONLY, TimeInForce.IOC, TimeInForce.FOK]

_encode = msgspec.json.Encoder().encode


def record(path: Path, wanted: int, seed: int) -> int:
    """Returns how many commands were written."""
    open_tests_folder("relayer/engine")
    from model_flow import Flow
    from random_actions import random_flow

    dice = random.Random(seed)
    commands = trade(dice, wanted // 2)
    count = len(commands)
    with path.open("wb") as file:
        write(file, commands)
        while count < wanted:
            flow = Flow()
            for action in random_flow(dice.randrange(2**32), ACTIONS):
                flow.step(action)
            write(file, flow.desk.commands)
            count += len(flow.desk.commands)
    return count


def write(file: BinaryIO, commands: Sequence[AnyCommand]) -> None:
    file.write(b"".join(encode_command(command) + b"\n" for command in commands) + b"\n")


def trade(dice: random.Random, wanted: int) -> list[AnyCommand]:
    """Orders of three traders around a walking price, cancels, and what the chain makes of the fills."""
    from trading_desk import BTC, TRADERS, Desk

    desk, middle = Desk(), 100_000
    accounts, sides, modes = list(TRADERS.values()), list(Side), list(SelfTrade)
    made: list[bytes] = []
    fills: deque[int] = deque()
    while len(desk.commands) < wanted:
        kind = dice.random()
        if kind < CANCELS and made:
            digest = made.pop(dice.randrange(len(made)))
            desk.cancel(desk.orders[digest].account, digest)
        elif kind < CANCELS + SETTLEMENTS and fills:
            number = fills.popleft()
            is_skipped = dice.random() < SKIPPED
            desk.fact(FillSkipped(BTC.symbol, number, 1) if is_skipped else FillSettled(BTC.symbol, number))
        else:
            middle += dice.randint(-1, 1)
            price, lots = middle + dice.randint(-20, 20), dice.randint(1, 60)
            terms = {"time_in_force": dice.choice(TIMES_IN_FORCE), "self_trade": dice.choice(modes)}
            digest, events = desk.send(desk.order(dice.choice(accounts), dice.choice(sides), lots, price, **terms))
            made.append(digest)
            fills.extend(event.sequence for event in events if isinstance(event, Traded))
    return desk.commands


def replay(path: Path) -> None:
    print(f"build {running()}")
    seen: Counter[str] = Counter()
    for number, flow in enumerate(path.read_bytes().split(b"\n\n")[:-1]):
        print(number, play(flow.split(b"\n"), seen))
    for kind, count in sorted(seen.items()):
        print(f"{count:>12,}  {kind}")


def play(lines: list[bytes], seen: Counter[str]) -> str:
    engine, digest = Engine(), hashlib.sha256()
    for number, line in enumerate(lines):
        events = engine.apply(decode_command(line))
        digest.update(_encode(events))
        seen.update(type(event).__name__ for event in events)
        if number == len(lines) // 2:
            engine = Engine.restore(engine.snapshot())
    digest.update(engine.state_hash())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="engine_flows", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("record", "replay"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.action == "record":
        print(record(options.file, options.commands, options.seed))
    else:
        replay(options.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())

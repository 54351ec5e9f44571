"""Random commands of `python -m relayer match`, made so that every rule is met often and the book stays shallow.

Owns:     which commands there are and how often, and how a line is spoilt.
Promises: a function of the dice and of the resting orders alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Protocol

MODES = ("NONE", "CANCEL_TAKER", "CANCEL_MAKER", "CANCEL_BOTH", "DECREMENT")
TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "POST_ONLY")
KINDS, USUAL, CROWDED = ("place", "cancel", "reduce", "replace"), (68, 10, 8, 14), (30, 70, 8, 14)
MOST_RESTING = 60
WEATHER_EVERY = 500  # commands
HIGHEST_PRICE = 2**64 - 1

Command = dict[str, Any]


class Resting(Protocol):
    """An order that rests, as the naive matcher has it."""

    id: object
    price: int
    quantity: int


class Flow:
    """Prices, sizes and accounts change with the weather, so that books are now crowded, now wide."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._number = 0
        self._change_weather()

    def next(self, resting: Sequence[Resting]) -> Command:
        self._number += 1
        if self._number % WEATHER_EVERY == 0:
            self._change_weather()
        kind = self._dice.choices(KINDS, CROWDED if len(resting) > MOST_RESTING else USUAL)[0]
        if kind == "place":
            return self._place()
        order = self._choose(resting)
        command: Command = {"op": kind, "id": self._some_id() if order is None else str(order.id)}
        if kind != "cancel":
            command["quantity"] = self._quantity(order)
        if kind == "replace":
            same = order is not None and self._dice.random() < 0.3
            command["price"] = order.price if same and order is not None else self._price()
            command["stp"] = self._dice.choice(MODES)
        return command

    def _place(self) -> Command:
        dice = self._dice
        used = dice.random() < 0.02
        command: Command = {
            "op": "place",
            "id": self._some_id() if used else str(self._number),
            "account": f"a{dice.randrange(self._accounts)}",
            "side": dice.choice(("buy", "sell")),
            "type": "market" if dice.random() < 0.08 else "limit",
            "tif": dice.choices(TIMES_IN_FORCE, (60, 14, 14, 12))[0],
            "quantity": self._quantity(None),
            "stp": dice.choice(MODES),
        }
        if command["type"] == "limit":
            command["price"] = self._price()
        return command

    def _choose(self, resting: Sequence[Resting]) -> Resting | None:
        """Mostly one that rests; None: any number, used or not."""
        return self._dice.choice(resting) if resting and self._dice.random() < 0.85 else None

    def _some_id(self) -> str:
        return str(self._dice.randint(max(0, self._number - 300), self._number + 20))

    def _price(self) -> int:
        if self._dice.random() < 0.01:
            return self._dice.choice((0, -1, 1, HIGHEST_PRICE, HIGHEST_PRICE + 1))
        return self._middle + self._dice.randint(-self._width, self._width)

    def _quantity(self, order: Resting | None) -> int:
        if self._dice.random() < 0.02:
            return self._dice.choice((0, -1, -(2**40)))
        if order is not None and self._dice.random() < 0.5:
            return max(1, order.quantity + self._dice.randint(-2, 1))
        return self._dice.randint(1, self._largest)

    def _change_weather(self) -> None:
        dice = self._dice
        self._middle = dice.choice((12, 1_000, 100_012, 2**63))
        self._width = dice.randint(0, 11)
        self._largest = dice.choice((3, 20, 1_000, 2**62))
        self._accounts = dice.randint(1, 6)


def kind_of(command: Command) -> Iterator[str]:
    """Under which counts the command goes."""
    yield command["op"]
    if command["op"] == "place":
        yield f"place {command['type']} {command['tif']} {command['stp']}"
    elif command["op"] == "replace":
        yield f"replace {command['stp']}"


def expected_kinds() -> list[str]:
    placed = [f"place {kind} {tif} {mode}" for kind, tif, mode in product(("limit", "market"), TIMES_IN_FORCE, MODES)]
    return ["place", "cancel", "reduce", "replace", *placed, *(f"replace {mode}" for mode in MODES)]


def spoilt(dice: random.Random, line: bytes) -> bytes:
    """The line with something wrong, so that it is no command any more."""
    match dice.randrange(7):
        case 0:
            return line[: dice.randrange(1, len(line))]
        case 1:
            return line + dice.choice((b"}", b"x", b",", b'"'))
        case 2:
            return line.replace(b'"op":"', b'"op":"un')
        case 3:
            return line.replace(b'"id":"', b'"id":"\xff')
        case 4:
            return line.replace(b'"id":"', b'"why":"typo","id":"')
        case 5:
            return line.replace(b'"id":', b'"Id":')
        case _:
            return b"[" + line + b"]"

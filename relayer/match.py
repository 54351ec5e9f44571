"""`python -m relayer match COMMANDS.jsonl [--book]`: orders through a bare book, with no chain, balances or risk.

Owns:     the command language of the offline matcher and its events, both one JSON object a line.
Promises: the same book code as the exchange; every command is answered, in order, under its 0-based index `seq`.
          With --book the final resting orders are printed instead: bids then asks, best price first, oldest first
          within a price.
Never:    guesses: a line that is not a command stops the run with its line number and exit status 2, after the
          events of the lines before it.

Commands (price in ticks, quantity in lots, whole numbers; a market order has no price):
  {"op":"place","id":"17","account":"a3","side":"buy","type":"limit","tif":"GTC","price":100,"quantity":7,"stp":"NONE"}
  {"op":"cancel","id":"17"}  {"op":"reduce","id":"17","quantity":3}
  {"op":"replace","id":"17","price":99,"quantity":9,"stp":"NONE"}
Events: accepted, rejected, trade, stp (self-trade prevention acted), canceled, reduced, replaced.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from cxdex.order import SelfTrade
from relayer.engine.book import CANCEL_BOTH, CANCEL_MAKER, CANCEL_TAKER, DECREMENT, TRADE, Book, BookOrder

HIGHEST_PRICE = 2**64 - 1  # the width the contract packs; a market order reaches every price
LOWEST_PRICE = 0

SelfTradeWord = Literal["NONE", "CANCEL_TAKER", "CANCEL_MAKER", "CANCEL_BOTH", "DECREMENT"]
EventLine = dict[str, Any]


class _Command(msgspec.Struct, tag_field="op", tag=str.lower, forbid_unknown_fields=True):
    id: str


class Place(_Command):
    account: str
    side: Literal["buy", "sell"]
    type: Literal["limit", "market"]
    quantity: int
    price: int | None = None
    tif: Literal["GTC", "IOC", "FOK", "POST_ONLY"] = "GTC"
    stp: SelfTradeWord = "NONE"


class Cancel(_Command):
    pass


class Reduce(_Command):
    quantity: int


class Replace(_Command):
    price: int
    quantity: int
    stp: SelfTradeWord = "NONE"


_decoder = msgspec.json.Decoder(Place | Cancel | Reduce | Replace)
_encoder = msgspec.json.Encoder()


class _Refusal(Enum):
    """Why a well-formed command changed nothing."""

    ID_USED = "an order with this id was accepted before"
    NOT_OPEN = "no open order has this id"
    QUANTITY = "quantity must be 1 or more"
    PRICE = "price must be 1 to 18446744073709551615"
    REDUCE = "quantity must be below the remaining quantity"
    POST_ONLY = "the order would trade at once"
    FOK = "the book cannot fill the whole order"


class Matcher:
    """A book with order ids. `apply` answers each command with its events, without `seq`."""

    def __init__(self) -> None:
        self.book: Book[str] = Book()
        self._open: dict[str, BookOrder[str]] = {}
        self._accepted: set[str] = set()

    def apply(self, command: Place | Cancel | Reduce | Replace) -> list[EventLine]:
        match command:
            case Place():
                return self._place(command)
            case Cancel():
                return self._cancel(command)
            case Reduce():
                return self._reduce(command)
            case Replace():
                return self._replace(command)

    def _place(self, command: Place) -> list[EventLine]:
        if command.id in self._accepted:
            return [_rejected(command.id, _Refusal.ID_USED)]
        if command.quantity <= 0:
            return [_rejected(command.id, _Refusal.QUANTITY)]
        is_buy = command.side == "buy"
        price = command.price
        if price is None:
            price = HIGHEST_PRICE if is_buy else LOWEST_PRICE
        elif not 0 < price <= HIGHEST_PRICE:
            return [_rejected(command.id, _Refusal.PRICE)]
        order = BookOrder(command.id, command.account, is_buy, price, command.quantity)
        mode = _self_trade(command.stp)
        if command.tif == "POST_ONLY" and self.book.crosses(order):
            return [_rejected(command.id, _Refusal.POST_ONLY)]
        if command.tif == "FOK" and not self.book.can_fill(order, mode):
            return [_rejected(command.id, _Refusal.FOK)]
        self._accepted.add(command.id)
        events: list[EventLine] = [{"event": "accepted", "id": command.id}]
        drop_as = "MARKET" if command.type == "market" else command.tif if command.tif in ("IOC", "FOK") else None
        self._enter(order, mode, drop_as, events)
        return events

    def _cancel(self, command: Cancel) -> list[EventLine]:
        order = self._open.pop(command.id, None)
        if order is None:
            return [_rejected(command.id, _Refusal.NOT_OPEN)]
        self.book.remove(order)
        return [_canceled(order, "USER")]

    def _reduce(self, command: Reduce) -> list[EventLine]:
        order = self._open.get(command.id)
        if order is None:
            return [_rejected(command.id, _Refusal.NOT_OPEN)]
        if command.quantity <= 0:
            return [_rejected(command.id, _Refusal.QUANTITY)]
        if command.quantity >= order.remaining:
            return [_rejected(command.id, _Refusal.REDUCE)]
        self.book.reduce(order, command.quantity)
        return [{"event": "reduced", "id": command.id, "quantity": command.quantity}]

    def _replace(self, command: Replace) -> list[EventLine]:
        order = self._open.get(command.id)
        if order is None:
            return [_rejected(command.id, _Refusal.NOT_OPEN)]
        if command.quantity <= 0:
            return [_rejected(command.id, _Refusal.QUANTITY)]
        if not 0 < command.price <= HIGHEST_PRICE:
            return [_rejected(command.id, _Refusal.PRICE)]
        events: list[EventLine] = [
            {"event": "replaced", "id": command.id, "price": command.price, "quantity": command.quantity}
        ]
        if command.price == order.price and command.quantity <= order.remaining:
            self.book.reduce(order, command.quantity)
            return events
        self.book.remove(order)
        del self._open[command.id]
        successor = BookOrder(command.id, order.account, order.is_buy, command.price, command.quantity)
        self._enter(successor, _self_trade(command.stp), None, events)
        return events

    def _enter(
        self, taker: BookOrder[str], mode: SelfTrade | None, drop_as: str | None, events: list[EventLine]
    ) -> None:
        """Matches the order; then rests what is left of it, or drops it for the reason `drop_as`."""
        stopped = False
        for step, maker, quantity, _ in self.book.match(taker, mode):
            if step == TRADE:
                events.append(
                    {
                        "event": "trade",
                        "taker": taker.key,
                        "maker": maker.key,
                        "price": maker.price,
                        "quantity": quantity,
                    }
                )
            else:
                lowered = quantity if step == DECREMENT else 0
                line = {"event": "stp", "taker": taker.key, "maker": maker.key, "mode": _MODES[step]}
                events.append({**line, "quantity": lowered} if lowered else line)
            if maker.level is None:
                del self._open[maker.key]
                if step in (CANCEL_MAKER, CANCEL_BOTH):
                    events.append(_canceled(maker, "STP"))
            stopped = step in (CANCEL_TAKER, CANCEL_BOTH)
        if stopped:
            events.append(_canceled(taker, "STP"))
        elif taker.remaining and drop_as:
            events.append(_canceled(taker, drop_as))
        elif taker.remaining:
            self.book.rest(taker)
            self._open[taker.key] = taker


_MODES = {step: mode.name for step, mode in {
    DECREMENT: SelfTrade.DECREMENT,
    CANCEL_MAKER: SelfTrade.CANCEL_MAKER,
    CANCEL_TAKER: SelfTrade.CANCEL_TAKER,
    CANCEL_BOTH: SelfTrade.CANCEL_BOTH,
}.items()}  # fmt: skip


def _self_trade(word: SelfTradeWord) -> SelfTrade | None:
    return None if word == "NONE" else SelfTrade[word]


def _rejected(order_id: str, refusal: _Refusal) -> EventLine:
    return {"event": "rejected", "id": order_id, "code": refusal.name, "reason": refusal.value}


def _canceled(order: BookOrder[str], reason: str) -> EventLine:
    return {"event": "canceled", "id": order.key, "quantity": order.remaining, "reason": reason}


class BadLine(ValueError):
    """A line that is not a command; the message names its number."""


def read_commands(lines: Iterable[bytes]) -> Iterator[Place | Cancel | Reduce | Replace]:
    """Blank lines do not count. Raises BadLine."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            command = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadLine(f"line {number} is not a command: {error}") from None
        if isinstance(command, Place):
            if command.type == "limit" and command.price is None:
                raise BadLine(f"line {number} is not a command: a limit order needs a price, in ticks")
            if command.type == "market" and command.price is not None:
                raise BadLine(f"line {number} is not a command: a market order has no price")
        yield command


def _print_events(lines: Iterable[bytes], out: BinaryIO) -> None:
    matcher = Matcher()
    for seq, command in enumerate(read_commands(lines)):
        for event in matcher.apply(command):
            out.write(_encoder.encode({"seq": seq, **event}) + b"\n")


def _print_book(lines: Iterable[bytes], out: BinaryIO) -> None:
    matcher = Matcher()
    for command in read_commands(lines):
        matcher.apply(command)
    for side, is_bid in (("buy", True), ("sell", False)):
        for order in matcher.book.orders(is_bid):
            row = {"side": side, "price": order.price, "id": order.key, "quantity": order.remaining}
            out.write(_encoder.encode(row) + b"\n")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m relayer match", description="Play a file of orders through a bare book, offline."
    )
    parser.add_argument("commands", metavar="COMMANDS.jsonl", help="one JSON command a line; - reads standard input")
    parser.add_argument("--book", action="store_true", help="print the final resting orders instead of the events")
    arguments = parser.parse_args(argv)
    show = _print_book if arguments.book else _print_events
    out = sys.stdout.buffer
    try:
        if arguments.commands == "-":
            show(sys.stdin.buffer, out)
        else:
            with Path(arguments.commands).open("rb") as lines:
                show(lines, out)
        out.flush()
    except BadLine as error:
        out.flush()
        print(f"match: {arguments.commands}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return 0
    except OSError as error:
        print(f"match: cannot read {arguments.commands}: {error.strerror}", file=sys.stderr)
        return 2
    return 0

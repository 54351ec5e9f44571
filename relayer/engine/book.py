"""One market's order book: best price first, then oldest.

Owns:     the resting orders of a market and the walk of a taker through them.
Promises: a trade is at the maker's price, one per maker touched; nothing rests at a price that crosses.
          `match` is the only place where remaining quantities fall by trading.
Never:    knows balances, fees, lanes, expiry or events; keeps no index by id (its callers have their own);
          validates nothing: quantities and prices arrive as positive integers.

Each side is a sorted list of prices with the best one at the end, a dict from price to level, and a linked
list of orders inside the level. Asks are kept under their negated price, so that both sides read alike:
"better" is always the greater key.

An iceberg shows a part of itself. When that is used up, the next part comes out of what is hidden and goes behind all
others of its price; so a taker may meet it several times, for a trade each, with others in between. What is hidden
trades like the rest, so it counts where the question is what a taker would get, and nowhere else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from cxdex.order import SelfTrade

Key = TypeVar("Key", bytes, str)

# What happened to the maker that a step names.
TRADE: Final = 0
DECREMENT: Final = 1  # both orders lowered by the step's quantity, no trade
CANCEL_MAKER: Final = 2
CANCEL_TAKER: Final = 3
CANCEL_BOTH: Final = 4


class BookOrder(Generic[Key]):
    """An order as the book sees it. `level` is None while it does not rest. remaining: lots, price: ticks.

    hidden: lots of an iceberg that are not in `remaining`. display: how many it shows at once; only icebergs have it.
    older, newer: its neighbours at its price; an order that has never rested has none of the two.
    """

    __slots__ = ("account", "display", "hidden", "is_buy", "key", "level", "newer", "older", "price", "remaining")
    older: BookOrder[Key] | None
    newer: BookOrder[Key] | None

    def __init__(self, key: Key, account: Key, is_buy: bool, price: int, remaining: int) -> None:
        self.key: Key = key
        self.account: Key = account
        self.is_buy = is_buy
        self.price = price
        self.remaining = remaining
        self.hidden = 0
        self.level: _Level[Key] | None = None

    @property
    def total(self) -> int:
        """Open lots, shown and hidden."""
        return self.remaining + self.hidden

    def hide(self, display: int) -> None:
        """From now on at most `display` lots show. To be said while the order does not rest."""
        self.display = display
        total = self.remaining + self.hidden
        self.remaining = min(total, display)
        self.hidden = total - self.remaining

    def unhide(self) -> None:
        """For an order that has left the book, so that all of it can be a taker."""
        self.remaining += self.hidden
        self.hidden = 0


Step = tuple[int, BookOrder[Key], int, int]
"""(what happened, maker, quantity, what the maker has left in all after it): everything is already lowered."""


class _Level(Generic[Key]):
    """The orders at one price, oldest first, and what they show and hide in all."""

    __slots__ = ("hidden", "newest", "oldest", "quantity")

    def __init__(self) -> None:
        self.quantity = 0
        self.hidden = 0
        self.oldest: BookOrder[Key] | None = None
        self.newest: BookOrder[Key] | None = None


class _Side(Generic[Key]):
    __slots__ = ("keys", "levels")

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.levels: dict[int, _Level[Key]] = {}


class Book(Generic[Key]):
    __slots__ = ("_asks", "_bids")

    def __init__(self) -> None:
        self._bids: _Side[Key] = _Side()
        self._asks: _Side[Key] = _Side()

    def rest(self, order: BookOrder[Key]) -> None:
        """Puts the order behind all others of its price. It must not cross: `match` it first."""
        key = order.price
        if order.is_buy:
            side = self._bids
        else:
            side, key = self._asks, -key
        level = side.levels.get(key)
        if level is None:
            level = _open_level(side, key)
        newest = level.newest
        if newest is None:
            level.oldest = order
        else:
            newest.newer = order
        order.older, order.newer, order.level = newest, None, level
        level.newest = order
        level.quantity += order.remaining
        if order.hidden:
            level.hidden += order.hidden

    def remove(self, order: BookOrder[Key]) -> None:
        """Takes a resting order out. It keeps its remaining quantity, shown and hidden."""
        level = order.level
        if level is None:
            raise ValueError("the order does not rest in a book")
        older, newer = order.older, order.newer
        if older is None:
            level.oldest = newer
        else:
            older.newer = newer
        if newer is None:
            level.newest = older
        else:
            newer.older = older
        order.level = order.older = order.newer = None
        level.quantity -= order.remaining
        if order.hidden:
            level.hidden -= order.hidden
        if level.oldest is None:
            key = order.price
            if order.is_buy:
                side = self._bids
            else:
                side, key = self._asks, -key
            del side.levels[key]
            if side.keys[-1] == key:
                side.keys.pop()
            else:
                del side.keys[bisect_left(side.keys, key)]

    def put_back(self, order: BookOrder[Key], older: BookOrder[Key] | None, newer: BookOrder[Key] | None) -> None:
        """Undoes the `remove` that came last: these were its neighbours then."""
        side, key = (self._bids, order.price) if order.is_buy else (self._asks, -order.price)
        level = side.levels.get(key)
        if level is None:
            self.rest(order)
            return
        order.older, order.newer, order.level = older, newer, level
        if older is None:
            level.oldest = order
        else:
            older.newer = order
        if newer is None:
            level.newest = order
        else:
            newer.older = order
        level.quantity += order.remaining
        level.hidden += order.hidden

    def succeed(self, old: BookOrder[Key], new: BookOrder[Key]) -> None:
        """Puts `new`, of the same price and side, in the very place of the resting `old`, which leaves the book."""
        older, newer = old.older, old.newer
        self.remove(old)
        self.put_back(new, older, newer)

    def reduce(self, order: BookOrder[Key], remaining: int) -> None:
        """Lowers a resting order to `remaining` lots in all (1 or more), what is hidden first; it keeps its place."""
        level = order.level
        if level is None or not 0 < remaining <= order.total:
            raise ValueError("only a resting order can be reduced, and only to 1 lot or more")
        unhidden = min(order.hidden, order.total - remaining)
        order.hidden -= unhidden
        level.hidden -= unhidden
        level.quantity -= order.total - remaining
        order.remaining = remaining - order.hidden

    def match(self, taker: BookOrder[Key], self_trade: SelfTrade | None) -> list[Step[Key]]:
        """Trades the taker against everything it reaches, and says what happened in order.

        With `self_trade` None an account may trade with itself. The taker is left with what did not trade;
        the caller rests or drops it.
        """
        if taker.is_buy:
            side, reach = self._asks, -taker.price
        else:
            side, reach = self._bids, taker.price
        keys = side.keys
        steps: list[Step[Key]] = []
        if not keys or keys[-1] < reach:  # most orders
            return steps
        levels, left = side.levels, taker.remaining
        while True:
            level = levels[keys[-1]]
            if level.hidden:
                return self._match_any(taker, self_trade, left, steps)
            maker, quantity = level.oldest, level.quantity
            while maker is not None:
                if self_trade is not None and maker.account == taker.account:
                    level.oldest, level.quantity, maker.older = maker, quantity, None
                    return self._match_any(taker, self_trade, left, steps)
                shown = maker.remaining
                if shown > left:
                    maker.remaining = shown = shown - left
                    steps.append((TRADE, maker, left, shown))
                    quantity -= left
                    left = 0
                    break
                left -= shown
                quantity -= shown
                maker.remaining = 0
                steps.append((TRADE, maker, shown, 0))
                newer = maker.newer
                maker.level = maker.newer = maker.older = None
                maker = newer
                if not left:
                    break
            if maker is None:
                del levels[keys.pop()]
            else:
                level.oldest, level.quantity, maker.older = maker, quantity, None
            if not left or not keys or keys[-1] < reach:
                taker.remaining = left
                return steps

    def _match_any(
        self, taker: BookOrder[Key], self_trade: SelfTrade | None, left: int, steps: list[Step[Key]]
    ) -> list[Step[Key]]:
        """Goes on where `match` met an own order or an iceberg, with `left` lots to trade."""
        side = self._asks if taker.is_buy else self._bids
        keys, levels = side.keys, side.levels
        reach = -taker.price if taker.is_buy else taker.price
        account = taker.account
        again = False
        while left and keys and keys[-1] >= reach:
            level = levels[keys[-1]]
            maker = level.oldest
            while left and maker is not None:
                step = TRADE
                if self_trade is not None and maker.account == account:
                    step = _SELF_TRADE_STEP[self_trade]
                    if step == CANCEL_TAKER:
                        steps.append((step, maker, 0, maker.total))
                        taker.remaining = left
                        return steps
                newer = maker.newer
                quantity = shown = maker.remaining
                if step <= DECREMENT:
                    if quantity > left:
                        quantity = left
                    left -= quantity
                    shown -= quantity
                    maker.remaining = shown
                level.quantity -= quantity
                if again:  # alone at its price: the next part is the same trade, which the chain takes only as one
                    quantity += steps.pop()[2]
                    again = False
                steps.append((step, maker, quantity, shown + maker.hidden))
                if step > DECREMENT or not shown:
                    if maker.hidden:
                        if step <= DECREMENT:
                            following = _show_next(level, maker)
                            again = following is maker
                            maker = following
                            continue
                        level.hidden -= maker.hidden
                    maker.level = maker.newer = None  # the oldest of its level: nothing is older
                    level.oldest = maker = newer
                    if newer is not None:
                        newer.older = None
                if step == CANCEL_BOTH:
                    break
            if level.oldest is None:
                del levels[keys.pop()]
            if steps and steps[-1][0] == CANCEL_BOTH:
                break
        taker.remaining = left
        return steps

    def crosses(self, order: BookOrder[Key]) -> bool:
        """Whether the order reaches the best price of the other side, whoever owns it."""
        keys = self._asks.keys if order.is_buy else self._bids.keys
        return bool(keys) and keys[-1] >= (-order.price if order.is_buy else order.price)

    def can_fill(self, taker: BookOrder[Key], self_trade: SelfTrade | None) -> bool:
        """Whether `match` would trade all of the taker. Own orders do not count; with any mode but
        CANCEL_MAKER (and None) nothing behind an own order counts either."""
        side = self._asks if taker.is_buy else self._bids
        reach = -taker.price if taker.is_buy else taker.price
        missing = taker.remaining
        for key in reversed(side.keys):
            if key < reach:
                return False
            level = side.levels[key]
            hidden, maker = level.hidden, level.oldest  # what is hidden comes after all that shows
            while maker is not None:
                if self_trade is None or maker.account != taker.account:
                    missing -= maker.remaining
                    if missing <= 0:
                        return True
                elif self_trade is SelfTrade.CANCEL_MAKER:
                    hidden -= maker.hidden
                else:
                    return False
                maker = maker.newer
            missing -= hidden
            if missing <= 0:
                return True
        return False

    def proceeds(self, seller: BookOrder[Key]) -> int:
        """Lots times price that a seller would get for all of its lots: what the bids it reaches pay now, its own limit
        for the rest. Own bids count like any other."""
        left, total = seller.remaining, 0
        for key in reversed(self._bids.keys):
            if not left or key < seller.price:
                break
            level = self._bids.levels[key]
            quantity = min(left, level.quantity + level.hidden)
            left -= quantity
            total += quantity * key
        return total + left * seller.price

    def quantity_at(self, is_bid: bool, price: int) -> int:
        """Total resting lots at the price, as far as they show."""
        level = self._bids.levels.get(price) if is_bid else self._asks.levels.get(-price)
        return 0 if level is None else level.quantity

    def levels(self, is_bid: bool, depth: int | None = None) -> list[tuple[int, int]]:
        """(price, lots that show), best first, at most `depth` of them."""
        side = self._bids if is_bid else self._asks
        keys = side.keys[::-1] if depth is None else side.keys[: -depth - 1 : -1]
        return [(abs(key), side.levels[key].quantity) for key in keys]

    def orders(self, is_bid: bool) -> Iterator[BookOrder[Key]]:
        """Resting orders, best price first, oldest first within a price."""
        side = self._bids if is_bid else self._asks
        for key in reversed(side.keys):
            order = side.levels[key].oldest
            while order is not None:
                yield order
                order = order.newer


def _open_level(side: _Side[Key], key: int) -> _Level[Key]:
    level = side.levels[key] = _Level()
    keys = side.keys
    if not keys or key > keys[-1]:
        keys.append(key)
    else:
        keys.insert(bisect_left(keys, key), key)
    return level


def _show_next(level: _Level[Key], iceberg: BookOrder[Key]) -> BookOrder[Key]:
    """The level's oldest order has used up what it showed: the next part of it goes to the end. Returns the oldest."""
    shown = min(iceberg.display, iceberg.hidden)
    iceberg.remaining = shown
    iceberg.hidden -= shown
    level.hidden -= shown
    level.quantity += shown
    oldest, newest = iceberg.newer, level.newest
    if oldest is None or newest is None:
        return iceberg  # alone at its price
    level.oldest, oldest.older = oldest, None
    newest.newer, iceberg.older, iceberg.newer = iceberg, newest, None
    level.newest = iceberg
    return oldest


_SELF_TRADE_STEP: Final = {
    SelfTrade.CANCEL_TAKER: CANCEL_TAKER,
    SelfTrade.CANCEL_MAKER: CANCEL_MAKER,
    SelfTrade.CANCEL_BOTH: CANCEL_BOTH,
    SelfTrade.DECREMENT: DECREMENT,
}

"""Risk before matching: how large, how many, how often, how much a day and how far from the index an account may trade.

Owns:     the limits of every account (by its fee tier, or by its own address) as the operator last set them, the index
          prices, and each account's volume of the day and its bucket of orders.
Promises: the limits come from a command and the index from chain facts, so a replay refuses exactly what was refused.
          An engine that was told no limits has none. A refused order changes nothing. Orders that rest already stay,
          whatever the limits become.
Never:    reads a file (see `relayer.limits_file`), or holds back a cancel.

The volume of a day is the notional that the account matched since 00:00 UTC, as maker and as taker; a fill that the
chain skips later stays counted only for the side whose fault that was. An index price older than `index_seconds`, or
none at all, binds nobody: the signed limit price and the prepaid balance bound what an order can lose, and a silent
oracle must not close the market.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxdex.facts import PriceUpdated
from cxdex.market import MarketTerms
from cxdex.order import Order, Side
from cxdex.problem import OrderProblem
from cxdex.units import format_price, format_usdc
from relayer.engine.limit_terms import NO_LIMITS, IndexPrice, Limits, LimitTable

if TYPE_CHECKING:
    from relayer.engine.accounts import Account
    from relayer.engine.book import Book
    from relayer.engine.orders import OrderRecord
    from relayer.engine.state import Market, State

BPS = 10_000
DAY_MS = 86_400_000
ORDER = 1_000  # what one order fills of a bucket; so a rate is what leaks in a millisecond


class LimitBook:
    """The table, ready to ask. prices: the index, by asset."""

    __slots__ = ("_accounts", "prices", "table")

    def __init__(self) -> None:
        self.prices: dict[int, IndexPrice] = {}
        self.table = NO_LIMITS
        self._accounts: dict[bytes, Limits] = {}

    def set_table(self, table: LimitTable) -> None:
        self.table = table
        self._accounts = dict(table.accounts)

    def of(self, address: bytes, tier: int) -> Limits:
        tiers = self.table.tiers
        return self._accounts.get(address) or tiers[min(tier, len(tiers) - 1)]

    def index(self, asset: int, time_ms: int) -> int | None:
        """1e-6 USDC for a whole synth, if it is known and young enough."""
        found = self.prices.get(asset)
        if found is None or time_ms // 1000 - found.publish_time > self.table.index_seconds:
            return None
        return found.price

    def see_price(self, fact: PriceUpdated) -> IndexPrice | None:
        """Returns the price that it took the place of."""
        before = self.prices.get(fact.asset)
        self.prices[fact.asset] = IndexPrice(fact.price, fact.publish_time)
        return before

    def restore_price(self, asset: int, before: IndexPrice | None) -> None:
        if before is None:
            self.prices.pop(asset, None)
        else:
            self.prices[asset] = before


def count_volume(account: Account, notional: int, time_ms: int) -> None:
    account.volume_day, account.volume = time_ms // DAY_MS, volume_today(account, time_ms) + notional


def correct_volume(account: Account, notional: int, matched_ms: int) -> None:
    """Takes a fill out of the volume that never happened, or puts it in again, if the day is still that of the match:
    nobody's day may be used up by a counterparty that lets its own fills be skipped."""
    if account.volume_day == matched_ms // DAY_MS:
        account.volume += notional


def volume_today(account: Account, time_ms: int) -> int:
    return account.volume if account.volume_day == time_ms // DAY_MS else 0


def count_order(state: State, account: Account, time_ms: int) -> None:
    """Pours an accepted order into the account's bucket, which leaks `orders_per_second`."""
    rate = state.limits.of(account.address, account.tier).orders_per_second
    if rate is not None:
        account.bucket, account.bucket_ms = _bucket(account, rate, time_ms) + ORDER, time_ms


def _bucket(account: Account, rate: int, time_ms: int) -> int:
    """Thousandths of orders that have not leaked yet."""
    return max(account.bucket - max(time_ms - account.bucket_ms, 0) * rate, 0)


def _require_rate(rate: int, burst: int, account: Account, time_ms: int) -> None:
    over = _bucket(account, rate, time_ms) + ORDER - burst * ORDER
    if over > 0:
        wait = f"again in {-(-over // rate)} ms" if rate else "none now"
        raise OrderProblem(
            "RATE_LIMITED",
            f"the account has sent more orders than it may: {rate} a second, {burst} at once; cancels are not limited",
            given=f"one more than {burst}",
            allowed=wait,
        )


def require_room(state: State, order: Order, time_ms: int) -> None:
    """Raises OrderProblem for a conditional order that comes too soon after others, or beside too many. What it may
    cost is looked at when it is triggered."""
    account = state.accounts.get(order.account)
    if account is None:
        return
    limits = state.limits.of(order.account, account.tier)
    if limits.orders_per_second is not None:
        _require_rate(limits.orders_per_second, limits.order_burst, account, time_ms)
    if limits.open_orders is not None:
        _require_open(limits.open_orders, account, order.market)


def require_within_limits(
    state: State, market: Market, record: OrderRecord, time_ms: int, is_triggered: bool = False
) -> None:
    """Raises OrderProblem for an order that is beyond a limit of its account. One that was triggered has been counted
    among the account's orders when it was accepted."""
    order = record.order
    account = state.accounts.get(order.account)
    limits = state.limits.of(order.account, account.tier if account else 0)
    if limits.orders_per_second is not None and account is not None and not is_triggered:
        _require_rate(limits.orders_per_second, limits.order_burst, account, time_ms)
    if limits.band_bps is not None:
        index = state.limits.index(market.terms.base_asset, time_ms)
        if index is not None:
            _require_in_band(market.terms, order, index, limits.band_bps)
    if limits.order_notional is not None or limits.daily_volume is not None:
        _require_notional(limits, market.terms, market.book, record, volume_today(account, time_ms) if account else 0)
    if limits.open_orders is not None and order.may_rest and account is not None and not is_triggered:
        _require_open(limits.open_orders, account, order.market)


def _require_in_band(terms: MarketTerms, order: Order, index: int, band_bps: int) -> None:
    """Buyers may not bid far above the index, sellers not ask far below it; the other way they only wait."""
    if order.side is Side.BUY:
        bound = index * (BPS + band_bps) // (BPS * terms.tick_size)
        is_outside = order.limit_price > bound
    else:
        bound = max(-(-index * (BPS - band_bps) // (BPS * terms.tick_size)), 1)
        is_outside = order.limit_price < bound
    if is_outside:
        side, way = ("buyer", "most") if order.side is Side.BUY else ("seller", "least")
        raise OrderProblem(
            "ORDER_PRICE_OUT_OF_BAND",
            f"a {side}'s limit price may be {_percent(band_bps)} % from the index price "
            f"({format_usdc(index)}); send a nearer one",
            field="limitPrice",
            given=format_price(terms, order.limit_price),
            allowed=f"at {way} {format_price(terms, bound)}",
        )


def _require_notional(
    limits: Limits, terms: MarketTerms, book: Book[bytes], record: OrderRecord, traded_today: int
) -> None:
    # A buyer pays at most the limit; a seller may be paid more than its limit by the bids that are there.
    entry = record.entry
    value = entry.remaining * entry.price if entry.is_buy else book.proceeds(entry)
    notional = value * terms.quote_per_lot_tick
    if limits.order_notional is not None and notional > limits.order_notional:
        raise OrderProblem(
            "ORDER_TOO_LARGE",
            "the order is worth more than one order of this account may be; send it in parts",
            field="quantity",
            given=f"{format_usdc(notional)} USDC",
            allowed=f"at most {format_usdc(limits.order_notional)} USDC",
        )
    if limits.daily_volume is not None and traded_today + notional > limits.daily_volume:
        left = max(limits.daily_volume - traded_today, 0)
        raise OrderProblem(
            "ORDER_DAILY_VOLUME",
            f"the account may match {format_usdc(limits.daily_volume)} USDC a day, and matched "
            f"{format_usdc(traded_today)} since 00:00 UTC; send less, or wait for the next day",
            field="quantity",
            given=f"{format_usdc(notional)} USDC",
            allowed=f"at most {format_usdc(left)} USDC today",
        )


def _require_open(most: int, account: Account, market: str) -> None:
    count = account.open_in.get(market, 0)
    if count >= most:
        raise OrderProblem(
            "ORDER_TOO_MANY_OPEN",
            "the account has as many open orders in this market as it may; cancel one, or send IOC or FOK",
            field="market",
            given=f"{count} open in {market}",
            allowed=f"at most {most}",
        )


def _percent(bps: int) -> str:
    whole, rest = divmod(bps, 100)
    return f"{whole}.{rest:02d}".rstrip("0") if rest else str(whole)

"""Quotes both sides of a market around a moving reference price, as a person's bot would: through the public client.

    python -m scripts.market_maker --key-file maker.key --levels 5 --half-spread-bps 5

Promises: replaces only what has moved; never more than its balances carry; goes on after the API or the engine
          was away; on SIGTERM it cancels its quotes and ends.
"""

from __future__ import annotations

import argparse
import time

from cxdex.client import Exchange, Ticket
from cxdex.client.replies import Market, Order
from cxdex.market import ASSET_DECIMALS, USDC_DECIMALS
from cxdex.order import Side
from cxdex.problem import Problem
from cxdex.units import (
    format_price,
    format_quantity,
    parse_decimal,
    parse_price,
    parse_quantity,
    parse_usdc,
)
from scripts.bot import Bot, add_exchange_arguments, add_price_arguments, run_command, wallet_of
from scripts.quotes import Quote, Style, affordable, sort_out, wanted_quotes
from scripts.reference_price import ReferencePrice, reference_price

LIFETIME_SECONDS = 3_600
RENEW_BEFORE_SECONDS = 1_800


class MarketMaker:
    def __init__(self, exchange: Exchange, symbols: list[str], prices: ReferencePrice, style: Style) -> None:
        self._exchange = exchange
        self._symbols = symbols
        self._prices = prices
        self._style = style

    def turn(self) -> str:
        """One look at the market, one round of cancels and quotes; returns the status line."""
        now = time.time()
        markets = [market for market in self._exchange.markets() if market.symbol in self._symbols]
        quoted = self._exchange.orders()
        to_place: list[tuple[Market, Quote]] = []
        to_cancel: list[Order] = []
        for market in markets:
            own = [order for order in quoted if order.market == market.symbol]
            wanted = []
            if market.status == "ACTIVE":
                wanted = wanted_quotes(market.terms, self._prices.price(market.symbol, now), self._style)
            lasting = [order for order in own if int(order.expiry) - now > RENEW_BEFORE_SECONDS]
            missing, moved = sort_out(wanted, [_quote_of(market, o) for o in lasting], self._style.tolerance_bps)
            to_place += [(market, quote) for quote in missing]
            to_cancel += [lasting[index] for index in moved] + [order for order in own if order not in lasting]
        if to_cancel:
            self._exchange.cancel_many(to_cancel)
        refused = self._place(to_place) if to_place else []
        kept = len(quoted) - len(to_cancel)
        line = ", ".join(f"{m.symbol} {self._prices.price(m.symbol, now) / 1e6:.2f}" for m in markets)
        line += f" | kept {kept}, cancelled {len(to_cancel)}, placed {len(to_place) - len(refused)}"
        return line + (f", refused {len(refused)} ({refused[0]})" if refused else "")

    def withdraw_quotes(self) -> None:
        self._exchange.cancel_all()

    def _place(self, quotes: list[tuple[Market, Quote]]) -> list[str]:
        """Why quotes were not placed."""
        available = {balance.asset: balance.available for balance in self._exchange.balances()}
        cash = _units(available.get(0, "0"), USDC_DECIMALS)
        tickets = []
        for market in {market.symbol: market for market, _ in quotes}.values():
            mine = [quote for owner, quote in quotes if owner.symbol == market.symbol]
            base = _units(available.get(market.base_asset, "0"), ASSET_DECIMALS)
            chosen, cash = affordable(market.terms, mine, cash, base, market.maker_fee_bps)
            tickets += [_ticket(market, quote) for quote in chosen]
        outcomes = self._exchange.place_many(tickets) if tickets else []
        refused = [str((o.problem or {}).get("code", o.outcome)) for o in outcomes if o.outcome != "accepted"]
        return refused + ["BALANCE_INSUFFICIENT"] * (len(quotes) - len(tickets))


def main() -> None:
    arguments = parse_arguments()
    bot = Bot("market-maker")
    wallet = wallet_of(arguments)
    style = Style(
        arguments.levels,
        arguments.half_spread_bps,
        arguments.step_bps,
        arguments.tolerance_bps,
        parse_usdc(arguments.notional, "--notional"),
    )
    prices = reference_price(arguments.seed, arguments.prices)
    with Exchange(arguments.api, wallet) as exchange:
        maker = MarketMaker(exchange, arguments.markets.split(","), prices, style)
        bot.log.info("quoting %s with %r", arguments.markets, wallet)
        if not bot.wait_for("the exchange", maker.turn):
            return
        bot.repeat(maker.turn, lambda: arguments.refresh)
        try:
            maker.withdraw_quotes()
            bot.log.info("quotes withdrawn")
        except Problem as problem:
            bot.log.warning("quotes left in the book: %s", problem)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="market_maker", description=__doc__)
    add_exchange_arguments(parser)
    add_price_arguments(parser)
    parser.add_argument("--levels", type=int, default=5, help="a side")
    parser.add_argument("--half-spread-bps", type=float, default=5.0, help="best quote from the reference price")
    parser.add_argument("--step-bps", type=float, default=5.0, help="between levels")
    parser.add_argument("--tolerance-bps", type=float, default=1.5, help="a quote that is this near stays")
    parser.add_argument("--notional", default="5000", help="USDC a level")
    parser.add_argument("--refresh", type=float, default=1.0, help="seconds between looks")
    return parser.parse_args()


def _quote_of(market: Market, order: Order) -> Quote:
    terms = market.terms
    remaining = parse_quantity(terms, order.remaining)
    return Quote(Side[order.side], parse_price(terms, order.limit_price), remaining)


def _ticket(market: Market, quote: Quote) -> Ticket:
    return Ticket(
        market.symbol,
        quote.side.name,
        format_quantity(market.terms, quote.quantity),
        format_price(market.terms, quote.price),
        time_in_force="POST_ONLY",
        max_fee_bps=market.maker_fee_bps,
        expires_in=LIFETIME_SECONDS,
    )


def _units(text: str, decimals: int) -> int:
    """A balance, where a negative one (a skipped fill's proceeds were spent) counts as nothing."""
    return 0 if text.startswith("-") else parse_decimal(text, decimals, "balance")


if __name__ == "__main__":
    raise SystemExit(run_command(main))

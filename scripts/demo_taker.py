"""Trades against the book at random moments, on both sides, so that there is something to settle.

    python -m scripts.demo_taker --key-file taker.key

Promises: only immediate orders inside its balances; buys more when it holds little of the synth and sells more
          when it holds much, so it can go on for ever.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass

from cxdex.client import Exchange
from cxdex.client.replies import Market
from cxdex.market import ASSET_DECIMALS, USDC_DECIMALS
from cxdex.problem import Problem
from cxdex.units import format_price, format_quantity, parse_decimal, parse_price, parse_usdc
from scripts.bot import Bot, add_exchange_arguments, run_command, wallet_of

BPS = 10_000
SLIPPAGE_BPS = 20  # how much worse than the best price an order still accepts


@dataclass(frozen=True)
class Holdings:
    """Free of reservations: cash in 1e-6 USDC, base in 1e-18 units."""

    cash: int
    base: int


def chance_to_buy(cash: int, base_value: int) -> float:
    """One half at equal holdings, rising to 1 when only cash is held and falling to 0 when none is."""
    total = cash + base_value
    return cash / total if total > 0 else 0.5


def main() -> None:
    arguments = parse_arguments()
    bot = Bot("taker")
    wallet = wallet_of(arguments)
    chooser = random.Random(arguments.seed)
    most = parse_usdc(arguments.notional, "--notional")
    symbols = arguments.markets.split(",")
    with Exchange(arguments.api, wallet) as exchange:
        bot.log.info("taking in %s with %r", arguments.markets, wallet)
        if bot.wait_for("the exchange", exchange.markets):
            bot.repeat(
                lambda: take_once(exchange, chooser, symbols, most),
                lambda: min(chooser.expovariate(1 / arguments.interval), 10 * arguments.interval),
            )
    bot.log.info("stopped")


def take_once(exchange: Exchange, chooser: random.Random, symbols: list[str], most: int) -> str:
    """One immediate order in one market; returns what happened. most: 1e-6 USDC."""
    active = [m for m in exchange.markets() if m.symbol in symbols and m.status == "ACTIVE"]
    if not active:
        return "no active market"
    market = chooser.choice(active)
    book = exchange.book(market.symbol, depth=1)
    if not book.bids or not book.asks:
        return f"{market.symbol}: the book is empty on a side"
    holdings = holdings_of(exchange, market)
    bid, ask = (parse_price(market.terms, side[0][0]) for side in (book.bids, book.asks))
    base_value = market.terms.notional(holdings.base // market.terms.lot_size, bid)
    buys = chooser.random() < chance_to_buy(holdings.cash // len(active), base_value)
    notional = chooser.randint(most // 10, most)
    price = ask + ask * SLIPPAGE_BPS // BPS if buys else bid - bid * SLIPPAGE_BPS // BPS
    lots = max(market.terms.min_lots, notional // market.terms.notional(1, price))
    lots = min(lots, affordable_lots(market, holdings, price, buys))
    if lots < market.terms.min_lots:
        return f"{market.symbol}: nothing left to {'pay with' if buys else 'sell'}"
    place = exchange.market_buy if buys else exchange.market_sell
    order = place(market.symbol, format_quantity(market.terms, lots), format_price(market.terms, price))
    return f"{market.symbol} {order.side} {order.quantity}: {order.status}, filled {order.filled}"


def affordable_lots(market: Market, holdings: Holdings, price: int, buys: bool) -> int:
    terms = market.terms
    if not buys:
        return holdings.base // terms.lot_size
    fee_bps = max(terms.maker_fee_bps, terms.taker_fee_bps)
    return holdings.cash * BPS // (terms.notional(1, price) * (BPS + fee_bps))


def holdings_of(exchange: Exchange, market: Market) -> Holdings:
    available = {b.asset: b.available for b in exchange.balances() if not b.available.startswith("-")}
    return Holdings(
        parse_decimal(available.get(0, "0"), USDC_DECIMALS, "balance"),
        parse_decimal(available.get(market.base_asset, "0"), ASSET_DECIMALS, "balance"),
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo_taker", description=__doc__)
    add_exchange_arguments(parser)
    parser.add_argument("--seed", type=int, help="of the choices; default: different every time")
    parser.add_argument("--notional", default="250", help="largest order, USDC")
    parser.add_argument("--interval", type=float, default=1.5, help="mean seconds between orders")
    arguments = parser.parse_args()
    if arguments.interval <= 0:
        raise Problem("OPTION_INVALID", "--interval must be above 0", given=str(arguments.interval))
    return arguments


if __name__ == "__main__":
    raise SystemExit(run_command(main))

"""Commands about markets and the exchange itself. No key needed."""

from __future__ import annotations

from typing import Annotated

import typer

from cxdex.command import view
from cxdex.command.context import Settings

Market = Annotated[str, typer.Argument(help="for example sBTC-USDC")]


def register(app: typer.Typer) -> None:
    app.command("book")(book)
    app.command("ticker")(ticker)
    app.command("trades")(trades)
    app.command("markets")(markets)
    app.command("status")(status)


def book(context: typer.Context, market: Market, depth: Annotated[int, typer.Option(min=1, max=1000)] = 10) -> None:
    """The order book, best prices in the middle."""
    settings: Settings = context.obj
    with settings.exchange(signed=False) as exchange:
        found = exchange.book(market, depth)
    view.show_json(found) if settings.as_json else view.show_book(market, found)


def ticker(context: typer.Context, market: Annotated[str | None, typer.Argument(help="default: all")] = None) -> None:
    """Last price, the last 24 hours, best bid and ask, and index, of one market or of all."""
    settings: Settings = context.obj
    with settings.exchange(signed=False) as exchange:
        found = exchange.tickers() if market is None else [exchange.ticker(market)]
    if settings.as_json:
        view.show_json(found if market is None else found[0])
        return
    best = [(t.bid[0] if t.bid else "", t.ask[0] if t.ask else "") for t in found]
    view.show_rows(
        "",
        ("market", "last", "24 h", "high", "low", "volume", "USDC", "bid", "ask", "index"),
        [
            (t.market, t.last, t.change24h, t.high24h, t.low24h, t.volume24h, t.notional24h, *sides, t.index)
            for t, sides in zip(found, best, strict=True)
        ],
        "no market is listed yet",
    )


def trades(context: typer.Context, market: Market, count: Annotated[int, typer.Option(help="at most")] = 20) -> None:
    """The newest trades of a market."""
    settings: Settings = context.obj
    with settings.exchange(signed=False) as exchange:
        found = exchange.trades(market, count)
    if settings.as_json:
        view.show_json(found)
        return
    view.show_rows(
        "",
        ("time", "side", "quantity", "price", "settlement"),
        [
            (view.moment(t.time), view.side(t.taker_side), t.quantity, t.price, t.settlement and t.settlement.status)
            for t in found
        ],
        "no trades yet",
    )


def markets(context: typer.Context) -> None:
    """Every listing, with its tick, lot and fees."""
    settings: Settings = context.obj
    with settings.exchange(signed=False) as exchange:
        found = exchange.markets()
    if settings.as_json:
        view.show_json(found)
        return
    view.show_rows(
        "",
        ("market", "status", "tick", "lot", "fees (maker/taker, bps)"),
        [(m.symbol, m.status, m.tick_size, m.lot_size, f"{m.maker_fee_bps}/{m.taker_fee_bps}") for m in found],
        "no market is listed yet",
    )


def status(context: typer.Context) -> None:
    """Is the exchange up, on which chain, with which contracts."""
    settings: Settings = context.obj
    with settings.exchange(signed=False) as exchange:
        found = exchange.status()
    if settings.as_json:
        view.show_json(found)
        return
    pairs: list[tuple[str, object]] = [("mode", found.mode), ("chain", found.chain_id)]
    view.show_pairs(pairs + [(name, address) for name, address in found.contracts.items()])

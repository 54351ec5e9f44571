"""Commands about what the exchange allows the account, and about market-maker protection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from cxdex.client.replies import Protection
from cxdex.command import view
from cxdex.command.context import Settings

Market = Annotated[str, typer.Argument(help="for example sBTC-USDC")]

group = typer.Typer(help="Take my quotes off the book when they are filled too much too fast.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command("limits")(limits)
    app.add_typer(group, name="protection")


def limits(context: typer.Context) -> None:
    """What the account may trade, and what it has traded today."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        found = exchange.limits()
    if settings.as_json:
        view.show_json(found)
        return
    none = "no limit"
    view.show_pairs(
        [
            ("one order", _usdc(found.max_order_notional)),
            ("open orders a market", found.max_open_orders if found.max_open_orders is not None else none),
            ("a day", _usdc(found.max_daily_volume)),
            ("traded today", _usdc(found.volume_today)),
            ("from the index", none if found.price_band_bps is None else f"{found.price_band_bps} bps"),
            ("orders a second", none if found.max_orders_per_second is None else found.max_orders_per_second),
        ]
    )


@group.command("list")
def listed(context: typer.Context) -> None:
    """Your protections, one a market."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        _show(settings, exchange.protections())


@group.command("set")
def protect(
    context: typer.Context,
    market: Market,
    window_ms: Annotated[int, typer.Option("--window-ms", help="fills within so many milliseconds count")],
    max_quantity: Annotated[str | None, typer.Option("--max-quantity", help="in the base asset")] = None,
    max_notional: Annotated[str | None, typer.Option("--max-notional", help="in USDC")] = None,
    cooldown_ms: Annotated[int, typer.Option("--cooldown-ms", help="0: until it is reset")] = 0,
) -> None:
    """Set it: cxdex protection set sBTC-USDC --window-ms 1000 --max-notional 50000"""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        done = exchange.protect(
            market, window_ms=window_ms, max_quantity=max_quantity, max_notional=max_notional, cooldown_ms=cooldown_ms
        )
    _show(settings, [done])


@group.command("reset")
def reset(context: typer.Context, market: Market) -> None:
    """Arm it again at once."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        _show(settings, [exchange.reset_protection(market)])


@group.command("remove")
def remove(context: typer.Context, market: Market) -> None:
    """Take it away, tripped or not."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        _show(settings, [exchange.remove_protection(market)])


def _show(settings: Settings, found: Sequence[Protection]) -> None:
    if settings.as_json:
        view.show_json(found)
        return
    view.show_rows(
        "",
        ("market", "status", "window, ms", "quantity", "USDC", "cooldown, ms"),
        [(p.market, p.status, p.window_ms, p.max_quantity, p.max_notional, p.cooldown_ms) for p in found],
        "no protection is set",
    )


def _usdc(amount: str | None) -> str:
    return "no limit" if amount is None else f"{amount} USDC"

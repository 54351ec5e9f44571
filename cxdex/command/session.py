"""Commands about session keys: a second key that may trade for you within limits, and can move nothing."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cxdex.client import Exchange
from cxdex.command import view
from cxdex.command.context import Settings

KNOWN_SECONDS = 20.0
KNOWN_PAUSE_SECONDS = 0.25

Key = Annotated[str, typer.Argument(help="the key's address")]

group = typer.Typer(help="Keys that may sign orders for you within limits. They move no money.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="session")


@group.command("set")
def set_session(
    context: typer.Context,
    key: Key,
    notional: Annotated[str, typer.Option(help="USDC that its orders may trade in all")],
    market: Annotated[str | None, typer.Option(help="only this market; default: every market")] = None,
    expires_in: Annotated[int, typer.Option(min=1, help="seconds")] = 86_400,
) -> None:
    """Let a key sign orders for you: cxdex session set 0x... --notional 1000 --market sBTC-USDC

    Whoever has the key trades with: CXDEX_SESSION_OF=<your address> cxdex order ... --expires-in 3600
    """
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        transaction = exchange.set_session(key, notional, market=market, expires_in=expires_in)
        _wait_until_known(exchange, key)
    if settings.as_json:
        view.show_json({"transaction": transaction.hash, "block": transaction.block})
        return
    where = market or "every market"
    view.console.print(f"{key} may trade {notional} USDC in {where} for {expires_in} s: {transaction.hash}")


def _wait_until_known(exchange: Exchange, key: str) -> None:
    """The chain has it; an order that follows at once would come before the exchange has read it there."""
    deadline = time.monotonic() + KNOWN_SECONDS
    while all(found.key.lower() != key.lower() for found in exchange.sessions()) and time.monotonic() < deadline:
        time.sleep(KNOWN_PAUSE_SECONDS)


@group.command("revoke")
def revoke(context: typer.Context, key: Key) -> None:
    """End a session key at once. Works without the exchange."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        transaction = exchange.revoke_session(key)
    if settings.as_json:
        view.show_json({"transaction": transaction.hash, "block": transaction.block})
        return
    view.console.print(f"{key} is revoked in block {transaction.block}: {transaction.hash}")


@group.command("list")
def show(context: typer.Context) -> None:
    """Your live session keys, and how much they may still trade."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        found = exchange.sessions()
    if settings.as_json:
        view.show_json(found)
        return
    view.show_rows(
        "",
        ("key", "market", "left", "available", "expires"),
        [
            (s.key, s.market or "every", s.notional_left, s.notional_available, view.moment(int(s.expiry) * 1_000))
            for s in found
        ],
        "no session keys",
    )

"""Commands about money: balances, fills, deposits, withdrawals, claims."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from cxdex.command import view
from cxdex.command.context import Settings
from cxdex.problem import Problem

Amount = Annotated[str, typer.Argument(help="decimal, for example 100 or 0.5")]
Asset = Annotated[str, typer.Option(help="USDC, CXPT or a synth such as sBTC")]


def register(app: typer.Typer) -> None:
    app.command("balance")(balance)
    app.command("fills")(fills)
    app.command("deposit")(deposit)
    app.command("withdraw")(withdraw)
    app.command("claim")(claim)
    app.command("withdrawals")(withdrawals)


def balance(context: typer.Context) -> None:
    """What you have, what your open orders hold, and what the contract has settled."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        found = exchange.balances()
    if settings.as_json:
        view.show_json(found)
        return
    view.show_rows(
        "",
        ("asset", "total", "reserved", "available", "settled", "leaving"),
        [(b.symbol, b.total, b.reserved, b.available, b.settled, b.leaving) for b in found],
        "nothing here yet: cxdex deposit 100",
    )


def fills(
    context: typer.Context,
    count: Annotated[int, typer.Option(help="at most")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="each change as it happens, until Ctrl-C")] = False,
    settled: Annotated[bool, typer.Option("--settled", help="what the chain has, whoever sent it there")] = False,
) -> None:
    """Your fills, newest first, and how far each is on its way to the chain.

    With --follow those that are not final yet, and then every change of one: matched, submitted, mined, final, skipped,
    reverted. With --json one JSON object a line. With --settled only what the chain has settled, also of orders that
    the exchange never saw.
    """
    settings: Settings = context.obj
    if follow and settled:
        raise Problem("OPTION_INVALID", "what the chain has is listed, not followed", allowed="--follow or --settled")
    if follow:
        _follow_fills(settings)
        return
    if settled:
        _list_settled_fills(settings, count)
        return
    with settings.exchange() as exchange:
        found = exchange.fills(count)
    view.show_json(found) if settings.as_json else view.show_fills(found)


def _follow_fills(settings: Settings) -> None:
    with settings.exchange() as exchange, suppress(KeyboardInterrupt):
        for change in exchange.follow_fills():
            view.show_json_line(change) if settings.as_json else view.show_fill_change(change)


def _list_settled_fills(settings: Settings, count: int) -> None:
    with settings.exchange() as exchange:
        found = exchange.settled_fills(count)
    view.show_json(found) if settings.as_json else view.show_settled_fills(found)


def deposit(context: typer.Context, amount: Amount, asset: Asset = "USDC") -> None:
    """Move tokens from your wallet into the exchange (allows exactly this amount)."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        transaction = exchange.deposit(amount, asset)
    if settings.as_json:
        view.show_json({"transaction": transaction.hash, "block": transaction.block})
        return
    view.console.print(f"deposited {amount} {asset} in block {transaction.block}: {transaction.hash}")


def withdraw(
    context: typer.Context,
    amount: Amount,
    asset: Asset = "USDC",
    as_cxpt: Annotated[bool, typer.Option("--as-cxpt", help="pay USDC out as CXPT, one to one")] = False,
    instant: Annotated[bool, typer.Option("--instant", help="at once, co-signed by the exchange")] = False,
) -> None:
    """Take money out: with --instant at once; else announce it on chain and claim it after the delay, which needs
    nobody's consent."""
    settings: Settings = context.obj
    if instant:
        with settings.exchange() as exchange:
            transaction = exchange.withdraw_instantly(amount, asset, as_cxpt=as_cxpt)
        if settings.as_json:
            view.show_json({"transaction": transaction.hash, "block": transaction.block})
            return
        view.console.print(f"withdrew {amount} {asset} in block {transaction.block}: {transaction.hash}")
        return
    with settings.exchange() as exchange:
        request = exchange.withdraw(amount, asset, as_cxpt=as_cxpt)
    if settings.as_json:
        view.show_json({"id": str(request.id), "claimableAt": request.claimable_at * 1_000})
        return
    claimable = view.moment(request.claimable_at * 1_000)
    view.console.print(f"withdrawal {request.id} can be claimed from {claimable}: cxdex claim {request.id}")


def claim(context: typer.Context, withdrawal: Annotated[int, typer.Argument(min=0, help="its number")]) -> None:
    """Pay a withdrawal out to its recipient, once its delay is over."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        transaction = exchange.claim(withdrawal)
    if settings.as_json:
        view.show_json({"transaction": transaction.hash, "block": transaction.block})
        return
    view.console.print(f"withdrawal {withdrawal} paid in block {transaction.block}: {transaction.hash}")


def withdrawals(context: typer.Context) -> None:
    """Your withdrawals, newest first."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        found = exchange.withdrawals()
    if settings.as_json:
        view.show_json(found)
        return
    view.show_rows(
        "",
        ("id", "amount", "asset", "status", "claimable", "paid", "recipient"),
        [
            (
                *(w.id, w.amount, f"{w.symbol} as CXPT" if w.as_cxpt else w.symbol, w.status),
                *(view.moment(w.claimable_at), w.paid, w.recipient),
            )
            for w in found
        ],
        "no withdrawals",
    )

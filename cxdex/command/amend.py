"""Commands that change an open order."""

from __future__ import annotations

from typing import Annotated

import typer

from cxdex.client.replies import Order
from cxdex.client.ticket import OrderTerms
from cxdex.command import view
from cxdex.command.context import Settings
from cxdex.command.trade import ClientId, MaxFee, TimeInForce
from cxdex.problem import Problem

OrderId = Annotated[str, typer.Argument(help="the order's id")]


def register(app: typer.Typer) -> None:
    app.command("amend")(amend)
    app.command("replace")(replace)


def amend(
    context: typer.Context,
    order_id: OrderId,
    quantity: Annotated[str, typer.Argument(help="what it may fill in all, what it has filled included")],
) -> None:
    """Lower an order's quantity: cxdex amend 0x… 0.005. It keeps its place in the book."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        _show(settings, exchange.amend(order_id, quantity))


def replace(
    context: typer.Context,
    order_id: OrderId,
    quantity: Annotated[str | None, typer.Option(help="new quantity in all, what was filled included")] = None,
    price: Annotated[str | None, typer.Option(help="new limit price")] = None,
    tif: TimeInForce = None,
    max_fee_bps: MaxFee = None,
    expires_in: Annotated[int | None, typer.Option("--expires-in", help="seconds; default: as before")] = None,
    client_id: ClientId = None,
) -> None:
    """Sign another order with the same nonce and put it in an open one's place: the two can never fill twice."""
    settings: Settings = context.obj
    terms = OrderTerms()
    if tif is not None:
        terms["time_in_force"] = tif
    if max_fee_bps is not None:
        terms["max_fee_bps"] = max_fee_bps
    if expires_in is not None:
        terms["expires_in"] = expires_in
    if client_id is not None:
        terms["client_order_id"] = client_id
    if quantity is None and price is None and not terms:
        raise Problem("OPTION_INVALID", "say what changes", allowed="--price, --quantity, --tif, --expires-in, ...")
    with settings.exchange() as exchange:
        _show(settings, exchange.replace(order_id, quantity=quantity, price=price, **terms))


def _show(settings: Settings, order: Order) -> None:
    view.show_json(order) if settings.as_json else view.show_order(order)

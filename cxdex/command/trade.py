"""Commands that place, check, cancel and list orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast

import typer

from cxdex.client import ApiProblem, Ticket, stops
from cxdex.client.ticket import OrderTerms
from cxdex.command import view
from cxdex.command.context import Settings
from cxdex.problem import Problem

Market = Annotated[str, typer.Argument(help="for example sBTC-USDC")]
Side = Annotated[str, typer.Argument(help="buy or sell")]
Quantity = Annotated[str, typer.Argument(help="in the base asset, for example 0.01")]
Price = Annotated[
    str | None, typer.Option("--price", help="limit, USDC per whole unit; a fill is never worse than this")
]
WorstPrice = Annotated[
    str | None, typer.Option("--worst-price", help="makes it a market order that accepts this price or better")
]
TimeInForce = Annotated[str | None, typer.Option("--tif", help="GTC, GTD, IOC, FOK or POST_ONLY")]
MaxFee = Annotated[int | None, typer.Option("--max-fee-bps", help="default: the market's present fee")]
ExpiresIn = Annotated[int | None, typer.Option("--expires-in", help="seconds; default 28 days, IOC and FOK one day")]
ClientId = Annotated[str | None, typer.Option("--client-id", help="a name of your own for the order")]
Gtd = Annotated[int | None, typer.Option("--gtd", min=1, help="good for so many seconds (--tif GTD --expires-in)")]
StopAt = Annotated[str | None, typer.Option("--stop", help="waits: sells at or below this price, buys at or above it")]
TakeProfit = Annotated[
    str | None, typer.Option("--take-profit", help="waits: sells at or above this price, buys at or below it")
]
Trail = Annotated[
    str | None, typer.Option("--trail", help="waits: until the price has turned by so much from its best since now")
]
By = Annotated[str, typer.Option("--by", help="whose price: index (the chain checks it) or last (it cannot)")]
Display = Annotated[str | None, typer.Option("--display", help="iceberg: shows at most so much in the book")]

SelfTrade = Annotated[
    str | None,
    typer.Option(
        "--self-trade",
        help="when it meets an order of yours: CANCEL_TAKER (default), CANCEL_MAKER, CANCEL_BOTH or DECREMENT",
    ),
]


@dataclass(frozen=True, slots=True)
class Options:
    price: str | None
    worst_price: str | None
    tif: str | None = None
    max_fee_bps: int | None = None
    expires_in: int | None = None
    client_id: str | None = None
    reject_in_ms: int | None = None
    gtd: int | None = None
    stop: str | None = None
    take_profit: str | None = None
    trail: str | None = None
    by: str = "index"
    display: str | None = None
    self_trade: str | None = None

    def ticket(self, market: str, side: str, quantity: str) -> Ticket:
        """Raises Problem OPTION_INVALID for options that do not go together."""
        if (self.price is None) == (self.worst_price is None):
            raise Problem(
                "OPTION_INVALID",
                "say which price you accept",
                allowed="--price P for a limit order, or --worst-price P for a market order",
            )
        waits = [
            (make, at)
            for make, at in (
                (stops.stop, self.stop),
                (stops.take_profit, self.take_profit),
                (stops.trailing_stop, self.trail),
            )
            if at is not None
        ]
        if len(waits) > 1:
            raise Problem("OPTION_INVALID", "an order waits for one thing", allowed="--stop, --take-profit or --trail")
        if not waits and self.by != "index":
            raise Problem("OPTION_INVALID", "--by is for orders that wait", allowed="--stop, --take-profit or --trail")
        if not waits:
            price = self.price if self.price is not None else self.worst_price
            kind = "LIMIT" if self.price is not None else "MARKET"
            return Ticket(market, side, quantity, price or "", kind, **self.terms())
        ((make, at),) = waits
        return make(market, side, quantity, at, **self.stop_terms())

    def terms(self) -> OrderTerms:
        if self.gtd is not None and (self.tif is not None or self.expires_in is not None):
            raise Problem("OPTION_INVALID", "--gtd says both", allowed="--gtd, or --tif and --expires-in")
        said: dict[str, Any] = {
            "time_in_force": self.tif if self.gtd is None else "GTD",
            "max_fee_bps": self.max_fee_bps,
            "expires_in": self.expires_in if self.gtd is None else self.gtd,
            "client_order_id": self.client_id,
            "reject_in_ms": self.reject_in_ms,
            "display": self.display,
            "self_trade": self.self_trade,
        }
        return cast(OrderTerms, {name: value for name, value in said.items() if value is not None})

    def stop_terms(self) -> stops.StopTerms:
        accepts = {"price": self.price} if self.price is not None else {"worst_price": self.worst_price}
        return cast(stops.StopTerms, {**self.terms(), **accepts, "by": self.by})


def register(app: typer.Typer) -> None:
    app.command("order")(place)
    app.command("oco")(oco)
    app.command("validate")(validate)
    app.command("cancel")(cancel)
    app.command("deadman")(deadman)
    app.command("orders")(orders)
    app.command("nonce")(nonce)


def place(
    context: typer.Context,
    market: Market,
    side: Side,
    quantity: Quantity,
    price: Price = None,
    worst_price: WorstPrice = None,
    tif: TimeInForce = None,
    max_fee_bps: MaxFee = None,
    expires_in: ExpiresIn = None,
    client_id: ClientId = None,
    reject_in_ms: Annotated[
        int | None, typer.Option("--reject-in-ms", min=1, help="refused when the exchange would accept it later")
    ] = None,
    gtd: Gtd = None,
    stop: StopAt = None,
    take_profit: TakeProfit = None,
    trail: Trail = None,
    by: By = "index",
    display: Display = None,
    self_trade: SelfTrade = None,
    wait: Annotated[bool, typer.Option("--wait", help="wait until its fills are settled on chain")] = False,
) -> None:
    """Sign and place an order: cxdex order sBTC-USDC buy 0.01 --price 60000.1

    One that waits: cxdex order sBTC-USDC sell 0.01 --stop 58000 --worst-price 57000
    """
    settings: Settings = context.obj
    waiting = (gtd, stop, take_profit, trail, by, display, self_trade)
    options = Options(price, worst_price, tif, max_fee_bps, expires_in, client_id, reject_in_ms, *waiting)
    ticket = options.ticket(market, side, quantity)
    with settings.exchange() as exchange:
        order = exchange.place(ticket)
        if not settings.as_json:
            view.show_order(order)
        fills = exchange.wait_until_settled(order) if wait else None
        if settings.as_json:
            view.show_json(order if fills is None else {"order": order, "fills": fills})
        elif fills is not None:
            view.show_fills(fills)


def oco(
    context: typer.Context,
    market: Market,
    side: Side,
    quantity: Quantity,
    profit: Annotated[str, typer.Option("--take-profit", help="price of the limit order that rests")],
    stop: Annotated[str, typer.Option("--stop", help="price at which the stop is triggered")],
    worst_price: Annotated[str, typer.Option("--worst-price", help="the stop accepts this price or better")],
    by: By = "index",
    gtd: Gtd = None,
    max_fee_bps: MaxFee = None,
    client_id: ClientId = None,
) -> None:
    """A limit order and a stop of which one cancels the other:

    cxdex oco sBTC-USDC sell 0.01 --take-profit 66000 --stop 58000 --worst-price 57000
    """
    settings: Settings = context.obj
    options = Options(None, worst_price, None, max_fee_bps, None, client_id, gtd=gtd, by=by)
    with settings.exchange() as exchange:
        limit, guard = exchange.bracket(market, side, quantity, profit, stop, **options.stop_terms())
    if settings.as_json:
        view.show_json({"limit": limit, "stop": guard})
    else:
        view.show_orders([limit, guard])


def validate(
    context: typer.Context,
    market: Market,
    side: Side,
    quantity: Quantity,
    price: Price = None,
    worst_price: WorstPrice = None,
    tif: TimeInForce = None,
    max_fee_bps: MaxFee = None,
    expires_in: ExpiresIn = None,
    gtd: Gtd = None,
    stop: StopAt = None,
    take_profit: TakeProfit = None,
    trail: Trail = None,
    by: By = "index",
) -> None:
    """Sign an order and let the exchange check it, without placing it."""
    settings: Settings = context.obj
    waiting = (gtd, stop, take_profit, trail, by)
    options = Options(price, worst_price, tif, max_fee_bps, expires_in, None, None, *waiting)
    ticket = options.ticket(market, side, quantity)
    with settings.exchange() as exchange:
        checked = exchange.validate(ticket)
    if settings.as_json:
        view.show_json(checked)
        return
    order: dict[str, Any] = checked["order"]
    view.show_pairs(
        [
            ("id", checked["digest"]),
            ("order", f"{view.side(order['side'])} {order['quantity']} {order['market']} at {order['limitPrice']}"),
            ("notional", f"{checked['notional']} USDC"),
            ("fee at most", f"{checked['maxFee']} USDC"),
            ("nonce", order["nonce"]),
            ("verdict", "[green]valid[/]"),
        ]
    )


def cancel(
    context: typer.Context,
    order_id: Annotated[str | None, typer.Argument(help="the order's id")] = None,
    every: Annotated[bool, typer.Option("--all", help="every open order")] = False,
    market: Annotated[str | None, typer.Option(help="with --all: only this market")] = None,
    side: Annotated[str | None, typer.Option(help="with --all: only buy, or only sell")] = None,
    client_id: Annotated[str | None, typer.Option("--client-id", help="open orders that you gave this name")] = None,
    on_chain: Annotated[bool, typer.Option("--on-chain", help="by a transaction that nobody can refuse")] = False,
) -> None:
    """Cancel one order, those of a name, or --all of them. What they have matched already still settles."""
    settings: Settings = context.obj
    chosen = (every, order_id is not None, client_id is not None).count(True)
    narrowed = market is not None or side is not None
    if chosen != 1 or (narrowed and not every) or (on_chain and (narrowed or client_id is not None)):
        allowed = "an id, --client-id NAME, or --all [--market M] [--side S]; --on-chain takes an id or --all alone"
        raise Problem("OPTION_INVALID", "say what to cancel", allowed=allowed)
    with settings.exchange() as exchange:
        if on_chain:
            orders = [] if order_id is None else [exchange.order(order_id)]
            done = exchange.cancel_on_chain(orders) if orders else exchange.cancel_all_on_chain()
            text = f"cancelled in block {done.block}: {done.hash}"
            view.show_json({"transaction": done.hash}) if settings.as_json else view.console.print(text)
            return
        if order_id is not None:
            order = exchange.cancel(order_id)
            view.show_json(order) if settings.as_json else view.show_order(order)
            return
        if client_id is not None:
            outcomes = exchange.cancel_each(client_order_ids=[client_id])
            if outcomes[0].problem is not None:
                raise ApiProblem(int(outcomes[0].problem.get("status", 404)), outcomes[0].problem)
            count = len(outcomes)
        else:
            count = exchange.cancel_all(market, side)
    view.show_json({"cancelled": count}) if settings.as_json else view.console.print(f"cancelled {count}")


def deadman(
    context: typer.Context,
    seconds: Annotated[int, typer.Argument(min=0, max=86_400, help="from now; 0 ends the countdown")],
) -> None:
    """Cancel all open orders in so many seconds, unless this is called again before."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        fires_at = exchange.cancel_all_after(seconds)
    if settings.as_json:
        view.show_json({"firesAt": fires_at})
    else:
        view.console.print("no countdown runs" if fires_at is None else f"all orders are cancelled in {seconds} s")


def orders(
    context: typer.Context,
    order_id: Annotated[str | None, typer.Argument(help="show this one order")] = None,
    market: Annotated[str | None, typer.Option(help="only this market")] = None,
    history: Annotated[bool, typer.Option("--all", help="closed ones too")] = False,
    client_id: Annotated[
        str | None, typer.Option("--client-id", help="only those that you gave this name, closed ones too")
    ] = None,
    count: Annotated[int, typer.Option(help="at most")] = 50,
) -> None:
    """Your open and waiting orders, newest first; or one order by its id, or those of a name, for ever."""
    settings: Settings = context.obj
    if order_id is not None:
        with settings.exchange(signed=False) as exchange:
            order = exchange.order(order_id)
        view.show_json(order) if settings.as_json else view.show_order(order)
        return
    with settings.exchange() as exchange:
        status = "LIVE" if client_id is None and not history else None
        found = exchange.orders(market, status, count, client_order_id=client_id)
    view.show_json(found) if settings.as_json else view.show_orders(found)


def nonce(context: typer.Context, count: Annotated[int, typer.Argument(min=1, max=50)] = 1) -> None:
    """Free nonces, for orders that you sign with something else. Leased for ten seconds."""
    settings: Settings = context.obj
    with settings.exchange() as exchange:
        nonces = [str(number) for number in exchange.next_nonces(count)]
    view.show_json({"nonces": nonces}) if settings.as_json else view.console.print("\n".join(nonces))

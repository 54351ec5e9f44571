"""`AsyncExchange`: the client to await. Every method is the one of `Exchange`, with `await` before it.

async with AsyncExchange("http://127.0.0.1:8000", LocalWallet("0x...")) as exchange:
    order = await exchange.buy("sBTC-USDC", "0.01", price="60000.1")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from cxdex.client import (
    amending,
    chain_cancels,
    endpoints,
    settling,
    stops,
    trading,
    transport,
)
from cxdex.client.amending import Cancel, CancelAndPlace, Replace, Step
from cxdex.client.amounts import Amount
from cxdex.client.async_own_account import AsyncOwnAccount
from cxdex.client.chain import Transaction
from cxdex.client.driver import AsyncDriver
from cxdex.client.order_socket import OrderSocket
from cxdex.client.replies import (
    Book,
    Cancelled,
    CancelledAndPlaced,
    Fill,
    Market,
    Order,
    Outcome,
    PlacedFill,
    SettledFill,
    Settlement,
    Status,
    Ticker,
    Trade,
)
from cxdex.client.session import Session
from cxdex.client.settlements import CHANNEL, FillChange, changes
from cxdex.client.stops import StopTerms
from cxdex.client.stream import Feed
from cxdex.client.ticket import OrderTerms, Ticket
from cxdex.deployment import Deployment
from cxdex.order import SignedOrder
from cxdex.problem import Problem
from cxdex.wallet import Wallet

MAX_PAGE = 500

Changes = AsyncIterator[FillChange]


class AsyncExchange(AsyncOwnAccount):
    """See `Exchange`. Any number of calls may run at once in one event loop.

    order_socket          orders and cancels travel over one WebSocket instead of a request each: the fastest way, and
                          they reach the exchange in the order in which they were sent
    cancel_on_disconnect  with it: the exchange cancels all open orders of the account whenever that connection ends
    """

    def __init__(
        self,
        api: str = transport.DEFAULT_API,
        wallet: Wallet | None = None,
        *,
        rpc_url: str | None = None,
        deployment: Deployment | None = None,
        timeout: float = transport.TIMEOUT_SECONDS,
        http_transport: httpx.AsyncBaseTransport | None = None,
        order_socket: bool = False,
        cancel_on_disconnect: bool = False,
    ) -> None:
        self._driver = AsyncDriver(api, rpc_url, timeout, http_transport)
        self._session = Session(wallet, deployment)
        if cancel_on_disconnect and not order_socket:
            raise Problem(
                "OPTION_INVALID",
                "there is no connection whose end could cancel orders",
                allowed="order_socket=True beside cancel_on_disconnect=True, or Feed(..., cancel_on_disconnect=True)",
            )
        if order_socket:
            guard = self.login if cancel_on_disconnect else None
            self._driver.order_socket = OrderSocket(self.feed_url, timeout, guard)

    @property
    def feed_url(self) -> str:
        """Where `Feed` connects to."""
        return "ws" + self._driver.base.removeprefix("http") + "/ws"

    async def close(self) -> None:
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Public -----------------------------------------------------------------------------------------------

    async def status(self) -> Status:
        """Chain id, contracts and signing domain of this exchange."""
        return await self._driver.run(self._session.fresh_status())

    async def markets(self) -> list[Market]:
        return await self._driver.run(self._session.markets())

    async def book(self, market: str, depth: int | None = None) -> Book:
        return await self._driver.run(self._session.request(endpoints.book(market, depth), Book))

    async def tickers(self) -> list[Ticker]:
        """Every market at a glance: last price, its day, best bid and ask, index."""
        return await self._driver.run(self._session.tickers())

    async def ticker(self, market: str) -> Ticker:
        return await self._driver.run(self._session.request(endpoints.ticker(market), Ticker))

    async def trades(self, market: str, count: int = 100) -> list[Trade]:
        """The newest matches, newest first."""
        return await self._driver.run(
            self._session.pages(endpoints.trades(market, min(count, MAX_PAGE), None), Trade, count)
        )

    # Orders -----------------------------------------------------------------------------------------------

    async def buy(self, market: str, quantity: Amount, price: Amount, **terms: Unpack[OrderTerms]) -> Order:
        """A limit order: ``exchange.buy("sBTC-USDC", "0.01", price="60000.1", time_in_force="POST_ONLY")``.

        Raises OrderProblem before anything is sent, ApiProblem when refused, OutcomeUnknown (with the id).
        """
        return await self.place(Ticket(market, "BUY", quantity, price, **terms))

    async def sell(self, market: str, quantity: Amount, price: Amount, **terms: Unpack[OrderTerms]) -> Order:
        """A limit order; see `buy`."""
        return await self.place(Ticket(market, "SELL", quantity, price, **terms))

    async def market_buy(
        self, market: str, quantity: Amount, worst_price: Amount, **terms: Unpack[OrderTerms]
    ) -> Order:
        """Takes what is there now, at `worst_price` or better; the rest is cancelled."""
        return await self.place(Ticket(market, "BUY", quantity, worst_price, "MARKET", **terms))

    async def market_sell(
        self, market: str, quantity: Amount, worst_price: Amount, **terms: Unpack[OrderTerms]
    ) -> Order:
        """Takes what is there now, at `worst_price` or better; the rest is cancelled."""
        return await self.place(Ticket(market, "SELL", quantity, worst_price, "MARKET", **terms))

    async def stop(
        self, market: str, side: str, quantity: Amount, trigger: Amount, **terms: Unpack[StopTerms]
    ) -> Order:
        """Sells once the index is at or below `trigger`, buys once it is at or above.

        ``exchange.stop("sBTC-USDC", "SELL", "0.01", "58000", worst_price="57000")``; with `price` instead of
        `worst_price` it becomes a limit order. `by="last"`: by this market's last price, which the chain cannot check.
        """
        return await self.place(stops.stop(market, side, quantity, trigger, **terms))

    async def take_profit(
        self, market: str, side: str, quantity: Amount, trigger: Amount, **terms: Unpack[StopTerms]
    ) -> Order:
        """Sells once the index is at or above `trigger`, buys once it is at or below; see `stop`."""
        return await self.place(stops.take_profit(market, side, quantity, trigger, **terms))

    async def trailing_stop(
        self, market: str, side: str, quantity: Amount, distance: Amount, **terms: Unpack[StopTerms]
    ) -> Order:
        """Sells once the index has fallen by `distance` from its highest since now; buys: risen. See `stop`."""
        return await self.place(stops.trailing_stop(market, side, quantity, distance, **terms))

    async def oco(self, first: Ticket, second: Ticket) -> tuple[Order, Order]:
        """Two orders of one market and side of which one at most is filled: when one is triggered, filled or cancelled,
        the other goes. They share a nonce, so the chain counts their fills as those of one order.
        """
        return await self._driver.run(trading.place_pair(self._session, first, second))

    async def bracket(
        self, market: str, side: str, quantity: Amount, profit: Amount, stop_at: Amount, **terms: Unpack[StopTerms]
    ) -> tuple[Order, Order]:
        """Around what you hold (side SELL): a limit order at `profit` and a stop at `stop_at`; one cancels the other.

        ``exchange.bracket("sBTC-USDC", "SELL", "0.01", "66000", "58000", worst_price="57000")``
        """
        return await self.oco(*stops.bracket(market, side, quantity, profit, stop_at, **terms))

    async def place(self, ticket: Ticket) -> Order:
        return await self._driver.run(trading.place(self._session, ticket))

    async def place_many(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        """One outcome a ticket, in order: accepted, rejected or unknown."""
        return await self._driver.run(trading.place_many(self._session, tickets))

    async def batch(self, steps: Sequence[Step]) -> list[Outcome]:
        """Tickets, `Replace`, `Amend`, `Cancel`, `CancelAndPlace`: one after the other, with nobody's in between.

        One outcome a step, in order; a refusal stops no other. At most 50.
        """
        return await self._driver.run(amending.batch(self._session, steps))

    async def amend(self, order: str | Order, quantity: Amount) -> Order:
        """Lowers what the order may fill in all, what it has filled included. It keeps its place in the book.

        When so much is filled already the rest is cancelled. The chain still knows the larger signed quantity.
        """
        return await self._driver.run(amending.amend(self._session, order, quantity))

    async def replace(
        self,
        order: str | Order,
        *,
        quantity: Amount | None = None,
        price: Amount | None = None,
        **terms: Unpack[OrderTerms],
    ) -> Order:
        """Signs another order with the same nonce, so that the two never fill twice, and puts it in its place.

        What you do not say stays as it was. The same price and no more quantity keep the place in the book; else it
        comes again as a taker. Refused, the old order stays. Raises like `buy`.
        """
        return await self._driver.run(amending.replace_order(self._session, Replace(order, quantity, price, terms)))

    async def cancel_and_place(
        self,
        cancel: str | Order | Cancel,
        ticket: Ticket,
        *,
        if_not_cancelled: str = "STOP",
        if_refused: str = "KEEP",
    ) -> CancelledAndPlaced:
        """Cancels one order (or by `Cancel(client_order_id=...)`) and places another, in one step.

        The new order may use what the cancel frees. if_not_cancelled: STOP, or PLACE when there was nothing to cancel;
        if_refused: KEEP the old order when the new one is refused, or CANCEL it all the same.
        """
        named = cancel if isinstance(cancel, Cancel) else Cancel(cancel)
        step = CancelAndPlace(named, ticket, if_not_cancelled, if_refused)
        return await self._driver.run(amending.cancel_and_place(self._session, step))

    async def validate(self, ticket: Ticket) -> dict[str, Any]:
        """Asks the exchange what it makes of this order, without placing it: digest, typed data, what it would lock."""
        return await self._driver.run(trading.validate(self._session, ticket))

    async def sign(self, ticket: Ticket) -> SignedOrder:
        """The signed order, not sent. Send it with `submit`, as often as you like: it is one order."""
        return await self._driver.run(trading.sign(self._session, ticket))

    async def submit(self, signed: SignedOrder, client_order_id: str | None = None) -> Order:
        return await self._driver.run(trading.submit_signed(self._session, signed, client_order_id))

    async def cancel(self, order: str | Order) -> Order:
        order_id = order.id if isinstance(order, Order) else order
        return await self._driver.run(trading.cancel(self._session, order_id))

    async def cancel_all(self, market: str | None = None, side: str | None = None) -> int:
        """Cancels every open order, of one market or of all, of one side or of both. Returns how many."""
        return await self._driver.run(trading.cancel_all(self._session, market, side))

    async def cancel_each(
        self, orders: Sequence[str | Order] = (), *, client_order_ids: Sequence[str] = ()
    ) -> list[Cancelled]:
        """Cancels by id and by client order id; each is answered on its own, in order, ids first.

        An id that the exchange has not seen is refused should its order come within two minutes.
        """
        return await self._driver.run(trading.cancel_each(self._session, orders, client_order_ids))

    async def cancel_all_after(self, seconds: int) -> int | None:
        """Dead man's switch: every open order is cancelled in so many seconds, unless you call this again. 0 ends it.

        Returns when it fires, in unix milliseconds. The engine keeps the time; this process need not live on.
        """
        return await self._driver.run(trading.cancel_all_after(self._session, seconds))

    async def cancel_many(self, orders: Sequence[Order]) -> int:
        """Cancels these by one signature a batch, without signing in. Returns how many were still open."""
        return await self._driver.run(trading.cancel_many(self._session, orders))

    async def cancel_on_chain(self, orders: Sequence[Order]) -> Transaction:
        """Cancels these by a transaction that nobody can refuse. Needs `rpc_url`, not the exchange.

        What they have matched before still settles for 300 seconds.
        """
        nonces = [int(order.nonce) for order in orders]
        return await self._driver.run(chain_cancels.cancel(self._session, nonces))

    async def cancel_all_on_chain(self) -> Transaction:
        """Cancels whatever the account has signed until now, by a transaction; see `cancel_on_chain`."""
        return await self._driver.run(chain_cancels.cancel_all(self._session))

    async def order(self, order_id: str) -> Order:
        return await self._driver.run(self._session.request(endpoints.order(order_id), Order))

    async def orders(
        self,
        market: str | None = None,
        status: str | None = "LIVE",
        count: int | None = None,
        *,
        client_order_id: str | None = None,
    ) -> list[Order]:
        """Newest first; `status` LIVE: open or waiting for a price; None: all that ever were. `client_order_id`:
        only those of this name, of which there may be several."""
        call = endpoints.orders(market, status, client_order_id, MAX_PAGE, None)
        return await self._driver.run(self._session.pages(call, Order, count))

    async def fills(self, count: int | None = 100) -> list[Fill]:
        """This account's fills, newest first; `count` None means all."""
        call = endpoints.fills(self._session.account, MAX_PAGE if count is None else min(count, MAX_PAGE), None)
        return await self._driver.run(self._session.pages(call, Fill, count))

    async def settled_fills(self, count: int | None = 100) -> list[SettledFill]:
        """What the chain has settled of this account's orders, newest first, whoever sent it there."""
        call = endpoints.settled_fills(self._session.account, MAX_PAGE if count is None else min(count, MAX_PAGE), None)
        return await self._driver.run(self._session.pages(call, SettledFill, count))

    async def wait_until_settled(self, what: Order | Fill, within: float = 120.0) -> list[Fill]:
        """The fills of an order, or the one fill, once the chain has them. `within` in seconds.

        Raises Problem FILL_SKIPPED, ORDER_HAS_NO_FILL or SETTLEMENT_TIMEOUT.
        """
        return await self._driver.run(trading.wait_until_settled(self._session, what, within))

    async def wait_settled(
        self, fill: Fill | PlacedFill | FillChange, within: float = 120.0, final: bool = False
    ) -> Settlement:
        """How one fill has settled, once it is mined (final: once no reorg takes it back). Told by the exchange as it
        happens, not asked for. Raises Problem FILL_SKIPPED or SETTLEMENT_TIMEOUT.
        """
        return await settling.wait_settled(self, self._settlement_of, fill, within, final)

    def follow_fills(self) -> Changes:
        """How far your fills are, for ever: first those that are not final yet, then each change once, in order.

        ``async for change in exchange.follow_fills(): print(change.match_id, change.settlement.status)``; it goes on
        after a lost connection.
        """
        return self._follow_fills()

    async def _follow_fills(self) -> Changes:
        feed = Feed(self)
        await feed.subscribe(CHANNEL)
        async for change in changes(feed):
            yield change

    async def _settlement_of(self, fill: Fill | PlacedFill | FillChange) -> Settlement | None:
        listed = await self.fills(MAX_PAGE)
        same = (one for one in listed if (one.match_id, one.role) == (fill.match_id, fill.role))
        return next((one.settlement for one in same), None)

    async def next_nonces(self, count: int = 1) -> list[int]:
        """Nonces for orders that you sign elsewhere; leased for ten seconds."""
        return await self._driver.run(self._session.take_nonces(count))

    async def login(self) -> str:
        """A bearer token for private reads and the private feed. Calls that need one sign in by themselves."""
        return await self._driver.run(self._session.token())

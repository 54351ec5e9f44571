"""What one client knows for a while: contracts, markets, token, nonces. And the flow of one request.

Owns:     the caches, sign-in, and retries of reads.
Promises: terms and addresses are asked for once; a token that has expired is renewed without the caller noticing.
Never:    does I/O: everything that waits is yielded as a step.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TypeVar

import msgspec

from cxdex.client import endpoints
from cxdex.client.errors import ApiProblem, Unreachable
from cxdex.client.nonces import NoncePool
from cxdex.client.patience import before_again
from cxdex.client.replies import Login, Market, NonceList, Page, Status, Ticker
from cxdex.client.steps import Call, Flow, Pause
from cxdex.deployment import Deployment
from cxdex.eip712 import Domain
from cxdex.market import MarketTerms
from cxdex.problem import Problem
from cxdex.wallet import Wallet

T = TypeVar("T")

READ_ATTEMPTS = 4
LOGIN_SECONDS = 3_600
NONCE_ATTEMPTS = 3
NONCE_PAUSE_SECONDS = 0.005
MOST_NONCES = 50  # in one answer
LOGIN_MARGIN_SECONDS = 60


class Session:
    def __init__(self, wallet: Wallet | None, deployment: Deployment | None = None) -> None:
        """deployment: contracts that the caller knows; then the exchange is not asked for them, nor believed."""
        self._wallet = wallet
        self._status = None if deployment is None else Status.of_deployment(deployment)
        self._markets: dict[str, Market] = {}
        self._token: str | None = None
        self._token_until = 0
        self.nonces = NoncePool()

    @property
    def wallet(self) -> Wallet:
        """Raises Problem WALLET_MISSING for a client that was made to read only."""
        if self._wallet is None:
            raise Problem(
                "WALLET_MISSING",
                "this needs a wallet",
                allowed='Exchange(url, LocalWallet("0x..."))',
            )
        return self._wallet

    @property
    def account(self) -> bytes:
        return self.wallet.account

    def request(self, call: Call, kind: type[T]) -> Flow[T]:
        """One request, signed in when it needs it. Reads are tried again; nothing else is."""
        attempts = READ_ATTEMPTS if call.method == "GET" else 1
        for attempt in range(1, attempts + 1):
            try:
                return (yield from self._request_once(call, kind))
            except (Unreachable, ApiProblem) as problem:
                retryable = isinstance(problem, Unreachable) or problem.retryable
                if not retryable or attempt == attempts:
                    raise
                pause = before_again(attempt, attempts, problem)
            yield pause
        raise AssertionError("unreachable")

    def pages(self, call: Call, kind: type[T], count: int | None) -> Flow[list[T]]:
        """The newest `count` rows, or all of them, over as many pages as it takes."""
        rows: list[T] = []
        query = dict(call.query)
        while True:
            page: Page = yield from self.request(replace(call, query=query), Page)
            rows += msgspec.json.decode(page.data, type=list[kind])  # type: ignore[valid-type]
            if page.next is None or (count is not None and len(rows) >= count):
                return rows if count is None else rows[:count]
            query["cursor"] = page.next

    def status(self) -> Flow[Status]:
        """As it was first told: contracts and domain do not change."""
        if self._status is None:
            self._status = yield from self.fresh_status()
        return self._status

    def fresh_status(self) -> Flow[Status]:
        return (yield from self.request(endpoints.status(), Status))

    def domain(self) -> Flow[Domain]:
        status = yield from self.status()
        return Domain(status.domain.chain_id, bytes.fromhex(status.domain.verifying_contract[2:]))

    def markets(self) -> Flow[list[Market]]:
        """Fresh from the exchange: their status may have changed."""
        page: Page = yield from self.request(endpoints.markets(), Page)
        listed = msgspec.json.decode(page.data, type=list[Market])
        self._markets = {market.symbol: market for market in listed}
        return listed

    def tickers(self) -> Flow[list[Ticker]]:
        page: Page = yield from self.request(endpoints.tickers(), Page)
        return msgspec.json.decode(page.data, type=list[Ticker])

    def terms(self, symbol: str) -> Flow[MarketTerms]:
        """Raises Problem MARKET_UNKNOWN naming the markets there are."""
        if symbol not in self._markets:
            yield from self.markets()
        if symbol not in self._markets:
            raise Problem(
                "MARKET_UNKNOWN",
                "no such market is listed",
                field="market",
                given=symbol,
                allowed=", ".join(sorted(self._markets)) or "no market is listed yet",
            )
        return self._markets[symbol].terms

    def take_nonces(self, count: int) -> Flow[list[int]]:
        """Any number of calls may want some at once: one of them asks at a time."""
        taken = self.nonces.take(count, time.monotonic())
        if taken is None and self.nonces.is_asking:
            self.nonces.wait(count)
        while taken is None and self.nonces.is_asking:
            yield Pause(NONCE_PAUSE_SECONDS)
            taken = self.nonces.take(count, time.monotonic())
        if taken is not None:
            return taken
        self.nonces.is_asking = True
        try:
            return (yield from self._ask_for_nonces(count))
        finally:
            self.nonces.is_asking = False

    def _ask_for_nonces(self, count: int) -> Flow[list[int]]:
        repeated = 0
        for _ in range(NONCE_ATTEMPTS):
            asked_at = time.monotonic()
            wanted = min(self.nonces.block(count, asked_at) + repeated, MOST_NONCES)
            reply: NonceList = yield from self.request(endpoints.nonces(self.account, wanted), NonceList)
            repeated = self.nonces.refill([int(nonce) for nonce in reply.nonces], asked_at)
            taken = self.nonces.take(count, time.monotonic())
            if taken is not None:
                return taken
        raise Unreachable(f"the exchange gave too few nonces, or too late: {count} were asked for")

    def token(self) -> Flow[str]:
        """A bearer token with some life left in it."""
        if self._token is None or time.time() > self._token_until - LOGIN_MARGIN_SECONDS:
            domain = yield from self.domain()
            expires_at = int(time.time()) + LOGIN_SECONDS
            signature = self.wallet.sign_login(domain, expires_at)
            answer = yield endpoints.login(self.account, expires_at, signature)
            self._token = endpoints.read(answer, Login).token
            self._token_until = expires_at
        return self._token

    def _request_once(self, call: Call, kind: type[T]) -> Flow[T]:
        if not call.needs_login:
            return endpoints.read((yield call), kind)
        token = yield from self.token()
        try:
            return endpoints.read((yield replace(call, token=token)), kind)
        except ApiProblem as problem:
            if problem.status != 401:
                raise
        self._token = None  # refused: the exchange may have got a new secret
        token = yield from self.token()
        return endpoints.read((yield replace(call, token=token)), kind)

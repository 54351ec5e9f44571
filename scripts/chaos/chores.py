"""What a trader does on chain beside trading.

Owns:     deposits, withdrawals of both kinds, claims, cancels on chain, session keys.
Promises: one transaction at a time for each trader; what the chain refuses or loses is counted and forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cxdex import SessionWallet
from cxdex.client import AsyncExchange
from cxdex.client.custody import WithdrawalRequest
from cxdex.keccak import keccak
from cxdex.problem import Problem
from scripts.chaos.trader import Trader

INSTANT_PATIENCE_SECONDS = 20.0


@dataclass
class Chores:
    """The chain side of one trader."""

    trader: Trader
    api_url: str
    rpc_url: str
    pause: float
    requested: list[WithdrawalRequest] = field(default_factory=list)
    retired: list[AsyncExchange] = field(default_factory=list)

    async def close(self) -> None:
        for client in (*self.retired, self.trader.session, self.trader.exchange):
            if client is not None:
                await client.close()

    async def run(self, stop: asyncio.Event) -> None:
        dice = self.trader.dice
        actions: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (40, self._deposit), (25, self._withdraw_instantly), (10, self._withdraw), (10, self._claim),
            (15, self._cancel_on_chain), (2, self._cancel_all_on_chain), (8, self._change_session),
        ]  # fmt: skip
        weights, doings = [weight for weight, _ in actions], [doing for _, doing in actions]
        while not stop.is_set():
            (doing,) = dice.choices(doings, weights)
            try:
                await doing()
                self.trader.told.answers[f"chain: {doing.__name__[1:]}"] += 1
            except Problem as problem:
                self.trader.told.answers[f"chain: {problem.code}"] += 1
            await asyncio.sleep(dice.expovariate(1 / self.pause))

    async def _deposit(self) -> None:
        await self.trader.exchange.deposit(str(self.trader.dice.randint(1, 500)))

    async def _withdraw_instantly(self) -> None:
        amount = str(self.trader.dice.randint(1, 500))
        await self.trader.exchange.withdraw_instantly(amount, within=INSTANT_PATIENCE_SECONDS)

    async def _withdraw(self) -> None:
        self.requested.append(await self.trader.exchange.withdraw(str(self.trader.dice.randint(1, 300))))

    async def _claim(self) -> None:
        if self.requested:
            await self.trader.exchange.claim(self.requested[0])
            self.requested.pop(0)

    async def _cancel_on_chain(self) -> None:
        trader = self.trader
        if trader.open_ids:
            order_id = trader.dice.choice(trader.open_ids)
            await trader.exchange.cancel_on_chain([trader.told.orders[order_id]])

    async def _cancel_all_on_chain(self) -> None:
        await self.trader.exchange.cancel_all_on_chain()

    async def _change_session(self) -> None:
        """A key that may trade, or the end of the one there is."""
        trader = self.trader
        key = SessionWallet(keccak(b"session of " + trader.name.encode()), trader.wallet.account)
        if trader.session is None:
            await trader.exchange.set_session(key.address, "50000", expires_in=7_200)
            trader.session = AsyncExchange(self.api_url, key, rpc_url=self.rpc_url)
        else:
            self.retired.append(trader.session)  # it may be in use this moment
            trader.session = None
            await trader.exchange.revoke_session(key.address)

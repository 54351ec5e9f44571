"""The traders of a run: their keys, their money, their tasks.

Owns:     who trades, with what, and how the load is started and ended.
Promises: when the load has ended, nothing of it is on its way any more, and every outcome that was open has been asked.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from cxdex import LocalWallet
from cxdex.client import AsyncExchange, Feed
from cxdex.client.errors import ApiProblem
from cxdex.deployment import load_deployment
from cxdex.keccak import keccak
from cxdex.problem import Problem
from scripts.chain import Chain, address_of
from scripts.chaos.chores import Chores
from scripts.chaos.listener import Listener
from scripts.chaos.told import Told
from scripts.chaos.trader import Trader
from scripts.stack.layout import Layout
from scripts.wiring import open_contracts

USDC = 10**6
DEPOSIT, WALLET, MINT_VALUE, COLLATERAL = 300_000 * USDC, 50_000 * USDC, 60_000 * USDC, 120_000 * USDC
POOR_DEPOSIT, POOR_SIZE = 200 * USDC, 5
CHORE_PAUSE, POOR_CHORE_PAUSE = 8.0, 3.0  # seconds between transactions
GIVEN_ETHER = 50 * 10**18
PRICES = {2: 60_000 * USDC, 3: 3_000 * USDC}  # of the synths at the deployment, by asset
FINISH_SECONDS = 45.0
ASK_ATTEMPTS = 20


class Load:
    """The last trader is poor: it trades what it has just deposited, so that a reorg leaves fills that cannot settle.

    The first one lets the exchange cancel its orders whenever its connection is lost. Every second one places and
    cancels over the WebSocket, the others over HTTP.
    """

    def __init__(self, layout: Layout, traders: int, pause: float, seed: int) -> None:
        self.told = Told()
        self._stop = asyncio.Event()
        keys = {f"trader{n}": "0x" + keccak(f"chaos trader {n}".encode()).hex() for n in range(traders)}
        self.keys = keys
        self.traders = [
            Trader(
                name,
                LocalWallet(key),
                AsyncExchange(layout.api_url, LocalWallet(key), rpc_url=layout.rpc_url, order_socket=number % 2 == 1),
                self.told,
                random.Random(f"{name} {seed}"),
                pause,
            )
            for number, (name, key) in enumerate(keys.items())
        ]
        self.traders[-1].size = POOR_SIZE
        pauses = [CHORE_PAUSE] * (traders - 1) + [POOR_CHORE_PAUSE]
        self._chores = [
            Chores(trader, layout.api_url, layout.rpc_url, pause)
            for trader, pause in zip(self.traders, pauses, strict=True)
        ]
        self.listeners = [
            Listener(trader, Feed(trader.exchange, cancel_on_disconnect=trader is self.traders[0]))
            for trader in self.traders
        ]
        self._trading: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []

    async def known(self) -> None:
        """Waits until the exchange has seen every trader's deposit. Raises Problem when it does not."""
        for trader in self.traders:
            for _ in range(ASK_ATTEMPTS):
                if await trader.exchange.balances():
                    break
                await asyncio.sleep(0.5)
            else:
                raise Problem("ACCOUNT_UNKNOWN", f"the exchange does not see the deposit of {trader.name}")

    def start(self) -> None:
        self._trading = [asyncio.create_task(part.trade(self._stop)) for part in self.traders]
        self._trading += [asyncio.create_task(part.run(self._stop)) for part in self._chores]
        self._listening = [asyncio.create_task(part.run()) for part in self.listeners]

    def failures(self) -> list[str]:
        """Tasks that ended with an error that no trader expects."""
        tasks = [task for task in (*self._trading, *self._listening) if task.done() and not task.cancelled()]
        return [f"a trader stopped: {error!r}" for task in tasks if (error := task.exception()) is not None]

    async def finish(self) -> None:
        """No more orders; then every outcome that is still open is asked for."""
        self._stop.set()
        _, late = await asyncio.wait(self._trading, timeout=FINISH_SECONDS)
        for task in late:  # waits for a transaction that a reorg took away
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for trader in self.traders:
            await trader.exchange.cancel_all_after(0)
        for order_id in sorted(self.told.unknown):
            await self._resolve(order_id)

    async def close(self) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        for chores in self._chores:
            await chores.close()

    async def _resolve(self, order_id: str) -> None:
        """It is there, or it never was."""
        for _ in range(ASK_ATTEMPTS):
            try:
                self.told.note(await self.traders[0].exchange.order(order_id))
            except ApiProblem as problem:
                if problem.status == 404:
                    self.told.unknown.discard(order_id)
                    return
            except Problem:
                pass
            else:
                return
            await asyncio.sleep(0.5)


def fund(chain: Chain, deployment: Path, layout: Layout, keys: dict[str, str]) -> None:
    """Ether, USDC inside and outside, and both synths for every trader."""
    contracts = open_contracts(chain, load_deployment(deployment))
    usdc, vault, engine = contracts["USDC"], contracts["Vault"], contracts["SynthEngine"]
    poor = list(keys.values())[-1]
    for key in keys.values():
        address, deposit = address_of(key), POOR_DEPOSIT if key == poor else DEPOSIT
        chain.send(layout.keys["deployer"], address, b"", GIVEN_ETHER)
        usdc.send(key, "mint", address, DEPOSIT + WALLET + len(PRICES) * COLLATERAL)
        usdc.send(key, "approve", vault.address, DEPOSIT + len(PRICES) * COLLATERAL)
        vault.send(key, "deposit", deposit)
        if key == poor:
            continue
        for asset, price in PRICES.items():
            engine.send(key, "mint", asset, MINT_VALUE * 10**6 // price * 10**12, COLLATERAL)

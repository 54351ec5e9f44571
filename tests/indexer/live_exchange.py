"""The real contracts on a real local node, and what traders do there.

Every order is signed, every fill goes through settleBatch. Nothing here knows the indexer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.deployment import Deployment
from cxdex.eip712 import market_hash, order_digest
from cxdex.nonce import pack_nonce
from cxdex.order import Order, OrderType, Side, SignedOrder, TimeInForce
from cxdex.signature import address_of, sign_digest
from scripts.chain import Chain
from scripts.deploy import Options, deploy
from scripts.stack.layout import HOST, MNEMONIC, demo_keys, free_port
from scripts.stack.node import anvil_binary, responds
from scripts.wiring import open_contracts

KEYS = demo_keys()
BTC = "sBTC-USDC"
USDC = 10**6
PRICE = 600_000  # ticks of 0.1 USDC
FAR_FUTURE = 2**39


class LocalNode:
    """An anvil process of our own."""

    def __init__(self, port: int, *options: str) -> None:
        self.url = f"http://{HOST}:{port}"
        command = [str(anvil_binary()), "--host", HOST, "--port", str(port), "--silent", "--hardfork", "prague"]
        command += ["--mnemonic", MNEMONIC, "--accounts", str(len(KEYS)), *options]
        self.process = subprocess.Popen(command)
        while not responds(self.url):
            assert self.process.poll() is None, "the node did not start"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@contextmanager
def local_node(*options: str) -> Iterator[LocalNode]:
    node = LocalNode(free_port(), *options)
    try:
        yield node
    finally:
        node.stop()


class LiveExchange:
    """Deployed contracts and funded traders: maker, taker and alice have cash, maker and taker synths."""

    def __init__(self, node: LocalNode, folder: Path) -> None:
        self.path = folder / "deployment.json"
        self.deployment: Deployment = deploy(node.url, KEYS, self.path, Options(demo=True, withdrawal_delay=1))
        self.chain = Chain(node.url)
        self.contracts = open_contracts(self.chain, self.deployment)
        self._seqs: dict[tuple[str, int], int] = {}

    # ------------------------------------------------------------------ trading

    def order(
        self,
        who: str,
        side: Side,
        quantity: int,
        lane: int = 0,
        *,
        epoch: int = 0,
        expiry: int = FAR_FUTURE,
        max_collateral: int = 0,
    ) -> SignedOrder:
        key = bytes.fromhex(KEYS[who][2:])
        seq = self._seqs[who, lane] = self._seqs.get((who, lane), 0) + 1
        order = Order(
            account=address_of(key),
            market=BTC,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=quantity,
            limit_price=PRICE + lane,
            max_fee_bps=30,
            expiry=expiry,
            nonce=pack_nonce(epoch, lane, seq),
            max_collateral=max_collateral,
        )
        digest = order_digest(self.deployment.domain, order)
        return SignedOrder(order, sign_digest(key, digest), digest)

    def sequence(self) -> int:
        value: int = self.contracts["Settlement"].call("sequenceOf", market_hash(BTC))
        return value

    def settle(self, *pairs: tuple[SignedOrder, SignedOrder, int]) -> None:
        """One batch of (maker, taker, lots)."""
        first = self.sequence()
        fills = [MatchedFill(BTC, first + n, maker, taker, lots) for n, (maker, taker, lots) in enumerate(pairs)]
        self.chain.send(KEYS["core"], self.contracts["Settlement"].address, encode_settle_batch(fills))

    def trade(self, lots: int = 3, lane: int = 0) -> None:
        """The taker buys from the maker."""
        self.settle((self.order("maker", Side.SELL, lots, lane), self.order("taker", Side.BUY, lots, lane), lots))

    def trade_back(self, lots: int = 2, lane: int = 1) -> None:
        """The taker sells to a maker's bid, twice against one resting order."""
        maker = self.order("maker", Side.BUY, 2 * lots, lane)
        sells = [self.order("taker", Side.SELL, lots, 2 + n) for n in range(2)]
        self.settle(*((maker, self._at(sell), lots) for sell in sells))

    def _at(self, sold: SignedOrder) -> SignedOrder:
        """The same order with the limit of lane 1, so that it crosses."""
        key = bytes.fromhex(KEYS["taker"][2:])
        fields = {name: getattr(sold.order, name) for name in sold.order.__slots__}
        order = Order(**{**fields, "limit_price": PRICE})
        digest = order_digest(self.deployment.domain, order)
        return SignedOrder(order, sign_digest(key, digest), digest)

    def skip(self) -> None:
        """A fill of an expired order."""
        late = self.order("taker", Side.BUY, 1, 5, expiry=1)
        self.settle((self.order("maker", Side.SELL, 1, 5), late, 1))

    # ------------------------------------------------------------------ everything else

    def send(self, who: str, contract: str, function: str, *arguments: object) -> None:
        self.contracts[contract].send(KEYS[who], function, *arguments)

    def mine(self, blocks: int = 1) -> None:
        self.chain.rpc("anvil_mine", hex(blocks))

    def pass_time(self, seconds: int) -> None:
        self.chain.rpc("evm_increaseTime", seconds)

    def reorg(self, depth: int, transactions: list[tuple[dict[str, str], int]] | None = None) -> None:
        """Replaces the last `depth` blocks by others, which hold these transactions (and no more)."""
        self.chain.rpc("anvil_reorg", depth, transactions or [])

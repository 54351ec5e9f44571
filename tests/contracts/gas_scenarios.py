"""The six shapes of a batch that gas is measured on, single calls, and a real node to measure them with.

Every slot that a measured batch writes is non-zero before it: each shape runs once, then the measured batch
repeats it with newer orders. An account's orders reuse its first lane with rising seq, as in the measurements
that the targets come from; the shapes "with a lane an order" take a new lane for each order of an account
that is open at once, which costs the slots that those lanes live in.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from eth_abi import encode

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.eip712 import Domain, cancel_orders_digest, market_hash
from cxdex.market import MarketStatus
from cxdex.order import SignedOrder
from cxdex.signature import sign_digest, to_compact
from scripts.artifacts import load_artifacts
from tests.contracts.index_prices import CREATOR, IndexPrices
from tests.contracts.settlement_desk import (
    BTC,
    CANCEL,
    CANCEL_ALL,
    CASH,
    CHAIN_ID,
    CORE,
    CREDIT,
    DEPLOYER,
    ENGINE,
    LISTINGS,
    REGISTRY,
    REVOKE_SESSION,
    SBTC,
    SET_SESSION,
    USDC,
    VAULT,
    Signer,
    Trader,
    calldata,
)

FAR_EXPIRY = 2**40 - 1
LOTS = 1_000
PRICE = 6_000_000

Matches = list[tuple[int, int]]  # (maker order, taker order), as positions in the list of orders
Shape = tuple[list[int], Matches]  # owner of each order as an account number, then the matches


def one_by_one() -> Shape:
    return [0, 1], [(0, 1)]


def one_by_ten() -> Shape:
    """One taker sweeps ten makers."""
    return list(range(11)), [(maker, 0) for maker in range(1, 11)]


def fifty_distinct() -> Shape:
    """Fifty independent matches among a hundred accounts."""
    return list(range(100)), [(2 * i, 2 * i + 1) for i in range(50)]


def fifty_among_ten() -> Shape:
    """Fifty matches, a hundred orders, ten accounts."""
    owners = [account for i in range(50) for account in (i % 10, (i + 1 + i // 10 % 9) % 10)]
    return owners, [(2 * i, 2 * i + 1) for i in range(50)]


def five_hundred_among_hundred() -> Shape:
    """125 maker orders, each met by four takers, among a hundred accounts."""
    owners: list[int] = []
    matches: Matches = []
    for i in range(125):
        maker = len(owners)
        owners.append(i % 100)
        for j in range(4):
            owners.append((4 * i + j + 50) % 100 if (4 * i + j + 50) % 100 != i % 100 else (i + 37) % 100)
            matches.append((maker, len(owners) - 1))
    return owners, matches


def a_walk_through_the_book() -> Shape:
    """As the one before, but each maker's last taker goes on into the next maker: 376 takers, 500 fills."""
    owners: list[int] = []
    matches: Matches = []
    for i in range(125):
        owners.append(i % 100)
        maker, goes_on = len(owners) - 1, len(owners) - 2
        takers = [goes_on] if i else []
        while len(takers) < 4:
            owners.append((i + 20 + 15 * len(takers)) % 100)  # never a maker of this place or the next
            takers.append(len(owners) - 1)
        matches += [(maker, taker) for taker in takers]
    return owners, matches


SHAPES: dict[str, Callable[[], Shape]] = {
    "A: 1 taker x 1 maker": one_by_one,
    "B: 1 taker x 10 makers": one_by_ten,
    "C: 50 matches, 100 accounts": fifty_distinct,
    "C': 50 matches, 10 accounts": fifty_among_ten,
    "D: 500 fills, 125 makers x 4 takers, 100 accounts": five_hundred_among_hundred,
    "W: D as a walk through the book": a_walk_through_the_book,
}
WITH_A_LANE_AN_ORDER: dict[str, Callable[[], Shape]] = {
    "C' with a lane an order": fifty_among_ten,
    "D with a lane an order": five_hundred_among_hundred,
}
CANCEL_SIGNED = "cancelOrdersBySignature(address,uint64[],uint256,uint256,uint256)"
SEQS_A_RUN = 100  # more than any account has orders in one batch


class GasNode:
    """A node of its own, with one Settlement and a hundred funded accounts."""

    def __init__(self, url: str, bytecode: bytes, proxy: bytes = b"") -> None:
        """proxy: creation code of a Proxy to put in front, as deployments do."""
        self.url = url
        for account in (CORE, VAULT, REGISTRY, DEPLOYER, CREATOR):
            self.rpc("anvil_setBalance", account, hex(10**24))
            self.rpc("anvil_impersonateAccount", account)
        controls = self.send(DEPLOYER, load_artifacts()["TraderControls"].init_code, to=None)["contractAddress"]
        self.index = IndexPrices(self, CHAIN_ID)
        roles = encode(["address"] * 6, [CORE, VAULT, REGISTRY, ENGINE, controls, self.index.triggers])
        self.address: str = self.send(DEPLOYER, bytecode + roles, to=None)["contractAddress"]
        if proxy:  # any contract will do for its admin, which only an upgrade asks
            behind = encode(["address", "address", "bytes"], [self.address, self.address, b""])
            self.address = self.send(DEPLOYER, proxy + behind, to=None)["contractAddress"]
        self.signer = Signer(Domain(CHAIN_ID, bytes.fromhex(self.address[2:])))
        self.traders = [Trader.named(str(number)) for number in range(100)]
        self.sequence = 0
        self.runs = 0
        market = market_hash(BTC)
        self.send(REGISTRY, calldata("openMarket(bytes32,uint256)", market, LISTINGS[BTC].word()))
        self.send(REGISTRY, calldata("setMarketStatus(bytes32,uint256)", market, MarketStatus.ACTIVE))
        for trader in self.traders:
            for asset, amount in ((CASH, 10**9 * USDC), (SBTC, 10**24)):
                self.send(VAULT, calldata(CREDIT, trader.address, asset, amount))

    def gas_per_fill(self, shape: Shape, lane_an_order: bool = False) -> int:
        """Gas of the whole transaction divided by its fills, every slot non-zero beforehand."""
        self.run(shape, lane_an_order)
        receipt = self.run(shape, lane_an_order)
        assert len(receipt["logs"]) == len(shape[1])
        return round(int(receipt["gasUsed"], 16) / len(shape[1]))

    def run(self, shape: Shape, lane_an_order: bool = False) -> Any:
        return self.send(CORE, encode_settle_batch(self.next_fills(shape, lane_an_order)))

    def next_fills(self, shape: Shape, lane_an_order: bool = False) -> list[MatchedFill]:
        """Newer orders than ever before, at the market's next numbers; they have to be settled."""
        self.runs += 1
        fills = self.fills(shape, lane_an_order)
        self.sequence += len(fills)
        return fills

    def settle(self, fills: list[MatchedFill]) -> int:
        return int(self.send(CORE, encode_settle_batch(fills))["gasUsed"], 16)

    def trace(self, fills: list[MatchedFill]) -> list[dict[str, Any]]:
        """The operations of the batch, one by one."""
        sent = self.send(CORE, encode_settle_batch(fills))["transactionHash"]
        traced = self.rpc("debug_traceTransaction", sent, {"disableStorage": True, "disableStack": True})
        steps: list[dict[str, Any]] = traced["structLogs"]
        return steps

    def other_signers(self, wallet_code: bytes) -> dict[str, int]:
        """A as session keys sign it on both sides, and with a contract wallet of one signature as the seller."""
        seller, buyer, key = self.traders[0], self.traders[1], self.traders[2]
        wallet = self.send(DEPLOYER, wallet_code + encode(["address"], [seller.address]), to=None)["contractAddress"]
        for asset, amount in ((CASH, 10**9 * USDC), (SBTC, 10**24)):
            self.send(VAULT, calldata(CREDIT, wallet, asset, amount))
        for trader in (seller, buyer):
            self.rpc("anvil_setBalance", trader.address, hex(10**24))
            self.rpc("anvil_impersonateAccount", trader.address)
            self.send(trader.address, calldata(SET_SESSION, key.address, bytes(32), 10**15, FAR_EXPIRY))
        signers: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "a fill, both sides by session keys": ({"session": key}, {"session": key}),
            "a fill, the seller a contract wallet": ({"wallet": bytes.fromhex(wallet[2:])}, {}),
        }
        found = {}
        for name, (sells, buys) in signers.items():
            for _ in range(2):
                self.runs += 1
                more = {"seq": self.runs * SEQS_A_RUN, "max_fee_bps": 25, "expiry": FAR_EXPIRY}
                ask = self.signer.sell(seller, LOTS, PRICE, **more, **sells)
                bid = self.signer.buy(buyer, LOTS, PRICE, **more, **buys)
                found[name] = self.settle([MatchedFill(BTC, self.sequence, ask, bid, LOTS)])
                self.sequence += 1
        return found

    def single_calls(self) -> dict[str, int]:
        """What accounts and CORE do one at a time, each a second time: the slots that it writes are non-zero."""
        trader, key = self.traders[0], self.traders[1].address
        now = int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        self.rpc("anvil_setBalance", trader.address, hex(10**24))
        self.rpc("anvil_impersonateAccount", trader.address)

        def cancels(nonces: list[int]) -> bytes:
            digest = cancel_orders_digest(self.signer.domain, trader.account, nonces, FAR_EXPIRY)
            signed = to_compact(sign_digest(trader.key, digest))
            return calldata(CANCEL_SIGNED, trader.address, nonces, FAR_EXPIRY, *signed)

        session = calldata(SET_SESSION, key, bytes(32), 10**12, now + 10**6)
        market = market_hash(BTC)
        steps: dict[str, tuple[str, Callable[[int], bytes]]] = {
            "cancelOrders, one order": (trader.address, lambda n: calldata(CANCEL, [2**16 + n])),
            "cancelOrders, one order of lane 4": (trader.address, lambda n: calldata(CANCEL, [4 << 24 | 2**16 + n])),
            "cancelOrdersBySignature, one order": (DEPLOYER, lambda n: cancels([1 << 24 | 2**16 + n])),
            "setSession": (trader.address, lambda n: session),
            "beat": (CORE, lambda n: calldata("beat()")),
            "voidSequence": (CORE, lambda n: calldata("voidSequence(bytes32,uint256)", market, 1)),
        }
        found = {}
        for name, (sender, data) in steps.items():
            for n in range(2):
                found[name] = int(self.send(sender, data(n))["gasUsed"], 16)
        self.sequence += 2  # voided
        found["revokeSession"] = int(self.send(trader.address, calldata(REVOKE_SESSION, key))["gasUsed"], 16)
        found["cancelAll, the first"] = int(self.send(trader.address, calldata(CANCEL_ALL))["gasUsed"], 16)
        return found

    def fills(self, shape: Shape, lane_an_order: bool) -> list[MatchedFill]:
        """Every order is filled completely: a maker's quantity is what its takers bring, and the reverse."""
        owners, matches = shape
        makers = Counter(maker for maker, _ in matches)
        takers = Counter(taker for _, taker in matches)
        had: Counter[int] = Counter()
        orders: list[SignedOrder] = []
        for number, owner in enumerate(owners):
            make = self.signer.sell if number in makers else self.signer.buy
            lots = (makers[number] + takers[number]) * LOTS
            lane, seq = (had[owner], 0) if lane_an_order else (0, had[owner])
            seq += self.runs * SEQS_A_RUN
            had[owner] += 1
            orders.append(make(self.traders[owner], lots, PRICE, lane=lane, seq=seq, max_fee_bps=25, expiry=FAR_EXPIRY))
        return [
            MatchedFill(BTC, self.sequence + i, orders[maker], orders[taker], LOTS)
            for i, (maker, taker) in enumerate(matches)
        ]

    def deploy(self, sender: str, code: bytes) -> str:
        return str(self.send(sender, code, to=None)["contractAddress"])

    def message_call(self, sender: str, to: str, calldata: bytes) -> None:
        self.send(sender, calldata, to)

    def send(self, sender: str, data: bytes, to: str | None = "contract") -> Any:
        """To Settlement unless it says otherwise; None creates a contract."""
        transaction = {"from": sender, "data": "0x" + data.hex(), "gas": hex(16_777_216)}
        if to is not None:
            transaction["to"] = self.address if to == "contract" else to
        receipt = self.rpc("eth_sendTransactionSync", transaction)
        assert receipt["status"] == "0x1", receipt
        return receipt

    def rpc(self, method: str, *parameters: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]


@contextmanager
def running_anvil(*options: str) -> Iterator[str]:
    """The URL of a fresh node with the gas rules of Prague and the transaction gas cap of Osaka."""
    binary = shutil.which("anvil")
    assert binary is not None, "anvil is not on PATH: use `make test`"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, "--port", str(port), "--chain-id", str(CHAIN_ID), "--hardfork", "prague", "--silent"]
    command += ["--base-fee", "0", "--gas-price", "0", "--gas-limit", "100000000", "--accounts", "1"]
    node = subprocess.Popen(
        [*command, "--enable-tx-gas-limit", *options], stdout=subprocess.DEVNULL, env=dict(os.environ)
    )
    try:
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert node.poll() is None, "anvil ended at once"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait(10)

"""What settler tests stand on: a real node with the real Settlement, a real database file, traders with keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from sqlalchemy import text
from sqlmodel import Session

from cxdex.batch import unpack_fill
from cxdex.deployment import CONTRACTS, Deployment
from cxdex.eip712 import market_hash, order_digest, to_checksum
from cxdex.keccak import keccak
from cxdex.market import MarketStatus
from cxdex.nonce import pack_nonce
from cxdex.order import Order, OrderType, Side, SignedOrder, TimeInForce
from cxdex.order_word import order_word
from cxdex.problem import Problem
from cxdex.rpc import JsonRpc
from cxdex.signature import address_of, sign_digest
from cxdex.storage import open_database
from cxdex.wallet import LocalWallet
from relayer.settler.chain import SettlementChain
from relayer.settler.endpoints import Endpoints
from relayer.settler.follow import FollowOptions
from relayer.settler.loop import Options, Settler
from relayer.settler.plan import GAS_LIMIT, MOST_FILLS, TRANSACTION_GAS_CAP, Limits
from relayer.settler.store import Store
from relayer.settler.wallet import GWEI, TransactionSigner
from relayer.tables import OrderRow, TradeRow
from scripts.artifacts import ROOT, load_artifacts
from scripts.stack.layout import free_port
from scripts.stack.node import anvil_binary
from tests.contracts.index_prices import IndexPrices

CHAIN_ID = 31337
CORE_KEY = bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")  # the node's account 1
BTC, ETH = "sBTC-USDC", "sETH-USDC"
BASE_ASSET = {BTC: 2, ETH: 3}
LOT_EXPONENT = 12
USDC = 10**6
START_CASH = 10**6 * USDC
START_LOTS = 10**6

FILL = "0x" + keccak(b"Fill(uint256,uint256,uint256)").hex()
SKIPPED = "0x" + keccak(b"FillSkipped(uint256,uint256,uint256,uint256)").hex()
VOIDED = "0x" + keccak(b"SequenceVoided(bytes32,uint256,uint256)").hex()


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """For what another process does, and says only in the database."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def selector(signature: str) -> str:
    return "0x" + keccak(signature.encode())[:4].hex()


class Node:
    """anvil on a port of its own, able to go away and come back with its state."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._state = folder / "anvil.json"
        self._process: subprocess.Popen[bytes] | None = None
        self.rpc = JsonRpc(self.url, attempts=1)
        self.start()

    def start(self) -> None:
        command = [anvil_binary(), "--port", str(self.port), "--silent", "--hardfork", "osaka"]
        command += ["--state", str(self._state), "--enable-tx-gas-limit"]
        self._process = subprocess.Popen([str(part) for part in command])
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            return self.rpc.call("eth_chainId") is not None
        except Problem:
            return False

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def transact(self, sender: str, to: str | None, data: str) -> dict[str, Any]:
        """Mined at once. `sender` is one of the node's own accounts, or impersonated."""
        request = {"from": sender, "data": data, "gas": hex(16_000_000)} | ({"to": to} if to else {})
        tx_hash = self.rpc.call("eth_sendTransaction", [request])
        receipt = self.receipt(tx_hash)
        assert receipt["status"] == "0x1", data[:10]
        return receipt

    def receipt(self, tx_hash: str) -> dict[str, Any]:
        """Waits for it: the node mines at once, but answers before it has."""
        found: list[dict[str, Any]] = []
        eventually(lambda: found.extend(filter(None, [self.rpc.call("eth_getTransactionReceipt", [tx_hash])])) or found)
        return found[0]

    def mine(self, blocks: int = 1) -> None:
        self.rpc.call("anvil_mine", [hex(blocks)])

    def wait(self, seconds: int) -> None:
        """Chain time, not the test's."""
        self.rpc.call("evm_increaseTime", [seconds])
        self.mine()

    def automine(self, on: bool) -> None:
        self.rpc.call("evm_setAutomine", [on])


class OnNode:
    """The node as `IndexPrices` wants it. Who sends makes no difference there: an account of the node does."""

    def __init__(self, node: Node, sender: str) -> None:
        self._node = node
        self._sender = sender

    def deploy(self, _creator: str, code: bytes) -> str:
        return str(self._node.transact(self._sender, None, "0x" + code.hex())["contractAddress"])

    def message_call(self, _caller: str, to: str, calldata: bytes) -> None:
        self._node.transact(self._sender, to, "0x" + calldata.hex())


class Exchange:
    """Settlement with two active markets. Account 2 of the node plays the Vault, account 3 the registry."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.accounts: list[str] = node.rpc.call("eth_accounts")
        deployer, core, self.vault, self.registry, synth_engine = self.accounts[:5]
        self.index = IndexPrices(OnNode(node, deployer), CHAIN_ID)
        parts = [self._deploy(deployer, "TraderControls", b""), self.index.triggers]
        arguments = encode(["address"] * 6, [core, self.vault, self.registry, synth_engine, *parts])
        implementation = self._deploy(deployer, "Settlement", arguments)
        # The contract that may upgrade plays no part here; the proxy only wants one.
        behind = encode(["address", "address", "bytes"], [implementation, implementation, b""])
        self.address = self._deploy(deployer, "Proxy", behind)
        self.core = core
        self.call_as(core, "beat()")
        contracts = dict.fromkeys(CONTRACTS, bytes(20)) | {"Settlement": bytes.fromhex(self.address[2:])}
        self.deployment = Deployment(CHAIN_ID, 0, contracts)
        for index, (symbol, asset) in enumerate(BASE_ASSET.items(), start=1):
            self._open_market(symbol, index, asset)

    def _deploy(self, deployer: str, name: str, arguments: bytes) -> str:
        init_code = load_artifacts()[name].init_code + arguments
        receipt = self.node.transact(deployer, None, "0x" + init_code.hex())
        return str(receipt["contractAddress"])

    def _open_market(self, symbol: str, index: int, asset: int) -> None:
        word = (
            1 << 248 | 25 << 232 | 25 << 216 | index << 200 | asset << 184 | LOT_EXPONENT << 176 | 1 << 152 | 1 << 120
        )
        self.call_as(self.registry, "openMarket(bytes32,uint256)", market_hash(symbol), word)
        self.set_status(symbol, MarketStatus.ACTIVE)

    def set_status(self, symbol: str, status: MarketStatus) -> None:
        self.call_as(self.registry, "setMarketStatus(bytes32,uint256)", market_hash(symbol), int(status))

    def call_as(self, sender: str, signature: str, *arguments: object) -> None:
        types = signature[signature.index("(") + 1 : -1]
        data = selector(signature) + encode(types.split(",") if types else [], arguments).hex()
        self.node.transact(sender, self.address, data)

    def as_trader(self, account: bytes, signature: str, *arguments: object) -> None:
        address = to_checksum(account)
        self.node.rpc.call("anvil_setBalance", [address, hex(10**18)])
        self.node.rpc.call("anvil_impersonateAccount", [address])
        self.call_as(address, signature, *arguments)

    def wait_for_nonce(self, count: int) -> None:
        """Until CORE has that many transactions in blocks."""
        eventually(lambda: int(self.node.rpc.call("eth_getTransactionCount", [self.core, "latest"]), 16) >= count)

    def credit(self, account: bytes, asset: int, amount: int) -> None:
        self.call_as(self.vault, "credit(address,uint256,uint256)", to_checksum(account), asset, amount)

    def balance(self, account: bytes, asset: int) -> int:
        data = selector("balanceOf(address,uint256)") + encode(["address", "uint256"], [account, asset]).hex()
        return int(self.node.rpc.call("eth_call", [{"to": self.address, "data": data}, "latest"]), 16)

    def events(self, topic: str) -> list[dict[str, Any]]:
        query = {"fromBlock": "0x0", "toBlock": "latest", "address": self.address, "topics": [topic]}
        logs: list[dict[str, Any]] = self.node.rpc.call("eth_getLogs", [query])
        return logs

    def filled_sequences(self) -> dict[int, list[int]]:
        """Market index to the sequence numbers of its Fill events, in the order of the chain."""
        found: dict[int, list[int]] = defaultdict(list)
        for log in self.events(FILL):
            terms = unpack_fill(int(log["data"][2 + 64 * 2 :], 16))
            found[terms.market_index].append(terms.sequence)
        return dict(found)


@dataclass
class Trader:
    key: bytes
    seq: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def account(self) -> bytes:
        return address_of(self.key)


class Desk:
    """Plays engine and projector: matches become rows, in the numbering that the engine would use."""

    def __init__(self, exchange: Exchange, folder: Path) -> None:
        self.exchange = exchange
        self.url = f"sqlite:///{folder / 'exchange.db'}"
        self.database = open_database(self.url)
        self.store = Store(self.database)
        self.store.open()
        self.match_id = 0
        self.sequence: dict[str, int] = defaultdict(int)
        self._accepted = 0

    def trader(self, number: int, cash: int = START_CASH, lots: int = START_LOTS) -> Trader:
        trader = Trader(keccak(f"trader {number}".encode()))
        if cash:
            self.exchange.credit(trader.account, 0, cash)
        if lots:
            for asset in BASE_ASSET.values():
                self.exchange.credit(trader.account, asset, lots * 10**LOT_EXPONENT)
        return trader

    def trader_without_money(self, number: int) -> Trader:
        """Its fills are skipped. It can be had while the node mines nothing."""
        return self.trader(number, cash=0, lots=0)

    def order(self, trader: Trader, market: str, side: Side, quantity: int, price: int, lane: int = 0) -> SignedOrder:
        trader.seq[lane] += 1
        order = Order(
            account=trader.account,
            market=market,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=quantity,
            limit_price=price,
            max_fee_bps=50,
            expiry=2**39,
            nonce=pack_nonce(0, lane, trader.seq[lane]),
        )
        digest = order_digest(self.exchange.deployment.domain, order)
        return SignedOrder(order, sign_digest(trader.key, digest), digest)

    def trade(
        self,
        seller: Trader,
        buyer: Trader,
        market: str = BTC,
        quantity: int = 10,
        price: int = 1_000_000,
        lane: int = 0,
        time_ms: int = 0,
        forged: bool = False,
    ) -> TradeRow:
        """The seller rests, the buyer takes. forged: the taker's signature is another key's."""
        maker = self.order(seller, market, Side.SELL, quantity, price, lane)
        taker = self.order(buyer, market, Side.BUY, quantity, price, lane)
        if forged:
            taker = SignedOrder(taker.order, sign_digest(keccak(b"stranger"), taker.digest), taker.digest)
        return self.match(maker, taker, quantity, time_ms)

    def match(self, maker: SignedOrder, taker: SignedOrder, quantity: int, time_ms: int = 0) -> TradeRow:
        market = maker.order.market
        self.match_id += 1
        trade = TradeRow(
            match_id=self.match_id,
            market=market,
            sequence=self.sequence[market],
            maker_digest=maker.digest,
            taker_digest=taker.digest,
            maker=maker.order.account,
            taker=taker.order.account,
            taker_is_buyer=taker.order.side is Side.BUY,
            price=maker.order.limit_price,
            quantity=quantity,
            maker_fee=0,
            taker_fee=0,
            time_ms=time_ms,
            maker_order=order_word(maker.order.account, maker.order.nonce, maker.digest),
            taker_order=order_word(taker.order.account, taker.order.nonce, taker.digest),
        )
        self.sequence[market] += 1
        with Session(self.database, expire_on_commit=False) as session:
            for signed in (maker, taker):
                if session.get(OrderRow, signed.digest) is None:
                    self._accepted += 1
                    session.add(_order_row(signed, self._accepted))
            session.add(trade)
            session.commit()
        return trade

    def rows(self, table: str) -> list[Any]:
        with self.database.connect().execution_options(read_only=True) as connection:
            return list(connection.execute(text(f'SELECT * FROM "{table}" ORDER BY 1')))

    def statuses(self) -> list[str]:
        return [row.status for row in self.rows("batch")]


def _order_row(signed: SignedOrder, accepted: int) -> OrderRow:
    order = signed.order
    return OrderRow(
        digest=signed.digest,
        accepted=accepted,
        account=order.account,
        market=order.market,
        side=int(order.side),
        order_type=int(order.order_type),
        time_in_force=int(order.time_in_force),
        quantity=order.quantity,
        limit_price=order.limit_price,
        max_fee_bps=order.max_fee_bps,
        max_collateral=order.max_collateral,
        self_trade=int(order.self_trade),
        reduce_only=order.reduce_only,
        expiry=order.expiry,
        nonce=order.nonce,
        signature=signed.signature,
        signature_kind=int(signed.kind),
        trigger=None if order.condition is None else int(order.condition.trigger),
        trigger_price=None if order.condition is None else order.condition.trigger_price,
        active_from=None if order.condition is None else order.condition.active_from,
        proof_first=signed.proof[0],
        proof_second=signed.proof[1],
        status="FILLED",
        filled=order.quantity,
        remaining=0,
        version=1,
        created_ms=0,
        updated_ms=0,
    )


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000_000

    def __call__(self) -> int:
        return self.ms

    def advance(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


def settler_for(
    desk: Desk, clock: Clock, *, url: str | None = None, gas_cap: int = TRANSACTION_GAS_CAP, **choices: Any
) -> Settler:
    """A settler in this process, one step at a time. choices: fields of Limits and FollowOptions."""
    limits = {"max_fills": MOST_FILLS, "interval_ms": 0, "gas_limit": GAS_LIMIT}
    follow = {"confirmations": 3, "replace_after_ms": 45_000, "fee_cap": 100 * GWEI, "tip": GWEI}
    for name, value in choices.items():
        (limits if name in limits else follow)[name] = value
    wallet = LocalWallet(CORE_KEY)
    deployment = desk.exchange.deployment
    urls = (url or desk.exchange.node.url).split(",")
    nodes = [JsonRpc(one, attempts=1, timeout=5) for one in urls]
    return Settler(
        desk.store,
        SettlementChain(Endpoints(nodes, clock, 3), deployment, wallet.account, gas_cap),
        TransactionSigner(wallet, deployment.chain_id, deployment.contracts["Settlement"]),
        Options(Limits(**limits), FollowOptions(**follow), poll_ms=20),
        clock,
    )


def settle(settler: Settler, desk: Desk) -> None:
    """Steps until nothing more can happen on a node that mines at once."""
    quiet = 0
    while quiet < 3:
        busy = settler.step()
        for batch in desk.store.unresolved():
            if batch.status in ("PREPARED", "SENT"):
                desk.exchange.wait_for_nonce(batch.nonce + 1)
                busy = True
        quiet = 0 if busy else quiet + 1


class SettlerProcess:
    """`python -m relayer settler`, to be killed."""

    def __init__(
        self,
        desk: Desk,
        folder: Path,
        *,
        url: str | None = None,
        confirmations: int = 1,
        options: Sequence[str] = (),
    ) -> None:
        self._log = folder / "settler.log"
        deployment, key = folder / "deployment.json", folder / "core.key"
        addresses = {name: "0x" + address.hex() for name, address in desk.exchange.deployment.contracts.items()}
        deployment.write_text(
            f'{{"chainId": {CHAIN_ID}, "deployedBlock": 0, "contracts": {addresses!r}}}'.replace("'", '"')
        )
        key.write_text("0x" + CORE_KEY.hex() + "\n")
        command = [sys.executable, "-m", "relayer", "settler", "--database", desk.url]
        command += ["--rpc", url or desk.exchange.node.url, "--deployment", str(deployment), "--key-file", str(key)]
        command += [
            "--interval",
            "0",
            "--poll",
            "0.02",
            "--max-fills",
            "4",
            "--confirmations",
            str(confirmations),
            *options,
        ]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, env=os.environ | {"PYTHONUNBUFFERED": "1"}
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.log

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

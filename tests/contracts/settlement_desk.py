"""A Settlement contract to trade on: real signatures, real calldata, the bytecode that ape compiled.

Owns:     `Desk` (the contract inside an in-process EVM), the traders, decoding of reverts and events.
Promises: the test plays CORE, VAULT, REGISTRY and ENGINE as plain accounts unless it says otherwise; nothing of the
          contract is replaced.
Never:    measures gas: the in-process EVM keeps slots warm (see test_gas.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from eth_abi import decode, encode
from pyrevm import EVM, BlockEnv, CfgEnv, Env

from cxdex.batch import SETTLE_BATCH_SELECTOR, FillTerms, MatchedFill, encode_settle_batch, unpack_fill
from cxdex.condition import Condition
from cxdex.eip712 import Domain, market_hash, order_digest
from cxdex.keccak import keccak
from cxdex.market import MarketStatus
from cxdex.nonce import CANCEL_DELAY_SECONDS, pack_nonce
from cxdex.order import Order, OrderType, SelfTrade, Side, SignatureKind, SignedOrder, TimeInForce
from cxdex.signature import address_of, sign_digest
from scripts.artifacts import load_artifacts
from tests.contracts.index_prices import IndexPrices
from tests.contracts.settlement_events import FILL_EVENTS, Event, decode_event

CHAIN_ID = 31337
NOW = 1_800_000_000
HOUR = 3_600
CASH, CXPT = 0, 1
SBTC, SETH = 2, 3
BTC, ETH = "sBTC-USDC", "sETH-USDC"
USDC = 10**6


def role(name: str) -> str:
    return "0x" + keccak(name.encode())[12:].hex()


CORE, VAULT, REGISTRY, ENGINE, TRIGGERS, DEPLOYER, STRANGER = map(
    role, ("core", "vault", "registry", "engine", "triggers", "deployer", "stranger")
)
CREDIT = "credit(address,uint256,uint256)"
CANCEL, CANCEL_ALL = "cancelOrders(uint64[])", "cancelAll()"
SET_SESSION, REVOKE_SESSION = "setSession(address,bytes32,uint256,uint256)", "revokeSession(address)"


class RevertedError(Exception):
    """The call reverted; `code` is the contract's short code, empty for a bare revert."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Listing:
    """What the registry would store for a market. Fees in 1/10,000, a lot is 10**lot_exponent base units."""

    symbol: str
    index: int
    base_asset: int
    lot_exponent: int = 14
    quote_per_lot_tick: int = 1
    min_lots: int = 1
    maker_fee_bps: int = 25
    taker_fee_bps: int = 25
    status: MarketStatus = MarketStatus.PAUSED

    @property
    def lot(self) -> int:
        size: int = 10**self.lot_exponent
        return size

    def word(self) -> int:
        return (
            self.quote_per_lot_tick << 120
            | self.min_lots << 152
            | self.lot_exponent << 176
            | self.base_asset << 184
            | self.index << 200
            | self.taker_fee_bps << 216
            | self.maker_fee_bps << 232
            | self.status << 248
        )


LISTINGS = {
    BTC: Listing(BTC, 1, SBTC, min_lots=2),
    ETH: Listing(ETH, 2, SETH, lot_exponent=15, quote_per_lot_tick=10, maker_fee_bps=0, taker_fee_bps=50),
}


@dataclass
class Trader:
    """A key and its address."""

    key: bytes
    account: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.account = address_of(self.key)

    @property
    def address(self) -> str:
        return "0x" + self.account.hex()

    @classmethod
    def named(cls, name: str) -> Trader:
        return cls(keccak(b"trader " + name.encode()))


def calldata(signature: str, *values: Any) -> bytes:
    selector, kinds = _signature(signature)
    if WORDS.issuperset(kinds):  # the general encoder takes most of the time of a long run
        return selector + b"".join(map(_word, values))
    return selector + encode(kinds, values)


WORDS = frozenset(("uint256", "address", "bytes32", "bool"))


@cache
def _signature(signature: str) -> tuple[bytes, tuple[str, ...]]:
    body = signature[signature.index("(") + 1 : -1]
    return keccak(signature.encode())[:4], tuple(body.split(",")) if body else ()


def _word(value: Any) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(32, "big")
    return value if isinstance(value, bytes) else bytes.fromhex(value[2:]).rjust(32, b"\0")


class Signer:
    """Makes signed orders for one verifying contract."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain

    def order(
        self,
        trader: Trader,
        side: Side,
        quantity: int,
        price: int,
        *,
        market: str = BTC,
        epoch: int = 0,
        lane: int = 0,
        seq: int = 1,
        tif: TimeInForce = TimeInForce.GTC,
        kind: OrderType = OrderType.LIMIT,
        self_trade: SelfTrade = SelfTrade.CANCEL_TAKER,
        max_fee_bps: int = 50,
        expiry: int = NOW + HOUR,
        max_collateral: int = 0,
        reduce_only: bool = False,
        account: bytes | None = None,
        domain: Domain | None = None,
        session: Trader | None = None,
        wallet: bytes | None = None,
        padding: bytes = b"",
        condition: Condition | None = None,
        proof: tuple[int, int] = (0, 0),
    ) -> SignedOrder:
        """Signed by the trader; by `session`, a key of the trader's; or as the owner of the contract `wallet`.

        padding: what a contract wallet gets to see behind its owner's signature. proof: what the relayer adds to show
        that the condition is met.
        """
        order = Order(
            account=account or wallet or trader.account,
            market=market,
            side=side,
            order_type=kind,
            time_in_force=tif,
            quantity=quantity,
            limit_price=price,
            max_fee_bps=max_fee_bps,
            expiry=expiry,
            nonce=pack_nonce(epoch, lane, seq),
            max_collateral=max_collateral,
            self_trade=self_trade,
            reduce_only=reduce_only,
            condition=condition,
        )
        digest = order_digest(domain or self.domain, order)
        if session is not None:
            return SignedOrder(order, sign_digest(session.key, digest), digest, SignatureKind.SESSION, proof)
        signature = sign_digest(trader.key, digest)
        if wallet is not None:
            return SignedOrder(order, signature + padding, digest, SignatureKind.CONTRACT, proof)
        return SignedOrder(order, signature, digest, proof=proof)

    def buy(self, trader: Trader, quantity: int, price: int, **more: Any) -> SignedOrder:
        return self.order(trader, Side.BUY, quantity, price, **more)

    def sell(self, trader: Trader, quantity: int, price: int, **more: Any) -> SignedOrder:
        return self.order(trader, Side.SELL, quantity, price, **more)


class Desk(Signer):
    """The contract in an in-process EVM, with markets open and active."""

    def __init__(
        self,
        bytecode: bytes,
        chain_id: int = CHAIN_ID,
        deployer: str = DEPLOYER,
        vault_code: bytes = b"",
        engine_code: bytes = b"",
    ) -> None:
        """vault_code, engine_code: contracts to play these roles; without them plain accounts do."""
        self.evm = EVM(
            env=Env(cfg=CfgEnv(chain_id=chain_id), block=BlockEnv(number=1, timestamp=NOW, basefee=0)),
            spec_id="PRAGUE",
        )
        self.vault = self.evm.deploy(DEPLOYER, vault_code) if vault_code else VAULT
        self.engine = ENGINE
        if engine_code:
            self.engine = self.evm.deploy(DEPLOYER, engine_code + encode(["address"], [self.vault]))
        self.controls: str = self.evm.deploy(DEPLOYER, load_artifacts()["TraderControls"].init_code)
        self.index = IndexPrices(self.evm, chain_id)
        parts = [self.controls, self.index.triggers]
        roles = encode(["address"] * 6, [CORE, self.vault, REGISTRY, self.engine, *parts])
        self.address: str = self.evm.deploy(deployer, bytecode + roles)
        super().__init__(Domain(chain_id, bytes.fromhex(self.address[2:])))
        if vault_code:
            self.send(DEPLOYER, calldata("setSettlement(address)", self.address), to=self.vault)
        for listing in LISTINGS.values():
            self.call(REGISTRY, "openMarket(bytes32,uint256)", market_hash(listing.symbol), listing.word())
            self.set_status(listing.symbol, MarketStatus.ACTIVE)

    # ---- calls

    def send(self, caller: str, data: bytes, to: str = "", gas: int | None = None) -> bytes:
        """Raises RevertedError with the contract's code; nothing of the call remains then."""
        self.evm.reset_transient_storage()
        try:
            output: bytes = self.evm.message_call(caller, to or self.address, calldata=data, gas=gas)
        except RuntimeError as error:
            raise RevertedError(_revert_code(str(error))) from None
        return bytes(output)

    def call(self, caller: str, signature: str, *values: Any) -> list[Event]:
        """The events of one state-changing call."""
        self.send(caller, calldata(signature, *values))
        return self.events()

    def read(self, signature: str, *values: Any, returns: str = "uint256") -> Any:
        output = self.send(STRANGER, calldata(signature, *values))
        kinds = returns.split(",")
        if set(kinds) == {"uint256"}:
            assert len(output) == 32 * len(kinds)
            decoded = tuple(int.from_bytes(output[i : i + 32], "big") for i in range(0, len(output), 32))
        else:
            decoded = decode(kinds, output)
        return decoded[0] if len(decoded) == 1 else decoded

    def read_as(self, caller: str, signature: str, *values: Any) -> int:
        """The number that a state-changing call returns."""
        return int.from_bytes(self.send(caller, calldata(signature, *values)), "big")

    def events(self) -> list[Event]:
        found = []
        for entry in self.evm.result.logs:
            topics = [bytes.fromhex(t[2:]) if isinstance(t, str) else bytes(t) for t in entry.topics]
            data = entry.data[1] if isinstance(entry.data, tuple) else entry.data
            found.append(decode_event(topics, bytes(data)))
        return found

    # ---- batches

    def settle(self, fills: Iterable[MatchedFill], caller: str = CORE) -> list[Event]:
        """What became of each fill; `events` has the rest."""
        return [event for event in self.settle_bytes(encode_settle_batch(fills), caller) if event.name in FILL_EVENTS]

    def settle_bytes(self, data: bytes, caller: str = CORE) -> list[Event]:
        self.send(caller, data)
        return self.events()

    def deploy(self, code: bytes, kinds: str = "", *values: Any) -> str:
        """One more contract."""
        address: str = self.evm.deploy(DEPLOYER, code + (encode(kinds.split(","), values) if kinds else b""))
        return address

    def fill(self, maker: SignedOrder, taker: SignedOrder, quantity: int) -> Event:
        """One fill in a batch of its own."""
        market = taker.order.market
        (event,) = self.settle([MatchedFill(market, self.sequence(market), maker, taker, quantity)])
        return event

    def fills(self, *matches: tuple[SignedOrder, SignedOrder, int]) -> list[Event]:
        """Several fills in one batch, numbered from each market's next sequence."""
        return self.settle(self.numbered(matches))

    def numbered(self, matches: Iterable[tuple[SignedOrder, SignedOrder, int]]) -> list[MatchedFill]:
        following = {symbol: self.sequence(symbol) for symbol in LISTINGS}
        numbered = []
        for maker, taker, quantity in matches:
            market = taker.order.market
            numbered.append(MatchedFill(market, following[market], maker, taker, quantity))
            following[market] += 1
        return numbered

    # ---- index prices

    def publish(self, price: int, asset: int = SBTC, time: int | None = None) -> int:
        """A good index price, 1e-6 USDC a whole synth, of this second or of `time`. Returns the second."""
        published = self.now if time is None else time
        self.send(STRANGER, self.index.publication(asset, price, published), to=self.index.oracle)
        return published

    # ---- state

    def fund(self, trader: Trader | str, asset: int, amount: int) -> None:
        self.tell_vault(CREDIT, address_of_holder(trader), asset, amount)

    def tell_vault(self, signature: str, *values: Any) -> bytes:
        """A call of the Vault: by the account that plays it, or through the contract that does."""
        data = calldata(signature, *values)
        return self.send(VAULT, data) if self.vault == VAULT else self.send(STRANGER, data, to=self.vault)

    def cancel(self, trader: Trader, *nonces: int) -> list[Event]:
        return self.call(trader.address, CANCEL, list(nonces))

    def kill(self, trader: Trader, *nonces: int) -> None:
        """Cancels these orders and waits until it counts."""
        self.cancel(trader, *nonces)
        self.wait(CANCEL_DELAY_SECONDS)

    def kill_all(self, trader: Trader) -> None:
        self.call(trader.address, CANCEL_ALL)
        self.wait(CANCEL_DELAY_SECONDS)

    def set_session(
        self, trader: Trader, key: Trader, notional: int = 10**12, market: str = "", expiry: int = NOW + HOUR
    ) -> list[Event]:
        hashed = market_hash(market) if market else bytes(32)
        return self.call(trader.address, SET_SESSION, key.address, hashed, notional, expiry)

    def session(self, trader: Trader, key: Trader) -> tuple[int, int, int]:
        """(market index, notional left, expiry)"""
        index, left, expiry = self.read(
            "sessionOf(address,address)", trader.address, key.address, returns="uint256,uint256,uint256"
        )
        return index, left, expiry

    def balance(self, account: Trader | str, asset: int) -> int:
        value: int = self.read("balanceOf(address,uint256)", address_of_holder(account), asset)
        return value

    def lane(self, trader: Trader | str, lane: int) -> tuple[int, int]:
        """(seq, filled lots)"""
        seq, filled = self.read("laneOf(address,uint256)", address_of_holder(trader), lane, returns="uint256,uint256")
        return seq, filled

    def tier(self, trader: Trader | str) -> int:
        value: int = self.read("tierOf(address)", address_of_holder(trader))
        return value

    def epoch(self, trader: Trader) -> int:
        value: int = self.read("epochOf(address)", trader.address)
        return value

    def sequence(self, symbol: str) -> int:
        value: int = self.read("sequenceOf(bytes32)", market_hash(symbol))
        return value

    def fees(self, symbol: str) -> int:
        value: int = self.read("accruedFees(bytes32)", market_hash(symbol))
        return value

    def set_status(self, symbol: str, status: int) -> None:
        self.call(REGISTRY, "setMarketStatus(bytes32,uint256)", market_hash(symbol), status)

    @property
    def now(self) -> int:
        timestamp: int = self.evm.env.block.timestamp
        return timestamp

    def set_time(self, timestamp: int) -> None:
        self.evm.set_block_env(BlockEnv(number=2, timestamp=timestamp, basefee=0))

    def wait(self, seconds: int) -> None:
        self.set_time(self.now + seconds)


def address_of_holder(holder: Trader | str) -> str:
    return holder if isinstance(holder, str) else holder.address


def batch(*entries: bytes) -> bytes:
    """Calldata of settleBatch with these entries as they are."""
    return SETTLE_BATCH_SELECTOR + len(entries).to_bytes(32, "big") + b"".join(entries)


def fill_numbers(event: Event) -> FillTerms:
    """The unpacked terms of a Fill or FillSkipped event."""
    return unpack_fill(event.fields["terms"])


def order_word(signed: SignedOrder) -> int:
    """What an event calls the order; written here a second time."""
    order = signed.order
    return int.from_bytes(order.account, "big") << 96 | order.nonce << 32 | int.from_bytes(signed.digest, "big") % 2**32


def _revert_code(message: str) -> str:
    """The string of `Error(string)` inside the in-process EVM's error text."""
    _, found, tail = message.partition("0x08c379a0")
    if not found:
        return ""
    digits = tail.split('"')[0].split(" ")[0].split("}")[0].strip(",")
    text: str = decode(["string"], bytes.fromhex(digits))[0]
    return text

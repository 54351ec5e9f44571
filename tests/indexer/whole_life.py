"""Everything that can happen to the contracts, on a real node: each event that changes somebody's state, at least once.

Built of calls that any of the parties may make. Nothing here knows the indexer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxdex.abi import load_abi
from cxdex.eip712 import Domain, InstantWithdrawal, instant_withdrawal_digest, market_hash
from cxdex.keccak import keccak
from cxdex.nonce import CANCEL_DELAY_SECONDS, pack_nonce
from cxdex.order import Side, SignatureKind, SignedOrder
from cxdex.signature import address_of, sign_digest, to_compact
from scripts.chain import Contract
from scripts.keys import REPORTERS
from scripts.price_reporter import submit_prices
from scripts.stack.layout import demo_keys

if TYPE_CHECKING:
    from tests.indexer.live_exchange import LiveExchange

KEYS = demo_keys()
USDC = 10**6
BTC, ETH = 2, 3
BTC_PRICE, ETH_PRICE = 60_000 * USDC, 3_000 * USDC
MARKET = market_hash("sBTC-USDC")
DAY = 86_400
FAR_FUTURE = 2**39
PAUSED, ACTIVE = 1, 2
WHOLE = 10**18
IMPLEMENTATION_SLOT = int.from_bytes(keccak(b"eip1967.proxy.implementation"), "big") - 1


def live_through_everything(exchange: LiveExchange) -> None:
    exchange.trade()
    exchange.trade_back()
    exchange.skip()
    withdraw(exchange)
    take_fees(exchange)
    cancel_orders(exchange)
    use_session_key(exchange)
    mint_in_a_fill(exchange)
    redeem(exchange)
    be_liquidated(exchange)
    pause(exchange)
    govern(exchange)
    end_a_synth(exchange)
    exchange.trade(lane=2)


# ------------------------------------------------------------------ money


def withdraw(exchange: LiveExchange) -> None:
    """Claimed as USDC and as CXPT, by a stranger, elsewhere, for less, not at all; and at once."""
    exchange.send("alice", "USDC", "approve", exchange.contracts["Vault"].address, 100 * USDC)
    exchange.send("alice", "Vault", "deposit", 40 * USDC)
    for amount, as_cxpt in ((10, False), (2_000, True), (5, False), (6, False), (7, False)):
        exchange.send("alice", "Vault", "requestWithdraw", 0, amount * USDC, as_cxpt)
    newest = withdrawals(exchange)
    exchange.send("alice", "Vault", "redirectWithdraw", newest, address("bob"))
    exchange.send("carol", "Vault", "requestWithdraw", 0, 100_000 * USDC, False)
    leave(exchange, "carol", 40_000 * USDC, nonce=7)
    exchange.pass_time(10)
    exchange.send("alice", "Vault", "cancelWithdraw", newest - 2)
    exchange.send("bob", "Vault", "claimWithdraw", newest - 4)
    exchange.send("alice", "Vault", "claimWithdraw", newest - 3)
    exchange.send("bob", "Vault", "claimWithdraw", newest)
    exchange.send("carol", "Vault", "claimWithdraw", newest + 1)  # for the 60,000 that are left
    exchange.send("alice", "Vault", "redeemCxpt", 7 * USDC)
    exchange.send("alice", "CXPT", "approve", exchange.contracts["Vault"].address, 1_500 * USDC)
    exchange.send("alice", "Vault", "depositAsset", 1, 1_500 * USDC)  # enough for a fee tier


def withdrawals(exchange: LiveExchange) -> int:
    count: int = exchange.contracts["Vault"].call("withdrawalCount")
    return count


def leave(exchange: LiveExchange, who: str, amount: int, nonce: int, *, as_cxpt: bool = False) -> None:
    """An instant withdrawal, co-signed."""
    vault = exchange.contracts["Vault"]
    deadline = exchange.chain.timestamp() + 3_600
    wanted = InstantWithdrawal(address(who), 0, amount, as_cxpt, address("bob"), nonce, deadline)
    digest = instant_withdrawal_digest(Domain(exchange.deployment.chain_id, vault.address), wanted)
    r, vs = to_compact(sign_digest(private_key("cosigner"), digest))
    signature = (r.to_bytes(32, "big"), vs.to_bytes(32, "big"))
    exchange.send(who, "Vault", "withdraw", 0, amount, as_cxpt, address("bob"), nonce, deadline, *signature)


def take_fees(exchange: LiveExchange) -> None:
    exchange.send("bob", "Vault", "collectFees", MARKET)
    pocket: int = exchange.contracts["Vault"].call("feePocket")
    exchange.send("admin", "Vault", "withdrawFees", address("bob"), pocket // 3)
    exchange.send("admin", "Vault", "payRebates", [address("bob"), address("alice")], [pocket // 5, pocket // 4])
    exchange.trade()  # so that some fees are not collected


# ------------------------------------------------------------------ orders


def cancel_orders(exchange: LiveExchange) -> None:
    """Cancels that do not count yet, one that counts, and one on top of it."""
    exchange.send("taker", "Settlement", "cancelOrders", [pack_nonce(0, 0, 90), pack_nonce(0, 7, 3)])
    exchange.send("bob", "Settlement", "cancelAll")
    exchange.pass_time(CANCEL_DELAY_SECONDS + 1)
    exchange.send("taker", "Settlement", "cancelOrders", [pack_nonce(0, 7, 5)])
    exchange.send("maker", "Settlement", "cancelOrders", [pack_nonce(0, 0, 1), pack_nonce(0, 9, 2)])
    exchange.trade(lane=9)  # of which the maker's is meant by the cancel, and settles
    exchange.send("core", "Settlement", "voidSequence", MARKET, 2)
    exchange.send("core", "Settlement", "beat")


def use_session_key(exchange: LiveExchange) -> None:
    exchange.send("taker", "Settlement", "setSession", address("bob"), MARKET, 1_000 * USDC, FAR_FUTURE)
    exchange.send("taker", "Settlement", "setSession", address("carol"), bytes(32), 1_000 * USDC, FAR_FUTURE)
    exchange.send("alice", "Settlement", "setSession", address("bob"), bytes(32), 5 * USDC, FAR_FUTURE)
    exchange.send("alice", "Settlement", "revokeSession", address("bob"))
    own = exchange.order("taker", Side.BUY, 2, 10)
    signature = sign_digest(private_key("bob"), own.digest)
    delegated = SignedOrder(own.order, signature, own.digest, SignatureKind.SESSION)
    exchange.settle((exchange.order("maker", Side.SELL, 2, 10), delegated, 2))


def mint_in_a_fill(exchange: LiveExchange) -> None:
    """Bob, who has no synths, sells two lots."""
    report(exchange, BTC, BTC_PRICE)
    sale = exchange.order("bob", Side.SELL, 2, 10, epoch=1, max_collateral=100 * USDC)
    exchange.settle((sale, exchange.order("taker", Side.BUY, 2, 11), 2))


# ------------------------------------------------------------------ debt


def report(exchange: LiveExchange, asset: int, price: int) -> None:
    exchange.mine()
    keys = [KEYS[name] for name in REPORTERS]
    submit_prices(exchange.contracts, keys, asset, price, exchange.chain.timestamp())


def synths_to_wallet(exchange: LiveExchange, who: str, asset: int, amount: int) -> None:
    """Out of the trading balance, and within the Vault's reach."""
    exchange.send(who, "Vault", "requestWithdraw", asset, amount, False)
    exchange.pass_time(5)
    exchange.send(who, "Vault", "claimWithdraw", withdrawals(exchange))
    token = exchange.contracts["Vault"].call("synthOf", asset)
    synth = Contract(exchange.chain, "Synth", token, load_abi("Synth"))
    synth.send(KEYS[who], "approve", exchange.contracts["Vault"].address, 2**200)


def redeem(exchange: LiveExchange) -> None:
    """In part, in whole, and not at all; and a debt paid back."""
    synths_to_wallet(exchange, "alice", BTC, WHOLE // 20)
    engine = "SynthEngine"
    exchange.send("alice", engine, "burn", BTC, WHOLE // 1000)
    exchange.send("alice", engine, "withdrawCollateral", BTC, USDC)
    for amount in (WHOLE // 1000, WHOLE // 500, WHOLE // 400):
        exchange.send("alice", engine, "requestRedemption", BTC, amount, 300)
    newest: int = exchange.contracts[engine].call("redemptionCount")
    exchange.send("alice", engine, "cancelRedemption", newest)
    exchange.pass_time(61)
    report(exchange, BTC, BTC_PRICE)
    exchange.send("bob", engine, "executeRedemption", newest - 2, [address("bob")])  # as far as his debt goes
    exchange.send("bob", engine, "executeRedemption", newest - 1, [address("maker")])


def be_liquidated(exchange: LiveExchange) -> None:
    """Ether rises until nobody's collateral is enough: one position is bought out, another taken over."""
    synths_to_wallet(exchange, "maker", ETH, WHOLE)
    for _ in range(2):  # a jump is believed when it is said again
        exchange.pass_time(60)
        report(exchange, ETH, ETH_PRICE * 145 // 100)
    exchange.send("maker", "SynthEngine", "liquidate", address("alice"), ETH, WHOLE // 10)
    exchange.send("bob", "USDC", "approve", exchange.contracts["Vault"].address, 10_000 * USDC)
    exchange.send("bob", "SynthEngine", "takeOver", address("alice"), ETH, WHOLE // 10, 10_000 * USDC)


# ------------------------------------------------------------------ operators


def pause(exchange: LiveExchange) -> None:
    exchange.send("guardian", "Vault", "pause", 600)
    exchange.send("admin", "Vault", "resume")
    exchange.send("admin", "Vault", "allowPause")
    exchange.send("guardian", "MarketRegistry", "setStatus", MARKET, PAUSED)
    exchange.send("admin", "MarketRegistry", "setStatus", MARKET, ACTIVE)
    exchange.send("guardian", "SynthEngine", "lowerCap", BTC, 10 * WHOLE)
    exchange.send("guardian", "Oracle", "freeze", BTC, 60)


def govern(exchange: LiveExchange) -> None:
    """An upgrade and other changes, announced, and one announcement taken back."""
    vault, oracle, engine = (exchange.contracts[name] for name in ("Vault", "Oracle", "SynthEngine"))
    code = exchange.chain.rpc("eth_getStorageAt", "0x" + vault.address.hex(), f"0x{IMPLEMENTATION_SLOT:064x}", "latest")
    upgrade = vault_proxy(exchange).encode("upgradeToAndCall", bytes.fromhex(code[-40:]), b"")
    calls = [
        [vault.address, 0, upgrade],
        [oracle.address, 0, oracle.encode("setReporter", address("reporter3"), False)],
        [engine.address, 0, engine.encode("raiseCap", BTC, 2**100)],
        [engine.address, 0, engine.encode("windDown", ETH)],
    ]
    exchange.send("admin", "Timelock", "schedule", calls, bytes(32))
    exchange.send("admin", "Timelock", "schedule", calls[:1], b"s" * 32)
    taken_back: bytes = exchange.contracts["Timelock"].call("operationId", calls[:1], b"s" * 32)
    exchange.send("guardian", "Timelock", "cancel", taken_back)
    exchange.send("admin", "Timelock", "schedule", calls[1:2], b"w" * 32)  # waits
    exchange.pass_time(DAY + 60)
    exchange.send("bob", "Timelock", "execute", calls, bytes(32))


def vault_proxy(exchange: LiveExchange) -> Contract:
    return Contract(exchange.chain, "Proxy", exchange.contracts["Vault"].address, load_abi("Proxy"))


def end_a_synth(exchange: LiveExchange) -> None:
    """Ether was wound down: positions pay into the pot, holders take out of it."""
    owners = [address(name) for name in ("alice", "maker", "taker", "bob")]
    exchange.send("carol", "SynthEngine", "processPositions", ETH, owners)
    exchange.send("maker", "SynthEngine", "claimWound", ETH, WHOLE // 2)


# ------------------------------------------------------------------ keys


def private_key(who: str) -> bytes:
    return bytes.fromhex(KEYS[who][2:])


def address(who: str) -> bytes:
    return address_of(private_key(who))

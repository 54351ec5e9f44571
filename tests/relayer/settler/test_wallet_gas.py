"""Contract wallets that use more gas in a block than they did when the settler asked what a batch would cost."""

from __future__ import annotations

from settler_stand import BTC, Clock, Desk, Exchange, Trader, settle, settler_for

from cxdex.eip712 import to_checksum
from cxdex.keccak import keccak
from cxdex.order import Side, SignatureKind, SignedOrder

# Says yes to whoever only asks (no gas price), and burns all it is given in a transaction.
TWO_FACED = "0x3a601257631626ba7e60e01b5f5260205ff35b601256"


class Wallet(Trader):
    @property
    def account(self) -> bytes:
        return keccak(self.key)[:20]


def two_faced(desk: Desk, exchange: Exchange, number: int) -> Wallet:
    wallet = Wallet(b"wallet %d" % number)
    exchange.node.rpc.call("anvil_setCode", [to_checksum(wallet.account), TWO_FACED])
    exchange.credit(wallet.account, 0, 10**12)
    return wallet


def bid(desk: Desk, wallet: Wallet) -> SignedOrder:
    order = desk.order(wallet, BTC, Side.BUY, 10, 1_000_000)
    return SignedOrder(order.order, b"anything", order.digest, SignatureKind.CONTRACT)


def test_a_wallet_that_is_dearer_in_a_block_does_not_hold_up_the_others(
    desk: Desk, exchange: Exchange, clock: Clock
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for number in range(20):
        wallet = two_faced(desk, exchange, number)
        desk.match(desk.order(alice, BTC, Side.SELL, 10, 1_000_000), bid(desk, wallet), 10)
    desk.trade(alice, bob)
    settle(settler_for(desk, clock), desk)
    assert "FAILED" not in desk.statuses()
    assert exchange.filled_sequences() == {1: [20]}  # the wallets refused theirs, and lost nothing but these

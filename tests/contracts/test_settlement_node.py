"""A sample of the same behaviour through ape, on a real node: real transactions, receipts and decoded logs."""

from __future__ import annotations

from typing import Any

import pytest
from ape.exceptions import ContractLogicError

from cxdex.batch import MatchedFill, encode_settle_batch, unpack_fill
from cxdex.eip712 import Domain, market_hash
from cxdex.market import MarketStatus
from cxdex.nonce import CANCEL_DELAY_SECONDS
from cxdex.order import Side
from tests.contracts.settlement_desk import BTC, CASH, LISTINGS, SBTC, USDC, Signer, Trader, order_word

EXPIRY = 2**40 - 1


@pytest.fixture(scope="module")
def roles(accounts: Any) -> dict[str, Any]:
    return dict(zip(("core", "vault", "registry", "engine", "triggers"), list(accounts)[:5], strict=True))


@pytest.fixture(scope="module")
def settlement(project: Any, accounts: Any, roles: dict[str, Any]) -> Any:
    controls = project.TraderControls.deploy(sender=accounts[5])
    deployed = project.Settlement.deploy(*list(roles.values())[:4], controls, roles["triggers"], sender=accounts[5])
    deployed.openMarket(market_hash(BTC), LISTINGS[BTC].word(), sender=roles["registry"])
    deployed.setMarketStatus(market_hash(BTC), MarketStatus.ACTIVE, sender=roles["registry"])
    return deployed


@pytest.fixture(scope="module")
def signer(settlement: Any, chain: Any) -> Signer:
    return Signer(Domain(chain.chain_id, bytes.fromhex(settlement.address[2:])))


@pytest.fixture(scope="module")
def controls(project: Any, settlement: Any) -> Any:
    """What Settlement hands on, called where traders call it."""
    return project.TraderControls.at(settlement.address)


def send_batch(settlement: Any, sender: Any, fills: list[MatchedFill]) -> Any:
    ecosystem = settlement.provider.network.ecosystem
    transaction = ecosystem.create_transaction(
        receiver=settlement.address, data=encode_settle_batch(fills), chain_id=settlement.provider.chain_id
    )
    return sender.call(transaction)


def test_a_batch_settles_once(
    settlement: Any, controls: Any, signer: Signer, roles: dict[str, Any], alice: Trader, bob: Trader
) -> None:
    settlement.credit(alice.address, SBTC, 10**18, sender=roles["vault"])
    settlement.credit(bob.address, CASH, 1_000 * USDC, sender=roles["vault"])
    ask = signer.sell(alice, 10, 1_000_000, expiry=EXPIRY)
    bid = signer.buy(bob, 10, 1_000_000, expiry=EXPIRY)
    fills = [MatchedFill(BTC, 0, ask, bid, 10)]
    receipt = send_batch(settlement, roles["core"], fills)

    (event,) = receipt.decode_logs(settlement.Fill)
    assert (event.maker, event.taker) == (order_word(ask), order_word(bid))
    assert unpack_fill(event.terms).taker_fee == 25_000
    assert settlement.balanceOf(alice.address, CASH) == 10_000_000 - 25_000
    assert settlement.balanceOf(bob.address, SBTC) == 10**15
    assert settlement.accruedFees(market_hash(BTC)) == 50_000
    assert tuple(controls.laneOf(alice.address, 0)) == (1, 10)

    with pytest.raises(ContractLogicError, match="S:SEQ"):
        send_batch(settlement, roles["core"], fills)
    with pytest.raises(ContractLogicError, match="S:CORE"):
        send_batch(settlement, roles["vault"], fills)


def test_a_cancelled_order_is_skipped(
    settlement: Any, controls: Any, signer: Signer, roles: dict[str, Any], accounts: Any, chain: Any, bob: Trader
) -> None:
    holder = accounts[6]
    trader = Trader(bytes.fromhex(holder.private_key[2:]))
    assert trader.address == holder.address.lower()
    ask = signer.sell(trader, 10, 500, expiry=EXPIRY)
    cancelled = controls.cancelOrders([ask.order.nonce], sender=holder)
    (raised,) = cancelled.decode_logs(controls.NonceRaised)
    assert (raised.account, raised.lane, raised.seq) == (holder.address, 0, 2)
    assert raised.effectiveAt == cancelled.timestamp + CANCEL_DELAY_SECONDS
    chain.mine(timestamp=raised.effectiveAt)

    sequence = settlement.sequenceOf(market_hash(BTC))
    taker = signer.buy(bob, 10, 500, seq=2, expiry=EXPIRY)
    receipt = send_batch(settlement, roles["core"], [MatchedFill(BTC, sequence, ask, taker, 4)])
    (skipped,) = receipt.decode_logs(settlement.FillSkipped)
    assert skipped.reason == 1


def test_fees_are_taken_by_the_vault_alone(
    settlement: Any, signer: Signer, roles: dict[str, Any], alice: Trader, bob: Trader
) -> None:
    market = market_hash(BTC)
    settlement.credit(alice.address, SBTC, 10**18, sender=roles["vault"])
    settlement.credit(bob.address, CASH, 1_000 * USDC, sender=roles["vault"])
    ask, bid = (
        signer.order(who, side, 10, 1_000, seq=9, expiry=EXPIRY) for who, side in ((alice, Side.SELL), (bob, Side.BUY))
    )
    send_batch(settlement, roles["core"], [MatchedFill(BTC, settlement.sequenceOf(market), ask, bid, 10)])
    with pytest.raises(ContractLogicError, match="S:VAULT"):
        settlement.takeFees(market, sender=roles["core"])
    assert settlement.accruedFees(market) == 50
    settlement.takeFees(market, sender=roles["vault"])
    assert settlement.accruedFees(market) == 0

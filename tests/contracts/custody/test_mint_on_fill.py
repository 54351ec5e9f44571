"""Selling short inside a fill, by the contracts as deployed: minted, owed, backed and delivered, or skipped.

The SynthEngine's own arithmetic is tested with it; here are Settlement, Vault, Oracle and engine in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from custody_evm import Refused
from custody_world import ALICE, BOB, CORE, GUARDIAN, KEYS, NAMES, ONE_SYNTH, ONE_USDC, SBTC, USDC, World
from debt_desk import position, set_price

from cxdex.batch import MatchedFill, SkipReason, encode_settle_batch
from cxdex.eip712 import Domain, market_hash, order_digest
from cxdex.order import Side, SignedOrder
from cxdex.signature import sign_digest

BTC = "sBTC-USDC"
TICKS = 600_000  # 60,000 USDC, the price when a test begins
LOTS = 10_000  # a whole sBTC
RICH = 100_000 * ONE_USDC
NOTIONAL = 60_000 * ONE_USDC
FEE = 150 * ONE_USDC  # 25 bps of it
OWN = 30_150 * ONE_USDC  # what 150 % need besides the proceeds after the fee


@pytest.fixture
def exchange(funded: World) -> Iterator[World]:
    """Alice and Bob have 100,000 USDC each. After the test the books still hold."""
    yield funded
    vault = funded.vault
    debt, collateral = (sum(column) for column in zip(*(position(funded, one) for one in (ALICE, BOB)), strict=True))
    assert vault.call("collateralTotal") == collateral
    assert funded.synths[SBTC].call("totalSupply") == debt
    fees = funded.settlement.call("accruedFees", market_hash(BTC))
    assert funded.cash(ALICE) + funded.cash(BOB) + fees == vault.call("ledgerTotal", USDC)
    assert funded.usdc.call("balanceOf", vault.address) == vault.call("ledgerTotal", USDC) + collateral


def short(world: World, bound: int, account: bytes = ALICE) -> SignedOrder:
    plain = world.order(account, BTC, Side.SELL, LOTS, TICKS).order
    order = replace(plain, max_collateral=bound, max_fee_bps=25)
    digest = order_digest(Domain(world.evm.chain_id, world.settlement.address), order)
    return SignedOrder(order, sign_digest(bytes.fromhex(KEYS[NAMES[account]][2:]), digest), digest)


def bid(world: World) -> SignedOrder:
    return world.order(BOB, BTC, Side.BUY, LOTS, TICKS)


def told(world: World, logs: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    return [event for event in world.events(logs) if event[0] not in ("Transfer", "Approval")]


def outcome(world: World, maker: SignedOrder, taker: SignedOrder, lots: int = LOTS) -> SkipReason | None:
    (event,) = (e for e in told(world, world.settle(maker, taker, lots)) if e[0] in ("Fill", "FillSkipped"))
    return None if event[0] == "Fill" else SkipReason(event[1]["reason"])


def untouched(world: World) -> bool:
    return (world.cash(ALICE), world.cash(BOB), position(world, ALICE)) == (RICH, RICH, (0, 0))


@pytest.mark.parametrize("as_taker", [False, True])
def test_a_short_sale_is_owed_backed_and_delivered(exchange: World, as_taker: bool) -> None:
    sale, buy = short(exchange, OWN), bid(exchange)
    logs = exchange.settle(buy, sale, LOTS) if as_taker else exchange.settle(sale, buy, LOTS)
    events = told(exchange, logs)
    assert [name for name, _ in events] == ["DebtChanged", "SynthMinted", "Fill", "ProceedsLocked"]
    assert position(exchange, ALICE) == (ONE_SYNTH, 90_000 * ONE_USDC)
    assert (exchange.cash(ALICE), exchange.cash(BOB)) == (RICH - OWN, RICH - NOTIONAL - FEE)
    assert exchange.vault.call("balanceOf", BOB, SBTC) == ONE_SYNTH
    assert exchange.vault.call("balanceOf", ALICE, SBTC) == 0
    locked = events[3][1]
    assert (locked["amount"], locked["balance"]) == (90_000 * ONE_USDC, RICH - OWN)
    assert locked["total"] == exchange.vault.call("collateralTotal")


def test_the_signed_bound_to_the_unit(exchange: World) -> None:
    assert outcome(exchange, short(exchange, OWN - 1), bid(exchange)) is SkipReason.MINT_REFUSED
    assert untouched(exchange)
    assert outcome(exchange, short(exchange, OWN), bid(exchange)) is None


def test_partial_fills_stay_inside_the_bound(exchange: World) -> None:
    sale, buy = short(exchange, OWN), bid(exchange)
    for lots in (LOTS // 4, LOTS // 2, LOTS // 4):
        assert outcome(exchange, sale, buy, lots) is None
        buy = bid(exchange)
    assert exchange.cash(ALICE) == RICH - OWN
    assert position(exchange, ALICE) == (ONE_SYNTH, 90_000 * ONE_USDC)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world: world.evm.advance(301),
        lambda world: set_price(world, 120_000 * ONE_USDC),
        lambda world: world.engine.send(GUARDIAN, "lowerCap", SBTC, ONE_SYNTH - 1),
        lambda world: world.engine.send(GUARDIAN, "pause", 3_600),
    ],
    ids=["price too old", "price doubled", "cap", "paused"],
)
def test_what_the_engine_refuses_is_skipped_and_moves_nothing(exchange: World, spoil: Callable[[World], Any]) -> None:
    sale, buy = short(exchange, OWN), bid(exchange)
    spoil(exchange)
    assert outcome(exchange, sale, buy) is SkipReason.MINT_REFUSED
    assert untouched(exchange)


def test_a_seller_without_the_cash_is_skipped(exchange: World) -> None:
    exchange.leave(ALICE, USDC, RICH - OWN + 1)
    assert outcome(exchange, short(exchange, 2 * OWN), bid(exchange)) is SkipReason.MINT_REFUSED
    assert (exchange.cash(ALICE), position(exchange, ALICE)) == (OWN - 1, (0, 0))


def test_what_was_minted_can_be_sold_on_in_the_same_batch(exchange: World) -> None:
    """Alice sells short to Bob, who sells to Alice at once: she owns what she owes."""
    sale, buy = short(exchange, OWN), bid(exchange)
    back, again = (exchange.order(one, BTC, side, LOTS, TICKS) for one, side in ((BOB, Side.SELL), (ALICE, Side.BUY)))
    fills = [MatchedFill(BTC, 0, sale, buy, LOTS), MatchedFill(BTC, 1, back, again, LOTS)]
    logs = exchange.evm.send(CORE, exchange.settlement.address, encode_settle_batch(fills))
    assert [name for name, _ in told(exchange, logs)].count("Fill") == 2
    assert exchange.vault.call("balanceOf", ALICE, SBTC) == ONE_SYNTH == position(exchange, ALICE)[0]
    assert exchange.cash(BOB) == RICH - 2 * FEE


def test_the_ledger_is_up_to_date_when_the_engine_mints(exchange: World) -> None:
    """Alice's own quarter is sold in the same batch before her order mints the rest: the mint's event says what she has
    then, which is what the indexer counts, and not that quarter besides."""
    quarter = ONE_SYNTH // 4
    exchange.borrow(ALICE, SBTC, quarter, 45_000 * ONE_USDC)
    sale, buy = short(exchange, OWN), bid(exchange)
    fills = [MatchedFill(BTC, 0, sale, buy, LOTS // 4), MatchedFill(BTC, 1, sale, buy, LOTS - LOTS // 4)]
    logs = exchange.evm.send(CORE, exchange.settlement.address, encode_settle_batch(fills))
    events = told(exchange, logs)
    assert [name for name, _ in events] == ["Fill", "DebtChanged", "SynthMinted", "Fill", "ProceedsLocked"]
    minted = events[2][1]
    assert (minted["amount"], minted["balance"], minted["supply"]) == (3 * quarter, 3 * quarter, ONE_SYNTH)
    assert exchange.vault.call("balanceOf", BOB, SBTC) == ONE_SYNTH
    assert exchange.vault.call("balanceOf", ALICE, SBTC) == 0


def test_attack_45_core_starves_a_mint_of_gas(exchange: World) -> None:
    """Through both proxies: with too little gas the batch reverts, and no amount makes the engine seem to refuse."""
    data = encode_settle_batch([MatchedFill(BTC, 0, short(exchange, OWN), bid(exchange), LOTS)])
    target, core = "0x" + exchange.settlement.address.hex(), "0x" + CORE.hex()
    found: dict[str, int] = {}
    for gas in [*range(100_000, 1_050_000, 50_000), *range(1_050_000, 1_250_000, 2_000)]:
        with exchange.evm.imagined():
            try:
                exchange.evm._evm.message_call(core, target, data, gas=gas)
            except RuntimeError as error:
                found["S:GAS" if b"S:GAS".hex() in str(error) else "out of gas"] = gas
            else:
                names = [name for name, _ in told(exchange, list(exchange.evm._evm.result.logs))]
                found["Fill" if "Fill" in names else "skipped"] = gas
    assert found.keys() <= {"Fill", "S:GAS", "out of gas"}
    assert {"Fill", "S:GAS"} <= found.keys()


def test_a_batch_that_reverts_leaves_no_debt(exchange: World) -> None:
    sale, buy = short(exchange, OWN), bid(exchange)
    fills = [MatchedFill(BTC, 0, sale, buy, LOTS), MatchedFill(BTC, 1, sale, bid(exchange), LOTS)]
    with pytest.raises(Refused):
        exchange.evm.send(CORE, exchange.settlement.address, encode_settle_batch(fills))
    assert untouched(exchange)

"""Leaving at once, a session key that trades, cheaper fees for CXPT, cancels on chain: every process of `make up`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cxdex import Exchange, LocalWallet, SessionWallet, Ticket
from cxdex.client.replies import Order
from cxdex.keccak import keccak
from cxdex.problem import Problem
from scripts.stack.layout import Layout
from scripts.stack.node import rpc_call
from scripts.stack.run import Stack
from tests.e2e.test_spine import (
    MARKET,
    buy_now,
    exchange_of,
    order_or_none,
    settled_is_total,
    until_filled,
    wait_for,
)

pytestmark = pytest.mark.e2e

# isValidSignature's answer, whatever is asked: PUSH4 selector, shift it to the top of a word, return the word
ACCEPTS_EVERYTHING = "0x631626ba7e60e01b60005260206000f3"


def balance(exchange: Exchange, symbol: str = "USDC") -> Any:
    return next(found for found in exchange.balances() if found.symbol == symbol)


def test_money_leaves_in_one_transaction_as_soon_as_the_last_fill_has_settled(stack: Stack, layout: Layout) -> None:
    alice = exchange_of(layout, "alice")
    buy_now(alice, "0.01")
    before = Decimal(balance(alice).total)
    paid = alice.withdraw_instantly("25", recipient="0x" + "77" * 20)
    assert paid.block > 0
    assert Decimal(balance(alice).total) == before - 25
    wait_for(
        "the chain's balance to be the engine's", lambda: settled_is_total(alice) and balance(alice).leaving == "0"
    )
    with pytest.raises(Problem, match="BALANCE_INSUFFICIENT"):
        alice.withdraw_instantly("100000000")


def test_a_deposit_is_one_transaction_and_leaves_no_allowance(stack: Stack, layout: Layout) -> None:
    alice = exchange_of(layout, "alice")
    wait_for("a quiet account", lambda: settled_is_total(alice))
    before = Decimal(balance(alice).total)
    sent = transactions_of(layout, "alice")
    alice.deposit("12.5")
    wait_for("the deposit", lambda: Decimal(balance(alice).total) == before + Decimal("12.5"))
    assert transactions_of(layout, "alice") == sent + 1


def transactions_of(layout: Layout, person: str) -> int:
    account = LocalWallet(layout.keys[person]).address
    return int(str(rpc_call(layout.rpc_url, "eth_getTransactionCount", account, "latest")), 16)


def test_a_session_key_trades_within_its_limit_until_it_is_revoked(stack: Stack, layout: Layout) -> None:
    bob = exchange_of(layout, "bob")
    key = SessionWallet(keccak(b"a key for a bot"), LocalWallet(layout.keys["bob"]).account)
    bob.set_session(key.address, "2000", market=MARKET, expires_in=3_600)
    wait_for("the session", lambda: bob.sessions())
    bot = Exchange(layout.api_url, key, rpc_url=layout.rpc_url)

    filled = buy_now(bot, "0.01", expires_in=1_800)
    (fill, *_) = bot.wait_until_settled(filled)
    assert fill.is_settled
    left = wait_for("the chain's word", lambda: used(bob, key.address, Decimal(2000)))
    assert left == Decimal(2000) - Decimal(fill.notional)

    resting = bot.buy(MARKET, "0.01", price="1000", expires_in=1_800)
    other = bot.buy(MARKET, "0.01", price="999", expires_in=1_800)
    assert bot.cancel(other.id).status == "CANCELLED"
    with pytest.raises(Problem, match="SESSION_LIMIT_EXCEEDED"):
        bot.buy(MARKET, "5", price="1000", expires_in=1_800)
    with pytest.raises(Problem, match="SESSION_CANNOT"):
        bot.withdraw_instantly("1")

    bob.revoke_session(key.address)
    closed = wait_for("the revocation", lambda: (o := bob.order(resting.id)).status != "OPEN" and o)
    assert (closed.status, closed.reason) == ("CANCELLED", "SESSION_REVOKED")
    with pytest.raises(Problem, match=r"SESSION_NOT_LIVE|SIGNATURE_MISMATCH"):
        bot.buy(MARKET, "0.01", price="1000", expires_in=1_800)


def test_cxpt_inside_the_exchange_lowers_the_fee_on_chain_too(stack: Stack, layout: Layout) -> None:
    carol = exchange_of(layout, "carol")
    carol.withdraw_instantly("1000", as_cxpt=True)
    carol.deposit("1000", "CXPT")
    tier = wait_for("the tier", lambda: carol.account().fee_tier)
    assert (tier, carol.account().fee_discount_percent) == (1, 10)
    before = Decimal(balance(carol).total)
    order = buy_now(carol, "0.01")
    fills = carol.wait_until_settled(order)
    notional, fee = (sum(Decimal(getattr(fill, name)) for fill in fills) for name in ("notional", "fee"))
    assert abs(fee - notional * Decimal("0.00225")) <= Decimal("0.000001") * len(fills)
    wait_for("the chain's balance to be the engine's", lambda: settled_is_total(carol))
    assert Decimal(balance(carol).settled) == before - notional - fee


def test_a_cancel_on_chain_takes_the_order_off_the_book(stack: Stack, layout: Layout) -> None:
    bob = exchange_of(layout, "bob")
    resting = bob.buy(MARKET, "0.01", price="1000")
    bob.cancel_on_chain([resting])
    closed = wait_for("the cancel", lambda: (o := order_or_none(bob, resting.id)) and o.status != "OPEN" and o)
    assert (closed.status, closed.reason) == ("CANCELLED", "CHAIN_CANCEL")
    again = bob.buy(MARKET, "0.01", price="1000")
    assert again.status == "OPEN"
    bob.cancel(again)


def test_an_order_of_a_contract_wallet_settles(stack: Stack, layout: Layout) -> None:
    carol, account = exchange_of(layout, "carol"), LocalWallet(layout.keys["carol"]).address

    def place(price: str) -> Order:
        signed = carol.sign(Ticket(MARKET, "BUY", "0.01", price, time_in_force="IOC"))
        return carol.submit(replace(signed, signature=b"\x01" * 130))  # as two owners of a multisig wallet would sign

    rpc_call(layout.rpc_url, "anvil_setCode", account, ACCEPTS_EVERYTHING)
    try:
        assert carol.wait_until_settled(until_filled(carol, place))
    finally:
        rpc_call(layout.rpc_url, "anvil_setCode", account, "0x")


def used(exchange: Exchange, key: str, limit: Decimal) -> Decimal | None:
    """What the chain has left of the key's limit, once it is less."""
    left = next(Decimal(session.notional_left) for session in exchange.sessions() if session.key == key)
    return left if left < limit else None

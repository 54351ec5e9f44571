"""The solvency machine among thieves: every step may also be one that somebody must not be able to take.

Each hostile rule names the refusal that it must meet. The invariants of the solvency machine run after it as after
any other step, so that a refusal that moved something all the same is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from custody_evm import Refused
from custody_model import MAX_FEE_BPS
from custody_world import (
    ADDRESSES,
    CORE,
    CXPT,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    SBTC,
    STALENESS,
    STRANGER,
    USDC,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from test_privileges import PEOPLE as CALLERS
from test_privileges import PRIVILEGED
from test_solvency_machine import EVERYBODY, FOR_EVER, LISTINGS, PEOPLE, SYNTH_ASSETS, Custody, people, synths

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.eip712 import Domain, order_digest
from cxdex.market import MarketStatus
from cxdex.order import Order, OrderType, Side, SignedOrder, TimeInForce
from cxdex.signature import sign_digest

choices = st.integers(0, 10**6)
excess = st.sampled_from((1, 10**6, 2**100))


class HostileCustody(Custody):
    @initialize()
    def everybody_brings_money(self) -> None:
        """Wallets hold something of everything too, so that gifts, redemptions and deposits of synths happen."""
        super().everybody_brings_money()
        for account in PEOPLE:
            self.world.usdc.send(account, "mint", account, 1_000 * ONE_USDC)
            self.model.wallet[account, USDC] += 1_000 * ONE_USDC
            self.request(account, USDC, 5, True)
            self.request(account, SBTC, 50, False)
        for _ in range(2 * len(PEOPLE)):
            self.wait_and_claim(0)

    # ------------------------------------------------------------------ doors that are not theirs

    @rule(entry=st.sampled_from(PRIVILEGED), choice=choices)
    def somebody_uses_a_power_that_is_not_theirs(self, entry: tuple[Any, ...], choice: int) -> None:
        contract, function, arguments, code, holder = entry
        callers = {**{name: ADDRESSES[name] for name in CALLERS}, **self.world.addresses}
        names = sorted(name for name in callers if name not in (holder, contract))
        with self.refused(code):
            caller = callers[names[choice % len(names)]]
            self.world.contracts[contract].send(caller, function, *arguments)

    @rule(thief=st.sampled_from(EVERYBODY), victim=people, asset=st.sampled_from((CXPT, *SYNTH_ASSETS)))
    def a_thief_sends_tokens_of_a_victim(self, thief: bytes, victim: bytes, asset: int) -> None:
        token = self.world.cxpt if asset == CXPT else self.world.synths[asset]
        with self.refused("C:TRANSFER" if asset == CXPT else "T:ALLOWANCE"):
            token.send(thief, "transferFrom", victim, thief, 1)

    @precondition(lambda self: self.model.requests)
    @rule(thief=st.sampled_from(EVERYBODY), choice=choices)
    def a_thief_cancels_a_withdrawal(self, thief: bytes, choice: int) -> None:
        identity = sorted(self.model.requests)[choice % len(self.model.requests)]
        if self.model.requests[identity].account != thief:
            with self.refused("V:OWNER"):
                self.world.vault.send(thief, "cancelWithdraw", identity)

    # ------------------------------------------------------------------ more than they have

    @rule(account=people, asset=st.sampled_from((USDC, CXPT, *SYNTH_ASSETS)), more=excess)
    def somebody_withdraws_more_than_they_have(self, account: bytes, asset: int, more: int) -> None:
        with self.refused("S:FUNDS"):
            self.world.vault.send(
                account, "requestWithdraw", asset, self.model.inside[account, asset] + more, asset == USDC
            )

    @precondition(lambda self: self.model.requests)
    @rule(choice=choices)
    def somebody_claims_too_early(self, choice: int) -> None:
        identity = sorted(self.model.requests)[choice % len(self.model.requests)]
        if self.model.requests[identity].claimable_at > self.world.evm.now:
            with self.refused("V:DELAY"):
                self.world.vault.send(STRANGER, "claimWithdraw", identity)

    @rule(account=people, identity=st.integers(0, 12))
    def somebody_claims_what_is_not_there(self, account: bytes, identity: int) -> None:
        """Paid already, cancelled already, or never asked for."""
        if identity not in self.model.requests:
            for function in ("claimWithdraw", "cancelWithdraw"):
                with self.refused("Q:UNKNOWN"):
                    self.world.vault.send(account, function, identity)

    @rule(account=people, more=excess)
    def somebody_redeems_more_cxpt_than_they_hold(self, account: bytes, more: int) -> None:
        """Beyond the whole reserve the subtraction from it reverts first, without a code."""
        amount = self.model.wallet[account, CXPT] + more
        with self.refused("T:BALANCE" if amount <= self.model.reserve else ""):
            self.world.vault.send(account, "redeemCxpt", amount)

    # ------------------------------------------------------------------ debt without cover

    @rule(account=people, asset=synths, micro=st.integers(1, 10**6))
    def somebody_mints_one_unit_short_of_the_ratio(self, account: bytes, asset: int, micro: int) -> None:
        self.report(asset, self.prices[asset])
        amount = micro * ONE_SYNTH // 10**6
        needed = self.model.required(self.model.debt[account, asset] + amount, self.prices[asset])
        missing = needed - self.model.collateral[account, asset]
        if 0 < missing <= self.model.inside[account, USDC]:
            with self.refused("E:RATIO"):
                self.world.engine.send(account, "mint", asset, amount, missing - 1)

    @rule(account=people, asset=synths)
    def somebody_frees_one_unit_too_much(self, account: bytes, asset: int) -> None:
        self.report(asset, self.prices[asset])
        collateral = self.model.collateral[account, asset]
        needed = self.model.required(self.model.debt[account, asset], self.prices[asset])
        amount = max(1, collateral - needed + 1)
        with self.refused("E:RATIO" if amount <= collateral else "E:COLLATERAL"):
            self.world.engine.send(account, "withdrawCollateral", asset, amount)

    @rule(account=people, asset=synths, more=excess)
    def somebody_burns_more_than_they_owe(self, account: bytes, asset: int, more: int) -> None:
        with self.refused("E:DEBT"):
            self.world.engine.send(account, "burn", asset, self.model.debt[account, asset] + more)

    @rule(account=people, asset=synths)
    def somebody_mints_at_a_price_that_is_too_old(self, account: bytes, asset: int) -> None:
        self.world.evm.advance(STALENESS + 1)
        with self.refused("O:QUORUM"):
            self.world.engine.send(account, "mint", asset, 1, 0)

    # ------------------------------------------------------------------ a faulty or hostile relayer

    @rule(
        buyer=people,
        seller=people,
        asset=synths,
        fault=st.sampled_from(("S:SEQ", "S:OVERFILL", "S:SIG", "S:CORE", "S:PRICE", "S:SIDE", "S:MARKET")),
    )
    def core_sends_what_nobody_agreed_to(self, buyer: bytes, seller: bytes, asset: int, fault: str) -> None:
        if buyer == seller:
            return
        symbol, lots, ticks = LISTINGS[asset].symbol, 10, 1_000
        side = Side.SELL if fault == "S:SIDE" else Side.BUY
        maker = self.sign(seller, symbol, Side.SELL, lots, ticks)
        taker = self.sign(buyer, symbol, side, lots, ticks - (fault == "S:PRICE"))
        if fault == "S:SIG":
            taker = self.forged(buyer, symbol, lots, ticks)
        closed = fault == "S:MARKET"
        self.set_status(asset, MarketStatus.PAUSED if closed else MarketStatus.ACTIVE, self.world.timelock.address)
        sequence = self.sequence[asset] + (fault == "S:SEQ")
        fill = MatchedFill(symbol, sequence, maker, taker, lots + (fault == "S:OVERFILL"))
        sender = STRANGER if fault == "S:CORE" else CORE
        with self.refused(fault):
            self.world.evm.send(sender, self.world.settlement.address, encode_settle_batch([fill]))

    def forged(self, victim: bytes, symbol: str, lots: int, ticks: int) -> SignedOrder:
        """An order of the victim that CORE signed itself."""
        order = Order(
            victim, symbol, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, lots, ticks, MAX_FEE_BPS, FOR_EVER,
            self.sign(victim, symbol, Side.BUY, lots, ticks).order.nonce,
        )  # fmt: skip
        digest = order_digest(Domain(self.world.evm.chain_id, self.world.settlement.address), order)
        return SignedOrder(order, sign_digest(bytes.fromhex(KEYS["core"][2:]), digest), digest)

    @contextmanager
    def refused(self, code: str) -> Iterator[None]:
        with pytest.raises(Refused) as caught:
            yield
        assert caught.value.code == code


HostileCustody.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestHostileCustody = HostileCustody.TestCase

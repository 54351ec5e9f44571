"""The solvency machine among thieves: every step may also be one that somebody must not be able to take.

Each hostile rule names the refusal that it must meet. The invariants of the solvency machine run after it as after
any other step, so that a refusal that moved something all the same is seen. The token that stands for USDC is one of
the thieves: in the middle of a transfer it calls whatever door there is, and it lies, blocks people and keeps fees.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from custody_evm import Refused
from custody_world import (
    ADDRESSES,
    ADMIN,
    CORE,
    CXPT,
    DELAY,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    SBTC,
    STALENESS,
    STRANGER,
    USDC,
    sign_leave,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from test_privileges import PEOPLE as CALLERS
from test_privileges import PRIVILEGED
from test_reentrancy import DOORS
from test_solvency_machine import (
    EVERYBODY,
    LISTINGS,
    PEOPLE,
    SYNTH_ASSETS,
    Custody,
    assets,
    choices,
    people,
    synths,
)

from cxdex.eip712 import market_hash
from cxdex.market import MarketStatus
from cxdex.order import Side

excess = st.sampled_from((1, 10**6, 2**100))
UNSIGNED_DOORS = tuple(door for door in DOORS if door[1] != "withdraw")


class HostileCustody(Custody):
    TOKEN = "HostileUSDC"  # it behaves until a rule makes it do otherwise

    @initialize()
    def everybody_brings_money(self) -> None:
        """Wallets hold something of everything too, so that gifts, redemptions and deposits of synths happen."""
        super().everybody_brings_money()
        for account in PEOPLE:
            self.world.usdc.send(account, "mint", account, 1_000 * ONE_USDC)
            self.model.wallet[account, USDC] += 1_000 * ONE_USDC
            self.leave_at_once(account, USDC, 5, True, account)
            self.leave_at_once(account, SBTC, 50, False, account)

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

    @rule(thief=st.sampled_from(EVERYBODY), choice=choices)
    def a_thief_cancels_or_redirects_a_withdrawal(self, thief: bytes, choice: int) -> None:
        identity = self.waiting(choice)
        if identity is not None and self.model.requests[identity].account != thief:
            with self.refused("V:OWNER"):
                self.world.vault.send(thief, "cancelWithdraw", identity)
            with self.refused("V:OWNER"):
                self.world.vault.send(thief, "redirectWithdraw", identity, thief)

    @rule(thief=st.sampled_from(EVERYBODY), victim=people, signer=st.sampled_from(("cosigner", "core", "admin")))
    def a_thief_leaves_with_a_signature_for_another(self, thief: bytes, victim: bytes, signer: str) -> None:
        """COSIGNER's own is of no use to anybody but the account; nobody else's is of use to the account."""
        if thief == victim and signer == "cosigner":
            return
        terms = (USDC, 1, False, thief, 2**200, self.world.evm.now)
        signature = sign_leave(KEYS[signer], self.world.vault, victim, *terms)
        with self.refused("V:COSIGNER"):
            self.world.vault.send(thief, "withdraw", *terms, *signature)

    # ------------------------------------------------------------------ more than they have

    @rule(account=people, asset=assets, more=excess)
    def somebody_announces_more_than_they_have(self, account: bytes, asset: int, more: int) -> None:
        amount = self.model.free(account, asset) + more
        with self.refused("V:FUNDS"):
            self.world.vault.send(account, "requestWithdraw", asset, amount, asset == USDC)

    @rule(account=people, asset=assets, more=excess)
    def somebody_leaves_with_more_than_they_have(self, account: bytes, asset: int, more: int) -> None:
        """Even if COSIGNER signs it."""
        with self.refused("S:FUNDS"):
            self.world.leave(account, asset, self.model.inside[account, asset] + more)

    @rule(more=excess)
    def admin_takes_more_than_the_pocket(self, more: int) -> None:
        amount = self.model.pocket + more
        with self.refused("V:FUNDS"):
            self.world.vault.send(ADMIN, "withdrawFees", ADMIN, amount)
        with self.refused("V:FUNDS"):
            self.world.vault.send(ADMIN, "payRebates", [ADMIN], [amount])

    @rule(choice=choices)
    def somebody_claims_too_early(self, choice: int) -> None:
        identity = self.waiting(choice)
        if identity is not None and self.model.requests[identity].requested_at + DELAY > self.world.evm.now:
            with self.refused("V:DELAY"):
                self.world.vault.send(STRANGER, "claimWithdraw", identity)

    @rule(account=people, identity=st.integers(0, 12))
    def somebody_claims_what_is_not_there(self, account: bytes, identity: int) -> None:
        """Paid already, cancelled already, or never asked for."""
        if identity not in self.model.requests:
            for function, *more in (("claimWithdraw",), ("cancelWithdraw",), ("redirectWithdraw", account)):
                with self.refused("Q:UNKNOWN"):
                    self.world.vault.send(account, function, identity, *more)

    @rule(account=people, more=excess)
    def somebody_redeems_more_cxpt_than_they_hold(self, account: bytes, more: int) -> None:
        with self.refused("T:BALANCE"):
            self.world.vault.send(account, "redeemCxpt", self.model.wallet[account, CXPT] + more)

    # ------------------------------------------------------------------ debt without cover

    @rule(account=people, asset=synths, micro=st.integers(1, 10**6))
    def somebody_mints_one_unit_short_of_the_ratio(self, account: bytes, asset: int, micro: int) -> None:
        self.report(asset, self.prices[asset])
        amount = micro * ONE_SYNTH // 10**6
        needed = self.model.required(self.model.debt[account, asset] + amount, self.prices[asset])
        missing = needed - self.model.collateral[account, asset]
        if missing > 0:
            self.give(account, missing)
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
        with self.refused("O:STALE"):
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
        maker = self.world.order(seller, symbol, Side.SELL, lots, ticks)
        signer = "core" if fault == "S:SIG" else ""
        taker = self.world.order(buyer, symbol, side, lots, ticks - (fault == "S:PRICE"), key=signer)
        closed = fault == "S:MARKET"
        self.set_status(asset, MarketStatus.PAUSED if closed else MarketStatus.ACTIVE, self.world.timelock.address)
        sender = STRANGER if fault == "S:CORE" else CORE
        with self.refused(fault):
            self.world.settle(maker, taker, lots + (fault == "S:OVERFILL"), sender, late=fault == "S:SEQ")

    # ------------------------------------------------------------------ a hostile token

    @rule(
        account=people,
        asset=synths,
        moment=st.sampled_from(("deposit", "leave", "collateral")),
        door=st.sampled_from(("collectFees", "claimWithdraw", *UNSIGNED_DOORS)),
        choice=choices,
    )
    def the_token_calls_back(self, account: bytes, asset: int, moment: str, door: Any, choice: int) -> None:
        """Fees that anybody may collect and a withdrawal that anybody may claim are there for it to take."""
        contract, function, arguments = door if isinstance(door, tuple) else ("Vault", door, ())
        if door == "collectFees":
            self.trade(account, PEOPLE[PEOPLE.index(account) - 1], asset, 100, 600_000)
            arguments = (market_hash(LISTINGS[asset].symbol),)
        elif door == "claimWithdraw":
            identity = self.waiting(choice)
            if identity is not None:
                self.wait_until(self.model.requests[identity].requested_at + DELAY)
            arguments = (identity or 1,)
        usdc, target = self.world.usdc, self.world.contracts[contract]
        usdc.send(STRANGER, "setCall", target.address, target.encode(function, *arguments))
        calls = usdc.call("calls")
        if moment == "deposit":
            self.deposit(account, 1 + choice)
        elif moment == "leave":
            self.leave_at_once(account, USDC, 1, False, account)
        else:
            self.add_collateral(account, asset, 1 + choice)
        usdc.send(STRANGER, "setCall", bytes(20), b"")
        assert usdc.call("calls") == calls or usdc.call("callSucceeded") is False

    @rule(account=people, asset=synths, amount=st.integers(1, 10**9))
    def the_token_answers_false_and_moves_nothing(self, account: bytes, asset: int, amount: int) -> None:
        self.give(account, amount)
        self.world.usdc.send(STRANGER, "setLies", True)
        with self.refused("V:TRANSFER"):
            self.world.vault.send(account, "deposit", amount)
        with self.refused("V:TRANSFER"):
            self.world.engine.send(account, "addCollateral", asset, amount)
        if self.model.inside[account, USDC] and self.model.may_pay(USDC, 1, False, 0):
            with self.refused("V:TRANSFER"):
                self.world.leave(account, USDC, 1)
        self.world.usdc.send(STRANGER, "setLies", False)

    @rule(account=people, other=people, amount=st.integers(1, 10**9))
    def the_token_blocks_somebody(self, account: bytes, other: bytes, amount: int) -> None:
        """They wait; nobody else does."""
        self.give(account, amount)
        self.world.usdc.send(STRANGER, "setBlocked", account, True)
        with self.refused("blocked"):
            self.world.vault.send(account, "deposit", amount)
        if self.model.inside[account, USDC] and self.model.may_pay(USDC, 1, False, 0):
            with self.refused("blocked"):
                self.world.leave(account, USDC, 1)
        if other != account:
            self.deposit(other, amount)
            self.leave_at_once(other, USDC, 1, False, other)
        self.world.usdc.send(STRANGER, "setBlocked", account, False)

    @rule(account=people, amount=st.integers(1, 10**9), bps=st.sampled_from((1, 100, 9_999, 10_000)))
    def the_token_keeps_a_fee(self, account: bytes, amount: int, bps: int) -> None:
        """What arrives is credited, and a deposit of which nothing arrives is none."""
        self.give(account, amount)
        self.world.usdc.send(STRANGER, "setFee", bps)
        kept = amount * bps // 10_000
        if kept == amount:
            with self.refused("V:ZERO"):
                self.world.vault.send(account, "deposit", amount)
        else:
            self.model.deposit(account, USDC, amount - kept)
            self.model.wallet[account, USDC] -= kept
            self.world.vault.send(account, "deposit", amount)
        self.world.usdc.send(STRANGER, "setFee", 0)

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

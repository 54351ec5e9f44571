"""Any sequence of deposits, trades, withdrawals, debts, fees, prices and gifts leaves every claim covered.

Actions are drawn at random and applied to the contracts and to a model of plain dictionaries. After each one all
balances agree with the model and with what the events alone say, the invariants of custody hold, and everybody could
leave with everything although every engine and oracle is dead. The numbers are those of the protocol's list.
"""

from __future__ import annotations

from typing import Any

import pytest
from custody_evm import Refused
from custody_model import LONGEST_WAIT, Model, Request
from custody_replay import Replay
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    CXPT,
    DELAY,
    ONE_SYNTH,
    ONE_USDC,
    PRICES,
    SBTC,
    SETH,
    STRANGER,
    USDC,
    World,
    read,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cxdex.eip712 import market_hash
from cxdex.market import MarketStatus
from cxdex.order import Side
from scripts.exchange import SYNTHS

PEOPLE = (ALICE, BOB, CAROL)
EVERYBODY = (*PEOPLE, ADMIN, STRANGER)
SYNTH_ASSETS = (SBTC, SETH)
LISTINGS = {SBTC: SYNTHS[0].listing, SETH: SYNTHS[1].listing}

people = st.sampled_from(PEOPLE)
synths = st.sampled_from(SYNTH_ASSETS)
assets = st.sampled_from((USDC, CXPT, *SYNTH_ASSETS))
parts = st.integers(1, 100)  # per cent of what is there
choices = st.integers(0, 10**6)


class Custody(RuleBasedStateMachine):
    TOKEN = "MockUSDC"  # what stands for USDC

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.TOKEN).open_markets()
        self.model = Model(clock=lambda: self.world.evm.now)
        self.replay = Replay()
        self.prices = dict(PRICES)

    @initialize()
    def everybody_brings_money(self) -> None:
        for account in PEOPLE:
            self.deposit(account, 200_000 * ONE_USDC)
            self.mint(account, SBTC, 1_000_000, 0)
            self.trade(account, PEOPLE[PEOPLE.index(account) - 1], SBTC, 100, 600_000)
            self.leave_at_once(account, SBTC, 20, False, account)
        self.collect_fees(SBTC)

    # ------------------------------------------------------------------ in

    @rule(account=people, amount=st.integers(1, 10**12))
    def deposit(self, account: bytes, amount: int) -> None:
        self.give(account, amount)
        self.model.deposit(account, USDC, amount)
        self.world.vault.send(account, "deposit", amount)

    @rule(account=people, asset=st.sampled_from((CXPT, *SYNTH_ASSETS)), part=parts)
    def deposit_from_the_wallet(self, account: bytes, asset: int, part: int) -> None:
        amount = self.model.wallet[account, asset] * part // 100
        if amount:
            self.allow(account, asset, amount)
            self.model.deposit(account, asset, amount)
            self.world.vault.send(account, "depositAsset", asset, amount)

    @rule(account=people, asset=st.sampled_from((USDC, *SYNTH_ASSETS)), part=parts)
    def donate(self, account: bytes, asset: int, part: int) -> None:
        amount = self.model.wallet[account, asset] * part // 100
        if amount:
            self.model.donate(account, asset, amount)
            self.token(asset).send(account, "transfer", self.world.vault.address, amount)

    @rule(account=people, part=parts)
    def redeem(self, account: bytes, part: int) -> None:
        amount = self.model.wallet[account, CXPT] * part // 100
        if amount:
            self.model.redeem(account, amount)
            self.world.vault.send(account, "redeemCxpt", amount)

    # ------------------------------------------------------------------ out

    @rule(account=people, asset=assets, part=parts, as_cxpt=st.booleans())
    def request(self, account: bytes, asset: int, part: int, as_cxpt: bool) -> None:
        amount = self.model.free(account, asset) * part // 100
        if amount:
            form = as_cxpt and asset == USDC
            self.world.vault.send(account, "requestWithdraw", asset, amount, form)
            identity = self.world.vault.call("withdrawalCount")
            self.model.requests[identity] = Request(account, asset, amount, form, account, self.world.evm.now)

    @rule(choice=choices, recipient=people)
    def redirect(self, choice: int, recipient: bytes) -> None:
        identity = self.waiting(choice)
        if identity is None:
            return
        request = self.model.requests[identity]
        self.model.requests[identity] = request._replace(recipient=recipient, requested_at=self.world.evm.now)
        self.world.vault.send(request.account, "redirectWithdraw", identity, recipient)

    @rule(choice=choices)
    def cancel(self, choice: int) -> None:
        identity = self.waiting(choice)
        if identity is not None:
            self.world.vault.send(self.model.requests.pop(identity).account, "cancelWithdraw", identity)

    @rule(choice=choices)
    def wait_and_claim(self, choice: int) -> None:
        """Invariant 23: what is due can be claimed whatever the markets and prices are doing, and what the breaker
        holds back is due six hours after its request."""
        identity = self.waiting(choice)
        if identity is None:
            return
        request, paid = self.model.requests[identity], self.model.claimable(identity)
        self.wait_until(request.requested_at + DELAY)
        sender = STRANGER
        if paid < request.amount:  # fills have used the balance
            sender = request.account
            self.refuse("V:FUNDS", STRANGER, "claimWithdraw", identity)
        if paid == 0:
            self.refuse("V:FUNDS", sender, "claimWithdraw", identity)
            return
        waited = self.world.evm.now - request.requested_at
        if not self.model.may_pay(request.asset, paid, request.as_cxpt, waited):
            self.refuse("V:BREAKER", sender, "claimWithdraw", identity)
            self.wait_until(request.requested_at + LONGEST_WAIT)
        self.model.claim(identity)
        self.world.vault.send(sender, "claimWithdraw", identity)

    @rule(account=people, asset=assets, part=parts, as_cxpt=st.booleans(), recipient=people)
    def leave_at_once(self, account: bytes, asset: int, part: int, as_cxpt: bool, recipient: bytes) -> None:
        amount = self.model.inside[account, asset] * part // 100
        if not amount:
            return
        form = as_cxpt and asset == USDC
        given: dict[str, Any] = {"as_cxpt": form, "recipient": recipient}
        if self.model.may_pay(asset, amount, form, 0):
            self.model.pay(account, asset, amount, form, recipient)
            self.world.leave(account, asset, amount, **given)
        else:
            with pytest.raises(Refused, match="V:BREAKER"):
                self.world.leave(account, asset, amount, **given)

    # ------------------------------------------------------------------ debt

    @rule(account=people, asset=synths, micro=st.integers(1, 10**6), spare=st.integers(0, 10**9))
    def mint(self, account: bytes, asset: int, micro: int, spare: int) -> None:
        """Invariant 11: the position ends at 150 % or more."""
        self.report(asset, self.prices[asset])
        amount = micro * ONE_SYNTH // 10**6
        needed = self.model.required(self.model.debt[account, asset] + amount, self.prices[asset])
        locked = max(0, needed - self.model.collateral[account, asset]) + spare
        self.give(account, locked)
        self.model.mint(account, asset, amount, locked)
        self.world.engine.send(account, "mint", asset, amount, locked)
        assert self.model.collateral[account, asset] >= needed

    @rule(account=people, asset=synths, part=parts)
    def burn(self, account: bytes, asset: int, part: int) -> None:
        amount = min(self.model.debt[account, asset], self.model.wallet[account, asset]) * part // 100
        if amount:
            self.allow(account, asset, amount)
            self.model.burn(account, asset, amount)
            self.world.engine.send(account, "burn", asset, amount)

    @rule(account=people, asset=synths, amount=st.integers(1, 10**11))
    def add_collateral(self, account: bytes, asset: int, amount: int) -> None:
        self.give(account, amount)
        self.model.lock(account, asset, amount)
        self.world.engine.send(account, "addCollateral", asset, amount)

    @rule(account=people, asset=synths)
    def withdraw_all_free_collateral(self, account: bytes, asset: int) -> None:
        self.report(asset, self.prices[asset])
        needed = self.model.required(self.model.debt[account, asset], self.prices[asset])
        free = self.model.collateral[account, asset] - needed
        if free > 0:
            self.model.release(account, asset, free)
            self.world.engine.send(account, "withdrawCollateral", asset, free)

    @rule(asset=synths, percent=st.integers(20, 500))
    def move_price(self, asset: int, percent: int) -> None:
        self.prices[asset] = max(1, PRICES[asset] * percent // 100)
        self.report(asset, self.prices[asset])

    # ------------------------------------------------------------------ trading and fees

    @rule(buyer=people, seller=people, asset=synths, lots=st.integers(1, 500), ticks=st.integers(1, 700_000))
    def trade(self, buyer: bytes, seller: bytes, asset: int, lots: int, ticks: int) -> None:
        """A fill of two signed orders, settled by CORE."""
        listing = LISTINGS[asset]
        amount, notional = lots * 10**listing.lot_exponent, lots * ticks * listing.quote_per_lot_tick
        affordable = notional + self.model.fee(buyer, notional) <= self.model.inside[buyer, USDC]
        if buyer == seller or not affordable or amount > self.model.inside[seller, asset]:
            return
        maker = self.world.order(seller, listing.symbol, Side.SELL, lots, ticks)
        taker = self.world.order(buyer, listing.symbol, Side.BUY, lots, ticks)
        self.set_status(asset, MarketStatus.ACTIVE, self.world.timelock.address)
        self.model.trade(buyer, seller, asset, amount, notional)
        logs = self.world.settle(maker, taker, lots)
        assert [name for name, _ in self.world.events(logs)] == ["Fill"]

    @rule(
        buyer=people,
        seller=people,
        asset=synths,
        lots=st.integers(1, 15_000),
        percent=st.integers(50, 200),
        bound=st.sampled_from((1, 10**9, 10**12)),
    )
    def sell_what_is_not_there(
        self, buyer: bytes, seller: bytes, asset: int, lots: int, percent: int, bound: int
    ) -> None:
        """The fill mints the rest against its proceeds and at most `bound` of the seller's own cash; or is skipped."""
        listing = LISTINGS[asset]
        self.report(asset, self.prices[asset])
        a_tick = listing.quote_per_lot_tick * ONE_SYNTH // 10**listing.lot_exponent
        ticks = max(1, self.prices[asset] * percent // 100 // a_tick)
        amount, notional = lots * 10**listing.lot_exponent, lots * ticks * listing.quote_per_lot_tick
        shortage = amount - self.model.inside[seller, asset]
        affordable = notional + self.model.fee(buyer, notional) <= self.model.inside[buyer, USDC]
        if buyer == seller or not affordable or shortage <= 0:
            return
        proceeds = notional - self.model.fee(seller, notional)
        minted = proceeds * shortage // amount
        locked = self.model.locked(seller, asset, shortage, minted, self.prices[asset])
        fits = locked <= min(minted + bound, self.model.inside[seller, USDC] + proceeds)
        sale = self.world.order(seller, listing.symbol, Side.SELL, lots, ticks, max_collateral=bound)
        bid = self.world.order(buyer, listing.symbol, Side.BUY, lots, ticks)
        self.set_status(asset, MarketStatus.ACTIVE, self.world.timelock.address)
        if fits:
            self.model.mint_in_a_fill(seller, asset, shortage, locked)
            self.model.trade(buyer, seller, asset, amount, notional)
        names = [name for name, _ in self.world.events(self.world.settle(sale, bid, lots))]
        minting = ["DebtChanged", "Transfer", "SynthMinted", "Fill", "ProceedsLocked"]
        assert names == (minting if fits else ["FillSkipped"])

    @rule(asset=synths)
    def collect_fees(self, asset: int) -> None:
        if self.model.fees[asset]:
            self.model.collect(asset)
            self.world.vault.send(STRANGER, "collectFees", market_hash(LISTINGS[asset].symbol))

    @rule(account=people, part=parts, back=st.booleans())
    def spend_the_pocket(self, account: bytes, part: int, back: bool) -> None:
        """A rebate, or a payment to ADMIN."""
        amount = self.model.pocket * part // 100
        if amount and back:
            self.model.rebate(account, amount)
            self.world.vault.send(ADMIN, "payRebates", [account], [amount])
        elif amount:
            self.model.take_fees(ADMIN, amount)
            self.world.vault.send(ADMIN, "withdrawFees", ADMIN, amount)

    @rule(asset=synths)
    def pause(self, asset: int) -> None:
        self.set_status(asset, MarketStatus.PAUSED, self.world.timelock.address)

    # ------------------------------------------------------------------ invariants

    @invariant()
    def every_balance_agrees_with_the_model(self) -> None:
        """And so, invariant 29, donations changed nobody's claim."""
        vault, engine = self.world.vault, self.world.engine
        for account in EVERYBODY:
            for asset in (USDC, CXPT, *SYNTH_ASSETS):
                assert read(vault, "balanceOf", account, asset) == self.model.inside[account, asset]
                assert read(self.token(asset), "balanceOf", account) == self.model.wallet[account, asset]
        for account in PEOPLE:
            assert read(vault, "sharesOf", account) == self.model.inside[account, USDC]
            for asset in (USDC, CXPT, *SYNTH_ASSETS):
                assert read(vault, "announcedOf", account, asset) == self.model.announced(asset, account)
            for asset in SYNTH_ASSETS:
                wanted = (self.model.debt[account, asset], self.model.collateral[account, asset])
                assert read(engine, "positions", account, asset) == wanted

    @invariant()
    def all_usdc_is_accounted_for(self) -> None:
        """Invariants 1, 2 and 3."""
        vault = self.world.vault
        ledger, pocket = read(vault, "ledgerTotal", USDC), read(vault, "feePocket")
        accounted = ledger + pocket + read(vault, "collateralTotal") + read(vault, "cxptReserve")
        assert ledger == read(vault, "totalAssets") == self.model.ledger(USDC)
        assert pocket == self.model.pocket
        assert accounted == self.model.brought_in
        assert read(self.world.usdc, "balanceOf", vault.address) == accounted + self.model.donated[USDC]
        assert read(vault, "announcedTotal", USDC) == self.model.announced(USDC)

    @invariant()
    def cxpt_is_backed_one_to_one(self) -> None:
        """Invariant 4."""
        vault, cxpt = self.world.vault, self.world.cxpt
        assert read(cxpt, "totalSupply") == read(vault, "cxptReserve") == self.model.reserve
        assert read(cxpt, "balanceOf", vault.address) == read(vault, "ledgerTotal", CXPT) == self.model.ledger(CXPT)

    @invariant()
    def every_synth_is_debt_and_every_collateral_is_locked(self) -> None:
        """Invariants 9 and 10."""
        vault = self.world.vault
        for asset in SYNTH_ASSETS:
            synth = self.world.synths[asset]
            assert read(synth, "totalSupply") == self.model.supply(asset)
            held = read(vault, "ledgerTotal", asset) + read(vault, "escrowTotal", asset)
            assert held == self.model.ledger(asset)
            assert read(synth, "balanceOf", vault.address) == held + self.model.donated[asset]
        assert read(vault, "collateralTotal") == sum(self.model.collateral.values())

    @invariant()
    def events_alone_say_the_same(self) -> None:
        """Invariant 26. The replay has never read the chain."""
        self.replay.fold(self.world.news())
        for account in EVERYBODY:
            for asset in (USDC, CXPT, *SYNTH_ASSETS):
                key = account, asset
                assert self.replay.balance[key] == self.model.inside[key]
                assert self.replay.announced[key] == self.model.announced(asset, account)
                wanted = self.model.debt[key], self.model.collateral[key]
                assert self.replay.positions.get(key, (0, 0)) == wanted
        for asset in SYNTH_ASSETS:
            assert self.replay.supply[asset] == self.model.supply(asset)
            assert self.replay.fees[asset] == self.model.fees[asset]
        assert self.replay.ledger(USDC) == self.model.ledger(USDC)
        sums = self.replay.sums["collateral"], self.replay.sums["reserve"], self.replay.sums["pocket"]
        assert sums == (sum(self.model.collateral.values()), self.model.reserve, self.model.pocket)

    @invariant()
    def everybody_could_leave_now(self) -> None:
        """Invariants 22 and 23: announce all, wait six hours, claim all, with no engine, oracle or registry alive."""
        world = self.world
        dead = [world.addresses[name] for name in ("SynthEngine", "Oracle", "MarketRegistry", "SynthFactory")]
        with world.evm.broken(*dead), world.evm.imagined():
            for account in PEOPLE:
                for asset in (USDC, CXPT, *SYNTH_ASSETS):
                    free = self.model.free(account, asset)
                    if free:
                        world.vault.send(account, "requestWithdraw", asset, free, False)
            world.evm.advance(LONGEST_WAIT)
            for identity in range(1, read(world.vault, "withdrawalCount") + 1):
                owner, asset, amount, *_ = read(world.vault, "withdrawals", identity)
                sender = owner.to_bytes(20, "big")
                if amount and read(world.vault, "balanceOf", sender, asset):
                    world.vault.send(sender, "claimWithdraw", identity)
            for asset in (USDC, CXPT, *SYNTH_ASSETS):
                left = sum(self.model.fees.values()) if asset == USDC else 0
                assert read(world.vault, "ledgerTotal", asset) == left

    # ------------------------------------------------------------------ steps that rules share

    def token(self, asset: int) -> Any:
        return {USDC: self.world.usdc, CXPT: self.world.cxpt, **self.world.synths}[asset]

    def give(self, account: bytes, amount: int) -> None:
        """Fresh USDC for the wallet, and an allowance for it."""
        self.world.give(account, amount)
        self.model.wallet[account, USDC] += amount

    def allow(self, account: bytes, asset: int, amount: int) -> None:
        self.token(asset).send(account, "approve", self.world.vault.address, amount)

    def waiting(self, choice: int) -> int | None:
        """One of the requests. Where there are none, somebody makes one first, if anybody has anything."""
        if not self.model.requests:
            account = max(PEOPLE, key=lambda one: self.model.free(one, USDC))
            self.request(account, USDC, 1 + choice % 100, choice % 3 == 0)
        known = sorted(self.model.requests)
        return known[choice % len(known)] if known else None

    def wait_until(self, moment: int) -> None:
        self.world.evm.advance(max(0, moment - self.world.evm.now))

    def refuse(self, code: str, sender: bytes, function: str, *arguments: Any) -> None:
        with pytest.raises(Refused) as caught:
            self.world.vault.send(sender, function, *arguments)
        assert caught.value.code == code

    def report(self, asset: int, price: int) -> None:
        self.world.evm.advance(1)
        self.world.report(asset, price)

    def set_status(self, asset: int, status: int, sender: bytes) -> None:
        market = market_hash(LISTINGS[asset].symbol)
        if self.world.registry.call("statusOf", market) != status:
            self.world.registry.send(sender, "setStatus", market, status)


Custody.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCustody = Custody.TestCase

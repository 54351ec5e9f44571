"""Any sequence of debts, prices, fills that mint, liquidations, redemptions and wind-downs leaves every synth backed.

Actions are drawn at random, many of them impossible. The reference in `debt_model` says what each does, or with which
code it is refused; afterwards every balance must be the reference's to the unit, and the numbered invariants of the
protocol's list hold. Each run ends with both synths wound down and everybody out.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from custody_world import (
    CORE,
    FOR_EVER,
    GUARDIAN,
    KEYS,
    NAMES,
    ONE_SYNTH,
    PRICES,
    SBTC,
    SETH,
    STRANGER,
    USDC,
)
from debt_checks import ASSETS, CAP, EVERYBODY, PEOPLE, RICH, CheckedDebt
from debt_desk import set_price, timelock
from debt_model import SYNTH
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.eip712 import Domain, market_hash, order_digest
from cxdex.order import Side, SignedOrder
from cxdex.signature import sign_digest
from scripts.exchange import SYNTHS

LISTINGS = {SBTC: SYNTHS[0].listing, SETH: SYNTHS[1].listing}

people = st.sampled_from(PEOPLE)
assets = st.sampled_from(ASSETS)
parts = st.integers(1, 100)  # per cent of what is there
fees = st.integers(50, 300)
around = st.sampled_from((-1, 0, 0, 0, 1, 10**9))  # of a bound, in units
choices = st.integers(0, 10**6)
mostly = st.sampled_from((True, True, True, True, False))
ratios = st.one_of(st.just(0), st.integers(60, 130))  # per cent
lists = st.lists(people, max_size=5)
MAX_PRICE = 2**80 - 1


class Debt(CheckedDebt):
    @initialize()
    def everybody_is_rich_and_has_synths(self) -> None:
        world, vault = self.world, self.world.vault.address
        for asset in ASSETS:
            world.engine.send(GUARDIAN, "lowerCap", asset, CAP)
        for account in EVERYBODY:
            world.usdc.send(account, "mint", account, RICH)
            for token in (world.usdc, *world.synths.values()):
                token.send(account, "approve", vault, 2**256 - 1)
            self.model.wallet[account, USDC] = RICH
            self.into_the_vault(account, RICH // 2)
        for account in PEOPLE:
            self.mint(account, SBTC, 10**6, 0, fresh=True)
            self.leave(account, SBTC, 50)

    def into_the_vault(self, account: bytes, amount: int) -> None:
        self.world.vault.send(account, "deposit", amount)
        self.model.wallet[account, USDC] -= amount
        self.model.inside[account, USDC] += amount

    # ------------------------------------------------------------------ positions

    @rule(account=people, asset=assets, micro=st.integers(1, 2 * 10**6), spare=around, fresh=mostly)
    def mint(self, account: bytes, asset: int, micro: int, spare: int, fresh: bool) -> None:
        """With what is missing to 150 %, or a unit more or less."""
        self.refresh(asset, fresh)
        amount = micro * ONE_SYNTH // 10**6
        position = self.model.synths[asset].of(account)
        debt = position.debt + amount
        needed = -(-debt * self.model.synths[asset].prices[-1][1] * 3 // (2 * SYNTH))
        collateral = max(0, needed - position.collateral + spare)
        self.act(account, "mint", asset, amount, collateral, expect=self.model.mint)

    @rule(account=people, asset=assets, part=st.integers(0, 120))
    def burn(self, account: bytes, asset: int, part: int) -> None:
        amount = self.model.synths[asset].of(account).debt * part // 100
        self.act(account, "burn", asset, amount, expect=self.model.burn)

    @rule(account=people, asset=assets, amount=st.integers(0, 10**11))
    def add_collateral(self, account: bytes, asset: int, amount: int) -> None:
        self.act(account, "addCollateral", asset, amount, expect=self.model.add_collateral)

    @rule(account=people, asset=assets, more=around, fresh=mostly)
    def withdraw_all_free_collateral(self, account: bytes, asset: int, more: int, fresh: bool) -> None:
        self.refresh(asset, fresh)
        synth = self.model.synths[asset]
        position = synth.of(account)
        needed = -(-position.debt * synth.prices[-1][1] * 3 // (2 * SYNTH))
        amount = max(0, position.collateral - needed + more)
        self.act(account, "withdrawCollateral", asset, amount, expect=self.model.withdraw_collateral)

    @rule(asset=assets, percent=st.integers(1, 200))
    def set_cap(self, asset: int, percent: int) -> None:
        cap = CAP * percent // 100
        old = self.model.synths[asset].cap
        if cap == old or self.model.synths[asset].wound:
            return
        lower = cap < old
        sender = GUARDIAN if lower else timelock(self.world)
        self.world.engine.send(sender, "lowerCap" if lower else "raiseCap", asset, cap)
        self.model.synths[asset].cap = cap
        self.lowered[asset] = cap < self.model.synths[asset].debt

    @rule(on=mostly, hours=st.integers(1, 72))
    def pause(self, on: bool, hours: int) -> None:
        on = not on
        engine = self.world.engine
        if not on:
            engine.send(timelock(self.world), "resume")
            self.model.paused_until = 0
        elif engine.call("nextPauseFrom") <= self.model.now:
            engine.send(GUARDIAN, "pause", hours * 3600)
            self.model.paused_until = self.model.now + hours * 3600

    # ------------------------------------------------------------------ prices and time

    @rule(asset=assets, percent=st.integers(20, 500))
    def move_price(self, asset: int, percent: int) -> None:
        self.publish(asset, PRICES[asset] * percent // 100)

    @rule(seconds=st.one_of(st.integers(1, 400), st.integers(1, 8 * 86_400)))
    def time_passes(self, seconds: int) -> None:
        self.world.evm.advance(seconds)
        self.model.now = self.world.evm.now

    def publish(self, asset: int, price: int) -> None:
        """The oracle believes it, and the reference knows what is in the oracle's history, and no more."""
        count = self.world.oracle.call("checkpointCount", asset)
        set_price(self.world, min(max(1, price), MAX_PRICE), asset)
        for index in range(count, self.world.oracle.call("checkpointCount", asset)):
            believed, time, _ = self.world.oracle.call("checkpoint", asset, index)
            self.model.synths[asset].prices.append((time, believed))
        self.model.now = self.world.evm.now

    def refresh(self, asset: int, wanted: bool) -> None:
        if wanted:
            self.publish(asset, self.model.synths[asset].prices[-1][1])

    def debtor(self, asset: int, choice: int) -> bytes:
        """Somebody who owes, if anybody does."""
        positions = self.model.synths[asset].positions
        owing = [account for account in PEOPLE if account in positions and positions[account].debt]
        return (owing or PEOPLE)[choice % len(owing or PEOPLE)]

    # ------------------------------------------------------------------ synths change hands

    @rule(account=people, asset=assets, part=parts)
    def leave(self, account: bytes, asset: int, part: int) -> None:
        amount = self.model.inside[account, asset] * part // 100
        if amount:
            self.world.leave(account, asset, amount)
            self.model.inside[account, asset] -= amount
            self.model.wallet[account, asset] += amount

    @rule(account=people, to=people, asset=assets, part=parts)
    def give(self, account: bytes, to: bytes, asset: int, part: int) -> None:
        amount = self.model.wallet[account, asset] * part // 100
        self.world.synths[asset].send(account, "transfer", to, amount)
        self.model.wallet[account, asset] -= amount
        self.model.wallet[to, asset] += amount

    @rule(account=people, asset=st.sampled_from((USDC, *ASSETS)), part=st.integers(1, 5))
    def donate(self, account: bytes, asset: int, part: int) -> None:
        """Invariant 29: nobody's claim gets larger or smaller by it."""
        amount = self.model.wallet[account, asset] * part // 100
        token = self.world.usdc if asset == USDC else self.world.synths[asset]
        token.send(account, "transfer", self.world.vault.address, amount)
        self.model.wallet[account, asset] -= amount
        self.model.donated[asset] += amount

    @rule(seller=people, asset=assets, lots=st.integers(1, 5_000), percent=st.integers(50, 150), own=st.integers(0, 4))
    def sell(self, seller: bytes, asset: int, lots: int, percent: int, own: int) -> None:
        """To the stranger, around the oracle's price; what the seller lacks is minted, if its order allows that."""
        self.refresh(asset, percent % 5 != 0)
        listing = LISTINGS[asset]
        price = self.model.synths[asset].prices[-1][1] * percent // 100
        per_tick = listing.quote_per_lot_tick * 10 ** (18 - listing.lot_exponent)
        ticks = max(1, price // per_tick)
        notional = lots * ticks * listing.quote_per_lot_tick
        bound = notional * own // 2
        maker = self.signed(STRANGER, listing.symbol, Side.BUY, lots, ticks, 0)
        taker = self.signed(seller, listing.symbol, Side.SELL, lots, ticks, bound)
        sequence = self.world.settlement.call("sequenceOf", market_hash(listing.symbol))
        batch = encode_settle_batch([MatchedFill(listing.symbol, sequence, maker, taker, lots)])
        logs = self.world.evm.send(CORE, self.world.settlement.address, batch)
        reasons = [event["reason"] for name, event in self.see(logs) if name == "FillSkipped"]
        assert reasons == self.model.sell(STRANGER, seller, asset, lots * 10**listing.lot_exponent, notional, bound)

    # ------------------------------------------------------------------ what others do to a position

    @rule(liquidator=people, choice=choices, asset=assets, part=st.integers(0, 101), ratio=ratios, able=mostly)
    def liquidate(self, liquidator: bytes, choice: int, asset: int, part: int, ratio: int, able: bool) -> None:
        account = self.falls_to(ratio, choice, asset)
        amount = self.model.synths[asset].of(account).debt * part // 100
        if able:
            self.leave(liquidator, asset, 100)
            amount = min(amount, self.model.wallet[liquidator, asset])
        with self.no_less_healthy(asset, account):
            self.act(liquidator, "liquidate", account, asset, amount, expect=self.model.liquidate)

    def falls_to(self, ratio: int, choice: int, asset: int) -> bytes:
        """Moves the price until somebody's position has this ratio, in per cent. 0: lets it be, and it may be stale."""
        account = self.debtor(asset, choice)
        position = self.model.synths[asset].of(account)
        if position.debt and position.collateral and ratio:
            self.publish(asset, position.collateral * SYNTH * 100 // (position.debt * ratio))
        return account

    @rule(liquidator=people, choice=choices, asset=assets, part=st.integers(0, 101), ratio=ratios, spare=around)
    def take_over(self, liquidator: bytes, choice: int, asset: int, part: int, ratio: int, spare: int) -> None:
        account = self.falls_to(ratio, choice, asset)
        synth = self.model.synths[asset]
        debt = synth.of(account).debt
        amount = debt * part // 100
        mine = synth.of(liquidator)
        seized = min(
            Fraction(amount * synth.prices[-1][1] * 105, 100 * SYNTH),
            Fraction(synth.of(account).collateral * amount, max(1, debt)),
        )
        needed = -(-(mine.debt + amount) * synth.prices[-1][1] * 3 // (2 * SYNTH))
        topped_up = max(0, needed - mine.collateral - int(seized) + spare)
        with self.no_less_healthy(asset, account):
            self.act(liquidator, "takeOver", account, asset, amount, topped_up, expect=self.model.take_over)

    @rule(account=people, asset=assets, part=st.integers(0, 101), fee=fees)
    def request_redemption(self, account: bytes, asset: int, part: int, fee: int) -> None:
        amount = self.model.wallet[account, asset] * part // 100
        self.act(account, "requestRedemption", asset, amount, fee, expect=self.model.request_redemption)

    @rule(account=people, asset=assets, part=parts, fee=fees, percent=st.integers(70, 110), owners=lists)
    def redeem_at_the_next_price(
        self, account: bytes, asset: int, part: int, fee: int, percent: int, owners: list[bytes]
    ) -> None:
        """What a patient holder does: out into the wallet, request, wait, execute."""
        self.leave(account, asset, 100)
        self.request_redemption(account, asset, part, fee)
        self.time_passes(60)
        self.publish(asset, self.model.synths[asset].prices[-1][1] * percent // 100)
        self.redeem(self.model.requested, owners)

    @rule(identity=st.integers(0, 9), owners=lists)
    def execute_any_redemption(self, identity: int, owners: list[bytes]) -> None:
        self.redeem(identity, owners)

    def redeem(self, identity: int, owners: list[bytes]) -> None:
        asset = self.model.requests[identity].asset if identity in self.model.requests else SBTC
        with self.no_less_healthy(asset, *set(owners)):
            self.act(
                STRANGER, "executeRedemption", identity, owners,
                expect=lambda _caller, *arguments: self.model.redeem(*arguments),
            )  # fmt: skip

    @rule(caller=st.sampled_from(EVERYBODY), identity=st.integers(0, 9))
    def cancel_redemption(self, caller: bytes, identity: int) -> None:
        self.act(caller, "cancelRedemption", identity, expect=self.model.cancel_redemption)

    # ------------------------------------------------------------------ the end of a synth

    @rule(asset=assets, by_timelock=st.integers(0, 9).map(lambda number: number == 0))
    def wind_down(self, asset: int, by_timelock: bool) -> None:
        sender = timelock(self.world) if by_timelock else STRANGER

        def expect(_sender: bytes, number: int) -> None:
            self.model.wind_down(number, by_timelock=by_timelock)

        self.act(sender, "windDown", asset, expect=expect)

    @rule(asset=assets, accounts=lists)
    def process(self, asset: int, accounts: list[bytes]) -> None:
        self.act(STRANGER, "processPositions", asset, accounts, expect=lambda _caller, *all_: self.model.process(*all_))

    @rule(account=people, asset=assets, part=parts)
    def claim(self, account: bytes, asset: int, part: int) -> None:
        amount = self.model.wallet[account, asset] * part // 100
        self.act(account, "claimWound", asset, amount, expect=self.model.claim)

    def teardown(self) -> None:
        """Invariant 28: whatever has happened, everybody gets out, with all that they are owed, and nothing more."""
        for asset in ASSETS:
            if not self.model.synths[asset].wound:
                self.wind_down(asset, by_timelock=True)
            if self.model.synths[asset].debt:
                self.process(asset, list(PEOPLE))
        for identity in sorted(self.model.requests):
            self.cancel_redemption(STRANGER, identity)
        for asset in ASSETS:
            for account in EVERYBODY:
                self.leave(account, asset, 100)
                self.claim(account, asset, 100)
        self.every_balance_is_the_references()
        self.collateral_and_pots_are_what_the_vault_has_locked()
        for asset in ASSETS:
            synth = self.model.synths[asset]
            self.ratio_and_pot(asset, synth)

    def signed(self, account: bytes, symbol: str, side: Side, lots: int, ticks: int, bound: int) -> SignedOrder:
        plain = self.world.order(account, symbol, side, lots, ticks).order
        order = replace(plain, max_collateral=bound, expiry=FOR_EVER)
        digest = order_digest(Domain(self.world.evm.chain_id, self.world.settlement.address), order)
        key = bytes.fromhex(KEYS[NAMES[account]][2:])
        return SignedOrder(order, sign_digest(key, digest), digest)


Debt.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestDebt = Debt.TestCase

"""Any sequence of deposits, trades, withdrawals, debts, prices and gifts leaves every claim covered.

Actions are drawn at random and applied to the contracts and to a model of plain dictionaries; after each one all
balances must agree and the invariants of custody hold. The numbers are those of the protocol's list.
"""

from __future__ import annotations

from typing import Any

from custody_model import MAX_FEE_BPS, Model, Request
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    CORE,
    CXPT,
    DELAY,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    PRICES,
    SBTC,
    SETH,
    STRANGER,
    USDC,
    World,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.eip712 import Domain, market_hash, order_digest
from cxdex.market import MarketStatus
from cxdex.nonce import pack_nonce
from cxdex.order import Order, OrderType, Side, SignedOrder, TimeInForce
from cxdex.signature import sign_digest
from scripts.exchange import SYNTHS

PEOPLE = (ALICE, BOB, CAROL)
NAMES = {ALICE: "alice", BOB: "bob", CAROL: "carol"}
EVERYBODY = (*PEOPLE, ADMIN, STRANGER)
SYNTH_ASSETS = (SBTC, SETH)
LISTINGS = {SBTC: SYNTHS[0].listing, SETH: SYNTHS[1].listing}
FOR_EVER = 2**40 - 1

people = st.sampled_from(PEOPLE)
synths = st.sampled_from(SYNTH_ASSETS)
parts = st.integers(1, 100)  # per cent of what is there


class Custody(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World().open_markets()
        self.model = Model()
        self.prices = dict(PRICES)
        self.sequence = dict.fromkeys(SYNTH_ASSETS, 0)
        self.order_seq = 0

    @initialize()
    def everybody_brings_money(self) -> None:
        for account in PEOPLE:
            self.deposit(account, 200_000 * ONE_USDC)
            self.mint(account, SBTC, 1_000_000, 0)

    # ------------------------------------------------------------------ in and out

    @rule(account=people, amount=st.integers(1, 10**12))
    def deposit(self, account: bytes, amount: int) -> None:
        self.world.usdc.send(account, "mint", account, amount)
        self.model.wallet[account, USDC] += amount
        self.world.usdc.send(account, "approve", self.world.vault.address, amount)
        self.model.deposit(account, USDC, amount)
        self.act("vault", account, "deposit", amount)

    @rule(account=people, asset=st.sampled_from((CXPT, *SYNTH_ASSETS)), part=parts)
    def deposit_from_the_wallet(self, account: bytes, asset: int, part: int) -> None:
        amount = self.model.wallet[account, asset] * part // 100
        if amount:
            token = self.world.cxpt if asset == CXPT else self.world.synths[asset]
            token.send(account, "approve", self.world.vault.address, amount)
            self.model.deposit(account, asset, amount)
            self.act("vault", account, "depositAsset", asset, amount)

    @rule(account=people, asset=st.sampled_from((USDC, *SYNTH_ASSETS)), part=parts)
    def donate(self, account: bytes, asset: int, part: int) -> None:
        amount = self.model.wallet[account, asset] * part // 100
        if amount:
            token = self.world.usdc if asset == USDC else self.world.synths[asset]
            self.model.donate(account, asset, amount)
            token.send(account, "transfer", self.world.vault.address, amount)

    @rule(account=people, asset=st.sampled_from((USDC, CXPT, *SYNTH_ASSETS)), part=parts, as_cxpt=st.booleans())
    def request(self, account: bytes, asset: int, part: int, as_cxpt: bool) -> None:
        amount = self.model.inside[account, asset] * part // 100
        if amount:
            form = as_cxpt and asset == USDC
            identity = self.world.vault.call("withdrawalCount") + 1
            request = Request(account, asset, amount, form, self.world.evm.now + DELAY)
            self.model.request(identity, request)
            self.act("vault", account, "requestWithdraw", asset, amount, form)

    @precondition(lambda self: self.model.requests)
    @rule(choice=st.integers(0, 10**6))
    def cancel(self, choice: int) -> None:
        identity = sorted(self.model.requests)[choice % len(self.model.requests)]
        owner = self.model.requests[identity].account
        self.model.cancel(identity)
        self.act("vault", owner, "cancelWithdraw", identity)

    @precondition(lambda self: self.model.requests)
    @rule(choice=st.integers(0, 10**6))
    def wait_and_claim(self, choice: int) -> None:
        """Invariant 23: what is due can be claimed, by anyone, whatever the markets and prices are doing."""
        identity = sorted(self.model.requests)[choice % len(self.model.requests)]
        self.world.evm.advance(max(0, self.model.requests[identity].claimable_at - self.world.evm.now))
        self.model.claim(identity)
        self.world.vault.send(STRANGER, "claimWithdraw", identity)

    @rule(account=people, part=parts)
    def redeem(self, account: bytes, part: int) -> None:
        amount = self.model.wallet[account, CXPT] * part // 100
        if amount:
            self.model.redeem(account, amount)
            self.act("vault", account, "redeemCxpt", amount)

    # ------------------------------------------------------------------ debt

    @rule(account=people, asset=synths, micro=st.integers(1, 10**6), spare=st.integers(0, 10**9))
    def mint(self, account: bytes, asset: int, micro: int, spare: int) -> None:
        """Invariant 11: the position ends at 150 % or more."""
        self.report(asset, self.prices[asset])
        amount = micro * ONE_SYNTH // 10**6
        needed = self.model.required(self.model.debt[account, asset] + amount, self.prices[asset])
        locked = max(0, needed - self.model.collateral[account, asset]) + spare
        if locked <= self.model.inside[account, USDC]:
            self.model.change_debt(account, asset, amount, locked)
            self.act("engine", account, "mint", asset, amount, locked)
            assert self.model.collateral[account, asset] >= needed

    @rule(account=people, asset=synths, part=parts)
    def burn(self, account: bytes, asset: int, part: int) -> None:
        amount = min(self.model.debt[account, asset], self.model.inside[account, asset]) * part // 100
        if amount:
            self.model.change_debt(account, asset, -amount, 0)
            self.act("engine", account, "burn", asset, amount)

    @rule(account=people, asset=synths, part=parts)
    def add_collateral(self, account: bytes, asset: int, part: int) -> None:
        amount = self.model.inside[account, USDC] * part // 400
        if amount:
            self.model.change_debt(account, asset, 0, amount)
            self.act("engine", account, "addCollateral", asset, amount)

    @rule(account=people, asset=synths)
    def withdraw_all_free_collateral(self, account: bytes, asset: int) -> None:
        self.report(asset, self.prices[asset])
        needed = self.model.required(self.model.debt[account, asset], self.prices[asset])
        free = self.model.collateral[account, asset] - needed
        if free > 0:
            self.model.change_debt(account, asset, 0, -free)
            self.act("engine", account, "withdrawCollateral", asset, free)

    @rule(asset=synths, percent=st.integers(20, 500))
    def move_price(self, asset: int, percent: int) -> None:
        self.prices[asset] = max(1, PRICES[asset] * percent // 100)
        self.report(asset, self.prices[asset])

    # ------------------------------------------------------------------ trading

    @rule(buyer=people, seller=people, asset=synths, lots=st.integers(1, 500), ticks=st.integers(1, 700_000))
    def trade(self, buyer: bytes, seller: bytes, asset: int, lots: int, ticks: int) -> None:
        """A fill of two signed orders, settled by CORE."""
        listing = LISTINGS[asset]
        amount, notional = lots * 10**listing.lot_exponent, lots * ticks * listing.quote_per_lot_tick
        affordable = notional * 10_025 // 10_000 + 1 <= self.model.inside[buyer, USDC]
        if buyer == seller or not affordable or amount > self.model.inside[seller, asset]:
            return
        maker = self.sign(seller, listing.symbol, Side.SELL, lots, ticks)
        taker = self.sign(buyer, listing.symbol, Side.BUY, lots, ticks)
        self.set_status(asset, MarketStatus.ACTIVE, ADMIN)
        self.model.trade(buyer, seller, asset, amount, notional)
        batch = encode_settle_batch([MatchedFill(listing.symbol, self.sequence[asset], maker, taker, lots)])
        logs = self.world.evm.send(CORE, self.world.settlement.address, batch)
        assert [name for name, _ in self.world.events(logs)] == ["Fill"]
        self.sequence[asset] += 1

    @rule(asset=synths)
    def collect_fees(self, asset: int) -> None:
        self.model.collect(ADMIN, asset)
        self.act("settlement", ADMIN, "collectFees", market_hash(LISTINGS[asset].symbol))

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
                assert vault.call("balanceOf", account, asset) == self.model.inside[account, asset]
        for account in PEOPLE:
            assert vault.call("sharesOf", account) == self.model.inside[account, USDC]
            for asset in SYNTH_ASSETS:
                wanted = (self.model.debt[account, asset], self.model.collateral[account, asset])
                assert engine.call("positions", account, asset) == wanted

    @invariant()
    def all_usdc_is_accounted_for(self) -> None:
        """Invariants 1, 2 and 3."""
        vault = self.world.vault
        ledger, pending = vault.call("ledgerTotal", USDC), vault.call("pendingTotal", USDC)
        accounted = ledger + pending + vault.call("collateralTotal") + vault.call("cxptReserve")
        assert ledger == vault.call("totalAssets") == self.model.ledger(USDC)
        assert pending == self.model.pending(USDC)
        assert accounted == self.model.brought_in
        assert self.world.usdc.call("balanceOf", vault.address) == accounted + self.model.donated[USDC]

    @invariant()
    def cxpt_is_backed_one_to_one(self) -> None:
        """Invariant 4."""
        vault, cxpt = self.world.vault, self.world.cxpt
        assert cxpt.call("totalSupply") == vault.call("cxptReserve") == self.model.reserve
        held = vault.call("ledgerTotal", CXPT) + vault.call("pendingTotal", CXPT)
        assert cxpt.call("balanceOf", vault.address) == held

    @invariant()
    def every_synth_is_debt_and_every_collateral_is_locked(self) -> None:
        """Invariants 9 and 10."""
        vault = self.world.vault
        for asset in SYNTH_ASSETS:
            synth = self.world.synths[asset]
            assert synth.call("totalSupply") == self.model.supply(asset)
            held = vault.call("ledgerTotal", asset) + vault.call("pendingTotal", asset)
            assert held == self.model.ledger(asset) + self.model.pending(asset)
            assert synth.call("balanceOf", vault.address) == held + self.model.donated[asset]
        assert vault.call("collateralTotal") == sum(self.model.collateral.values())

    # ------------------------------------------------------------------ steps that rules share

    def act(self, contract: str, sender: bytes, function: str, *arguments: Any) -> None:
        """Sends, and holds every balance that an event announces against the model."""
        logs = getattr(self.world, contract).send(sender, function, *arguments)
        announced = {}
        for _name, fields in self.world.events(logs):
            if "balance" in fields:
                owner = bytes.fromhex((fields.get("account") or fields["recipient"])[2:])
                announced[owner, fields.get("asset", USDC)] = fields["balance"]
        assert announced, f"{function} changed a balance and announced none"
        for key, balance in announced.items():
            assert balance == self.model.inside[key]

    def report(self, asset: int, price: int) -> None:
        self.world.evm.advance(1)
        self.world.report(asset, price)

    def set_status(self, asset: int, status: int, sender: bytes) -> None:
        market = market_hash(LISTINGS[asset].symbol)
        if self.world.registry.call("statusOf", market) != status:
            self.world.registry.send(sender, "setStatus", market, status)

    def sign(self, account: bytes, symbol: str, side: Side, lots: int, ticks: int) -> SignedOrder:
        self.order_seq += 1
        order = Order(
            account, symbol, side, OrderType.LIMIT, TimeInForce.GTC, lots, ticks, MAX_FEE_BPS, FOR_EVER,
            pack_nonce(0, self.order_seq % 5, self.order_seq),
        )  # fmt: skip
        digest = order_digest(Domain(self.world.evm.chain_id, self.world.settlement.address), order)
        return SignedOrder(order, sign_digest(bytes.fromhex(KEYS[NAMES[account]][2:]), digest), digest)


Custody.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCustody = Custody.TestCase

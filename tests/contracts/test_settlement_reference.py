"""Random batches by random traders, against a ledger written a second time: equal to the unit, always.

Accounts sign by own keys, session keys or as contract wallets, some of them hostile; they cancel, hold CXPT, sell what
they do not have and wait for prices, which whoever settles (CORE or, after its silence, anybody) tries to do without.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cxdex.batch import MatchedFill
from cxdex.eip712 import cancel_orders_digest
from cxdex.nonce import unpack_nonce
from cxdex.order import SignedOrder
from cxdex.signature import recover, sign_digest, to_compact
from tests.contracts.random_conditions import armed, next_index, random_condition, waited_for
from tests.contracts.random_trading import LANES, MARKETS, TRADERS, assert_event, plausible, random_terms
from tests.contracts.settlement_desk import (
    BTC,
    CANCEL_ALL,
    CASH,
    CORE,
    CXPT,
    LISTINGS,
    NOW,
    REVOKE_SESSION,
    SBTC,
    SETH,
    STRANGER,
    Desk,
    RevertedError,
    Trader,
    calldata,
)
from tests.contracts.settlement_reference import Ledger, Outcome, RefusedError, Session, WalletRule

KEYS = [Trader.named(name) for name in ("first key", "second key")]
OWNERS = TRADERS[:2]  # each has a contract wallet besides
# Modes of HostileWallet: it burns all gas; says yes in front of a bomb; calls back, and accepts if that did anything.
BURNS, YES_BOMB, REENTERS = 2, 4, 8
ASSETS = (CASH, CXPT, SBTC, SETH)
SILENCE = 6 * 3600
LONG = NOW + 10**8
SYNTH_PRICE = 10**6  # 100 ticks of a lot of 10**14: what sBTC trades at

seeds = st.integers(0, 2**64 - 1).map(random.Random)

Balances = dict[tuple[bytes, int], int]
Lanes = dict[tuple[bytes, int], tuple[int, int]]


class RandomTrading(RuleBasedStateMachine):
    """Actions are what CORE, the Vault and traders can do; the rule of each is to do as the reference does."""

    desk: Desk
    wallets: list[bytes]
    hostile: dict[bytes, int]  # wallet to its mode
    seen: Counter[str]

    @initialize()
    def start(self) -> None:
        self.checkpoint = self.desk.evm.snapshot()
        self.desk.set_time(NOW)
        self.ledger = Ledger(LISTINGS, now=NOW, prices=dict.fromkeys((SBTC, SETH), SYNTH_PRICE))
        self.tell_engine(SYNTH_PRICE)
        self.placed: list[SignedOrder] = []
        self.refusing = dict.fromkeys(self.wallets, False)
        self.funded = dict.fromkeys(ASSETS, 0)
        self.last_beat = 0
        self.progress: dict[tuple[bytes, int], tuple[int, int]] = {}
        for wallet, owner in zip(self.wallets, OWNERS, strict=True):
            self.ledger.wallets[wallet] = self.rule_of(wallet, owner)
        for wallet, mode in self.hostile.items():
            self.ledger.wallets[wallet] = accepts_all if mode == YES_BOMB else accepts_nothing
        for account in self.accounts:
            self.deposit(account, CASH, 60_000)
            self.deposit(account, SBTC, 10**15)
            self.deposit(account, SETH, 10**16)

    def teardown(self) -> None:
        if hasattr(self, "checkpoint"):
            self.desk.evm.revert(self.checkpoint)

    @property
    def accounts(self) -> list[bytes]:
        return [*(trader.account for trader in TRADERS), *self.wallets, *self.hostile]

    def rule_of(self, wallet: bytes, owner: Trader) -> WalletRule:
        """What a SignerWallet accepts."""
        return lambda digest, signature: (
            not self.refusing[wallet] and len(signature) >= 65 and recover(digest, signature[:65]) == owner.account
        )

    # ---- the Vault, the engine, the clock

    def deposit(self, account: bytes, asset: int, amount: int) -> None:
        self.desk.fund("0x" + account.hex(), asset, amount)
        self.ledger.balances[account, asset] += amount
        self.funded[asset] += amount

    @rule(place=st.integers(0, 5), asset=st.sampled_from((CASH, SBTC, SETH)), amount=st.integers(0, 10**7))
    def one_deposits(self, place: int, asset: int, amount: int) -> None:
        self.deposit(self.accounts[place], asset, amount)

    @rule(place=st.integers(0, 5), amount=st.sampled_from((10**9 - 1, 10**9, 10**10, 10**12)))
    def one_changes_tier(self, place: int, amount: int) -> None:
        """Twice the same: the CXPT leaves again."""
        account = self.accounts[place]
        if self.ledger.balances[account, CXPT] < amount:
            self.deposit(account, CXPT, amount)
            return
        self.desk.tell_vault("debit(address,uint256,uint256)", "0x" + account.hex(), CXPT, amount)
        self.ledger.balances[account, CXPT] -= amount
        self.funded[CXPT] -= amount

    @rule(place=st.integers(0, 5))
    def one_withdraws_everything(self, place: int) -> None:
        account = self.accounts[place]
        amount = self.ledger.balances[account, CASH]
        self.desk.tell_vault("debit(address,uint256,uint256)", "0x" + account.hex(), CASH, amount)
        self.ledger.balances[account, CASH] = 0
        self.funded[CASH] -= amount

    def tell_engine(self, price: int) -> None:
        self.desk.send(STRANGER, calldata("setPrice(uint256)", price), to=self.desk.engine)

    @rule(price=st.sampled_from((SYNTH_PRICE // 2, SYNTH_PRICE, 2 * SYNTH_PRICE)))
    def the_price_moves(self, price: int) -> None:
        self.tell_engine(price)
        self.ledger.prices = dict.fromkeys((SBTC, SETH), price)

    @rule(seconds=st.sampled_from((60, 60, 150, 300, SILENCE)))
    def time_passes(self, seconds: int) -> None:
        self.ledger.now += seconds
        self.desk.set_time(self.ledger.now)

    @rule(draw=seeds, asset=st.sampled_from((SBTC, SETH)))
    def the_index_moves(self, draw: random.Random, asset: int) -> None:
        published = next_index(draw, self.ledger, asset)
        if published is not None:
            second, price = published
            self.desk.publish(price, asset, second)
            self.ledger.index[asset][second] = price

    @rule()
    def core_beats(self) -> None:
        self.desk.call(CORE, "beat()")
        self.last_beat = self.ledger.now

    # ---- traders

    def sign(self, draw: random.Random) -> None:
        """Orders by own keys, by session keys, and of wallets, whose owner signs most of them; most of them live."""
        for _ in range(draw.randint(3, 8)):
            terms, signer = random_terms(draw), draw.choice((*["own"] * 6, *["key"] * 4, *["wallet"] * 2, "hostile"))
            account = terms["trader"].account
            if signer == "key":
                terms["session"] = draw.choice(KEYS)
            elif signer == "wallet":
                place = draw.choice((0, 1))
                account = terms["wallet"] = self.wallets[place]
                terms["padding"] = bytes(70 * draw.randint(0, 5))
                terms["trader"] = OWNERS[place] if draw.random() < 0.8 else terms["trader"]
            elif signer == "hostile":
                account = terms["wallet"] = draw.choice(list(self.hostile))
            seq, _ = self.ledger.lane(account, terms["lane"])
            terms["seq"] = max(0, seq + draw.choice((-1, 0, 0, 0, 1, 1, 2)))
            terms["epoch"] = max(0, self.ledger.epochs[account] + draw.choice((-1, 0, 0, 0, 0, 0, 0, 1)))
            terms["expiry"] = self.ledger.now + draw.choice((50, 10**6, 10**6, 10**6))
            if draw.random() < 0.3:
                terms["condition"] = random_condition(draw, self.ledger.now)
            self.placed.append(self.desk.order(**terms))

    @rule(
        trader=st.sampled_from(TRADERS),
        key=st.sampled_from(KEYS),
        market=st.sampled_from(("", "", "", *MARKETS)),
        notional=st.sampled_from((3_000, 20_000, 2**96 - 1)),
        seconds=st.sampled_from((90, 10**6, 10**6)),
    )
    def make_session(self, trader: Trader, key: Trader, market: str, notional: int, seconds: int) -> None:
        expiry = self.ledger.now + seconds
        self.desk.set_session(trader, key, notional, market, expiry)
        self.ledger.sessions[trader.account, key.account] = Session(market, notional, expiry)

    @rule(trader=st.sampled_from(TRADERS), key=st.sampled_from(KEYS))
    def revoke_session(self, trader: Trader, key: Trader) -> None:
        if self.ledger.sessions.pop((trader.account, key.account), None) is None:
            with pytest.raises(RevertedError, match="S:KEY"):
                self.desk.call(trader.address, REVOKE_SESSION, key.address)
        else:
            self.desk.call(trader.address, REVOKE_SESSION, key.address)

    @rule(second=st.booleans())
    def wallet_changes_its_mind(self, second: bool) -> None:
        wallet = self.wallets[second]
        self.refusing[wallet] = not self.refusing[wallet]
        data = calldata("setRefuses(bool)", self.refusing[wallet])
        self.desk.send(STRANGER, data, to="0x" + wallet.hex())

    @rule(
        trader=st.sampled_from(TRADERS),
        lane=st.sampled_from(LANES),
        seq=st.integers(0, 2),
        epoch=st.integers(0, 1),
        signed=st.booleans(),
    )
    def cancel(self, trader: Trader, lane: int, seq: int, epoch: int, signed: bool) -> None:
        nonce = epoch << 48 | lane << 24 | seq
        if signed:
            digest = cancel_orders_digest(self.desk.domain, trader.account, [nonce], LONG)
            values = [trader.address, [nonce], LONG, *to_compact(sign_digest(trader.key, digest))]
            signature = "cancelOrdersBySignature(address,uint64[],uint256,uint256,uint256)"
            self.desk.call(STRANGER, signature, *values)
        else:
            self.desk.cancel(trader, nonce)
        self.ledger.cancel(trader.account, [nonce])

    @rule(trader=st.sampled_from(TRADERS))
    def cancel_all(self, trader: Trader) -> None:
        try:
            self.ledger.cancel_all(trader.account)
        except RefusedError as refused:
            with pytest.raises(RevertedError, match=refused.code):
                self.desk.call(trader.address, CANCEL_ALL)
        else:
            self.desk.call(trader.address, CANCEL_ALL)

    # ---- settlement

    @rule(draw=seeds, caller=st.sampled_from((CORE, CORE, CORE, STRANGER)))
    def settle(self, draw: random.Random, caller: str) -> None:
        self.trade(draw, caller)

    @rule(draw=seeds)
    def settle_more(self, draw: random.Random) -> None:
        """Three batches, so that a run is mostly trading."""
        for _ in range(3):
            self.trade(draw, CORE)

    def trade(self, draw: random.Random, caller: str) -> None:
        """Mostly what an honest relayer would send; the reference says when the batch must revert."""
        self.sign(draw)
        recent = armed(draw, self.placed[-30:], self.ledger, eager=draw.random() < 0.2)
        careless = draw.random() < 0.05
        pairs = [(m, t) for m in recent for t in recent if plausible(m.order, t.order, careless)]
        batch: list[MatchedFill] = []
        planned = dict(self.ledger.sequences)
        for _ in range(draw.randint(1, 10) if pairs else 0):
            maker, taker = draw.choice(pairs)
            if batch and (batch[-1].maker.digest, batch[-1].taker.digest) == (maker.digest, taker.digest):
                continue
            market = maker.order.market
            sequence = planned.get(market, 0)
            planned[market] = sequence + 1
            batch.append(MatchedFill(market, sequence, maker, taker, draw.randint(2, 6)))
        self.compare(batch, caller)

    @rule(
        one=st.sampled_from(TRADERS), other=st.sampled_from(TRADERS), price=st.integers(90, 110), lots=st.integers(2, 9)
    )
    def wash(self, one: Trader, other: Trader, price: int, lots: int) -> None:
        """There and back at one price between two accounts: together they have no more cash, and the same synths."""
        if one is other:
            return
        self.round_trips += 1
        seq, accounts = 4 + self.round_trips, (one.account, other.account)
        sell, buy = self.desk.sell, self.desk.buy
        there = (sell(one, lots, price, seq=seq, expiry=LONG), buy(other, lots, price, seq=seq, expiry=LONG))
        back = (
            buy(one, lots, price, seq=seq, lane=1, expiry=LONG),
            sell(other, lots, price, lane=1, seq=seq, expiry=LONG),
        )
        self.placed += [*there, *back]
        before = [sum(self.ledger.balances[account, asset] for account in accounts) for asset in (CASH, SBTC)]
        start = self.ledger.sequences[BTC]
        self.compare([MatchedFill(BTC, start + i, *pair, lots) for i, pair in enumerate((there, back))], CORE)
        after = [sum(self.desk.balance("0x" + account.hex(), asset) for account in accounts) for asset in (CASH, SBTC)]
        assert after[0] <= before[0]
        assert after[1] == before[1]

    round_trips = 0

    def compare(self, batch: list[MatchedFill], caller: str) -> None:
        code, expected = self.prediction(batch, caller)
        if code:
            self.seen[code] += 1
            with pytest.raises(RevertedError) as reverted:
                self.desk.settle(batch, caller)
            assert reverted.value.code == code
            return
        events = self.desk.settle(batch, caller)
        self.seen["by anyone"] += caller != CORE
        told = [event.fields["amount"] for event in self.desk.events() if event.name == "ProceedsLocked"]
        assert told == [outcome.locked for outcome in expected if outcome.locked]
        assert len(events) == len(batch)
        for fill, outcome, event in zip(batch, expected, events, strict=True):
            assert_event(fill, outcome, event)
            self.seen[outcome.skip.name if outcome.skip else "minted" if outcome.locked else "Fill"] += 1
            if outcome.skip is None:
                self.seen.update(waited_for(fill))
            self.seen.update(f"hostile wallet {self.hostile[one]}" for one in parties(fill) if one in self.hostile)

    def prediction(self, batch: list[MatchedFill], caller: str) -> tuple[str, list[Outcome]]:
        if caller != CORE and not (self.last_beat and self.ledger.now > self.last_beat + SILENCE):
            return "S:CORE", []
        try:
            return "", self.ledger.settle(batch)
        except RefusedError as refused:
            return refused.code, []

    # ---- what holds after every step

    @invariant()
    def every_promise_holds(self) -> None:
        if not hasattr(self, "ledger"):
            return
        held = {
            (account, asset): self.desk.balance("0x" + account.hex(), asset)
            for account in self.accounts
            for asset in ASSETS
        }
        lanes = {
            (account, lane): self.desk.lane("0x" + account.hex(), lane) for account in self.accounts for lane in LANES
        }
        fees = {market: self.desk.fees(market) for market in LISTINGS}
        self.is_the_reference_to_the_unit(held, lanes, fees)
        self.nothing_appears_or_vanishes(held, fees)
        self.no_order_goes_back_or_beyond(lanes)
        self.session_keys_own_nothing_and_keep_to_their_limits()

    def is_the_reference_to_the_unit(self, held: Balances, lanes: Lanes, fees: dict[str, int]) -> None:
        """Invariant 16 too: the reference lowers a balance only for its owner's call or signed order."""
        for key, balance in held.items():
            assert balance == self.ledger.balances[key]
        for (account, lane), progress in lanes.items():
            assert progress == self.ledger.lane(account, lane)
        for account in self.accounts:
            assert self.desk.tier("0x" + account.hex()) == self.ledger.tier(account)
        for market in LISTINGS:
            assert fees[market] == self.ledger.fees[market]
            assert self.desk.sequence(market) == self.ledger.sequences[market]

    def nothing_appears_or_vanishes(self, held: Balances, fees: dict[str, int]) -> None:
        """Cash is balances, fees and what minting locked; synths are what came in and what is owed."""
        for asset in ASSETS:
            total = sum(held[account, asset] for account in self.accounts)
            mints = [mint for (_, owed), mint in self.ledger.mints.items() if asset in (owed, CASH)]
            if asset == CASH:
                total += sum(fees.values()) + sum(mint.collateral for mint in mints)
            else:
                total -= sum(mint.debt for mint in mints)
            assert total == self.funded[asset]

    def no_order_goes_back_or_beyond(self, lanes: Lanes) -> None:
        """Invariant 15: a lane's seq and what it has filled only grow, and never past the largest order it served."""
        for key, progress in lanes.items():
            assert progress >= self.progress.get(key, (0, 0))
        self.progress = lanes
        largest: Counter[tuple[bytes, int, int]] = Counter()
        for signed in self.placed:
            nonce = unpack_nonce(signed.order.nonce)
            key = (signed.order.account, nonce.lane, nonce.seq)
            largest[key] = max(largest[key], signed.order.quantity)
        for (account, lane), (seq, filled) in lanes.items():
            assert filled <= largest[account, lane, seq]

    def session_keys_own_nothing_and_keep_to_their_limits(self) -> None:
        """Invariant 30: a key gets no balance, and has used of its limit what its orders traded."""
        for key in KEYS:
            assert [self.desk.balance(key, asset) for asset in ASSETS] == [0] * len(ASSETS)
            for trader in TRADERS:
                session = self.ledger.sessions.get((trader.account, key.account))
                _, left, expiry = self.desk.session(trader, key)
                assert (left, expiry) == ((session.left, session.expiry) if session else (0, 0))


def parties(fill: MatchedFill) -> tuple[bytes, bytes]:
    return fill.maker.order.account, fill.taker.order.account


def accepts_all(_digest: bytes, _signature: bytes) -> bool:
    return True


def accepts_nothing(_digest: bytes, _signature: bytes) -> bool:
    return False


def trading_machine(code_of: Callable[[str], bytes]) -> type[RandomTrading]:
    """The machine on a desk of its own; `code_of` gives a contract's creation code."""
    desk = Desk(code_of("Settlement"), vault_code=code_of("MintVault"), engine_code=code_of("MintEngine"))
    deployed = [desk.deploy(code_of("SignerWallet"), "address", owner.address) for owner in OWNERS]
    wallets = [bytes.fromhex(address[2:]) for address in deployed]
    hostile = {hostile_wallet(desk, code_of("HostileWallet"), mode): mode for mode in (BURNS, YES_BOMB, REENTERS)}
    words = {"desk": desk, "wallets": wallets, "hostile": hostile, "seen": Counter()}
    return type("RandomTrading", (RandomTrading,), words)


def hostile_wallet(desk: Desk, code: bytes, mode: int) -> bytes:
    """When it calls back, it is to cancel all its orders."""
    address = desk.deploy(code, "address,uint256", desk.address, mode)
    desk.send(STRANGER, calldata("setAttack(bytes)", calldata(CANCEL_ALL)), to=address)
    return bytes.fromhex(address[2:])


@pytest.fixture(scope="module")
def machine(bytecode_of: Callable[[str], bytes]) -> type[RandomTrading]:
    return trading_machine(bytecode_of)


def test_random_trading_equals_the_reference(machine: type[RandomTrading]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )

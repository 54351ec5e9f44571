"""Whatever traders do, what the engine matches settles or is skipped, and engine and contract end with the same money.

Random traders place, amend and cancel at the engine, cancel on chain, raise their epoch, give and take back session
keys, bring money and take it away; the engine hears of the chain late; batches are sent late; CORE is silent, and
somebody else settles. No batch of the engine's ever reverts: nothing that a trader can do alone holds up the fills of
others. At the end the balances are equal to the unit.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from typing import Any

import pytest

from cxdex.batch import MatchedFill, SkipReason
from cxdex.condition import Condition, Trigger
from cxdex.eip712 import market_hash
from cxdex.facts import (
    AnyFact,
    Credited,
    Debited,
    EpochRaised,
    FillSettled,
    FillSkipped,
    MarketListed,
    MarketStatusChanged,
    NonceRaised,
    SessionRevoked,
    SessionSet,
    SessionUsed,
    SettledTerms,
)
from cxdex.market import MarketStatus
from cxdex.nonce import MAX_SEQ, pack_nonce, unpack_nonce
from cxdex.order import OrderType, SelfTrade, Side, SignatureKind, SignedOrder, TimeInForce
from cxdex.signature import recover
from relayer.engine.commands import ApplyFact, Cancel, Expire, Place, Reduce, Replace
from relayer.engine.core import Engine
from relayer.engine.events import OrderAccepted, Traded
from tests.contracts.settlement_desk import (
    BTC,
    CANCEL_ALL,
    CASH,
    CORE,
    ETH,
    HOUR,
    LISTINGS,
    NOW,
    REVOKE_SESSION,
    SBTC,
    SETH,
    STRANGER,
    Desk,
    RevertedError,
    Trader,
    fill_numbers,
)

ASSETS = (CASH, SBTC, SETH)
SILENCE = 6 * HOUR
TRADERS = [Trader.named(name) for name in ("ada", "bea", "cyd", "dot")]
KEYS = [Trader.named(f"key {number}") for number in range(2)]
BY_ACCOUNT = {trader.account: trader for trader in TRADERS}
SYMBOLS = {market_hash(symbol): symbol for symbol in LISTINGS}
WORDS = (
    (OrderType.LIMIT, TimeInForce.GTC),
    (OrderType.LIMIT, TimeInForce.GTC),
    (OrderType.LIMIT, TimeInForce.GTC),
    (OrderType.LIMIT, TimeInForce.POST_ONLY),
    (OrderType.LIMIT, TimeInForce.IOC),
    (OrderType.MARKET, TimeInForce.FOK),
)
ACTIONS = {
    "place": 40,
    "pair": 4,
    "replace": 8,
    "reduce": 3,
    "cancel": 3,
    "settle": 10,
    "hear": 8,
    "wait": 4,
    "cancel_on_chain": 2,
    "raise_epoch": 1,
    "set_session": 3,
    "revoke_session": 1,
    "bring": 3,
    "take": 2,
    "outsider": 1,
}


class Exchange:
    """The engine, the contract, and what is on its way: `news` to the engine, `matches` to the contract."""

    def __init__(self, chain: Desk, seed: int) -> None:
        self.chain, self.draw, self.engine = chain, random.Random(seed), Engine()
        self.block = 0
        self.signed: dict[bytes, SignedOrder] = {}
        self.news: deque[AnyFact] = deque()
        self.matches: deque[Traded] = deque()
        self.seen: Counter[str] = Counter()
        for listing in LISTINGS.values():
            terms = (listing.symbol, listing.index, 0, listing.base_asset, f"s{listing.symbol[1:4]}")
            fees = (listing.maker_fee_bps, listing.taker_fee_bps)
            self.tell(MarketListed(*terms, listing.lot_exponent, listing.quote_per_lot_tick, listing.min_lots, *fees))
            self.tell(MarketStatusChanged(listing.symbol, MarketStatus.ACTIVE, MarketStatus.PAUSED))
        for trader in TRADERS:
            for asset, amount in ((CASH, 400_000), (SBTC, 3 * 10**16), (SETH, 3 * 10**17)):
                self.move(trader, asset, amount)
        self.hear(len(self.news))
        chain.call(CORE, "beat()")

    @property
    def now_ms(self) -> int:
        return self.chain.now * 1_000

    def tell(self, fact: AnyFact) -> None:
        self.block += 1
        self.apply(ApplyFact(self.now_ms, self.block, 0, self.block, False, fact))

    def apply(self, command: Any) -> list[Any]:
        events = self.engine.apply(command)
        self.matches.extend(event for event in events if isinstance(event, Traded))
        return events

    # ---------------------------------------------------------------- between both

    def hear(self, count: int) -> None:
        for _ in range(min(count, len(self.news))):
            self.tell(self.news.popleft())

    def settle(self, count: int) -> None:
        """The next matches as one batch. Desk.settle_bytes raises if it reverts."""
        due = [self.matches.popleft() for _ in range(min(count, len(self.matches)))]
        if not due:
            return
        orders = [(self.signed[one.maker_digest], self.signed[one.taker_digest]) for one in due]
        outcomes = self.chain.settle(
            MatchedFill(one.market, one.sequence, *both, one.quantity) for one, both in zip(due, orders, strict=True)
        )
        assert len(outcomes) == len(due)
        for match, event in zip(due, outcomes, strict=True):
            numbers = fill_numbers(event)
            assert (numbers.sequence, numbers.price, numbers.quantity) == (match.sequence, match.price, match.quantity)
        self.news.extend(fact for event in self.chain.events() if (fact := fact_of(event)) is not None)
        self.seen.update(str(event.fields.get("reason", "Fill")) for event in outcomes)

    def on_chain(self, trader: Trader, signature: str, *values: Any) -> None:
        events = self.chain.call(trader.address, signature, *values)
        self.news.extend(fact for event in events if (fact := fact_of(event)) is not None)

    def move(self, trader: Trader, asset: int, amount: int) -> None:
        """Money in, or out if the amount is negative."""
        fact = Credited if amount > 0 else Debited
        name = "credit" if amount > 0 else "debit"
        self.chain.tell_vault(f"{name}(address,uint256,uint256)", trader.address, asset, abs(amount))
        self.news.append(fact(trader.account, asset, abs(amount)))

    # ---------------------------------------------------------------- what traders do at the engine

    def sign(self, trader: Trader, **fixed: Any) -> SignedOrder:
        """An order that is likely to meet another. Each digest is new: the expiry counts them."""
        draw, side = self.draw, fixed.get("side", self.draw.choice(list(Side)))
        (epoch, lane, seq) = unpack_nonce(fixed.pop("nonce", self.engine.free_nonces(trader.account, 1)[0]))
        kind, tif = draw.choice(WORDS)
        keys = [key for key in KEYS if self.chain.session(trader, key)[2]]
        session = draw.choice(keys) if keys and draw.random() < 0.4 else None
        terms = {
            "side": side,
            "quantity": draw.choice((2, 4, 10, 20)),
            "price": draw.randint(98, 103) if side is Side.BUY else draw.randint(97, 102),
            "market": draw.choice((BTC, BTC, ETH)),
            "kind": kind,
            "tif": tif,
            "self_trade": draw.choice(list(SelfTrade)),
            "max_fee_bps": draw.choice((50, 90)),
            "expiry": self.chain.now + draw.choice((400, 900, 5_000, 10**6)) + len(self.signed),
            "session": session,
            **fixed,
        }
        found = self.chain.order(trader, epoch=epoch, lane=lane, seq=seq, **terms)
        self.signed[found.digest] = found
        return found

    def send(self, signed: SignedOrder, command: type = Place, **more: Any) -> bool:
        signer = b""
        if signed.kind is SignatureKind.SESSION:
            signer = next(key.account for key in KEYS if self.is_of(signed, key))
        words = (signed.order, signed.signature, signed.digest, None, signed.kind, signer)
        events = self.apply(command(self.now_ms, *words, **more))
        accepted = any(isinstance(event, OrderAccepted) for event in events)
        self.seen[f"{command.__name__} {'accepted' if accepted else 'refused'}"] += 1
        return accepted

    @staticmethod
    def is_of(signed: SignedOrder, key: Trader) -> bool:
        return recover(signed.digest, signed.signature) == key.account

    def place(self) -> None:
        self.send(self.sign(self.draw.choice(TRADERS), **self.waiting(0.1)))

    def waiting(self, likely: float) -> dict[str, Any]:
        """Now and then a condition on the last price, of which the contract asks no proof."""
        if self.draw.random() >= likely:
            return {}
        trigger = self.draw.choice((Trigger.LAST_AT_OR_ABOVE, Trigger.LAST_AT_OR_BELOW))
        return {"condition": Condition(trigger, self.draw.randint(98, 102), self.chain.now)}

    def pair(self) -> None:
        """Two legs of one nonce."""
        trader, side, market = self.draw.choice(TRADERS), self.draw.choice(list(Side)), self.draw.choice((BTC, ETH))
        nonce = self.engine.free_nonces(trader.account, 1)[0]
        plain = {"kind": OrderType.LIMIT, "tif": TimeInForce.GTC, "price": 96 if side is Side.BUY else 104}
        same = {"nonce": nonce, "side": side, "market": market, "session": None}
        if self.send(self.sign(trader, **same, **plain)):
            self.send(self.sign(trader, **same, **self.waiting(1)))

    def open_order(self) -> Any:
        open_orders = [view for trader in TRADERS for view in self.engine.open_orders(trader.account)]
        return self.draw.choice(open_orders) if open_orders else None

    def replace(self) -> None:
        old = self.open_order()
        if old is not None:
            same = {"nonce": old.order.nonce, "side": old.order.side, "market": old.order.market, "session": None}
            self.send(self.sign(BY_ACCOUNT[old.order.account], **same), Replace, replaces=old.digest)

    def reduce(self) -> None:
        old = self.open_order()
        if old is not None:
            self.apply(Reduce(self.now_ms, old.order.account, old.digest, self.draw.choice((2, 4, 8))))

    def cancel(self) -> None:
        old = self.open_order()
        if old is not None:
            self.apply(Cancel(self.now_ms, old.order.account, [old.digest]))

    # ---------------------------------------------------------------- what they do on chain

    def cancel_on_chain(self) -> None:
        """An order of theirs, or one that there is not yet."""
        trader = self.draw.choice(TRADERS)
        mine = [one.order.nonce for one in self.signed.values() if one.order.account == trader.account][-6:]
        ahead = pack_nonce(self.chain.epoch(trader), self.draw.randint(0, 5), self.draw.choice((1, 3, 9, MAX_SEQ - 1)))
        self.on_chain(trader, "cancelOrders(uint64[])", [self.draw.choice([*mine, ahead] if mine else [ahead])])

    def raise_epoch(self) -> None:
        trader = self.draw.choice(TRADERS)
        if self.chain.now >= self.chain.read("epochEffectiveAt(address)", trader.address):
            self.on_chain(trader, CANCEL_ALL)

    def set_session(self) -> None:
        trader, key = self.draw.choice(TRADERS), self.draw.choice(KEYS)
        market = self.draw.choice(("", BTC, ETH))
        notional, expiry = self.draw.choice((1_500, 40_000, 10**9)), self.chain.now + self.draw.choice((400, 9_000))
        hashed = market_hash(market) if market else bytes(32)
        signature = "setSession(address,bytes32,uint256,uint256)"
        self.on_chain(trader, signature, key.address, hashed, notional, expiry)

    def revoke_session(self) -> None:
        trader, key = self.draw.choice(TRADERS), self.draw.choice(KEYS)
        if self.chain.session(trader, key)[2]:
            self.on_chain(trader, REVOKE_SESSION, key.address)

    def bring(self) -> None:
        self.move(self.draw.choice(TRADERS), *self.draw.choice(((CASH, 5_000), (SBTC, 10**15), (SETH, 10**16))))

    def take(self) -> None:
        """What the contract has, matched or not: worse than any way out that there is."""
        trader, asset = self.draw.choice(TRADERS), self.draw.choice(ASSETS)
        amount = self.chain.balance(trader, asset) // self.draw.choice((1, 9, 9, 9))
        if amount:
            self.move(trader, asset, -amount)

    def outsider(self) -> None:
        """CORE has been silent: somebody settles what was signed, whatever became of it here. The engine hears of it
        before CORE settles again; no order that it has open then is one that cannot settle."""
        self.finish()
        self.chain.wait(SILENCE + 1)
        self.apply(Expire(self.now_ms))
        for _ in range(self.draw.randint(1, 6)):
            open_one = self.open_order()
            if open_one is None:
                break
            maker = self.signed[open_one.digest]
            fill = MatchedFill(
                maker.order.market, self.chain.sequence(maker.order.market), maker, self.against(maker), 2
            )
            try:
                (event,) = self.chain.settle([fill], STRANGER)
            except RevertedError:
                continue  # it never rests, or its condition is not met
            self.news.extend(fact for one in self.chain.events() if (fact := fact_of(one)) is not None)
            self.seen[f"{event.name} by an outsider"] += 1
        self.hear(len(self.news))
        self.chain.call(CORE, "beat()")

    def against(self, maker: SignedOrder) -> SignedOrder:
        """An order that the engine has never seen, of one who may have open ones in the same lane."""
        trader = self.draw.choice([one for one in TRADERS if one.account != maker.order.account])
        lane = self.draw.randint(0, 6)
        return self.chain.order(
            trader,
            Side.SELL if maker.order.side is Side.BUY else Side.BUY,
            self.draw.choice((2, 4)),
            maker.order.limit_price,
            market=maker.order.market,
            epoch=self.chain.epoch(trader),
            lane=lane,
            seq=min(self.chain.lane(trader, lane)[0] + self.draw.randint(0, 2), MAX_SEQ - 1),
            expiry=self.chain.now + 10**6,
        )

    # ---------------------------------------------------------------- a run

    def wait(self) -> None:
        self.chain.wait(self.draw.choice((1, 30, 120, 310)))
        self.apply(Expire(self.now_ms))

    def act(self) -> None:
        name = self.draw.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        if name in ("settle", "hear"):
            getattr(self, name)(self.draw.randint(1, 9))
        else:
            getattr(self, name)()

    def finish(self) -> None:
        while self.matches or self.news:
            self.hear(len(self.news))
            self.settle(50)


def fact_of(event: Any) -> AnyFact | None:
    """What the indexer would tell the engine."""
    fields = event.fields
    account = bytes.fromhex(fields["account"][2:]) if "account" in fields else b""
    key = bytes.fromhex(fields["key"][2:]) if "key" in fields else b""
    match event.name:
        case "NonceRaised":
            return NonceRaised(account, fields["lane"], fields["seq"], fields["effectiveAt"])
        case "EpochRaised":
            return EpochRaised(account, fields["epoch"], fields["effectiveAt"])
        case "SessionSet":
            return SessionSet(account, key, SYMBOLS.get(fields["market"]), fields["notional"], fields["expiry"])
        case "SessionRevoked":
            return SessionRevoked(account, key)
        case "SessionUsed":
            return SessionUsed(account, key, fields["notionalLeft"])
    numbers = fill_numbers(event)
    symbol = next(one.symbol for one in LISTINGS.values() if one.index == numbers.market_index)
    words = (fields["maker"].to_bytes(32, "big"), fields["taker"].to_bytes(32, "big"))
    if event.name == "FillSkipped":
        return FillSkipped(symbol, numbers.sequence, fields["reason"], 1, *words)
    moved = (numbers.taker_is_buyer, numbers.price, numbers.quantity, numbers.maker_fee, numbers.taker_fee)
    return FillSettled(symbol, numbers.sequence, SettledTerms(*words, *moved))


def play(chain: Desk, seed: int) -> Counter[str]:
    exchange = Exchange(chain, seed)
    for _ in range(400):
        exchange.act()
    exchange.finish()
    assert_equal(exchange)
    return exchange.seen


def assert_equal(exchange: Exchange) -> None:
    chain, engine = exchange.chain, exchange.engine
    for trader in TRADERS:
        totals = {asset: total for asset, (total, _) in engine.balances(trader.account).items()}
        assert {asset: chain.balance(trader, asset) for asset in ASSETS} == {**dict.fromkeys(ASSETS, 0), **totals}
        assert engine.epoch(trader.account) == chain.epoch(trader)
    for view in engine.markets():
        numbers = (view.next_sequence, view.settled_sequence)
        assert numbers == (chain.sequence(view.terms.symbol),) * 2


@pytest.mark.parametrize("seed", range(12))
def test_no_batch_of_the_engine_reverts_and_the_money_is_the_same(bare_desk: Desk, seed: int) -> None:
    play(bare_desk, seed)


def test_enough_happens_to_say_something(bare_desk: Desk) -> None:
    seen: Counter[str] = Counter()
    for seed in range(100, 110):
        checkpoint = bare_desk.evm.snapshot()
        bare_desk.set_time(NOW)
        seen += play(bare_desk, seed)
        bare_desk.evm.revert(checkpoint)
    assert seen["Fill"] > 200
    assert min(seen["Replace accepted"], seen["Fill by an outsider"]) > 20
    assert len({str(reason.value) for reason in SkipReason} & seen.keys()) >= 5, "fills were skipped for many a reason"

"""One action after another through the engine and through the naive exchange, compared after each."""

from __future__ import annotations

from fractions import Fraction

import msgspec
from amend_flow import AmendFlow
from naive_exchange import ACCOUNTS, BASE, CXPT, LISTINGS, USDC, Known, NaiveExchange, NaiveGuard
from trading_desk import ALICE, ASSETS, Desk, of_type
from trigger_flow import TriggerFlow

from cxdex.facts import Credited, Debited, FillSettled, FillSkipped, SettledTerms, WithdrawnInstantly
from cxdex.nonce import pack_nonce, unpack_nonce
from cxdex.order import OrderType, Side, TimeInForce
from relayer.engine.cancelling import EARLY_CANCEL_MS
from relayer.engine.commands import (
    EndWatch,
    ResetGuard,
    SeeBlock,
    SetAsideWithdrawal,
    SetGuard,
    SetLimits,
    WatchConnection,
)
from relayer.engine.events import (
    BalanceChanged,
    CountdownSet,
    FillCharged,
    LevelChanged,
    OrderAccepted,
    OrderClosed,
    OrderRejected,
    Traded,
    WithdrawalRefused,
)
from relayer.engine.limit_terms import Limits, LimitTable
from relayer.engine.orders import SETTLEMENT_SECONDS
from relayer.engine.quote_guard import GuardTerms
from relayer.engine.withdrawals import REORG_SECONDS

LEAVING_SECONDS = 10
FOREVER = 10**9


class Flow(AmendFlow, TriggerFlow):
    """Drives the desk and the naive exchange together."""

    def __init__(self) -> None:
        self.desk = Desk(usdc=USDC, base=BASE)
        self.naive = NaiveExchange()
        self.external = {asset: 3 * (BASE if asset else USDC) for asset in ASSETS}
        self.trades: dict[tuple[str, int], Traded] = {}
        self.charged = 0  # fees that the chain took beyond those of the matches

    def step(self, action: tuple) -> None:
        self.naive.now_ms = self.desk.now_ms
        self.naive.triggered, self.naive.proven, self.naive.refused = [], [], []
        before = len(self.desk.commands)
        getattr(self, action[0].replace(" ", "_"))(*action[1:])
        self.check()
        if len(self.desk.commands) == before + 1:
            self.check_triggers()

    def place(self, who, market, side, lots, price, tif, stp, fee_bps, lifetime, name, limit) -> None:
        account, desk = ACCOUNTS[who], self.desk
        expiry = desk.now_ms // 1000 + SETTLEMENT_SECONDS + lifetime
        order_type = OrderType.MARKET if tif == "MARKET" else OrderType.LIMIT
        tif = "IOC" if tif == "MARKET" else tif
        reject_after_ms = 0 if limit is None else desk.now_ms + limit
        order = desk.order(
            account, side, lots, price, market=market, order_type=order_type, time_in_force=TimeInForce[tif],
            self_trade=stp, max_fee_bps=fee_bps, expiry=expiry,
        )  # fmt: skip
        digest, events = desk.send(order, name=name, reject_after_ms=reject_after_ms)
        known = Known(account, market, side, price, fee_bps, expiry, name, order.nonce, reject_after_ms)
        self.entered(events, self.naive.place(digest, known, lots, tif, stp.name))

    def entered(self, events: list, expected: list[tuple] | str) -> None:
        """expected: the trades, or why it was refused."""
        refused = [event.code for event in of_type(events, OrderRejected)]
        if isinstance(expected, str):
            assert refused == [expected]
            assert not of_type(events, OrderAccepted, Traded)
            return
        assert refused == []
        assert len(of_type(events, OrderAccepted)) == 1
        self.traded(events, expected)

    def traded(self, events: list, expected: list[tuple]) -> None:
        trades = of_type(events, Traded)
        self.trades |= {(trade.market, trade.sequence): trade for trade in trades}
        assert [(t.taker_digest, t.maker_digest, t.price, t.quantity) for t in trades] == expected
        assert all(trade.quantity % LISTINGS[trade.market].min_lots == 0 for trade in trades)

    def limit(self, worth, count, a_day, bps) -> None:
        rate, burst = self.naive.rate, self.naive.burst
        limits = Limits(worth, count, a_day, bps, rate, burst)
        self.desk.apply(SetLimits(self.desk.now_ms, LimitTable((limits,), (), FOREVER)))
        band = None if bps is None else Fraction(bps, 10_000)
        self.naive.most = {"worth": worth, "open": count, "a day": a_day, "band": band}

    def rate(self, rate, burst: int) -> None:
        limits = msgspec.structs.replace(self.desk.engine.limits.tiers[0], orders_per_second=rate, order_burst=burst)
        self.desk.apply(SetLimits(self.desk.now_ms, LimitTable((limits,), (), FOREVER)))
        self.naive.rate, self.naive.burst = rate, burst

    def guard(self, who: int, market: str, window: int, lots, worth, cooldown: int) -> None:
        self.desk.apply(SetGuard(self.desk.now_ms, ACCOUNTS[who], market, GuardTerms(window, lots, worth, cooldown)))
        self.naive.guards[ACCOUNTS[who], market] = NaiveGuard(window, lots, worth, cooldown, len(self.naive.made))

    def reset(self, who: int, market: str, takes_away: bool) -> None:
        account = ACCOUNTS[who]
        found = self.naive.guards.get((account, market))
        if takes_away:
            events = self.desk.apply(SetGuard(self.desk.now_ms, account, market, None))
            self.naive.guards.pop((account, market), None)
        else:
            events = self.desk.apply(ResetGuard(self.desk.now_ms, account, market))
        assert len(events) == (found is not None)
        if found is not None:
            found.since, found.until = len(self.naive.made), None

    def cancel(self, number: int) -> None:
        digest = number.to_bytes(32, "big")
        account = self.desk.orders[digest].account if digest in self.desk.orders else ALICE
        was_open = digest in self.naive.orders and self.naive.resting(digest) is not None
        closed = of_type(self.desk.cancel(account, digest, digest), OrderClosed)
        others = self.naive.others(self.naive.orders[digest]) if was_open else []
        assert [event.digest for event in closed] == [*[digest] * was_open, *others]
        assert self.desk.cancel(b"x" * 20, digest) == []
        if was_open:
            self.naive.owner_cancel(digest)
        elif digest not in self.naive.orders:
            self.naive.early[account, digest] = self.desk.now_ms + EARLY_CANCEL_MS

    def cancel_all(self, who: int, market: str | None, side: Side | None) -> None:
        self.desk.cancel_all(ACCOUNTS[who], market, side)
        self.naive.cancel_all(ACCOUNTS[who], market, side)

    def cancel_named(self, who: int, names: list[str]) -> None:
        self.desk.cancel(ACCOUNTS[who], names=names)
        for digest, order in self.naive.orders.items():
            if order.account == ACCOUNTS[who] and order.name in names and self.naive.resting(digest):
                self.naive.owner_cancel(digest)

    def countdown(self, who: int, seconds: int) -> None:
        """Arms, renews or ends it."""
        account = ACCOUNTS[who]
        until = self.desk.now_ms + 1_000 * seconds if seconds else 0
        assert [event.until_ms for event in of_type(self.desk.countdown(account, seconds), CountdownSet)] == [until]
        self.naive.countdowns[account] = until
        if not until:
            del self.naive.countdowns[account]

    def disconnect(self, who: int) -> None:
        account, now_ms = ACCOUNTS[who], self.desk.now_ms
        self.desk.apply(WatchConnection(now_ms, account, b"socket"))
        assert (account, b"socket") in self.desk.engine.watched_connections()
        self.desk.apply(EndWatch(now_ms, account, b"socket", True))
        self.naive.cancel_all(account)

    def wait(self, seconds: int) -> None:
        self.desk.now_ms += 1000 * seconds
        self.desk.expire()
        self.naive.expire(self.desk.now_ms // 1000)
        self.naive.fire(self.desk.now_ms)

    def credit(self, who: int, asset: int, amount: int, sign: int = 1) -> None:
        amount *= 10**12 if asset else 1
        fact = Credited if sign > 0 else Debited
        self.desk.fact(fact(ACCOUNTS[who], asset, amount))
        self.naive.totals[ACCOUNTS[who], asset] += sign * amount
        self.external[asset] += sign * amount
        self.naive.cover(ACCOUNTS[who], asset)

    def debit(self, who: int, asset: int, amount: int) -> None:
        """The chain never lets an account withdraw more than it has; the engine may know of less."""
        available = max(0, self.naive.totals[ACCOUNTS[who], asset]) // (10**12 if asset else 1)
        if available:
            self.credit(who, asset, min(amount, available), -1)

    def settle(self, count: int) -> None:
        for _ in range(min(count, len(self.naive.pending))):
            market, sequence, *_ = self.naive.pending.pop(0)
            assert self.desk.fact(FillSettled(market, sequence)) == []

    def tier(self, who: int, amount: int) -> None:
        """CXPT comes in, or all of it goes."""
        account, desk, totals = ACCOUNTS[who], self.desk, self.naive.totals
        held = totals.get((account, CXPT), 0)
        if held > 0 and amount == 1:
            desk.fact(Debited(account, CXPT, held))
            totals[account, CXPT] = 0
        else:
            desk.fact(Credited(account, CXPT, amount * 10**6))
            totals[account, CXPT] = held + amount * 10**6

    def charge(self, maker_fee: int, taker_fee: int) -> None:
        """The chain settles the next fill with other fees than the match foresaw."""
        if not self.naive.pending:
            return
        market, sequence, *_ = self.naive.pending.pop(0)
        trade = self.trades[market, sequence]
        maker_order, taker_order = self.desk.word(trade.maker_digest), self.desk.word(trade.taker_digest)
        moved = (trade.taker_is_buyer, trade.price, trade.quantity, maker_fee, taker_fee)
        events = self.desk.fact(FillSettled(market, sequence, SettledTerms(maker_order, taker_order, *moved)))
        changes = {trade.maker: trade.maker_fee - maker_fee, trade.taker: trade.taker_fee - taker_fee}
        assert len(of_type(events, FillCharged)) == any(changes.values())
        for who, change in changes.items():
            self.naive.totals[who, 0] += change
            self.charged -= change
        for who in changes:
            self.naive.cover(who, 0)

    def leave(self, who: int, asset: int, amount: int) -> None:
        """Asks for an instant withdrawal, twice."""
        account, desk, naive = ACCOUNTS[who], self.desk, self.naive
        amount *= 10**12 if asset > CXPT else 1
        nonce, deadline = len(desk.commands), desk.now_ms // 1000 + LEAVING_SECONDS
        command = SetAsideWithdrawal(desk.now_ms, account, asset, amount, False, account, nonce, deadline)
        refused = naive.may_leave(account, asset, amount)
        for _ in range(2):
            events = desk.apply(command)
            assert [event.code for event in of_type(events, WithdrawalRefused)] == ([refused] if refused else [])
        if refused is None:
            naive.totals[account, asset] -= amount
            naive.leaving[nonce] = account, asset, amount, deadline

    def pay(self, number: int) -> None:
        """The chain pays one of those that are leaving; or, when there are none so old, its time passes them all."""
        naive = self.naive
        if number < len(naive.leaving):
            nonce = list(naive.leaving)[number]
            account, asset, amount, _ = naive.leaving.pop(nonce)
            assert self.desk.fact(WithdrawnInstantly(account, asset, amount, nonce)) == []
            self.external[asset] = self.external.get(asset, 0) - amount
            return
        now = self.desk.now_ms // 1000
        self.desk.apply(SeeBlock(self.desk.now_ms, self.desk.block, now))
        for nonce, (account, asset, amount, deadline) in list(naive.leaving.items()):
            if deadline + REORG_SECONDS < now:
                naive.totals[account, asset] += amount
                del naive.leaving[nonce]

    def skip(self, reason: int) -> None:
        if self.naive.pending:
            market, sequence, *_ = self.naive.pending[0]
            self.desk.fact(FillSkipped(market, sequence, reason))
            self.naive.skip_first(reason)

    def check(self) -> None:
        engine, naive = self.desk.engine, self.naive
        for who in ACCOUNTS:
            assets = [asset for asset in (*ASSETS, CXPT) if (who, asset) in naive.totals]
            expected = {asset: (naive.totals[who, asset], naive.reserved(who, asset)) for asset in assets}
            assert engine.tier(who) * 10 == naive.discount(who)
            assert engine.balances(who) == expected
            assert engine.countdown(who) == naive.countdowns.get(who, 0)
            resting = {
                digest for digest, order in naive.orders.items() if order.account == who and naive.resting(digest)
            }
            assert {view.digest for view in engine.open_orders(who)} == resting
            for view in engine.open_orders(who):
                filled = sum(lots for order, lots in naive.filled if order == view.digest)
                counts = (filled, naive.filled_with(naive.orders[view.digest]) - filled)
                assert (view.filled, view.filled_before) == counts
                assert view.remaining == naive.resting(view.digest).total
        for symbol, book in naive.books.items():
            bids, asks = engine.levels(symbol, 100)
            assert not (bids and asks) or bids[0][0] < asks[0][0]
            levels: dict[tuple[str, int], int] = {}
            for side, price, _, quantity in book.book():
                levels[side, price] = levels.get((side, price), 0) + quantity
            assert [("buy", *level) for level in bids] + [("sell", *level) for level in asks] == [
                (*key, quantity) for key, quantity in levels.items()
            ]
        self.check_events()

    def free_nonces(self, who: bytes, count: int, leased: set[int]) -> list[int]:
        """Naively: a lane is busy with a resting order or a fill on its way, and goes on from its highest seq."""
        lanes: dict[int, int] = {}
        busy = set(leased)
        waiting = {digest for _, _, _, *digests in self.naive.pending for digest in digests}
        for digest, order in self.naive.orders.items():
            if order.account == who:
                _, lane, seq = unpack_nonce(self.desk.orders[digest].nonce)
                lanes[lane] = max(seq, lanes.get(lane, 0))
                if digest in waiting or self.naive.resting(digest) is not None:
                    busy.add(lane)
        free = [lane for lane in range(len(lanes) + len(leased) + count) if lane not in busy][:count]
        return [pack_nonce(0, lane, lanes.get(lane, 0) + 1) for lane in free]

    def check_events(self) -> None:
        """Level and balance events carry final values, each once."""
        engine, events = self.desk.engine, self.desk.events[-1]
        for event in of_type(events, BalanceChanged):
            assert (event.total, event.reserved) == engine.balances(event.account)[event.asset]
        levels = of_type(events, LevelChanged)
        for event in levels:
            side = dict(engine.levels(event.market, 100)[0 if event.is_bid else 1])
            assert side.get(event.price, 0) == event.quantity
        assert len({(event.market, event.is_bid, event.price) for event in levels}) == len(levels)

    def check_history(self) -> None:
        """Gapless numbers; money changes only by facts and fees."""
        trades = [trade for events in self.desk.events for trade in of_type(events, Traded)]
        assert [trade.match_id for trade in trades] == list(range(1, len(trades) + 1))
        for symbol in LISTINGS:
            sequences = [trade.sequence for trade in trades if trade.market == symbol]
            assert sequences == list(range(len(sequences)))
        self.check_chain_count(trades)
        voided = {
            event.match_id for events in self.desk.events for event in events if type(event).__name__ == "FillVoided"
        }
        fees = sum(trade.maker_fee + trade.taker_fee for trade in trades if trade.match_id not in voided) + self.charged
        for asset in ASSETS:
            held = sum(self.desk.engine.balances(who)[asset][0] for who in ACCOUNTS)
            held += sum(amount for _, other, amount, _ in self.naive.leaving.values() if other == asset)
            assert held == self.external[asset] - (fees if asset == 0 else 0)

"""A naive exchange in dictionaries: says which events valid contracts would emit, and what must be true after them.

It shares no code with the projections, so that the two can be compared.
"""

from __future__ import annotations

from collections import defaultdict
from random import Random

from cxdex.eip712 import market_hash
from cxdex.keccak import keccak
from cxdex.nonce import pack_nonce
from indexer import events
from indexer.events import Event
from tests.indexer.event_logs import listing

SYMBOL, ASSET, LOT, QUOTE = "sBTC-USDC", 2, 10**14, 10
ACCOUNTS = [keccak(b"account %d" % number)[:20] for number in range(5)]
FEE_RECIPIENT = keccak(b"fees")[:20]


class ExchangeModel:
    """Random but valid operations. Same seed, same events."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.balances: dict[tuple[bytes, int], int] = defaultdict(int)
        self.order_totals: dict[bytes, int] = defaultdict(int)
        self.lanes: dict[tuple[bytes, int], tuple[int, int]] = {}
        self.epochs: dict[bytes, int] = defaultdict(int)
        self.pending: dict[int, tuple[bytes, int]] = {}
        self.sequence = 0
        self.fees = 0
        self.trades: list[tuple[int, int]] = []  # (price, quantity)
        self._withdrawals = 0
        self._orders = 0

    def opening(self) -> list[Event]:
        """Lists the market and funds everyone."""
        made = listing(SYMBOL)
        for account in ACCOUNTS:
            made.append(self._deposit(account, 0, 10**13))
            made.append(self._deposit(account, ASSET, 10**22))
        return made

    def operations(self, count: int) -> list[Event]:
        choices = [self._fill] * 8 + [self._some_deposit, self._request, self._close, self._skip, self._void]
        choices += [self._raise_lane, self._raise_epoch, self._collect]
        return [self._random.choice(choices)() for _ in range(count)]

    # ------------------------------------------------------------------ operations

    def _deposit(self, account: bytes, asset: int, amount: int) -> Event:
        self.balances[account, asset] += amount
        return events.Deposited(account, asset, amount, self.balances[account, asset])

    def _some_deposit(self) -> Event:
        return self._deposit(self._random.choice(ACCOUNTS), self._random.choice((0, ASSET)), 10**9 + self._orders)

    def _fill(self) -> Event:
        maker, taker = self._random.sample(ACCOUNTS, 2)
        quantity, price = self._random.randint(1, 50), self._random.randint(500_000, 700_000)
        buys = self._random.random() < 0.5
        notional = quantity * price * QUOTE
        maker_fee, taker_fee = self._random.randint(0, notional // 400), -(-notional * 25 // 10_000)
        buyer, seller = (taker, maker) if buys else (maker, taker)
        buyer_fee, seller_fee = (taker_fee, maker_fee) if buys else (maker_fee, taker_fee)
        if self.balances[buyer, 0] < notional + buyer_fee or self.balances[seller, ASSET] < quantity * LOT:
            return self._some_deposit()
        self.balances[buyer, 0] -= notional + buyer_fee
        self.balances[seller, 0] += notional - seller_fee
        self.balances[seller, ASSET] -= quantity * LOT
        self.balances[buyer, ASSET] += quantity * LOT
        self.fees += maker_fee + taker_fee
        maker_order, maker_nonce = self._order(maker, quantity)
        taker_order, taker_nonce = self._order(taker, quantity)
        self.trades.append((price, quantity))
        self.sequence += 1
        return events.Fill(
            maker_order,
            taker_order,
            maker,
            taker,
            1,
            self.sequence - 1,
            buys,
            price,
            quantity,
            maker_fee,
            taker_fee,
            maker_nonce,
            taker_nonce,
        )

    def _order(self, account: bytes, quantity: int) -> tuple[bytes, int]:
        """An order of a random lane, the lane's present one or the next one."""
        lane = self._random.choice((0, 1, 2, 9))
        seq, filled = self.lanes.get((account, lane), (0, 0))
        if seq == 0 or self._random.random() < 0.5:
            seq, filled = seq + self._random.randint(1, 3), 0
        self.lanes[account, lane] = (seq, filled + quantity)
        digest = keccak(account + b"%d %d" % (lane, seq))
        self.order_totals[digest] += quantity
        return digest, pack_nonce(self.epochs[account], lane, seq)

    def _skip(self) -> Event:
        maker, taker = self._random.sample(ACCOUNTS, 2)
        self.sequence += 1
        return events.FillSkipped(
            keccak(maker),
            keccak(taker),
            maker,
            taker,
            1,
            self.sequence - 1,
            True,
            600_000,
            3,
            self._random.randint(1, 6),
        )

    def _void(self) -> Event:
        count = self._random.randint(1, 3)
        self.sequence += count
        return events.SequenceVoided(market_hash(SYMBOL), self.sequence - count, count)

    def _request(self) -> Event:
        account = self._random.choice(ACCOUNTS)
        amount = self.balances[account, 0] // 10
        self.balances[account, 0] -= amount
        self._withdrawals += 1
        self.pending[self._withdrawals] = (account, amount)
        return events.WithdrawRequested(
            self._withdrawals, account, 0, amount, self._random.random() < 0.5, 1_800_009_999, self.balances[account, 0]
        )

    def _close(self) -> Event:
        if not self.pending:
            return self._request()
        number = self._random.choice(sorted(self.pending))
        account, amount = self.pending.pop(number)
        if self._random.random() < 0.5:
            return events.WithdrawClaimed(number, account, 0, amount, False)
        self.balances[account, 0] += amount
        return events.WithdrawCancelled(number, account, 0, amount, self.balances[account, 0])

    def _raise_lane(self) -> Event:
        account, lane = self._random.choice(ACCOUNTS), self._random.choice((0, 1, 2, 9))
        seq = self.lanes.get((account, lane), (0, 0))[0] + 1
        self.lanes[account, lane] = (seq, 0)
        return events.NonceRaised(account, lane, seq)

    def _raise_epoch(self) -> Event:
        account = self._random.choice(ACCOUNTS)
        self.epochs[account] += 1
        return events.EpochRaised(account, self.epochs[account])

    def _collect(self) -> Event:
        amount, self.fees = self.fees, 0
        self.balances[FEE_RECIPIENT, 0] += amount
        return events.FeesCollected(market_hash(SYMBOL), FEE_RECIPIENT, amount, self.balances[FEE_RECIPIENT, 0])

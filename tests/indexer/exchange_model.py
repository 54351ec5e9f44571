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
from tests.indexer.debt_model import DebtModel
from tests.indexer.event_logs import listing

SYMBOL, ASSET, LOT, QUOTE = "sBTC-USDC", 2, 10**14, 10
ACCOUNTS = [keccak(b"account %d" % number)[:20] for number in range(5)]
KEYS = [keccak(b"session %d" % number)[:20] for number in range(3)]
TREASURY = keccak(b"treasury")[:20]
LANES = (0, 1, 2, 9)
LONG_AGO, FAR_OFF = 1, 2**39  # a cancel that counts when the next event looks, and one that does not


class ExchangeModel(DebtModel):
    """Random but valid operations. Same seed, same events."""

    def __init__(self, seed: int) -> None:
        super().__init__(Random(seed), ACCOUNTS, ASSET)
        self.announced: dict[tuple[bytes, int], int] = defaultdict(int)
        self.order_totals: dict[bytes, int] = defaultdict(int)
        self.lanes: dict[tuple[bytes, int], tuple[int, int]] = {}  # (seq, filled)
        self.cancels: dict[tuple[bytes, int], tuple[int, int]] = {}  # (seq, effective at)
        self.epochs: dict[bytes, int] = defaultdict(int)
        self.sessions: dict[tuple[bytes, bytes], tuple[int, bool]] = {}  # (notional left, revoked)
        self.waiting: dict[int, tuple[bytes, int, int, bool]] = {}  # id to account, asset, amount, as CXPT
        self.recipients: dict[int, bytes] = {}
        self.sequence = 0
        self.fees = 0
        self.beat = 0
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
        """`count` operations; some are several events."""
        choices = [self._fill] * 8 + [self._request] * 2 + [self._close] * 2
        choices += [self._some_deposit, self._leave, self._redirect, self._skip, self._void, self._mint_fill]
        choices += [self._raise_lane, self._raise_epoch, self._session, self._beat]
        choices += [self._collect, self._withdraw_fees, self._rebate, *self.debt_operations()]
        return [event for _ in range(count) for event in self.random.choice(choices)()]

    # ------------------------------------------------------------------ balances

    def _deposit(self, account: bytes, asset: int, amount: int) -> Event:
        self.balances[account, asset] += amount
        return events.Deposited(account, asset, amount, self.balances[account, asset])

    def _some_deposit(self) -> list[Event]:
        return [self._deposit(self.random.choice(ACCOUNTS), self.random.choice((0, ASSET)), 10**9 + self._orders)]

    def _request(self) -> list[Event]:
        account, asset = self.random.choice(ACCOUNTS), self.random.choice((0, ASSET))
        free = self.balances[account, asset] - self.announced[account, asset]
        if free <= 0:
            return self._some_deposit()
        amount = max(free // self.random.choice((1, 3, 10)), 1)
        self._withdrawals += 1
        self.announced[account, asset] += amount
        as_cxpt = asset == 0 and self.random.random() < 0.5
        self.waiting[self._withdrawals] = (account, asset, amount, as_cxpt)
        return [events.WithdrawRequested(self._withdrawals, account, asset, amount, as_cxpt, 1_800_009_999)]

    def _redirect(self) -> list[Event]:
        if not self.waiting:
            return self._request()
        number = self.random.choice(sorted(self.waiting))
        account = self.waiting[number][0]
        self.recipients[number] = TREASURY
        return [events.WithdrawRedirected(number, account, TREASURY, 1_800_019_999)]

    def _close(self) -> list[Event]:
        if not self.waiting:
            return self._request()
        number = self.random.choice(sorted(self.waiting))
        account, asset, amount, as_cxpt = self.waiting[number]
        paid = min(amount, self.balances[account, asset])
        cancels = paid == 0 or self.random.random() < 0.3
        del self.waiting[number]
        self.announced[account, asset] -= amount
        if cancels:
            return [events.WithdrawCancelled(number, account, asset, amount)]
        self.balances[account, asset] -= paid
        if as_cxpt:
            self.reserve += paid
        recipient = self.recipients.get(number, account)
        left = self.balances[account, asset]
        return [events.WithdrawClaimed(number, account, asset, amount, paid, as_cxpt, recipient, left)]

    def _leave(self) -> list[Event]:
        """An instant withdrawal."""
        account, asset = self.random.choice(ACCOUNTS), self.random.choice((0, ASSET))
        amount = self.balances[account, asset] // 5
        if amount == 0:
            return self._some_deposit()
        self.balances[account, asset] -= amount
        as_cxpt = asset == 0 and self.random.random() < 0.5
        if as_cxpt:
            self.reserve += amount
        self._orders += 1
        left = self.balances[account, asset]
        return [events.Withdrawn(account, asset, amount, as_cxpt, TREASURY, self._orders, left)]

    # ------------------------------------------------------------------ fills

    def _fill(self) -> list[Event]:
        maker, taker = self.random.sample(ACCOUNTS, 2)
        quantity, price = self.random.randint(1, 50), self.random.randint(500_000, 700_000)
        buys = self.random.random() < 0.5
        notional = quantity * price * QUOTE
        maker_fee, taker_fee = self.random.randint(0, notional // 400), -(-notional * 25 // 10_000)
        buyer, seller = (taker, maker) if buys else (maker, taker)
        buyer_fee, seller_fee = (taker_fee, maker_fee) if buys else (maker_fee, taker_fee)
        if self.balances[buyer, 0] < notional + buyer_fee or self.balances[seller, ASSET] < quantity * LOT:
            return self._some_deposit()
        self.balances[buyer, 0] -= notional + buyer_fee
        self.balances[seller, 0] += notional - seller_fee
        self.balances[seller, ASSET] -= quantity * LOT
        self.balances[buyer, ASSET] += quantity * LOT
        self.fees += maker_fee + taker_fee
        maker_order, taker_order = self._order(maker, quantity), self._order(taker, quantity)
        self.trades.append((price, quantity))
        self.sequence += 1
        return [
            events.Fill(
                maker_order,
                taker_order,
                1,
                self.sequence - 1,
                buys,
                price,
                quantity,
                maker_fee,
                taker_fee,
            )
        ]

    def _mint_fill(self) -> list[Event]:
        """A sale that mints what it sells: minted and owed before the fill, its proceeds locked after it."""
        seller = self.random.choice(ACCOUNTS)
        minted = self.mint(seller, 50 * LOT, locked=0)
        made = self._fill()
        taken = min(self.balances[seller, 0], 10**6)
        if taken == 0:
            return [*minted, *made]
        return [*minted, *made, self.lock_proceeds(seller, taken)]

    def _order(self, account: bytes, quantity: int) -> bytes:
        """The word of an order of a random lane, the lane's present one (or an amendment of it) or the next one."""
        lane = self.random.choice(LANES)
        seq, filled = self._alive(account, lane)
        if seq == 0 or self.random.random() < 0.5:
            seq, filled = seq + self.random.randint(1, 3), 0
        self.lanes[account, lane] = (seq, filled + quantity)
        cancel = self.cancels.get((account, lane))
        if cancel is not None and seq >= cancel[0]:
            del self.cancels[account, lane]  # nothing of it is left to die
        digest = keccak(account + b"%d %d %d" % (lane, seq, self.random.randint(0, 1)))
        nonce = pack_nonce(self.epochs[account], lane, seq)
        word = account + (nonce << 32 | int.from_bytes(digest, "big") & 2**32 - 1).to_bytes(12, "big")
        self.order_totals[word] += quantity
        return word

    def _alive(self, account: bytes, lane: int) -> tuple[int, int]:
        cancel = self.cancels.get((account, lane))
        if cancel is not None and cancel[1] == LONG_AGO:
            return cancel[0], 0
        return self.lanes.get((account, lane), (0, 0))

    def _skip(self) -> list[Event]:
        maker, taker = self.random.sample(ACCOUNTS, 2)
        self.sequence += 1
        reason = self.random.randint(1, 11)
        orders = (maker + bytes(12), taker + bytes(range(12)))
        return [events.FillSkipped(*orders, 1, self.sequence - 1, True, 600_000, 3, reason)]

    def _void(self) -> list[Event]:
        count = self.random.randint(1, 3)
        self.sequence += count
        return [events.SequenceVoided(market_hash(SYMBOL), self.sequence - count, count)]

    # ------------------------------------------------------------------ cancels and keys

    def _raise_lane(self) -> list[Event]:
        account, lane = self.random.choice(ACCOUNTS), self.random.choice(LANES)
        seq, filled = self._alive(account, lane)
        self.lanes[account, lane] = (seq, filled)
        self.cancels[account, lane] = (seq + 1, self.random.choice((LONG_AGO, FAR_OFF)))
        return [events.NonceRaised(account, lane, *self.cancels[account, lane])]

    def _raise_epoch(self) -> list[Event]:
        account = self.random.choice(ACCOUNTS)
        self.epochs[account] += 1
        return [events.EpochRaised(account, self.epochs[account], FAR_OFF)]

    def _session(self) -> list[Event]:
        account, key = self.random.choice(ACCOUNTS), self.random.choice(KEYS)
        left, revoked = self.sessions.get((account, key), (0, True))
        if revoked or self.random.random() < 0.3:
            self.sessions[account, key] = (10**9, False)
            market = self.random.choice((bytes(32), market_hash(SYMBOL)))
            return [events.SessionSet(account, key, market, 10**9, FAR_OFF)]
        if self.random.random() < 0.4:
            self.sessions[account, key] = (left, True)
            return [events.SessionRevoked(account, key)]
        self.sessions[account, key] = (left // 2, False)
        return [events.SessionUsed(account, key, left // 2)]

    def _beat(self) -> list[Event]:
        self.beat += 60
        return [events.Heartbeat(self.beat)]

    # ------------------------------------------------------------------ fees

    def _collect(self) -> list[Event]:
        amount, self.fees = self.fees, 0
        self.pocket += amount
        return [events.FeesCollected(market_hash(SYMBOL), amount, self.pocket)]

    def _withdraw_fees(self) -> list[Event]:
        amount = self.pocket // 3
        self.pocket -= amount
        return [events.FeesWithdrawn(TREASURY, amount, self.pocket)]

    def _rebate(self) -> list[Event]:
        account, amount = self.random.choice(ACCOUNTS), self.pocket // 4
        self.pocket -= amount
        self.reserve += amount
        self.balances[account, 1] += amount
        return [events.RebatePaid(account, amount, self.balances[account, 1], self.pocket)]

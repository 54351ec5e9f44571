"""Which fills go into the next batch: plain data in, plain data out.

Owns:     the order of settlement, what may not be sent yet, and when a batch is full or due.
Promises: fills leave in match_id order, because a later fill may spend what an earlier one paid; from each
          market an unbroken run that starts at the chain's own next sequence number. So a fill below that
          number is done, and a batch built twice from the same numbers can apply at most once.
Never:    does I/O, knows the clock or remembers anything between calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cxdex.batch import ENTRY_BYTES, MatchedFill, entries_of
from cxdex.nonce import unpack_nonce
from cxdex.order import Order, SignatureKind, SignedOrder

# Limits of one transaction. Fusaka's cap on gas is EIP-7825; nodes refuse transactions above 128 KiB, of which
# envelope and signature need less than one.
TRANSACTION_GAS_CAP = 2**24
CALLDATA_LIMIT = 127 * 1024

# The node's estimate is exact for the state it sees; the block may hold another one. A full batch is planned to
# leave this much of the cap, which pays for about 25 slots that somebody emptied meanwhile.
FULL_BATCH_MARGIN = 1.03
GAS_LIMIT = int(TRANSACTION_GAS_CAP / FULL_BATCH_MARGIN)

# What a batch costs before it is simulated, by kind of entry. Fitted to estimates of a real node over 14 shapes of
# batches with slots that are in use already (tests/relayer/settler/test_batch_size.py holds it to 8 %; each fresh
# slot costs 17,100 more). `gas_scale` corrects it from one batch to the next; eth_estimateGas has the last word.
TRANSACTION_GAS = 28_000  # the proxy included
MARKET_GAS = 3_200  # and the slot of its word
ORDER_GAS = 8_900  # calldata, hash, ecrecover, checks, writing back
FILL_GAS = 1_700  # arithmetic and the event
SLOT_GAS = 5_000  # first read and first write of a slot in the transaction
CONDITION_GAS = 400  # asking Triggers about a conditional order; its block is mostly zeros, and counts like a full one
LOOKUP_GAS = 8_000  # finding one second in the oracle's history of a million prices
FIRST_LOOKUP_GAS = 46_000  # what the first look into a market's history takes more: nearly all others go the same way
OUTSIDE_LANE_GAS = 800  # a lane that is not in the account's own word
SESSION_GAS = 2_600  # a session key's checks; the slot of its allowance comes on top
BLOCK_GAS = 2_100  # calldata of a further block of a contract wallet's signature
WALLET_GAS = 130_000  # most that a contract wallet may use to check its signature, and the call

HEAD_BYTES = 36  # of calldata: selector and number of entries
_LANES_IN_ACCOUNT = 2
_LANES_PER_SLOT = 4


@dataclass(frozen=True, slots=True)
class Trade:
    """One match as the trade table has it. time_ms: when it was matched."""

    match_id: int
    market: str
    sequence: int
    maker_digest: bytes
    taker_digest: bytes
    quantity: int
    time_ms: int
    voided: bool = False


# One market, one order that stays in its cursor, and an entry a fill: no batch has more fills than this.
MOST_FILLS = (CALLDATA_LIMIT - HEAD_BYTES) // ENTRY_BYTES - 2


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch closes: at what one transaction can carry, or after the time.

    gas_limit: gas units by the node's estimate; interval_ms: since the batch's first fill was matched; max_fills: a
    lower limit than gas and calldata set, if somebody wants one.
    """

    max_fills: int = MOST_FILLS
    interval_ms: int = 30_000
    gas_limit: int = GAS_LIMIT
    calldata_limit: int = CALLDATA_LIMIT


@dataclass(frozen=True, slots=True)
class Span:
    """The run of one market's sequence that a batch carries, both ends included."""

    market: str
    first_sequence: int
    last_sequence: int


def settleable(trades: Iterable[Trade], next_sequence: Mapping[str, int], limit: int) -> list[Trade]:
    """The trades that may be sent now, in match_id order, at most `limit`.

    next_sequence  what the chain expects next, for each market that is open; others wait.
    A market also waits at a gap, and at a trade that was voided although the chain has not passed its number:
    a reorg has undone the chain's word, and the engine is about to restore the trade.
    """
    expected = dict(next_sequence)
    chosen: list[Trade] = []
    for trade in sorted(trades, key=lambda trade: trade.match_id):
        wanted = expected.get(trade.market)
        if wanted is None or trade.sequence < wanted:
            continue
        if trade.sequence > wanted or trade.voided:
            del expected[trade.market]
            continue
        expected[trade.market] = wanted + 1
        chosen.append(trade)
        if len(chosen) == limit:
            break
    return chosen


def is_due(chosen: Sequence[Trade], limits: Limits, now_ms: int) -> bool:
    """The count or the clock closes the batch. Gas and calldata are for `fitting` to judge."""
    if not chosen:
        return False
    return len(chosen) >= limits.max_fills or now_ms >= chosen[0].time_ms + limits.interval_ms


def fitting(fills: Sequence[MatchedFill], limits: Limits, gas_scale: float = 1.0) -> int:
    """How many of the fills, from the first on, fit into one transaction. At least one if there are any."""
    load = Load()
    for count, fill in enumerate(fills):
        if count == limits.max_fills:
            return count
        load.add(fill)
        gas = (load.gas - load.wallet_gas) * gas_scale + load.wallet_gas
        too_large = load.calldata_bytes > limits.calldata_limit or gas > limits.gas_limit
        if too_large and count > 0:
            return count
    return len(fills)


def spans(fills: Iterable[MatchedFill]) -> list[Span]:
    """What the batch covers of each market, in the order in which the markets first appear."""
    found: dict[str, Span] = {}
    for fill in fills:
        first = found[fill.market].first_sequence if fill.market in found else fill.sequence
        found[fill.market] = Span(fill.market, first, fill.sequence)
    return list(found.values())


def longest_passing(count: int, passes: Callable[[int], bool]) -> int:
    """The longest prefix that passes, knowing that `count` does not and that nothing follows a failure.

    A batch reverts as a whole at its first bad fill, so every prefix that includes it fails: bisection is exact.
    """
    good, bad = 0, count
    while bad - good > 1:
        middle = (good + bad) // 2
        if passes(middle):
            good = middle
        else:
            bad = middle
    return good


def within_suspicion(chosen: Sequence[Trade], reverted: Iterable[tuple[int, int]]) -> int:
    """How many of the trades may come next when batches with the first one reverted on chain, for a reason that no
    simulation shows: half of those that are suspected, so that what is good settles and what is not is found.

    reverted: (first, last match) of those batches, all of which have the first trade.
    """
    last = min((last for _, last in reverted), default=None)
    if last is None:
        return len(chosen)
    suspected = sum(trade.match_id <= last for trade in chosen)
    return max(1, suspected // 2)


@dataclass(slots=True)
class Load:
    """Size and estimated gas of a batch, kept as fills are added. Follows `cxdex.batch.encode_settle_batch`.

    wallet_gas: the part of `gas` that contract wallets may use. It is no estimate: a wallet's code can be cheap for
    whoever only asks, and use all that the contract gives it in a transaction.
    """

    gas: int = TRANSACTION_GAS
    wallet_gas: int = 0
    entries: int = 0
    _market: str = ""
    _next_sequence: int = -1
    _maker: bytes = b""
    _taker: bytes = b""
    _slots: set[tuple[bytes, str, int]] = field(default_factory=set)

    @property
    def calldata_bytes(self) -> int:
        return HEAD_BYTES + ENTRY_BYTES * self.entries

    def add(self, fill: MatchedFill) -> None:
        if fill.market != self._market or fill.sequence != self._next_sequence:
            self._maker = self._taker = b""
            self._market = fill.market
            self.entries += 1
            self.gas += MARKET_GAS
            self._touch(b"", fill.market, 0)
        if fill.maker.digest == self._maker and fill.taker.digest == self._taker:
            self._taker = b""  # it is sent again
        self.gas += FILL_GAS
        for signed, held in ((fill.maker, self._maker), (fill.taker, self._taker)):
            self._touch_balances(signed.order, fill.market)
            if signed.digest != held:
                self._add_order(signed)
        self._next_sequence = fill.sequence + 1
        self._maker, self._taker = fill.maker.digest, fill.taker.digest

    def _add_order(self, signed: SignedOrder) -> None:
        entries = entries_of(signed)
        self.entries += entries
        self.gas += ORDER_GAS + BLOCK_GAS * (entries - 1)
        if signed.order.condition is not None:
            self.gas += CONDITION_GAS
            self._add_proof(signed)
        if signed.kind is SignatureKind.CONTRACT:
            self.gas += WALLET_GAS
            self.wallet_gas += WALLET_GAS
        elif signed.kind is SignatureKind.SESSION:
            self.gas += SESSION_GAS
            self._touch(signed.order.account, "session", 0)
        if unpack_nonce(signed.order.nonce).lane >= _LANES_IN_ACCOUNT:
            self.gas += OUTSIDE_LANE_GAS

    def _add_proof(self, signed: SignedOrder) -> None:
        for second in filter(None, signed.proof):
            self.gas += LOOKUP_GAS
            self._touch(b"index second", signed.order.market, second)
            first = (b"index", signed.order.market, 0)
            if first not in self._slots:
                self._slots.add(first)
                self.gas += FIRST_LOOKUP_GAS

    def _touch_balances(self, order: Order, market: str) -> None:
        lane = unpack_nonce(order.nonce).lane
        self._touch(order.account, "", 0)
        self._touch(order.account, market, 0)
        if lane >= _LANES_IN_ACCOUNT:
            self._touch(order.account, "", 1 + lane // _LANES_PER_SLOT)

    def _touch(self, account: bytes, market: str, slot: int) -> None:
        key = (account, market, slot)
        if key not in self._slots:
            self._slots.add(key)
            self.gas += SLOT_GAS

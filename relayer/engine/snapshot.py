"""The whole state as bytes, and back.

Promises: equal states give equal bytes; a restored engine answers every later command as the original would.
          Restoring needs nothing but the bytes.
Never:    does I/O, or reads an image of another version (raises ValueError instead).

JSON, because balances exceed 64 bits. Order indices, the expiry queue and the queues of what waits for a price are not
stored: they follow from the open orders. Of a book only the order of its orders is.
"""

from __future__ import annotations

import msgspec

from cxdex.condition import ticks_scaled
from cxdex.facts import WithdrawnInstantly
from cxdex.fees import fee_tier
from cxdex.market import CXPT_ASSET, MarketTerms
from cxdex.order import Order, SignatureKind
from relayer.engine.accounts import Account, Balance
from relayer.engine.chain_log import AppliedFact, OutboxRow
from relayer.engine.fills import FillRecord, held_back
from relayer.engine.lanes import Lane
from relayer.engine.limit_terms import IndexPrice, LimitTable
from relayer.engine.orders import PENDING, OrderRecord, reservation
from relayer.engine.pairing import join
from relayer.engine.quote_guard import Guard, GuardTerms
from relayer.engine.sessions import Session, SessionTerms, notional_at_limit
from relayer.engine.state import Market, State
from relayer.engine.watch import Watch, WatchImage
from relayer.engine.withdrawals import SetAside

SNAPSHOT_VERSION = 12


class _OrderImage(msgspec.Struct, array_like=True, frozen=True):
    number: int
    order: Order
    digest: bytes
    client_order_id: str | None
    kind: SignatureKind
    signer: bytes
    status: str
    reason: str | None
    filled: int
    remaining: int
    unsettled: int
    version: int
    created_ms: int
    updated_ms: int
    replaces: bytes
    replaced_by: bytes
    filled_before: int
    ancestors: tuple[bytes, ...]
    since: int
    proof: tuple[int, int]
    display: int
    hidden: int
    seeks_proof: bool
    settled_block: int


class _MarketImage(msgspec.Struct, array_like=True, frozen=True):
    """resting: acceptance numbers, bids and then asks, best price first, oldest first within a price."""

    terms: MarketTerms
    status: int
    next_sequence: int
    settled_sequence: int
    unsettled: list[FillRecord]
    resolved: list[FillRecord]
    foreign: list[FillRecord]
    resting: list[int]
    index: WatchImage
    last: WatchImage


class _AccountImage(msgspec.Struct, array_like=True, frozen=True):
    """balances: (asset, total, reserved); lanes: (lane, used, floor, unsettled); sessions: (key, terms); volume: (day,
    amount); bucket: (level, time_ms); guards: (market, terms, fills, until_ms); early_cancels: (digest, until), oldest
    first."""

    address: bytes
    epoch: int
    balances: list[tuple[int, int, int]]
    lanes: list[tuple[int, int, int, int]]
    sessions: list[tuple[bytes, SessionTerms]]
    volume: tuple[int, int]
    bucket: tuple[int, int]
    guards: list[tuple[str, GuardTerms, list[tuple[int, int, int]], int | None]]
    early_cancels: list[tuple[bytes, int]]


class _Image(msgspec.Struct, frozen=True):
    version: int
    floor: tuple[int, int]
    applied: list[AppliedFact]
    outbox_row: OutboxRow
    next_match_id: int
    next_order_number: int
    markets: list[_MarketImage]
    accounts: list[_AccountImage]
    open: list[_OrderImage]
    closed: list[_OrderImage]
    set_asides: list[SetAside]
    limits: LimitTable
    prices: list[tuple[int, IndexPrice]]
    countdowns: list[tuple[bytes, int]]
    watched: list[tuple[bytes, list[bytes]]]


class _Version(msgspec.Struct):
    version: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Image)
_version_decoder = msgspec.json.Decoder(_Version)


def dump(state: State) -> bytes:
    open_orders = [record for account in state.accounts.values() for record in account.open.values()]
    open_orders.sort(key=lambda record: record.number)
    return _encoder.encode(
        _Image(
            version=SNAPSHOT_VERSION,
            floor=state.floor,
            applied=list(state.applied),
            outbox_row=state.outbox_row,
            next_match_id=state.next_match_id,
            next_order_number=state.next_order_number,
            markets=[_market_image(state, market) for market in state.markets.values()],
            accounts=[_account_image(state.accounts[address]) for address in sorted(state.accounts)],
            open=[_order_image(record) for record in open_orders],
            closed=[_order_image(record) for record in state.closed],
            set_asides=list(state.set_asides.values()),
            limits=state.limits.table,
            prices=sorted(state.limits.prices.items()),
            countdowns=sorted(state.countdowns.until.items()),
            watched=[(address, sorted(state.watched[address])) for address in sorted(state.watched)],
        )
    )


def is_of_this_version(data: bytes) -> bool:
    """By how it begins; `load` says whether it is whole."""
    return data.startswith(b'{"version":%d,' % SNAPSHOT_VERSION)


def load(data: bytes) -> State:
    """Raises ValueError when the bytes are not an image of this version."""
    try:
        version = _version_decoder.decode(data).version
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"the snapshot has version {version}; this engine reads {SNAPSHOT_VERSION}")
        image = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an engine snapshot: {error}") from None
    state = State()
    state.floor = image.floor
    state.applied.extend(image.applied)
    state.outbox_row = image.outbox_row
    state.next_match_id = image.next_match_id
    state.next_order_number = image.next_order_number
    state.limits.set_table(image.limits)
    state.limits.prices.update(image.prices)
    for market in image.markets:
        state.markets[market.terms.symbol] = _market(market)
    for account in image.accounts:
        state.accounts[account.address] = _account(account)
    state.early = sorted((until, account.address) for account in image.accounts for _, until in account.early_cancels)
    for held in image.set_asides:
        state.set_asides[held.account, held.nonce] = held
    for address, until in image.countdowns:
        state.countdowns.set(address, until)
    state.watched = {address: dict.fromkeys(connections) for address, connections in image.watched}
    paid = (applied.fact for applied in state.applied if isinstance(applied.fact, WithdrawnInstantly))
    state.paid_nonces.update((fact.account, fact.nonce) for fact in paid)
    for order in image.closed:
        record = _record(state, order)
        state.orders[record.digest] = record
        state.closed.append(record)
        if record.seeks_proof and order.order.condition is not None:
            state.markets[order.order.market].watch(order.order.condition).seek(record)
    by_number = {order.number: _record(state, order) for order in image.open}
    for record in by_number.values():
        _restore_open(state, record)
    legs: dict[tuple[bytes, int], OrderRecord] = {}
    for record in by_number.values():
        other = legs.setdefault((record.order.account, record.order.nonce), record)
        if other is not record:
            join(record, other)
    for market in image.markets:
        book = state.markets[market.terms.symbol].book
        for number in market.resting:
            book.rest(by_number[number].entry)
    for listed in state.markets.values():
        for fill in listed.unsettled.values():
            _count_matched(state, fill)
            for address, asset, amount in held_back(fill):
                state.account(address).on_the_way[asset] += amount
    resolved = [
        fill for market in state.markets.values() for fill in (*market.resolved.values(), *market.foreign.values())
    ]
    resolved.sort(key=lambda fill: (fill.resolved_block or 0, fill.match_id))
    state.resolutions.extend((fill.resolved_block or 0, fill.market, fill.sequence) for fill in resolved)
    return state


def _restore_open(state: State, record: OrderRecord) -> None:
    market = state.markets[record.order.market]
    state.add_open(record)
    state.watch_expiry(record)
    if record.status == PENDING and record.order.condition is not None:
        market.watch(record.order.condition).add(record)
        return
    record.reserved = reservation(market.terms, record.order, record.entry.total)
    if record.signer:
        record.session_reserved = notional_at_limit(market.terms, record.order, record.entry.total)
        state.account(record.order.account).session(record.signer).reserved += record.session_reserved


def _count_matched(state: State, fill: FillRecord) -> None:
    for address, signer in ((fill.maker, fill.maker_signer), (fill.taker, fill.taker_signer)):
        if signer:
            state.account(address).session(signer).matched += fill.notional


def _order_image(record: OrderRecord) -> _OrderImage:
    return _OrderImage(
        record.number,
        record.order,
        record.digest,
        record.client_order_id,
        record.kind,
        record.signer,
        record.status,
        record.reason,
        record.filled,
        record.entry.remaining,
        record.unsettled,
        record.version,
        record.created_ms,
        record.updated_ms,
        record.replaces,
        record.replaced_by,
        record.filled_before,
        record.ancestors,
        record.since,
        record.proof,
        record.display,
        record.entry.hidden,
        record.seeks_proof,
        record.settled_block,
    )


def _record(state: State, image: _OrderImage) -> OrderRecord:
    terms = state.markets[image.order.market].terms
    record = OrderRecord(
        image.number,
        image.order,
        image.digest,
        image.client_order_id,
        terms,
        image.created_ms,
        image.kind,
        image.signer,
        image.replaces,
        image.filled_before,
        image.ancestors,
    )
    record.replaced_by = image.replaced_by
    record.since, record.proof = image.since, image.proof
    record.status = image.status
    record.reason = image.reason
    record.filled = image.filled
    record.entry.remaining, record.entry.hidden = image.remaining, image.hidden
    record.display = record.entry.display = image.display
    record.unsettled = image.unsettled
    record.seeks_proof, record.settled_block = image.seeks_proof, image.settled_block
    record.version = image.version
    record.updated_ms = image.updated_ms
    return record


def _market_image(state: State, market: Market) -> _MarketImage:
    resting = (*market.book.orders(is_bid=True), *market.book.orders(is_bid=False))
    return _MarketImage(
        market.terms,
        market.status,
        market.next_sequence,
        market.settled_sequence,
        [market.unsettled[sequence] for sequence in sorted(market.unsettled)],
        [market.resolved[sequence] for sequence in sorted(market.resolved)],
        [market.foreign[sequence] for sequence in sorted(market.foreign)],
        [state.orders[entry.key].number for entry in resting],
        market.index.image(),
        market.last.image(),
    )


def _market(image: _MarketImage) -> Market:
    market = Market(image.terms, image.status)
    market.index = Watch(ticks_scaled(image.terms, 1), image.index)
    market.last = Watch(1, image.last)
    market.next_sequence = image.next_sequence
    market.settled_sequence = image.settled_sequence
    market.unsettled = {fill.sequence: fill for fill in image.unsettled}
    market.resolved = {fill.sequence: fill for fill in image.resolved}
    market.foreign = {fill.sequence: fill for fill in image.foreign}
    return market


def _account_image(account: Account) -> _AccountImage:
    return _AccountImage(
        account.address,
        account.epoch,
        [(asset, balance.total, balance.reserved) for asset, balance in sorted(account.balances.items())],
        [(number, lane.used, lane.floor, lane.unsettled) for number, lane in sorted(account.lanes.items())],
        [(key, session.terms) for key, session in sorted(account.sessions.items())],
        (account.volume_day, account.volume),
        (account.bucket, account.bucket_ms),
        [(market, guard.terms, list(guard.fills), guard.until_ms) for market, guard in account.guards.items()],
        list(account.early_cancels.items()),
    )


def _account(image: _AccountImage) -> Account:
    account = Account(image.address)
    account.epoch = image.epoch
    account.volume_day, account.volume = image.volume
    account.bucket, account.bucket_ms = image.bucket
    for market, terms, fills, until_ms in image.guards:
        guard = account.guards[market] = Guard(terms)
        for fill in fills:
            guard.count(*fill)
        guard.until_ms = until_ms
    account.balances = {asset: Balance(total, reserved) for asset, total, reserved in image.balances}
    if CXPT_ASSET in account.balances:
        account.tier = fee_tier(account.balances[CXPT_ASSET].total)
    account.sessions = {key: Session(terms) for key, terms in image.sessions}
    account.early_cancels = dict(image.early_cancels)
    account.lanes = {number: Lane(used, floor, unsettled) for number, used, floor, unsettled in image.lanes}
    return account

# pragma version 0.4.3
"""
@title Settlement
@license MIT
@notice The ledger of the exchange and the only way a matched order changes it.
@dev Owns:     what its modules own: balances, order progress and markets (`ledger`), cancels, session keys; and the
               time at which CORE was last heard of.
     Promises: a fill happens only between two orders that their owners signed, at the maker's limit price,
               inside the signed quantity, limit, fee cap and expiry, once, and in the order of the market's
               sequence. A batch either applies as a whole or reverts; a fill that a trader can break on
               their own (cancel, expiry, spent balance, a signature no longer good) is skipped with an event and
               moves nothing. If CORE is silent for six hours, anyone may settle, by the same rules.
     Never:    holds a token, reads a price, or lets a call out see or change a balance in between: wallets and Triggers
               are asked read-only, and storage is level with memory while the SynthEngine mints.

     What traders call themselves (cancels, session keys) is in TraderControls, which runs on this storage.
     Quantities are in lots, prices in ticks, and notional = quantity * price * quotePerLotTick exactly.

     Reverts, all with one of these codes:
       S:ZERO      constructor: an address is zero
       S:ROLES     constructor: two roles that must differ are the same address
       S:CODE      constructor: there is no code at the address of the controls
       S:CORE      caller is not CORE, or CORE was heard of in the last six hours
       S:VAULT     caller is not the Vault
       S:REGISTRY  caller is not the MarketRegistry
       S:LENGTH    calldata is not a head and `entryCount` whole entries, or a condition or a contract's signature is
                   cut short
       S:ENTRY     entry has an unknown role or signature kind, or stray bits
       S:MARKET    market is not listed or not ACTIVE
       S:SEQ       market entry does not name the market's next sequence number
       S:FLAGS     order has flags that mean nothing on spot
       S:SIG       signature cannot be recovered, has a high s, or is of another key than the account's
       S:GAS       too little gas to ask a wallet or the SynthEngine fairly
       S:ENGINE    the SynthEngine minted and then answered nothing, or more collateral than the order allows
       S:CURSOR    fill between an order that cannot trade and an empty cursor
       S:SIDE      maker and taker are on the same side
       S:MAKER     maker is MARKET, IOC or FOK, which never rest
       S:TAKER     taker is POST_ONLY
       S:PRICE     limits do not cross
       S:LOTS      fill is below the market's smallest fill, or the batch has not chosen a market yet
       S:OVERFILL  fill exceeds what is left of an order; an empty cursor, as two orders of one account leave it,
                   has nothing left
       S:PACK      a number does not fit its packed field
       S:ASSET     asset number is out of range
       S:FUNDS     debit of more than the balance
       S:LANE      lane number is out of range
       S:EPOCH     account has used up its epochs, or a signed cancel names another one
       S:WAIT      the last cancelAll does not count yet
       S:COUNT     cancelling or voiding nothing, or voiding more numbers at once than a batch can hold
       S:DEADLINE  signed cancel comes too late
       S:KEY       session key is zero, the account's own, or unknown
       S:EXPIRY    session would be over already, or the time does not fit
       S:LIMIT     session without a limit on its notional, or with one that does not fit
       S:OPEN      market is listed already
       S:TERMS     market word breaks a bound
       S:STATUS    status change that the market's life does not have
     X:... and O:NONE come from Triggers: a conditional order whose condition is not shown to be met.
"""

from contracts.interfaces import ITriggers
from contracts.interfaces import IVault
from contracts.modules import cancels
from contracts.modules import initializable
from contracts.modules import ledger
from contracts.modules import order_hash
from contracts.modules import packing
from contracts.modules import sessions
from contracts.modules import signatures

initializes: initializable
initializes: ledger
initializes: cancels[ledger := ledger]
initializes: sessions[ledger := ledger]

exports: initializable.__interface__
exports: ledger.__interface__


# ------------------------------------------------------------------ types

struct Cursor:
    account: uint256  # the address as a number; zero: the cursor is empty
    name: uint256  # the order word, which events have
    terms: uint256  # as in the entry
    stop: uint256  # zero, or why the order cannot trade, as if it were the maker's
    progress: uint256  # what its lane is to hold after the fills so far: seq and filled lots
    limit: uint256  # what the lane holds when the order is filled; zero in an empty cursor, which has nothing left
    offset: uint256  # where its lane begins in the account word or the lane word
    rate: uint256  # fee in 1e-6 of the notional
    session: uint256  # key that signed for the account; zero: the account itself did
    cash: uint256  # 1e-6 USDC, after the fills so far
    base: uint256  # base asset, after the fills so far
    word: uint256  # the account word as stored
    lanes: uint256  # the lane word as stored; unused for lanes 0 and 1, which are in the account word
    moved: bool  # storage is behind this cursor


struct Market:
    hash: bytes32  # keccak of the symbol; zero: no market chosen yet
    word: uint256  # as stored
    sequence: uint256  # the next fill's number
    fees: uint256  # 1e-6 USDC accrued
    quote: uint256  # 1e-6 USDC a lot and tick
    lot: uint256  # base units a lot
    min_lots: uint256
    maker_bps: uint256
    taker_bps: uint256
    asset: uint256  # number of the base asset
    base_key: uint256  # asset << 160: with an account, the key of its balance
    event_bits: uint256  # marketIndex where the Fill event has it


# ------------------------------------------------------------------ constants

MAX_ENTRIES: public(constant(uint256)) = 4096

# Calldata of settleBatch: selector and entryCount, then the entries.
HEAD_BYTES: constant(uint256) = 36
ENTRY_BYTES: constant(uint256) = 128
WORD_BYTES: constant(uint256) = 32

# who = account 160 | expiry 40 | fill 40 | role 8 | signature kind 8; role and kind are read together.
EXPIRY_SHIFT: constant(uint256) = 160
FILL_SHIFT: constant(uint256) = 200
ROLE_SHIFT: constant(uint256) = 240
MAKER: constant(uint256) = 0
TAKER: constant(uint256) = 1
MARKET: constant(uint256) = 2
MARKET_ENTRY: constant(uint256) = MARKET << ROLE_SHIFT
KIND_SHIFT: constant(uint256) = 8
CONTRACT: constant(uint256) = 2  # 1 is a session key, and 0 the account's own
CONDITIONAL: constant(uint256) = 4  # added to the kind
KIND_MASK: constant(uint256) = ~CONDITIONAL
REFUSED: constant(uint256) = max_value(uint256)  # in place of a session key: no address, so never a live one

# Fields of `terms`, see order_hash.
PRICE_SHIFT: constant(uint256) = 16
QUANTITY_SHIFT: constant(uint256) = 80
LANE_SHIFT: constant(uint256) = 144
LANE_OFFSET_SHIFT: constant(uint256) = 138  # leaves the lane's lowest bit where it counts 64, the bits of a lane
LANE_OUTSIDE_ACCOUNT: constant(uint256) = (2**24 - 2) << 144  # zero for lanes 0 and 1
EPOCH_SHIFT: constant(uint256) = 168
SIDE_BIT: constant(uint256) = order_hash.IS_BUY << order_hash.FLAGS_SHIFT
REDUCE_ONLY_BIT: constant(uint256) = order_hash.REDUCE_ONLY << order_hash.FLAGS_SHIFT
# Shifts of `terms` that leave a field where another word has it.
SEQ_TO_LANE: constant(uint256) = 80
EPOCH_TO_ACCOUNT: constant(uint256) = 56
NONCE_TO_NAME: constant(uint256) = 88

# The order word of events: last bits of the digest 32 | nonce 64 | account 160.
NAME_NONCE: constant(uint256) = (2**64 - 1) << 32
NAME_ACCOUNT_SHIFT: constant(uint256) = 96
# Their terms: quantity 39 | price 64 | sequence 40 | marketIndex 16 | takerIsBuyer 1 | takerFee 48 | makerFee 48.
FILL_PRICE_SHIFT: constant(uint256) = 39
FILL_SEQUENCE_SHIFT: constant(uint256) = 103
FILL_MARKET_SHIFT: constant(uint256) = 143
TAKER_IS_BUYER: constant(uint256) = 1 << 159
FILL_TAKER_FEE_SHIFT: constant(uint256) = 160
FILL_MAKER_FEE_SHIFT: constant(uint256) = 208

# Why a fill was skipped. A maker's reason is odd, the taker's is the next number; 7 to 10 are in `sessions`.
MAKER_CANCELLED: constant(uint256) = 1
MAKER_EXPIRED: constant(uint256) = 3
BUYER_BALANCE: constant(uint256) = 5
SELLER_BALANCE: constant(uint256) = 6
MINT_REFUSED: constant(uint256) = 11
TAKER_STOP: constant(uint256) = 1  # added to a maker's reason, the taker's

ACTIVE: constant(uint256) = 2  # market status

MAX_CONTROLS_OUTPUT: constant(uint256) = 96  # bytes, what the largest answer of TraderControls has

HEARTBEAT_TIMEOUT: public(constant(uint256)) = 6 * 3600  # seconds

# A mint costs about 250,000. A call gets at most 63/64 of what is left, so that with this much left nobody can make
# the SynthEngine run out and pass that off as a refusal.
MINT_GAS: constant(uint256) = 1_000_000

BPS: constant(uint256) = 10_000
PPM: constant(uint256) = 1_000_000
PERCENT: constant(uint256) = 100
TIER_PERCENT: constant(uint256) = 10  # what each tier takes off the market's fee
MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_39: constant(uint256) = 2**39 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_160: constant(uint256) = 2**160 - 1


# ------------------------------------------------------------------ immutables

CORE: public(immutable(address))
SYNTH_ENGINE: public(immutable(address))
CONTROLS: public(immutable(address))
TRIGGERS: public(immutable(address))


# ------------------------------------------------------------------ storage

lastBeat: public(uint256)  # unix time at which CORE last said that it is there; zero: never yet


# ------------------------------------------------------------------ events

# The words are laid out above, and read in cxdex/batch.py and cxdex/order_word.py.
event Fill:
    maker: uint256
    taker: uint256
    terms: uint256


event FillSkipped:
    maker: uint256
    taker: uint256
    terms: uint256  # without fees
    reason: uint256


event SequenceVoided:
    market: indexed(bytes32)
    firstSequence: uint256
    count: uint256


event Heartbeat:
    time: uint256


# ------------------------------------------------------------------ constructor

@deploy
def __init__(
    core: address, vault: address, registry: address, synth_engine: address, controls: address, triggers: address
):
    """
    @notice Fixes who may do what.
    @dev These contracts name this one in their own constructors, so that addresses are predicted by the
         deployer and need not hold code yet.
    @param core Settles batches and voids sequence numbers.
    @param vault Credits and debits balances.
    @param registry Opens markets and sets their status.
    @param synth_engine Mints what a seller is short of, if its order allows that.
    @param controls TraderControls. It is there already: a call handed to no code would seem to have worked.
    @param triggers Judges whether a conditional order may trade.
    """
    for role: address in [core, vault, registry, synth_engine, triggers]:
        assert role != empty(address), "S:ZERO"
        assert role != self, "S:ROLES"
    assert core not in [vault, registry, synth_engine], "S:ROLES"
    assert vault not in [registry, synth_engine] and registry != synth_engine, "S:ROLES"
    assert triggers not in [core, vault, registry, synth_engine], "S:ROLES"
    assert controls.codesize != 0, "S:CODE"
    initializable.__init__()
    CORE = core
    SYNTH_ENGINE = synth_engine
    CONTROLS = controls
    TRIGGERS = triggers
    ledger.__init__(vault, registry)


# ------------------------------------------------------------------ fills

@external
def settleBatch(entryCount: uint256):
    """
    @notice Applies matched fills in order. Caller: CORE; anyone when CORE was silent for six hours.
    @dev The entries follow the ABI argument in calldata, 128 bytes each, packed as in cxdex/batch.py. Two
         cursors, one maker and one taker, walk them: an entry puts an order into its cursor and, if it names
         a quantity, fills it against the other cursor. A cursor holds the account's balances, so that many
         fills of one order write storage once. What a conditional order waits for and the signature of a contract
         follow the entry, in this order and in whole entries that do not count.
         How a plain order is recovered and loaded is written out here, and how an account is packed in `_flush`, where
         functions would do: Vyper copies whatever they take and return. That buys 3 % of a fill when orders are many.
    @custom:invariant The two cursors never hold the same account: each would overwrite the other's balances.
    @param entryCount Number of entries, at most MAX_ENTRIES.
    """
    if msg.sender != CORE and (self.lastBeat == 0 or block.timestamp <= self.lastBeat + HEARTBEAT_TIMEOUT):
        self._only_core()  # which it is not
    assert entryCount <= MAX_ENTRIES and len(msg.data) >= HEAD_BYTES + ENTRY_BYTES * entryCount, "S:LENGTH"

    domain: bytes32 = order_hash._domain_separator()
    market: Market = empty(Market)
    market.min_lots = max_value(uint256)  # no fill is large enough before a market entry
    maker: Cursor = empty(Cursor)
    taker: Cursor = empty(Cursor)
    order: Cursor = empty(Cursor)  # on its way into a cursor
    digest: bytes32 = empty(bytes32)  # of the same order
    position: uint256 = HEAD_BYTES

    for _i: uint256 in range(entryCount, bound=MAX_ENTRIES):
        packed: Bytes[ENTRY_BYTES] = slice(msg.data, position, ENTRY_BYTES)
        entry: order_hash.Entry = abi_decode(packed, order_hash.Entry, unwrap_tuple=False)
        position = unsafe_add(position, ENTRY_BYTES)  # no calldata comes near 2**256
        role: uint256 = entry.who >> ROLE_SHIFT
        order.account = entry.who & MASK_160
        order.session = 0

        if role <= TAKER:
            digest = order_hash._digest(entry, role == MAKER, market.hash, domain)
            # signatures._signer, written out
            s: uint256 = entry.vs & signatures.MASK_255
            signer: uint256 = convert(ecrecover(digest, unsafe_add(signatures.FIRST_V, entry.vs >> signatures.V_SHIFT), entry.r, s), uint256)
            assert signer == order.account and signer != 0 and s <= signatures.MAX_LOW_S, "S:SIG"
        elif role == MARKET:
            assert entry.who == MARKET_ENTRY and entry.vs == 0, "S:ENTRY"
            if market.hash != empty(bytes32):
                self._flush_all(maker, taker, market)
            maker = empty(Cursor)  # also before the first market: an order ahead of it was loaded with no market's terms
            taker = empty(Cursor)
            market = self._load_market(convert(entry.terms, bytes32), entry.r)
            continue
        else:
            digest, order.session, position = self._signed_otherwise(entry, position, market.hash, market.word, domain)
            role &= MASK_8

        # -------- the order comes into its cursor
        # Before it is loaded, storage is made level with the old cursor, and with the other one if it is of this account.
        if role == MAKER:
            if maker.moved:
                self._flush(maker, market.base_key)
            if taker.account == order.account:
                if taker.moved:
                    self._flush(taker, market.base_key)
                taker = empty(Cursor)
            order.rate = market.maker_bps
        else:
            if taker.moved:
                self._flush(taker, market.base_key)
            if maker.account == order.account:
                if maker.moved:
                    self._flush(maker, market.base_key)
                maker = empty(Cursor)
            order.rate = market.taker_bps

        order.name = (
            convert(digest, uint256) & MASK_32
            | entry.terms >> NONCE_TO_NAME & NAME_NONCE
            | order.account << NAME_ACCOUNT_SHIFT
        )
        order.terms = entry.terms
        order.word = ledger.accounts[order.account]
        order.cash = order.word & packing.MAX_CASH
        order.base = ledger.assets[market.base_key | order.account]
        # tiers are at most 4
        order.rate = unsafe_mul(
            order.rate, unsafe_sub(PERCENT, unsafe_mul(TIER_PERCENT, order.word >> packing.TIER_SHIFT & MASK_8))
        )
        order.offset = unsafe_add(packing.FIRST_LANE_SHIFT, entry.terms >> LANE_OFFSET_SHIFT & packing.LANE_BITS)
        stored: uint256 = order.word >> order.offset
        if entry.terms & LANE_OUTSIDE_ACCOUNT != 0:
            lane: uint256 = entry.terms >> LANE_SHIFT & MASK_24
            order.offset = packing._slot_lane_offset(lane)
            order.lanes = ledger.lanes[ledger._lane_key(order.account, lane)]
            stored = order.lanes >> order.offset

        # An order is alive if its epoch is the account's and its seq is the lane's (fills add up) or newer (it starts at
        # zero). The last seq is never alive: it is what cancelling the one before leaves behind.
        order.progress = entry.terms >> SEQ_TO_LANE & packing.LANE_SEQ
        order.limit = order.progress | entry.terms >> QUANTITY_SHIFT & MASK_39
        order.stop = 0
        if entry.who >> EXPIRY_SHIFT & MASK_40 <= block.timestamp:
            order.stop = MAKER_EXPIRED
        if order.progress <= stored & packing.LANE_SEQ:
            if order.progress == stored & packing.LANE_SEQ:
                # More than its quantity when an amendment of this order was larger: then nothing is left.
                order.progress |= stored & packing.MAX_FILLED
            else:
                order.stop = MAKER_CANCELLED
        if stored & packing.CANCEL_ANNOUNCED != 0:
            is_meant: bool = False
            is_dead: bool = False
            is_meant, is_dead = cancels._is_dead(
                order.account, entry.terms >> LANE_SHIFT & MASK_24, order.limit >> packing.SEQ_SHIFT
            )
            if is_dead:
                order.stop = MAKER_CANCELLED
            elif not is_meant:
                # A newer order takes the lane over, and the announcement goes with the older ones.
                if entry.terms & LANE_OUTSIDE_ACCOUNT == 0:
                    order.word = packing._without_announcement(order.word, order.offset)
                else:
                    order.lanes = packing._without_announcement(order.lanes, order.offset)
        if (order.word ^ entry.terms >> EPOCH_TO_ACCOUNT) & packing.ACCOUNT_EPOCH != 0:
            epoch: uint256 = order.word >> packing.EPOCH_SHIFT & MASK_16
            if cancels._is_past(order.account, entry.terms >> EPOCH_SHIFT & MASK_16, epoch):
                order.stop = MAKER_CANCELLED
        if order.limit >= packing.LANE_SEQ:
            order.stop = MAKER_CANCELLED
        if role == MAKER:
            maker = order
        else:
            taker = order

        quantity: uint256 = entry.who >> FILL_SHIFT & MASK_40
        if quantity == 0:
            continue

        # -------- what only a faulty relayer can cause: the batch reverts
        assert quantity >= market.min_lots, "S:LOTS"
        assert (maker.terms ^ taker.terms) & SIDE_BIT != 0, "S:SIDE"
        price: uint256 = maker.terms >> PRICE_SHIFT & MASK_64
        fill_terms: uint256 = (
            quantity | price << FILL_PRICE_SHIFT | market.sequence << FILL_SEQUENCE_SHIFT | market.event_bits
        )
        taker_buys: bool = taker.terms & SIDE_BIT != 0
        if taker_buys:
            assert taker.terms >> PRICE_SHIFT & MASK_64 >= price, "S:PRICE"
            fill_terms |= TAKER_IS_BUYER
        else:
            assert taker.terms >> PRICE_SHIFT & MASK_64 <= price, "S:PRICE"
        market.sequence = unsafe_add(market.sequence, 1)  # at most MAX_ENTRIES above 40 bits

        # -------- what a trader can cause alone: the fill is skipped
        # Below 2**136, 2**100 and 2**159: 40-bit lots, 64-bit ticks, 32-bit quote, lots of at most
        # 10**18, 16-bit rates times 100. No balance comes near 2**255.
        notional: uint256 = unsafe_mul(unsafe_mul(quantity, price), market.quote)
        reason: uint256 = 0
        special: uint256 = maker.stop | taker.stop | maker.session | taker.session
        if special != 0:
            assert quantity <= MASK_39, "S:OVERFILL"  # so that it fits the event: what is left is not asked for here
            reason = self._refusal(maker, taker, market.event_bits >> FILL_MARKET_SHIFT, notional)
        if reason == 0:
            # Both are below 2**65.
            assert unsafe_add(maker.progress, quantity) <= maker.limit, "S:OVERFILL"
            assert unsafe_add(taker.progress, quantity) <= taker.limit, "S:OVERFILL"
            amount: uint256 = unsafe_mul(quantity, market.lot)

            # The rate rounds up, the signed cap rounds down, and the cap wins.
            maker_fee: uint256 = min(
                unsafe_div(unsafe_add(unsafe_mul(notional, maker.rate), PPM - 1), PPM),
                unsafe_div(unsafe_mul(notional, maker.terms & MASK_16), BPS),
            )
            taker_fee: uint256 = min(
                unsafe_div(unsafe_add(unsafe_mul(notional, taker.rate), PPM - 1), PPM),
                unsafe_div(unsafe_mul(notional, taker.terms & MASK_16), BPS),
            )

            # Each subtraction follows its comparison; a fee is below the notional it is taken from, because
            # rates are below 100 % (see openMarket). Cash is held to 104 bits when it is written.
            if taker_buys:
                cost: uint256 = unsafe_add(notional, taker_fee)
                if taker.cash < cost:
                    reason = BUYER_BALANCE
                elif maker.base < amount:
                    reason = SELLER_BALANCE
                else:
                    taker.cash = unsafe_sub(taker.cash, cost)
                    maker.cash = unsafe_add(maker.cash, unsafe_sub(notional, maker_fee))
                    maker.base = unsafe_sub(maker.base, amount)
                    taker.base += amount
            else:
                cost: uint256 = unsafe_add(notional, maker_fee)
                if maker.cash < cost:
                    reason = BUYER_BALANCE
                elif taker.base < amount:
                    reason = SELLER_BALANCE
                else:
                    maker.cash = unsafe_sub(maker.cash, cost)
                    taker.cash = unsafe_add(taker.cash, unsafe_sub(notional, taker_fee))
                    taker.base = unsafe_sub(taker.base, amount)
                    maker.base += amount

            locked: uint256 = 0
            if reason == SELLER_BALANCE:
                maker, taker, reason, locked = self._mint_shortage(
                    maker, taker, market, taker_buys, quantity, amount, notional, maker_fee, taker_fee
                )
            if reason == 0:
                assert maker_fee | taker_fee <= MASK_48, "S:PACK"
                maker.progress = unsafe_add(maker.progress, quantity)  # at most the limit, as checked
                taker.progress = unsafe_add(taker.progress, quantity)
                if special != 0:
                    self._use_sessions(maker, taker, notional)
                maker.moved = True
                taker.moved = True
                market.fees = unsafe_add(market.fees, unsafe_add(maker_fee, taker_fee))  # 48 bits each
                log Fill(
                    maker=maker.name,
                    taker=taker.name,
                    terms=fill_terms | taker_fee << FILL_TAKER_FEE_SHIFT | maker_fee << FILL_MAKER_FEE_SHIFT,
                )
                if locked != 0:
                    maker.cash, taker.cash = self._lock_proceeds(maker, taker, taker_buys, locked)
                continue

        log FillSkipped(maker=maker.name, taker=taker.name, terms=fill_terms, reason=reason)

    assert position == len(msg.data), "S:LENGTH"
    self._flush_all(maker, taker, market)


@external
def voidSequence(market: bytes32, count: uint256):
    """
    @notice Uses up the market's next sequence numbers without moving anything. Caller: CORE.
    @dev For a fill that can never settle: it must not block the fills behind it. Nothing an order owner has
         is touched, and the order stays fillable. The numbers are finite: no single call may use up so many
         that the market dies.
    @param market keccak256 of the symbol.
    @param count How many numbers, 1 to MAX_ENTRIES.
    """
    self._only_core()
    assert count != 0 and count <= MAX_ENTRIES, "S:COUNT"
    word: uint256 = ledger._listed(market)
    first: uint256 = word >> packing.SEQUENCE_SHIFT & MASK_40
    ledger.markets[market] = packing._with_progress(word, first + count, word & packing.MAX_FEES)
    log SequenceVoided(market=market, firstSequence=first, count=count)


# ------------------------------------------------------------------ heartbeat

@external
def beat():
    """
    @notice Says that the relayer is there. Caller: CORE. When it has not been said for HEARTBEAT_TIMEOUT, anyone may
            settle until it is said again.
    """
    self._only_core()
    self.lastBeat = block.timestamp
    log Heartbeat(time=block.timestamp)


# ------------------------------------------------------------------ traders

@external
@raw_return
def __default__() -> Bytes[MAX_CONTROLS_OUTPUT]:
    """
    @notice Cancels, session keys and what is read about them: run by TraderControls on this storage.
    @return Its output as it is.
    """
    return raw_call(CONTROLS, msg.data, max_outsize=MAX_CONTROLS_OUTPUT, is_delegate_call=True)


# ------------------------------------------------------------------ views

@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    """
    @notice The EIP-712 domain that orders are signed for: this contract on this chain.
    @return The domain separator.
    """
    return order_hash._domain_separator()


# ------------------------------------------------------------------ internal: fills

@internal
@view
def _only_core():
    assert msg.sender == CORE, "S:CORE"


@internal
@view
def _load_market(market: bytes32, first_sequence: uint256) -> Market:
    word: uint256 = ledger.markets[market]
    assert word >> packing.STATUS_SHIFT == ACTIVE, "S:MARKET"
    sequence: uint256 = word >> packing.SEQUENCE_SHIFT & MASK_40
    assert first_sequence == sequence, "S:SEQ"
    return Market(
        hash=market,
        word=word,
        sequence=sequence,
        fees=word & packing.MAX_FEES,
        quote=word >> packing.QUOTE_SHIFT & MASK_32,
        lot=10 ** (word >> packing.LOT_EXPONENT_SHIFT & MASK_8),
        min_lots=word >> packing.MIN_LOTS_SHIFT & MASK_24,
        maker_bps=word >> packing.MAKER_FEE_SHIFT & MASK_16,
        taker_bps=word >> packing.TAKER_FEE_SHIFT & MASK_16,
        asset=word >> packing.BASE_ASSET_SHIFT & MASK_16,
        base_key=(word >> packing.BASE_ASSET_SHIFT & MASK_16) << ledger.ASSET_SHIFT,
        event_bits=(word >> packing.MARKET_INDEX_SHIFT & MASK_16) << FILL_MARKET_SHIFT,
    )


@internal
@view
def _signed_otherwise(
    entry: order_hash.Entry, position: uint256, market: bytes32, market_word: uint256, domain: bytes32
) -> (bytes32, uint256, uint256):
    """
    @dev An order that is conditional, or signed by a session key or a contract: its digest, the session that signed (zero
         for the account itself, REFUSED for a contract that does not accept), and where the next entry begins.
    """
    role: uint256 = entry.who >> ROLE_SHIFT & MASK_8
    kind: uint256 = entry.who >> ROLE_SHIFT >> KIND_SHIFT
    assert role <= TAKER and kind & KIND_MASK <= CONTRACT, "S:ENTRY"
    following: uint256 = position
    digest: bytes32 = empty(bytes32)
    if kind & CONDITIONAL == 0:
        digest = order_hash._digest(entry, role == MAKER, market, domain)
    else:
        assert following + ENTRY_BYTES <= len(msg.data), "S:LENGTH"
        packed: Bytes[ENTRY_BYTES] = slice(msg.data, following, ENTRY_BYTES)
        digest = staticcall ITriggers(TRIGGERS).digestOf(
            entry, abi_decode(packed, uint256[4], unwrap_tuple=False), market, market_word, domain
        )
        following += ENTRY_BYTES

    account: uint256 = entry.who & MASK_160
    if kind & CONTRACT != 0:
        accepted: bool = self._wallet_accepts(account, digest, entry, following)
        following += (entry.r + ENTRY_BYTES - 1) // ENTRY_BYTES * ENTRY_BYTES
        return digest, 0 if accepted else REFUSED, following
    signer: uint256 = signatures._signer(digest, entry.r, entry.vs)
    if kind == CONDITIONAL:  # by the account's own key
        assert signer == account, "S:SIG"
        return digest, 0, following
    return digest, signer, following


@internal
@view
def _wallet_accepts(account: uint256, digest: bytes32, entry: order_hash.Entry, position: uint256) -> bool:
    """
    @dev Whether the contract at `account` accepts the signature that follows its entry in calldata.
    """
    assert entry.vs == 0 and entry.r <= signatures.MAX_SIGNATURE, "S:ENTRY"
    assert position + (entry.r + ENTRY_BYTES - 1) // ENTRY_BYTES * ENTRY_BYTES <= len(msg.data), "S:LENGTH"
    # Bytes of a length that is not known in advance come out of calldata word by word.
    words: bytes32[signatures.MAX_SIGNATURE_WORDS] = empty(bytes32[signatures.MAX_SIGNATURE_WORDS])
    for i: uint256 in range((entry.r + WORD_BYTES - 1) // WORD_BYTES, bound=signatures.MAX_SIGNATURE_WORDS):
        words[i] = convert(slice(msg.data, position + WORD_BYTES * i, WORD_BYTES), bytes32)
    return signatures._accepted_by(convert(account, address), digest, entry.r, words)


@internal
def _mint_shortage(
    maker: Cursor,
    taker: Cursor,
    market: Market,
    taker_buys: bool,
    quantity: uint256,
    amount: uint256,
    notional: uint256,
    maker_fee: uint256,
    taker_fee: uint256,
) -> (Cursor, Cursor, uint256, uint256):
    """
    @dev A fill whose seller has too little of the base: mints the rest, if the seller's order allows it, and moves
         the fill's cash and base. The sale's proceeds for the minted part become collateral, and at most the signed
         bound of the seller's own cash. Returns the cursors, why it did not happen, and the collateral that
         `_lock_proceeds` has to take.
    """
    buyer: Cursor = taker
    seller: Cursor = maker
    buyer_fee: uint256 = taker_fee
    seller_fee: uint256 = maker_fee
    if not taker_buys:
        buyer = maker
        seller = taker
        buyer_fee = maker_fee
        seller_fee = taker_fee
    bound: uint256 = seller.terms >> order_hash.MAX_COLLATERAL_SHIFT
    # A session key trades what the account has, and takes on no debt for it.
    if bound == 0 or seller.session != 0 or seller.terms & REDUCE_ONLY_BIT != 0:
        return maker, taker, SELLER_BALANCE, 0

    shortage: uint256 = amount - seller.base
    proceeds: uint256 = notional - seller_fee
    # Rounded down: the bound for this fill is its share of the order's; the rest of the proceeds stays cash.
    own: uint256 = bound * quantity // (seller.terms >> QUANTITY_SHIFT & MASK_39)
    proceeds_of_minted: uint256 = proceeds * shortage // amount
    most: uint256 = min(proceeds_of_minted + own, seller.cash + proceeds)

    self._store_base(seller, market.base_key)
    assert msg.gas >= MINT_GAS, "S:GAS"
    minted: bool = False
    answer: Bytes[WORD_BYTES] = b""
    minted, answer = raw_call(
        SYNTH_ENGINE,
        abi_encode(
            convert(seller.account, address),
            market.asset,
            shortage,
            proceeds_of_minted,
            most,
            method_id=method_id("mintForFill(address,uint256,uint256,uint256,uint256)"),
        ),
        max_outsize=WORD_BYTES,
        revert_on_failure=False,
    )
    if not minted:
        return maker, taker, MINT_REFUSED, 0
    # It has minted, so that the fill can no longer be skipped: an answer other than what was locked, within what the
    # order allows, undoes the batch. An address without code answers nothing.
    locked: uint256 = convert(answer, uint256)
    assert len(answer) == WORD_BYTES and locked <= most, "S:ENGINE"

    # The Vault has credited the synths in storage; the seller delivers all of it.
    seller.base = 0
    seller.cash = seller.cash + proceeds
    buyer.cash = buyer.cash - (notional + buyer_fee)  # the caller has compared them
    buyer.base = buyer.base + amount
    if taker_buys:
        return seller, buyer, 0, locked
    return buyer, seller, 0, locked


@internal
def _lock_proceeds(maker: Cursor, taker: Cursor, taker_buys: bool, locked: uint256) -> (uint256, uint256):
    """
    @dev Takes what the SynthEngine has booked as collateral out of the seller's cash. Returns both orders' cash.
    """
    maker_cash: uint256 = maker.cash
    taker_cash: uint256 = taker.cash
    seller: uint256 = taker.account
    cash: uint256 = 0
    if taker_buys:
        seller = maker.account
        maker_cash -= locked  # the SynthEngine was told not to book more than there is
        cash = maker_cash
    else:
        taker_cash -= locked
        cash = taker_cash
    extcall IVault(ledger.VAULT).lockProceeds(convert(seller, address), locked, cash)
    return maker_cash, taker_cash


@internal
def _store_base(cursor: Cursor, base_key: uint256):
    """
    @dev Brings the base balance in storage level with a cursor's, before somebody else adds to it.
    """
    ledger.assets[base_key | cursor.account] = cursor.base


@internal
def _flush(cursor: Cursor, base_key: uint256):
    """
    @dev Writes each slot of the account of a cursor that a fill moved, once.
    """
    if cursor.terms & LANE_OUTSIDE_ACCOUNT == 0:
        # packing._with_lane and packing._with_cash in one step; the progress has no bits but a lane's, see `limit`.
        assert cursor.cash <= packing.MAX_CASH, "S:PACK"
        ledger.accounts[cursor.account] = (
            cursor.word >> packing.TIER_SHIFT << packing.TIER_SHIFT & ~(packing.PROGRESS << cursor.offset)
            | cursor.progress << cursor.offset
            | cursor.cash
        )
    else:
        lane: uint256 = cursor.terms >> LANE_SHIFT & MASK_24
        ledger.lanes[ledger._lane_key(cursor.account, lane)] = packing._with_lane(
            cursor.lanes, cursor.offset, cursor.progress
        )
        ledger.accounts[cursor.account] = packing._with_cash(cursor.word, cursor.cash)
    ledger.assets[base_key | cursor.account] = cursor.base


@internal
def _flush_all(maker: Cursor, taker: Cursor, market: Market):
    """
    @dev Storage is level with memory after it: before another market, and at the end.
    """
    if maker.moved:
        self._flush(maker, market.base_key)
    if taker.moved:
        self._flush(taker, market.base_key)
    if market.hash != empty(bytes32):
        ledger.markets[market.hash] = packing._with_progress(market.word, market.sequence, market.fees)


@internal
def _use_sessions(maker: Cursor, taker: Cursor, notional: uint256):
    """
    @dev Takes a fill's notional off what the session keys of its orders may trade.
    """
    if maker.session != 0:
        sessions._use(maker.account, maker.session, notional)
    if taker.session != 0:
        sessions._use(taker.account, taker.session, notional)


@internal
@view
def _refusal(maker: Cursor, taker: Cursor, market_index: uint256, notional: uint256) -> uint256:
    """
    @dev Why these orders cannot trade, or zero. Cancelled before expired before signature, the maker before the taker:
         the smallest of the reasons.
    """
    assert maker.account != 0 and taker.account != 0, "S:CURSOR"
    maker_stop: uint256 = maker.stop
    if maker_stop == 0 and maker.session != 0:
        maker_stop = sessions._refusal(maker.account, maker.session, market_index, notional)
    taker_stop: uint256 = taker.stop
    if taker_stop == 0 and taker.session != 0:
        taker_stop = sessions._refusal(taker.account, taker.session, market_index, notional)
    if maker_stop != 0 and (taker_stop == 0 or maker_stop <= taker_stop):
        return maker_stop
    if taker_stop != 0:
        return taker_stop + TAKER_STOP
    return 0

# pragma version 0.4.3
"""
@title Settlement
@license MIT
@notice The ledger of the exchange and the only way a matched order changes it.
@dev Owns:     every account's cash and assets, order progress (lanes, epochs), each market's sequence, fees
               and packed terms.
     Promises: a fill happens only between two orders that their owners signed, at the maker's limit price,
               inside the signed quantity, limit, fee cap and expiry, once, and in the order of the market's
               sequence. A batch either applies as a whole or reverts; a fill that a trader can break on
               their own (cancel, expiry, spent balance) is skipped with an event and moves nothing.
     Never:    calls another contract (so nothing can re-enter), holds a token, reads a price.

     Assets: 0 is USDC cash (1e-6), 1 is CXPT (1e-6), synths follow from 2 (1e-18).
     Quantities are in lots, prices in ticks, and notional = quantity * price * quotePerLotTick exactly.

     Reverts, all with one of these codes:
       S:ZERO      constructor: an address is zero
       S:ROLES     constructor: two roles that must differ are the same address
       S:CORE      caller is not CORE
       S:ADMIN     caller is not ADMIN
       S:VAULT     caller is not the Vault
       S:REGISTRY  caller is not the MarketRegistry
       S:LENGTH    calldata is not a head and `entryCount` whole entries
       S:ENTRY     entry has an unknown role or signature kind, or stray bits
       S:MARKET    market is not listed or not ACTIVE
       S:SEQ       market entry does not name the market's next sequence number
       S:FLAGS     order has flags that mean nothing on spot
       S:SIG       order was not signed by its account for this market (high s and unrecoverable included)
       S:CURSOR    fill with an empty cursor; also two orders of one account
       S:SIDE      maker and taker are on the same side
       S:MAKER     maker is MARKET, IOC or FOK, which never rest
       S:TAKER     taker is POST_ONLY
       S:PRICE     limits do not cross
       S:LOTS      fill is below the market's smallest fill, or the batch has not chosen a market yet
       S:OVERFILL  fill exceeds what is left of an order
       S:PACK      a number does not fit its packed field
       S:ASSET     asset number is out of range
       S:FUNDS     debit of more than the balance
       S:LANE      lane number is out of range
       S:EPOCH     account has used up its epochs
       S:COUNT     voiding nothing, or more numbers at once than a batch can hold
       S:OPEN      market is listed already
       S:TERMS     market word breaks a bound
       S:STATUS    status change that the market's life does not have
"""

from contracts.interfaces import ISettlement
from contracts.modules import order_hash
from contracts.modules import packing

implements: ISettlement


# ------------------------------------------------------------------ types

struct Cursor:
    account: uint256  # the address as a number; zero: the cursor is empty
    digest: bytes32  # the order's id
    terms: uint256  # as in the entry
    stop: uint256  # zero, or why the order can no longer trade: MAKER_CANCELLED or MAKER_EXPIRED
    left: uint256  # lots that the order may still fill
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
    base_key: uint256  # baseAsset << 160: with an account, the key of its balance
    event_bits: uint256  # marketIndex where the Fill event has it


# ------------------------------------------------------------------ constants

MAX_ENTRIES: public(constant(uint256)) = 4096

# Calldata of settleBatch: selector and entryCount, then the entries.
HEAD_BYTES: constant(uint256) = 36
ENTRY_BYTES: constant(uint256) = 128

# who = account 160 | expiry 40 | fill 40 | role 8 | signature kind 8. The only kind is 0, ECDSA, so that the
# top sixteen bits are the role.
EXPIRY_SHIFT: constant(uint256) = 160
FILL_SHIFT: constant(uint256) = 200
ROLE_SHIFT: constant(uint256) = 240
MAKER: constant(uint256) = 0
TAKER: constant(uint256) = 1
MARKET: constant(uint256) = 2
MARKET_ENTRY: constant(uint256) = MARKET << ROLE_SHIFT

# Fields of `terms`, see order_hash.
PRICE_SHIFT: constant(uint256) = 16
QUANTITY_SHIFT: constant(uint256) = 80
SEQ_SHIFT: constant(uint256) = 120
LANE_SHIFT: constant(uint256) = 144
LANE_OFFSET_SHIFT: constant(uint256) = 138  # leaves the lane's lowest bit where it counts 64, the bits of a lane
LANE_OUTSIDE_ACCOUNT: constant(uint256) = (2**24 - 2) << 144  # zero for lanes 0 and 1
EPOCH_SHIFT: constant(uint256) = 168
NONCE_SHIFT: constant(uint256) = 120
SIDE_BIT: constant(uint256) = order_hash.IS_BUY << order_hash.FLAGS_SHIFT

# Words of the Fill and FillSkipped events.
FILL_PRICE_SHIFT: constant(uint256) = 40
FILL_SEQUENCE_SHIFT: constant(uint256) = 104
FILL_MARKET_SHIFT: constant(uint256) = 144
TAKER_IS_BUYER: constant(uint256) = 1 << 160
MAKER_NONCE_SHIFT: constant(uint256) = 64
TAKER_FEE_SHIFT: constant(uint256) = 128
MAKER_FEE_SHIFT: constant(uint256) = 192

# Why a fill was skipped.
MAKER_CANCELLED: constant(uint256) = 1
TAKER_CANCELLED: constant(uint256) = 2
MAKER_EXPIRED: constant(uint256) = 3
TAKER_EXPIRED: constant(uint256) = 4
BUYER_BALANCE: constant(uint256) = 5
SELLER_BALANCE: constant(uint256) = 6
TAKER_STOP: constant(uint256) = 1  # added to a maker's reason, the taker's

# Market status.
PAUSED: constant(uint256) = 1
ACTIVE: constant(uint256) = 2
SETTLED: constant(uint256) = 4

CASH: constant(uint256) = 0
FIRST_SYNTH: constant(uint256) = 2
ASSET_SHIFT: constant(uint256) = 160
MAX_ASSET: constant(uint256) = 2**16 - 1
MAX_LOT_EXPONENT: constant(uint256) = 18
MAX_TOTAL_FEE_BPS: constant(uint256) = 50
BPS: constant(uint256) = 10_000
MAX_CANCELS: constant(uint256) = 64
MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_112: constant(uint256) = 2**112 - 1
MASK_160: constant(uint256) = 2**160 - 1


# ------------------------------------------------------------------ immutables

CORE: public(immutable(address))
ADMIN: public(immutable(address))
VAULT: public(immutable(address))
REGISTRY: public(immutable(address))
FEE_RECIPIENT: public(immutable(address))


# ------------------------------------------------------------------ storage

# Layouts: see the packing module.
accounts: HashMap[uint256, uint256]  # by address
lanes: HashMap[uint256, uint256]  # (lane // 4) << 160 | account
assets: HashMap[uint256, uint256]  # asset << 160 | account
markets: HashMap[bytes32, uint256]


# ------------------------------------------------------------------ events

# Words as in cxdex/batch.py:
#   terms   = quantity 40 | price 64 | sequence 40 | marketIndex 16 | takerIsBuyer 8
#   charges = takerNonce 64 | makerNonce 64 | takerFee 64 | makerFee 64
event Fill:
    makerOrder: bytes32
    takerOrder: bytes32
    maker: address
    taker: address
    terms: uint256
    charges: uint256


event FillSkipped:
    makerOrder: bytes32
    takerOrder: bytes32
    maker: address
    taker: address
    terms: uint256
    reason: uint256


event SequenceVoided:
    market: indexed(bytes32)
    firstSequence: uint256
    count: uint256


event NonceRaised:
    account: indexed(address)
    lane: uint256
    seq: uint256


event EpochRaised:
    account: indexed(address)
    epoch: uint256


event FeesCollected:
    market: indexed(bytes32)
    recipient: indexed(address)
    amount: uint256
    balance: uint256


# ------------------------------------------------------------------ constructor

@deploy
def __init__(core: address, admin: address, vault: address, registry: address, fee_recipient: address):
    """
    @notice Fixes who may do what, for ever.
    @dev The Vault and the registry name this contract in their own constructors, so that two of the three
         addresses are predicted by the deployer and need not hold code yet.
    @param core Settles batches and voids sequence numbers.
    @param admin Collects fees.
    @param vault Credits and debits balances.
    @param registry Opens markets and sets their status.
    @param fee_recipient Account that collected fees are credited to.
    """
    for role: address in [core, admin, vault, registry, fee_recipient]:
        assert role != empty(address), "S:ZERO"
        assert role != self, "S:ROLES"
    assert core != admin and vault != registry, "S:ROLES"
    for contract: address in [vault, registry]:
        assert contract not in [core, admin, fee_recipient], "S:ROLES"
    assert fee_recipient != core, "S:ROLES"  # the hot key must not own the fees
    CORE = core
    ADMIN = admin
    VAULT = vault
    REGISTRY = registry
    FEE_RECIPIENT = fee_recipient


# ------------------------------------------------------------------ fills

@external
def settleBatch(entryCount: uint256):
    """
    @notice Applies matched fills in order. Caller: CORE.
    @dev The entries follow the ABI argument in calldata, 128 bytes each, packed as in cxdex/batch.py. Two
         cursors, one maker and one taker, walk them: an entry puts an order into its cursor and, if it names
         a quantity, fills it against the other cursor. A cursor holds the account's balances, so that many
         fills of one order write storage once.
    @custom:invariant The two cursors never hold the same account: each would overwrite the other's balances.
    @param entryCount Number of entries, at most MAX_ENTRIES.
    """
    assert msg.sender == CORE, "S:CORE"
    assert entryCount <= MAX_ENTRIES, "S:LENGTH"
    assert len(msg.data) == HEAD_BYTES + ENTRY_BYTES * entryCount, "S:LENGTH"

    domain: bytes32 = order_hash._domain_separator()
    market: Market = empty(Market)
    market.min_lots = max_value(uint256)  # no fill is large enough before a market entry
    maker: Cursor = empty(Cursor)
    taker: Cursor = empty(Cursor)
    position: uint256 = HEAD_BYTES

    for _i: uint256 in range(entryCount, bound=MAX_ENTRIES):
        packed: Bytes[ENTRY_BYTES] = slice(msg.data, position, ENTRY_BYTES)
        entry: order_hash.Entry = abi_decode(packed, order_hash.Entry, unwrap_tuple=False)
        position = unsafe_add(position, ENTRY_BYTES)  # below HEAD_BYTES + ENTRY_BYTES * MAX_ENTRIES
        role: uint256 = entry.who >> ROLE_SHIFT

        if role > TAKER:
            assert entry.who == MARKET_ENTRY and entry.vs == 0, "S:ENTRY"
            self._flush_all(maker, taker, market)
            maker = empty(Cursor)
            taker = empty(Cursor)
            market = self._load_market(convert(entry.terms, bytes32), entry.r)
            continue

        account: uint256 = entry.who & MASK_160
        digest: bytes32 = order_hash._authenticated(entry, market.hash, domain)
        if role == MAKER:
            if maker.moved:
                self._flush(maker, market.base_key)
            if taker.account == account:
                if taker.moved:
                    self._flush(taker, market.base_key)
                taker = empty(Cursor)
            maker = self._load_order(digest, entry.who, entry.terms, market.base_key)
        else:
            if taker.moved:
                self._flush(taker, market.base_key)
            if maker.account == account:
                if maker.moved:
                    self._flush(maker, market.base_key)
                maker = empty(Cursor)
            taker = self._load_order(digest, entry.who, entry.terms, market.base_key)

        quantity: uint256 = entry.who >> FILL_SHIFT & MASK_40
        if quantity == 0:
            continue

        # -------- what only a faulty relayer can cause: the batch reverts
        assert maker.account != 0, "S:CURSOR"
        assert taker.account != 0, "S:CURSOR"
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
        reason: uint256 = 0
        if maker.stop | taker.stop != 0:
            reason = self._stop_reason(maker.stop, taker.stop)
        else:
            assert quantity <= maker.left, "S:OVERFILL"
            assert quantity <= taker.left, "S:OVERFILL"

            # Below 2**136, 2**100 and 2**153: 40-bit lots, 64-bit ticks, 32-bit quote, lots of at most
            # 10**18, 16-bit rates. No balance comes near 2**255.
            notional: uint256 = unsafe_mul(unsafe_mul(quantity, price), market.quote)
            amount: uint256 = unsafe_mul(quantity, market.lot)

            # The market's rate rounds up, the signed cap rounds down, and the cap wins.
            maker_fee: uint256 = unsafe_div(unsafe_add(unsafe_mul(notional, market.maker_bps), BPS - 1), BPS)
            fee_cap: uint256 = unsafe_div(unsafe_mul(notional, maker.terms & MASK_16), BPS)
            if fee_cap < maker_fee:
                maker_fee = fee_cap
            taker_fee: uint256 = unsafe_div(unsafe_add(unsafe_mul(notional, market.taker_bps), BPS - 1), BPS)
            fee_cap = unsafe_div(unsafe_mul(notional, taker.terms & MASK_16), BPS)
            if fee_cap < taker_fee:
                taker_fee = fee_cap

            # Each subtraction follows its comparison; a fee is below the notional it is taken from, because
            # rates are below 100 % (see openMarket). Cash is held to 112 bits when it is written.
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

            if reason == 0:
                assert maker_fee | taker_fee <= MASK_64, "S:PACK"
                maker.left = unsafe_sub(maker.left, quantity)  # checked above
                taker.left = unsafe_sub(taker.left, quantity)
                maker.moved = True
                taker.moved = True
                market.fees = unsafe_add(market.fees, unsafe_add(maker_fee, taker_fee))  # 64 bits each
                log Fill(
                    makerOrder=maker.digest,
                    takerOrder=taker.digest,
                    maker=convert(maker.account, address),
                    taker=convert(taker.account, address),
                    terms=fill_terms,
                    charges=(
                        taker.terms >> NONCE_SHIFT & MASK_64
                        | (maker.terms >> NONCE_SHIFT & MASK_64) << MAKER_NONCE_SHIFT
                        | taker_fee << TAKER_FEE_SHIFT
                        | maker_fee << MAKER_FEE_SHIFT
                    ),
                )
                continue

        log FillSkipped(
            makerOrder=maker.digest,
            takerOrder=taker.digest,
            maker=convert(maker.account, address),
            taker=convert(taker.account, address),
            terms=fill_terms,
            reason=reason,
        )

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
    assert msg.sender == CORE, "S:CORE"
    assert count != 0 and count <= MAX_ENTRIES, "S:COUNT"
    word: uint256 = self._listed(market)
    first: uint256 = word >> packing.SEQUENCE_SHIFT & MASK_40
    self.markets[market] = packing._with_progress(word, first + count, word & packing.MAX_FEES)
    log SequenceVoided(market=market, firstSequence=first, count=count)


# ------------------------------------------------------------------ cancels

@external
def cancelOrders(nonces: DynArray[uint64, MAX_CANCELS]):
    """
    @notice Kills the caller's orders with these nonces, and every older order of the same lanes.
    @dev A nonce of a past epoch is dead already and is passed over, so that it cannot kill a newer order of
         its lane. Idempotent; nothing can revive a cancelled order.
    @param nonces epoch 16 | lane 24 | seq 24 each, at most 64.
    """
    epoch: uint256 = self.accounts[convert(msg.sender, uint256)] >> packing.EPOCH_SHIFT & MASK_16
    for packed: uint64 in nonces:
        nonce: uint256 = convert(packed, uint256)
        if nonce >> packing.NONCE_EPOCH_SHIFT >= epoch:
            self._raise_lane(msg.sender, nonce >> packing.NONCE_LANE_SHIFT & MASK_24, nonce & MASK_24)


@external
def cancelAll():
    """
    @notice Kills every order the caller ever signed for the present epoch or an earlier one.
    """
    word: uint256 = self.accounts[convert(msg.sender, uint256)]
    epoch: uint256 = (word >> packing.EPOCH_SHIFT & MASK_16) + 1
    assert epoch <= packing.MAX_EPOCH, "S:EPOCH"
    self.accounts[convert(msg.sender, uint256)] = packing._with_epoch(word, epoch)
    log EpochRaised(account=msg.sender, epoch=epoch)


# ------------------------------------------------------------------ fees

@external
def collectFees(market: bytes32):
    """
    @notice Moves the market's accrued fees into the fee recipient's cash. Caller: ADMIN.
    @param market keccak256 of the symbol.
    """
    assert msg.sender == ADMIN, "S:ADMIN"
    word: uint256 = self._listed(market)
    amount: uint256 = word & packing.MAX_FEES
    self.markets[market] = packing._with_progress(word, word >> packing.SEQUENCE_SHIFT & MASK_40, 0)
    balance: uint256 = self._credit_cash(FEE_RECIPIENT, amount)
    log FeesCollected(market=market, recipient=FEE_RECIPIENT, amount=amount, balance=balance)


# ------------------------------------------------------------------ ledger, for the Vault

@external
def credit(account: address, asset: uint256, amount: uint256) -> uint256:
    """
    @notice Adds to a balance what the Vault has received. Caller: Vault, which emits the event.
    @param account Owner of the balance.
    @param asset Number of the asset; 0 is cash.
    @param amount In the asset's units.
    @return The balance after it.
    """
    assert msg.sender == VAULT, "S:VAULT"
    if asset == CASH:
        return self._credit_cash(account, amount)
    key: uint256 = self._asset_key(account, asset)
    balance: uint256 = self.assets[key] + amount
    self.assets[key] = balance
    return balance


@external
def debit(account: address, asset: uint256, amount: uint256) -> uint256:
    """
    @notice Takes from a balance what the Vault pays out or sets aside. Caller: Vault, which emits the event.
    @param account Owner of the balance.
    @param asset Number of the asset; 0 is cash.
    @param amount In the asset's units, at most the balance.
    @return The balance after it.
    """
    assert msg.sender == VAULT, "S:VAULT"
    if asset == CASH:
        word: uint256 = self.accounts[convert(account, uint256)]
        cash: uint256 = word & MASK_112
        assert amount <= cash, "S:FUNDS"
        self.accounts[convert(account, uint256)] = packing._with_cash(word, cash - amount)
        return cash - amount
    key: uint256 = self._asset_key(account, asset)
    balance: uint256 = self.assets[key]
    assert amount <= balance, "S:FUNDS"
    self.assets[key] = balance - amount
    return balance - amount


# ------------------------------------------------------------------ markets, for the registry

@external
def openMarket(market: bytes32, word: uint256):
    """
    @notice Stores a new market's terms, for ever. Caller: MarketRegistry, which emits the event.
    @param market keccak256 of the symbol.
    @param word Packed as in the packing module; PAUSED, with sequence and fees zero.
    """
    assert msg.sender == REGISTRY, "S:REGISTRY"
    assert market != empty(bytes32) and self.markets[market] == 0, "S:OPEN"
    assert word >> packing.STATUS_SHIFT == PAUSED, "S:TERMS"
    assert word & (2**packing.QUOTE_SHIFT - 1) == 0, "S:TERMS"
    assert word >> packing.QUOTE_SHIFT & MASK_32 != 0, "S:TERMS"
    assert word >> packing.MIN_LOTS_SHIFT & MASK_24 != 0, "S:TERMS"
    assert word >> packing.LOT_EXPONENT_SHIFT & MASK_8 <= MAX_LOT_EXPONENT, "S:TERMS"
    assert word >> packing.BASE_ASSET_SHIFT & MASK_16 >= FIRST_SYNTH, "S:TERMS"
    assert word >> packing.MARKET_INDEX_SHIFT & MASK_16 != 0, "S:TERMS"
    fees: uint256 = (word >> packing.TAKER_FEE_SHIFT & MASK_16) + (word >> packing.MAKER_FEE_SHIFT & MASK_16)
    assert fees <= MAX_TOTAL_FEE_BPS, "S:TERMS"
    self.markets[market] = word


@external
def setMarketStatus(market: bytes32, status: uint256):
    """
    @notice Changes a market's status. Caller: MarketRegistry, which decides who may and emits the event.
    @dev A market leaves only PAUSED and ACTIVE; the later states are terminal.
    @param market keccak256 of the symbol.
    @param status PAUSED 1, ACTIVE 2, DELISTED 3 or SETTLED 4.
    """
    assert msg.sender == REGISTRY, "S:REGISTRY"
    word: uint256 = self._listed(market)
    assert word >> packing.STATUS_SHIFT <= ACTIVE, "S:STATUS"
    assert status >= PAUSED and status <= SETTLED, "S:STATUS"
    self.markets[market] = packing._with_status(word, status)


# ------------------------------------------------------------------ views

@external
@view
def balanceOf(account: address, asset: uint256) -> uint256:
    """
    @notice An account's balance of one asset inside the exchange.
    @param account Owner of the balance.
    @param asset Number of the asset; 0 is cash.
    @return The balance, in the asset's units.
    """
    if asset == CASH:
        return self.accounts[convert(account, uint256)] & MASK_112
    return self.assets[self._asset_key(account, asset)]


@external
@view
def laneOf(account: address, lane: uint256) -> (uint256, uint256):
    """
    @notice How far the orders of a lane have come.
    @param account Owner of the lane.
    @param lane Number of the lane, below 2**24.
    @return The lowest seq that is alive, and the lots that orders with that seq have filled.
    """
    stored: uint256 = self._lane(account, lane)
    return stored >> packing.SEQ_SHIFT, stored & packing.MAX_FILLED


@external
@view
def epochOf(account: address) -> uint256:
    """
    @notice The account's epoch; orders of any other epoch are dead.
    @param account Whose.
    @return The epoch, from 0.
    """
    return self.accounts[convert(account, uint256)] >> packing.EPOCH_SHIFT & MASK_16


@external
@view
def marketWord(market: bytes32) -> uint256:
    """
    @notice A market's terms, status, sequence and fees.
    @param market keccak256 of the symbol.
    @return The packed word as stored, see the packing module; zero when it is not listed.
    """
    return self.markets[market]


@external
@view
def sequenceOf(market: bytes32) -> uint256:
    """
    @notice The number that the market's next fill will have.
    @param market keccak256 of the symbol.
    @return The number, from 0.
    """
    return self.markets[market] >> packing.SEQUENCE_SHIFT & MASK_40


@external
@view
def accruedFees(market: bytes32) -> uint256:
    """
    @notice Fees of the market not yet collected.
    @param market keccak256 of the symbol.
    @return In 1e-6 USDC.
    """
    return self.markets[market] & packing.MAX_FEES


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
def _load_market(market: bytes32, first_sequence: uint256) -> Market:
    word: uint256 = self.markets[market]
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
        base_key=(word >> packing.BASE_ASSET_SHIFT & MASK_16) << ASSET_SHIFT,
        event_bits=(word >> packing.MARKET_INDEX_SHIFT & MASK_16) << FILL_MARKET_SHIFT,
    )


@internal
@view
def _load_order(digest: bytes32, who: uint256, terms: uint256, base_key: uint256) -> Cursor:
    """
    @dev An authenticated order with its owner's balances and its progress. It is alive if its epoch is the
         account's and its seq is the lane's (fills add up) or newer (it starts at zero). The last seq is
         never alive: it is what cancelling the one before leaves behind.
    """
    account: uint256 = who & MASK_160
    word: uint256 = self.accounts[account]
    lanes: uint256 = 0
    stored: uint256 = 0
    if terms & LANE_OUTSIDE_ACCOUNT == 0:
        stored = word >> unsafe_add(packing.FIRST_LANE_SHIFT, terms >> LANE_OFFSET_SHIFT & packing.LANE_BITS) & MASK_64
    else:
        lane: uint256 = terms >> LANE_SHIFT & MASK_24
        lanes = self.lanes[self._lane_key(account, lane)]
        stored = lanes >> packing._slot_lane_offset(lane) & MASK_64

    left: uint256 = terms >> QUANTITY_SHIFT & MASK_40
    stop: uint256 = 0
    if who >> EXPIRY_SHIFT & MASK_40 <= block.timestamp:
        stop = MAKER_EXPIRED
    seq: uint256 = terms >> SEQ_SHIFT & MASK_24
    if seq == stored >> packing.SEQ_SHIFT:
        filled: uint256 = stored & packing.MAX_FILLED
        if filled < left:
            left = unsafe_sub(left, filled)
        else:
            left = 0  # filled beyond its quantity: an amendment of this order was larger
    elif seq < stored >> packing.SEQ_SHIFT:
        stop = MAKER_CANCELLED
    if (terms >> EPOCH_SHIFT ^ word >> packing.EPOCH_SHIFT) & MASK_16 != 0:
        stop = MAKER_CANCELLED
    if seq == packing.MAX_SEQ:
        stop = MAKER_CANCELLED
    return Cursor(
        account=account,
        digest=digest,
        terms=terms,
        stop=stop,
        left=left,
        cash=word & MASK_112,
        base=self.assets[base_key | account],
        word=word,
        lanes=lanes,
        moved=False,
    )


@internal
def _flush(cursor: Cursor, base_key: uint256):
    """
    @dev Writes each slot of the account of a cursor that a fill moved, once.
    """
    # `left` began at most at the quantity, and only fell
    progress: uint256 = (cursor.terms >> SEQ_SHIFT & MASK_24) << packing.SEQ_SHIFT | unsafe_sub(
        cursor.terms >> QUANTITY_SHIFT & MASK_40, cursor.left
    )
    if cursor.terms & LANE_OUTSIDE_ACCOUNT == 0:
        self.accounts[cursor.account] = packing._with_cash_and_lane(
            cursor.word, cursor.cash, cursor.terms >> LANE_SHIFT, progress
        )
    else:
        lane: uint256 = cursor.terms >> LANE_SHIFT & MASK_24
        self.lanes[self._lane_key(cursor.account, lane)] = packing._with_slot_lane(cursor.lanes, lane, progress)
        self.accounts[cursor.account] = packing._with_cash(cursor.word, cursor.cash)
    self.assets[base_key | cursor.account] = cursor.base


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
        self.markets[market.hash] = packing._with_progress(market.word, market.sequence, market.fees)


@internal
@pure
def _stop_reason(maker_stop: uint256, taker_stop: uint256) -> uint256:
    """
    @dev Cancelled before expired, the maker before the taker: the smallest of the reasons.
    """
    if taker_stop == 0 or (maker_stop != 0 and maker_stop <= taker_stop):
        return maker_stop
    return taker_stop + TAKER_STOP


# ------------------------------------------------------------------ internal: ledger

@internal
@view
def _listed(market: bytes32) -> uint256:
    word: uint256 = self.markets[market]
    assert word != 0, "S:MARKET"
    return word


@internal
def _credit_cash(account: address, amount: uint256) -> uint256:
    word: uint256 = self.accounts[convert(account, uint256)]
    assert amount <= packing.MAX_CASH, "S:PACK"
    cash: uint256 = (word & MASK_112) + amount
    self.accounts[convert(account, uint256)] = packing._with_cash(word, cash)
    return cash


@internal
def _raise_lane(account: address, lane: uint256, seq: uint256):
    """
    @dev Orders of the lane up to and including `seq` are dead from here on.
    """
    next_seq: uint256 = min(seq + 1, packing.MAX_SEQ)
    if next_seq <= self._lane(account, lane) >> packing.SEQ_SHIFT:
        return
    progress: uint256 = next_seq << packing.SEQ_SHIFT  # nothing filled
    if lane < packing.LANES_IN_ACCOUNT:
        word: uint256 = self.accounts[convert(account, uint256)]
        self.accounts[convert(account, uint256)] = packing._with_cash_and_lane(word, word & MASK_112, lane, progress)
    else:
        key: uint256 = self._lane_key(convert(account, uint256), lane)
        self.lanes[key] = packing._with_slot_lane(self.lanes[key], lane, progress)
    log NonceRaised(account=account, lane=lane, seq=next_seq)


@internal
@view
def _lane(account: address, lane: uint256) -> uint256:
    assert lane <= packing.MAX_LANE, "S:LANE"
    if lane < packing.LANES_IN_ACCOUNT:
        return self.accounts[convert(account, uint256)] >> packing._account_lane_offset(lane) & MASK_64
    return self.lanes[self._lane_key(convert(account, uint256), lane)] >> packing._slot_lane_offset(lane) & MASK_64


@internal
@pure
def _lane_key(account: uint256, lane: uint256) -> uint256:
    return lane // packing.LANES_PER_SLOT << ASSET_SHIFT | account


@internal
@pure
def _asset_key(account: address, asset: uint256) -> uint256:
    assert asset <= MAX_ASSET, "S:ASSET"  # a larger number would lose its top bits and name another slot
    return asset << ASSET_SHIFT | convert(account, uint256)

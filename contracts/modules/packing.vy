# pragma version 0.4.3
"""
@title Packed words of the ledger
@license MIT
@notice Where each number lives inside a storage word, and the code that puts it there.
@dev Owns:     the layout of account words, lane words and market words (lowest bits first).
     Promises: a writer asserts its bounds and leaves every other field of the word alone. Nobody else writes fields, but
               Settlement's `_flush`, which writes a fill's into the account word in one step.
     Never:    reads or writes storage.
     Error:    S:PACK.

     account = cash 104 | tier 8 | epoch 16 | lane0 64 | lane1 64                cash in 1e-6 USDC
     lanes   = lane 64 | lane 64 | lane 64 | lane 64                             lane number // 4 is the slot
     lane    = filled 39 | cancel announced 1 | seq 24                           filled in lots
     market  = accruedFees 80 | sequence 40 | quotePerLotTick 32 | minLots 24 | lotExponent 8 | baseAsset 16
             | marketIndex 16 | takerFeeBps 16 | makerFeeBps 16 | status 8
     nonce   = seq 24 | lane 24 | epoch 16
"""

MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_80: constant(uint256) = 2**80 - 1
MASK_104: constant(uint256) = 2**104 - 1

MAX_CASH: constant(uint256) = MASK_104
MAX_TIER: constant(uint256) = MASK_8
MAX_EPOCH: constant(uint256) = MASK_16
MAX_LANE: constant(uint256) = MASK_24
MAX_SEQ: constant(uint256) = MASK_24
MAX_FILLED: constant(uint256) = 2**39 - 1
MAX_FEES: constant(uint256) = MASK_80
MAX_SEQUENCE: constant(uint256) = MASK_40

# account word
TIER_SHIFT: constant(uint256) = 104
EPOCH_SHIFT: constant(uint256) = 112
FIRST_LANE_SHIFT: constant(uint256) = 128
LANE_BITS: constant(uint256) = 64
LANE_BITS_LOG2: constant(uint256) = 6
LANES_IN_ACCOUNT: constant(uint256) = 2
LANES_PER_SLOT: constant(uint256) = 4
ACCOUNT_EPOCH: constant(uint256) = MAX_EPOCH << EPOCH_SHIFT

# lane
CANCEL_ANNOUNCED: constant(uint256) = 1 << 39  # the lane's cancel record says from when and up to which seq
PROGRESS: constant(uint256) = MASK_64 ^ CANCEL_ANNOUNCED
SEQ_SHIFT: constant(uint256) = 40
LANE_SEQ: constant(uint256) = MAX_SEQ << SEQ_SHIFT  # where a lane has it; as a number, the progress of the last seq

# nonce
NONCE_LANE_SHIFT: constant(uint256) = 24
NONCE_EPOCH_SHIFT: constant(uint256) = 48

# market word
SEQUENCE_SHIFT: constant(uint256) = 80
QUOTE_SHIFT: constant(uint256) = 120
MIN_LOTS_SHIFT: constant(uint256) = 152
LOT_EXPONENT_SHIFT: constant(uint256) = 176
BASE_ASSET_SHIFT: constant(uint256) = 184
MARKET_INDEX_SHIFT: constant(uint256) = 200
TAKER_FEE_SHIFT: constant(uint256) = 216
MAKER_FEE_SHIFT: constant(uint256) = 232
STATUS_SHIFT: constant(uint256) = 248


@internal
@pure
def _with_cash(account: uint256, cash: uint256) -> uint256:
    assert cash <= MAX_CASH, "S:PACK"
    return account >> TIER_SHIFT << TIER_SHIFT | cash


@internal
@pure
def _with_tier(account: uint256, tier: uint256) -> uint256:
    assert tier <= MAX_TIER, "S:PACK"
    return account & ~(MASK_8 << TIER_SHIFT) | tier << TIER_SHIFT


@internal
@pure
def _with_epoch(account: uint256, epoch: uint256) -> uint256:
    assert epoch <= MAX_EPOCH, "S:PACK"
    return account & ~(MASK_16 << EPOCH_SHIFT) | epoch << EPOCH_SHIFT


@internal
@pure
def _account_lane_offset(lane: uint256) -> uint256:
    """
    @dev Where lane 0 or 1 begins in the account word: the lowest bit of `lane` decides, 128 or 192.
    """
    return unsafe_add(FIRST_LANE_SHIFT, (lane & 1) << LANE_BITS_LOG2)


@internal
@pure
def _slot_lane_offset(lane: uint256) -> uint256:
    """
    @dev Where a lane of number 2 or more begins in its lane word.
    """
    return lane % LANES_PER_SLOT << LANE_BITS_LOG2


@internal
@pure
def _with_lane(word: uint256, offset: uint256, progress: uint256) -> uint256:
    """
    @dev An account word or a lane word with another lane at `offset`. An announced cancel stays announced.
    """
    assert progress & ~PROGRESS == 0, "S:PACK"
    return word & ~(PROGRESS << offset) | progress << offset


@internal
@pure
def _without_announcement(word: uint256, offset: uint256) -> uint256:
    """
    @dev An account word or a lane word whose lane at `offset` has no announced cancel.
    """
    return word & ~(CANCEL_ANNOUNCED << offset)


@internal
@pure
def _with_progress(market: uint256, sequence: uint256, fees: uint256) -> uint256:
    """
    @dev The market word with another sequence and other accrued fees; its terms and status stay.
    """
    assert sequence <= MAX_SEQUENCE and fees <= MAX_FEES, "S:PACK"
    return market >> QUOTE_SHIFT << QUOTE_SHIFT | sequence << SEQUENCE_SHIFT | fees


@internal
@pure
def _with_status(market: uint256, status: uint256) -> uint256:
    assert status <= MASK_8, "S:PACK"
    return market & (2**STATUS_SHIFT - 1) | status << STATUS_SHIFT

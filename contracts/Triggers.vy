# pragma version 0.4.3
"""
@title Triggers
@license MIT
@author Cxmpute DEX
@notice Whether a conditional order may trade: its owner signed what a price must do first, and the oracle's history
        shows that the price did it.
@dev Owns:     the EIP-712 struct `ConditionalOrder`, and the rule by which an index price meets its condition.
     Promises: an order that waits for the index price has a digest here only with the proof of a price that was good,
               was published at `activeFrom` or later, and meets the signed condition exactly: products are compared,
               nothing is divided. A price in the history stays there, so that an order which may trade once may trade
               until its own terms end it.
     Never:    stores anything, or can be changed. Never judges LAST triggers: the last price of a market is made by
               whoever matches, so that a check of it would promise what it cannot keep; see
               docs/decisions/012-conditional-orders.md.

     condition = trigger 8 | triggerPrice 64 | activeFrom 40       (lowest bits first, as in cxdex/batch.py)
     proof     = first publish time 40 | second publish time 40
     trigger   = 0 INDEX_AT_OR_ABOVE, 1 INDEX_AT_OR_BELOW, 2 LAST_AT_OR_ABOVE, 3 LAST_AT_OR_BELOW,
                 4 INDEX_FALLS_BY, 5 INDEX_RISES_BY, 6 LAST_FALLS_BY, 7 LAST_RISES_BY

     Reverts, all with one of these codes:
       X:ZERO   constructor: no oracle
       X:BITS   stray bits behind the condition or the proof
       X:WORD   a trigger that there is not, or a condition without a price
       X:PROOF  a proof names a second in which no good price was published, or a time that its trigger does not have
       X:EARLY  the proof is of a price from before `activeFrom`
       X:ORDER  the extreme of a trailing trigger is not before the turn
       X:UNMET  the proven price does not meet the condition
     O:NONE of the Oracle: nothing was published since the time that the proof names. S:FLAGS, S:MAKER and S:TAKER as
     Settlement has them for any order.
"""

from contracts.interfaces import IOracle
from contracts.interfaces import ITriggers
from contracts.modules import order_hash
from contracts.modules import packing

implements: ITriggers

CONDITIONAL_ORDER_TYPEHASH: constant(bytes32) = keccak256(
    "ConditionalOrder(address account,string market,string side,string orderType,string timeInForce,uint64 quantity,uint64 limitPrice,uint16 maxFeeBps,uint64 maxCollateral,string selfTrade,bool reduceOnly,uint64 expiry,uint64 nonce,string trigger,uint64 triggerPrice,uint64 activeFrom)"
)

# The words that a wallet shows, as they enter the struct hash, in the order of their numbers.
TRIGGERS: constant(uint256) = 8
TRIGGER_WORDS: constant(bytes32[TRIGGERS]) = [
    keccak256("INDEX_AT_OR_ABOVE"),
    keccak256("INDEX_AT_OR_BELOW"),
    keccak256("LAST_AT_OR_ABOVE"),
    keccak256("LAST_AT_OR_BELOW"),
    keccak256("INDEX_FALLS_BY"),
    keccak256("INDEX_RISES_BY"),
    keccak256("LAST_FALLS_BY"),
    keccak256("LAST_RISES_BY"),
]

INDEX_AT_OR_ABOVE: constant(uint256) = 0
INDEX_AT_OR_BELOW: constant(uint256) = 1
INDEX_FALLS_BY: constant(uint256) = 4
LAST_BIT: constant(uint256) = 2  # of a trigger's number: it watches the last price
TRAILING_BIT: constant(uint256) = 4

PRICE_SHIFT: constant(uint256) = 8
ACTIVE_FROM_SHIFT: constant(uint256) = 72
CONDITION_BITS: constant(uint256) = 112
TIME_BITS: constant(uint256) = 40
PROOF_BITS: constant(uint256) = 80

ONE_SYNTH: constant(uint256) = 10**18
ROLE_SHIFT: constant(uint256) = 240
MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_39: constant(uint256) = 2**39 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_160: constant(uint256) = 2**160 - 1

ORACLE: public(immutable(address))


@deploy
def __init__(oracle: address):
    """
    @notice Fixes whose prices count.
    @param oracle The Oracle; it need not hold code yet.
    """
    assert oracle != empty(address), "X:ZERO"
    ORACLE = oracle


@external
@view
def digestOf(
    entry: order_hash.Entry, waits: uint256[4], market: bytes32, listing: uint256, domain: bytes32
) -> bytes32:
    """
    @notice The EIP-712 digest of a conditional order, once its condition is shown to be met. Reverts until then.
    @param entry The order's entry as settleBatch has it; of `who` the role decides which times in force it may have,
           the fill, the signature's kind and the signature are not looked at.
    @param waits The block behind it: condition, proof, and two words of zero.
    @param market keccak256 of the market's symbol.
    @param listing The market's word in the ledger: base asset, lot and quote are read from it.
    @param domain The domain separator of the contract that the order is signed for.
    @return What the account signed, and the order's id.
    """
    condition: uint256 = waits[0]
    proof: uint256 = waits[1]
    trigger: uint256 = condition & MASK_8
    ticks: uint256 = condition >> PRICE_SHIFT & MASK_64
    active_from: uint256 = condition >> ACTIVE_FROM_SHIFT
    assert condition >> CONDITION_BITS | proof >> PROOF_BITS | waits[2] | waits[3] == 0, "X:BITS"
    assert trigger < TRIGGERS and ticks != 0, "X:WORD"
    if trigger & LAST_BIT != 0:
        assert proof == 0, "X:PROOF"
    else:
        self._require_met(trigger, ticks, active_from, proof, listing)
    return keccak256(
        concat(
            order_hash.DIGEST_PREFIX,
            domain,
            self._struct_hash(entry, market, TRIGGER_WORDS[trigger], ticks, active_from),
        )
    )


@internal
@view
def _require_met(trigger: uint256, ticks: uint256, active_from: uint256, proof: uint256, listing: uint256):
    """
    @dev 80-bit prices times lots of at most 10**18, and 64-bit ticks times a 32-bit quote times 10**18: nothing comes
         near 2**256.
    """
    asset: uint256 = listing >> packing.BASE_ASSET_SHIFT & MASK_16
    first: uint256 = proof & MASK_40
    second: uint256 = proof >> TIME_BITS
    assert first >= active_from, "X:EARLY"

    price: uint256 = self._price_at(asset, first)
    reached: uint256 = price
    if trigger & TRAILING_BIT == 0:
        assert second == 0, "X:PROOF"
    else:
        assert first < second, "X:ORDER"
        turned: uint256 = self._price_at(asset, second)
        reached = 0
        if trigger == INDEX_FALLS_BY:
            if turned < price:
                reached = price - turned
        elif turned > price:
            reached = turned - price

    have: uint256 = reached * 10 ** (listing >> packing.LOT_EXPONENT_SHIFT & MASK_8)
    want: uint256 = ticks * (listing >> packing.QUOTE_SHIFT & MASK_32) * ONE_SYNTH
    if trigger == INDEX_AT_OR_BELOW:
        assert have <= want, "X:UNMET"
    else:
        assert have >= want, "X:UNMET"


@internal
@view
def _price_at(asset: uint256, time: uint256) -> uint256:
    """
    @dev The good price that was published in exactly this second.
    """
    price: uint256 = 0
    published: uint256 = 0
    price, published = staticcall IOracle(ORACLE).firstPriceSince(asset, time)
    assert published == time, "X:PROOF"
    return price


@internal
@pure
def _struct_hash(
    entry: order_hash.Entry, market: bytes32, trigger: bytes32, ticks: uint256, active_from: uint256
) -> bytes32:
    flags: uint256 = entry.terms >> order_hash.FLAGS_SHIFT & MASK_8
    order_type: bytes32 = empty(bytes32)
    time_in_force: bytes32 = empty(bytes32)
    self_trade: bytes32 = empty(bytes32)
    order_type, time_in_force, self_trade = order_hash._words(flags, entry.who >> ROLE_SHIFT & MASK_8 == 0)
    side: bytes32 = order_hash.SELL
    if flags & order_hash.IS_BUY != 0:
        side = order_hash.BUY
    return keccak256(
        abi_encode(
            CONDITIONAL_ORDER_TYPEHASH,
            entry.who & MASK_160,  # account
            market,
            side,
            order_type,
            time_in_force,
            entry.terms >> order_hash.QUANTITY_SHIFT & MASK_39,  # quantity
            entry.terms >> order_hash.PRICE_SHIFT & MASK_64,  # limitPrice
            entry.terms & MASK_16,  # maxFeeBps
            entry.terms >> order_hash.MAX_COLLATERAL_SHIFT,
            self_trade,
            flags // order_hash.REDUCE_ONLY,  # as a bool is encoded: 0 or 1
            entry.who >> order_hash.EXPIRY_SHIFT & MASK_40,  # expiry
            entry.terms >> order_hash.NONCE_SHIFT & MASK_64,  # nonce
            trigger,
            ticks,
            active_from,
        )
    )

# pragma version 0.4.3
"""
@title Order hashing
@license MIT
@notice What a trader signs: the EIP-712 domain and the `Order` struct. `ConditionalOrder` is in Triggers.
@dev Owns:     the typehashes, the words that enter the struct hash, the meaning of the flag bits.
     Promises: the same bytes as `cxdex/eip712.py`. The account is part of the struct, so that two traders
               can never produce one digest. Only `abi_encode`, never packed encoding, of the struct.
     Never:    reads or writes storage, looks at a signature (see `signatures`).
     Errors:   S:FLAGS, S:MAKER, S:TAKER; Settlement says what each means.

     terms = maxFeeBps 16 | limitPrice 64 | quantity 39 | 0 1 | nonce 64 | flags 8 | maxCollateral 64  (lowest bits first)
     flags = isBuy 1 | isMarket 1 | timeInForce 3 | selfTrade 2 | reduceOnly 1
"""

struct Entry:
    who: uint256  # account 160 | expiry 40 | fill 40 | role 8 | signature kind 8
    terms: uint256
    r: uint256  # EIP-2098 compact signature; for a contract's signature its length
    vs: uint256


DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH: constant(bytes32) = keccak256("Cxmpute DEX")
VERSION_HASH: constant(bytes32) = keccak256("1")
DIGEST_PREFIX: constant(bytes2) = 0x1901

ORDER_TYPEHASH: constant(bytes32) = keccak256(
    "Order(address account,string market,string side,string orderType,string timeInForce,uint64 quantity,uint64 limitPrice,uint16 maxFeeBps,uint64 maxCollateral,string selfTrade,bool reduceOnly,uint64 expiry,uint64 nonce)"
)

# The words that a wallet shows, as they enter the struct hash.
SELL: constant(bytes32) = keccak256("SELL")
BUY: constant(bytes32) = keccak256("BUY")
LIMIT: constant(bytes32) = keccak256("LIMIT")
MARKET: constant(bytes32) = keccak256("MARKET")
GTC: constant(bytes32) = keccak256("GTC")
IOC: constant(bytes32) = keccak256("IOC")
FOK: constant(bytes32) = keccak256("FOK")
POST_ONLY: constant(bytes32) = keccak256("POST_ONLY")
GTD: constant(bytes32) = keccak256("GTD")
CANCEL_TAKER: constant(bytes32) = keccak256("CANCEL_TAKER")
CANCEL_MAKER: constant(bytes32) = keccak256("CANCEL_MAKER")
CANCEL_BOTH: constant(bytes32) = keccak256("CANCEL_BOTH")
DECREMENT: constant(bytes32) = keccak256("DECREMENT")

EXPIRY_SHIFT: constant(uint256) = 160  # in `who`; the others are in `terms`
PRICE_SHIFT: constant(uint256) = 16
QUANTITY_SHIFT: constant(uint256) = 80
NONCE_SHIFT: constant(uint256) = 120

# Where the flags begin in `terms`, and their bits.
FLAGS_SHIFT: constant(uint256) = 184
IS_BUY: constant(uint256) = 1
IS_MARKET: constant(uint256) = 2
TIME_IN_FORCE_SHIFT: constant(uint256) = 2
TIME_IN_FORCE_MASK: constant(uint256) = 7
SELF_TRADE_SHIFT: constant(uint256) = 5
SELF_TRADE_MASK: constant(uint256) = 3
REDUCE_ONLY_SHIFT: constant(uint256) = 7
REDUCE_ONLY: constant(uint256) = 1 << REDUCE_ONLY_SHIFT  # the highest flag
BUY_TO_REDUCE: constant(uint256) = REDUCE_ONLY | IS_BUY
MAX_COLLATERAL_SHIFT: constant(uint256) = 192

# Numbers of the time-in-force words.
TIF_IOC: constant(uint256) = 1
TIF_FOK: constant(uint256) = 2
TIF_POST_ONLY: constant(uint256) = 3
TIF_GTD: constant(uint256) = 4

MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_39: constant(uint256) = 2**39 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_160: constant(uint256) = 2**160 - 1


@internal
@view
def _domain_separator() -> bytes32:
    """
    @dev Computed anew each time: a stored one would still be valid on a fork with another chain id, and
         wrong behind a proxy.
    """
    return keccak256(abi_encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, chain.id, self))


@internal
@pure
def _digest(entry: Entry, is_maker: bool, market: bytes32, domain: bytes32) -> bytes32:
    """
    @dev The digest of the order in an entry: what its account signed, and the order's id. Reverts on flags that do
         not fit its role, see `_words`.
    """
    order_type: bytes32 = LIMIT
    time_in_force: bytes32 = GTC
    self_trade: bytes32 = CANCEL_TAKER
    flags: uint256 = entry.terms >> FLAGS_SHIFT & MASK_8
    if flags > IS_BUY:  # anything but LIMIT, GTC, CANCEL_TAKER
        order_type, time_in_force, self_trade = self._words(flags, is_maker)
    return keccak256(
        concat(
            DIGEST_PREFIX,
            domain,
            keccak256(
                abi_encode(
                    ORDER_TYPEHASH,
                    entry.who & MASK_160,  # account
                    market,
                    BUY if flags & IS_BUY != 0 else SELL,
                    order_type,
                    time_in_force,
                    entry.terms >> QUANTITY_SHIFT & MASK_39,  # quantity
                    entry.terms >> PRICE_SHIFT & MASK_64,  # limitPrice
                    entry.terms & MASK_16,  # maxFeeBps
                    entry.terms >> MAX_COLLATERAL_SHIFT,
                    self_trade,
                    flags >> REDUCE_ONLY_SHIFT,  # as a bool is encoded: 0 or 1
                    entry.who >> EXPIRY_SHIFT & MASK_40,  # expiry
                    entry.terms >> NONCE_SHIFT & MASK_64,  # nonce
                )
            ),
        )
    )


@internal
@pure
def _words(flags: uint256, is_maker: bool) -> (bytes32, bytes32, bytes32):
    """
    @dev Hashes of the order's type, time in force and self-trade words.
    """
    # On spot a buyer has nothing to reduce.
    assert flags & BUY_TO_REDUCE != BUY_TO_REDUCE, "S:FLAGS"
    tif: uint256 = flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
    assert tif <= TIF_GTD, "S:FLAGS"
    never_rests: bool = tif == TIF_IOC or tif == TIF_FOK
    if is_maker:
        assert not never_rests, "S:MAKER"
    else:
        assert tif != TIF_POST_ONLY, "S:TAKER"

    order_type: bytes32 = LIMIT
    if flags & IS_MARKET != 0:
        assert never_rests, "S:FLAGS"
        order_type = MARKET

    time_in_force: bytes32 = GTC
    if tif == TIF_IOC:
        time_in_force = IOC
    elif tif == TIF_FOK:
        time_in_force = FOK
    elif tif == TIF_POST_ONLY:
        time_in_force = POST_ONLY
    elif tif == TIF_GTD:
        time_in_force = GTD

    self_trade: bytes32 = CANCEL_TAKER
    choice: uint256 = flags >> SELF_TRADE_SHIFT & SELF_TRADE_MASK
    if choice == 1:
        self_trade = CANCEL_MAKER
    elif choice == 2:
        self_trade = CANCEL_BOTH
    elif choice == 3:
        self_trade = DECREMENT
    return order_type, time_in_force, self_trade

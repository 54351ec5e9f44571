# pragma version 0.4.3
"""
@title Order hashing and signature recovery
@license MIT
@notice What a trader signs: the EIP-712 domain, the `Order` struct, and who signed a digest.
@dev Owns:     the typehashes, the words that enter the struct hash, the meaning of the flag bits.
     Promises: the same bytes as `cxdex/eip712.py`. The account is part of the struct, so that two traders
               can never produce one digest. Only `abi_encode`, never packed encoding, of the struct.
     Never:    reads or writes storage.

     terms = maxFeeBps 16 | limitPrice 64 | quantity 40 | nonce 64 | flags 72          (lowest bits first)
     flags = isBuy 1 | isMarket 1 | timeInForce 3 | selfTrade 2 | reduceOnly 1
"""

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
CANCEL_TAKER: constant(bytes32) = keccak256("CANCEL_TAKER")
CANCEL_MAKER: constant(bytes32) = keccak256("CANCEL_MAKER")
CANCEL_BOTH: constant(bytes32) = keccak256("CANCEL_BOTH")
DECREMENT: constant(bytes32) = keccak256("DECREMENT")

# Where the flags begin in `terms`, and their bits.
FLAGS_SHIFT: constant(uint256) = 184
IS_BUY: constant(uint256) = 1
IS_MARKET: constant(uint256) = 2
TIME_IN_FORCE_SHIFT: constant(uint256) = 2
TIME_IN_FORCE_MASK: constant(uint256) = 7
SELF_TRADE_SHIFT: constant(uint256) = 5
SELF_TRADE_MASK: constant(uint256) = 3
REDUCE_ONLY: constant(uint256) = 128
MAX_FLAGS: constant(uint256) = 255

# Numbers of the time-in-force words.
TIF_GTC: constant(uint256) = 0
TIF_IOC: constant(uint256) = 1
TIF_FOK: constant(uint256) = 2
TIF_POST_ONLY: constant(uint256) = 3

# Half of the order of secp256k1: a larger s is the malleable twin of a signature (EIP-2).
MAX_LOW_S: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

MASK_16: constant(uint256) = 2**16 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_255: constant(uint256) = 2**255 - 1


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
def _order_digest(
    account: address, expiry: uint256, terms: uint256, market: bytes32, domain: bytes32
) -> bytes32:
    """
    @dev The digest of the order that `terms` packs. Reverts on a flag that has no meaning on spot:
         reduceOnly, an unknown word, a bit that is not assigned, a MARKET order that may rest.
    """
    flags: uint256 = terms >> FLAGS_SHIFT
    assert flags < REDUCE_ONLY, "S:FLAGS"  # also refuses every bit above reduceOnly

    side: bytes32 = SELL
    if flags & IS_BUY != 0:
        side = BUY

    order_type: bytes32 = LIMIT
    time_in_force: bytes32 = GTC
    tif: uint256 = flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
    if flags & IS_MARKET != 0:
        assert tif == TIF_IOC or tif == TIF_FOK, "S:FLAGS"
        order_type = MARKET
    if tif != TIF_GTC:
        assert tif <= TIF_POST_ONLY, "S:FLAGS"
        time_in_force = IOC
        if tif == TIF_FOK:
            time_in_force = FOK
        elif tif == TIF_POST_ONLY:
            time_in_force = POST_ONLY

    self_trade: bytes32 = CANCEL_TAKER
    choice: uint256 = flags >> SELF_TRADE_SHIFT  # two bits are left: reduceOnly is zero
    if choice != 0:
        self_trade = CANCEL_MAKER
        if choice == 2:
            self_trade = CANCEL_BOTH
        elif choice == 3:
            self_trade = DECREMENT

    struct_hash: bytes32 = keccak256(
        abi_encode(
            ORDER_TYPEHASH,
            account,
            market,
            side,
            order_type,
            time_in_force,
            terms >> 80 & MASK_40,  # quantity
            terms >> 16 & MASK_64,  # limitPrice
            terms & MASK_16,  # maxFeeBps
            empty(uint256),  # maxCollateral: minting within a fill is not offered
            self_trade,
            False,  # reduceOnly
            expiry,
            terms >> 120 & MASK_64,  # nonce
        )
    )
    return keccak256(concat(DIGEST_PREFIX, domain, struct_hash))


@internal
@pure
def _signer(digest: bytes32, r: uint256, vs: uint256) -> address:
    """
    @dev Who signed, from an EIP-2098 compact signature. Zero when no key can have made it; a high s
         counts as such.
    """
    s: uint256 = vs & MASK_255
    if s > MAX_LOW_S:
        return empty(address)
    return ecrecover(digest, 27 + (vs >> 255), r, s)

# pragma version 0.4.3
"""
@title Signed price reports
@license MIT
@author Cxmpute DEX
@notice What a reporter signs: `Price(asset, price, publishTime)` in the domain of this Oracle on this chain.
@dev Owns:     the typehashes and who signed a report.
     Promises: the same bytes as `cxdex/price_report.py`; one signature a report and key (high s is refused).
     Never:    reads or writes storage.
     Error:    O:SIGNATURE.
"""

struct Report:
    price: uint256  # 1e-6 USDC per whole synth
    publishTime: uint256  # unix time
    r: uint256  # EIP-2098 compact signature
    vs: uint256

DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH: constant(bytes32) = keccak256("Cxmpute DEX")
VERSION_HASH: constant(bytes32) = keccak256("1")
PRICE_TYPEHASH: constant(bytes32) = keccak256("Price(uint256 asset,uint256 price,uint256 publishTime)")

# Half of the order of secp256k1: a larger s is the malleable twin of a signature (EIP-2).
MAX_LOW_S: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
S_BITS: constant(uint256) = 255
V_OF_EVEN: constant(uint256) = 27


@internal
@view
def _domain_separator() -> bytes32:
    """
    @dev Computed anew each time: a stored one would still be valid on a fork with another chain id.
    """
    return keccak256(abi_encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, chain.id, self))


@internal
@pure
def _signer(domain: bytes32, asset: uint256, report: Report) -> address:
    """
    @dev Whose signature it is, never the zero address. That it is a reporter's is for the caller to check.
    """
    message: bytes32 = keccak256(abi_encode(PRICE_TYPEHASH, asset, report.price, report.publishTime))
    digest: bytes32 = keccak256(concat(x"1901", domain, message))
    s: uint256 = report.vs & (2**S_BITS - 1)
    assert s <= MAX_LOW_S, "O:SIGNATURE"
    signer: address = ecrecover(digest, V_OF_EVEN + (report.vs >> S_BITS), report.r, s)
    assert signer != empty(address), "O:SIGNATURE"  # what ecrecover gives when no key can have signed
    return signer

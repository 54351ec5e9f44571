# pragma version 0.4.3
"""
@title EIP-2612 permits
@license MIT
@author Cxmpute DEX
@notice An allowance given by a signature instead of a transaction.
@dev The domain is computed at each call, so that a signature never outlives a change of the chain id.
     High-s signatures are refused: each permit has one signature. Errors: P:EXPIRED, P:SIGNATURE.
"""

from contracts.modules import erc20

uses: erc20

DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
PERMIT_TYPEHASH: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
MAX_S: constant(bytes32) = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0  # half the order of secp256k1

version: public(immutable(String[8]))

nonces: public(HashMap[address, uint256])


@deploy
def __init__(version_: String[8]):
    """
    @param version_ Version in the token's EIP-712 domain.
    """
    version = version_


@external
def permit(
    owner: address, spender: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
):
    """
    @notice Sets an allowance that its owner has signed. Anyone may submit it.
    @param owner Whose tokens, and who signed.
    @param spender Who may send them.
    @param amount How many, in the smallest unit.
    @param deadline Last second, in unix time, at which the signature is good.
    @param v Recovery byte of the signature, 27 or 28.
    @param r First half of the signature.
    @param s Second half of the signature.
    """
    assert block.timestamp <= deadline, "P:EXPIRED"
    assert convert(s, uint256) <= convert(MAX_S, uint256), "P:SIGNATURE"
    nonce: uint256 = self.nonces[owner]
    message: bytes32 = keccak256(abi_encode(PERMIT_TYPEHASH, owner, spender, amount, nonce, deadline))
    digest: bytes32 = keccak256(concat(x"1901", self._domain_separator(), message))
    signer: address = ecrecover(digest, v, r, s)
    assert signer != empty(address) and signer == owner, "P:SIGNATURE"

    self.nonces[owner] = nonce + 1
    erc20._approve(owner, spender, amount)


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    """
    @notice Hash of the EIP-712 domain in which permits of this token are signed.
    @return The domain separator.
    """
    return self._domain_separator()


@internal
@view
def _domain_separator() -> bytes32:
    return keccak256(
        abi_encode(DOMAIN_TYPEHASH, keccak256(erc20.name), keccak256(version), chain.id, self)
    )

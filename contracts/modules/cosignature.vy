# pragma version 0.4.3
"""
@title Cosignature
@license MIT
@author Cxmpute DEX
@notice The relayer's word that no matched fill of an account can need an amount any more, so that it may leave at once.
@dev COSIGNER signs exactly one withdrawal of one account: `InstantWithdrawal` in the EIP-712 domain of this contract.
     It is good until its deadline and for one use, and of no use without a call by the account itself.
     The domain is computed at each call, so that a signature never outlives a change of the chain id. Compact
     signatures (EIP-2098) with low s only: each has one form.
     Errors: V:EXPIRED, V:NONCE, V:COSIGNER.
"""

# pragma nonreentrancy on

DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH: constant(bytes32) = keccak256("Cxmpute DEX")
VERSION_HASH: constant(bytes32) = keccak256("1")
WITHDRAWAL_TYPEHASH: constant(bytes32) = keccak256(
    "InstantWithdrawal(address account,uint256 asset,uint256 amount,bool asCxpt,address recipient,uint256 nonce,uint256 deadline)"
)
MAX_LOW_S: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
S_MASK: constant(uint256) = 2**255 - 1  # EIP-2098: the highest bit of vs is the recovery bit
V_SHIFT: constant(uint256) = 255
FIRST_V: constant(uint256) = 27
NONCES_PER_SLOT: constant(uint256) = 256

struct Leave:
    account: address
    asset: uint256
    amount: uint256
    asCxpt: bool
    recipient: address
    nonce: uint256
    deadline: uint256

COSIGNER: public(immutable(address))

_used: HashMap[address, HashMap[uint256, uint256]]  # by account and nonce // 256, a bit for each nonce


@deploy
def __init__(cosigner: address):
    """
    @param cosigner Whose signature lets an account leave at once.
    """
    COSIGNER = cosigner


@external
@view
def isNonceUsed(account: address, nonce: uint256) -> bool:
    """
    @notice Whether a cosignature with this nonce was used. Nonces have no order.
    @param account Whose withdrawal.
    @param nonce The nonce in question.
    @return True once a withdrawal with it was made.
    """
    return self._is_used(account, nonce)


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    """
    @notice Hash of the EIP-712 domain in which COSIGNER signs.
    @return The domain separator.
    """
    return self._domain_separator()


@internal
def _use(leave: Leave, r: bytes32, vs: bytes32):
    """
    @dev Reverts unless COSIGNER signed exactly this and it is the first time.
    """
    assert block.timestamp <= leave.deadline, "V:EXPIRED"
    assert not self._is_used(leave.account, leave.nonce), "V:NONCE"
    digest: bytes32 = keccak256(
        concat(x"1901", self._domain_separator(), keccak256(abi_encode(WITHDRAWAL_TYPEHASH, leave)))
    )
    packed: uint256 = convert(vs, uint256)
    s: uint256 = packed & S_MASK
    assert s <= MAX_LOW_S, "V:COSIGNER"
    signer: address = ecrecover(digest, FIRST_V + (packed >> V_SHIFT), convert(r, uint256), s)
    assert signer != empty(address) and signer == COSIGNER, "V:COSIGNER"
    self._used[leave.account][leave.nonce // NONCES_PER_SLOT] |= 1 << (leave.nonce % NONCES_PER_SLOT)


@internal
@view
def _is_used(account: address, nonce: uint256) -> bool:
    return (self._used[account][nonce // NONCES_PER_SLOT] >> (nonce % NONCES_PER_SLOT)) & 1 != 0


@internal
@view
def _domain_separator() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, chain.id, self))

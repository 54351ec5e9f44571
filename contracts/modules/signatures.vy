# pragma version 0.4.3
"""
@title Signatures
@license MIT
@notice Who signed a digest: a key (ECDSA), or a contract that says so (ERC-1271).
@dev Owns:     recovery, and the call to a wallet that is a contract.
     Promises: a malleable or unrecoverable signature is refused. A wallet's code runs with bounded gas, read-only, and
               one word of its answer is looked at; whatever it does, the answer is yes or no and never a revert.
     Never:    reads or writes storage.
     Errors:   S:SIG, S:GAS; Settlement says what each means.
"""

# Half of the order of secp256k1: a larger s is the malleable twin of a signature (EIP-2).
MAX_LOW_S: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
MASK_255: constant(uint256) = 2**255 - 1
V_SHIFT: constant(uint256) = 255
FIRST_V: constant(uint256) = 27  # what ecrecover calls an even parity

MAX_SIGNATURE: constant(uint256) = 1024  # bytes of a contract's signature: a multisig wallet of about 15 owners
MAX_SIGNATURE_WORDS: constant(uint256) = 32
SIGNATURE_OFFSET: constant(uint256) = 64  # where ABI encoding puts the length of the second of two arguments
WALLET_GAS: constant(uint256) = 120_000
# A call gets at most 63/64 of what is left. With this much left the wallet has its 120,000, so that nobody can make
# it run out and pass that off as a refusal.
LEAST_GAS: constant(uint256) = 130_000
WORD_BYTES: constant(uint256) = 32
IS_VALID_SIGNATURE: constant(bytes4) = 0x1626ba7e  # isValidSignature(bytes32,bytes), also what it answers for yes


@internal
@pure
def _signer(digest: bytes32, r: uint256, vs: uint256) -> uint256:
    """
    @dev The address, as a number, whose key made this EIP-2098 signature. Reverts when there is none, or s is high.
    """
    s: uint256 = vs & MASK_255
    signer: uint256 = convert(ecrecover(digest, unsafe_add(FIRST_V, vs >> V_SHIFT), r, s), uint256)
    # Zero is what ecrecover gives when no key can have signed.
    assert signer != 0 and s <= MAX_LOW_S, "S:SIG"
    return signer


@internal
@view
def _accepted_by(wallet: address, digest: bytes32, length: uint256, words: bytes32[MAX_SIGNATURE_WORDS]) -> bool:
    """
    @dev Whether the contract at `wallet` accepts the signature (ERC-1271), the first `length` bytes of `words`. Without
         code there it does not. The call is encoded word by word; the words behind the signature are zero.
    """
    assert msg.gas >= LEAST_GAS, "S:GAS"
    answered: bool = False
    answer: Bytes[WORD_BYTES] = b""
    answered, answer = raw_call(
        wallet,
        abi_encode(digest, SIGNATURE_OFFSET, length, words, method_id=IS_VALID_SIGNATURE),
        max_outsize=WORD_BYTES,
        gas=WALLET_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not answered or len(answer) != WORD_BYTES:
        return False
    return convert(answer, bytes32) == convert(IS_VALID_SIGNATURE, bytes32)

# pragma version 0.4.3
"""
@title Hostile wallet
@license MIT
@author Cxmpute DEX
@notice For tests: an account that is a contract and does its worst when it is asked about a signature.
"""

from contracts.modules import signatures

REVERTS: constant(uint256) = 1
BURNS: constant(uint256) = 2  # all the gas it is given
ZERO_BOMB: constant(uint256) = 3  # as much return data as the gas pays for, all zeros
YES_BOMB: constant(uint256) = 4  # the same, with the accepting word in front
GARBAGE: constant(uint256) = 5  # another word
SHORT: constant(uint256) = 6  # the four accepting bytes without the padding
DIRTY: constant(uint256) = 7  # the four accepting bytes with something behind them
REENTERS: constant(uint256) = 8  # calls Settlement, and accepts if that changed anything
SILENT: constant(uint256) = 9  # returns nothing
REVERT_BOMB: constant(uint256) = 10  # reverts with as much data as the gas pays for
CUT: constant(uint256) = 11  # the accepting word without its last byte

BOMB_WORDS: constant(uint256) = 1_500
BOMB_BYTES: constant(uint256) = 32 * BOMB_WORDS
MAX_SIGNATURE: constant(uint256) = 1024
MAX_CALL: constant(uint256) = 1024

SETTLEMENT: public(immutable(address))
MODE: public(immutable(uint256))

attack: public(Bytes[MAX_CALL])  # what it sends to Settlement


@deploy
def __init__(settlement: address, mode: uint256):
    """
    @param settlement Whom it calls.
    @param mode What it does.
    """
    SETTLEMENT = settlement
    MODE = mode


@external
def setAttack(attack: Bytes[MAX_CALL]):
    """
    @param attack What it sends to Settlement when it is asked.
    """
    self.attack = attack


@external
@raw_return
def isValidSignature(digest: bytes32, signature: Bytes[MAX_SIGNATURE]) -> Bytes[BOMB_BYTES]:
    """
    @param digest Not looked at.
    @param signature Not looked at.
    @return Whatever the mode says.
    """
    accepts: bytes32 = convert(signatures.IS_VALID_SIGNATURE, bytes32)
    if MODE == REVERTS:
        raise "no"
    if MODE == BURNS:
        for _i: uint256 in range(max_value(uint256)):
            pass
    if MODE == ZERO_BOMB:
        return self._bomb(empty(bytes32))
    if MODE == YES_BOMB:
        return self._bomb(accepts)
    if MODE == REVERT_BOMB:
        raw_revert(self._bomb(accepts))
    if MODE == SHORT:
        return slice(accepts, 0, 4)
    if MODE == CUT:
        return slice(accepts, 0, 31)
    if MODE == DIRTY:
        return concat(slice(accepts, 0, 4), slice(keccak256("dirt"), 0, 28))
    if MODE == REENTERS:
        changed: bool = raw_call(SETTLEMENT, self.attack, revert_on_failure=False)
        if changed:
            return abi_encode(accepts)
    if MODE == SILENT:
        return b""
    return abi_encode(keccak256("something else"))


@internal
@pure
def _bomb(first: bytes32) -> Bytes[BOMB_BYTES]:
    words: bytes32[BOMB_WORDS] = empty(bytes32[BOMB_WORDS])
    words[0] = first
    return abi_encode(words)

# pragma version 0.4.3
"""
@title Signer wallet
@license MIT
@author Cxmpute DEX
@notice For tests: an account that is a contract. It accepts what its owner signed (ERC-1271), while its owner lets it.
"""

from contracts.modules import signatures

SIGNATURE_BYTES: constant(uint256) = 65
MAX_SIGNATURE: constant(uint256) = 1024
MAX_CALL: constant(uint256) = 1024
FIRST_V: constant(uint256) = 27
PARITY_BIT: constant(uint256) = 255

OWNER: public(immutable(address))

refuses: public(bool)
work: public(uint256)  # gas that a check uses up besides


@deploy
def __init__(owner: address):
    """
    @param owner Whose signature counts.
    """
    OWNER = owner


@external
def setRefuses(refuses: bool):
    """
    @param refuses Whether it takes its approval back.
    """
    self.refuses = refuses


@external
def setWork(gas_used: uint256):
    """
    @param gas_used How much gas a check uses up besides.
    """
    self.work = gas_used


@external
@view
def isValidSignature(digest: bytes32, signature: Bytes[MAX_SIGNATURE]) -> bytes4:
    """
    @param digest What was signed.
    @param signature r 32, s 32, v 1 of the owner, and whatever the wallet wants to see behind them.
    @return The word that accepts, or zero.
    """
    if self.work != 0:
        until: uint256 = msg.gas - self.work
        for _i: uint256 in range(max_value(uint256)):
            if msg.gas < until:
                break
    if self.refuses or len(signature) < SIGNATURE_BYTES:
        return empty(bytes4)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    s: uint256 = convert(slice(signature, 32, 32), uint256)
    r: uint256 = convert(slice(signature, 0, 32), uint256)
    signer: uint256 = signatures._signer(digest, r, s | v - FIRST_V << PARITY_BIT)
    if signer != convert(OWNER, uint256):
        return empty(bytes4)
    return signatures.IS_VALID_SIGNATURE


@external
def execute(target: address, data: Bytes[MAX_CALL]):
    """
    @param target Whom to call in the wallet's name.
    @param data What to say.
    """
    assert msg.sender == OWNER, "not the owner"
    raw_call(target, data)

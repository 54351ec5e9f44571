# pragma version 0.4.3
"""
@title Initializable
@license MIT
@author Cxmpute DEX
@notice What an implementation behind a Proxy needs: initialised once a version, and of no use by itself.
@dev Include this module first, so that its one slot is slot 0 in every version.
     Errors: I:DONE, I:DELEGATED.
"""

IMPLEMENTATION_SLOT: constant(bytes32) = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc

BARE: immutable(address)  # where the implementation itself is

initializedVersion: public(uint256)


@deploy
def __init__():
    """
    @notice Locks the bare implementation: its own storage counts as initialised by every version.
    """
    BARE = self
    self.initializedVersion = max_value(uint256)


@external
@view
def proxiableUUID() -> bytes32:
    """
    @notice Says that this code is made for a Proxy (ERC-1822).
    @dev Through a Proxy it reverts, so that no Proxy becomes the implementation of another or of itself.
    @return The ERC-1967 slot of the implementation.
    """
    assert self == BARE, "I:DELEGATED"
    return IMPLEMENTATION_SLOT


@internal
def _begin(version: uint256):
    """
    @dev Call it first in the initialiser of a version; versions count from 1.
    """
    assert version > self.initializedVersion, "I:DONE"
    self.initializedVersion = version

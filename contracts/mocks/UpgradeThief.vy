# pragma version 0.4.3
"""
@title An upgrade by a thief
@license MIT
@author Cxmpute DEX
@notice A valid implementation that hands every token to whoever asks. For the tests of the exit window.
"""

from ethereum.ercs import IERC20
from contracts.modules import initializable

initializes: initializable
exports: initializable.__interface__


@deploy
def __init__():
    """
    @notice Locks the bare implementation.
    """
    initializable.__init__()


@external
def plunder(token: address) -> uint256:
    """
    @notice Takes all that is left.
    @param token Of what.
    @return How much it was.
    """
    amount: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transfer(msg.sender, amount, default_return_value=True)
    return amount

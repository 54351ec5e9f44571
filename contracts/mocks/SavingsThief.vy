# pragma version 0.4.3
"""
@title Savings, as a thief would upgrade them
@license MIT
@author Cxmpute DEX
@notice A valid implementation that hands everything to whoever asks. For the tests of the exit window.
"""

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
def plunder():
    """
    @notice Takes all that is left.
    """
    raw_call(msg.sender, b"", value=self.balance)

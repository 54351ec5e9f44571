# pragma version 0.4.3
"""
@title Mock USDC
@license MIT
@author Cxmpute DEX
@notice USDC for local chains and test networks: 6 decimals, EIP-2612 with version "2" like the real one,
        and anyone may mint. Never deployed where money is real.
"""

from contracts.modules import erc20
from contracts.modules import erc2612

initializes: erc20
initializes: erc2612[erc20 := erc20]

exports: erc20.__interface__
exports: erc2612.__interface__


@deploy
def __init__():
    """
    @notice Deploys an empty token.
    """
    erc20.__init__("USD Coin", "USDC", 6)
    erc2612.__init__("2")


@external
def mint(to: address, amount: uint256):
    """
    @notice Gives tokens to anyone who asks.
    @param to Who receives them.
    @param amount How many, in 1e-6 USDC.
    """
    erc20._mint(to, amount)

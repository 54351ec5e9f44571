# pragma version 0.4.3
"""
@title Silent USDC
@license MIT
@author Cxmpute DEX
@notice For tests: a token whose transfers return nothing, like some old ones.
"""

from contracts.modules import erc20

initializes: erc20

exports: (
    erc20.name,
    erc20.symbol,
    erc20.decimals,
    erc20.totalSupply,
    erc20.balanceOf,
    erc20.allowance,
    erc20.approve,
)


@deploy
def __init__():
    """
    @notice Deploys an empty token.
    """
    erc20.__init__("Silent Coin", "HUSH", 6)


@external
def mint(to: address, amount: uint256):
    """
    @param to Who receives tokens.
    @param amount How many.
    """
    erc20._mint(to, amount)


@external
def transfer(to: address, amount: uint256):
    """
    @param to Who receives.
    @param amount How much.
    """
    erc20._transfer(msg.sender, to, amount)


@external
def transferFrom(owner: address, to: address, amount: uint256):
    """
    @param owner Who sends.
    @param to Who receives.
    @param amount How much.
    """
    erc20._spend_allowance(owner, msg.sender, amount)
    erc20._transfer(owner, to, amount)

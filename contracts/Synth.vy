# pragma version 0.4.3
"""
@title Synth
@license MIT
@author Cxmpute DEX
@notice A synthetic asset as an ordinary ERC-20 with 18 decimals and EIP-2612 permits.
        Every unit is somebody's debt in the SynthEngine.
@dev Name, symbol and Vault are asked from the factory, not passed as arguments: so the init code is the same for
     every synth, and an address follows from the factory, the name and the symbol alone.
     The Vault mints and burns on its own balance only: it can never touch a wallet. Errors: T:VAULT and those
     of the modules.
"""

from contracts.interfaces import ISynthFactory
from contracts.modules import erc20
from contracts.modules import erc2612

initializes: erc20
initializes: erc2612[erc20 := erc20]

exports: erc20.__interface__
exports: erc2612.__interface__

DECIMALS: constant(uint8) = 18

VAULT: public(immutable(address))


@deploy
def __init__():
    """
    @notice Takes name, symbol and Vault from the factory that creates it.
    """
    name: String[64] = ""
    symbol: String[16] = ""
    vault: address = empty(address)
    name, symbol, vault = staticcall ISynthFactory(msg.sender).naming()
    VAULT = vault
    erc20.__init__(name, symbol, DECIMALS)
    erc2612.__init__("1")


@external
def mint(amount: uint256):
    """
    @notice Creates synths in the Vault, against debt that the SynthEngine has recorded.
    @param amount How many, in 1e-18.
    """
    assert msg.sender == VAULT, "T:VAULT"
    erc20._mint(msg.sender, amount)


@external
def burn(amount: uint256):
    """
    @notice Destroys synths in the Vault, against debt that is paid back.
    @param amount How many, in 1e-18.
    """
    assert msg.sender == VAULT, "T:VAULT"
    erc20._burn(msg.sender, amount)

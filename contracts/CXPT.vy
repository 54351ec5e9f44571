# pragma version 0.4.3
"""
@title CXPT
@license MIT
@author Cxmpute DEX
@notice Cash of the exchange in a wallet: one CXPT is one USDC in the Vault's reserve, and can be redeemed for it.
        It trades only on the exchange, so a wallet can give it to the Vault and to nobody else.
@dev Only the Vault moves tokens. A transfer that the holder sends to the Vault directly is refused as well:
     the Vault could not tell whose it was. Errors: C:VAULT, C:TRANSFER, and those of the erc20 module.
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

DECIMALS: constant(uint8) = 6  # the same as USDC: one unit is 1e-6 USDC

VAULT: public(immutable(address))


@deploy
def __init__(vault: address):
    """
    @param vault The Vault, which alone mints, burns and moves CXPT.
    """
    assert vault != empty(address), "C:VAULT"
    VAULT = vault
    erc20.__init__("Cxmpute Token", "CXPT", DECIMALS)


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Pays CXPT out of the Vault. Holders deposit with `Vault.depositAsset` or redeem with `Vault.redeemCxpt`.
    @param to Who receives it.
    @param amount How much, in 1e-6 CXPT.
    @return Always True.
    """
    assert msg.sender == VAULT, "C:TRANSFER"
    erc20._transfer(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Takes CXPT into the Vault, within the allowance that its owner gave.
    @param owner Whose CXPT.
    @param to The Vault.
    @param amount How much, in 1e-6 CXPT.
    @return Always True.
    """
    assert msg.sender == VAULT and to == VAULT, "C:TRANSFER"
    erc20._spend_allowance(owner, msg.sender, amount)
    erc20._transfer(owner, to, amount)
    return True


@external
def mint(to: address, amount: uint256):
    """
    @notice Creates CXPT for USDC that the Vault has moved into the reserve.
    @param to Who receives it.
    @param amount How much, in 1e-6 CXPT.
    """
    assert msg.sender == VAULT, "C:VAULT"
    erc20._mint(to, amount)


@external
def burn(owner: address, amount: uint256):
    """
    @notice Destroys CXPT for USDC that the Vault moves out of the reserve, at the owner's call.
    @param owner Whose CXPT.
    @param amount How much, in 1e-6 CXPT.
    """
    assert msg.sender == VAULT, "C:VAULT"
    erc20._burn(owner, amount)

# pragma version 0.4.3
"""
@title Mint engine
@license MIT
@author Cxmpute DEX
@notice For tests of Settlement alone: mints at a fixed price, or behaves in one of the ways that Settlement must survive.
"""

interface IVault:
    def credit(account: address, asset: uint256, amount: uint256) -> uint256: nonpayable


HONEST: constant(uint256) = 0
REFUSES: constant(uint256) = 1
BURNS: constant(uint256) = 2  # all the gas it is given
SILENT: constant(uint256) = 3  # mints and returns nothing
GREEDY: constant(uint256) = 4  # locks one unit more than it may
ICR_PERCENT: constant(uint256) = 150
UNIT: constant(uint256) = 10**18
PERCENT: constant(uint256) = 100

VAULT: public(immutable(address))

price: public(uint256)  # 1e-6 USDC for a whole synth
mode: public(uint256)
debt: public(HashMap[address, HashMap[uint256, uint256]])
collateral: public(HashMap[address, HashMap[uint256, uint256]])


@deploy
def __init__(vault: address):
    """
    @param vault Who credits.
    """
    VAULT = vault


@external
def setPrice(price: uint256):
    """
    @param price Of a whole synth, in 1e-6 USDC.
    """
    self.price = price


@external
def setMode(mode: uint256):
    """
    @param mode How it behaves.
    """
    self.mode = mode


@external
@raw_return
def mintForFill(account: address, asset: uint256, amount: uint256, proceeds: uint256, most: uint256) -> Bytes[32]:
    """
    @param account The seller.
    @param asset Number of the synth.
    @param amount How much of it, 1e-18.
    @param proceeds What the sale brings for it, 1e-6 USDC; all of it becomes collateral.
    @param most Most that may become collateral.
    @return What became collateral.
    """
    if self.mode == REFUSES:
        raise "E:REFUSED"
    if self.mode == BURNS:
        for _i: uint256 in range(max_value(uint256)):
            pass
    debt: uint256 = self.debt[account][asset] + amount
    value: uint256 = (debt * self.price + UNIT - 1) // UNIT
    required: uint256 = (value * ICR_PERCENT + PERCENT - 1) // PERCENT
    held: uint256 = self.collateral[account][asset]
    locked: uint256 = proceeds
    if required > held + proceeds:
        locked = required - held
    assert locked <= most, "E:TOPUP"
    if self.mode == GREEDY:
        locked = most + 1
    self.debt[account][asset] = debt
    self.collateral[account][asset] = held + locked
    extcall IVault(VAULT).credit(account, asset, amount)
    if self.mode == SILENT:
        return b""
    return abi_encode(locked)

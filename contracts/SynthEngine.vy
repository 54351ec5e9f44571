# pragma version 0.4.3
"""
@title SynthEngine
@license MIT
@author Cxmpute DEX
@notice Debt positions: an account locks USDC worth at least 150 % of the synths that it mints.
@dev Collateral is rounded up, so a position is never short by a unit. What makes a position riskier (mint, take out
     collateral while in debt) needs a fresh price; what makes it safer (burn, add collateral) never does.
     Sum of debt = supply of the synth; sum of collateral = `Vault.collateralTotal`.
     Errors: E:ZERO, E:ASSET, E:DEBT, E:COLLATERAL, E:RATIO, and those of Oracle and Vault.
"""

# pragma nonreentrancy on

from contracts.interfaces import IOracle
from contracts.interfaces import IVault

MIN_RATIO_BPS: constant(uint256) = 15_000
BPS: constant(uint256) = 10_000
WHOLE_SYNTH: constant(uint256) = 10**18

VAULT: public(immutable(address))
ORACLE: public(immutable(address))

struct Position:
    debt: uint256  # 1e-18 of the synth
    collateral: uint256  # 1e-6 USDC

event DebtChanged:
    account: indexed(address)
    asset: indexed(uint256)
    debt: uint256
    collateral: uint256

positions: public(HashMap[address, HashMap[uint256, Position]])


@deploy
def __init__(vault: address, oracle: address):
    """
    @param vault Holds collateral and synths.
    @param oracle Says what a synth costs.
    """
    assert vault != empty(address) and oracle != empty(address), "E:ZERO"
    VAULT = vault
    ORACLE = oracle


@external
def mint(asset: uint256, amount: uint256, collateral: uint256):
    """
    @notice Mints synths into the caller's trading balance against cash that it locks.
    @param asset Number of the synth.
    @param amount How many, in 1e-18.
    @param collateral Cash to lock in addition to what is locked already, in 1e-6 USDC; may be 0.
    """
    assert amount != 0, "E:ZERO"
    position: Position = self.positions[msg.sender][asset]
    position.debt += amount
    position.collateral += collateral
    self._check_ratio(asset, position)
    self._store(asset, position)
    if collateral != 0:
        extcall IVault(VAULT).lockCollateral(msg.sender, collateral)
    extcall IVault(VAULT).mintSynth(asset, msg.sender, amount)


@external
def burn(asset: uint256, amount: uint256):
    """
    @notice Pays debt back with synths of the caller's trading balance. The collateral stays until it is withdrawn.
    @param asset Number of the synth.
    @param amount How many, in 1e-18; at most the debt.
    """
    assert amount != 0, "E:ZERO"
    position: Position = self.positions[msg.sender][asset]
    assert amount <= position.debt, "E:DEBT"
    position.debt -= amount
    self._store(asset, position)
    extcall IVault(VAULT).burnSynth(asset, msg.sender, amount)


@external
def addCollateral(asset: uint256, amount: uint256):
    """
    @notice Locks more cash of the caller behind its debt.
    @param asset Number of the synth.
    @param amount How much, in 1e-6 USDC.
    """
    assert amount != 0, "E:ZERO"
    assert staticcall IVault(VAULT).synthOf(asset) != empty(address), "E:ASSET"
    position: Position = self.positions[msg.sender][asset]
    position.collateral += amount
    self._store(asset, position)
    extcall IVault(VAULT).lockCollateral(msg.sender, amount)


@external
def withdrawCollateral(asset: uint256, amount: uint256):
    """
    @notice Moves collateral back into the caller's trading balance: down to 150 %, or all of it without debt.
    @param asset Number of the synth.
    @param amount How much, in 1e-6 USDC.
    """
    assert amount != 0, "E:ZERO"
    position: Position = self.positions[msg.sender][asset]
    assert amount <= position.collateral, "E:COLLATERAL"
    position.collateral -= amount
    if position.debt != 0:
        self._check_ratio(asset, position)
    self._store(asset, position)
    extcall IVault(VAULT).releaseCollateral(msg.sender, amount)


@external
@view
def requiredCollateral(asset: uint256, debt: uint256) -> uint256:
    """
    @notice Least collateral with which this debt may be taken on now. Reverts without a fresh price.
    @param asset Number of the synth.
    @param debt In 1e-18.
    @return In 1e-6 USDC, rounded up.
    """
    return self._required(asset, debt)


@internal
def _store(asset: uint256, position: Position):
    self.positions[msg.sender][asset] = position
    log DebtChanged(account=msg.sender, asset=asset, debt=position.debt, collateral=position.collateral)


@internal
@view
def _check_ratio(asset: uint256, position: Position):
    assert position.collateral >= self._required(asset, position.debt), "E:RATIO"


@internal
@view
def _required(asset: uint256, debt: uint256) -> uint256:
    price: uint256 = staticcall IOracle(ORACLE).price(asset)
    scale: uint256 = WHOLE_SYNTH * BPS
    return (debt * price * MIN_RATIO_BPS + scale - 1) // scale

# pragma version 0.4.3
"""
@title Debt book
@license MIT
@author Cxmpute DEX
@notice Who owes how many synths against how much USDC, and how much of a synth there may be.
@dev Owns:     the positions, and of each asset its cap, its total debt, how many positions owe it, and the price at which
               it was wound down.
     Promises: `_store` is the only way to change a position; it keeps the totals and announces the position after the
               change. The total debt of an asset is the sum of its positions' debts.
     Never:    moves money or tokens.
     A position is one word, debt 128 | collateral 128, lowest bits first: half the storage of two words, which is 9 % of
     what a first mint costs.
     Units: debt and caps in 1e-18 of the synth, collateral in 1e-6 USDC, prices in 1e-6 USDC per whole synth, ratios in
     1/10,000. An amount is below 2**128 and a price at most 2**96 - 1 (Oracle), so that no product here overflows.
     Errors: E:ZERO, E:ASSET, E:RANGE, E:RATIO, E:WOUND, and those of Oracle.
"""

# pragma nonreentrancy on

from contracts.interfaces import IOracle

BPS: constant(uint256) = 10_000
WHOLE_SYNTH: constant(uint256) = 10**18
VALUE_SCALE: constant(uint256) = WHOLE_SYNTH * BPS  # debt * price * bps is in 1/VALUE_SCALE of 1e-6 USDC
MIN_RATIO_BPS: constant(uint256) = 15_000  # what a position has after it took on debt or gave collateral back

AMOUNT_BITS: constant(uint256) = 128
MAX_AMOUNT: constant(uint256) = 2**AMOUNT_BITS - 1

VAULT: public(immutable(address))
ORACLE: public(immutable(address))

struct Position:
    debt: uint256
    collateral: uint256

struct Asset:
    opened: bool
    cap: uint256
    debt: uint256  # of all positions
    indebted: uint256  # how many positions owe anything
    woundPrice: uint256  # not zero once the asset is wound down

event DebtChanged:
    account: indexed(address)
    asset: indexed(uint256)
    debt: uint256
    collateral: uint256

assets: public(HashMap[uint256, Asset])
_positions: HashMap[address, HashMap[uint256, uint256]]


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
@view
def positions(account: address, asset: uint256) -> Position:
    """
    @notice What an account owes and has locked behind it.
    @param account Whose position.
    @param asset Number of the synth.
    @return Debt in 1e-18 of the synth, collateral in 1e-6 USDC.
    """
    return self._position(account, asset)


@external
@view
def requiredCollateral(asset: uint256, debt: uint256) -> uint256:
    """
    @notice Least collateral with which this debt may be taken on now. Reverts without a fresh price.
    @param asset Number of the synth.
    @param debt In 1e-18.
    @return In 1e-6 USDC, rounded up.
    """
    return self._required(debt, self._price(asset))


@internal
@view
def _position(account: address, asset: uint256) -> Position:
    word: uint256 = self._positions[account][asset]
    return Position(debt=word & MAX_AMOUNT, collateral=word >> AMOUNT_BITS)


@internal
def _store(account: address, asset: uint256, position: Position):
    """
    @dev Writes a position, keeps the asset's totals, and announces it.
    """
    assert position.debt <= MAX_AMOUNT and position.collateral <= MAX_AMOUNT, "E:RANGE"
    before: uint256 = self._positions[account][asset] & MAX_AMOUNT
    self._positions[account][asset] = position.debt | (position.collateral << AMOUNT_BITS)
    if position.debt != before:
        self.assets[asset].debt = self.assets[asset].debt + position.debt - before
        if before == 0:
            self.assets[asset].indebted += 1
        elif position.debt == 0:
            self.assets[asset].indebted -= 1
    log DebtChanged(account=account, asset=asset, debt=position.debt, collateral=position.collateral)


@internal
@view
def _price(asset: uint256) -> uint256:
    """
    @dev A price that is fit for use now; the Oracle reverts when there is none.
    """
    return staticcall IOracle(ORACLE).price(asset)


@internal
@view
def _only_live(asset: uint256):
    assert self.assets[asset].opened, "E:ASSET"
    assert self.assets[asset].woundPrice == 0, "E:WOUND"


@internal
@pure
def _check_ratio(position: Position, price: uint256):
    assert position.collateral >= self._required(position.debt, price), "E:RATIO"


@internal
@pure
def _required(debt: uint256, price: uint256) -> uint256:
    """
    @dev Rounded up: a position is never short by a unit.
    """
    return self._divide_up(debt * price * MIN_RATIO_BPS, VALUE_SCALE)


@internal
@pure
def _divide_up(dividend: uint256, divisor: uint256) -> uint256:
    """
    @dev The dividend plus the divisor stays below 2**256: see the units above.
    """
    return (dividend + divisor - 1) // divisor

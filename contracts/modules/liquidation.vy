# pragma version 0.4.3
"""
@title Liquidation
@license MIT
@author Cxmpute DEX
@notice Whoever is below 125 % loses debt, and for it collateral worth at most 105 % of that debt, to anyone who brings
        the synths or takes the debt over.
@dev Owns:     nothing.
     Promises: a position has as much collateral per unit of debt afterwards as before, or more: what goes is at most the
               share of the collateral that the debt is of all debt, rounded down. The owner keeps what is left.
     Never:    depends on anything that the owner can refuse, or on a pause.
     Without a fresh price nobody is liquidated; adding collateral and burning, which prevent it, need no price.
     Errors: E:ZERO, E:HEALTHY, E:SELF, those of the debt book, of Vault and of Oracle.
"""

# pragma nonreentrancy on

from contracts.interfaces import IVault
from contracts.modules import debt_book as book

uses: book

LIQUIDATION_RATIO_BPS: constant(uint256) = 12_500  # a position below it can be liquidated
REWARD_BPS: constant(uint256) = 10_500  # most that goes to the liquidator, of the value of the debt

# kinds of liquidation
BURNT: constant(uint256) = 0
TAKEN_OVER: constant(uint256) = 1

event Liquidated:
    account: indexed(address)
    asset: indexed(uint256)
    liquidator: indexed(address)
    debt: uint256
    collateral: uint256
    kind: uint256


@external
def liquidate(account: address, asset: uint256, amount: uint256):
    """
    @notice Burns synths of the caller's wallet against the debt of a position below 125 %, for collateral worth 105 % of
            them, or for their share of the collateral when that is less. It arrives in the caller's trading balance.
    @param account Whose position.
    @param asset Number of the synth.
    @param amount How many synths, in 1e-18; the whole debt when it is less than that.
    """
    debt: uint256 = 0
    seized: uint256 = 0
    debt, seized = self._seize(account, asset, amount, book._price(asset))
    log Liquidated(account=account, asset=asset, liquidator=msg.sender, debt=debt, collateral=seized, kind=BURNT)
    extcall IVault(book.VAULT).burnSynth(asset, msg.sender, debt)
    if seized != 0:
        extcall IVault(book.VAULT).releaseCollateral(msg.sender, seized)


@external
def takeOver(account: address, asset: uint256, amount: uint256, collateral: uint256):
    """
    @notice Moves debt of a position below 125 % into the caller's own, with collateral worth 105 % of it, or with its
            share of the collateral when that is less. The caller's position must have 150 % afterwards. Needs no synths.
    @param account Whose position; not the caller's.
    @param asset Number of the synth.
    @param amount Debt to take over, in 1e-18; the whole debt when it is less than that.
    @param collateral USDC of the caller's wallet to lock in addition, in 1e-6; may be 0.
    """
    assert account != msg.sender, "E:SELF"
    price: uint256 = book._price(asset)
    debt: uint256 = 0
    seized: uint256 = 0
    debt, seized = self._seize(account, asset, amount, price)
    position: book.Position = book._position(msg.sender, asset)
    position.debt += debt
    position.collateral += seized
    if collateral != 0:
        position.collateral += extcall IVault(book.VAULT).lockCollateral(msg.sender, collateral)
    book._check_ratio(position, price)
    book._store(msg.sender, asset, position)
    log Liquidated(
        account=account, asset=asset, liquidator=msg.sender, debt=debt, collateral=seized, kind=TAKEN_OVER
    )


@internal
def _seize(account: address, asset: uint256, amount: uint256, price: uint256) -> (uint256, uint256):
    """
    @dev Takes debt and collateral out of a position that may be liquidated. Both bounds are rounded down, so the
         position keeps what a division leaves over. More than the debt is asked for in vain and not refused: the owner
         could otherwise stop a liquidation by burning a unit at the last moment.
    @return The debt and the collateral that went.
    """
    book._only_live(asset)
    assert amount != 0, "E:ZERO"
    position: book.Position = book._position(account, asset)
    # The same as collateral / (debt * price) < 125 %, without a division.
    assert position.collateral * book.VALUE_SCALE < position.debt * price * LIQUIDATION_RATIO_BPS, "E:HEALTHY"
    debt: uint256 = min(amount, position.debt)
    seized: uint256 = min(debt * price * REWARD_BPS // book.VALUE_SCALE, position.collateral * debt // position.debt)
    position.debt -= debt
    position.collateral -= seized
    book._store(account, asset, position)
    return debt, seized

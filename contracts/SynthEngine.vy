# pragma version 0.4.3
"""
@title SynthEngine
@license MIT
@author Cxmpute DEX
@notice Synths are debt: an account locks USDC worth at least 150 % of what it mints, and whoever holds a synth gets out
        what backs it.
@dev Owns:     the rules under which debt comes and goes. The modules own its parts: the debt book positions and caps,
               and liquidation, redemption and wind-down the three ways in which others end a debt.
     Promises: what makes a position riskier (mint, give collateral back while in debt) needs a fresh price and ends at
               150 % or more; what makes it safer (burn, add collateral) needs no price and is never paused.
               Sum of debt = supply of the synth, until it is wound down. Sum of collateral and pots =
               `Vault.collateralTotal`.
     Never:    takes anything out of a trading balance, except what a signed order lets a fill lock: collateral and
               burnt synths come from the caller's wallet, within its allowance to the Vault.
     Divisions are rounded for the protocol: what must be locked or paid up, what is paid out or given away down.
     Errors: E:ZERO, E:ASSET, E:RANGE, E:CAP, E:DEBT, E:COLLATERAL, E:RATIO, E:TOPUP, E:SETTLEMENT, E:GATEWAY, E:GUARDIAN,
     E:TIMELOCK, E:WOUND, those of the modules, of Vault and of Oracle.
"""

# pragma nonreentrancy on

from contracts.interfaces import ISynthEngine
from contracts.interfaces import IVault
from contracts.modules import brake
from contracts.modules import debt_book as book
from contracts.modules import initializable
from contracts.modules import liquidation
from contracts.modules import redemption
from contracts.modules import wind_down

implements: ISynthEngine

initializes: initializable
initializes: book
initializes: liquidation[book := book]
initializes: redemption[book := book]
initializes: wind_down[book := book]
initializes: brake

exports: initializable.__interface__
exports: book.__interface__
exports: liquidation.__interface__
exports: redemption.__interface__
exports: wind_down.__interface__
exports: brake.__interface__

SETTLEMENT: public(immutable(address))
GATEWAY: public(immutable(address))

event AssetOpened:
    asset: indexed(uint256)
    cap: uint256

event CapChanged:
    asset: indexed(uint256)
    previous: uint256
    cap: uint256


@deploy
def __init__(
    vault: address, oracle: address, settlement: address, gateway: address, guardian: address, timelock: address
):
    """
    @param vault Holds collateral and synths.
    @param oracle Says what a synth costs.
    @param settlement Mints for fills of orders that allow it.
    @param gateway Opens assets.
    @param guardian Lowers caps, and pauses minting for a while.
    @param timelock Raises caps, winds assets down, and ends a pause early.
    """
    assert settlement != empty(address) and gateway != empty(address), "E:ZERO"
    SETTLEMENT = settlement
    GATEWAY = gateway
    initializable.__init__()
    book.__init__(vault, oracle)
    wind_down.__init__(timelock)
    brake.__init__(guardian, timelock)


# ------------------------------------------------------------------ caps


@external
def openAsset(asset: uint256, cap: uint256):
    """
    @notice Lets a synth be minted, up to a cap on its supply. GATEWAY only, once for each synth.
    @param asset Number of the synth.
    @param cap Most that may exist, in 1e-18; below 2**128.
    """
    assert msg.sender == GATEWAY, "E:GATEWAY"
    assert staticcall IVault(book.VAULT).synthOf(asset) != empty(address), "E:ASSET"
    assert not book.assets[asset].opened, "E:ASSET"
    assert cap <= book.MAX_AMOUNT, "E:CAP"
    book.assets[asset].opened = True
    book.assets[asset].cap = cap
    log AssetOpened(asset=asset, cap=cap)


@external
def raiseCap(asset: uint256, cap: uint256):
    """
    @notice Lets more of a synth exist. TIMELOCK only.
    @param asset Number of the synth.
    @param cap Most that may exist, in 1e-18; below 2**128.
    """
    assert msg.sender == wind_down.TIMELOCK, "E:TIMELOCK"
    assert cap > book.assets[asset].cap and cap <= book.MAX_AMOUNT, "E:CAP"
    self._set_cap(asset, cap)


@external
def lowerCap(asset: uint256, cap: uint256):
    """
    @notice Lets less of a synth be minted; what exists may stay. GUARDIAN only.
    @param asset Number of the synth.
    @param cap Most that may exist after a mint, in 1e-18.
    """
    assert msg.sender == brake.GUARDIAN, "E:GUARDIAN"
    assert cap < book.assets[asset].cap, "E:CAP"
    self._set_cap(asset, cap)


# ------------------------------------------------------------------ positions


@external
def mint(asset: uint256, amount: uint256, collateral: uint256):
    """
    @notice Mints synths into the caller's trading balance, against USDC that it locks out of its wallet.
    @param asset Number of the synth.
    @param amount How many, in 1e-18.
    @param collateral USDC to lock in addition to what is locked already, in 1e-6; may be 0.
    """
    self._check_mint(asset, amount)
    position: book.Position = book._position(msg.sender, asset)
    position.debt += amount
    if collateral != 0:
        position.collateral += extcall IVault(book.VAULT).lockCollateral(msg.sender, collateral)
    book._check_ratio(position, book._price(asset))
    book._store(msg.sender, asset, position)
    extcall IVault(book.VAULT).mintSynth(asset, msg.sender, amount)


@external
def burn(asset: uint256, amount: uint256):
    """
    @notice Pays debt back with synths of the caller's wallet. The collateral stays until it is withdrawn.
    @param asset Number of the synth.
    @param amount How many, in 1e-18; at most the debt.
    """
    book._only_live(asset)
    assert amount != 0, "E:ZERO"
    position: book.Position = book._position(msg.sender, asset)
    assert amount <= position.debt, "E:DEBT"
    position.debt -= amount
    book._store(msg.sender, asset, position)
    extcall IVault(book.VAULT).burnSynth(asset, msg.sender, amount)


@external
def addCollateral(asset: uint256, amount: uint256):
    """
    @notice Locks more USDC of the caller's wallet behind its debt. Nothing ever stops it.
    @param asset Number of the synth.
    @param amount How much, in 1e-6 USDC.
    """
    assert book.assets[asset].opened, "E:ASSET"
    assert amount != 0, "E:ZERO"
    position: book.Position = book._position(msg.sender, asset)
    position.collateral += extcall IVault(book.VAULT).lockCollateral(msg.sender, amount)
    book._store(msg.sender, asset, position)


@external
def withdrawCollateral(asset: uint256, amount: uint256):
    """
    @notice Moves collateral into the caller's trading balance: down to 150 %, or all of it without debt.
    @param asset Number of the synth.
    @param amount How much, in 1e-6 USDC.
    """
    assert amount != 0, "E:ZERO"
    position: book.Position = book._position(msg.sender, asset)
    assert amount <= position.collateral, "E:COLLATERAL"
    position.collateral -= amount
    if position.debt != 0:
        book._only_live(asset)
        book._check_ratio(position, book._price(asset))
    book._store(msg.sender, asset, position)
    extcall IVault(book.VAULT).releaseCollateral(msg.sender, amount)


@external
def mintForFill(
    account: address, asset: uint256, amount: uint256, proceeds: uint256, maxLocked: uint256
) -> uint256:
    """
    @notice Mints what a seller is short of in a fill, when the signed order allows it: the proceeds of these synths become
            collateral, and cash of the trading balance fills it up to 150 %. SETTLEMENT only.
    @dev Settlement takes what is locked out of the seller's cash itself and tells the Vault, in the same transaction: the
         seller's balance is in its memory meanwhile. The synths are credited at once, for the buyer.
    @param account The seller.
    @param asset Number of the synth.
    @param amount How many synths, in 1e-18.
    @param proceeds What the buyer pays for them, in 1e-6 USDC.
    @param maxLocked Most cash that may be locked, proceeds included, in 1e-6 USDC: what the order allows and there is.
    @return Cash that is locked: the proceeds, and what was missing to 150 %.
    """
    assert msg.sender == SETTLEMENT, "E:SETTLEMENT"
    self._check_mint(asset, amount)
    position: book.Position = book._position(account, asset)
    position.debt += amount
    required: uint256 = book._required(position.debt, book._price(asset))
    locked: uint256 = proceeds
    if required > position.collateral + proceeds:
        locked = required - position.collateral
    assert locked <= maxLocked, "E:TOPUP"
    position.collateral += locked
    book._store(account, asset, position)
    extcall IVault(book.VAULT).mintSynth(asset, account, amount)
    return locked


# ------------------------------------------------------------------ internal


@internal
@view
def _check_mint(asset: uint256, amount: uint256):
    """
    @dev What must hold before anybody may owe more of an asset.
    """
    brake._only_running()
    book._only_live(asset)
    assert amount != 0, "E:ZERO"
    assert amount <= book.MAX_AMOUNT and book.assets[asset].debt + amount <= book.assets[asset].cap, "E:CAP"


@internal
def _set_cap(asset: uint256, cap: uint256):
    book._only_live(asset)
    log CapChanged(asset=asset, previous=book.assets[asset].cap, cap=cap)
    book.assets[asset].cap = cap

# pragma version 0.4.3
"""
@title Vault
@license MIT
@author Cxmpute DEX
@notice Holds all USDC, CXPT and synths of the exchange, and is the only door in and out.
@dev What is inside is in exactly one place:
       trading balances   in Settlement's ledger, which fills move; `ledgerTotal` is their sum
       pending            left the trading balance, waits to be claimed
       collateral         USDC behind synth debt
       CXPT reserve       USDC behind CXPT, one to one
     Each asset's token balance is at least the sum. Only measured transfers and mints change the sum, so a donation
     changes nobody's claim. One share is 1e-6 USDC for ever.
     Every change of a trading balance here emits one event with the balance after it.
     Assets: 0 USDC, 1 CXPT, from 2 the synths. Units: 1e-6 for 0 and 1, 1e-18 for synths.
     Errors: V:ZERO, V:ASSET, V:TRANSFER, V:OWNER, V:DELAY, V:CXPT, V:ENGINE, those of the modules and of Settlement.
"""

# pragma nonreentrancy on

from ethereum.ercs import IERC20
from contracts.interfaces import ICXPT
from contracts.interfaces import ISettlement
from contracts.interfaces import ISynth
from contracts.interfaces import IVault
from contracts.modules import synth_registry as registry
from contracts.modules import withdrawal_queue as queue

implements: IVault

initializes: queue
initializes: registry

exports: registry.__interface__
exports: (
    queue.withdrawals,
    queue.withdrawalCount,
    queue.withdrawalDelay,
    queue.pendingTotal,
)

USDC_ASSET: constant(uint256) = 0
CXPT_ASSET: constant(uint256) = 1

USDC: public(immutable(address))
CXPT: public(immutable(address))
SETTLEMENT: public(immutable(address))
SYNTH_ENGINE: public(immutable(address))

event Deposited:
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    balance: uint256

event WithdrawRequested:
    id: indexed(uint256)
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    asCxpt: bool
    claimableAt: uint256
    balance: uint256

event WithdrawCancelled:
    id: indexed(uint256)
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    balance: uint256

event WithdrawClaimed:
    id: indexed(uint256)
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    asCxpt: bool

event CxptRedeemed:
    account: indexed(address)
    amount: uint256
    balance: uint256

event CollateralLocked:
    account: indexed(address)
    amount: uint256
    balance: uint256

event CollateralReleased:
    account: indexed(address)
    amount: uint256
    balance: uint256

event SynthMinted:
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    balance: uint256
    supply: uint256

event SynthBurned:
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    balance: uint256
    supply: uint256

ledgerTotal: public(HashMap[uint256, uint256])  # by asset: all trading balances, with fees not yet collected
collateralTotal: public(uint256)  # 1e-6 USDC
cxptReserve: public(uint256)  # 1e-6 USDC


@deploy
def __init__(
    usdc: address, cxpt: address, settlement: address, synth_factory: address, synth_engine: address, delay: uint256
):
    """
    @param usdc The one currency.
    @param cxpt The token that stands for USDC in the reserve.
    @param settlement Keeps the trading balances.
    @param synth_factory Registers synths.
    @param synth_engine Locks collateral, mints and burns.
    @param delay Seconds between request and claim of a withdrawal, at most 6 hours.
    """
    for part: address in [usdc, cxpt, settlement, synth_factory, synth_engine]:
        assert part != empty(address), "V:ZERO"
    USDC = usdc
    CXPT = cxpt
    SETTLEMENT = settlement
    SYNTH_ENGINE = synth_engine
    registry.__init__(synth_factory)
    queue.__init__(delay)


# ------------------------------------------------------------------ deposits


@external
def deposit(amount: uint256):
    """
    @notice Brings USDC in, within the allowance given to the Vault. What arrives is credited.
    @param amount How much to send, in 1e-6 USDC.
    """
    self._deposit(USDC_ASSET, amount)


@external
def depositWithPermit(amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    """
    @notice Brings USDC in with an allowance that the caller signed (EIP-2612), in one transaction.
    @dev Whoever sees the permit can submit it first. The allowance is then there all the same, so the outcome of the
         permit does not matter; the allowance does.
    @param amount How much to send, in 1e-6 USDC; the permit is for the same amount.
    @param deadline Last second, in unix time, at which the permit is good.
    @param v Recovery byte of the signature.
    @param r First half of the signature.
    @param s Second half of the signature.
    """
    permitted: bool = raw_call(
        USDC,
        abi_encode(
            msg.sender,
            self,
            amount,
            deadline,
            v,
            r,
            s,
            method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
        ),
        revert_on_failure=False,
    )
    self._deposit(USDC_ASSET, amount)


@external
def depositAsset(asset: uint256, amount: uint256):
    """
    @notice Brings USDC, CXPT or a synth in, within the allowance given to the Vault.
    @param asset Number of the asset.
    @param amount How much to send, in the asset's unit.
    """
    self._deposit(asset, amount)


# ------------------------------------------------------------------ withdrawals


@external
def requestWithdraw(asset: uint256, amount: uint256, asCxpt: bool) -> uint256:
    """
    @notice Takes an amount out of the caller's trading balance, to be claimed after the delay. Nobody can refuse.
    @param asset Number of the asset.
    @param amount How much, in the asset's unit.
    @param asCxpt Whether USDC is paid out as CXPT, one to one; False for any other asset.
    @return Number of the request.
    """
    assert amount != 0, "V:ZERO"
    assert not asCxpt or asset == USDC_ASSET, "V:CXPT"
    assert self._token(asset) != empty(address), "V:ASSET"
    balance: uint256 = self._debit(msg.sender, asset, amount)
    id: uint256 = 0
    claimable_at: uint256 = 0
    id, claimable_at = queue._push(msg.sender, asset, amount, asCxpt)
    log WithdrawRequested(
        id=id,
        account=msg.sender,
        asset=asset,
        amount=amount,
        asCxpt=asCxpt,
        claimableAt=claimable_at,
        balance=balance,
    )
    return id


@external
def cancelWithdraw(id: uint256):
    """
    @notice Puts a withdrawal that was not claimed back into its owner's trading balance. Owner only.
    @param id Number of the request.
    """
    withdrawal: queue.Withdrawal = queue._pop(id)
    assert msg.sender == withdrawal.account, "V:OWNER"
    balance: uint256 = self._credit(withdrawal.account, withdrawal.asset, withdrawal.amount)
    log WithdrawCancelled(
        id=id, account=withdrawal.account, asset=withdrawal.asset, amount=withdrawal.amount, balance=balance
    )


@external
def claimWithdraw(id: uint256):
    """
    @notice Pays a withdrawal to its owner once the delay is over. Anyone may call it; it pays nobody else.
    @dev If the token refuses the owner, only this claim reverts, and stays claimable.
    @param id Number of the request.
    """
    withdrawal: queue.Withdrawal = queue._pop(id)
    assert block.timestamp >= withdrawal.claimableAt, "V:DELAY"
    log WithdrawClaimed(
        id=id,
        account=withdrawal.account,
        asset=withdrawal.asset,
        amount=withdrawal.amount,
        asCxpt=withdrawal.asCxpt,
    )
    if withdrawal.asCxpt:
        self.cxptReserve += withdrawal.amount
        extcall ICXPT(CXPT).mint(withdrawal.account, withdrawal.amount)
    else:
        token: address = self._token(withdrawal.asset)
        assert extcall IERC20(token).transfer(
            withdrawal.account, withdrawal.amount, default_return_value=True
        ), "V:TRANSFER"


@external
def redeemCxpt(amount: uint256):
    """
    @notice Turns CXPT of the caller's wallet into cash in the trading balance, one to one.
    @param amount How much, in 1e-6.
    """
    assert amount != 0, "V:ZERO"
    self.cxptReserve -= amount
    extcall ICXPT(CXPT).burn(msg.sender, amount)
    balance: uint256 = self._credit(msg.sender, USDC_ASSET, amount)
    log CxptRedeemed(account=msg.sender, amount=amount, balance=balance)


# ------------------------------------------------------------------ SynthEngine


@external
def lockCollateral(account: address, amount: uint256):
    """
    @notice Moves cash behind synth debt. SynthEngine only.
    @param account Whose cash.
    @param amount How much, in 1e-6 USDC.
    """
    self._only_engine()
    balance: uint256 = self._debit(account, USDC_ASSET, amount)
    self.collateralTotal += amount
    log CollateralLocked(account=account, amount=amount, balance=balance)


@external
def releaseCollateral(account: address, amount: uint256):
    """
    @notice Moves collateral back into cash. SynthEngine only.
    @param account Whose cash.
    @param amount How much, in 1e-6 USDC.
    """
    self._only_engine()
    self.collateralTotal -= amount
    balance: uint256 = self._credit(account, USDC_ASSET, amount)
    log CollateralReleased(account=account, amount=amount, balance=balance)


@external
def mintSynth(asset: uint256, account: address, amount: uint256):
    """
    @notice Creates synths in a trading balance. SynthEngine only.
    @param asset Number of the synth.
    @param account Who gets them.
    @param amount How many, in 1e-18.
    """
    self._only_engine()
    synth: address = registry._token(asset)
    extcall ISynth(synth).mint(amount)
    balance: uint256 = self._credit(account, asset, amount)
    supply: uint256 = staticcall ISynth(synth).totalSupply()
    log SynthMinted(account=account, asset=asset, amount=amount, balance=balance, supply=supply)


@external
def burnSynth(asset: uint256, account: address, amount: uint256):
    """
    @notice Destroys synths of a trading balance. SynthEngine only.
    @param asset Number of the synth.
    @param account Whose synths.
    @param amount How many, in 1e-18.
    """
    self._only_engine()
    synth: address = registry._token(asset)
    balance: uint256 = self._debit(account, asset, amount)
    extcall ISynth(synth).burn(amount)
    supply: uint256 = staticcall ISynth(synth).totalSupply()
    log SynthBurned(account=account, asset=asset, amount=amount, balance=balance, supply=supply)


# ------------------------------------------------------------------ views


@external
@view
def balanceOf(account: address, asset: uint256) -> uint256:
    """
    @notice A trading balance.
    @param account Whose.
    @param asset Number of the asset.
    @return The balance, in the asset's unit.
    """
    return staticcall ISettlement(SETTLEMENT).balanceOf(account, asset)


@external
@view
def sharesOf(account: address) -> uint256:
    """
    @notice Shares of the Vault's cash: the trading balance in USDC.
    @param account Whose.
    @return Shares; each is 1e-6 USDC.
    """
    return staticcall ISettlement(SETTLEMENT).balanceOf(account, USDC_ASSET)


@external
@view
def totalAssets() -> uint256:
    """
    @notice Cash behind all shares. Donations to the Vault are not in it.
    @return In 1e-6 USDC.
    """
    return self.ledgerTotal[USDC_ASSET]


@external
@view
def convertToShares(assets: uint256) -> uint256:
    """
    @notice Shares for an amount of cash. The rate is 1 and cannot change.
    @param assets In 1e-6 USDC.
    @return The same number.
    """
    return assets


@external
@view
def convertToAssets(shares: uint256) -> uint256:
    """
    @notice Cash for a number of shares. The rate is 1 and cannot change.
    @param shares How many.
    @return The same number, in 1e-6 USDC.
    """
    return shares


# ------------------------------------------------------------------ internal


@internal
def _deposit(asset: uint256, amount: uint256):
    """
    @dev Credits the difference that the transfer makes, whatever the token claims to have sent.
    """
    token: IERC20 = IERC20(self._token(asset))
    before: uint256 = staticcall token.balanceOf(self)
    assert extcall token.transferFrom(msg.sender, self, amount, default_return_value=True), "V:TRANSFER"
    received: uint256 = staticcall token.balanceOf(self) - before
    assert received != 0, "V:ZERO"
    balance: uint256 = self._credit(msg.sender, asset, received)
    log Deposited(account=msg.sender, asset=asset, amount=received, balance=balance)


@internal
def _credit(account: address, asset: uint256, amount: uint256) -> uint256:
    self.ledgerTotal[asset] += amount
    return extcall ISettlement(SETTLEMENT).credit(account, asset, amount)


@internal
def _debit(account: address, asset: uint256, amount: uint256) -> uint256:
    balance: uint256 = extcall ISettlement(SETTLEMENT).debit(account, asset, amount)
    self.ledgerTotal[asset] -= amount
    return balance


@internal
@view
def _token(asset: uint256) -> address:
    if asset == USDC_ASSET:
        return USDC
    if asset == CXPT_ASSET:
        return CXPT
    return registry._token(asset)


@internal
@view
def _only_engine():
    assert msg.sender == SYNTH_ENGINE, "V:ENGINE"

# pragma version 0.4.3
"""
@title Vault
@license MIT
@author Cxmpute DEX
@notice Holds all USDC, CXPT and synths of the exchange, and is the only door in and out.
@dev What is inside is in exactly one place:
       trading balances   in Settlement's ledger, which fills move; `ledgerTotal` is their sum
       collateral         USDC behind synth debt
       CXPT reserve       USDC behind CXPT, one to one
       fee pocket         USDC of collected fees
       escrow             synths that wait for a redemption
     Each asset's token balance is at least the sum. Only measured transfers and mints change the sum, so a donation
     changes nobody's claim. One share is 1e-6 USDC for ever.
     A trading balance has three exits: a fill, a withdrawal that waited, a withdrawal that COSIGNER signed. So its
     owner cannot empty it between a match and its settlement; see docs/decisions/006-three-exits.md.
     Every change of a trading balance here emits one event with the balance after it.
     Assets: 0 USDC, 1 CXPT, from 2 the synths. Units: 1e-6 for 0 and 1, 1e-18 for synths.
     Errors: V:ZERO, V:ROLES, V:ASSET, V:TRANSFER, V:OWNER, V:DELAY, V:FUNDS, V:RECIPIENT, V:CXPT, V:ENGINE,
     V:SETTLEMENT, V:ADMIN, V:LENGTH, those of the modules, of Settlement and of the tokens.
"""

# pragma nonreentrancy on

from ethereum.ercs import IERC20
from contracts.interfaces import ICXPT
from contracts.interfaces import IERC3009
from contracts.interfaces import ISettlement
from contracts.interfaces import ISynth
from contracts.interfaces import IVault
from contracts.modules import brake
from contracts.modules import cosignature
from contracts.modules import initializable
from contracts.modules import outflow_breaker as breaker
from contracts.modules import synth_registry as registry
from contracts.modules import withdrawal_queue as queue

implements: IVault

interface IRoles:
    def CORE() -> address: view

initializes: initializable
initializes: queue
initializes: registry
initializes: cosignature
initializes: breaker
initializes: brake

exports: initializable.__interface__
exports: registry.__interface__
exports: queue.__interface__
exports: cosignature.__interface__
exports: breaker.__interface__
exports: brake.__interface__

USDC_ASSET: constant(uint256) = 0
CXPT_ASSET: constant(uint256) = 1
MAX_REBATES: constant(uint256) = 64  # accounts a call

USDC: public(immutable(address))
CXPT: public(immutable(address))
SETTLEMENT: public(immutable(address))
SYNTH_ENGINE: public(immutable(address))
ADMIN: public(immutable(address))

# ------------------------------------------------------------------ events: deposits and withdrawals

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

event WithdrawRedirected:
    id: indexed(uint256)
    account: indexed(address)
    recipient: indexed(address)
    claimableAt: uint256

event WithdrawCancelled:
    id: indexed(uint256)
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256

event WithdrawClaimed:
    id: indexed(uint256)
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256  # as requested
    paid: uint256  # less when fills have used the balance meanwhile
    asCxpt: bool
    recipient: address
    balance: uint256

event Withdrawn:
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    asCxpt: bool
    recipient: address
    nonce: uint256
    balance: uint256

event CxptRedeemed:
    account: indexed(address)
    amount: uint256
    balance: uint256

# ------------------------------------------------------------------ events: fees

event FeesCollected:
    market: indexed(bytes32)
    amount: uint256
    pocket: uint256

event FeesWithdrawn:
    recipient: indexed(address)
    amount: uint256
    pocket: uint256

event RebatePaid:
    account: indexed(address)
    amount: uint256
    balance: uint256  # CXPT
    pocket: uint256

# ------------------------------------------------------------------ events: debt

event CollateralLocked:
    account: indexed(address)
    amount: uint256
    total: uint256

event ProceedsLocked:
    account: indexed(address)
    amount: uint256
    balance: uint256
    total: uint256

event CollateralReleased:
    account: indexed(address)
    amount: uint256
    balance: uint256
    total: uint256

event SynthMinted:
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    balance: uint256
    supply: uint256

event SynthBurned:
    owner: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    supply: uint256

event SynthEscrowed:
    owner: indexed(address)
    asset: indexed(uint256)
    amount: uint256

event EscrowBurned:
    asset: indexed(uint256)
    amount: uint256
    supply: uint256

event EscrowReturned:
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    balance: uint256

# ------------------------------------------------------------------ storage

ledgerTotal: public(HashMap[uint256, uint256])  # by asset: all trading balances, with fees not yet collected
escrowTotal: public(HashMap[uint256, uint256])  # by asset: synths that wait for a redemption
collateralTotal: public(uint256)  # 1e-6 USDC
cxptReserve: public(uint256)  # 1e-6 USDC
feePocket: public(uint256)  # 1e-6 USDC


@deploy
def __init__(
    usdc: address,
    cxpt: address,
    settlement: address,
    synth_factory: address,
    synth_engine: address,
    admin: address,
    guardian: address,
    cosigner: address,
    delay: uint256,
):
    """
    @dev Writes no storage. That COSIGNER is not CORE is checked at each use, because Settlement need not exist yet.
    @param usdc The one currency.
    @param cxpt The token that stands for USDC in the reserve.
    @param settlement Keeps the trading balances.
    @param synth_factory Registers synths.
    @param synth_engine Locks collateral, mints and burns.
    @param admin Takes fees out, pays rebates, ends a pause of deposits.
    @param guardian May pause deposits.
    @param cosigner Lets accounts leave without the delay.
    @param delay Seconds between request and claim of a withdrawal, at most 6 hours.
    """
    for part: address in [usdc, cxpt, settlement, synth_factory, synth_engine, admin, guardian, cosigner]:
        assert part != empty(address), "V:ZERO"
    assert admin != guardian and cosigner not in [admin, guardian], "V:ROLES"
    USDC = usdc
    CXPT = cxpt
    SETTLEMENT = settlement
    SYNTH_ENGINE = synth_engine
    ADMIN = admin
    initializable.__init__()
    queue.__init__(delay)
    registry.__init__(synth_factory)
    cosignature.__init__(cosigner)
    brake.__init__(guardian, admin)


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
def depositWithAuthorization(
    owner: address,
    amount: uint256,
    validAfter: uint256,
    validBefore: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice Brings USDC in with a transfer to the Vault that its owner signed (EIP-3009 `ReceiveWithAuthorization`).
            Anyone may submit it, so the owner needs no ether; it credits nobody else.
    @dev USDC lets only the recipient submit this type, so nobody can move the money here without the credit.
    @param owner Who signed and pays, and who is credited.
    @param amount How much, in 1e-6 USDC.
    @param validAfter Unix time after which the signature is good.
    @param validBefore Unix time before which it is good.
    @param nonce Number that USDC accepts once from this owner.
    @param v Recovery byte of the signature.
    @param r First half of the signature.
    @param s Second half of the signature.
    """
    brake._only_running()
    before: uint256 = staticcall IERC20(USDC).balanceOf(self)
    extcall IERC3009(USDC).receiveWithAuthorization(owner, self, amount, validAfter, validBefore, nonce, v, r, s)
    self._credit_deposit(owner, USDC_ASSET, staticcall IERC20(USDC).balanceOf(self) - before)


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
    @notice Announces a withdrawal, to be claimed after the delay. Nobody can refuse it. The amount stays in the trading
            balance until then, and fills come first.
    @param asset Number of the asset.
    @param amount How much, in the asset's unit; at most the balance less what is announced already.
    @param asCxpt Whether USDC is paid out as CXPT, one to one; False for any other asset.
    @return Number of the request.
    """
    self._check_form(asset, amount, asCxpt)
    balance: uint256 = staticcall ISettlement(SETTLEMENT).balanceOf(msg.sender, asset)
    announced: uint256 = queue.announcedOf[msg.sender][asset]
    assert announced <= balance and amount <= balance - announced, "V:FUNDS"
    id: uint256 = 0
    claimable_at: uint256 = 0
    id, claimable_at = queue._push(msg.sender, asset, amount, asCxpt)
    log WithdrawRequested(
        id=id, account=msg.sender, asset=asset, amount=amount, asCxpt=asCxpt, claimableAt=claimable_at
    )
    return id


@external
def redirectWithdraw(id: uint256, recipient: address):
    """
    @notice Names another recipient, for instance because USDC refuses the present one. The delay begins anew. Owner only.
    @param id Number of the request.
    @param recipient Who will be paid.
    """
    withdrawal: queue.Withdrawal = queue._known(id)
    assert msg.sender == withdrawal.account, "V:OWNER"
    self._check_recipient(recipient)
    claimable_at: uint256 = queue._redirect(id, recipient)
    log WithdrawRedirected(id=id, account=msg.sender, recipient=recipient, claimableAt=claimable_at)


@external
def cancelWithdraw(id: uint256):
    """
    @notice Takes an announcement back. Owner only. The money never left the trading balance.
    @param id Number of the request.
    """
    withdrawal: queue.Withdrawal = queue._pop(id)
    assert msg.sender == withdrawal.account, "V:OWNER"
    log WithdrawCancelled(id=id, account=withdrawal.account, asset=withdrawal.asset, amount=withdrawal.amount)


@external
def claimWithdraw(id: uint256):
    """
    @notice Pays a withdrawal to its recipient once the delay is over. Anyone may call it; it pays nobody else. If fills
            have used the balance meanwhile, only the owner may call, and gets what is left.
    @dev If the token refuses the recipient, only this claim reverts, and stays claimable.
    @param id Number of the request.
    """
    withdrawal: queue.Withdrawal = queue._pop(id)
    assert block.timestamp >= withdrawal.claimableAt, "V:DELAY"
    balance: uint256 = staticcall ISettlement(SETTLEMENT).balanceOf(withdrawal.account, withdrawal.asset)
    paid: uint256 = min(withdrawal.amount, balance)
    assert paid != 0, "V:FUNDS"
    assert paid == withdrawal.amount or msg.sender == withdrawal.account, "V:FUNDS"
    balance = self._debit(withdrawal.account, withdrawal.asset, paid)
    log WithdrawClaimed(
        id=id,
        account=withdrawal.account,
        asset=withdrawal.asset,
        amount=withdrawal.amount,
        paid=paid,
        asCxpt=withdrawal.asCxpt,
        recipient=withdrawal.recipient,
        balance=balance,
    )
    waited: bool = block.timestamp - withdrawal.requestedAt >= queue.MAX_DELAY
    self._pay_out(withdrawal.asset, paid, withdrawal.asCxpt, withdrawal.recipient, waited)


@external
def withdraw(
    asset: uint256,
    amount: uint256,
    asCxpt: bool,
    recipient: address,
    nonce: uint256,
    deadline: uint256,
    r: bytes32,
    vs: bytes32,
):
    """
    @notice Takes an amount of the caller's trading balance out at once, with COSIGNER's signature that no matched
            fill of the caller which has yet to settle can need it.
    @param asset Number of the asset.
    @param amount How much, in the asset's unit.
    @param asCxpt Whether USDC is paid out as CXPT, one to one; False for any other asset.
    @param recipient Who is paid.
    @param nonce Number that is good once for the caller.
    @param deadline Last second, in unix time, at which the signature is good.
    @param r First half of COSIGNER's signature.
    @param vs Second half, with the recovery bit on top (EIP-2098).
    """
    assert cosignature.COSIGNER != staticcall IRoles(SETTLEMENT).CORE(), "V:ROLES"
    self._check_form(asset, amount, asCxpt)
    self._check_recipient(recipient)
    cosignature._use(
        cosignature.Leave(
            account=msg.sender,
            asset=asset,
            amount=amount,
            asCxpt=asCxpt,
            recipient=recipient,
            nonce=nonce,
            deadline=deadline,
        ),
        r,
        vs,
    )
    balance: uint256 = self._debit(msg.sender, asset, amount)
    log Withdrawn(
        account=msg.sender,
        asset=asset,
        amount=amount,
        asCxpt=asCxpt,
        recipient=recipient,
        nonce=nonce,
        balance=balance,
    )
    self._pay_out(asset, amount, asCxpt, recipient, False)


@external
def redeemCxpt(amount: uint256):
    """
    @notice Turns CXPT of the caller's wallet into cash in the trading balance, one to one. Never paused.
    @param amount How much, in 1e-6.
    """
    assert amount != 0, "V:ZERO"
    extcall ICXPT(CXPT).burn(msg.sender, amount)  # first: nobody holds more than the reserve
    self.cxptReserve -= amount
    balance: uint256 = self._credit(msg.sender, USDC_ASSET, amount)
    log CxptRedeemed(account=msg.sender, amount=amount, balance=balance)


# ------------------------------------------------------------------ fees


@external
def collectFees(market: bytes32):
    """
    @notice Moves a market's accrued fees into the fee pocket. Anyone may call it.
    @param market The market's key.
    """
    amount: uint256 = extcall ISettlement(SETTLEMENT).takeFees(market)
    assert amount != 0, "V:ZERO"
    breaker._open_hour(self.ledgerTotal[USDC_ASSET])
    self.ledgerTotal[USDC_ASSET] -= amount
    pocket: uint256 = self.feePocket + amount
    self.feePocket = pocket
    log FeesCollected(market=market, amount=amount, pocket=pocket)


@external
def withdrawFees(recipient: address, amount: uint256):
    """
    @notice Pays collected fees out. ADMIN only. It does not count for the breaker, so that ADMIN cannot slow users down.
    @param recipient Who is paid.
    @param amount How much, in 1e-6 USDC; at most the pocket.
    """
    self._only_admin()
    assert amount != 0, "V:ZERO"
    self._check_recipient(recipient)
    pocket: uint256 = self._take_from_pocket(amount)
    log FeesWithdrawn(recipient=recipient, amount=amount, pocket=pocket)
    self._send(USDC, recipient, amount)


@external
def payRebates(accounts: DynArray[address, MAX_REBATES], amounts: DynArray[uint256, MAX_REBATES]):
    """
    @notice Gives collected fees back as CXPT in trading balances: the pocket's USDC moves into the reserve. ADMIN only.
    @param accounts Who gets a rebate.
    @param amounts How much each, in 1e-6; together at most the pocket.
    """
    self._only_admin()
    assert len(accounts) == len(amounts) and len(accounts) != 0, "V:LENGTH"
    total: uint256 = 0
    for i: uint256 in range(len(accounts), bound=MAX_REBATES):
        amount: uint256 = amounts[i]
        assert amount != 0, "V:ZERO"
        total += amount
        pocket: uint256 = self._take_from_pocket(amount)
        balance: uint256 = self._credit(accounts[i], CXPT_ASSET, amount)
        log RebatePaid(account=accounts[i], amount=amount, balance=balance, pocket=pocket)
    self._mint_cxpt(self, total)


# ------------------------------------------------------------------ SynthEngine


@external
def lockCollateral(payer: address, amount: uint256) -> uint256:
    """
    @notice Takes USDC of a wallet behind synth debt, within the allowance given to the Vault. SynthEngine only.
    @param payer Whose wallet; the SynthEngine's caller.
    @param amount How much to send, in 1e-6 USDC.
    @return How much arrived.
    """
    self._only_engine()
    received: uint256 = self._pull(USDC, payer, amount)
    total: uint256 = self.collateralTotal + received
    self.collateralTotal = total
    log CollateralLocked(account=payer, amount=received, total=total)
    return received


@external
def lockProceeds(account: address, amount: uint256, balance: uint256):
    """
    @notice Books cash as collateral that a fill has taken from a seller: what a sale that minted has brought, and the
            top-up that its order signed. Settlement only, which has debited it.
    @param account Whose cash it was.
    @param amount How much, in 1e-6 USDC.
    @param balance The seller's cash after it, for the event.
    """
    assert msg.sender == SETTLEMENT, "V:SETTLEMENT"
    ledger: uint256 = self.ledgerTotal[USDC_ASSET]
    breaker._open_hour(ledger)
    self.ledgerTotal[USDC_ASSET] = ledger - amount
    total: uint256 = self.collateralTotal + amount
    self.collateralTotal = total
    log ProceedsLocked(account=account, amount=amount, balance=balance, total=total)


@external
def releaseCollateral(account: address, amount: uint256):
    """
    @notice Moves collateral into a trading balance. SynthEngine only.
    @param account Whose cash it becomes.
    @param amount How much, in 1e-6 USDC; at most all collateral.
    """
    self._only_engine()
    total: uint256 = self.collateralTotal
    assert amount <= total, "V:FUNDS"
    total -= amount
    self.collateralTotal = total
    balance: uint256 = self._credit(account, USDC_ASSET, amount)
    log CollateralReleased(account=account, amount=amount, balance=balance, total=total)


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
def burnSynth(asset: uint256, owner: address, amount: uint256):
    """
    @notice Destroys synths of a wallet, within the allowance given to the Vault. SynthEngine only.
    @param asset Number of the synth.
    @param owner Whose wallet; the SynthEngine's caller.
    @param amount How many, in 1e-18.
    """
    self._only_engine()
    synth: address = registry._token(asset)
    received: uint256 = self._pull(synth, owner, amount)
    extcall ISynth(synth).burn(received)
    supply: uint256 = staticcall ISynth(synth).totalSupply()
    log SynthBurned(owner=owner, asset=asset, amount=received, supply=supply)


@external
def escrowSynth(asset: uint256, owner: address, amount: uint256):
    """
    @notice Takes synths of a wallet in for a redemption, within the allowance given to the Vault. SynthEngine only.
    @param asset Number of the synth.
    @param owner Whose wallet; the SynthEngine's caller.
    @param amount How many, in 1e-18.
    """
    self._only_engine()
    received: uint256 = self._pull(registry._token(asset), owner, amount)
    self.escrowTotal[asset] += received
    log SynthEscrowed(owner=owner, asset=asset, amount=received)


@external
def burnEscrow(asset: uint256, amount: uint256):
    """
    @notice Destroys synths that were redeemed. SynthEngine only.
    @param asset Number of the synth.
    @param amount How many, in 1e-18; at most the escrow.
    """
    self._only_engine()
    synth: address = registry._token(asset)
    self._take_from_escrow(asset, amount)
    extcall ISynth(synth).burn(amount)
    supply: uint256 = staticcall ISynth(synth).totalSupply()
    log EscrowBurned(asset=asset, amount=amount, supply=supply)


@external
def returnEscrow(asset: uint256, account: address, amount: uint256):
    """
    @notice Puts synths that were not redeemed into a trading balance. SynthEngine only.
    @param asset Number of the synth.
    @param account Who gets them.
    @param amount How many, in 1e-18; at most the escrow.
    """
    self._only_engine()
    self._take_from_escrow(asset, amount)
    balance: uint256 = self._credit(account, asset, amount)
    log EscrowReturned(account=account, asset=asset, amount=amount, balance=balance)


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
    @notice Cash in all trading balances. Tokens that were sent without a deposit do not count.
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


# ------------------------------------------------------------------ internal: money in


@internal
def _deposit(asset: uint256, amount: uint256):
    brake._only_running()
    self._credit_deposit(msg.sender, asset, self._pull(self._token(asset), msg.sender, amount))


@internal
def _credit_deposit(account: address, asset: uint256, received: uint256):
    assert received != 0, "V:ZERO"
    balance: uint256 = self._credit(account, asset, received)
    log Deposited(account=account, asset=asset, amount=received, balance=balance)


@internal
def _pull(token: address, owner: address, amount: uint256) -> uint256:
    """
    @return The difference that the transfer makes, whatever the token claims to have sent.
    """
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transferFrom(owner, self, amount, default_return_value=True), "V:TRANSFER"
    return staticcall IERC20(token).balanceOf(self) - before


# ------------------------------------------------------------------ internal: money out


@internal
def _pay_out(asset: uint256, amount: uint256, as_cxpt: bool, recipient: address, waited: bool):
    """
    @dev The last step of a withdrawal: the debit is made and logged.
    """
    if as_cxpt:
        self._mint_cxpt(recipient, amount)
        return
    if asset == USDC_ASSET:
        breaker._count(amount, waited)
    self._send(self._token(asset), recipient, amount)


@internal
def _send(token: address, recipient: address, amount: uint256):
    assert extcall IERC20(token).transfer(recipient, amount, default_return_value=True), "V:TRANSFER"


@internal
def _mint_cxpt(recipient: address, amount: uint256):
    """
    @dev The USDC has left the ledger, or the fee pocket.
    """
    self.cxptReserve += amount
    extcall ICXPT(CXPT).mint(recipient, amount)


@internal
def _take_from_pocket(amount: uint256) -> uint256:
    """
    @return What is left in the fee pocket.
    """
    pocket: uint256 = self.feePocket
    assert amount <= pocket, "V:FUNDS"
    self.feePocket = pocket - amount
    return pocket - amount


@internal
def _take_from_escrow(asset: uint256, amount: uint256):
    escrow: uint256 = self.escrowTotal[asset]
    assert amount <= escrow, "V:FUNDS"
    self.escrowTotal[asset] = escrow - amount


# ------------------------------------------------------------------ internal: ledger and checks


@internal
def _credit(account: address, asset: uint256, amount: uint256) -> uint256:
    total: uint256 = self.ledgerTotal[asset]
    if asset == USDC_ASSET:
        breaker._open_hour(total)
    self.ledgerTotal[asset] = total + amount
    return extcall ISettlement(SETTLEMENT).credit(account, asset, amount)


@internal
def _debit(account: address, asset: uint256, amount: uint256) -> uint256:
    total: uint256 = self.ledgerTotal[asset]
    if asset == USDC_ASSET:
        breaker._open_hour(total)
    balance: uint256 = extcall ISettlement(SETTLEMENT).debit(account, asset, amount)
    self.ledgerTotal[asset] = total - amount
    return balance


@internal
@view
def _check_form(asset: uint256, amount: uint256, as_cxpt: bool):
    assert amount != 0, "V:ZERO"
    assert not as_cxpt or asset == USDC_ASSET, "V:CXPT"
    assert self._token(asset) != empty(address), "V:ASSET"


@internal
@view
def _check_recipient(recipient: address):
    assert recipient != empty(address) and recipient != self, "V:RECIPIENT"


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


@internal
@view
def _only_admin():
    assert msg.sender == ADMIN, "V:ADMIN"

# pragma version 0.4.3
"""
@title Wind-down
@license MIT
@author Cxmpute DEX
@notice The end of a synth: one price for all, every position pays what it owes as far as it can, and every synth is worth
        the same share of what came together.
@dev Owns:     the pot of each asset and what a synth gets out of it.
     Promises: price and rate are fixed once. The first claim and the last are worth the same per synth, and together at
               most the pot. Processing a position works whatever its owner is or does, and needs no price.
     Never:    pays one holder before it is known what all get.
     A rate is in 1e-24 USDC per whole synth (a price times 1e18), so that its rounding costs less than a unit of USDC.
     Errors: E:ZERO, E:PRICE, E:ALIVE, E:GAS, E:TARGET, E:LIVE, E:RATE, those of the debt book and of Vault.
"""

# pragma nonreentrancy on

from contracts.interfaces import IOracle
from contracts.interfaces import IVault
from contracts.modules import debt_book as book

uses: book

MAX_PAGE: constant(uint256) = 50  # positions that one call processes
SILENCE: constant(uint256) = 7 * 86_400  # seconds without a price after which anyone may wind an asset down
RATE_SCALE: constant(uint256) = 10**18
WORD_BYTES: constant(uint256) = 32
CLAIM_SCALE: constant(uint256) = book.WHOLE_SYNTH * RATE_SCALE  # amount * rate is in 1/CLAIM_SCALE of 1e-6 USDC

# What must be left before the Oracle is asked whether it has a price: it asks another source with up to 160,000, twice,
# and a call that runs out of gas must not look like silence.
GAS_TO_ASK: constant(uint256) = 600_000

TIMELOCK: public(immutable(address))

event AssetWound:
    asset: indexed(uint256)
    price: uint256

event PositionProcessed:
    account: indexed(address)
    asset: indexed(uint256)
    paid: uint256
    released: uint256
    pot: uint256

event RateFixed:
    asset: indexed(uint256)
    rate: uint256

event WoundClaimed:
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    payout: uint256
    pot: uint256

struct Pot:
    supply: uint256  # synths that share it: the total debt when the asset was wound down
    amount: uint256  # 1e-6 USDC that is in it
    rateFixed: bool
    rate: uint256

pots: public(HashMap[uint256, Pot])


@deploy
def __init__(timelock: address):
    """
    @param timelock May wind an asset down while its oracle works.
    """
    assert timelock != empty(address), "E:ZERO"
    TIMELOCK = timelock


@external
def windDown(asset: uint256):
    """
    @notice Ends a synth: nothing can be minted, burnt, liquidated or redeemed any more, only processed and claimed.
            TIMELOCK at any time, at the price of the moment or else the last one; anyone when the oracle has had no price
            for 7 days, at the last one.
    @param asset Number of the synth.
    """
    book._only_live(asset)
    price: uint256 = 0
    published: uint256 = 0
    price, published = staticcall IOracle(book.ORACLE).lastPrice(asset)
    now: uint256 = self._present_price(asset)
    if msg.sender == TIMELOCK:
        if now != 0:
            price = now
    else:
        assert now == 0 and block.timestamp >= published + SILENCE, "E:ALIVE"
    assert price != 0, "E:PRICE"
    book.assets[asset].woundPrice = price
    self.pots[asset].supply = book.assets[asset].debt
    log AssetWound(asset=asset, price=price)
    self._fix_rate(asset)


@external
def processPositions(asset: uint256, accounts: DynArray[address, MAX_PAGE]):
    """
    @notice Takes out of each position what it owes at the price of the wind-down, as far as its collateral goes, and gives
            the rest to its owner's trading balance. Anyone; positions without debt are passed over.
    @param asset Number of the synth.
    @param accounts Owners of the positions.
    """
    price: uint256 = book.assets[asset].woundPrice
    assert price != 0, "E:LIVE"
    before: uint256 = book.assets[asset].indebted
    for account: address in accounts:
        position: book.Position = book._position(account, asset)
        if position.debt != 0:
            self._process(account, asset, position, price)
    assert book.assets[asset].indebted != before, "E:TARGET"
    self._fix_rate(asset)


@external
def claimWound(asset: uint256, amount: uint256):
    """
    @notice Burns synths of the caller's wallet for their share of the pot, once every position is processed. It arrives in
            the caller's trading balance.
    @param asset Number of the synth.
    @param amount How many, in 1e-18.
    """
    assert self.pots[asset].rateFixed, "E:RATE"
    payout: uint256 = amount * self.pots[asset].rate // CLAIM_SCALE
    assert payout != 0, "E:ZERO"
    pot: uint256 = self.pots[asset].amount - payout
    self.pots[asset].amount = pot
    log WoundClaimed(account=msg.sender, asset=asset, amount=amount, payout=payout, pot=pot)
    extcall IVault(book.VAULT).burnSynth(asset, msg.sender, amount)
    extcall IVault(book.VAULT).releaseCollateral(msg.sender, payout)


@internal
def _process(account: address, asset: uint256, position: book.Position, price: uint256):
    """
    @dev What a position owes is rounded up, as when it was taken on.
    """
    paid: uint256 = min(position.collateral, book._divide_up(position.debt * price, book.WHOLE_SYNTH))
    released: uint256 = position.collateral - paid
    pot: uint256 = self.pots[asset].amount + paid
    self.pots[asset].amount = pot
    book._store(account, asset, empty(book.Position))
    log PositionProcessed(account=account, asset=asset, paid=paid, released=released, pot=pot)
    if released != 0:
        extcall IVault(book.VAULT).releaseCollateral(account, released)


@internal
def _fix_rate(asset: uint256):
    """
    @dev Once no position owes anything: the price, or the pot's share when that is less. Rounded down, so that all
         claims together are at most the pot.
    """
    if book.assets[asset].indebted != 0:
        return
    pot: Pot = self.pots[asset]
    rate: uint256 = book.assets[asset].woundPrice * RATE_SCALE
    if pot.supply != 0:
        rate = min(rate, pot.amount * CLAIM_SCALE // pot.supply)
    self.pots[asset].rateFixed = True
    self.pots[asset].rate = rate
    log RateFixed(asset=asset, rate=rate)


@internal
@view
def _present_price(asset: uint256) -> uint256:
    """
    @return The price that the Oracle stands behind now, or zero.
    """
    assert msg.gas >= GAS_TO_ASK, "E:GAS"
    answered: bool = False
    answer: Bytes[WORD_BYTES] = b""
    answered, answer = raw_call(
        book.ORACLE,
        abi_encode(asset, method_id=method_id("price(uint256)")),
        max_outsize=WORD_BYTES,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not answered or len(answer) != WORD_BYTES:
        return 0
    return convert(answer, uint256)

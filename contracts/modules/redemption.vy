# pragma version 0.4.3
"""
@title Redemption
@license MIT
@author Cxmpute DEX
@notice Whoever holds a synth turns it into the USDC that it is worth, out of positions that owe it, without anybody's
        leave: request, wait for the next price, execute.
@dev Owns:     the requests, and the synths in escrow for them.
     Promises: the price is the first one published a minute or more after the request, so that nobody knows it when they
               ask. A position pays at most what the synths are worth, and at least 0.5 % of it stays there: it has as
               much collateral per unit of debt afterwards as before, or more. What nobody redeemed comes back.
     Never:    lets the holder back out once the price may be known: they could wait for a price that suits them. Never
               keeps synths: the request can be taken back in its first minute, when no price comes within the hour after
               it, and, by anyone, when the hour after its price is over.
     Errors: E:ZERO, E:FEE, E:UNKNOWN, E:OWNER, E:EARLY, E:LATE, E:TARGET, those of the debt book, of Vault and
     of Oracle.
"""

# pragma nonreentrancy on

from contracts.interfaces import IOracle
from contracts.interfaces import IVault
from contracts.modules import debt_book as book

uses: book

MAX_TARGETS: constant(uint256) = 20  # positions that one call redeems from
PRICE_DELAY: constant(uint256) = 60  # seconds between the request and the time of its price, at least
# Seconds after its price in which a request can be executed. Meanwhile the holder can choose to execute or to let it
# lapse, and a position of the size of the request can be redeemed from at a price that is an hour old: what such a choice
# is worth is below the least fee.
EXECUTION_WINDOW: constant(uint256) = 3600

MIN_FEE_BPS: constant(uint256) = 50  # of a position at 150 % or less
MAX_FEE_BPS: constant(uint256) = 300  # of a position at 400 % or more
BPS_PER_PERCENT: constant(uint256) = 100  # between the two the fee rises by a basis point for each per cent

# terms = account 160 | asset 16 | requestedAt 40 | maxFeeBps 16, lowest bits first
ASSET_SHIFT: constant(uint256) = 160
TIME_SHIFT: constant(uint256) = 176
FEE_SHIFT: constant(uint256) = 216
MAX_ASSET: constant(uint256) = 2**16 - 1
MAX_TIME: constant(uint256) = 2**40 - 1

struct Redemption:
    account: address
    asset: uint256
    amount: uint256
    maxFeeBps: uint256
    requestedAt: uint256

event RedemptionRequested:
    id: indexed(uint256)
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    maxFeeBps: uint256
    priceFrom: uint256

event RedemptionExecuted:
    id: indexed(uint256)
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256
    payout: uint256
    remaining: uint256
    price: uint256

event RedemptionCancelled:
    id: indexed(uint256)
    account: indexed(address)
    asset: indexed(uint256)
    amount: uint256

redemptionCount: public(uint256)  # requests so far; ids start at 1

_terms: HashMap[uint256, uint256]
_amounts: HashMap[uint256, uint256]


@external
@view
def redemptions(id: uint256) -> Redemption:
    """
    @notice A redemption that waits, or is executed in part.
    @param id Number of the request.
    @return Its account, asset, what is left of the amount, highest fee and unix time; zeros once it is over.
    """
    return self._get(id)


@external
def requestRedemption(asset: uint256, amount: uint256, maxFeeBps: uint256) -> uint256:
    """
    @notice Puts synths of the caller's wallet into escrow, to be redeemed at the first price that is published a minute
            later or more.
    @param asset Number of the synth.
    @param amount How many, in 1e-18.
    @param maxFeeBps Most that stays in a position, in 1/10,000 of the value, 50 to 300.
    @return Number of the request.
    """
    book._only_live(asset)
    assert amount != 0, "E:ZERO"
    assert maxFeeBps >= MIN_FEE_BPS and maxFeeBps <= MAX_FEE_BPS, "E:FEE"
    id: uint256 = self.redemptionCount + 1
    self.redemptionCount = id
    self._amounts[id] = amount
    # Every field fits its bits: the Vault numbers assets with 16, and 40 bits of seconds last for 34,000 years.
    self._terms[id] = (
        convert(msg.sender, uint256)
        | (asset << ASSET_SHIFT)
        | (block.timestamp << TIME_SHIFT)
        | (maxFeeBps << FEE_SHIFT)
    )
    log RedemptionRequested(
        id=id,
        account=msg.sender,
        asset=asset,
        amount=amount,
        maxFeeBps=maxFeeBps,
        priceFrom=block.timestamp + PRICE_DELAY,
    )
    extcall IVault(book.VAULT).escrowSynth(asset, msg.sender, amount)
    return id


@external
def executeRedemption(id: uint256, accounts: DynArray[address, MAX_TARGETS]):
    """
    @notice Redeems from the positions that the caller names, in their order, within an hour of the price. Anyone, as often
            as something is left. The USDC arrives in the trading balance of whoever asked.
    @dev A position that is below 100 %, or whose fee is too high, is passed over instead of refused: its owner could
         otherwise stop the call at the last moment.
    @param id Number of the request.
    @param accounts Owners of the positions. One at 150 % or less takes the least fee, 0.5 %.
    """
    request: Redemption = self._get(id)
    assert request.account != empty(address), "E:UNKNOWN"
    book._only_live(request.asset)
    price: uint256 = 0
    published: uint256 = 0
    price, published = self._price_of(request)
    assert price != 0, "E:EARLY"
    assert block.timestamp <= published + EXECUTION_WINDOW, "E:LATE"

    remaining: uint256 = request.amount
    payout: uint256 = 0
    for account: address in accounts:
        redeemed: uint256 = 0
        paid: uint256 = 0
        redeemed, paid = self._redeem_from(account, request, remaining, price)
        remaining -= redeemed
        payout += paid
    amount: uint256 = request.amount - remaining
    assert amount != 0, "E:TARGET"

    self._amounts[id] = remaining
    if remaining == 0:
        self._terms[id] = 0
    log RedemptionExecuted(
        id=id,
        account=request.account,
        asset=request.asset,
        amount=amount,
        payout=payout,
        remaining=remaining,
        price=price,
    )
    extcall IVault(book.VAULT).burnEscrow(request.asset, amount)
    if payout != 0:
        extcall IVault(book.VAULT).releaseCollateral(request.account, payout)


@external
def cancelRedemption(id: uint256):
    """
    @notice Puts what is left of a request into the trading balance of whoever made it. By them: in its first minute, or
            while there is no price an hour after that. By anyone: when the hour after its price is over, or the asset is
            wound down.
    @dev In between a price may have been signed already that is not on the chain yet.
    @param id Number of the request.
    """
    request: Redemption = self._get(id)
    assert request.account != empty(address), "E:UNKNOWN"
    if book.assets[request.asset].woundPrice == 0:
        price: uint256 = 0
        published: uint256 = 0
        price, published = self._price_of(request)
        if price == 0:
            assert msg.sender == request.account, "E:OWNER"
            since: uint256 = request.requestedAt + PRICE_DELAY
            assert block.timestamp < since or block.timestamp > since + EXECUTION_WINDOW, "E:EARLY"
        else:
            assert block.timestamp > published + EXECUTION_WINDOW, "E:EARLY"
    self._terms[id] = 0
    self._amounts[id] = 0
    log RedemptionCancelled(id=id, account=request.account, asset=request.asset, amount=request.amount)
    extcall IVault(book.VAULT).returnEscrow(request.asset, request.account, request.amount)


@internal
def _redeem_from(
    account: address, request: Redemption, amount: uint256, price: uint256
) -> (uint256, uint256):
    """
    @dev The payout is rounded down: what a division leaves over stays in the position.
    @return How many synths the position absorbed, and what it paid for them.
    """
    position: book.Position = book._position(account, request.asset)
    redeemed: uint256 = min(amount, position.debt)
    if redeemed == 0 or position.collateral * book.WHOLE_SYNTH < position.debt * price:
        return 0, 0
    fee_bps: uint256 = self._fee_bps(position, price)
    if fee_bps > request.maxFeeBps:
        return 0, 0
    paid: uint256 = redeemed * price * (book.BPS - fee_bps) // book.VALUE_SCALE
    position.debt -= redeemed
    position.collateral -= paid
    book._store(account, request.asset, position)
    return redeemed, paid


@internal
@pure
def _fee_bps(position: book.Position, price: uint256) -> uint256:
    """
    @dev 0.5 % up to a ratio of 150 %, then a basis point more for each per cent that is begun, up to 3 %. Rounded up.
    """
    ratio: uint256 = book._divide_up(position.collateral * book.VALUE_SCALE, position.debt * price)
    if ratio <= book.MIN_RATIO_BPS:
        return MIN_FEE_BPS
    return min(MIN_FEE_BPS + book._divide_up(ratio - book.MIN_RATIO_BPS, BPS_PER_PERCENT), MAX_FEE_BPS)


@internal
@view
def _price_of(request: Redemption) -> (uint256, uint256):
    """
    @return The request's price and the unix time at which it was published; zeros while there is none.
    """
    since: uint256 = request.requestedAt + PRICE_DELAY
    price: uint256 = 0
    published: uint256 = 0
    price, published = staticcall IOracle(book.ORACLE).lastPrice(request.asset)
    if published < since:
        return 0, 0
    return staticcall IOracle(book.ORACLE).firstPriceSince(request.asset, since)


@internal
@view
def _get(id: uint256) -> Redemption:
    terms: uint256 = self._terms[id]
    return Redemption(
        account=convert(terms & convert(max_value(uint160), uint256), address),
        asset=(terms >> ASSET_SHIFT) & MAX_ASSET,
        amount=self._amounts[id],
        maxFeeBps=terms >> FEE_SHIFT,
        requestedAt=(terms >> TIME_SHIFT) & MAX_TIME,
    )

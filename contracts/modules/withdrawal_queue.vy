# pragma version 0.4.3
"""
@title Withdrawal queue
@license MIT
@author Cxmpute DEX
@notice Withdrawals between request and claim. A request announces; the money stays in the trading balance, where fills
        can still use it, until the claim takes it out.
@dev Random access, not first in, first out: nobody can hold up anybody else, and nothing is ever walked. A request
     leaves the queue exactly once. Sum of an account's requests = `announcedOf`; sum over accounts = `announcedTotal`.
     Errors: Q:DELAY, Q:UNKNOWN, Q:RANGE.
"""

# pragma nonreentrancy on

MAX_DELAY: constant(uint256) = 6 * 3600  # seconds; nobody can be made to wait longer

# terms = account 160 | asset 16 | requestedAt 40 | asCxpt 8, lowest bits first
ASSET_SHIFT: constant(uint256) = 160
TIME_SHIFT: constant(uint256) = 176
AS_CXPT_SHIFT: constant(uint256) = 216
MAX_ASSET: constant(uint256) = 2**16 - 1
MAX_TIME: constant(uint256) = 2**40 - 1

struct Withdrawal:
    account: address
    asset: uint256
    amount: uint256
    asCxpt: bool
    claimableAt: uint256
    recipient: address
    requestedAt: uint256

withdrawalDelay: public(immutable(uint256))  # seconds between request and claim

withdrawalCount: public(uint256)  # requests so far; ids start at 1
announcedOf: public(HashMap[address, HashMap[uint256, uint256]])  # by account and asset
announcedTotal: public(HashMap[uint256, uint256])  # by asset

_terms: HashMap[uint256, uint256]
_amounts: HashMap[uint256, uint256]
_recipients: HashMap[uint256, address]  # zero: the account itself


@deploy
def __init__(delay: uint256):
    """
    @param delay Seconds between request and claim, at most 6 hours.
    """
    assert delay <= MAX_DELAY, "Q:DELAY"
    withdrawalDelay = delay


@external
@view
def withdrawals(id: uint256) -> Withdrawal:
    """
    @notice A withdrawal that waits.
    @param id Number of the request.
    @return Its account, asset, amount, form, the unix time from which it can be claimed, who is paid, and the unix
            time from which the delay counts; zeros once it is claimed or cancelled.
    """
    return self._get(id)


@internal
def _push(account: address, asset: uint256, amount: uint256, as_cxpt: bool) -> (uint256, uint256):
    """
    @return Number of the request, and the unix time from which it can be claimed.
    """
    assert asset <= MAX_ASSET, "Q:RANGE"
    id: uint256 = self.withdrawalCount + 1
    self.withdrawalCount = id
    self.announcedOf[account][asset] += amount
    self.announcedTotal[asset] += amount
    self._amounts[id] = amount
    self._terms[id] = (
        convert(account, uint256)
        | (asset << ASSET_SHIFT)
        | self._now()
        | (convert(as_cxpt, uint256) << AS_CXPT_SHIFT)
    )
    return id, block.timestamp + withdrawalDelay


@internal
def _redirect(id: uint256, recipient: address) -> uint256:
    """
    @dev Another recipient, and the delay from the beginning: whoever stole the key gains no time by it.
    @return The unix time from which it can be claimed.
    """
    self._terms[id] = (self._terms[id] & ~(MAX_TIME << TIME_SHIFT)) | self._now()
    self._recipients[id] = recipient
    return block.timestamp + withdrawalDelay


@internal
def _pop(id: uint256) -> Withdrawal:
    """
    @dev Takes the request out of the queue; a second time it is unknown.
    """
    withdrawal: Withdrawal = self._known(id)
    self._terms[id] = 0
    self._amounts[id] = 0
    self._recipients[id] = empty(address)
    self.announcedOf[withdrawal.account][withdrawal.asset] -= withdrawal.amount
    self.announcedTotal[withdrawal.asset] -= withdrawal.amount
    return withdrawal


@internal
@view
def _known(id: uint256) -> Withdrawal:
    withdrawal: Withdrawal = self._get(id)
    assert withdrawal.account != empty(address), "Q:UNKNOWN"
    return withdrawal


@internal
@view
def _get(id: uint256) -> Withdrawal:
    terms: uint256 = self._terms[id]
    if terms == 0:
        return empty(Withdrawal)
    account: address = convert(terms & convert(max_value(uint160), uint256), address)
    recipient: address = self._recipients[id]
    if recipient == empty(address):
        recipient = account
    requested_at: uint256 = (terms >> TIME_SHIFT) & MAX_TIME
    return Withdrawal(
        account=account,
        asset=(terms >> ASSET_SHIFT) & MAX_ASSET,
        amount=self._amounts[id],
        asCxpt=(terms >> AS_CXPT_SHIFT) != 0,
        claimableAt=requested_at + withdrawalDelay,
        recipient=recipient,
        requestedAt=requested_at,
    )


@internal
@view
def _now() -> uint256:
    assert block.timestamp <= MAX_TIME, "Q:RANGE"
    return block.timestamp << TIME_SHIFT

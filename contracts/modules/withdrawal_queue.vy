# pragma version 0.4.3
"""
@title Withdrawal queue
@license MIT
@author Cxmpute DEX
@notice Withdrawals between request and claim: what has left the trading balance and not yet the Vault.
@dev Random access, not first in, first out: nobody can hold up anybody else. A request leaves the queue exactly once.
     Errors: Q:DELAY, Q:UNKNOWN, Q:RANGE.
"""

# pragma nonreentrancy on

MAX_DELAY: constant(uint256) = 6 * 3600  # seconds; nobody can be made to wait longer

# terms = account 160 | asset 16 | claimableAt 40 | asCxpt 8, lowest bits first
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

withdrawalDelay: public(immutable(uint256))  # seconds between request and claim

withdrawalCount: public(uint256)  # requests so far; ids start at 1
pendingTotal: public(HashMap[uint256, uint256])  # by asset

_terms: HashMap[uint256, uint256]
_amounts: HashMap[uint256, uint256]


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
    @return Its account, asset, amount, form and the unix time from which it can be claimed; zeros once it is
            claimed or cancelled.
    """
    return self._get(id)


@internal
def _push(account: address, asset: uint256, amount: uint256, as_cxpt: bool) -> (uint256, uint256):
    """
    @return Number of the request, and the unix time from which it can be claimed.
    """
    id: uint256 = self.withdrawalCount + 1
    claimable_at: uint256 = block.timestamp + withdrawalDelay
    assert asset <= MAX_ASSET and claimable_at <= MAX_TIME, "Q:RANGE"

    self.withdrawalCount = id
    self.pendingTotal[asset] += amount
    self._amounts[id] = amount
    self._terms[id] = (
        convert(account, uint256)
        | (asset << ASSET_SHIFT)
        | (claimable_at << TIME_SHIFT)
        | (convert(as_cxpt, uint256) << AS_CXPT_SHIFT)
    )
    return id, claimable_at


@internal
def _pop(id: uint256) -> Withdrawal:
    """
    @dev Takes the request out of the queue; a second time it is unknown.
    """
    withdrawal: Withdrawal = self._get(id)
    assert withdrawal.account != empty(address), "Q:UNKNOWN"
    self._terms[id] = 0
    self._amounts[id] = 0
    self.pendingTotal[withdrawal.asset] -= withdrawal.amount
    return withdrawal


@internal
@view
def _get(id: uint256) -> Withdrawal:
    terms: uint256 = self._terms[id]
    return Withdrawal(
        account=convert(terms & convert(max_value(uint160), uint256), address),
        asset=(terms >> ASSET_SHIFT) & MAX_ASSET,
        amount=self._amounts[id],
        asCxpt=(terms >> AS_CXPT_SHIFT) != 0,
        claimableAt=(terms >> TIME_SHIFT) & MAX_TIME,
    )

# pragma version 0.4.3
"""
@title Outflow breaker
@license MIT
@author Cxmpute DEX
@notice How much USDC may leave within an hour before leaving takes longer: 250,000 USDC, or 20 % of the cash that was
        inside when the hour began, whichever is more.
@dev It cannot stop anybody for long: who has waited the queue's longest delay passes whatever has left already. It counts
     USDC that leaves as USDC; CXPT and synths stay claims on this exchange. An hour is a clock hour. Its limit is
     fixed by the first change of cash in it, before that change, so that a deposit cannot raise it.
     Errors: V:BREAKER.
"""

# pragma nonreentrancy on

HOUR: constant(uint256) = 3600  # seconds
FREE_OUTFLOW: constant(uint256) = 250_000 * 10**6  # 1e-6 USDC an hour
SHARE_BPS: constant(uint256) = 2_000  # of the cash at the beginning of the hour
BPS: constant(uint256) = 10_000
USDC_ASSET: constant(uint256) = 0

# window = hour 32 | limit 112 | outflow 112, lowest bits first. The two amounts stop at the largest that fits, far above
# all USDC there is.
LIMIT_SHIFT: constant(uint256) = 32
OUTFLOW_SHIFT: constant(uint256) = 144
MAX_HOUR: constant(uint256) = 2**32 - 1
MAX_AMOUNT: constant(uint256) = 2**112 - 1

event BreakerTripped:
    asset: indexed(uint256)
    outflow: uint256
    limit: uint256

_window: uint256


@external
@view
def outflowWindow() -> (uint256, uint256, uint256):
    """
    @notice What the breaker has counted. When the hour is over, the next change of cash begins a new one.
    @return Unix time at which the hour began, 1e-6 USDC that left in it, and the limit.
    """
    window: uint256 = self._window
    return (
        (window & MAX_HOUR) * HOUR,
        window >> OUTFLOW_SHIFT,
        (window >> LIMIT_SHIFT) & MAX_AMOUNT,
    )


@internal
def _open_hour(cash: uint256):
    """
    @dev Call it before each change of the cash that is inside: the first call of an hour fixes the hour's limit.
    """
    hour: uint256 = block.timestamp // HOUR
    if self._window & MAX_HOUR != hour:
        limit: uint256 = min(max(FREE_OUTFLOW, cash * SHARE_BPS // BPS), MAX_AMOUNT)
        self._window = hour | (limit << LIMIT_SHIFT)


@internal
def _count(amount: uint256, waited: bool):
    """
    @dev Counts USDC that leaves. Beyond the limit only who has waited the longest delay passes.
    """
    window: uint256 = self._window
    limit: uint256 = (window >> LIMIT_SHIFT) & MAX_AMOUNT
    before: uint256 = window >> OUTFLOW_SHIFT
    outflow: uint256 = min(before + amount, MAX_AMOUNT)
    if outflow > limit:
        assert waited, "V:BREAKER"
        if before <= limit:
            log BreakerTripped(asset=USDC_ASSET, outflow=outflow, limit=limit)
    self._window = (window & (2**OUTFLOW_SHIFT - 1)) | (outflow << OUTFLOW_SHIFT)

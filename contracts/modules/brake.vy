# pragma version 0.4.3
"""
@title Brake
@license MIT
@author Cxmpute DEX
@notice A pause that cannot last: GUARDIAN pulls it for at most 72 hours, it ends by itself, and can be pulled again
        30 days after the last time at the earliest. One other role ends it sooner or lets it be pulled again sooner.
@dev What a pause stops is decided by the contract that uses the module, with `_only_running`. It is meant for what
     adds risk (deposits, new debt), never for a way out. It knows no price and calls nobody.
     Errors: B:ZERO, B:GUARDIAN, B:RELEASER, B:RANGE, B:SOON, B:PAUSED.
"""

# pragma nonreentrancy on

MAX_PAUSE: constant(uint256) = 72 * 3600  # seconds
PAUSE_INTERVAL: constant(uint256) = 30 * 86_400  # seconds between the beginnings of two pauses

GUARDIAN: public(immutable(address))
RELEASER: public(immutable(address))  # the role above GUARDIAN: ADMIN or the timelock

event Paused:
    until: uint256
    nextPauseFrom: uint256

event Resumed:
    pass

event PauseAllowed:
    pass

pausedUntil: public(uint256)  # unix time at which the pause ends by itself; a past one: no pause
nextPauseFrom: public(uint256)  # unix time from which GUARDIAN may pause again


@deploy
def __init__(guardian: address, releaser: address):
    """
    @param guardian Who may pause.
    @param releaser Who may end a pause, or allow the next one before its time.
    """
    assert guardian != empty(address) and releaser != empty(address), "B:ZERO"
    GUARDIAN = guardian
    RELEASER = releaser


@external
def pause(duration: uint256):
    """
    @notice Pauses what adds risk. GUARDIAN only, once in 30 days.
    @param duration Seconds until it ends by itself, 1 to 72 hours' worth.
    """
    assert msg.sender == GUARDIAN, "B:GUARDIAN"
    assert duration != 0 and duration <= MAX_PAUSE, "B:RANGE"
    assert block.timestamp >= self.nextPauseFrom, "B:SOON"
    until: uint256 = block.timestamp + duration
    next_from: uint256 = block.timestamp + PAUSE_INTERVAL
    self.pausedUntil = until
    self.nextPauseFrom = next_from
    log Paused(until=until, nextPauseFrom=next_from)


@external
def resume():
    """
    @notice Ends a pause before its time. When GUARDIAN may pause again does not change.
    """
    assert msg.sender == RELEASER, "B:RELEASER"
    self.pausedUntil = 0
    log Resumed()


@external
def allowPause():
    """
    @notice Lets GUARDIAN pause again at once, instead of 30 days after its last pause.
    """
    assert msg.sender == RELEASER, "B:RELEASER"
    self.nextPauseFrom = 0
    log PauseAllowed()


@external
@view
def isPaused() -> bool:
    """
    @notice Whether a pause is on.
    @return True from the pause until it ends by itself or is ended.
    """
    return self._paused()


@internal
@view
def _only_running():
    assert not self._paused(), "B:PAUSED"


@internal
@view
def _paused() -> bool:
    return block.timestamp < self.pausedUntil

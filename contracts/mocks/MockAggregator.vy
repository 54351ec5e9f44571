# pragma version 0.4.3
"""
@title Mock aggregator
@license MIT
@author Cxmpute DEX
@notice For tests: a second source of prices that answers well, late, absurdly, too much, too little, or not at all. What
        it does is set from outside.
"""

ROUND: constant(uint256) = 7
STARTED: constant(uint256) = 1  # long before any answer
BOMB_BYTES: constant(uint256) = 4096
WORK: constant(uint256) = 2_000  # rounds of hashing that a slow answer takes at most

# behaviours
GOOD: constant(uint256) = 0
REVERTS: constant(uint256) = 1
BURNS_GAS: constant(uint256) = 2
SHORT: constant(uint256) = 3  # by a byte
BOMB: constant(uint256) = 4
BURNS_GAS_IN_DECIMALS: constant(uint256) = 5
REVERTS_IN_DECIMALS: constant(uint256) = 6

answer: public(int256)
updatedAt: public(uint256)
behaviour: public(uint256)
work: public(uint256)

_decimals: uint256


@deploy
def __init__(decimals_: uint256):
    """
    @param decimals_ Decimals of the answers.
    """
    self._decimals = decimals_


@external
def set(answer: int256, updated_at: uint256):
    """
    @param answer What it answers from now on.
    @param updated_at Unix time of the answer.
    """
    self.answer = answer
    self.updatedAt = updated_at


@external
def setDecimals(decimals_: uint256):
    """
    @param decimals_ Decimals that it claims from now on.
    """
    self._decimals = decimals_


@external
def behave(behaviour: uint256, work: uint256):
    """
    @param behaviour One of the numbers above.
    @param work Rounds of hashing before each answer.
    """
    self.behaviour = behaviour
    self.work = work


@external
@view
def decimals() -> uint256:
    """
    @return The decimals, unless it misbehaves.
    """
    if self.behaviour == BURNS_GAS_IN_DECIMALS:
        raise UNREACHABLE
    assert self.behaviour != REVERTS_IN_DECIMALS
    return self._decimals


@external
@view
@raw_return
def latestRoundData() -> Bytes[BOMB_BYTES]:
    """
    @return Five words as an AggregatorV3 has them, unless it misbehaves.
    """
    if self.behaviour == BURNS_GAS:
        raise UNREACHABLE
    assert self.behaviour != REVERTS
    busy: bytes32 = empty(bytes32)
    for _: uint256 in range(self.work, bound=WORK):
        busy = keccak256(busy)
    if self.behaviour == SHORT:
        return slice(abi_encode(ROUND, self.answer, STARTED, self.updatedAt, ROUND), 0, 159)
    if self.behaviour == BOMB:
        return abi_encode(ROUND, self.answer, STARTED, self.updatedAt, ROUND, empty(uint256[123]))
    return abi_encode(ROUND, self.answer, STARTED, self.updatedAt, ROUND)

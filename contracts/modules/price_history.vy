# pragma version 0.4.3
"""
@title Price history
@license MIT
@author Cxmpute DEX
@notice Every price that was ever good, in the order of publication, and what can be asked about the past.
@dev Owns:     the checkpoints: one word each, never changed once written.
     Promises: publish times strictly increase. A price holds from its own publish time until the next one's. So what
               was the first price since a moment, and the mean over a window that is closed, never changes again.
     Never:    judges a price; bounds of price and time are asserted, as they keep the words and sums in range.

     checkpoint = publishTime 40 | price 80 | cumulative 120, lowest bits first. `cumulative` is the sum of price times
     seconds held before this publish time, in 1e-6 USDC seconds. It cannot overflow: all prices are below 2**80 and all
     seconds together below 2**40.
     The search reads 1 + log2(count) checkpoints: 21 of a million.
     Errors: O:NONE, O:ORDER, O:RANGE, O:WINDOW, O:OPEN.
"""

MAX_PRICE: constant(uint256) = 2**80 - 1
MAX_TIME: constant(uint256) = 2**40 - 1
PRICE_SHIFT: constant(uint256) = 40
CUMULATIVE_SHIFT: constant(uint256) = 120
COUNT_BITS: constant(uint256) = 40  # seconds are strictly increasing, so there are at most 2**40 checkpoints

# The oldest thing that is ever accepted as a price, in seconds: a source that speaks once a day, and an hour for it to
# be late. Before that has passed, a price from the past may still come in.
MAX_AGE: constant(uint256) = 25 * 3600

event PriceUpdated:
    asset: indexed(uint256)
    price: uint256
    publishTime: uint256
    cumulative: uint256

checkpointCount: public(HashMap[uint256, uint256])  # by asset

_checkpoints: HashMap[uint256, HashMap[uint256, uint256]]


@external
@view
def checkpoint(asset: uint256, index: uint256) -> (uint256, uint256, uint256):
    """
    @notice One entry of the history.
    @param asset Number of the synth.
    @param index Position, from 0; O:NONE at `checkpointCount` and beyond.
    @return Price of one whole synth in 1e-6 USDC, its publish time, and the sum of price times seconds before it.
    """
    assert index < self.checkpointCount[asset], "O:NONE"
    word: uint256 = self._checkpoints[asset][index]
    return self._price(word), self._time(word), word >> CUMULATIVE_SHIFT


@external
@view
def lastPrice(asset: uint256) -> (uint256, uint256):
    """
    @notice The newest entry of the history, however old.
    @param asset Number of the synth.
    @return Price of one whole synth in 1e-6 USDC, and its publish time; zeros when there is none.
    """
    word: uint256 = self._newest(asset)
    return self._price(word), self._time(word)


@external
@view
def firstPriceSince(asset: uint256, time: uint256) -> (uint256, uint256):
    """
    @notice The first good price that was published at this time or later. Once there is one, it stays that one.
    @param asset Number of the synth.
    @param time Unix time; O:NONE while nothing was published since.
    @return Price of one whole synth in 1e-6 USDC, and its publish time.
    """
    index: uint256 = 0
    if time != 0:
        index = self._count_until(asset, time - 1)
    assert index < self.checkpointCount[asset], "O:NONE"
    word: uint256 = self._checkpoints[asset][index]
    return self._price(word), self._time(word)


@external
@view
def twap(asset: uint256, start: uint256, end: uint256) -> uint256:
    """
    @notice The mean price over a closed window, each price weighing the seconds that it held, rounded down.
    @dev A window is closed when something was published at its end or later, or when nothing so old would be accepted
         any more. It then answers the same for ever.
    @param asset Number of the synth.
    @param start First second; not before the first price (O:NONE).
    @param end Second after the last; O:WINDOW unless it is after the start, O:OPEN while the window is not closed.
    @return Price of one whole synth in 1e-6 USDC.
    """
    assert start < end, "O:WINDOW"
    published: uint256 = self._time(self._newest(asset))
    if published < end:
        assert block.timestamp > end and block.timestamp - end > MAX_AGE, "O:OPEN"
    return (self._cumulative(asset, end) - self._cumulative(asset, start)) // (end - start)


@internal
def _append(asset: uint256, price: uint256, time: uint256):
    """
    @dev Adds a price that is newer than all before it.
    """
    assert price != 0 and price <= MAX_PRICE and time <= MAX_TIME, "O:RANGE"
    count: uint256 = self.checkpointCount[asset]
    cumulative: uint256 = 0
    if count != 0:
        newest: uint256 = self._checkpoints[asset][count - 1]
        assert time > self._time(newest), "O:ORDER"
        cumulative = self._cumulative_after(newest, time)
    self._checkpoints[asset][count] = cumulative << CUMULATIVE_SHIFT | price << PRICE_SHIFT | time
    self.checkpointCount[asset] = count + 1
    log PriceUpdated(asset=asset, price=price, publishTime=time, cumulative=cumulative)


@internal
@view
def _newest(asset: uint256) -> uint256:
    """
    @dev The newest checkpoint; zero when there is none.
    """
    count: uint256 = self.checkpointCount[asset]
    if count == 0:
        return 0
    return self._checkpoints[asset][count - 1]


@internal
@view
def _cumulative(asset: uint256, time: uint256) -> uint256:
    """
    @dev Sum of price times seconds from the first checkpoint to `time`.
    """
    count: uint256 = self._count_until(asset, time)
    assert count != 0, "O:NONE"
    return self._cumulative_after(self._checkpoints[asset][count - 1], time)


@internal
@view
def _count_until(asset: uint256, time: uint256) -> uint256:
    """
    @dev How many checkpoints were published at `time` or before: everything below `low` was, nothing from `high` on.
    """
    low: uint256 = 0
    high: uint256 = self.checkpointCount[asset]
    for _: uint256 in range(COUNT_BITS + 1):
        if low == high:
            break
        middle: uint256 = (low + high) // 2
        if self._time(self._checkpoints[asset][middle]) <= time:
            low = middle + 1
        else:
            high = middle
    return low


@internal
@pure
def _cumulative_after(word: uint256, time: uint256) -> uint256:
    """
    @dev The sum at `time`, at or after the checkpoint and before the next one.
    """
    return (word >> CUMULATIVE_SHIFT) + self._price(word) * (time - self._time(word))


@internal
@pure
def _price(word: uint256) -> uint256:
    return word >> PRICE_SHIFT & MAX_PRICE


@internal
@pure
def _time(word: uint256) -> uint256:
    return word & MAX_TIME

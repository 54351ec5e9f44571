# pragma version 0.4.3
"""
@title Oracle
@license MIT
@author Cxmpute DEX
@notice Prices of synths: the median of what at least a quorum of reporters has signed, held against a second source.
@dev Owns:     who may report, and the newest price that a quorum signed.
     Promises: `price` is younger than the bound of its source, and no two sources that are alive differ by more than
               2 %; otherwise it reverts, and whoever needs a price has to wait. The history holds only prices that were
               good when they came in.
     Never:    takes a price from whoever sends it: anyone may send what reporters signed.

     Reports. At least the quorum, a signature each, by different reporters. The price is their median; of an even number
     the upper of the two in the middle counts, and these two may differ by 2 % at most, so that one liar beside one
     honest reporter gets no further than that. The publish time of all is the earliest of theirs: no part of a price
     is older than the price says, so what was asked for before a price was known cannot be answered with older news.
     More than half of the reporters must sign, so any two accepted prices have a signer in common.

     Second source. Where TIMELOCK has set one and it is alive, it must agree within 2 % (of the lower of the two). While
     it does not, there is no price. Where the reporters have gone silent, it is the price. Where there is none,
     or it is silent, a jump of more than 20 % is believed when the next report confirms it, not before.
     What is not believed is kept, so that nothing older can come in, but it enters no history, and is no price
     until the second source, alive, agrees.

     state = price 80 | publishTime 40 | frozenUntil 40 | disputed 8, lowest bits first
     Errors: O:CONFIG, O:TIMELOCK, O:GUARDIAN, O:REPORTER, O:COUNT, O:QUORUM, O:SIGNATURE, O:SORT, O:ZERO, O:RANGE, O:FUTURE,
     O:STALE, O:SPREAD, O:ORDER, O:DEVIATION, O:FRESH, O:FROZEN, O:FREEZE, and those of the modules.
"""

from contracts.interfaces import IOracle
from contracts.modules import median
from contracts.modules import price_history as history
from contracts.modules import price_report
from contracts.modules import price_source as source

implements: IOracle

initializes: history
initializes: source

exports: history.__interface__
exports: source.__interface__

MAX_REPORTERS: constant(uint256) = 9
MAX_FREEZE: public(constant(uint256)) = 72 * 3600  # seconds
FREEZE_INTERVAL: public(constant(uint256)) = 30 * 24 * 3600  # seconds from the beginning of a freeze to that of the next

BPS: constant(uint256) = 10_000
MAX_DEVIATION_BPS: public(constant(uint256)) = 200  # between the two sources
MAX_SPREAD_BPS: public(constant(uint256)) = 200  # between the two reports in the middle
MAX_JUMP_BPS: public(constant(uint256)) = 2_000  # from one price to the next, without a second source

# state word
PRICE_MASK: constant(uint256) = 2**80 - 1
TIME_MASK: constant(uint256) = 2**40 - 1
TIME_SHIFT: constant(uint256) = 80
FROZEN_SHIFT: constant(uint256) = 120
DISPUTED_SHIFT: constant(uint256) = 160

STALENESS: public(immutable(uint256))  # age in seconds up to which reports are fresh
TIMELOCK: public(immutable(address))
GUARDIAN: public(immutable(address))

event PriceDisputed:
    asset: indexed(uint256)
    price: uint256
    publishTime: uint256

event ReporterSet:
    reporter: indexed(address)
    allowed: bool

event QuorumSet:
    quorum: uint256

event Frozen:
    asset: indexed(uint256)
    until: uint256

event Unfrozen:
    asset: indexed(uint256)

quorum: public(uint256)  # least number of reports that make a price
reporters: public(DynArray[address, MAX_REPORTERS])
isReporter: public(HashMap[address, bool])
frozenAt: public(HashMap[uint256, uint256])  # by asset: when GUARDIAN last froze it, 0 for never

_states: HashMap[uint256, uint256]  # by asset


@deploy
def __init__(
    quorum: uint256,
    staleness: uint256,
    reporters: DynArray[address, MAX_REPORTERS],
    timelock: address,
    guardian: address,
):
    """
    @param quorum Least number of reports that make a price: more than half of the reporters.
    @param staleness Age in seconds up to which a report is fresh, at most 25 hours.
    @param reporters Whose reports count from the start.
    @param timelock Who changes reporters, quorum and second sources.
    @param guardian Who may remove a reporter and freeze an asset.
    """
    assert staleness != 0 and staleness <= history.MAX_AGE, "O:CONFIG"
    assert timelock != empty(address) and guardian != empty(address) and timelock != guardian, "O:CONFIG"
    STALENESS = staleness
    TIMELOCK = timelock
    GUARDIAN = guardian
    self._set_quorum(quorum)
    for reporter: address in reporters:
        self._add(reporter)


# ------------------------------------------------------------------ anyone

@external
def submit(asset: uint256, reports: DynArray[price_report.Report, MAX_REPORTERS]):
    """
    @notice Brings a price: what reporters have signed for it. Anyone may.
    @param asset Number of the synth.
    @param reports At least the quorum, in ascending order of the signers' addresses. Each price is of one whole synth in
           1e-6 USDC; each publish time is fresh and not in the future, and the earliest is later than that of the price
           before.
    """
    state: uint256 = self._states[asset]
    assert block.timestamp >= self._frozen_until(state), "O:FROZEN"
    price: uint256 = 0
    time: uint256 = 0
    price, time = self._agreed(asset, reports)
    assert time > self._time(state), "O:ORDER"

    disputed: bool = self._is_disputed(asset, price, state)
    assert time <= TIME_MASK, "O:RANGE"
    # A freeze that is over is forgotten here; when the next one may be is counted from `frozenAt`.
    self._states[asset] = price | time << TIME_SHIFT | convert(disputed, uint256) << DISPUTED_SHIFT
    if disputed:
        log PriceDisputed(asset=asset, price=price, publishTime=time)
    else:
        history._append(asset, price, time)


@external
def poke(asset: uint256):
    """
    @notice Writes what the second source says into the history while the reporters are silent, so that what waits for
            a price does not wait for them. Anyone may.
    @param asset Number of the synth.
    """
    state: uint256 = self._states[asset]
    assert block.timestamp >= self._frozen_until(state), "O:FROZEN"
    assert not self._is_fresh(state), "O:FRESH"
    alive: bool = False
    second: uint256 = 0
    time: uint256 = 0
    alive, second, time = source._read(asset)
    assert alive, "O:STALE"
    history._append(asset, second, time)


@external
@view
def price(asset: uint256) -> uint256:
    """
    @notice What a synth costs now. Reverts when there is no price to rely on.
    @param asset Number of the synth.
    @return Price of one whole synth, in 1e-6 USDC.
    """
    state: uint256 = self._states[asset]
    assert block.timestamp >= self._frozen_until(state), "O:FROZEN"
    alive: bool = False
    second: uint256 = 0
    time: uint256 = 0
    alive, second, time = source._read(asset)
    if not self._is_fresh(state):
        assert alive, "O:STALE"
        return second

    first: uint256 = state & PRICE_MASK
    if alive:
        assert self._near(first, second, MAX_DEVIATION_BPS), "O:DEVIATION"
    else:
        assert state >> DISPUTED_SHIFT == 0, "O:DEVIATION"
    return first


@external
@view
def reported(asset: uint256) -> (uint256, uint256, bool):
    """
    @notice The newest price that a quorum has signed, fresh or not, believed or not.
    @param asset Number of the synth.
    @return Price of one whole synth in 1e-6 USDC, its publish time, and whether it was disputed when it came in.
    """
    state: uint256 = self._states[asset]
    return state & PRICE_MASK, self._time(state), state >> DISPUTED_SHIFT != 0


@external
@view
def frozenUntil(asset: uint256) -> uint256:
    """
    @notice Until when GUARDIAN has frozen an asset.
    @param asset Number of the synth.
    @return First second, in unix time, in which there may be a price again; in the past or zero when it is not frozen.
    """
    return self._frozen_until(self._states[asset])


@external
@view
def reporterCount() -> uint256:
    """
    @notice How many reporters there are.
    @return Length of `reporters`.
    """
    return len(self.reporters)


# ------------------------------------------------------------------ TIMELOCK

@external
def setReporter(reporter: address, allowed: bool):
    """
    @notice Lets somebody report, or no longer. TIMELOCK only.
    @param reporter Whose permission changes.
    @param allowed Whether their signature counts.
    """
    self._only_timelock()
    if allowed:
        self._add(reporter)
    else:
        self._remove(reporter)


@external
def setQuorum(quorum: uint256):
    """
    @notice Sets the least number of reports that make a price. TIMELOCK only.
    @param quorum More than half of the reporters; where it is more than all of them there is no price from them.
    """
    self._only_timelock()
    self._set_quorum(quorum)


@external
def setSource(asset: uint256, aggregator: address, heartbeat: uint256):
    """
    @notice Sets the second source of an asset's price: an AggregatorV3 that says what one whole synth costs in USDC (a
            price in dollars stands for one in USDC). TIMELOCK only.
    @param asset Number of the synth.
    @param aggregator The source; the zero address for none.
    @param heartbeat Age in seconds up to which its answer counts, at most 25 hours; zero for none.
    """
    self._only_timelock()
    source._set(asset, aggregator, heartbeat)


@external
def unfreeze(asset: uint256):
    """
    @notice Ends a freeze before its time, and lets GUARDIAN freeze the asset again at any time. TIMELOCK only.
    @param asset Number of the synth.
    """
    self._only_timelock()
    self._states[asset] &= ~(TIME_MASK << FROZEN_SHIFT)
    self.frozenAt[asset] = 0
    log Unfrozen(asset=asset)


# ------------------------------------------------------------------ GUARDIAN

@external
def removeReporter(reporter: address):
    """
    @notice Takes a reporter out; only TIMELOCK can let it in again. A price that it has signed already counts until it is
            stale, unless the asset is frozen. GUARDIAN only.
    @dev As many as the quorum stay: without them there would be no price until TIMELOCK acts, whom GUARDIAN can stop, and
         after seven days of that anyone may wind a synth down at the last price. `freeze` is the stop, and ends by itself.
    @param reporter Whose signature no longer counts.
    """
    self._only_guardian()
    assert len(self.reporters) > self.quorum, "O:QUORUM"
    self._remove(reporter)


@external
def freeze(asset: uint256, duration: uint256):
    """
    @notice For a while there is no price of an asset, and none comes in. GUARDIAN only, once in 30 days.
    @param asset Number of the synth.
    @param duration How long, in seconds: at most 72 hours.
    """
    self._only_guardian()
    assert duration != 0 and duration <= MAX_FREEZE, "O:FREEZE"
    assert block.timestamp - self.frozenAt[asset] >= FREEZE_INTERVAL, "O:FREEZE"
    until: uint256 = block.timestamp + duration
    assert until <= TIME_MASK, "O:RANGE"
    self.frozenAt[asset] = block.timestamp
    self._states[asset] = self._states[asset] & ~(TIME_MASK << FROZEN_SHIFT) | until << FROZEN_SHIFT
    log Frozen(asset=asset, until=until)


# ------------------------------------------------------------------ internal

@internal
@view
def _agreed(asset: uint256, reports: DynArray[price_report.Report, MAX_REPORTERS]) -> (uint256, uint256):
    """
    @return The median of the reports and the earliest of their publish times. Reverts unless all are valid.
    """
    assert len(reports) >= self.quorum, "O:QUORUM"
    domain: bytes32 = price_report._domain_separator()
    prices: DynArray[uint256, MAX_REPORTERS] = []
    earliest: uint256 = block.timestamp
    previous: uint256 = 0
    for report: price_report.Report in reports:
        assert report.price != 0, "O:ZERO"
        assert report.price <= PRICE_MASK, "O:RANGE"
        assert report.publishTime <= block.timestamp, "O:FUTURE"
        assert block.timestamp - report.publishTime <= STALENESS, "O:STALE"
        signer: address = price_report._signer(domain, asset, report)
        assert self.isReporter[signer], "O:REPORTER"
        assert convert(signer, uint256) > previous, "O:SORT"  # so no reporter counts twice
        previous = convert(signer, uint256)
        prices.append(report.price)
        earliest = min(earliest, report.publishTime)

    lower: uint256 = 0
    upper: uint256 = 0
    lower, upper = median._middles(prices)
    assert self._near(lower, upper, MAX_SPREAD_BPS), "O:SPREAD"
    return upper, earliest


@internal
@view
def _is_disputed(asset: uint256, price: uint256, state: uint256) -> bool:
    """
    @dev `state` is that of the report before, which confirms this one only if it was itself in doubt: otherwise it is
         the newest of the history, or older than that. A first price has nothing to be held against.
    """
    alive: bool = False
    second: uint256 = 0
    time: uint256 = 0
    alive, second, time = source._read(asset)
    if alive:
        return not self._near(price, second, MAX_DEVIATION_BPS)
    last: uint256 = history._price(history._newest(asset))
    if last == 0 or self._near(price, last, MAX_JUMP_BPS):
        return False
    was_disputed: bool = state >> DISPUTED_SHIFT != 0
    return not was_disputed or not self._near(price, state & PRICE_MASK, MAX_JUMP_BPS)


@internal
def _set_quorum(quorum: uint256):
    assert quorum != 0 and quorum <= MAX_REPORTERS and 2 * quorum > len(self.reporters), "O:CONFIG"
    self.quorum = quorum
    log QuorumSet(quorum=quorum)


@internal
def _add(reporter: address):
    assert reporter != empty(address) and not self.isReporter[reporter], "O:REPORTER"
    assert len(self.reporters) < MAX_REPORTERS, "O:COUNT"
    self.reporters.append(reporter)
    self.isReporter[reporter] = True
    assert 2 * self.quorum > len(self.reporters), "O:CONFIG"
    log ReporterSet(reporter=reporter, allowed=True)


@internal
def _remove(reporter: address):
    assert self.isReporter[reporter], "O:REPORTER"
    self.isReporter[reporter] = False
    last: address = self.reporters[len(self.reporters) - 1]
    for index: uint256 in range(len(self.reporters), bound=MAX_REPORTERS):
        if self.reporters[index] == reporter:
            self.reporters[index] = last
            break
    self.reporters.pop()
    log ReporterSet(reporter=reporter, allowed=False)


@internal
@view
def _is_fresh(state: uint256) -> bool:
    time: uint256 = self._time(state)
    return time != 0 and block.timestamp - time <= STALENESS


@internal
@pure
def _time(state: uint256) -> uint256:
    return state >> TIME_SHIFT & TIME_MASK


@internal
@pure
def _frozen_until(state: uint256) -> uint256:
    return state >> FROZEN_SHIFT & TIME_MASK


@internal
@pure
def _near(a: uint256, b: uint256, bps: uint256) -> bool:
    """
    @dev Whether two prices, both below 2**80, differ by at most so much of the lower one.
    """
    return (max(a, b) - min(a, b)) * BPS <= min(a, b) * bps


@internal
@view
def _only_timelock():
    assert msg.sender == TIMELOCK, "O:TIMELOCK"


@internal
@view
def _only_guardian():
    assert msg.sender == GUARDIAN, "O:GUARDIAN"

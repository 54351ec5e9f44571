# pragma version 0.4.3
"""
@title Oracle
@license MIT
@author Cxmpute DEX
@notice Prices of synths: the median of what authorised reporters have said lately. Too few fresh reports is no
        price at all, and whoever needs one has to wait.
@dev Of an even number of reports the upper of the two in the middle counts. A price here values debt: one that is too
     high only asks for more collateral, one that is too low mints synths that nothing backs. The mean of the two
     would be a price that nobody has reported.
     Errors: O:REPORTER, O:COUNT, O:ZERO, O:RANGE, O:FUTURE, O:STALE, O:ORDER, O:QUORUM, O:CONFIG.
"""

from contracts.interfaces import IOracle
from contracts.modules import roles

implements: IOracle

initializes: roles

exports: roles.__interface__

MAX_REPORTERS: constant(uint256) = 9
MAX_PRICE: constant(uint256) = 2**96 - 1
PRICE_SHIFT: constant(uint256) = 64
TERM_SHIFT: constant(uint256) = 160

QUORUM: public(immutable(uint256))  # least number of fresh reports that make a price
STALENESS: public(immutable(uint256))  # age in seconds up to which a report is fresh

event PriceReported:
    asset: indexed(uint256)
    reporter: indexed(address)
    price: uint256
    publishTime: uint256

event ReporterSet:
    reporter: indexed(address)
    allowed: bool

reporters: public(DynArray[address, MAX_REPORTERS])

# publishTime 64 | price 96, lowest bits first; by asset, and by reporter with its term (`_key`)
_reports: HashMap[uint256, HashMap[uint256, uint256]]
_terms: HashMap[address, uint256]  # how often this reporter was removed; a new term begins without reports


@deploy
def __init__(
    quorum: uint256,
    staleness: uint256,
    reporters: DynArray[address, MAX_REPORTERS],
    admin: address,
    guardian: address,
    core: address,
    gateway: address,
):
    """
    @param quorum Least number of fresh reports that make a price, 1 to 9.
    @param staleness Age in seconds up to which a report is fresh.
    @param reporters Who may report from the start.
    @param admin Who may change the reporters.
    @param guardian See the roles module.
    @param core See the roles module.
    @param gateway See the roles module.
    """
    assert quorum != 0 and quorum <= MAX_REPORTERS and staleness != 0, "O:CONFIG"
    QUORUM = quorum
    STALENESS = staleness
    roles.__init__(admin, guardian, core, gateway)
    for reporter: address in reporters:
        self._add(reporter)


@external
def report(asset: uint256, price: uint256, publishTime: uint256):
    """
    @notice Says what a synth costs. Authorised reporters only.
    @param asset Number of the synth.
    @param price Price of one whole synth, in 1e-6 USDC.
    @param publishTime Unix time of the price; newer than this reporter's previous one and not in the future.
    """
    assert msg.sender in self.reporters, "O:REPORTER"
    assert price != 0, "O:ZERO"
    assert price <= MAX_PRICE, "O:RANGE"
    assert publishTime <= block.timestamp, "O:FUTURE"
    assert block.timestamp - publishTime <= STALENESS, "O:STALE"
    key: uint256 = self._key(msg.sender)
    assert publishTime > self._publish_time(self._reports[asset][key]), "O:ORDER"

    self._reports[asset][key] = price << PRICE_SHIFT | publishTime
    log PriceReported(asset=asset, reporter=msg.sender, price=price, publishTime=publishTime)


@external
def setReporter(reporter: address, allowed: bool):
    """
    @notice Lets somebody report, or no longer. What a removed reporter has said counts no more, also when it is let
            in again. ADMIN only.
    @param reporter Whose permission changes.
    @param allowed Whether they may report.
    """
    roles._only_admin()
    if allowed:
        self._add(reporter)
    else:
        self._remove(reporter)


@external
@view
def price(asset: uint256) -> uint256:
    """
    @notice The median of the fresh reports. Reverts when there are fewer than the quorum.
    @param asset Number of the synth.
    @return Price of one whole synth, in 1e-6 USDC.
    """
    fresh: DynArray[uint256, MAX_REPORTERS] = []
    for reporter: address in self.reporters:
        stored: uint256 = self._reports[asset][self._key(reporter)]
        if stored != 0 and block.timestamp - self._publish_time(stored) <= STALENESS:
            fresh.append(stored >> PRICE_SHIFT)
    assert len(fresh) >= QUORUM, "O:QUORUM"
    return self._upper_median(fresh)


@external
@view
def reportOf(asset: uint256, reporter: address) -> (uint256, uint256):
    """
    @notice The last report of one reporter since it was let in, fresh or not.
    @param asset Number of the synth.
    @param reporter Who reported.
    @return Price of one whole synth in 1e-6 USDC, and its unix time; zeros when there is none.
    """
    stored: uint256 = self._reports[asset][self._key(reporter)]
    return stored >> PRICE_SHIFT, self._publish_time(stored)


@external
@view
def reporterCount() -> uint256:
    """
    @notice How many reporters there are.
    @return Length of `reporters`.
    """
    return len(self.reporters)


@internal
def _add(reporter: address):
    assert reporter != empty(address) and reporter not in self.reporters, "O:REPORTER"
    assert len(self.reporters) < MAX_REPORTERS, "O:COUNT"
    self.reporters.append(reporter)
    log ReporterSet(reporter=reporter, allowed=True)


@internal
def _remove(reporter: address):
    for index: uint256 in range(len(self.reporters), bound=MAX_REPORTERS):
        if self.reporters[index] == reporter:
            self.reporters[index] = self.reporters[len(self.reporters) - 1]
            self.reporters.pop()
            self._terms[reporter] += 1
            log ReporterSet(reporter=reporter, allowed=False)
            return
    raise "O:REPORTER"


@internal
@view
def _key(reporter: address) -> uint256:
    return self._terms[reporter] << TERM_SHIFT | convert(reporter, uint256)


@internal
@pure
def _upper_median(values: DynArray[uint256, MAX_REPORTERS]) -> uint256:
    """
    @dev The value with exactly len // 2 others ranked below it; equal values rank by position.
    """
    for i: uint256 in range(len(values), bound=MAX_REPORTERS):
        below: uint256 = 0
        for j: uint256 in range(len(values), bound=MAX_REPORTERS):
            if values[j] < values[i] or (values[j] == values[i] and j < i):
                below += 1
        if below == len(values) // 2:
            return values[i]
    raise "O:QUORUM"  # unreachable: some value has every rank


@internal
@pure
def _publish_time(stored: uint256) -> uint256:
    return stored & (2**PRICE_SHIFT - 1)

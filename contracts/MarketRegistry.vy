# pragma version 0.4.3
"""
@title MarketRegistry
@license MIT
@author Cxmpute DEX
@notice Lists markets on terms that never change, and opens, pauses and closes them.
@dev The terms and the status live in one word a market in Settlement, which reads them at each fill; the registry is
     the only one who writes them and keeps no second copy. A symbol is listed once: a signed order names it, so its
     meaning may never change. Status: 1 PAUSED, 2 ACTIVE, 3 DELISTED (for ever).
     No key alone keeps a market closed: GUARDIAN's pause ends after 72 hours at most, then anyone may reopen, and the
     next one of that market begins 30 days after it at the earliest. What is longer, or for ever, is announced a day
     before by the Timelock. A closed market stops fills and listings, never a way out.
     Errors: M:SYMBOL, M:LISTED, M:KIND, M:ASSET, M:LOT, M:TICK, M:FEE, M:FULL, M:UNKNOWN, M:STATUS, M:ROLE, M:SOON,
     M:EARLY, M:ZERO, those of the modules.
"""

# pragma nonreentrancy on

from contracts.interfaces import ISettlement
from contracts.interfaces import IVault
from contracts.modules import brake
from contracts.modules import packing
from contracts.modules import plain_text
from contracts.modules import roles

initializes: roles
initializes: brake  # of listings; each market has one of its own below

exports: roles.__interface__
exports: (
    brake.pause,
    brake.resume,
    brake.allowPause,
    brake.isPaused,
    brake.pausedUntil,
    brake.nextPauseFrom,
)

PAUSED: constant(uint256) = 1
ACTIVE: constant(uint256) = 2
DELISTED: constant(uint256) = 3

SPOT: constant(uint256) = 0

MAX_TOTAL_FEE_BPS: constant(uint256) = 50
MAX_LOT_EXPONENT: constant(uint256) = 18
MAX_QUOTE_PER_LOT_TICK: constant(uint256) = 2**32 - 1
MAX_MIN_LOTS: constant(uint256) = 2**24 - 1
MAX_MARKETS: constant(uint256) = 2**16 - 1

SETTLEMENT: public(immutable(address))
VAULT: public(immutable(address))
TIMELOCK: public(immutable(address))

event MarketListed:
    market: indexed(bytes32)
    symbol: String[32]
    index: uint256
    kind: uint256
    baseAsset: uint256
    lotExponent: uint256
    quotePerLotTick: uint256
    minLots: uint256
    makerFeeBps: uint256
    takerFeeBps: uint256

event MarketStatusChanged:
    market: indexed(bytes32)
    previous: uint256
    status: uint256

event MarketPaused:
    market: indexed(bytes32)
    endsAt: uint256
    nextPauseFrom: uint256

event MarketPauseAllowed:
    market: indexed(bytes32)

marketCount: public(uint256)
marketAt: public(HashMap[uint256, bytes32])  # by index, from 1

# Unix times by market. A pause without an end, or none: zero. Never paused: zero.
marketPauseEndsAt: public(HashMap[bytes32, uint256])  # from then on anyone may reopen
nextMarketPauseFrom: public(HashMap[bytes32, uint256])  # from then on GUARDIAN may pause again


@deploy
def __init__(
    settlement: address,
    vault: address,
    timelock: address,
    admin: address,
    guardian: address,
    core: address,
    gateway: address,
):
    """
    @param settlement Where the market words live.
    @param vault Knows which synths exist.
    @param timelock Who may pause without an end, and delist.
    @param admin Who may open.
    @param guardian Who may pause for a while.
    @param core See the roles module.
    @param gateway Who may list.
    """
    for part: address in [settlement, vault, timelock]:
        assert part != empty(address), "M:ZERO"
    SETTLEMENT = settlement
    VAULT = vault
    TIMELOCK = timelock
    roles.__init__(admin, guardian, core, gateway)
    brake.__init__(guardian, admin)


@external
def listMarket(
    symbol: String[32],
    kind: uint256,
    baseAsset: uint256,
    lotExponent: uint256,
    quotePerLotTick: uint256,
    minLots: uint256,
    makerFeeBps: uint256,
    takerFeeBps: uint256,
) -> bytes32:
    """
    @notice Lists a market on these terms for ever. It starts PAUSED. GATEWAY only.
    @param symbol What orders call it: printable ASCII without spaces, never listed before.
    @param kind What is traded; 0, spot, is the only kind so far.
    @param baseAsset Number of the synth that is traded.
    @param lotExponent One lot is 10**lotExponent of the synth's 1e-18 units, at most one whole synth.
    @param quotePerLotTick 1e-6 USDC that one lot costs per tick of price, at least 1.
    @param minLots Smallest fill, in lots, at least 1.
    @param makerFeeBps Fee of the maker in 1/10,000 of the notional.
    @param takerFeeBps Fee of the taker; together at most 50.
    @return The market's key: the hash of its symbol.
    """
    roles._only_gateway()
    brake._only_running()
    assert plain_text._is_plain(symbol, False), "M:SYMBOL"
    assert kind == SPOT, "M:KIND"
    assert staticcall IVault(VAULT).synthOf(baseAsset) != empty(address), "M:ASSET"
    assert lotExponent <= MAX_LOT_EXPONENT, "M:LOT"
    assert minLots != 0 and minLots <= MAX_MIN_LOTS, "M:LOT"
    assert quotePerLotTick != 0 and quotePerLotTick <= MAX_QUOTE_PER_LOT_TICK, "M:TICK"
    assert makerFeeBps <= MAX_TOTAL_FEE_BPS and takerFeeBps <= MAX_TOTAL_FEE_BPS - makerFeeBps, "M:FEE"

    market: bytes32 = keccak256(symbol)
    assert self._status(market) == 0, "M:LISTED"
    index: uint256 = self.marketCount + 1
    assert index <= MAX_MARKETS, "M:FULL"
    self.marketCount = index
    self.marketAt[index] = market

    # Every field fits its bits: bounded above, and the Vault numbers synths with 16 bits.
    word: uint256 = (
        (quotePerLotTick << packing.QUOTE_SHIFT)
        | (minLots << packing.MIN_LOTS_SHIFT)
        | (lotExponent << packing.LOT_EXPONENT_SHIFT)
        | (baseAsset << packing.BASE_ASSET_SHIFT)
        | (index << packing.MARKET_INDEX_SHIFT)
        | (takerFeeBps << packing.TAKER_FEE_SHIFT)
        | (makerFeeBps << packing.MAKER_FEE_SHIFT)
        | (PAUSED << packing.STATUS_SHIFT)
    )
    extcall ISettlement(SETTLEMENT).openMarket(market, word)
    log MarketListed(
        market=market,
        symbol=symbol,
        index=index,
        kind=kind,
        baseAsset=baseAsset,
        lotExponent=lotExponent,
        quotePerLotTick=quotePerLotTick,
        minLots=minLots,
        makerFeeBps=makerFeeBps,
        takerFeeBps=takerFeeBps,
    )
    return market


@external
def setStatus(market: bytes32, status: uint256):
    """
    @notice The circuit breaker. ADMIN opens, GUARDIAN pauses what is open, the Timelock does anything.
    @dev TIMELOCK may pause what GUARDIAN has paused: the pause then has no end.
    @param market The market's key.
    @param status 1 PAUSED, 2 ACTIVE or 3 DELISTED, which cannot be undone.
    """
    previous: uint256 = self._changeable(market)
    assert status in [PAUSED, ACTIVE, DELISTED], "M:STATUS"
    if msg.sender == TIMELOCK:
        assert status != previous or self.marketPauseEndsAt[market] != 0, "M:STATUS"
        self.marketPauseEndsAt[market] = 0
    else:
        assert (msg.sender == roles.ADMIN and status == ACTIVE) or (
            msg.sender == roles.GUARDIAN and status == PAUSED
        ), "M:ROLE"
        assert status != previous, "M:STATUS"
        if status == PAUSED:
            self._begin_pause(market)
        else:
            self.marketPauseEndsAt[market] = 0
    self._change(market, previous, status)


@external
def reopen(market: bytes32):
    """
    @notice Opens a market whose pause by GUARDIAN is over. Anyone.
    @param market The market's key.
    """
    previous: uint256 = self._changeable(market)
    ends_at: uint256 = self.marketPauseEndsAt[market]
    assert previous == PAUSED and ends_at != 0, "M:STATUS"
    assert block.timestamp >= ends_at, "M:EARLY"
    self.marketPauseEndsAt[market] = 0
    self._change(market, previous, ACTIVE)


@external
def allowMarketPause(market: bytes32):
    """
    @notice Lets GUARDIAN pause a market again at once, instead of 30 days after its last pause. ADMIN only.
    @param market The market's key.
    """
    roles._only_admin()
    self.nextMarketPauseFrom[market] = 0
    log MarketPauseAllowed(market=market)


@external
@view
def statusOf(market: bytes32) -> uint256:
    """
    @notice Whether a market trades.
    @param market The market's key.
    @return 0 never listed, 1 PAUSED, 2 ACTIVE, 3 DELISTED.
    """
    return self._status(market)


@internal
@view
def _status(market: bytes32) -> uint256:
    return staticcall ISettlement(SETTLEMENT).marketWord(market) >> packing.STATUS_SHIFT


@internal
@view
def _changeable(market: bytes32) -> uint256:
    """
    @return The status of a market that is listed and not closed for ever.
    """
    status: uint256 = self._status(market)
    assert status != 0, "M:UNKNOWN"
    assert status in [PAUSED, ACTIVE], "M:STATUS"
    return status


@internal
def _begin_pause(market: bytes32):
    assert block.timestamp >= self.nextMarketPauseFrom[market], "M:SOON"
    ends_at: uint256 = block.timestamp + brake.MAX_PAUSE
    next_from: uint256 = block.timestamp + brake.PAUSE_INTERVAL
    self.marketPauseEndsAt[market] = ends_at
    self.nextMarketPauseFrom[market] = next_from
    log MarketPaused(market=market, endsAt=ends_at, nextPauseFrom=next_from)


@internal
def _change(market: bytes32, previous: uint256, status: uint256):
    extcall ISettlement(SETTLEMENT).setMarketStatus(market, status)
    log MarketStatusChanged(market=market, previous=previous, status=status)

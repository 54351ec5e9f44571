# pragma version 0.4.3
"""
@title MarketRegistry
@license MIT
@author Cxmpute DEX
@notice Lists markets on terms that never change, and opens, pauses and closes them.
@dev The terms and the status live in one word a market in Settlement, which reads them at each fill; the registry is
     the only one who writes them and keeps no second copy. A symbol is listed once: a signed order names it, so its
     meaning may never change. Status: 1 PAUSED, 2 ACTIVE, 3 DELISTED (for ever).
     Errors: M:SYMBOL, M:LISTED, M:KIND, M:ASSET, M:LOT, M:TICK, M:FEE, M:FULL, M:UNKNOWN, M:STATUS, M:ROLE, M:ZERO.
"""

# pragma nonreentrancy on

from contracts.interfaces import ISettlement
from contracts.interfaces import IVault
from contracts.modules import packing
from contracts.modules import plain_text
from contracts.modules import roles

initializes: roles

exports: roles.__interface__

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

marketCount: public(uint256)
marketAt: public(HashMap[uint256, bytes32])  # by index, from 1


@deploy
def __init__(
    settlement: address, vault: address, admin: address, guardian: address, core: address, gateway: address
):
    """
    @param settlement Where the market words live.
    @param vault Knows which synths exist.
    @param admin Who may open, pause and delist.
    @param guardian Who may pause.
    @param core See the roles module.
    @param gateway Who may list.
    """
    assert settlement != empty(address) and vault != empty(address), "M:ZERO"
    SETTLEMENT = settlement
    VAULT = vault
    roles.__init__(admin, guardian, core, gateway)


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
    @notice The circuit breaker. ADMIN opens, pauses and delists; GUARDIAN may only pause what is open.
    @param market The market's key.
    @param status 1 PAUSED, 2 ACTIVE or 3 DELISTED, which cannot be undone.
    """
    assert msg.sender == roles.ADMIN or (msg.sender == roles.GUARDIAN and status == PAUSED), "M:ROLE"
    previous: uint256 = self._status(market)
    assert previous != 0, "M:UNKNOWN"
    assert previous in [PAUSED, ACTIVE], "M:STATUS"
    assert status in [PAUSED, ACTIVE, DELISTED] and status != previous, "M:STATUS"

    extcall ISettlement(SETTLEMENT).setMarketStatus(market, status)
    log MarketStatusChanged(market=market, previous=previous, status=status)


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

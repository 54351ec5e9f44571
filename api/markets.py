"""The listed markets as this process knows them: from the engine, refreshed when the engine says they changed.

Promises: terms never change for a symbol, so an old copy is still right about everything but the status.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cxdex.market import ASSET_DECIMALS, CXPT_ASSET, USDC_ASSET, USDC_DECIMALS, MarketKind, MarketStatus, MarketTerms
from cxdex.problem import Problem
from cxdex.units import format_decimal, format_price, format_quantity
from relayer.wire import MarketState


@dataclass(frozen=True, slots=True)
class Market:
    """next_sequence: number of the next fill; settled_sequence: how many the chain has processed."""

    terms: MarketTerms
    status: MarketStatus
    next_sequence: int
    settled_sequence: int


class MarketDirectory:
    def __init__(self) -> None:
        self._markets: dict[str, Market] = {}
        self._loaded = False

    @property
    def is_known(self) -> bool:
        return self._loaded

    def replace(self, states: Iterable[MarketState]) -> None:
        self._markets = {state.symbol: _market_of(state) for state in states}
        self._loaded = True

    def find(self, symbol: str) -> Market:
        """Raises MARKET_UNKNOWN, or ENGINE_UNAVAILABLE before the engine has answered for the first time."""
        market = self._markets.get(symbol)
        if market is not None:
            return market
        self.require_known()
        raise Problem(
            "MARKET_UNKNOWN",
            "no such market is listed",
            field="market",
            given=symbol[:80],
            allowed=", ".join(sorted(self._markets)) or "no market is listed yet",
        )

    def require_known(self) -> None:
        """Raises ENGINE_UNAVAILABLE before the engine has answered for the first time."""
        if not self._loaded:
            raise Problem("ENGINE_UNAVAILABLE", "the markets are not known yet: the matching engine has not answered")

    def terms_of(self, symbol: str) -> MarketTerms:
        return self.find(symbol).terms

    def all(self) -> list[Market]:
        """In the order of listing."""
        return sorted(self._markets.values(), key=lambda market: market.terms.index)

    def asset_symbol(self, asset: int) -> str:
        """The name of a ledger asset; assets that no market trades are named by number."""
        names = {USDC_ASSET: "USDC", CXPT_ASSET: "CXPT"}
        names.update({market.terms.base_asset: market.terms.base_symbol for market in self._markets.values()})
        return names.get(asset, f"asset {asset}")


def asset_decimals(asset: int) -> int:
    return USDC_DECIMALS if asset in (USDC_ASSET, CXPT_ASSET) else ASSET_DECIMALS


def format_amount(asset: int, value: int) -> str:
    """An amount of a ledger asset as a decimal string."""
    return format_decimal(value, asset_decimals(asset))


def market_to_json(market: Market) -> dict[str, Any]:
    """The public shape: sizes as decimal strings, numbers of the contract beside them."""
    terms = market.terms
    return {
        "symbol": terms.symbol,
        "index": terms.index,
        "kind": terms.kind.name,
        "status": market.status.name,
        "baseAsset": terms.base_asset,
        "baseSymbol": terms.base_symbol,
        "quoteSymbol": "USDC",
        "lotSize": format_quantity(terms, 1),
        "tickSize": format_price(terms, 1),
        "minQuantity": format_quantity(terms, terms.min_lots),
        "lotExponent": terms.lot_exponent,
        "quotePerLotTick": str(terms.quote_per_lot_tick),
        "minLots": str(terms.min_lots),
        "makerFeeBps": terms.maker_fee_bps,
        "takerFeeBps": terms.taker_fee_bps,
        "nextSequence": str(market.next_sequence),
        "settledSequence": str(market.settled_sequence),
    }


def _market_of(state: MarketState) -> Market:
    terms = MarketTerms(
        symbol=state.symbol,
        index=state.index,
        kind=MarketKind(state.kind),
        base_asset=state.base_asset,
        base_symbol=state.base_symbol,
        lot_exponent=state.lot_exponent,
        quote_per_lot_tick=state.quote_per_lot_tick,
        min_lots=state.min_lots,
        maker_fee_bps=state.maker_fee_bps,
        taker_fee_bps=state.taker_fee_bps,
    )
    return Market(terms, MarketStatus(state.status), state.next_sequence, state.settled_sequence)

"""The exchange's state from its events alone: what an indexer can know, folded by rules that share no code with it.

Promises: an event that names a balance, a total or a supply names the one that the events before it lead to.
Never:    reads the chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

USDC, CXPT = 0, 1

Fields = dict[str, Any]


class Replay:
    def __init__(self) -> None:
        self.terms: dict[int, tuple[int, int, int]] = {}  # by index: asset, exponent of a lot, 1e-6 USDC a lot and tick
        self.asset_of: dict[bytes, int] = {}  # by the market's key
        self.balance: Counter[tuple[bytes, int]] = Counter()
        self.announced: Counter[tuple[bytes, int]] = Counter()
        self.positions: dict[tuple[bytes, int], tuple[int, int]] = {}
        self.supply: Counter[int] = Counter()
        self.escrow: Counter[int] = Counter()
        self.fees: Counter[int] = Counter()
        self.sums: Counter[str] = Counter()  # collateral, reserve, pocket

    def fold(self, events: Iterable[tuple[str, Fields]]) -> None:
        for name, fields in events:
            rule = getattr(self, f"_on_{name}", None)
            if rule is not None:
                rule(fields)

    def ledger(self, asset: int) -> int:
        held = sum(amount for (_, number), amount in self.balance.items() if number == asset)
        return held + (sum(self.fees.values()) if asset == USDC else 0)

    # ------------------------------------------------------------------ steps that events share

    def _move(self, account: str, asset: int, amount: int, fields: Fields | None = None) -> None:
        key = bytes.fromhex(account[2:]), asset
        self.balance[key] += amount
        assert fields is None or fields["balance"] == self.balance[key]

    def _sum(self, name: str, amount: int, told: int | None = None) -> None:
        self.sums[name] += amount
        assert told is None or told == self.sums[name]

    def _mint(self, asset: int, amount: int, told: int) -> None:
        self.supply[asset] += amount
        assert told == self.supply[asset]

    # ------------------------------------------------------------------ deposits and withdrawals

    def _on_Deposited(self, fields: Fields) -> None:
        self._move(fields["account"], fields["asset"], fields["amount"], fields)

    def _on_WithdrawRequested(self, fields: Fields) -> None:
        self.announced[bytes.fromhex(fields["account"][2:]), fields["asset"]] += fields["amount"]

    def _on_WithdrawCancelled(self, fields: Fields) -> None:
        self.announced[bytes.fromhex(fields["account"][2:]), fields["asset"]] -= fields["amount"]

    def _on_WithdrawClaimed(self, fields: Fields) -> None:
        self._on_WithdrawCancelled(fields)
        self._on_Withdrawn({**fields, "amount": fields["paid"]})

    def _on_Withdrawn(self, fields: Fields) -> None:
        self._move(fields["account"], fields["asset"], -fields["amount"], fields)
        if fields["asCxpt"]:
            self._sum("reserve", fields["amount"])

    def _on_CxptRedeemed(self, fields: Fields) -> None:
        self._move(fields["account"], USDC, fields["amount"], fields)
        self._sum("reserve", -fields["amount"])

    # ------------------------------------------------------------------ markets, fills and fees

    def _on_MarketListed(self, fields: Fields) -> None:
        asset = fields["baseAsset"]
        self.terms[fields["index"]] = (asset, fields["lotExponent"], fields["quotePerLotTick"])
        self.asset_of[fields["market"]] = asset

    def _on_Fill(self, fields: Fields) -> None:
        """terms = quantity 39, price 64, sequence 40, market 16, takerIsBuyer 1, takerFee 48, makerFee 48."""
        terms = fields["terms"]
        quantity, price, market = terms & (2**39 - 1), terms >> 39 & (2**64 - 1), terms >> 143 & (2**16 - 1)
        asset, exponent, quote = self.terms[market]
        fees = {"maker": terms >> 208, "taker": terms >> 160 & (2**48 - 1)}
        owner = {role: f"0x{fields[role] >> 96:040x}" for role in fees}
        buyer, seller = ("taker", "maker") if terms >> 159 & 1 else ("maker", "taker")
        notional, amount = quantity * price * quote, quantity * 10**exponent
        self._move(owner[buyer], USDC, -notional - fees[buyer])
        self._move(owner[seller], USDC, notional - fees[seller])
        self._move(owner[buyer], asset, amount)
        self._move(owner[seller], asset, -amount)
        self.fees[asset] += sum(fees.values())

    def _on_FeesCollected(self, fields: Fields) -> None:
        assert self.fees.pop(self.asset_of[fields["market"]]) == fields["amount"]
        self._sum("pocket", fields["amount"], fields["pocket"])

    def _on_FeesWithdrawn(self, fields: Fields) -> None:
        self._sum("pocket", -fields["amount"], fields["pocket"])

    def _on_RebatePaid(self, fields: Fields) -> None:
        self._sum("pocket", -fields["amount"], fields["pocket"])
        self._sum("reserve", fields["amount"])
        self._move(fields["account"], CXPT, fields["amount"], fields)

    # ------------------------------------------------------------------ debt

    def _on_DebtChanged(self, fields: Fields) -> None:
        key = bytes.fromhex(fields["account"][2:]), fields["asset"]
        self.positions[key] = fields["debt"], fields["collateral"]

    def _on_CollateralLocked(self, fields: Fields) -> None:
        self._sum("collateral", fields["amount"], fields["total"])

    def _on_ProceedsLocked(self, fields: Fields) -> None:
        self._move(fields["account"], USDC, -fields["amount"], fields)
        self._sum("collateral", fields["amount"], fields["total"])

    def _on_CollateralReleased(self, fields: Fields) -> None:
        self._move(fields["account"], USDC, fields["amount"], fields)
        self._sum("collateral", -fields["amount"], fields["total"])

    def _on_SynthMinted(self, fields: Fields) -> None:
        self._mint(fields["asset"], fields["amount"], fields["supply"])
        self._move(fields["account"], fields["asset"], fields["amount"], fields)

    def _on_SynthBurned(self, fields: Fields) -> None:
        self._mint(fields["asset"], -fields["amount"], fields["supply"])

    def _on_SynthEscrowed(self, fields: Fields) -> None:
        self.escrow[fields["asset"]] += fields["amount"]

    def _on_EscrowBurned(self, fields: Fields) -> None:
        self.escrow[fields["asset"]] -= fields["amount"]
        self._mint(fields["asset"], -fields["amount"], fields["supply"])

    def _on_EscrowReturned(self, fields: Fields) -> None:
        self.escrow[fields["asset"]] -= fields["amount"]
        self._move(fields["account"], fields["asset"], fields["amount"], fields)

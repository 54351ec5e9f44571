"""How many fills one transaction carries: guessed by the gas model, judged by the node, learnt for the next batch.

Owns:     `scale`, the ratio of the node's estimate to the model's, from the last batch.
Promises: what it returns was estimated by the node, needs at most the gas limit (unless it is a single fill) even
          when every contract wallet in it uses all the gas that it is given, and is within a few per cent of the
          most that would, if there were enough fills.
Never:    decides what to do about a fill that the contract refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxdex.batch import MatchedFill, encode_settle_batch
from relayer.settler.chain import OUT_OF_GAS, Refusal, SettlementChain
from relayer.settler.plan import Limits, Load, fitting

_SCALE_BOUNDS = (0.4, 4.0)
_MOST_ESTIMATES = 6
_CLOSE_ENOUGH = 1.04

# S:GAS: not enough left to ask a wallet or to mint. A revert without a word: running out behind the proxy looks so.
# If it is a fill that reverts so, fewer fills lead to it just as well.
_TOO_LITTLE_GAS = frozenset({OUT_OF_GAS, "S:GAS", ""})


@dataclass(frozen=True, slots=True)
class Sized:
    """The first `count` fills. gas: the node's estimate for them. wallet_gas: what contract wallets may use besides."""

    count: int
    gas: int
    wallet_gas: int = 0


@dataclass(frozen=True, slots=True)
class Unfit:
    """The contract refuses the first `count` fills together."""

    count: int
    refusal: Refusal


class Sizer:
    def __init__(self, chain: SettlementChain, limits: Limits) -> None:
        self.scale = 1.0
        self._chain = chain
        self._limits = limits

    def guess(self, fills: Sequence[MatchedFill]) -> int:
        """How many would fit, without asking the node."""
        return fitting(fills, self._limits, self.scale)

    def largest(self, fills: Sequence[MatchedFill]) -> Sized | Unfit:
        """As many of the fills, from the first on, as fit; or what the contract refuses, although it would."""
        best: Sized | None = None
        most, count = len(fills), self.guess(fills)
        for _ in range(_MOST_ESTIMATES):
            gas = self._chain.estimate_gas(encode_settle_batch(fills[:count]))
            if isinstance(gas, Refusal) and gas.code not in _TOO_LITTLE_GAS:
                return best or Unfit(count, gas)  # a bad fill behind good ones is the next batch's to find
            if isinstance(gas, Refusal):
                if count == 1:
                    return Unfit(count, gas)
                most, count = count - 1, count // 2
            else:
                load = _load(fills[:count])
                self._learn(load, gas)
                if gas + load.wallet_gas <= self._limits.gas_limit or count == 1:
                    best = Sized(count, gas, load.wallet_gas)
                else:
                    most = count - 1
                target = min(most, self.guess(fills))
                if best is not None and target <= best.count * _CLOSE_ENOUGH:
                    return best
                count = target
            if best is not None and count <= best.count:
                return best
        return best or Unfit(count, Refusal(OUT_OF_GAS, "no estimate was low enough"))

    def _learn(self, load: Load, gas: int) -> None:
        if load.wallet_gas:  # what wallets used of theirs in this estimate says nothing about anything else
            return
        low, high = _SCALE_BOUNDS
        self.scale = min(high, max(low, gas / load.gas))


def _load(fills: Sequence[MatchedFill]) -> Load:
    load = Load()
    for fill in fills:
        load.add(fill)
    return load

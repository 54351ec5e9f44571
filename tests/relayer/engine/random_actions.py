"""What traders and the chain may do next, drawn by a seed.

Mostly orders around a narrow price, so that most flows trade; every other command now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random

from hypothesis import strategies as st
from naive_exchange import CXPT, GIVEN_UP
from trading_desk import ASSETS, BTC, ETH

from cxdex.condition import Trigger
from cxdex.order import SelfTrade, Side

TIMES_IN_FORCE = ["GTC", "GTC", "GTC", "POST_ONLY", "IOC", "FOK", "MARKET"]
NAMES = ["a", "b", "c"]
MARKETS = [BTC.symbol, BTC.symbol, ETH.symbol]


def _who(rng: Random) -> int:
    return rng.randrange(3)


def _listing(rng: Random):
    return rng.choice([BTC, ETH])


def _place(rng: Random) -> tuple:
    lots = 5 * rng.randint(1, 12) if rng.random() < 0.9 else rng.randint(1, 60)
    return (
        _who(rng),
        rng.choice(MARKETS),
        rng.choice(list(Side)),
        lots,
        rng.randint(97, 103),
        rng.choice(TIMES_IN_FORCE),
        rng.choice(list(SelfTrade)),
        rng.choice([0, 10, 50, 10_000]),
        rng.randint(1, 900),
        rng.choice([None, *NAMES]),
        rng.choice([None, None, None, None, None, None, 0, -1]),
    )


def _conditional(rng: Random) -> tuple:
    trigger = rng.choice(list(Trigger))
    ticks = rng.randint(1, 4) if trigger.trails else rng.randint(96, 104)
    tif = rng.choice([*TIMES_IN_FORCE, "GTD"])
    lots = rng.choice([5, 10, 20, 40])
    terms = (lots, rng.randint(96, 104), tif, rng.choice(list(SelfTrade)), rng.randint(1, 2_000))
    return _who(rng), rng.choice(MARKETS), rng.choice(list(Side)), *terms, trigger, ticks, rng.choice([-9, 0, 0, 0, 40])


def _pair(rng: Random) -> tuple:
    trigger = rng.choice([*Trigger, *[None] * 3])
    ticks = rng.randint(1, 4) if trigger is not None and trigger.trails else rng.randint(95, 105)
    lots, tif = rng.choice([5, 10, 20, 40]), rng.choice(TIMES_IN_FORCE[:-1])
    terms = (ticks, lots, rng.randint(96, 104), tif, rng.choice(list(SelfTrade)))
    return rng.randrange(1_000), trigger, *terms, rng.choice([*[None] * 12, "side", "market"])


def _iceberg(rng: Random) -> tuple:
    lots = rng.choice([10, 20, 40, 60])
    terms = (lots, rng.randint(98, 102), rng.choice([*["GTC"] * 5, "GTD", "POST_ONLY", "FOK"]))
    display = rng.choice([5, 5, 10, 10, 15, 20, 7])
    ticks = rng.choice([None, None, None, None, 99, 101])
    return _who(rng), rng.choice(MARKETS), rng.choice(list(Side)), *terms, rng.choice(list(SelfTrade)), display, ticks


def _index(rng: Random) -> tuple:
    return rng.randint(96, 104), rng.choice([0, 0, 1, -1]), _listing(rng)


def _terms(rng: Random) -> tuple:
    lots = rng.choice([5, 10, 20, 30, 40, 60, rng.randint(1, 60)])
    fee = rng.choice([50, 50, 50, 50, 50, 10])
    return lots, rng.choice(TIMES_IN_FORCE[:-1]), rng.choice(list(SelfTrade)), fee, rng.choice([None, *NAMES])


def _replace(rng: Random) -> tuple:
    twist = rng.choice([*[None] * 30, "nonce", "side", "market", "owner", "late", "closed", "again"])
    return rng.randrange(1_000), rng.choice([0, 0, 0, 2, -2, 9, -9]), *_terms(rng), twist


def _cancel_and_place(rng: Random) -> tuple:
    name = rng.choice([None, None, None, *NAMES])
    modes = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.3
    return rng.randrange(1_000), name, *modes, rng.choice(list(Side)), rng.randint(97, 103), *_terms(rng)


def _cancel_all(rng: Random) -> tuple:
    return _who(rng), rng.choice([None, BTC.symbol]), rng.choice([None, *Side])


def _money(rng: Random) -> tuple:
    return _who(rng), rng.choice(ASSETS), rng.randint(1, 30_000)


def _limit(rng: Random) -> tuple:
    most = (rng.randint(500, 10_000), rng.randint(0, 6), rng.randint(1_000, 40_000), rng.randint(0, 300))
    return tuple(value if rng.random() < 0.35 else None for value in most)


def _guard(rng: Random) -> tuple:
    lots, worth = rng.choice([(rng.randint(1, 20), None), (None, rng.randint(100, 2_000)), (20, 1_500)])
    window, cooldown = rng.choice([1, 60_000, 3_600_000]), rng.choice([0, 1_000, 100_000])
    return _who(rng), _listing(rng).symbol, window, lots, worth, cooldown


ACTIONS: dict[str, tuple[int, Callable[[Random], tuple]]] = {
    "place": (60, _place),
    "reduce": (6, lambda rng: (rng.randrange(1_000), rng.choice([5, 10, 15, 25, 40, rng.randint(0, 60)]))),
    "replace": (12, _replace),
    "cancel and place": (8, _cancel_and_place),
    "cancel": (8, lambda rng: (rng.randint(0, 60),)),
    "cancel all": (1, _cancel_all),
    "cancel named": (3, lambda rng: (_who(rng), rng.sample(NAMES, 2))),
    "countdown": (2, lambda rng: (_who(rng), rng.choice([0, 1, 30, 100]))),
    "disconnect": (1, lambda rng: (_who(rng),)),
    "wait": (4, lambda rng: (rng.randint(1, 120),)),
    "credit": (4, _money),
    "debit": (5, _money),
    "settle": (6, lambda rng: (rng.randint(0, 3),)),
    "skip": (5, lambda rng: (rng.choice([1, 2, 3, 4, 5, 6, GIVEN_UP]),)),
    "tier": (2, lambda rng: (_who(rng), rng.choice([1, 999, 1_000, 9_000, 90_000, 900_000]))),
    "charge": (2, lambda rng: (rng.randint(0, 40), rng.randint(0, 40))),
    "leave": (4, lambda rng: (_who(rng), rng.choice((*ASSETS, CXPT)), rng.randint(1, 30_000))),
    "pay": (2, lambda rng: (rng.randint(0, 7),)),
    "limit": (2, _limit),
    "conditional": (20, _conditional),
    "pair": (14, _pair),
    "iceberg": (14, _iceberg),
    "index": (9, _index),
    "reorg": (3, lambda rng: (rng.randint(1, 4),)),
    "rate": (1, lambda rng: (rng.choice([None, 1, 7]), rng.randint(1, 5))),
    "guard": (5, _guard),
    "reset": (2, lambda rng: (_who(rng), _listing(rng).symbol, rng.random() < 0.5)),
}
"""What may happen, how often, and what is drawn for it; a method of `model_flow.Flow` does it."""


def random_flow(seed: int, length: int, without: Collection[str] = (), often: Collection[str] = ()) -> list[tuple]:
    """often: kinds that come five times as often as otherwise."""
    rng = Random(seed)
    weights = [weight * (5 if kind in often else 1) for kind, (weight, _) in ACTIONS.items()]
    kinds = rng.choices(list(ACTIONS), weights, k=length)
    return [(kind, *ACTIONS[kind][1](rng)) for kind in kinds if kind not in without]


# Seeds rather than lists of drawn actions: hypothesis favours simple values, and simple orders hardly ever meet.
flows = st.builds(random_flow, st.integers(0, 2**32), st.integers(0, 80))

"""What random traders wait for, and the proofs that a relayer sends with their orders: honest ones, and tries."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

from cxdex.batch import MatchedFill
from cxdex.condition import Condition, Trigger
from cxdex.order import SignedOrder
from tests.contracts.settlement_desk import LISTINGS
from tests.contracts.settlement_reference import Ledger

TICK = 10**4  # of the index of both markets, 1e-6 USDC a whole synth
AROUND = 100  # ticks at which the markets trade


def next_index(draw: random.Random, ledger: Ledger, asset: int) -> tuple[int, int] | None:
    """(second, price) of the next good price, at most 10 % from where the markets trade; None while there is none."""
    last = max(ledger.index[asset], default=0)
    second = max(last + 1, ledger.now - draw.randint(0, 40))
    if second > ledger.now:
        return None
    return second, draw.randint(92, 108) * TICK + draw.choice((-1, 0, 0, 1))


def random_condition(draw: random.Random, now: int) -> Condition:
    """Most can be met soon; some count prices of long ago."""
    trigger = draw.choice([*Trigger, *(trigger for trigger in Trigger if trigger.by_index)])
    ticks = draw.randint(1, 12) if trigger.trails else AROUND + draw.randint(-9, 9)
    return Condition(trigger, ticks, now - draw.choice((0, 0, 60, 300, 10**5)))


def armed(draw: random.Random, placed: list[SignedOrder], ledger: Ledger, eager: bool) -> list[SignedOrder]:
    """The orders that a relayer sends, with proofs. An eager one also sends what has not been triggered."""
    ready = []
    for signed in placed:
        if signed.order.condition is None:
            ready.append(signed)
            continue
        proven = proofs(signed, ledger)
        if proven and not (eager and draw.random() < 0.5):
            ready.append(replace(signed, proof=draw.choice(proven)))
        elif eager:
            ready.append(replace(signed, proof=guess(draw, signed, ledger)))
    return ready


def proofs(signed: SignedOrder, ledger: Ledger) -> list[tuple[int, int]]:
    """All that the reference accepts, of the newest prices."""
    condition = signed.order.condition
    if condition is None or not condition.trigger.by_index:
        return [(0, 0)]
    times = sorted(ledger.index[LISTINGS[signed.order.market].base_asset])[-8:]
    seconds = times if condition.trigger.trails else [0]
    return [pair for pair in product(times, seconds) if not ledger.unproven(replace(signed, proof=pair))]


def guess(draw: random.Random, signed: SignedOrder, ledger: Ledger) -> tuple[int, int]:
    """Times of prices, mostly: too early, not far enough, in the wrong order, or a second beside one."""
    condition = signed.order.condition
    known = sorted(ledger.index[LISTINGS[signed.order.market].base_asset]) or [ledger.now]
    if condition is not None and draw.random() < 0.8:
        known = [time for time in known if time >= condition.active_from] or known
    if draw.random() < 0.15:
        known.append(known[-1] + 1)  # a price that is not there yet
    first, second = (draw.choice(known) + draw.choice((0, 0, 0, 0, 0, -1, 1)) for _ in range(2))
    trails = condition is not None and condition.trigger.trails
    return first, second if trails != (draw.random() < 0.1) else 0


def waited_for(fill: MatchedFill) -> list[str]:
    """The triggers of its orders."""
    conditions = (fill.maker.order.condition, fill.taker.order.condition)
    return [condition.trigger.name for condition in conditions if condition is not None]

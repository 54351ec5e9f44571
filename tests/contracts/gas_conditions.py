"""What it costs on a real node that an order waits for a price: the look into the oracle's history, by its length."""

from __future__ import annotations

from cxdex.batch import MatchedFill
from cxdex.condition import Condition, Trigger
from tests.contracts.gas_scenarios import FAR_EXPIRY, LOTS, PRICE, SEQS_A_RUN, GasNode
from tests.contracts.settlement_desk import BTC, SBTC

LENGTHS = (10, 200)  # prices in the history
INDEX = 60_000 * 10**6
TICK = 10**4  # 1e-6 USDC a whole synth


def waiting_orders(node: GasNode) -> dict[str, int]:
    """A as stops sell it: proven from the middle of the history, and by the last price, which needs no proof."""
    found: dict[str, int] = {}
    level, fall = INDEX // TICK, 1
    start = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) - 1_000
    published = 0
    for length in LENGTHS:
        while published < length:  # down a tick and up again
            node.index.publish(SBTC, INDEX - published % 2 * TICK, start + published)
            published += 1
        middle = start + length // 2 // 2 * 2
        shapes = {
            f"a fill, the seller a stop, {length} prices": (Trigger.INDEX_AT_OR_ABOVE, level, (middle, 0)),
            f"a fill, the seller a trailing stop, {length} prices": (
                Trigger.INDEX_FALLS_BY,
                fall,
                (middle, middle + 1),
            ),
        }
        if length == LENGTHS[0]:
            shapes["a fill, the seller a stop by the last price"] = (Trigger.LAST_AT_OR_ABOVE, level, (0, 0))
        for name, (trigger, ticks, proof) in shapes.items():
            found[name] = [_fill(node, Condition(trigger, ticks, start), proof) for _ in range(2)][1]
    return found


def _fill(node: GasNode, condition: Condition, proof: tuple[int, int]) -> int:
    node.runs += 1
    seller, buyer = node.traders[0], node.traders[1]
    ask = node.signer.sell(
        seller,
        LOTS,
        PRICE,
        seq=node.runs * SEQS_A_RUN,
        max_fee_bps=25,
        expiry=FAR_EXPIRY,
        condition=condition,
        proof=proof,
    )
    bid = node.signer.buy(buyer, LOTS, PRICE, seq=node.runs * SEQS_A_RUN, max_fee_bps=25, expiry=FAR_EXPIRY)
    node.sequence += 1
    return node.settle([MatchedFill(BTC, node.sequence - 1, ask, bid, LOTS)])

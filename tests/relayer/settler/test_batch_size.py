"""The largest batch that one transaction may carry, on a node with the newest hard fork's rules."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from settler_stand import BTC, CORE_KEY, ETH, Clock, Desk, Exchange, Trader, settle, settler_for

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.order import Side
from cxdex.rpc import JsonRpc, RpcError
from cxdex.wallet import LocalWallet
from relayer.settler.chain import Refusal, SettlementChain
from relayer.settler.endpoints import Endpoints
from relayer.settler.plan import (
    CALLDATA_LIMIT,
    GAS_LIMIT,
    MOST_FILLS,
    TRANSACTION_GAS_CAP,
    Limits,
    Load,
    fitting,
)
from relayer.settler.sizing import Sized, Sizer, Unfit


class Tape:
    """Fills in the numbering that the chain expects, without tables."""

    def __init__(self, desk: Desk, traders: int) -> None:
        self.desk = desk
        self.traders = [desk.trader(number) for number in range(traders)]
        self.sequence = {BTC: 0, ETH: 0}

    def fill(self, seller: Trader, buyer: Trader, market: str = BTC, lane: int = 0) -> MatchedFill:
        maker = self.desk.order(seller, market, Side.SELL, 10, 1_000_000, lane)
        taker = self.desk.order(buyer, market, Side.BUY, 10, 1_000_000, lane)
        self.sequence[market] += 1
        return MatchedFill(market, self.sequence[market] - 1, maker, taker, 10)

    def pairs(self, count: int, lane: int = 0, market: str = BTC) -> list[MatchedFill]:
        """Each with the next trader: every order is new."""
        size = len(self.traders)
        return [
            self.fill(self.traders[number % size], self.traders[(number + 1) % size], market, lane)
            for number in range(count)
        ]

    def maker_and_takers(self, takers: int) -> list[MatchedFill]:
        maker = self.desk.order(self.traders[0], BTC, Side.SELL, 10 * takers, 1_000_000)
        fills = []
        for number in range(takers):
            buyer = self.traders[1 + number % (len(self.traders) - 1)]
            taker = self.desk.order(buyer, BTC, Side.BUY, 10, 1_000_000)
            fills.append(MatchedFill(BTC, self.sequence[BTC], maker, taker, 10))
            self.sequence[BTC] += 1
        return fills


def chain_of(exchange: Exchange) -> SettlementChain:
    return SettlementChain(one_node(exchange), exchange.deployment, LocalWallet(CORE_KEY).account)


def one_node(exchange: Exchange) -> Endpoints:
    return Endpoints([JsonRpc(exchange.node.url, attempts=1)], Clock(), 3)


def model(fills: Sequence[MatchedFill]) -> int:
    load = Load()
    for fill in fills:
        load.add(fill)
    return load.gas


def test_the_gas_model_is_the_nodes_estimate_within_eight_per_cent(desk: Desk, exchange: Exchange) -> None:
    chain, tape = chain_of(exchange), Tape(desk, 12)
    for market in (BTC, ETH):  # every slot is used once before it counts
        for lane in (0, 5):
            warm = tape.pairs(12, lane, market)
            exchange.node.transact(exchange.core, exchange.address, "0x" + encode_settle_batch(warm).hex())
    shapes = {
        "one": lambda: tape.pairs(1),
        "two traders again and again": lambda: [tape.fill(*tape.traders[:2]) for _ in range(40)],
        "each with the next": lambda: tape.pairs(40),
        "a maker and many takers": lambda: tape.maker_and_takers(40),
        "lanes outside the account": lambda: tape.pairs(40, lane=5),
        "markets in turn": lambda: [
            one for _ in range(10) for market in (BTC, ETH) for one in tape.pairs(2, 0, market)
        ],
    }
    for name, shape in shapes.items():
        fills = shape()
        estimate = chain.estimate_gas(encode_settle_batch(fills))
        assert isinstance(estimate, int), f"{name}: {estimate}"
        assert model(fills) == pytest.approx(estimate, rel=0.08), name
        exchange.node.transact(exchange.core, exchange.address, "0x" + encode_settle_batch(fills).hex())


def test_the_limits_leave_room_and_no_more(desk: Desk) -> None:
    assert TRANSACTION_GAS_CAP == 16_777_216
    assert 0.97 < GAS_LIMIT / TRANSACTION_GAS_CAP < 0.98
    assert CALLDATA_LIMIT <= 128 * 1024 - 512
    tape = Tape(desk, 2)
    maker = desk.order(tape.traders[0], BTC, Side.SELL, 10 * (MOST_FILLS + 5), 1_000_000)
    taker = desk.order(tape.traders[1], BTC, Side.BUY, 10, 1_000_000)
    others = [taker, desk.order(tape.traders[1], BTC, Side.BUY, 10, 1_000_000)]
    best = [MatchedFill(BTC, number, maker, others[number % 2], 10) for number in range(MOST_FILLS + 5)]
    assert fitting(best, Limits(gas_limit=10**9)) == MOST_FILLS
    assert len(encode_settle_batch(best[:MOST_FILLS])) <= CALLDATA_LIMIT


def test_the_node_enforces_the_cap(desk: Desk, exchange: Exchange) -> None:
    """Otherwise the tests in here would prove nothing."""
    request = {"from": exchange.core, "to": exchange.address, "data": "0x", "gas": hex(TRANSACTION_GAS_CAP + 1)}
    with pytest.raises(RpcError, match=r"(?i)gas"):
        exchange.node.rpc.call("eth_sendTransaction", [request])


def test_a_batch_that_costs_twice_what_was_guessed_is_cut_to_the_most_that_fits(desk: Desk, exchange: Exchange) -> None:
    """Lanes that were never used: each order writes a fresh slot."""
    tape = Tape(desk, 12)
    fills = [one for lane in range(2, 42) for one in tape.pairs(12, lane * 4)]
    chain = chain_of(exchange)
    assert fitting(fills, Limits()) == len(fills), "the model alone believes that all fit"
    sizer = Sizer(chain, Limits())
    sized = sizer.largest(fills)
    assert isinstance(sized, Sized)
    assert 0.9 * GAS_LIMIT < sized.gas <= GAS_LIMIT
    assert sizer.scale > 1.3
    data = encode_settle_batch(fills[: sized.count])
    assert chain.estimate_gas(data) == sized.gas
    more = chain.estimate_gas(encode_settle_batch(fills[: int(sized.count * 1.1)]))
    assert isinstance(more, Refusal) or more > GAS_LIMIT, "a tenth more would not fit"


def test_a_backlog_leaves_in_full_batches_under_the_real_cap(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    traders = [desk.trader(number) for number in range(12)]
    for lane in range(2, 34):
        for number in range(12):
            desk.trade(traders[number], traders[(number + 1) % 12], lane=lane * 4)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: list(range(desk.match_id))}
    first, *rest = desk.rows("batch")
    assert len(rest) == 1
    assert first.gas_used * 1.02 > 0.9 * GAS_LIMIT
    assert first.gas_used <= TRANSACTION_GAS_CAP


def test_a_cheap_backlog_is_limited_by_the_size_of_a_transaction(desk: Desk, exchange: Exchange) -> None:
    tape = Tape(desk, 3)
    warm = tape.pairs(6)
    exchange.node.transact(exchange.core, exchange.address, "0x" + encode_settle_batch(warm).hex())
    sizer = Sizer(chain_of(exchange), Limits(calldata_limit=8_000))
    sized = sizer.largest(tape.maker_and_takers(80))
    assert isinstance(sized, Sized)
    assert sized.count == (8_000 - 36) // 128 - 2


def test_a_bad_fill_behind_good_ones_is_left_to_the_next_batch_or_named(desk: Desk, exchange: Exchange) -> None:
    tape = Tape(desk, 4)
    fills = tape.pairs(8)
    bad = MatchedFill(BTC, 3, fills[3].maker, desk.order(tape.traders[1], BTC, Side.SELL, 10, 1), 10)
    answer = Sizer(chain_of(exchange), Limits()).largest([*fills[:3], bad, *fills[4:]])
    assert answer == Unfit(8, Refusal("S:SIDE", answer.refusal.message if isinstance(answer, Unfit) else ""))


def test_one_fill_that_no_transaction_can_hold_is_named(desk: Desk, exchange: Exchange) -> None:
    core = LocalWallet(CORE_KEY).account
    chain = SettlementChain(one_node(exchange), exchange.deployment, core, gas_cap=60_000)
    answer = Sizer(chain, Limits()).largest(Tape(desk, 3).pairs(3))
    assert isinstance(answer, Unfit)
    assert (answer.count, answer.refusal.code) == (1, ""), "behind the proxy it has no word"

"""What a subscriber starts from: the state of one stream, and the sequence number that it is the state after."""

from __future__ import annotations

import time

import msgspec

from api.balances import balances_to_json
from api.context import Context
from api.feed import Stream
from api.markets import market_to_json
from cxdex.problem import Problem
from relayer.public_guard import guard_json
from relayer.public_order import order_state_json

_json = msgspec.json.Encoder()


async def snapshot_data(context: Context, stream: Stream) -> tuple[int, msgspec.Raw]:
    """(seq, data). Raises ENGINE_UNAVAILABLE.

    For the private channels the number is read before the engine is asked: a message that the answer already
    contains may follow, and changes nothing, because those messages carry whole states with a version.
    """
    seq = stream.seq
    if stream.channel == "markets":
        return seq, _raw(market_to_json(context.markets.find(stream.key)))
    if stream.channel == "orders":
        states = await context.engine.open_orders(bytes.fromhex(stream.key[2:]), None)
        terms_of = context.markets.terms_of
        return seq, _raw([order_state_json(state, terms_of(state.order.market)) for state in states])
    if stream.channel == "balances":
        reply = await context.engine.account(bytes.fromhex(stream.key[2:]))
        return seq, _raw(balances_to_json(context.markets, reply.balances))
    if stream.channel == "protection":
        guards = await context.engine.guards(bytes.fromhex(stream.key[2:]))
        now = time.time_ns() // 10**6
        return seq, _raw([guard_json(guard, context.markets.terms_of(guard.market), now) for guard in guards])
    data = context.hub.snapshot_of_public(stream)
    if data is None or not context.engine.is_connected:
        raise Problem("ENGINE_UNAVAILABLE", "the matching engine is away; a snapshot follows when it is back")
    return seq, data


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_json.encode(value))

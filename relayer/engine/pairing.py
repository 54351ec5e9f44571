"""One cancels the other: two open orders of one nonce, the legs of a bracket.

Owns:     which orders make a pair, and what happens to one leg when something happens to the other.
Promises: the legs have the same account, market, side and nonce, and one of them at most is in the book; so the pair
          holds back what that one needs, and the chain, which counts fills by nonce, never lets both fill in full.
          What one leg fills is no longer open in the other: a leg has at most its quantity less all fills of the nonce.
          A leg that is triggered cancels the other before it enters. A leg that is filled, or cancelled by its owner,
          takes the other along (reason OCO). A leg that ends in any other way (expired, refused when its price came,
          self-trade, money gone) leaves the other open, alone.
          All orders that a nonce has had go by names of their own on chain.
Never:    pairs more than two orders, or two plain ones: those are amendments (see `amending`).

The first leg is sent like any order; the second is known by its nonce. Either may be the conditional one. The plain leg
of a pair must be one that rests: a pair waits for two prices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxdex.nonce import unpack_nonce
from cxdex.order_word import TAIL_BYTES
from cxdex.problem import OrderProblem
from relayer.engine.orders import LIVE, OPEN

if TYPE_CHECKING:
    from cxdex.order import Order
    from relayer.engine.orders import OrderRecord
    from relayer.engine.state import State

MOST_OF_A_NONCE = 1_000  # orders that a nonce has had; each is remembered as long as the nonce lives
_OWNERS_WORD = ("USER", "REDUCED", "CHAIN_CANCEL")


def find_twin(state: State, order: Order, digest: bytes) -> OrderRecord | None:
    """The open order that a new one makes a pair with; None when it stands alone. Raises OrderProblem when the two do
    not go together."""
    account = state.accounts.get(order.account)
    nonce = unpack_nonce(order.nonce)
    lane = account.lanes.get(nonce.lane) if account else None
    if account is None or lane is None or not lane.is_open or (nonce.epoch, nonce.seq) != (account.epoch, lane.used):
        return None
    found = [record for record in account.open.values() if record.order.nonce == order.nonce]
    if len(found) != 1 or (order.condition is None and found[0].order.condition is None):
        return None
    twin = found[0]
    require_pair(order, twin)
    if digest in state.orders or digest in twin.ancestors or len(twin.ancestors) >= MOST_OF_A_NONCE:
        raise OrderProblem(
            "ORDER_NONCE_USED",
            "this very order was accepted before, or too many orders have had this nonce",
            field="nonce",
            given=str(order.nonce),
        )
    return twin


def require_pair(order: Order, twin: OrderRecord) -> None:
    """Raises OrderProblem when the order cannot be the other leg."""
    other = twin.order
    if order.market != other.market:
        raise _refusal("the legs of a pair are orders of one market", "market", order.market, other.market)
    if order.side != other.side:
        raise _refusal("the legs of a pair are orders of one side", "side", order.side.name, other.side.name)
    if order.condition is not None:
        return
    if not order.may_rest:
        detail = "the leg of a pair that waits for no price has to rest"
        raise _refusal(detail, "timeInForce", order.time_in_force.name, "GTC, GTD, POST_ONLY")
    if twin.status == OPEN:
        raise _refusal("the other leg is in the book already", "trigger", "none", "a trigger, or another nonce")


def require_own_name(order: Order, digest: bytes, elder: OrderRecord) -> None:
    """Raises OrderProblem when the chain would call the order, and another that this nonce has had, by one name.

    The chain's events name an order by account, nonce and the last bits of its digest. An owner can try expiries until
    two orders end alike; then nobody could tell from the chain which of them has filled.
    """
    family = (elder,) if elder.twin is None else (elder, elder.twin)
    tail = digest[-TAIL_BYTES:]
    if any(other[-TAIL_BYTES:] == tail for record in family for other in (record.digest, *record.ancestors)):
        raise OrderProblem(
            "ORDER_NAME_TAKEN",
            "the id ends in the same 32 bits as that of another order of this nonce, and the chain's events could not "
            "tell the two apart",
            field="expiry",
            given=str(order.expiry),
            allowed="any other expiry",
        )


def _refusal(detail: str, field: str, given: str, allowed: str) -> OrderProblem:
    return OrderProblem("ORDER_PAIR_REFUSED", detail, field=field, given=given, allowed=allowed)


def join(record: OrderRecord, twin: OrderRecord) -> None:
    record.twin, twin.twin = twin, record


def part(state: State, record: OrderRecord) -> OrderRecord | None:
    """The record has just been closed. Returns the other leg if it has to go too; else that one stands alone now."""
    twin = record.twin
    if twin is None:
        return None
    record.twin = None
    if twin.twin is record:
        twin.twin = None
    if twin.status not in LIVE:
        return None
    state.accounts[twin.order.account].lanes[twin.lane].is_open = True
    if record.reason == "FILLED" or record.reason in _OWNERS_WORD:
        return twin
    if record.reason != "REPLACED":  # then the successor remembers them
        twin.ancestors = tuple(dict.fromkeys((*twin.ancestors, *record.ancestors, record.digest)))
    return None

"""Nonce lanes: which nonce of an account can be used next.

A lane is free when its last order is closed and every fill of it is settled, skipped or voided on chain: a newer
order takes the lane over there, and would kill an older fill that is still on its way. Within a lane, seq only rises.

Never: reads or writes the chain's lanes; leases are the service's (they expire by the clock).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxdex.nonce import MAX_LANE, MAX_SEQ, Nonce, pack_nonce
from cxdex.problem import OrderProblem

if TYPE_CHECKING:
    from collections.abc import Collection

    from relayer.engine.accounts import Account

FIRST_SEQ = 1
LAST_SEQ = MAX_SEQ - 1  # on chain the very last one is what a cancel leaves behind: its orders never trade


class Lane:
    """used: seq of the last accepted order. floor: lowest seq the chain lets live. unsettled: fills on their way."""

    __slots__ = ("floor", "is_open", "unsettled", "used")

    def __init__(self, used: int = 0, floor: int = 0, unsettled: int = 0) -> None:
        self.used = used
        self.floor = floor
        self.unsettled = unsettled
        self.is_open = False

    @property
    def is_busy(self) -> bool:
        return self.is_open or self.unsettled > 0

    @property
    def next_seq(self) -> int:
        return max(self.used + 1, self.floor, FIRST_SEQ)


def free_nonces(account: Account | None, count: int, leased: Collection[int]) -> list[int]:
    """`count` nonces that would be accepted now, lowest lanes first, none in a lane of `leased`.

    Fewer when the account has run out of lanes (2**24 of them).
    """
    epoch, lanes, number = (account.epoch, account.lanes, account.first_free) if account else (0, {}, 0)
    nonces: list[int] = []
    while len(nonces) < count and number <= MAX_LANE:
        lane = lanes.get(number)
        seq = FIRST_SEQ if lane is None else lane.next_seq
        if (lane is not None and lane.is_busy) or seq > LAST_SEQ:
            if account and account.first_free == number:
                account.first_free += 1
        elif number not in leased:
            nonces.append(pack_nonce(epoch, number, seq))
        number += 1
    return nonces


def require_free(account: Account | None, nonce: Nonce, packed: int) -> None:
    """Raises ORDER_EPOCH_STALE, ORDER_NONCE_USED or ORDER_NONCE_LANE_BUSY, naming a nonce that would do."""
    if nonce.epoch != (account.epoch if account else 0):
        raise _nonce_problem("ORDER_EPOCH_STALE", "the nonce is not of the account's current epoch", account, packed)
    lane = account.lanes.get(nonce.lane) if account else None
    if not (FIRST_SEQ if lane is None else lane.next_seq) <= nonce.seq <= LAST_SEQ:
        raise _nonce_problem(
            "ORDER_NONCE_USED", "the lane has moved past this nonce, or cannot go as far", account, packed
        )
    if lane is not None and lane.is_busy:
        detail = "the lane's last order is open, or a fill of it is not settled yet"
        raise _nonce_problem("ORDER_NONCE_LANE_BUSY", detail, account, packed)


def _nonce_problem(code: str, detail: str, account: Account | None, packed: int) -> OrderProblem:
    free = free_nonces(account, 1, ())
    return OrderProblem(
        code,
        detail,
        field="nonce",
        given=str(packed),
        allowed=f"next free: {free[0]}" if free else "none: every lane of the account is busy",
    )

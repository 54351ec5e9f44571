"""Which nonces were handed out lately, so that two devices of one account rarely ask for the same lane.

Promises: a lane that was leased is not offered again for ten seconds, unless its order has arrived or
          MOST_LEASES others of the account were leased since.
Never:    decides what is valid: the engine does. A lost race costs the device one more question.

Anybody may ask for anybody's nonces: the bound is what a stranger can make this process remember, and how far up the
lanes a stranger can push somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from cxdex.nonce import unpack_nonce

LEASE_SECONDS = 10.0
MOST_LEASES = 256  # of an account

FreeNonces = Callable[[bytes, int, Collection[int]], list[int]]
"""(account, count, lanes to leave alone) -> that many nonces, lowest lane first."""


class NonceLeases:
    """`now` is in seconds of any steady clock."""

    def __init__(self, free_nonces: FreeNonces) -> None:
        self._free_nonces = free_nonces
        self._leases: dict[bytes, dict[int, float]] = {}

    def lease(self, account: bytes, count: int, now: float) -> list[int]:
        lanes = self._leases.setdefault(account, {})
        _forget(lanes, lambda until: until <= now)  # oldest first, because each lasts equally long
        chosen = self._free_nonces(account, count, lanes.keys())
        for nonce in chosen:
            lanes[unpack_nonce(nonce).lane] = now + LEASE_SECONDS
        _forget(lanes, lambda _: len(lanes) > MOST_LEASES)
        if not lanes:
            del self._leases[account]
        return chosen

    def release(self, account: bytes, nonce: int) -> None:
        """The order has arrived: from here on the engine knows whether the lane is free."""
        lanes = self._leases.get(account)
        if lanes is not None:
            lanes.pop(unpack_nonce(nonce).lane, None)

    def sweep(self, now: float) -> None:
        """Forgets accounts whose leases have all run out."""
        dead = [account for account, lanes in self._leases.items() if all(until <= now for until in lanes.values())]
        for account in dead:
            del self._leases[account]


def _forget(lanes: dict[int, float], is_over: Callable[[float], bool]) -> None:
    """The oldest leases, as long as they are over."""
    while lanes:
        oldest = next(iter(lanes))
        if not is_over(lanes[oldest]):
            return
        del lanes[oldest]

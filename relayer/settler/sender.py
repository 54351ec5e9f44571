"""Makes a transaction of calldata: numbered, priced, signed, committed, sent, in this order.

Owns:     the nonce and the first fees of a new batch.
Promises: nothing is signed for a nonce that an earlier batch may still use, and nothing is sent that is not in the
          database. CORE can pay for what is signed, and no unit of gas costs more than the cap.
Never:    replaces or follows (see `follow`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.problem import Problem
from relayer.settler.chain import Refusal, SettlementChain, encode_beat, encode_void_sequence
from relayer.settler.follow import Follower, FollowOptions
from relayer.settler.metrics import SettlerMetrics
from relayer.settler.plan import TRANSACTION_GAS_CAP, spans
from relayer.settler.store import Draft, Quarantined, Store
from relayer.settler.wallet import Envelope, TransactionSigner, first_fees

GAS_MARGIN = 1.1  # the estimate is made on the pending block; the real one may cost a little more, within the cap

# What an order can cost more in its block because its owner came before it. 22,000: a claim has emptied the slot that
# the fill writes, a cancel of the order is announced, the epoch was raised. Twice that: a fill that would have been
# skipped goes through, and is the first of its lanes. If more orders than this surprise at once, the batch reverts and
# is halved; one fill alone always has room for both of its owners, so that nobody can have it given up.
SURPRISE_GAS = 45_000
MOST_SURPRISES = 25


class Sender:
    """Each method is True when a look at the chain is worth it at once."""

    def __init__(
        self,
        store: Store,
        chain: SettlementChain,
        signer: TransactionSigner,
        follower: Follower,
        options: FollowOptions,
        now_ms: Callable[[], int],
        measures: SettlerMetrics,
    ) -> None:
        self._store = store
        self._chain = chain
        self._signer = signer
        self._follower = follower
        self._options = options
        self._now_ms = now_ms
        self._measures = measures

    def settle(self, fills: Sequence[MatchedFill], gas: int, wallet_gas: int, matches: tuple[int, int]) -> bool:
        """matches: the first and the last match_id. gas: the node's estimate; wallet_gas: room beyond it, for wallets
        that use more in a block than when they were asked. Gas that is not used costs nothing."""
        orders = {signed.digest for fill in fills for signed in (fill.maker, fill.taker)}
        surprises = SURPRISE_GAS * min(len(orders), MOST_SURPRISES)
        gas = min(TRANSACTION_GAS_CAP, max(int(gas * GAS_MARGIN), gas + surprises) + wallet_gas)
        return self._send(encode_settle_batch(fills), gas, matches, fills, None)

    def beat(self) -> bool:
        data = encode_beat()
        return self._send(data, self._estimate(data, "beat"), (0, 0), [], None)

    def void(self, fill: Quarantined) -> bool:
        """Uses up the fill's sequence number, which must be its market's next one."""
        data = encode_void_sequence(fill.market, 1)
        return self._send(data, self._estimate(data, "voidSequence"), (fill.match_id, fill.match_id), [], fill)

    def _estimate(self, data: bytes, what: str) -> int:
        gas = self._chain.estimate_gas(data)
        if isinstance(gas, Refusal):
            raise Problem("SIMULATION_FAILED", f"{what} does not simulate ({gas})")
        return min(TRANSACTION_GAS_CAP, int(gas * GAS_MARGIN))

    def _send(
        self,
        data: bytes,
        gas: int,
        matches: tuple[int, int],
        fills: Sequence[MatchedFill],
        quarantined: Quarantined | None,
    ) -> bool:
        head = self._chain.head()
        if self._follower.reopen_final(head):  # so these fills are on their way already, in the bytes of before
            return self._follower.follow()
        options = self._options
        fees = first_fees(head.base_fee, options.tip, options.fee_cap)
        if fees is None:
            raise Problem(
                "FEE_CAP",
                f"the base fee is {head.base_fee} wei a gas, the cap {options.fee_cap}: waiting for it to fall",
            )
        self._require_funds(gas * fees.max_fee)
        nonce = max([head.nonce, *(batch.nonce + 1 for batch in self._store.unresolved())])
        transaction = self._signer.sign(Envelope(nonce, gas, data), fees)
        draft = Draft(matches[0], matches[1], len(fills), nonce, transaction, spans(fills), quarantined)
        batch = self._store.prepare(draft, self._now_ms())
        self._measures.batches.labels("PREPARED").inc()
        self._measures.max_fee.set(fees.max_fee)
        self._follower.submit(batch, head)
        return True

    def _require_funds(self, needed: int) -> None:
        balance = self._chain.balance()
        self._measures.balance.set(balance)
        if balance < needed:
            raise Problem(
                "GAS_FUNDS", f"{self._chain.core} has {balance} wei and the next batch may cost {needed}: fund it"
            )

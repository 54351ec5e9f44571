"""What becomes of a transaction after it was signed: sent, mined, final, dropped, overtaken, too cheap.

Owns:     every change of a batch's status after PREPARED.
Promises: bytes that are committed are sent until something with their nonce is mined, across crashes, node
          restarts and reorgs; any attempt that was ever signed is recognised as ours if it mines.
Never:    chooses fills.

  PREPARED -> SENT      the node has the bytes
  SENT     -> SENT      sent again now and then; replaced at higher fees when it is stuck
  SENT     -> MINED     a receipt says success
  MINED    -> FINAL     deep enough
  MINED    -> SENT      a reorg dropped it
  FINAL    -> SENT      a reorg deeper than the confirmations dropped it, or the node came back with an older state
  any      -> FAILED    reverted on chain, or another transaction used its nonce: the fills are planned again
  FAILED   -> MINED     it was mined after all, which only its successor for the same nonce can find out
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relayer.settler.chain import Head, Receipt, SendRefused, SettlementChain
from relayer.settler.metrics import SettlerMetrics
from relayer.settler.store import MINED, PREPARED, Batch, Store
from relayer.settler.wallet import TransactionSigner, raised_fees, read_transaction

log = logging.getLogger("relayer.settler")

RESEND_MS = 5_000


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """fee_cap and tip in wei a unit of gas; confirmations: blocks, the one that holds it included."""

    confirmations: int
    replace_after_ms: int
    fee_cap: int
    tip: int


class Follower:
    def __init__(
        self,
        store: Store,
        chain: SettlementChain,
        signer: TransactionSigner,
        options: FollowOptions,
        now_ms: Callable[[], int],
        measures: SettlerMetrics,
    ) -> None:
        self._measures = measures
        self._store = store
        self._chain = chain
        self._signer = signer
        self._options = options
        self._now_ms = now_ms
        self._sent_ms: dict[int, int] = {}
        self._overtaken: set[int] = set()

    def follow(self) -> bool:
        """Moves every unresolved batch as far as the chain allows. True while one waits to be mined."""
        batches = self._store.unresolved()
        if not batches:
            return False
        head = self._chain.head()  # before the receipts: a nonce that counts has its receipt by then
        if head.nonce < batches[0].nonce:
            self._close_gap(batches, head)
            batches = self._store.unresolved()
        receipts = self._chain.receipts([tx_hash for batch in batches for tx_hash in batch.attempts])
        waiting = [batch for batch in batches if self._follow_one(batch, head, receipts)]
        if waiting and self._measures.oldest_ms is None:  # after a restart or a reorg
            self._measures.oldest_ms = self._store.matched_ms(waiting[0].first_match_id)
        return bool(waiting)

    def node_changed(self) -> None:
        """What one node said about a nonce is no second opinion on what another says."""
        self._overtaken.clear()
        self._sent_ms.clear()  # the new node may not have seen the transaction: the same bytes are sent to it

    def _follow_one(self, batch: Batch, head: Head, receipts: dict[bytes, Receipt]) -> bool:
        receipt = next((receipts[one] for one in batch.attempts if one in receipts), None)
        if receipt is not None:
            self._overtaken.discard(batch.id)
            self._settle_receipt(batch, head, receipt)
            return False
        if head.nonce > batch.nonce:
            return self._nonce_is_gone(batch)
        self._overtaken.discard(batch.id)
        if batch.status == MINED:
            log.warning("batch %d: a reorg has dropped it from block %s; sending it again", batch.id, batch.block)
            self._store.mark_sent(batch.id, self._now_ms())
            self._measures.batches.labels("DROPPED").inc()
            self._send(batch, head)
        elif batch.status == PREPARED:
            self.submit(batch, head)
        elif self._now_ms() - batch.updated_ms >= self._options.replace_after_ms:
            self._replace(batch, head)
        elif self._now_ms() - self._sent_ms.get(batch.id, 0) >= RESEND_MS:
            self._send(batch, head)
        return True

    def reopen_final(self, head: Head) -> bool:
        """Takes up again what was final and is on the chain no more. True if there was any."""
        reopened = self._store.reopen_final(head.nonce, self._now_ms())
        for batch_id in reopened:
            log.error("batch %d was final, and the chain no longer has it; sending it again", batch_id)
        return bool(reopened)

    def _close_gap(self, batches: Sequence[Batch], head: Head) -> None:
        """A transaction below all that wait has left the chain: until its nonce is used, none of them can be mined."""
        if self.reopen_final(head):
            batches = self._store.unresolved()
        if head.nonce < batches[0].nonce:
            # The one that is missing was not a batch, or it failed. Nobody will send it again, so begin there anew.
            for batch in batches:
                self._fail(batch, f"the chain went back to nonce {head.nonce}, before this batch's {batch.nonce}")

    def submit(self, batch: Batch, head: Head) -> None:
        """Sends a PREPARED batch. Raises SendRefused; the batch stays PREPARED and is tried again."""
        self._send(batch, head)
        self._store.mark_sent(batch.id, self._now_ms())
        self._measures.batches.labels("SENT").inc()

    def _send(self, batch: Batch, head: Head) -> None:
        try:
            self._chain.send(batch.raw_transaction)
        except SendRefused as refused:
            if not refused.underpriced or not self._replace(batch, head):
                raise
        self._sent_ms[batch.id] = self._now_ms()

    def _replace(self, batch: Batch, head: Head) -> bool:
        """The same transaction at higher fees, committed before it is sent. False if the cap forbids it."""
        envelope, old = read_transaction(batch.raw_transaction)
        fees = raised_fees(old, head.base_fee, self._options.tip, self._options.fee_cap)
        if fees is None:
            if self._now_ms() - self._sent_ms.get(batch.id, 0) >= RESEND_MS:
                self._sent_ms[batch.id] = self._now_ms()
                log.warning("batch %d is stuck and already pays the fee cap; raise --fee-cap-gwei", batch.id)
                self._chain.send(batch.raw_transaction)
            return False
        transaction = self._signer.sign(envelope, fees)
        self._store.replace(batch, transaction, self._now_ms())
        self._measures.batches.labels("REPLACED").inc()
        self._measures.max_fee.set(fees.max_fee)
        log.warning(
            "batch %d: not mined at %d wei a gas; replaced at %d, tx 0x%s",
            batch.id, old.max_fee, fees.max_fee, transaction.tx_hash.hex(),
        )  # fmt: skip
        self._chain.send(transaction.raw)
        self._sent_ms[batch.id] = self._now_ms()
        return True

    def _settle_receipt(self, batch: Batch, head: Head, receipt: Receipt) -> None:
        if not receipt.succeeded:
            log.error(
                "ALERT: batch %d simulated well and reverted on chain, which cost %d gas; half of it is tried next",
                batch.id, receipt.gas_used,
            )  # fmt: skip
            self._fail(batch, f"reverted on chain in block {receipt.block}, tx 0x{receipt.tx_hash.hex()}", receipt)
            return
        if batch.status != MINED or batch.block != receipt.block or batch.tx_hash != receipt.tx_hash:
            self._store.mark_mined(batch.id, receipt.tx_hash, receipt.block, receipt.gas_used, self._now_ms())
            self._report(batch, receipt)
        if head.block - receipt.block + 1 >= self._options.confirmations:
            self._store.mark_final(batch.id, self._now_ms())
            self._measures.final(batch)
            self._sent_ms.pop(batch.id, None)

    def _nonce_is_gone(self, batch: Batch) -> bool:
        """No receipt, but the nonce is used. Believed the second time: the two answers may straddle a new block."""
        if batch.id not in self._overtaken:
            self._overtaken.add(batch.id)
            return True
        self._overtaken.discard(batch.id)
        others = self._store.others_with_nonce(batch)
        receipts = self._chain.receipts(others)
        winner = next((receipt for receipt in receipts.values() if receipt.succeeded), None)
        if winner is not None:
            other = others[winner.tx_hash]
            self._store.mark_mined(other, winner.tx_hash, winner.block, winner.gas_used, self._now_ms())
            log.warning("batch %d, given up before, was mined in block %d after all", other, winner.block)
        self._fail(batch, f"another transaction used its nonce {batch.nonce}")
        return False

    def _fail(self, batch: Batch, error: str, reverted: Receipt | None = None) -> None:
        self._store.mark_failed(batch.id, error, self._now_ms(), reverted)
        self._measures.batches.labels("FAILED").inc()
        self._sent_ms.pop(batch.id, None)
        log.warning("batch %d failed: %s; what the chain has not passed is planned again", batch.id, error)

    def _report(self, batch: Batch, receipt: Receipt) -> None:
        matched_ms = self._store.matched_ms(batch.first_match_id)
        self._measures.mined(batch, receipt, matched_ms)
        if batch.first_match_id == 0:
            log.info("batch %d: CORE's sign of life, block %d", batch.id, receipt.block)
            return
        if batch.fills == 0:
            log.info("batch %d: passed over match %d, block %d", batch.id, batch.first_match_id, receipt.block)
            return
        lag = (self._now_ms() - matched_ms) / 1000 if matched_ms is not None else 0.0
        log.info(
            "batch %d: %d fills, %d gas, %d gas a fill, tx 0x%s, block %d, lag %.1f s",
            batch.id, batch.fills, receipt.gas_used, receipt.gas_used // batch.fills,
            receipt.tx_hash.hex(), receipt.block, lag,
        )  # fmt: skip

"""Following the chain: one step at a time from the checkpoint towards the head, back when the chain has changed.

Owns:     the decision what to do next, taken each time from the database's checkpoint and the node's answers.
Promises: a chunk is stored only if its first block's parent is the checkpoint. A node that is merely behind is
          not a reorg: that takes another hash at a height we hold.
Never:    sleeps or retries (see `indexer.run`), except that missing logs are read once more before it halts.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from cxdex.deployment import Deployment
from indexer.halt import Halt, MissingLogs
from indexer.metrics import IndexerMetrics
from indexer.node import Header, Node
from indexer.source import ChainMoved, Chunk, Source
from indexer.store import Checkpoint, Store, too_deep

log = logging.getLogger("indexer")

ANCESTOR_BATCH = 64
BEFORE_GENESIS = Header(-1, bytes(32), bytes(32), 0)


class Follower:
    def __init__(
        self,
        store: Store,
        node: Node,
        deployment: Deployment,
        finality_depth: int,
        measures: IndexerMetrics | None = None,
    ) -> None:
        self.measures = measures or IndexerMetrics(CollectorRegistry())
        self.store = store
        self._source = Source(node)
        self._node = node
        self._deployment = deployment
        self._depth = finality_depth
        self._behind = False
        self._announced: set[bytes] = set()

    def step(self, target: int | None = None) -> bool:
        """Does the next thing; True when there may be more to do. Stops at `target` when given.

        Raises NodeAway, NodeRefused and ChainMoved (try again), and Halt (do not).
        """
        head = self._node.latest()
        more = self._step(head, target)
        if self.store.checkpoint is not None:
            self.measures.stand(head.number, self.store.checkpoint.block)
        return more

    def _step(self, head: Header, target: int | None) -> bool:
        checkpoint = self.store.checkpoint
        if checkpoint is None:
            self._begin(head)
            return True
        if head.number <= checkpoint.block:
            return self._at_head(head, checkpoint)
        self._behind = False
        last = head.number if target is None else min(head.number, target)
        if last <= checkpoint.block:
            return False
        try:
            return self._forward(head, last, checkpoint)
        except MissingLogs as missing:
            log.warning("%s; reading the blocks once more", missing.detail)
            return self._forward(head, last, checkpoint)

    def head_number(self) -> int:
        return self._node.latest().number

    # ------------------------------------------------------------------ forward

    def _begin(self, head: Header) -> None:
        chain_id = self._node.chain_id()
        if chain_id != self._deployment.chain_id:
            raise Halt("WRONG_CHAIN", f"the node is on chain {chain_id}, the deployment on {self._deployment.chain_id}")
        number = self._deployment.deployed_block - 1
        base = BEFORE_GENESIS if number < 0 else self._node.headers([number])[0]
        if base is None:
            raise ChainMoved(f"the node has not reached the deployment block {number + 1} yet")
        self.store.begin(base, head.number)

    def _forward(self, head: Header, last: int, checkpoint: Checkpoint) -> bool:
        first, final = checkpoint.block + 1, head.number - self._depth
        if first <= final:
            if not self._still_holds(checkpoint):
                return self._reorg(checkpoint, head)
            chunk = self._source.final(first, min(final, last))
        else:
            chunk = self._source.recent(first, last)
            if chunk.blocks[0].header.parent != checkpoint.hash:
                return self._reorg(checkpoint, head)
        self._append(chunk, head)
        self.measures.blocks.inc(chunk.end.number - checkpoint.block)
        return chunk.end.number < last

    def _append(self, chunk: Chunk, head: Header) -> None:
        # A chunk may have grown past the head that was asked for before it.
        events = self.store.append(chunk, max(head.number, chunk.end.number))
        self.measures.events.inc(events)
        if events:
            self._watch_operations()

    def _watch_operations(self) -> None:
        """Says when the Timelock announces something, so that nobody is surprised by an upgrade."""
        announced = dict(self.store.announced_operations())
        for operation in announced.keys() - self._announced:
            from_time = datetime.fromtimestamp(announced[operation], UTC).isoformat()
            log.warning("the Timelock has announced operation 0x%s, executable from %s", operation.hex(), from_time)
        self._announced = set(announced)
        self.measures.announced.set(len(announced))

    # ------------------------------------------------------------------ back

    def _at_head(self, head: Header, checkpoint: Checkpoint) -> bool:
        """The node has nothing newer: is it on our chain?"""
        if head.number == checkpoint.block:
            ours = checkpoint.hash
        else:
            held = self.store.headers(head.number, head.number)
            ours = held[0].hash if held else head.hash
        if ours != head.hash:
            return self._reorg(checkpoint, head)
        if head.number < checkpoint.block and not self._behind:
            log.warning("the node is %d blocks behind the checkpoint; waiting", checkpoint.block - head.number)
        self._behind = head.number < checkpoint.block
        return False

    def _still_holds(self, checkpoint: Checkpoint) -> bool:
        if checkpoint.block < 0:
            return True
        header = self._node.headers([checkpoint.block])[0]
        if header is None:
            raise ChainMoved("the node no longer has the block of our checkpoint")
        return header.hash == checkpoint.hash

    def _reorg(self, checkpoint: Checkpoint, head: Header) -> bool:
        """Rolls back to the newest block that the node still has."""
        ancestor = self._ancestor(checkpoint, head.number)
        log.warning(
            "the chain has changed: rolling back %d blocks to block %d",
            checkpoint.block - ancestor.number,
            ancestor.number,
        )
        self.store.rollback(ancestor)
        self.measures.reorgs.observe(checkpoint.block - ancestor.number)
        return True

    def _ancestor(self, checkpoint: Checkpoint, head: int) -> Header:
        """The newest stored block that the node has too, not below the undo floor. Raises Halt REORG_TOO_DEEP."""
        last = min(checkpoint.block, head)
        while last >= checkpoint.undo_floor:
            held = self.store.headers(max(checkpoint.undo_floor, last - ANCESTOR_BATCH + 1), last)
            theirs = self._node.headers([max(header.number, 0) for header in held])
            for ours, other in zip(held, theirs, strict=True):
                if ours == BEFORE_GENESIS or (other is not None and other.hash == ours.hash):
                    return ours
            last -= ANCESTOR_BATCH
        raise too_deep(checkpoint.undo_floor - 1, checkpoint)
